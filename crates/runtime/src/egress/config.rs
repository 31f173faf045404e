//! The configuration of the client. The field documentation is the manual.

use std::path::PathBuf;

use rustls::ClientConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::policy::Rule;
use crate::{
    tls,
    units::{Size, Span},
};

/// Limits and destinations of outgoing requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EgressConfig {
    /// Destinations allowed beside public addresses: networks, addresses,
    /// hosts, `*.domains`, each with an optional port. Default: none.
    pub allow: Vec<Rule>,
    /// Whether public addresses need an `allow` entry as well. Default: false.
    pub deny_public: bool,
    /// Whom to trust and as whom to appear. Default: the system's authorities.
    pub tls: ClientTls,
    /// Look-up, connection and TLS handshake together. Default: 10s.
    pub connect_timeout: Span,
    /// A whole request, from the look-up to the answer's last byte. Default: 30s.
    pub timeout: Span,
    /// Size of an answer's body. Default: 1MiB.
    pub response_bytes: Size,
    /// Redirects followed for GET and HEAD; others are answered as they are. Default: 0.
    pub redirects: u8,
}

impl Default for EgressConfig {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            deny_public: false,
            tls: ClientTls::default(),
            connect_timeout: Span::from_secs(10),
            timeout: Span::from_secs(30),
            response_bytes: Size::from_mib(1),
            redirects: 0,
        }
    }
}

/// Whom a client trusts and as whom it appears.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClientTls {
    /// PEM file with the authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM file with the client certificate, leaf first; needs `key`.
    pub certificate: Option<PathBuf>,
    /// PEM file with the client certificate's key.
    pub key: Option<PathBuf>,
}

pub(super) fn client_config(config: &ClientTls) -> Result<ClientConfig, tls::Error> {
    let mut built = tls::client(config)?;
    built.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(built)
}
