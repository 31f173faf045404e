//! The HTTP client for everything that leaves the process.
//!
//! What a playbook, a reaction or a configuration names as a URL is checked
//! against [`EgressPolicy`] at the moment of connecting, address by address.
//! Proxies from the environment are not used, answers are bounded in size and
//! time, and nothing is decompressed, so that the limit counts what is kept.
//! Redirects are off; where they are on, each hop is checked like a first one.
//!
//! [`Error`] tells what the caller must know before repeating a request:
//! certainly not delivered, or perhaps delivered. Where that can't be told it
//! says perhaps. No error holds a path, a query or a header, which may be
//! secret.

mod address;
mod connect;
mod policy;

use std::{
    error::Error as StdError, fmt, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};
use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::capture_connection},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};
use url::Url;

use self::connect::Checked;
pub use self::{
    address::Scope,
    connect::{ConnectError, Connector, Resolve, Stream, SystemResolver},
    policy::{EgressPolicy, InvalidRule, Rule},
};
use crate::{
    tls,
    units::{Size, Span},
};

/// How long an unused connection is kept. Shorter than the 5 s after which
/// common servers close it: a request that meets the closing is in doubt.
const POOL_IDLE: Duration = Duration::from_secs(4);

const POOL_IDLE_MAX: usize = 8;

/// Headers that belong to the connection or to the framing, not to the caller.
const OWN_HEADERS: [HeaderName; 7] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
];

/// Headers that go along to another origin. All others might be credentials.
const HARMLESS_HEADERS: [HeaderName; 3] =
    [header::ACCEPT, header::ACCEPT_LANGUAGE, header::USER_AGENT];

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

/// One request. `Request::get(url)` and `Request::post(url, body)` begin one.
#[derive(Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// An absolute `http` or `https` URL without user information.
    pub url: String,
    /// Headers; those of the connection and framing are set by the client.
    pub headers: HeaderMap,
    /// The body, sent with its length.
    pub body: Bytes,
    /// Instead of the configured time limit.
    pub timeout: Option<Duration>,
    /// Instead of the configured limit of the answer's body.
    pub max_response: Option<Size>,
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        Self {
            method,
            url: url.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            timeout: None,
            max_response: None,
        }
    }

    /// A GET request.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new(Method::GET, url)
    }

    /// A POST request with a body.
    pub fn post(url: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self {
            body: body.into(),
            ..Self::new(Method::POST, url)
        }
    }
}

impl fmt::Debug for Request {
    /// Leaves out what may be secret: the URL, the headers and the body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("timeout", &self.timeout)
            .field("max_response", &self.max_response)
            .finish_non_exhaustive()
    }
}

/// A complete answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as it was sent, compressed where the server compressed it.
    pub body: Bytes,
}

/// Why there is no complete answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The request can't be sent as it is. Repeating it is no use.
    #[error("the request is invalid: {0}")]
    Invalid(String),
    /// The policy forbids the destination. Nothing was sent.
    #[error(
        "egress to {host} is refused: {address} is {scope}; an `allow` entry under `egress:` opens it"
    )]
    Refused {
        /// The host of the URL.
        host: String,
        /// The address that was refused.
        address: SocketAddr,
        /// What kind of address it is.
        scope: Scope,
    },
    /// No connection came about. Certainly nothing was delivered.
    #[error("the request to {host} was not sent: {reason}")]
    NotSent {
        /// The host of the URL.
        host: String,
        /// What failed.
        reason: String,
    },
    /// A connection was there; the request may have been delivered and acted on.
    #[error("the request to {host} may have been delivered, its answer is unknown: {reason}")]
    Uncertain {
        /// The host of the URL.
        host: String,
        /// What failed.
        reason: String,
    },
    /// The answer's body is over the limit. The request was delivered.
    #[error("{host} answered {status} with more than {limit}")]
    TooLarge {
        /// The host of the URL.
        host: String,
        /// The answer's status.
        status: StatusCode,
        /// The limit.
        limit: Size,
    },
}

impl Error {
    /// Whether the receiver may have seen the request.
    pub fn may_be_delivered(&self) -> bool {
        matches!(self, Self::Uncertain { .. } | Self::TooLarge { .. })
    }
}

/// The egress-checked HTTP client. Clones share connections.
#[derive(Debug, Clone)]
pub struct Egress {
    client: Client<Connector, Full<Bytes>>,
    connector: Connector,
    timeout: Duration,
    response_bytes: Size,
    redirects: u8,
}

impl Egress {
    /// A client with the operating system's resolver.
    pub fn new(config: &EgressConfig) -> Result<Self, tls::Error> {
        Self::with_resolver(config, Arc::new(SystemResolver))
    }

    /// A client with another resolver.
    pub fn with_resolver(
        config: &EgressConfig,
        resolver: Arc<dyn Resolve>,
    ) -> Result<Self, tls::Error> {
        let policy = EgressPolicy {
            allow: config.allow.clone(),
            deny_public: config.deny_public,
        };
        let connector = Connector {
            checked: Arc::new(Checked { policy, resolver }),
            tls: Arc::new(client_config(&config.tls)?),
            timeout: config.connect_timeout.duration(),
        };
        Ok(Self {
            client: client(connector.clone()),
            connector,
            timeout: config.timeout.duration(),
            response_bytes: config.response_bytes,
            redirects: config.redirects,
        })
    }

    /// A client under the same policy that trusts or appears otherwise, with
    /// connections of its own.
    pub fn with_tls(&self, tls: &ClientTls) -> Result<Self, tls::Error> {
        let connector = Connector {
            tls: Arc::new(client_config(tls)?),
            ..self.connector.clone()
        };
        Ok(Self {
            client: client(connector.clone()),
            connector,
            ..self.clone()
        })
    }

    /// Sends a request and reads the whole answer.
    ///
    /// Every status is an answer. See [`Error`] for when to repeat.
    pub async fn request(&self, request: Request) -> Result<Response, Error> {
        let deadline = Instant::now() + request.timeout.unwrap_or(self.timeout);
        let limit = request.max_response.unwrap_or(self.response_bytes);
        let mut url = parse_url(&request.url)?;
        let mut headers = own_headers_removed(request.headers, &url)?;
        let follows = matches!(request.method, Method::GET | Method::HEAD);
        let mut hops = if follows { self.redirects } else { 0 };
        loop {
            let mut hop = http::Request::new(Full::new(request.body.clone()));
            *hop.method_mut() = request.method.clone();
            *hop.uri_mut() = uri(&url)?;
            *hop.headers_mut() = headers.clone();
            let response = self.send(host_of(&url), hop, deadline, limit).await?;
            let Some(target) = redirect_target(&response, &url).filter(|_| hops > 0) else {
                return Ok(response);
            };
            hops -= 1;
            let next = parse_url(target?.as_str())?;
            if url.scheme() == "https" && next.scheme() == "http" {
                return Err(Error::Invalid("it is redirected from https to http".into()));
            }
            if next.origin() != url.origin() {
                headers = HARMLESS_HEADERS
                    .iter()
                    .filter_map(|name| Some((name.clone(), headers.get(name)?.clone())))
                    .collect();
            }
            url = next;
        }
    }

    /// The allowed addresses of `host`, at least one, for clients of other
    /// protocols: they must connect to one of these and not look up again.
    pub async fn resolve_and_check(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
        let look_up = self.connector.checked.addresses(host, port);
        match tokio::time::timeout(self.connector.timeout, look_up).await {
            Ok(addresses) => addresses.map_err(Error::from),
            Err(_elapsed) => Err(Error::NotSent {
                host: host.to_owned(),
                reason: "the name was not resolved in time".to_owned(),
            }),
        }
    }

    /// The connector under the same policy, for libraries that handle requests
    /// themselves (streams, watches).
    pub fn connector(&self) -> Connector {
        self.connector.clone()
    }

    async fn send(
        &self,
        host: &str,
        mut request: http::Request<Full<Bytes>>,
        deadline: Instant,
        limit: Size,
    ) -> Result<Response, Error> {
        let connection = capture_connection(&mut request);
        let response = match timeout_at(deadline, self.client.request(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(failure(host, &error)),
            Err(_elapsed) if connection.connection_metadata().is_none() => {
                return Err(Error::NotSent {
                    host: host.to_owned(),
                    reason: "no connection in time".to_owned(),
                });
            }
            Err(_elapsed) => return Err(uncertain(host, "no answer in time".to_owned())),
        };
        let (parts, body) = response.into_parts();
        match timeout_at(deadline, read(body, limit)).await {
            Ok(Ok(Some(body))) => Ok(Response {
                status: parts.status,
                headers: parts.headers,
                body,
            }),
            Ok(Ok(None)) => Err(Error::TooLarge {
                host: host.to_owned(),
                status: parts.status,
                limit,
            }),
            Ok(Err(error)) => Err(uncertain(host, describe(&error))),
            Err(_elapsed) => Err(uncertain(
                host,
                "the answer was not complete in time".into(),
            )),
        }
    }
}

impl From<ConnectError> for Error {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Refused {
                host,
                address,
                scope,
            } => Self::Refused {
                host,
                address,
                scope,
            },
            ConnectError::Failed { host, reason } => Self::NotSent { host, reason },
            ConnectError::Invalid(reason) => Self::Invalid(reason.to_owned()),
        }
    }
}

fn client(connector: Connector) -> Client<Connector, Full<Bytes>> {
    // hyper starts one task for each connection it keeps. They are the one
    // exception to the supervisor: they do no work of their own and end with
    // their connection, at the latest when the last clone of the client drops.
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE)
        .pool_max_idle_per_host(POOL_IDLE_MAX)
        .build(connector)
}

fn client_config(config: &ClientTls) -> Result<ClientConfig, tls::Error> {
    let refused = |error: rustls::Error| tls::Error::Refused(error.to_string());
    let roots = match &config.ca_file {
        Some(path) => tls::read_roots(path)?,
        None => system_roots(),
    };
    let builder = ClientConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        .with_root_certificates(roots);
    let mut built = match (&config.certificate, &config.key) {
        (None, None) => builder.with_no_client_auth(),
        (Some(certificate), Some(key)) => builder
            .with_client_auth_cert(tls::read_certificates(certificate)?, tls::read_key(key)?)
            .map_err(refused)?,
        _ => {
            return Err(tls::Error::Refused(
                "`certificate` and `key` need each other".to_owned(),
            ));
        }
    };
    built.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(built)
}

fn system_roots() -> RootCertStore {
    let loaded = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Some systems ship certificates that webpki can't use; the others count.
    let (usable, _) = roots.add_parsable_certificates(loaded.certs);
    if usable == 0 {
        tracing::warn!("this system has no certificate authorities: https needs `ca_file`");
    }
    roots
}

fn parse_url(text: &str) -> Result<Url, Error> {
    let invalid = |reason: &str| Err(Error::Invalid(reason.to_owned()));
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => return invalid(&format!("its URL can't be read: {error}")),
    };
    if !matches!(url.scheme(), "http" | "https") {
        return invalid("its URL is neither http nor https");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return invalid("its URL holds a user or password: use a header");
    }
    if host_of(&url).is_empty() {
        return invalid("its URL has no host");
    }
    Ok(url)
}

fn uri(url: &Url) -> Result<Uri, Error> {
    let mut url = url.clone();
    url.set_fragment(None);
    url.as_str()
        .parse()
        .map_err(|error| Error::Invalid(format!("its URL can't be sent: {error}")))
}

fn host_of(url: &Url) -> &str {
    url.host_str().unwrap_or_default()
}

/// Drops the headers that the client sets itself. A `Host` other than the
/// URL's is refused: it would reach a site that was not checked.
fn own_headers_removed(mut headers: HeaderMap, url: &Url) -> Result<HeaderMap, Error> {
    if let Some(host) = headers.get(header::HOST) {
        let named = host.to_str().unwrap_or_default();
        let with_port = format!(
            "{}:{}",
            host_of(url),
            url.port_or_known_default().unwrap_or_default()
        );
        if !named.eq_ignore_ascii_case(host_of(url)) && !named.eq_ignore_ascii_case(&with_port) {
            return Err(Error::Invalid(
                "its Host header is not its URL's host".into(),
            ));
        }
    }
    for name in &OWN_HEADERS {
        headers.remove(name);
    }
    Ok(headers)
}

fn redirect_target(response: &Response, url: &Url) -> Option<Result<Url, Error>> {
    let redirects = matches!(response.status.as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = response
        .headers
        .get(header::LOCATION)
        .filter(|_| redirects)?;
    let target = location
        .to_str()
        .map_err(|error| error.to_string())
        .and_then(|text| url.join(text).map_err(|error| error.to_string()));
    Some(target.map_err(|error| Error::Invalid(format!("its redirect can't be read: {error}"))))
}

/// The whole body, or none where it is over the limit.
async fn read(mut body: Incoming, limit: Size) -> Result<Option<Bytes>, hyper::Error> {
    if body.size_hint().lower() > limit.bytes() {
        return Ok(None);
    }
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            if (read.len() + data.len()) as u64 > limit.bytes() {
                return Ok(None);
            }
            read.extend_from_slice(&data);
        }
    }
    Ok(Some(read.freeze()))
}

fn failure(host: &str, error: &hyper_util::client::legacy::Error) -> Error {
    if !error.is_connect() {
        return uncertain(host, describe(error));
    }
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(connect) = inner.downcast_ref::<ConnectError>() {
            return connect.clone().into();
        }
        source = inner.source();
    }
    Error::NotSent {
        host: host.to_owned(),
        reason: describe(error),
    }
}

fn uncertain(host: &str, reason: String) -> Error {
    Error::Uncertain {
        host: host.to_owned(),
        reason,
    }
}

/// The innermost sources say what happened; the outer ones name layers.
fn describe(error: &(dyn StdError + 'static)) -> String {
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        reason.push_str(": ");
        reason.push_str(&inner.to_string());
        source = inner.source();
    }
    reason
}
