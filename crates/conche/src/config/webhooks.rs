//! `webhooks:`, the listener of all inbound webhooks.

use std::net::{Ipv4Addr, SocketAddr};

use conche_runtime::listener::{Auth, Identify, ListenerConfig, ListenerLimits, TlsConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::modules::SourceEntry;
use super::place::Key;

/// The listener of all inbound webhooks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Webhooks {
    /// Address and port; port 0 takes a free one; null turns webhooks off.
    /// Default: `127.0.0.1:8889`.
    #[schemars(with = "Option<String>")]
    listen: Option<SocketAddr>,
    /// Who may call. Each source checks its own senders, before or beside this: `token` takes
    /// only sources that do, `loopback-open` keeps pages of local browsers out, `none` adds
    /// nothing. Default: `loopback-open`.
    auth: Auth,
    /// Allows an address other than loopback without authentication. Default: false.
    allow_unauthenticated: bool,
    /// Names, besides the loopback ones, that a `loopback-open` listener answers to, such as
    /// that of a proxy in front of it. Default: none.
    hosts: Vec<String>,
    /// Turns HTTPS on. Default: plain HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<TlsConfig>,
    /// What one peer and all peers together may use.
    limits: ListenerLimits,
}

impl Default for Webhooks {
    fn default() -> Self {
        Self {
            listen: Some((Ipv4Addr::LOCALHOST, 8889).into()),
            auth: Auth::LoopbackOpen,
            allow_unauthenticated: false,
            hosts: Vec::new(),
            tls: None,
            limits: ListenerLimits::default(),
        }
    }
}

impl Webhooks {
    pub(super) fn resolve(
        self,
        sources: &[SourceEntry],
        faults: &mut Vec<Fault>,
    ) -> ListenerConfig {
        let open = |source: &&SourceEntry| source.config["auth"] == "none";
        if self.auth == Auth::Token {
            for source in sources.iter().filter(open) {
                faults.push(Fault::new(
                    source.place().then(Key::named("auth")),
                    "with `webhooks.auth: token` every webhook must check its senders, and `auth: none` checks nobody",
                ));
            }
        }
        ListenerConfig {
            listen: self.listen,
            auth: self.auth,
            allow_unauthenticated: self.allow_unauthenticated,
            identify: Identify::Tokens,
            hosts: self.hosts,
            origins: Vec::new(),
            forms_from_programs: false,
            tls: self.tls,
            limits: self.limits,
        }
    }
}
