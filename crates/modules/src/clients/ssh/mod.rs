//! SSH: one command on one host, whose key was checked, for a user who logged in.
//!
//! A connection is made for each command and ends with it. A host that can't prove who it is
//! is not spoken to, SHA-1 is not used, nothing is forwarded. Addresses come from playbooks, so
//! each passes the egress check.

mod address;
mod config;
mod host_keys;
mod login;
mod session;

use std::sync::Arc;
use std::time::Duration;

use conche_runtime::clock::SharedClock;
use conche_runtime::egress::Egress;
use conche_runtime::secrets::Secrets;
use tokio::time::{Instant, timeout_at};

use self::address::{Endpoint, connect, endpoints};
pub(crate) use self::config::Config;
use self::host_keys::Records;
use self::login::Login;
use self::session::Session;
use crate::action::Error;
use crate::actions::exec::process::Kept;
use crate::command::{CommandInput, Party};
use crate::{BuildContext, BuildError};

/// The end of a command that is killed is waited for so long; as much again is kept free to
/// tell of it in time.
const GRACE: Duration = Duration::from_millis(500);

/// A command that has ended.
#[derive(Default)]
pub(crate) struct Ended {
    pub(crate) exit: Exit,
    pub(crate) stdout: Kept,
    pub(crate) stderr: Kept,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Exit {
    /// With this code.
    Code(u32),
    /// By this signal, without `SIG`.
    Signal(String),
}

impl Default for Exit {
    fn default() -> Self {
        Self::Code(0)
    }
}

/// The way to hosts.
pub(crate) struct Ssh {
    config: Config,
    secrets: Arc<Secrets>,
    egress: Arc<Egress>,
    clock: SharedClock,
}

impl Ssh {
    /// Checks the settings; connects to nothing.
    pub(crate) fn new(place: &str, config: Config, cx: &BuildContext) -> Result<Self, BuildError> {
        config.check(place, cx)?;
        Ok(Self {
            config,
            secrets: cx.secrets.clone(),
            egress: cx.egress.clone(),
            clock: cx.clock.clone(),
        })
    }

    /// How much is kept of each output of a command whose result is a text.
    pub(crate) fn max_output(&self) -> usize {
        self.config.max_output.length()
    }

    /// Runs `command` on the one that is acted on, and keeps up to `limit` bytes of each of its
    /// outputs. Takes no longer than `time`. No text of an error holds a secret.
    pub(crate) async fn run(
        &self,
        input: &CommandInput,
        command: &[u8],
        limit: usize,
        time: Duration,
    ) -> Result<Ended, Error> {
        let party = input.acted_on();
        let result = self.try_run(input, command, limit, time).await;
        result.map_err(|error| self.named(party, error))
    }

    async fn try_run(
        &self,
        input: &CommandInput,
        command: &[u8],
        limit: usize,
        time: Duration,
    ) -> Result<Ended, Error> {
        let grace = GRACE.min(time / 8);
        let deadline = Instant::now() + time.saturating_sub(2 * grace);
        let connected = deadline.min(Instant::now() + self.config.connect_timeout.duration());
        let open = timeout_at(connected, self.open(input)).await;
        let session = open.unwrap_or_else(|_elapsed| {
            Err(Error::retry(
                "there was no login in time, so nothing was done",
            ))
        })?;
        session.run(command, limit, deadline, grace).await
    }

    async fn open(&self, input: &CommandInput) -> Result<Session, Error> {
        let party = input.acted_on();
        let endpoints = endpoints(party)?;
        let given = input.authentication();
        let login = Login::prepare(&self.config, given, &endpoints, &self.secrets).await?;
        let (socket, endpoint) = connect(&self.egress, &endpoints).await?;
        let records = self.records(&endpoint, party).await;
        let records = records.map_err(Error::Permanent)?;
        Session::open(socket, records, self.clock.now(), &login).await
    }

    /// What is on record of a host.
    async fn records(&self, endpoint: &Endpoint, party: &Party) -> Result<Records, String> {
        let name = host_keys::name(&endpoint.host, endpoint.port);
        let mut records = Records::new(name.clone());
        if let Some(keys) = self.config.pinned(&name) {
            records.add_pins("`host_keys`", keys)?;
        }
        if let Some(path) = &self.config.known_hosts {
            records.add_file(path).await?;
        }
        let keys = pinned_by(party)?;
        if !keys.is_empty() {
            records.add_pins("the playbook's `host_key`", &keys)?;
        }
        Ok(records)
    }

    /// The error with the host's name, without secrets.
    fn named(&self, party: &Party, error: Error) -> Error {
        let masker = self.secrets.masker();
        let text = |message: String| {
            let whole = format!("ssh to `{}`: {message}", party.name);
            masker.mask(&whole).into_owned()
        };
        match error {
            Error::Retry { message, after } => Error::Retry {
                message: text(message),
                after,
            },
            Error::Permanent(message) => Error::Permanent(text(message)),
            Error::Uncertain(message) => Error::Uncertain(text(message)),
        }
    }
}

/// The keys that a playbook gives for its agent or target: the property `host_key` of it or of
/// one of its extensions, a text or a list of texts.
fn pinned_by(party: &Party) -> Result<Vec<String>, String> {
    let extensions = party.other.get("agent_target_extensions");
    let extensions = extensions.and_then(serde_json::Value::as_object);
    let extensions = extensions.into_iter().flat_map(serde_json::Map::values);
    let own = party.other.get("host_key");
    let all = own
        .into_iter()
        .chain(extensions.filter_map(|extension| extension.get("host_key")));
    let mut keys = Vec::new();
    for value in all {
        let texts = match value {
            serde_json::Value::Array(items) => items.as_slice(),
            one => std::slice::from_ref(one),
        };
        for text in texts {
            let text = text.as_str();
            let text = text.ok_or("`host_key` must be a text or a list of texts")?;
            keys.push(text.to_owned());
        }
    }
    Ok(keys)
}
