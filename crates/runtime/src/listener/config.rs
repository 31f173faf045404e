//! The configuration of one listener. The field documentation is the manual.

use std::{fmt, net::SocketAddr, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{Size, Span};

/// One HTTP listener.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ListenerConfig {
    /// Address and port, such as `127.0.0.1:8888`; port 0 takes a free one;
    /// null turns the listener off. Default: null.
    #[schemars(with = "Option<String>")]
    pub listen: Option<SocketAddr>,
    /// Who may call. Default: `token`.
    pub auth: Auth,
    /// Allows an address other than loopback without authentication. Default: false.
    pub allow_unauthenticated: bool,
    /// What the listener's section has to identify callers by; only for messages about one
    /// that lets everybody in.
    #[serde(skip)]
    pub identify: Identify,
    /// Names, besides the loopback ones, that a `loopback-open` listener
    /// answers to in `Host`. Default: none.
    pub hosts: Vec<String>,
    /// Origins, such as `http://localhost:3000`, whose pages may call a `loopback-open` listener;
    /// `*` for all. Default: none.
    pub origins: Vec<String>,
    /// Whether a `loopback-open` listener takes bodies of the content types of forms from
    /// callers that show no sign of being a browser. Default: false.
    pub forms_from_programs: bool,
    /// Turns HTTPS on. Default: plain HTTP.
    pub tls: Option<TlsConfig>,
    /// What one peer and all peers together may use.
    pub limits: ListenerLimits,
}

/// How a listener's callers prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Auth {
    /// A bearer token with each request.
    #[default]
    Token,
    /// No token. `Host`, `Origin` and `Content-Type` are checked, so that a
    /// page in a local browser can't call.
    LoopbackOpen,
    /// No token and no check.
    None,
}

/// What a listener's section has to identify callers by, as one writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Identify {
    /// `auth: token`.
    #[default]
    Tokens,
    /// The authorities of client certificates, within `tls`.
    TlsClients,
    /// The same, in a section that has the keys of `tls` itself.
    Clients,
}

impl fmt::Display for Identify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tokens => "`auth: token`",
            Self::TlsClients => "`tls` with a `client_ca`",
            Self::Clients => "`client_ca`",
        })
    }
}

/// The certificate of an HTTPS listener and whom it lets in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// PEM file with the certificate chain, leaf first.
    pub certificate: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
    /// PEM file with the authorities that issue client certificates. Default:
    /// client certificates are not asked for.
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
    /// Whether a client may come without a certificate where `client_ca` is
    /// set. Default: `required`.
    #[serde(default)]
    pub client_certificate: ClientAuth,
}

/// Whether a client certificate is demanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// The handshake fails without one.
    #[default]
    Required,
    /// Requests without one are let in; one that is shown must be valid.
    Optional,
}

/// What one peer and all peers together may use of a listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ListenerLimits {
    /// Connections open at a time. At the cap the longest idle one is closed
    /// for a new one; where none is idle the new one is refused. Default: 2048.
    pub connections: usize,
    /// Connections open at a time from one IPv4 address or one IPv6 /64
    /// network. Default: 1024.
    pub connections_per_ip: usize,
    /// From the connection, or from the first byte of a later request, to the
    /// end of the request's headers; the TLS handshake is included. Default: 5s.
    pub header_read: Span,
    /// The whole request body, from when it is first asked for; then 408. Default: 30s.
    pub body_read: Span,
    /// The longest pause within a request body; then 408. Default: 10s.
    pub body_idle: Span,
    /// From the request's headers to the answer's; then 503 and the work is
    /// dropped. The answer's body may stream for longer. Default: 60s.
    pub request: Span,
    /// The longest time in which a peer takes nothing of an answer, or takes
    /// less than 64 KiB of it while more is ready; then it is cut off. Default: 30s.
    pub write_idle: Span,
    /// An idle connection is kept for a further request. Default: 60s.
    pub keep_alive: Span,
    /// Size of a request body; then 413. Default: 1MiB.
    pub body_bytes: Size,
    /// Size of a request's headers; then 431. Default: 16KiB.
    pub header_bytes: Size,
    /// Requests at a time on one HTTP/2 connection. Default: 100.
    pub h2_streams: u32,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            connections: 2048,
            connections_per_ip: 1024,
            header_read: Span::from_secs(5),
            body_read: Span::from_secs(30),
            body_idle: Span::from_secs(10),
            request: Span::from_secs(60),
            write_idle: Span::from_secs(30),
            keep_alive: Span::from_secs(60),
            body_bytes: Size::from_mib(1),
            header_bytes: Size::from_kib(16),
            h2_streams: 100,
        }
    }
}

impl ListenerConfig {
    /// Whether this listener lets callers in that nobody has identified.
    pub(super) fn is_open(&self) -> bool {
        let certified = self.tls.as_ref().is_some_and(|tls| {
            tls.client_ca.is_some() && tls.client_certificate == ClientAuth::Required
        });
        self.auth != Auth::Token && !certified
    }
}
