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
mod config;
mod connect;
mod connection;
mod error;
mod policy;
mod request;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::Method;
use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::capture_connection},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::ClientConfig;
use tokio::time::{Instant, timeout_at};

pub use self::{
    address::Scope,
    config::{ClientTls, EgressConfig},
    connect::{ConnectError, Connector, Resolve, Stream, SystemResolver},
    connection::Connection,
    error::Error,
    policy::{EgressPolicy, InvalidRule, Rule},
    request::{Request, Response},
};
use self::{
    config::client_config,
    connect::Checked,
    error::{describe, failure, uncertain},
    request::{harmless, host_of, own_headers_removed, parse_url, redirect_target, uri},
};
use crate::{tls, units::Size};

/// How long an unused connection is kept. Shorter than the 5 s after which
/// common servers close it: a request that meets the closing is in doubt.
const POOL_IDLE: Duration = Duration::from_secs(4);

const POOL_IDLE_MAX: usize = 8;

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

    /// A client that may also connect to these destinations, with connections of its own: for
    /// addresses that stand in the configuration and that no event or script can choose.
    #[must_use]
    pub fn opened_to(&self, rules: &[Rule]) -> Self {
        let mut checked = Checked::clone(&self.connector.checked);
        checked.policy.allow.extend_from_slice(rules);
        let connector = Connector {
            checked: Arc::new(checked),
            ..self.connector.clone()
        };
        Self {
            client: client(connector.clone()),
            connector,
            ..self.clone()
        }
    }

    /// A client that answers every redirect as it is, whatever the configuration says.
    #[must_use]
    pub fn without_redirects(&self) -> Self {
        Self {
            redirects: 0,
            ..self.clone()
        }
    }

    /// Sends a request and reads the whole answer.
    ///
    /// Every status is an answer. See [`Error`] for when to repeat.
    pub async fn request(&self, request: Request) -> Result<Response, Error> {
        let deadline = Instant::now() + request.timeout.unwrap_or(self.timeout);
        let limit = Limit {
            size: request.max_response.unwrap_or(self.response_bytes),
            cut: request.cut,
        };
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
                headers = harmless(&headers);
            }
            url = next;
        }
    }

    /// An open connection to a URL's host, for protocols that begin as HTTP/1.1 and become
    /// another, such as WebSocket. Nothing is sent.
    pub async fn connect(&self, url: &str) -> Result<Stream, Error> {
        let mut tls = ClientConfig::clone(&self.connector.tls);
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let connector = Connector {
            tls: Arc::new(tls),
            ..self.connector.clone()
        };
        let stream = connector.connect(uri(&parse_url(url)?)?).await;
        stream.map_err(Error::from)
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
        limit: Limit,
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
            Ok(Ok((_, true))) if !limit.cut => Err(Error::TooLarge {
                host: host.to_owned(),
                status: parts.status,
                limit: limit.size,
            }),
            Ok(Ok((body, is_cut))) => Ok(Response {
                status: parts.status,
                headers: parts.headers,
                body,
                is_cut,
            }),
            Ok(Err(error)) => Err(uncertain(host, describe(&error))),
            Err(_elapsed) => Err(uncertain(
                host,
                "the answer was not complete in time".into(),
            )),
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

/// How much of an answer's body is kept.
#[derive(Clone, Copy)]
struct Limit {
    size: Size,
    /// Whether the beginning of a larger one is wanted.
    cut: bool,
}

/// The body as far as it is within the limit, and whether there is more of it.
async fn read(mut body: Incoming, limit: Limit) -> Result<(Bytes, bool), hyper::Error> {
    let most = limit.size.bytes();
    if body.size_hint().lower() > most && !limit.cut {
        return Ok((Bytes::new(), true));
    }
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            let left = usize::try_from(most).unwrap_or(usize::MAX) - read.len();
            if data.len() > left {
                read.extend_from_slice(&data[..left]);
                return Ok((read.freeze(), true));
            }
            read.extend_from_slice(&data);
        }
    }
    Ok((read.freeze(), false))
}
