//! The hosts that are called by name: those of the configuration, and the one within this
//! process, which is `local` and needs neither address nor credentials.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use conche_openwhisk::client::Transport;
use conche_openwhisk::command::Verb;
use conche_openwhisk::model::{ActivationId, FullyQualifiedName};
use conche_runtime::secrets::Secrets;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::party::Place;
use crate::BuildError;
use crate::action::Error;
use crate::commands::over_http::Base;
use crate::config::{self as settings, SecretName};

/// The name of the host within this process.
pub const LOCAL: &str = "local";

/// Where the hosts stand in the configuration.
const PLACE: &str = "openwhisk.hosts";

/// A host of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedHost {
    /// Its address, e.g. `https://ow.example.com`.
    pub url: String,
    /// The key, whose value is `user:key` as OpenWhisk gives it. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<SecretName>,
    /// A token instead of a key, for providers that have such. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer: Option<SecretName>,
}

impl NamedHost {
    fn check(&self, place: &str, secrets: &Secrets) -> Result<(), BuildError> {
        Base::parse(&self.url).map_err(|flaw| settings::error(place, flaw))?;
        for secret in [&self.auth, &self.bearer].into_iter().flatten() {
            secret.check(place, secrets)?;
        }
        if self.auth.is_some() && self.bearer.is_some() {
            return Err(settings::error(place, "give `auth` or `bearer`, not both"));
        }
        Ok(())
    }
}

/// The host within this process.
#[async_trait]
pub trait Embedded: Transport {
    /// The activation of what was invoked or fired by this name under an idempotency key. Where
    /// there is none, nothing was.
    ///
    /// # Errors
    /// Why that cannot be told now.
    async fn known(
        &self,
        verb: Verb,
        name: &FullyQualifiedName,
        key: &str,
    ) -> Result<Option<ActivationId>, String>;
}

/// All hosts that have a name.
#[derive(Default)]
pub struct Hosts {
    named: BTreeMap<String, NamedHost>,
    /// Whether the configuration turns the embedded one on.
    has_local: bool,
    /// The embedded one, once it has started.
    local: OnceLock<Arc<dyn Embedded>>,
}

impl Hosts {
    /// Those of a configuration.
    pub fn new(named: BTreeMap<String, NamedHost>, has_local: bool) -> Self {
        Self {
            named,
            has_local,
            local: OnceLock::new(),
        }
    }

    /// What is wrong with the configured ones, as far as that shows without the network and
    /// the secrets' values.
    pub fn check(&self, secrets: &Secrets) -> Vec<BuildError> {
        let flaw = |(name, host): (&String, &NamedHost)| {
            let place = format!("{PLACE}.{name}");
            if name == LOCAL {
                let message = format!("`{LOCAL}` is the embedded host: choose another name");
                return Some(settings::error(&place, message));
            }
            host.check(&place, secrets).err()
        };
        self.named.iter().filter_map(flaw).collect()
    }

    /// The embedded host has started. Only the first one counts.
    pub fn open(&self, local: Arc<dyn Embedded>) {
        drop(self.local.set(local));
    }

    /// The host of this name; the only one where none is named.
    pub(super) fn place(&self, name: Option<&str>) -> Result<Place, Error> {
        let Some(name) = name else {
            return self.only();
        };
        if name == LOCAL {
            return self.local();
        }
        let host = self.named.get(name).map(Place::configured);
        host.ok_or_else(|| {
            let known = self.names().join(", ");
            Error::permanent(format!(
                "there is no host `{name}` under `{PLACE}` (there are: {known})"
            ))
        })
    }

    /// The host that an agent without an address stands for.
    pub(super) fn of_agent(&self, name: &str) -> Result<Place, Error> {
        if name == LOCAL || self.named.contains_key(name) {
            return self.place(Some(name));
        }
        self.only().map_err(|error| {
            Error::permanent(format!(
                "the agent `{name}` has no address, and is the name of no host: {error}"
            ))
        })
    }

    fn only(&self) -> Result<Place, Error> {
        match *self.names() {
            [only] => self.place(Some(only)),
            [] => Err(Error::permanent(format!(
                "there is none: name one under `{PLACE}`, or turn the embedded one on by `openwhisk.host.listen`"
            ))),
            ref several => Err(Error::permanent(format!(
                "say which host is meant: {}",
                several.join(", ")
            ))),
        }
    }

    fn local(&self) -> Result<Place, Error> {
        if let Some(local) = self.local.get() {
            return Ok(Place::Local(local.clone()));
        }
        Err(Error::permanent(if self.has_local {
            format!(
                "the host `{LOCAL}` is within a server, and this is none: start the run on one \
                 (`conche playbooks run`, `conche events send`), or call another host under `{PLACE}`"
            )
        } else {
            format!(
                "the host `{LOCAL}` is the embedded one, which is off: set `openwhisk.host.listen`"
            )
        }))
    }

    fn names(&self) -> Vec<&str> {
        let named = self.named.keys().map(String::as_str);
        self.has_local
            .then_some(LOCAL)
            .into_iter()
            .chain(named)
            .collect()
    }
}

#[cfg(test)]
mod tests;
