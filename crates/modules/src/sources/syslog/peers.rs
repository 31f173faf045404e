//! Who is connected: each connection is read no faster than its messages are stored.
//!
//! All connections live in the source's own task and end with it. What one peer does, or the
//! wait for its handshake, never holds up another.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::framing::{Frame, Framer};
use super::{BATCH, Syslog};
use crate::sources::delivery::{Entrance, Stopping};

/// A handshake takes no longer.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The pause after a connection could not be taken, as when there are no more descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Bytes read at a time.
const BLOCK: usize = 16 << 10;

/// Takes connections until asked to stop.
pub(super) async fn serve(source: &Syslog, listener: &TcpListener, entrance: &Entrance<'_>) {
    let mut open = FuturesUnordered::new();
    let mut by_peer: HashMap<IpAddr, usize> = HashMap::new();
    loop {
        tokio::select! {
            () = entrance.stop.requested() => return,
            Some(peer) = open.next() => leave(&mut by_peer, peer),
            taken = listener.accept() => match taken {
                Err(error) => {
                    tracing::warn!(source = %source.id, %error, "no connection can be taken");
                    if entrance.pause(ACCEPT_PAUSE).await.is_err() {
                        return;
                    }
                }
                Ok((stream, address)) => {
                    let peer = address.ip().to_canonical();
                    let from_peer = by_peer.entry(peer).or_default();
                    if open.len() >= source.config.connections
                        || *from_peer >= source.config.connections_per_ip
                    {
                        entrance.refuse(&peer, &"too many connections are open");
                        continue;
                    }
                    *from_peer += 1;
                    open.push(async move {
                        converse(source, stream, peer, entrance).await;
                        peer
                    });
                }
            }
        }
    }
}

fn leave(by_peer: &mut HashMap<IpAddr, usize>, peer: IpAddr) {
    if let Some(count) = by_peer.get_mut(&peer) {
        *count -= 1;
        if *count == 0 {
            by_peer.remove(&peer);
        }
    }
}

/// One connection from its handshake to its end.
async fn converse(source: &Syslog, stream: TcpStream, peer: IpAddr, entrance: &Entrance<'_>) {
    let ended = match &source.acceptor {
        None => read(source, stream, peer, entrance).await,
        Some(acceptor) => match timeout(HANDSHAKE, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => read(source, stream, peer, entrance).await,
            Ok(Err(error)) => Err(error),
            Err(elapsed) => Err(elapsed.into()),
        },
    };
    if let Err(error) = ended {
        entrance.refuse(&peer, &error);
    }
}

async fn read(
    source: &Syslog,
    mut stream: impl AsyncRead + Unpin,
    peer: IpAddr,
    entrance: &Entrance<'_>,
) -> io::Result<()> {
    let mut framer = Framer::new(source.config.message_bytes.length());
    let mut block = vec![0; BLOCK];
    loop {
        let idle = source.config.idle.duration();
        let Ok(read) = timeout(idle, stream.read(&mut block)).await else {
            return Ok(());
        };
        let read = match read {
            // Most senders close without saying so by TLS; what they sent is complete.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
            read => read?,
        };
        framer.push(&block[..read]);
        if store(source, &mut framer, peer, entrance).await? == Err(Stopping) {
            return Ok(());
        }
        if read == 0 {
            let rest = framer.last().map(|frame| event(source, frame, peer));
            let rest = rest.transpose()?.flatten();
            let last = entrance.accept_usable(rest.into_iter().collect(), None);
            // Whether the last line was stored or the source stops: it is over.
            last.await.ok();
            return Ok(());
        }
    }
}

/// Stores the messages that are complete, before more is read.
async fn store(
    source: &Syslog,
    framer: &mut Framer,
    peer: IpAddr,
    entrance: &Entrance<'_>,
) -> io::Result<Result<(), Stopping>> {
    loop {
        let mut events = Vec::new();
        let mut broken = None;
        while events.len() < BATCH {
            match framer.next().map(|frame| (frame == Frame::TooLong, frame)) {
                None => break,
                Some((true, _)) => {
                    entrance.refuse(&peer, &"the message is longer than `message_bytes`");
                }
                Some((false, frame)) => match event(source, frame, peer) {
                    Ok(event) => events.extend(event),
                    Err(error) => {
                        broken = Some(error);
                        break;
                    }
                },
            }
        }
        let is_last = events.len() < BATCH;
        if !events.is_empty() && entrance.accept_usable(events, None).await == Err(Stopping) {
            return Ok(Err(Stopping));
        }
        match broken {
            Some(error) => return Err(error),
            None if is_last => return Ok(Ok(())),
            None => {}
        }
    }
}

fn event(
    source: &Syslog,
    frame: Frame,
    peer: IpAddr,
) -> io::Result<Option<crate::intake::NewEvent>> {
    match frame {
        Frame::Message(message) => Ok(Some(source.event(&message, peer))),
        Frame::TooLong => Ok(None),
        Frame::Broken => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the length before a message is none",
        )),
    }
}
