//! Which secrets playbooks may use, and where credentials of playbooks may be sent: the one
//! place that decides it, whichever module is about to send them.
//!
//! A playbook says what is sent where, and may be a stranger's, or be filled in by one. So the
//! configuration says what may go: a configured secret only where it is granted, and only to
//! those whom the grant lists; what the playbook itself holds, or has from a variable, anywhere,
//! but in clear only where that is configured. Nothing is looked up and nothing is read here.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::grant::{Host, HostPattern, is_listed};

/// To whom a playbook's command may have a secret sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PlaybookGrant {
    /// The hosts that may see it: `api.example.com`, `*.example.com`, each with an optional
    /// port; `*` for every host. Default: none.
    pub hosts: Vec<HostPattern>,
    /// The SOARCA Fins that may be handed it, by capability; `*` for every one. Default: none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fins: Vec<String>,
    /// Whether it may go unencrypted to others than this machine, over `http` or `mqtt`.
    /// Default: false.
    pub plain_http: bool,
}

/// What playbooks may do with secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlaybookGrants {
    /// Configured secrets that they may use, by name.
    pub secrets: BTreeMap<String, PlaybookGrant>,
    /// Hosts to which credentials that a playbook holds itself, or has from a variable, may go
    /// unencrypted.
    pub plain_http: Vec<HostPattern>,
}

/// Who would get a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receiver {
    /// The server that the configuration itself names together with the secret.
    Configured,
    /// A host that a playbook names.
    Host(Host),
    /// A SOARCA Fin.
    Fin {
        /// What it offers.
        capability: String,
        /// The broker on the way; none where the fin fetches its work from us.
        broker: Option<Host>,
    },
}

impl Receiver {
    /// The host that is connected to, unless the configuration names it.
    fn host(&self) -> Option<&Host> {
        match self {
            Self::Configured => None,
            Self::Host(host) => Some(host),
            Self::Fin { broker, .. } => broker.as_ref(),
        }
    }
}

impl fmt::Display for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configured => f.write_str("the configured server"),
            Self::Host(host) => host.fmt(f),
            Self::Fin { capability, .. } => write!(f, "the fin `{capability}`"),
        }
    }
}

/// Why a credential is not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Playbooks may not use the secret at all.
    #[error(
        "playbooks may not use the secret `{0}`: list it under `playbooks.secrets` with the hosts that may see it"
    )]
    NotGranted(String),
    /// The grant does not list who would get it.
    #[error("the secret `{secret}` is not for {to}, by `playbooks.secrets.{secret}`")]
    NotFor {
        /// The secret's name.
        secret: String,
        /// Who would have got it.
        to: String,
    },
    /// It would go unencrypted.
    #[error(
        "the secret `{secret}` only goes encrypted, and {to} would get it in clear: use https, or set `playbooks.secrets.{secret}.plain_http`"
    )]
    InClear {
        /// The secret's name.
        secret: String,
        /// Who would have got it.
        to: String,
    },
    /// The playbook's own credentials would go unencrypted.
    #[error(
        "{to} would get credentials of the playbook in clear: use https, or list the host under `playbooks.plain_http`"
    )]
    OwnInClear {
        /// Who would have got them.
        to: String,
    },
}

impl PlaybookGrants {
    /// Whether a configured secret may be sent to a receiver.
    pub(super) fn check(&self, secret: &str, to: &Receiver) -> Result<(), Refused> {
        if *to == Receiver::Configured {
            return Ok(());
        }
        let (grant, secret) = (self.secrets.get(secret), secret.to_owned());
        let Some(grant) = grant else {
            return Err(Refused::NotGranted(secret));
        };
        let is_listed = match to {
            Receiver::Configured => true,
            Receiver::Host(host) => is_listed(&grant.hosts, host),
            Receiver::Fin { capability, .. } => {
                let mut fins = grant.fins.iter();
                fins.any(|fin| fin == "*" || fin == capability)
            }
        };
        let is_in_clear = to.host().is_some_and(Host::is_in_clear);
        match to.to_string() {
            to if !is_listed => Err(Refused::NotFor { secret, to }),
            to if is_in_clear && !grant.plain_http => Err(Refused::InClear { secret, to }),
            _ => Ok(()),
        }
    }

    /// Whether what a playbook holds itself, or has from a variable, may be sent to a receiver.
    pub(super) fn check_own(&self, to: &Receiver) -> Result<(), Refused> {
        let is_allowed = |host: &Host| is_listed(&self.plain_http, host);
        match to.host() {
            Some(host) if host.is_in_clear() && !is_allowed(host) => {
                let to = host.to_string();
                Err(Refused::OwnInClear { to })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whom a text of the tables means: a URL, or `fin` with a capability and a broker's URL.
    fn receiver(text: &str) -> Receiver {
        let host = |url: &str| Host::of(&url.parse().unwrap()).unwrap();
        let words: Vec<&str> = text.split(' ').collect();
        match words[..] {
            ["configured"] => Receiver::Configured,
            ["fin", capability] => Receiver::Fin {
                capability: capability.to_owned(),
                broker: None,
            },
            ["fin", capability, broker] => Receiver::Fin {
                capability: capability.to_owned(),
                broker: Some(host(broker)),
            },
            [url] => Receiver::Host(host(url)),
            _ => panic!("{text}"),
        }
    }

    fn grants() -> PlaybookGrants {
        let written = serde_json::json!({
            "api": { "hosts": ["api.example.com", "127.0.0.1", "*.lab.example.com:8443"] },
            "open": { "hosts": ["*"], "plain_http": true },
            "all": { "hosts": ["*"] },
            "fin": { "fins": ["isolate"] },
            "fins": { "fins": ["*"], "plain_http": true },
        });
        PlaybookGrants {
            secrets: serde_json::from_value(written).unwrap(),
            plain_http: vec!["10.0.0.7".parse().unwrap()],
        }
    }

    #[test]
    fn a_secret_goes_only_to_those_whom_its_grant_lists_and_encrypted() {
        let table = [
            ("api", "https://api.example.com/x", "yes"),
            ("api", "ssh://api.example.com:22", "yes"),
            ("api", "http://api.example.com/", "clear"),
            ("api", "https://api.example.com.evil.net/", "not for"),
            ("api", "http://127.0.0.1:8080/", "yes"),
            ("api", "https://a.lab.example.com:8443/", "yes"),
            ("api", "https://a.lab.example.com/", "not for"),
            ("api", "fin isolate", "not for"),
            ("open", "http://anything.example.net/", "yes"),
            ("all", "https://anything.example.net/", "yes"),
            ("all", "http://anything.example.net/", "clear"),
            ("fin", "fin isolate", "yes"),
            ("fin", "fin isolate mqtts://broker.example.com", "yes"),
            ("fin", "fin isolate mqtt://127.0.0.1:1883", "yes"),
            ("fin", "fin isolate mqtt://broker.example.com", "clear"),
            ("fin", "fin other", "not for"),
            ("fin", "https://isolate/", "not for"),
            ("fins", "fin other mqtt://broker.example.com", "yes"),
            ("mail", "https://api.example.com/", "not granted"),
            ("mail", "fin isolate", "not granted"),
            ("mail", "configured", "yes"),
            ("api", "configured", "yes"),
        ];
        for (secret, to, expected) in table {
            let found = match grants().check(secret, &receiver(to)) {
                Ok(()) => "yes",
                Err(Refused::NotGranted(_)) => "not granted",
                Err(Refused::NotFor { .. }) => "not for",
                Err(Refused::InClear { .. } | Refused::OwnInClear { .. }) => "clear",
            };
            assert_eq!(found, expected, "{secret} to {to}");
        }
    }

    #[test]
    fn what_a_playbook_holds_itself_goes_in_clear_only_where_that_is_configured() {
        let table = [
            ("https://anything.example.net/", true),
            ("ssh://10.0.0.8:22", true),
            ("http://127.0.0.1/", true),
            ("http://10.0.0.7/", true),
            ("http://10.0.0.8/", false),
            ("fin isolate", true),
            ("fin isolate mqtt://10.0.0.7", true),
            ("fin isolate mqtt://10.0.0.8", false),
            ("configured", true),
        ];
        for (to, allowed) in table {
            let found = grants().check_own(&receiver(to));
            assert_eq!(found.is_ok(), allowed, "{to}");
        }
    }
}
