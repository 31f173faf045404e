//! `syslog`: messages of RFC 5424 and RFC 3164 over UDP, TCP and TLS.
//!
//! The protocol has no acknowledgement, so the promise is weaker than elsewhere. Over TCP and
//! TLS a connection is not read on before what was read from it is on disk: a sender is held
//! up, not robbed; what a killed process had read and not stored is lost. Over UDP the kernel
//! drops what is not fetched in time; its counter is read and told. There is no id and no
//! cursor: a message sent twice is two events.
//!
//! The parts: [`framing`] where a message ends, [`decode`] what it says, [`peers`] who is
//! connected, [`drops`] what the kernel threw away. Nobody on the network may send without a
//! client certificate unless the configuration says so.

mod decode;
mod drops;
mod framing;
mod peers;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use conche_runtime::clock::SharedClock;
use conche_runtime::listener::{ClientAuth, TlsConfig};
use conche_runtime::supervisor::{BoxError, Stop};
use conche_runtime::tls;
use conche_runtime::units::{Size, Span};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use tokio::net::{TcpListener, UdpSocket};
use tokio_rustls::TlsAcceptor;

use self::drops::Drops;
use super::delivery::{Entrance, Rejects, Stopping};
use crate::intake::{Intake, NewEvent};
use crate::source::{Source, SourceModule};
use crate::{BuildContext, BuildError, config as settings};

pub(super) static MODULE: SourceModule = SourceModule {
    name: "syslog",
    summary: "Syslog messages over UDP, TCP or TLS.",
    events: &[("syslog", "A message was sent.")],
    config: settings::schema::<Config>,
    build,
};

/// Messages that go into one transaction.
const BATCH: usize = 200;

/// How often the kernel's counter of dropped datagrams is read.
const DROPS_EVERY: Duration = Duration::from_secs(5);

/// Settings of a `syslog` source.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Address and port, such as `127.0.0.1:6514`.
    #[schemars(with = "String")]
    listen: SocketAddr,
    /// `udp` or `tcp`. Default: `tcp`.
    #[serde(default)]
    transport: Transport,
    /// Turns TLS on, for `transport: tcp`. Default: none.
    #[serde(default)]
    tls: Option<TlsConfig>,
    /// Allows an address other than loopback without client certificates. Default: false.
    #[serde(default)]
    allow_unauthenticated: bool,
    /// The type of the events. Default: `syslog`.
    #[serde(default = "default_event_type")]
    event_type: String,
    /// The most bytes of a message; larger ones are refused. Default: 8KiB.
    #[serde(default = "default_message_bytes")]
    message_bytes: Size,
    /// Connections open at a time; further ones are closed at once. Default: 512.
    #[serde(default = "default_connections")]
    connections: usize,
    /// Connections open at a time from one address. Default: 64.
    #[serde(default = "default_connections_per_ip")]
    connections_per_ip: usize,
    /// A connection that sends nothing for so long is closed. Default: 1h.
    #[serde(default = "default_idle")]
    idle: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Transport {
    /// One message a datagram.
    Udp,
    /// Messages ended by a line feed or preceded by their length.
    #[default]
    Tcp,
}

fn default_event_type() -> String {
    "syslog".to_owned()
}

fn default_message_bytes() -> Size {
    Size::from_kib(8)
}

fn default_connections() -> usize {
    512
}

fn default_connections_per_ip() -> usize {
    64
}

fn default_idle() -> Span {
    Span::from_secs(3600)
}

struct Syslog {
    id: String,
    config: Config,
    acceptor: Option<TlsAcceptor>,
    clock: SharedClock,
    rejects: Rejects,
}

fn build(id: &str, config: Value, cx: &BuildContext) -> Result<Arc<dyn Source>, BuildError> {
    let place = format!("sources.{id}");
    let config: Config = settings::read(&place, config)?;
    let wrong = |message: &str| settings::error(&place, message);
    let certified = config.tls.as_ref().is_some_and(|tls| {
        tls.client_ca.is_some() && tls.client_certificate == ClientAuth::Required
    });
    let is_loopback = config.listen.ip().to_canonical().is_loopback();
    if !is_loopback && !certified && !config.allow_unauthenticated {
        return Err(wrong(
            "anyone on the network could send: set `tls` with `client_ca`, listen on 127.0.0.1, \
             or, to have it open, add\n  allow_unauthenticated: true",
        ));
    }
    if config.tls.is_some() && config.transport == Transport::Udp {
        return Err(wrong("`tls` goes with `transport: tcp`"));
    }
    if config.event_type.is_empty() || config.event_type.starts_with("conche.") {
        return Err(wrong(
            "`event_type` is empty or begins with `conche.`, which is Conche's own",
        ));
    }
    let bytes = config.message_bytes.length();
    if !(480..=cx.json.bytes / 8).contains(&bytes) {
        // A byte can take six in JSON; below 480 no receiver is one by RFC 5424.
        return Err(wrong(
            "`message_bytes` must be at least 480B and at most an eighth of `limits.event_bytes`",
        ));
    }
    if config.connections == 0 || config.connections_per_ip == 0 {
        return Err(wrong(
            "`connections` and `connections_per_ip` must be at least 1",
        ));
    }
    let server = config.tls.as_ref().map(tls::server).transpose();
    let server = server.map_err(|error| wrong(&error.to_string()))?;
    Ok(Arc::new(Syslog {
        id: id.to_owned(),
        acceptor: server.map(|server| TlsAcceptor::from(Arc::new(server))),
        config,
        clock: cx.clock.clone(),
        rejects: Rejects::new(id),
    }))
}

#[async_trait]
impl Source for Syslog {
    async fn run(&self, intake: Arc<dyn Intake>, stop: Stop) -> Result<(), BoxError> {
        let entrance = Entrance {
            source: &self.id,
            intake: &*intake,
            stop: &stop,
            rejects: &self.rejects,
        };
        let address = self.config.listen;
        match self.config.transport {
            Transport::Udp => {
                let socket = bound(UdpSocket::bind(address).await, &entrance)?;
                self.receive(&socket, &entrance).await
            }
            Transport::Tcp => {
                let listener = bound(TcpListener::bind(address).await, &entrance)?;
                peers::serve(self, &listener, &entrance).await;
                Ok(())
            }
        }
    }
}

/// Tells whether the address could be had.
fn bound<T>(socket: io::Result<T>, entrance: &Entrance<'_>) -> io::Result<T> {
    match &socket {
        Ok(_) => entrance.reads(""),
        Err(error) => entrance.misses("", error),
    }
    socket
}

impl Syslog {
    /// Datagrams, until asked to stop. Those that came together go into one transaction.
    async fn receive(&self, socket: &UdpSocket, entrance: &Entrance<'_>) -> Result<(), BoxError> {
        let mut drops = Drops::new(socket);
        let mut datagram = vec![0; self.config.message_bytes.length() + 1];
        let mut look = tokio::time::interval(DROPS_EVERY);
        loop {
            let ready = tokio::select! {
                () = entrance.stop.requested() => return Ok(()),
                _ = look.tick() => None,
                ready = socket.readable() => Some(ready),
            };
            self.tell(drops.new_ones(), entrance);
            if let Some(ready) = ready {
                ready?;
                let events = self.fetch(socket, &mut datagram, entrance)?;
                if entrance.accept_usable(events, None).await == Err(Stopping) {
                    return Ok(());
                }
            }
        }
    }

    /// The datagrams that are there now.
    fn fetch(
        &self,
        socket: &UdpSocket,
        datagram: &mut [u8],
        entrance: &Entrance<'_>,
    ) -> Result<Vec<NewEvent>, BoxError> {
        let mut events = Vec::new();
        while events.len() < BATCH {
            match socket.try_recv_from(datagram) {
                Ok((bytes, peer)) if bytes > self.config.message_bytes.length() => {
                    entrance.refuse(&peer.ip(), &"the message is longer than `message_bytes`");
                }
                Ok((0, _)) => {}
                Ok((bytes, peer)) => events.push(self.event(&datagram[..bytes], peer.ip())),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(events)
    }

    fn event(&self, message: &[u8], peer: IpAddr) -> NewEvent {
        decode::event(message, peer, &self.config.event_type, self.clock.now())
    }

    fn tell(&self, dropped: u64, entrance: &Entrance<'_>) {
        if dropped == 0 {
            return;
        }
        tracing::warn!(source = %self.id, dropped, "the kernel dropped datagrams: they came faster than events are stored");
        for _ in 0..dropped.min(100_000) {
            entrance.intake.refused(&self.id, "dropped");
        }
    }
}
