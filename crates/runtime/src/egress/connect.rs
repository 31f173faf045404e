//! The one place that opens a connection: resolve, check every address, and
//! connect to an address that was checked.
//!
//! There is no second look-up between check and connection, so a name can't
//! change its mind in between, and a URL with a literal address passes through
//! the same check as one with a name.

use std::{
    fmt,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use http::Uri;
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_rustls::TlsConnector;

use super::{address::Scope, policy::EgressPolicy};

/// More addresses than this of one name are not tried.
const ADDRESSES_MAX: usize = 16;

/// Finds the addresses of a name.
#[async_trait]
pub trait Resolve: Send + Sync + fmt::Debug {
    /// All addresses of `host`, in the order in which to try them.
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The operating system's resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let addresses = tokio::net::lookup_host((host, 0)).await?;
        Ok(addresses.map(|address| address.ip()).collect())
    }
}

/// No connection came about, so nothing was sent.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectError {
    /// The policy forbids every address of the host.
    #[error("egress to {host} is refused: {address} is {scope}")]
    Refused {
        /// The host of the URL.
        host: String,
        /// The first address that was refused.
        address: SocketAddr,
        /// What kind of address it is.
        scope: Scope,
    },
    /// The name has no address, no address answers, or TLS fails.
    #[error("can't connect to {host}: {reason}")]
    Failed {
        /// The host of the URL.
        host: String,
        /// What failed.
        reason: String,
    },
    /// The URL has no host, or its scheme is neither http nor https.
    #[error("the URL is not one to connect to: {0}")]
    Invalid(&'static str),
}

/// Resolves and checks; shared by all connections of an `Egress`.
#[derive(Debug, Clone)]
pub(super) struct Checked {
    pub(super) policy: EgressPolicy,
    pub(super) resolver: Arc<dyn Resolve>,
}

impl Checked {
    /// The allowed addresses of `host`: at least one.
    pub(super) async fn addresses(
        &self,
        host: &str,
        port: u16,
    ) -> Result<Vec<SocketAddr>, ConnectError> {
        let failed = |reason: String| ConnectError::Failed {
            host: host.to_owned(),
            reason,
        };
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        let found = match literal.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => self
                .resolver
                .resolve(host)
                .await
                .map_err(|error| failed(error.to_string()))?,
        };
        let mut refused = None;
        let mut allowed = Vec::new();
        for ip in found.into_iter().take(ADDRESSES_MAX) {
            let address = SocketAddr::new(ip.to_canonical(), port);
            match self.policy.check(host, address) {
                Ok(()) => allowed.push(address),
                Err(scope) => refused = refused.or(Some((address, scope))),
            }
        }
        match (allowed.is_empty(), refused) {
            (false, _) => Ok(allowed),
            (true, None) => Err(failed("the name has no address".to_owned())),
            (true, Some((address, scope))) => Err(ConnectError::Refused {
                host: host.to_owned(),
                address,
                scope,
            }),
        }
    }
}

/// Connects to checked addresses; a `tower` service for HTTP clients that
/// bring their own request handling.
#[derive(Debug, Clone)]
pub struct Connector {
    pub(super) checked: Arc<Checked>,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) timeout: Duration,
}

impl Connector {
    pub(super) async fn connect(self, uri: Uri) -> Result<Stream, ConnectError> {
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(ConnectError::Invalid("its scheme is not http or https")),
        };
        let host = uri
            .host()
            .ok_or(ConnectError::Invalid("it has no host"))?
            .to_owned();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let deadline = Instant::now() + self.timeout;
        let work = async {
            let addresses = self.checked.addresses(&host, port).await?;
            let socket = first_to_answer(&host, &addresses, deadline).await?;
            if secure {
                self.shake_hands(&host, socket).await
            } else {
                Ok(Stream {
                    inner: Box::new(socket),
                    certificate: None,
                    is_h2: false,
                })
            }
        };
        match timeout_at(deadline, work).await {
            Ok(connected) => connected,
            Err(_elapsed) => Err(ConnectError::Failed {
                reason: format!("no connection within {:?}", self.timeout),
                host: host.clone(),
            }),
        }
    }

    async fn shake_hands(&self, host: &str, socket: TcpStream) -> Result<Stream, ConnectError> {
        let failed = |reason: String| ConnectError::Failed {
            host: host.to_owned(),
            reason,
        };
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let name =
            ServerName::try_from(name.to_owned()).map_err(|error| failed(error.to_string()))?;
        let stream = TlsConnector::from(Arc::clone(&self.tls))
            .connect(name, socket)
            .await
            .map_err(|error| failed(format!("TLS: {error}")))?;
        let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let shown = stream.get_ref().1.peer_certificates();
        let certificate = shown
            .and_then(|chain| chain.first())
            .map(|leaf| leaf.to_vec());
        Ok(Stream {
            inner: Box::new(stream),
            certificate,
            is_h2,
        })
    }
}

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Stream>, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect(uri).await.map(TokioIo::new) })
    }
}

/// Tries one address after the other; each gets a fair part of the time left.
async fn first_to_answer(
    host: &str,
    addresses: &[SocketAddr],
    deadline: Instant,
) -> Result<TcpStream, ConnectError> {
    let mut reason = String::new();
    for (index, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        let now = Instant::now();
        let limit = now + deadline.saturating_duration_since(now) / left;
        reason = match timeout_at(limit, TcpStream::connect(address)).await {
            Ok(Ok(socket)) => {
                // Small requests would wait for acknowledgements without it.
                socket.set_nodelay(true).ok();
                return Ok(socket);
            }
            Ok(Err(error)) => format!("{address}: {error}"),
            Err(_elapsed) => format!("{address}: no answer"),
        };
    }
    Err(ConnectError::Failed {
        host: host.to_owned(),
        reason,
    })
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// An open connection, plain or TLS.
pub struct Stream {
    inner: Box<dyn Duplex>,
    certificate: Option<Vec<u8>>,
    is_h2: bool,
}

impl Stream {
    /// The server's certificate (DER), where the connection is TLS.
    pub(super) fn certificate(&self) -> Option<&[u8]> {
        self.certificate.as_deref()
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("is_h2", &self.is_h2)
            .finish_non_exhaustive()
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        let connected = Connected::new();
        if self.is_h2 {
            connected.negotiated_h2()
        } else {
            connected
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
