//! Where the host is and who asks: the agent's address with its credentials, else the target's,
//! else a configured host with its own. No playbook can have configured credentials sent
//! elsewhere.

use std::collections::BTreeMap;

use conche_runtime::secrets::{Receiver, Secrets};
use schemars::JsonSchema;
use serde::Deserialize;
use url::Host as UrlHost;

use crate::BuildError;
use crate::action::Error;
use crate::command::{Authentication, CommandInput, Credential, Party};
use crate::commands::over_http::Base;
use crate::config::{self as settings, SecretName};

/// Ports on loopback where hosts listen without TLS.
const PLAIN_PORTS: [u16; 3] = [80, 3233, 8080];

/// A configured host.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Host {
    /// Its address, e.g. `https://ow.example.com`.
    url: String,
    /// The key, whose value is `user:key` as OpenWhisk gives it. Default: none.
    #[serde(default)]
    auth: Option<SecretName>,
    /// A token instead of a key, for providers that have such. Default: none.
    #[serde(default)]
    bearer: Option<SecretName>,
}

impl Host {
    /// Checks what can be checked without the network and the secrets' values.
    pub(super) fn check(&self, place: &str, secrets: &Secrets) -> Result<(), BuildError> {
        Base::parse(&self.url).map_err(|flaw| settings::error(place, flaw))?;
        for secret in [&self.auth, &self.bearer].into_iter().flatten() {
            secret.check(place, secrets)?;
        }
        if self.auth.is_some() && self.bearer.is_some() {
            return Err(settings::error(place, "give `auth` or `bearer`, not both"));
        }
        Ok(())
    }

    fn place(&self) -> Place {
        let credential = |secret: &SecretName| Credential {
            secret: secret.secret.clone(),
            value: None,
        };
        Place {
            root: self.url.clone(),
            receiver: Receiver::Configured,
            authentication: match (&self.auth, &self.bearer) {
                (Some(key), _) => Shown::Key(credential(key)),
                (None, Some(token)) => Shown::As(Authentication {
                    id: "bearer".to_owned(),
                    kind: "oauth2".to_owned(),
                    token: Some(credential(token)),
                    ..Authentication::default()
                }),
                (None, None) => Shown::Nothing,
            },
        }
    }
}

/// Where requests go and what they show.
#[derive(Debug)]
pub(super) struct Place {
    /// Scheme, host, port and what path there is.
    pub(super) root: String,
    /// Who gets the credentials: the configured ones are for their own host.
    pub(super) receiver: Receiver,
    pub(super) authentication: Shown,
}

/// The credentials that are shown.
#[derive(Debug)]
pub(super) enum Shown {
    /// None.
    Nothing,
    /// Those of a playbook, or a token.
    As(Authentication),
    /// A key in one secret: `user:key`.
    Key(Credential),
}

impl Place {
    /// The place of a command.
    pub(super) fn of(given: &CommandInput, hosts: &BTreeMap<String, Host>) -> Result<Self, Error> {
        let targets = given.target.iter();
        let addressed = std::iter::once(&given.agent).chain(targets);
        if let Some(party) = addressed.into_iter().find(|party| Base::has_address(party)) {
            return Self::at(party);
        }
        let name = given.agent.name.as_str();
        match hosts.get(name) {
            Some(host) => Ok(host.place()),
            None => Self::named(None, hosts).map_err(|_| {
                Error::permanent(format!(
                    "the agent `{name}` has no address, and is the name of no host under `actions.openwhisk.hosts`"
                ))
            }),
        }
    }

    /// The configured host of this name; the only one where none is named.
    pub(super) fn named(name: Option<&str>, hosts: &BTreeMap<String, Host>) -> Result<Self, Error> {
        let known: Vec<&str> = hosts.keys().map(String::as_str).collect();
        match (name, known.as_slice()) {
            (Some(name), _) => hosts.get(name).map(Host::place).ok_or_else(|| {
                let known = known.join(", ");
                Error::permanent(format!(
                    "there is no host `{name}` under `actions.openwhisk.hosts` (there are: {known})"
                ))
            }),
            (None, [only]) => Self::named(Some(only), hosts),
            (None, []) => Err(Error::permanent(
                "no host is configured under `actions.openwhisk.hosts`",
            )),
            (None, several) => Err(Error::permanent(format!(
                "say which `host` is meant: {}",
                several.join(", ")
            ))),
        }
    }

    /// At a party's address: https, unless its `url` says otherwise, or it is one of the ports
    /// of loopback where hosts listen without TLS.
    fn at(party: &Party) -> Result<Self, Error> {
        let is_plain = |host: &UrlHost, port: Option<u16>| {
            let is_loopback = match host {
                UrlHost::Domain(name) => name == "localhost",
                UrlHost::Ipv4(address) => address.is_loopback(),
                UrlHost::Ipv6(address) => address.is_loopback(),
            };
            is_loopback && port.is_none_or(|port| PLAIN_PORTS.contains(&port))
        };
        let base = Base::read(party, is_plain)?;
        Ok(Self {
            root: base.url().as_str().to_owned(),
            receiver: base.receiver()?,
            authentication: party
                .authentication
                .clone()
                .map_or(Shown::Nothing, Shown::As),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn root(address: serde_json::Value, port: Option<&str>) -> String {
        let mut agent =
            json!({ "id": "a", "type": "http-api", "name": "prod", "address": address });
        if let Some(port) = port {
            agent["port"] = port.into();
        }
        let given = json!({ "command": { "type": "openwhisk" }, "agent": agent });
        let given: CommandInput = serde_json::from_value(given).unwrap();
        Place::of(&given, &BTreeMap::new()).unwrap().root
    }

    #[test]
    fn the_scheme_is_https_but_on_the_usual_ports_of_loopback() {
        assert_eq!(
            root(json!({ "ipv4": ["127.0.0.1"] }), Some("3233")),
            "http://127.0.0.1:3233/"
        );
        assert_eq!(
            root(json!({ "ipv4": ["127.0.0.1"] }), Some("9443")),
            "https://127.0.0.1:9443/"
        );
        assert_eq!(
            root(json!({ "dname": ["ow.example.com"] }), None),
            "https://ow.example.com/"
        );
        assert_eq!(
            root(json!({ "dname": ["ow.example.com"] }), Some("8080")),
            "https://ow.example.com:8080/"
        );
        assert_eq!(
            root(json!({ "url": ["http://ow.example.com/x"] }), None),
            "http://ow.example.com/x"
        );
    }

    #[test]
    fn a_configured_host_is_that_of_the_agents_name_or_the_only_one() {
        let hosts = json!({ "prod": { "url": "https://p.example.com", "auth": { "secret": "k" } },
            "lab": { "url": "https://l.example.com" } });
        let hosts: BTreeMap<String, Host> = serde_json::from_value(hosts).unwrap();
        let named = |name| Place::named(name, &hosts);
        assert_eq!(named(Some("lab")).unwrap().root, "https://l.example.com");
        assert!(matches!(
            named(Some("prod")).unwrap().authentication,
            Shown::Key(_)
        ));
        assert!(named(None).is_err() && named(Some("x")).is_err());
        let given = json!({ "command": {}, "agent": { "name": "prod" } });
        let given: CommandInput = serde_json::from_value(given).unwrap();
        let place = Place::of(&given, &hosts).unwrap();
        assert_eq!(place.root, "https://p.example.com");
        assert_eq!(place.receiver, Receiver::Configured);
    }

    #[test]
    fn an_agent_with_the_name_of_a_configured_host_is_shown_no_configured_credentials() {
        let hosts =
            json!({ "prod": { "url": "https://p.example.com", "auth": { "secret": "k" } } });
        let hosts: BTreeMap<String, Host> = serde_json::from_value(hosts).unwrap();
        let given = json!({ "command": {},
            "agent": { "name": "prod", "address": { "url": ["https://elsewhere.example"] } } });
        let given: CommandInput = serde_json::from_value(given).unwrap();
        let place = Place::of(&given, &hosts).unwrap();
        assert!(matches!(place.authentication, Shown::Nothing));
        assert_eq!(place.receiver.to_string(), "elsewhere.example");
    }
}
