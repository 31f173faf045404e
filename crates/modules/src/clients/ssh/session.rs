//! One connection: key exchange with a checked host, login, one command, end.
//!
//! Nothing is done before the request for the command is on its way; from then on, until the
//! host tells how the command ended, only the host knows what was done.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use conche_core::Timestamp;
use russh::client::{self, DisconnectReason, Handle, Handler, RemoteDisconnectInfo};
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PublicKeyOrCertificate};
use russh::{Channel, ChannelMsg, ChannelOpenFailure, Disconnect, Preferred, Sig, SshId};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::host_keys::Records;
use super::login::Login;
use super::{Ended, Exit};
use crate::action::Error;

/// What a descendant still writes after the command has ended is waited for so long.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A silent host is asked whether it is still there after this.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// A host that does not answer even that is gone.
const GONE: Duration = Duration::from_mins(1);

/// How hosts may prove themselves: none by SHA-1.
const HOST_KEYS: [Algorithm; 6] = [
    Algorithm::Ed25519,
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP256,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP384,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP521,
    },
    Algorithm::Rsa {
        hash: Some(HashAlg::Sha512),
    },
    Algorithm::Rsa {
        hash: Some(HashAlg::Sha256),
    },
];

/// Checks the host's key, and keeps why a connection ended.
pub(super) struct Witness {
    records: Records,
    now: Timestamp,
    told: Told,
}

/// What the witness has to tell, beside what the library says.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Option<Error>>>);

impl Told {
    fn tell(&self, error: Error) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.get_or_insert(error);
    }

    /// The better word of the two.
    fn or(&self, error: Error) -> Error {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.take().unwrap_or(error)
    }
}

impl Handler for Witness {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        offered: &PublicKeyOrCertificate,
    ) -> Result<bool, russh::Error> {
        let result = self.records.check(offered, self.now);
        Ok(match result {
            Ok(()) => true,
            Err(message) => {
                self.told.tell(Error::Permanent(message));
                false
            }
        })
    }

    async fn disconnected(
        &mut self,
        reason: DisconnectReason<russh::Error>,
    ) -> Result<(), russh::Error> {
        match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                self.told.tell(sent_away(&info));
                Ok(())
            }
            DisconnectReason::Error(error) => Err(error),
        }
    }
}

/// The host said why it ended the connection. OpenSSH calls too many wrong passwords an error of
/// the protocol.
fn sent_away(info: &RemoteDisconnectInfo) -> Error {
    let message = format!("the host ended the connection: {}", info.message);
    match info.reason_code {
        Disconnect::ProtocolError
        | Disconnect::NoMoreAuthMethodsAvailable
        | Disconnect::IllegalUserName
        | Disconnect::HostNotAllowedToConnect => Error::Permanent(message),
        _ => Error::retry(message),
    }
}

/// A connection that somebody is logged in on.
pub(super) struct Session {
    handle: Handle<Witness>,
    told: Told,
}

impl Session {
    /// Shakes hands and logs in. Nothing is done on the host by that.
    pub(super) async fn open(
        socket: TcpStream,
        records: Records,
        now: Timestamp,
        login: &Login,
    ) -> Result<Self, Error> {
        let told = Told::default();
        let config = Arc::new(settings(&records));
        let witness = Witness {
            records,
            now,
            told: told.clone(),
        };
        let connected = client::connect_stream(config, socket, witness).await;
        let mut handle = connected.map_err(|error| told.or(not_connected(&error)))?;
        match login.log_in(&mut handle).await {
            Ok(()) => Ok(Self { handle, told }),
            Err(error) => {
                leave(&handle).await;
                Err(told.or(error))
            }
        }
    }

    /// Runs a command and keeps up to `limit` bytes of each output. At the deadline the host is
    /// asked to kill it, and waited for during `grace`.
    pub(super) async fn run(
        self,
        command: &[u8],
        limit: usize,
        deadline: Instant,
        grace: Duration,
    ) -> Result<Ended, Error> {
        let open = timeout_at(deadline, self.handle.channel_open_session()).await;
        let mut channel = match open {
            Ok(Ok(channel)) => channel,
            Ok(Err(error)) => return Err(self.told.or(not_opened(&error))),
            Err(_elapsed) => return Err(Error::retry("the host opened no channel in time")),
        };
        if channel.exec(true, command).await.is_err() {
            return Err(Error::retry("the connection broke before the command"));
        }
        // The command has nothing to read.
        channel.eof().await.ok();
        let ended = follow(&mut channel, limit, deadline).await;
        if matches!(ended, Err(Lost::Late)) {
            tokio::time::timeout(grace, kill(&mut channel)).await.ok();
        }
        leave(&self.handle).await;
        ended.map_err(|lost| match lost {
            Lost::Refused => Error::permanent("the host refuses to run commands for this user"),
            Lost::Late => Error::Uncertain(
                "the command was still running when its time was over; it was told to end, and \
                 what it had done by then is unknown"
                    .to_owned(),
            ),
            Lost::Connection => {
                let why = self.told.or(Error::permanent("it broke off"));
                Error::Uncertain(format!(
                    "the connection was lost before the command's end was told ({why}); what it \
                     has done is unknown"
                ))
            }
        })
    }
}

/// Why the end of a command is not known.
enum Lost {
    Refused,
    Late,
    Connection,
}

async fn follow(
    channel: &mut Channel<client::Msg>,
    limit: usize,
    deadline: Instant,
) -> Result<Ended, Lost> {
    let mut ended = Ended::default();
    let (mut until, mut exit) = (deadline, None);
    loop {
        let message = match timeout_at(until, channel.wait()).await {
            Ok(Some(message)) => message,
            Ok(None) => break,
            Err(_elapsed) if exit.is_some() => break,
            Err(_elapsed) => return Err(Lost::Late),
        };
        match message {
            ChannelMsg::Data { data } => ended.stdout.push(&data, limit),
            ChannelMsg::ExtendedData { data, ext: 1 } => ended.stderr.push(&data, limit),
            ChannelMsg::ExitStatus { exit_status } => exit = Some(Exit::Code(exit_status)),
            ChannelMsg::ExitSignal { signal_name, .. } => {
                exit = Some(Exit::Signal(match signal_name {
                    Sig::Custom(name) => name,
                    known => format!("{known:?}"),
                }));
            }
            ChannelMsg::Failure if exit.is_none() => return Err(Lost::Refused),
            ChannelMsg::Close => break,
            _ => {}
        }
        if exit.is_some() {
            until = until.min(Instant::now() + LAST_WORDS);
        }
    }
    ended.exit = exit.ok_or(Lost::Connection)?;
    Ok(ended)
}

/// Asks the host to kill the command, and waits until it tells of its end. OpenSSH does that
/// from 7.9 on, but not for root.
async fn kill(channel: &mut Channel<client::Msg>) {
    channel.signal(Sig::KILL).await.ok();
    while let Some(message) = channel.wait().await {
        if matches!(
            message,
            ChannelMsg::ExitSignal { .. } | ChannelMsg::ExitStatus { .. } | ChannelMsg::Close
        ) {
            return;
        }
    }
}

/// Says good-bye; the library closes the connection once it is unused.
async fn leave(handle: &Handle<Witness>) {
    let goodbye = handle.disconnect(Disconnect::ByApplication, "", "");
    goodbye.await.ok();
}

fn settings(records: &Records) -> client::Config {
    let certificates = if records.has_authorities() {
        HOST_KEYS.to_vec()
    } else {
        Vec::new()
    };
    client::Config {
        client_id: SshId::Standard("SSH-2.0-Conche".into()),
        preferred: Preferred {
            key: records.preferred(&HOST_KEYS).into(),
            host_key_certificates: certificates.into(),
            ..Preferred::DEFAULT
        },
        keepalive_interval: Some(KEEPALIVE),
        inactivity_timeout: Some(GONE),
        ..client::Config::default()
    }
}

/// No key exchange came about.
fn not_connected(error: &russh::Error) -> Error {
    let message = format!("no SSH connection: {error}");
    match error {
        russh::Error::NoCommonAlgo { .. }
        | russh::Error::Version
        | russh::Error::UnknownKey
        | russh::Error::WrongServerSig
        | russh::Error::PacketAuth => Error::Permanent(message),
        _ => Error::retry(message),
    }
}

fn not_opened(error: &russh::Error) -> Error {
    let message = format!("the host opened no channel: {error}");
    match error {
        russh::Error::ChannelOpenFailure(ChannelOpenFailure::ResourceShortage) => {
            Error::retry(message)
        }
        russh::Error::ChannelOpenFailure(_) => Error::Permanent(message),
        _ => Error::retry(message),
    }
}
