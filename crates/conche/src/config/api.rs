//! `api:`, the listener of the native API.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use conche_modules::config::SecretName;
use conche_runtime::listener::{Auth, Identify, ListenerConfig, ListenerLimits, TlsConfig};
use conche_runtime::secrets::SecretRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::place::Place;

/// The listener of the native API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Api {
    /// Address and port; port 0 takes a free one; null turns the API off.
    /// Default: `127.0.0.1:8888`.
    #[schemars(with = "Option<String>")]
    listen: Option<SocketAddr>,
    /// Who may call: `token`, `loopback-open` or `none`. Default: `loopback-open`.
    auth: Auth,
    /// With `auth: token`: a secret that callers may show in `Authorization: Bearer` beside
    /// the stored tokens (`conche tokens`); it may do everything. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<SecretName>,
    /// Allows an address other than loopback without authentication. Default: false.
    allow_unauthenticated: bool,
    /// Names, besides the loopback ones, that a `loopback-open` listener answers to.
    /// Default: none.
    hosts: Vec<String>,
    /// Turns HTTPS on. Default: plain HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<TlsConfig>,
    /// What one peer and all peers together may use.
    limits: ListenerLimits,
}

impl Default for Api {
    fn default() -> Self {
        Self {
            listen: Some((Ipv4Addr::LOCALHOST, 8888).into()),
            auth: Auth::LoopbackOpen,
            token: None,
            allow_unauthenticated: false,
            hosts: Vec::new(),
            tls: None,
            limits: ListenerLimits::default(),
        }
    }
}

impl Api {
    /// The secret that lets callers in.
    pub(super) fn guard(&self) -> Option<&String> {
        self.token.as_ref().map(|token| &token.secret)
    }

    pub(super) fn resolve(
        self,
        secrets: &BTreeMap<String, SecretRef>,
        faults: &mut Vec<Fault>,
    ) -> (ListenerConfig, Option<SecretName>) {
        match (self.auth, &self.token) {
            (Auth::Token, Some(token)) if !secrets.contains_key(&token.secret) => {
                let names: Vec<&String> = secrets.keys().collect();
                let place = Place::of(&["api", "token"]);
                faults.push(Fault::unknown(place, "secret", &token.secret, &names));
            }
            (Auth::LoopbackOpen | Auth::None, Some(_)) => faults.push(Fault::new(
                Place::of(&["api", "token"]),
                "a token counts with `auth: token` only: without that the API would be open",
            )),
            _ => {}
        }
        let listener = ListenerConfig {
            listen: self.listen,
            auth: self.auth,
            allow_unauthenticated: self.allow_unauthenticated,
            identify: Identify::Tokens,
            hosts: self.hosts,
            origins: Vec::new(),
            forms_from_programs: false,
            tls: self.tls,
            limits: self.limits,
        };
        (listener, self.token)
    }
}
