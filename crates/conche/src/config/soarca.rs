//! `soarca:`, the listener of the SOARCA-compatible API.

use std::net::SocketAddr;

use conche_runtime::listener::{Auth, Identify, ListenerConfig, ListenerLimits, TlsConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The listener of the SOARCA-compatible API, for SOARCA's GUI, CACAO Roaster and others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Soarca {
    /// Address and port, such as `127.0.0.1:8080`; null turns it off. Default: null.
    #[schemars(with = "Option<String>")]
    listen: Option<SocketAddr>,
    /// Who may call: `token` (those of `conche tokens`), `loopback-open` or `none`.
    /// Default: `loopback-open`.
    auth: Auth,
    /// Allows an address other than loopback without authentication. Default: false.
    allow_unauthenticated: bool,
    /// Names, besides the loopback ones, that a `loopback-open` listener answers to.
    /// Default: none.
    hosts: Vec<String>,
    /// Origins, such as `http://localhost:3000`, whose pages may call; `*` for all, as SOARCA
    /// has it. CACAO Roaster needs its own here. Default: none.
    allowed_origins: Vec<String>,
    /// Turns HTTPS on. Default: plain HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<TlsConfig>,
    /// What one peer and all peers together may use.
    limits: ListenerLimits,
}

impl Default for Soarca {
    fn default() -> Self {
        Self {
            listen: None,
            auth: Auth::LoopbackOpen,
            allow_unauthenticated: false,
            hosts: Vec::new(),
            allowed_origins: Vec::new(),
            tls: None,
            limits: ListenerLimits::default(),
        }
    }
}

impl Soarca {
    pub(super) fn resolve(self) -> ListenerConfig {
        ListenerConfig {
            listen: self.listen,
            auth: self.auth,
            allow_unauthenticated: self.allow_unauthenticated,
            identify: Identify::Tokens,
            hosts: self.hosts,
            origins: self.allowed_origins,
            // SOARCA asks nobody for a content type.
            forms_from_programs: true,
            tls: self.tls,
            limits: self.limits,
        }
    }
}
