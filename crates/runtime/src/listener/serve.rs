//! The accept loop and the life of one connection.

use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::Instant,
};

use super::{
    ClientCertificate, Peer,
    certificates::Certificates,
    connections::{Connection, Connections, Entry, Full},
    service::{Service, Shared},
    stream::Watched,
};
use crate::supervisor::{Stage, Stop, Tasks, ticker};

/// Pause after a failed accept, which is mostly a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Room for headers that are over their limit to be answered with 431, and
/// for the answer's pieces.
const BUFFER_BYTES_MIN: usize = 64 << 10;

/// How long, and how far, the rest of a body that was given up is discarded.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 64 << 20;

/// Answer to a connection over a cap; best effort, plain connections only.
const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";

/// A listener that answers.
pub(super) struct Serving {
    name: String,
    certificates: Option<Certificates>,
    shared: Arc<Shared>,
    connections: Arc<Connections>,
    tasks: Tasks,
    stage: Stage,
}

impl Serving {
    pub(super) fn new(
        name: String,
        certificates: Option<Certificates>,
        shared: Shared,
        tasks: Tasks,
        stage: Stage,
    ) -> Self {
        Self {
            name,
            certificates,
            connections: Connections::new(shared.limits.clone()),
            shared: Arc::new(shared),
            tasks,
            stage,
        }
    }

    /// Accepts until `stop`, then waits for the connections to end.
    pub(super) async fn run(self, socket: TcpListener, stop: Stop) {
        let this = Arc::new(self);
        let connections = Arc::clone(&this.connections);
        let serving = async {
            this.accept_until(&stop, socket).await;
            this.connections.drain(Instant::now());
            this.connections.emptied().await;
        };
        // The limits hold while draining too, so the sweep has no stop of its own.
        let endless = Stop::new();
        let sweeping = ticker(connections.period(), &endless, async || {
            connections.sweep(Instant::now());
        });
        tokio::select! {
            () = serving => {}
            () = sweeping => {}
        }
    }

    /// Closes the listening socket when it returns.
    async fn accept_until(self: &Arc<Self>, stop: &Stop, socket: TcpListener) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.requested() => return,
                accepted = socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.admit(stream, peer),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::error!(listener = %self.name, %error, "can't accept connections");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn admit(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        match self.connections.admit(peer, Instant::now()) {
            Ok(entry) => {
                let name = format!("{} connection from {peer}", self.name);
                let this = Arc::clone(self);
                // Each wrapper around a task's future holds it twice, before and after its
                // first poll: what is boxed is held once.
                let conversation = Box::pin(this.converse(stream, peer, entry));
                self.tasks.detach(name, self.stage, conversation);
            }
            Err(full) => {
                tracing::debug!(listener = %self.name, %peer, ?full, "connection refused");
                self.refuse(&stream, full);
            }
        }
    }

    fn refuse(&self, stream: &TcpStream, full: Full) {
        // A peer over its own cap gets no work done for it, not even this.
        if full == Full::Listener && self.certificates.is_none() {
            stream.try_write(REFUSAL).ok();
        }
    }

    async fn converse(self: Arc<Self>, stream: TcpStream, address: SocketAddr, entry: Entry) {
        // Without it small answers wait for acknowledgements; with an error
        // the connection is gone already and the next read says so.
        stream.set_nodelay(true).ok();
        let connection = Arc::clone(&entry.connection);
        let stream = Watched::new(stream, Arc::clone(&connection));
        tokio::select! {
            biased;
            () = connection.cut.cancelled() => {
                tracing::debug!(listener = %self.name, peer = %address, "connection cut at a limit");
            }
            () = self.speak(stream, address, &connection) => {}
        }
    }

    async fn speak(&self, stream: Watched, address: SocketAddr, connection: &Arc<Connection>) {
        match &self.certificates {
            // In a box, so that a connection without TLS has no room for TLS and HTTP/2.
            Some(certificates) => {
                Box::pin(self.speak_tls(certificates, stream, address, connection)).await;
            }
            None => {
                let peer = Peer {
                    address,
                    client_certificate: None,
                };
                self.speak_h1(stream, peer, connection).await;
            }
        }
    }

    async fn speak_tls(
        &self,
        certificates: &Certificates,
        stream: Watched,
        address: SocketAddr,
        connection: &Arc<Connection>,
    ) {
        let stream = match certificates.acceptor().accept(stream).await {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(listener = %self.name, peer = %address, %error, "TLS handshake failed");
                return;
            }
        };
        let (_, session) = stream.get_ref();
        let leaf = session.peer_certificates().and_then(|chain| chain.first());
        let peer = Peer {
            address,
            client_certificate: leaf
                .map(|leaf| Arc::new(ClientCertificate(leaf.clone().into_owned()))),
        };
        if session.alpn_protocol() == Some(b"h2") {
            connection.speaks_h2();
            Box::pin(self.speak_h2(stream, peer, connection)).await;
        } else {
            Box::pin(self.speak_h1(stream, peer, connection)).await;
        }
    }

    fn service(&self, peer: Peer, connection: &Arc<Connection>) -> Service {
        Service {
            shared: Arc::clone(&self.shared),
            connection: Arc::clone(connection),
            peer,
        }
    }

    async fn speak_h1<S>(&self, stream: S, peer: Peer, connection: &Arc<Connection>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let header_bytes = self.shared.limits.header_bytes.length();
        let mut spoken = http1::Builder::new()
            .timer(TokioTimer::new())
            // The sweep has this limit, and tells idle from half-sent.
            .header_read_timeout(None)
            .max_header_size(header_bytes)
            .max_buf_size(header_bytes.max(BUFFER_BYTES_MIN))
            .serve_connection(TokioIo::new(stream), self.service(peer, connection));
        let mut closing = pin!(connection.closing.cancelled());
        let mut is_closing = false;
        let ended = poll_fn(|cx| {
            if !is_closing && closing.as_mut().poll(cx).is_ready() {
                is_closing = true;
                Pin::new(&mut spoken).graceful_shutdown();
            }
            spoken.poll_without_shutdown(cx)
        })
        .await;
        self.note(ended);
        let stream = spoken.into_parts().io.into_inner();
        hang_up(stream, connection.has_left_unread()).await;
    }

    async fn speak_h2<S>(&self, stream: S, peer: Peer, connection: &Arc<Connection>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = &self.shared.limits;
        let header_bytes = u32::try_from(limits.header_bytes.bytes()).unwrap_or(u32::MAX);
        let streams = self.tasks.executor("HTTP/2 stream", self.stage);
        let spoken = http2::Builder::new(streams)
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.h2_streams)
            .max_header_list_size(header_bytes)
            .serve_connection(TokioIo::new(stream), self.service(peer, connection));
        let mut spoken = pin!(spoken);
        let ended = tokio::select! {
            biased;
            () = connection.closing.cancelled() => None,
            ended = spoken.as_mut() => Some(ended),
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                spoken.as_mut().graceful_shutdown();
                spoken.await
            }
        };
        self.note(ended);
    }

    /// A broken connection is the peer's business, not an error of ours.
    fn note(&self, ended: hyper::Result<()>) {
        if let Err(error) = ended {
            tracing::debug!(listener = %self.name, %error, "connection broke");
        }
    }
}

/// Ends a connection so that the peer gets to read the last answer: a socket
/// closed over unread bytes is reset, and the answer may be lost with it.
async fn hang_up<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, expects_more: bool) {
    // A peer that is gone has nothing more to read.
    if stream.shutdown().await.is_err() || !expects_more {
        return;
    }
    let mut rest = stream.take(LINGER_BYTES);
    let mut nowhere = tokio::io::sink();
    let discarding = tokio::io::copy(&mut rest, &mut nowhere);
    drop(tokio::time::timeout(LINGER, discarding).await);
}

/// Errors that `accept` passes on from a connection that is gone already.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}
