//! `metrics:`, a further listener for scrapers that must not reach the API.

use std::net::SocketAddr;

use conche_runtime::listener::{Auth, Identify, ListenerConfig, ListenerLimits, TlsConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A further listener with `/metrics` only, which has no secrets in it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Metrics {
    /// Address and port; null turns it off. Default: null.
    #[schemars(with = "Option<String>")]
    listen: Option<SocketAddr>,
    /// Allows an address other than loopback; scrapers show no token. Default: false.
    allow_unauthenticated: bool,
    /// Names, besides the loopback ones, that it answers to. Default: none.
    hosts: Vec<String>,
    /// Turns HTTPS on; its `client_ca` is a way to let only scrapers in. Default: plain HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<TlsConfig>,
}

impl Metrics {
    pub(super) fn resolve(self) -> ListenerConfig {
        ListenerConfig {
            listen: self.listen,
            // An address that others reach is called by names that nobody listed.
            auth: if self.allow_unauthenticated {
                Auth::None
            } else {
                Auth::LoopbackOpen
            },
            allow_unauthenticated: self.allow_unauthenticated,
            identify: Identify::TlsClients,
            hosts: self.hosts,
            origins: Vec::new(),
            forms_from_programs: false,
            tls: self.tls,
            limits: ListenerLimits::default(),
        }
    }
}
