//! The settings that everything that speaks SSH shares. Checked when built; no file is read
//! and no secret's value is asked for until a connection is made.

use std::collections::BTreeMap;
use std::path::PathBuf;

use conche_runtime::units::{Size, Span};
use schemars::JsonSchema;
use serde::Deserialize;

use super::host_keys::{Pin, host_of_record};
use crate::config::{self as settings, SecretName};
use crate::{BuildContext, BuildError};

/// How to reach hosts by SSH, and which to believe.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// A file of OpenSSH with the keys of hosts (`known_hosts`), hashed names included. Read at
    /// each connection; never written. Default: none.
    pub(crate) known_hosts: Option<PathBuf>,
    /// The keys of hosts by their name as playbooks write it, `host` or `[host]:port`: each a
    /// fingerprint `SHA256:…` or a public key `ssh-ed25519 AAAA…`. Default: none.
    pub(crate) host_keys: BTreeMap<String, Vec<String>>,
    /// Who logs in where the playbook names nobody. Default: none.
    pub(crate) user: Option<String>,
    /// Private keys by the user who logs in, for where the playbook has neither password nor
    /// key. Default: none.
    pub(crate) keys: BTreeMap<String, Key>,
    /// Whether keys of an SSH agent may be used, after the others: `true` for that of
    /// `SSH_AUTH_SOCK`, or the path of its socket. It is never forwarded. Default: false.
    pub(crate) agent: Agent,
    /// So much is kept of standard output, and of standard error. Default: `256KiB`.
    pub(crate) max_output: Size,
    /// Name look-up, connection, key exchange and login together. Default: `15s`.
    pub(crate) connect_timeout: Span,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            known_hosts: None,
            host_keys: BTreeMap::new(),
            user: None,
            keys: BTreeMap::new(),
            agent: Agent::Ambient(false),
            max_output: Size::from_kib(256),
            connect_timeout: Span::from_secs(15),
        }
    }
}

/// A private key.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Key {
    /// The secret that holds it, in OpenSSH's, PEM or PuTTY form.
    pub(crate) key: SecretName,
    /// The secret that holds its passphrase. Default: none.
    #[serde(default)]
    pub(crate) passphrase: Option<SecretName>,
}

/// Which SSH agent to ask.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected true, false or the path of a socket")]
pub(crate) enum Agent {
    /// That of the environment, or none.
    Ambient(bool),
    /// That behind this socket.
    Socket(PathBuf),
}

impl Config {
    /// Checks names of secrets and the notation of keys.
    pub(super) fn check(&self, place: &str, cx: &BuildContext) -> Result<(), BuildError> {
        for key in self.keys.values() {
            key.key.check(place, &cx.secrets)?;
            if let Some(passphrase) = &key.passphrase {
                passphrase.check(place, &cx.secrets)?;
            }
        }
        for (host, keys) in &self.host_keys {
            let wrong = |message: String| {
                settings::error(&format!("{place}.host_keys"), format!("`{host}` {message}"))
            };
            if host.is_empty() || host.contains(['*', '?', ',', ' ']) {
                return Err(wrong(
                    "is no host: write `host` or `[host]:port`".to_owned(),
                ));
            }
            if keys.is_empty() {
                return Err(wrong("has no key".to_owned()));
            }
            for key in keys {
                Pin::parse(key).map_err(|message| wrong(format!("has a key that {message}")))?;
            }
        }
        Ok(())
    }

    /// What `host_keys` has for a host; none where it does not name it.
    pub(super) fn pinned(&self, host: &str) -> Option<&[String]> {
        let own = |name: &&String| host_of_record(name) == host;
        let name = self.host_keys.keys().find(own)?;
        self.host_keys.get(name).map(Vec::as_slice)
    }
}
