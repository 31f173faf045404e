//! Fins of SOARCA 1: commands and results over one connection to an MQTT broker.
//!
//! What is certain and what is not: a command that found no connection, or that the fin nacked,
//! had no effect and may be repeated. Once it was handed to the connection only the fin can
//! say, and where it does not nobody knows: a broker takes messages for topics that nobody
//! reads. The fin's library does one command at a time and says that it has one when it begins,
//! so that silence while another one is under way means nothing.

mod calls;
pub(super) mod line;
mod wire;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use conche_runtime::secrets::{Receiver, Secrets};
use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};

use self::calls::{Calls, Reply, Waiting};
use self::wire::{CONTROL, Envelope, Ids, Outcome};
use super::authentication::Unsealed;
use super::{Done, Work};
use crate::action::Error;
use crate::clients::mqtt::{Broker, BrokerConfig, Error as BrokerError};

/// Ids of our own messages that are remembered, to know them when they come back.
const OWN_MAX: usize = 256;

/// What a topic and MQTT itself add to a message, at most.
const OVERHEAD: usize = 1024;

/// The time that a fin has to answer an order.
const ORDER: Duration = Duration::from_secs(10);

/// How long a connection is waited for by what is not a command.
const CONNECTED: Duration = Duration::from_secs(2);

/// The fins at one broker.
pub(super) struct Mqtt {
    broker: Broker,
    packet_bytes: usize,
    secrets: Arc<Secrets>,
    calls: Calls,
    line: watch::Sender<Line>,
    own: Mutex<VecDeque<String>>,
}

/// The connection.
#[derive(Debug, Clone)]
enum Line {
    /// Not there, for this reason.
    Down(String),
    /// What is put in here goes out.
    Up(mpsc::Sender<Outgoing>),
}

/// A message to a topic.
#[derive(Debug)]
struct Outgoing {
    topic: String,
    payload: Bytes,
    command: Option<Handing>,
}

/// What is to be known of a command's way.
#[derive(Debug)]
struct Handing {
    /// By which the broker's refusal is told.
    message_id: String,
    /// Given just before the library gets it, which it does not where nobody waits any more;
    /// dropped, it was certainly not sent.
    handed: oneshot::Sender<()>,
}

/// What an operator tells a fin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Take no commands for now.
    Pause,
    /// Take commands again.
    Resume,
    /// End.
    Stop,
    /// Say how it is.
    Progress,
}

impl Order {
    fn word(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Stop => "stop",
            Self::Progress => "progress",
        }
    }
}

impl Mqtt {
    /// Checks what can be checked without the network.
    pub(super) fn new(config: BrokerConfig, secrets: Arc<Secrets>) -> Result<Self, BrokerError> {
        let down = "there is no connection yet".to_owned();
        Ok(Self {
            packet_bytes: config.packet_bytes.length(),
            broker: Broker::new(config, secrets.clone())?,
            secrets,
            calls: Calls::default(),
            line: watch::Sender::new(Line::Down(down)),
            own: Mutex::default(),
        })
    }

    /// Has a fin carry out a command.
    pub(super) async fn carry_out(&self, capability: &str, work: &Work<'_>) -> Result<Done, Error> {
        let sender = self.connected(work.deadline).await.map_err(Error::retry)?;
        let message_id = work.id().to_string();
        let ids = Ids {
            execution_id: work.call.run.to_string(),
            step_id: work.input.context.step_id.clone(),
            generated_on: Some(work.clock.now().to_string()),
        };
        let fin = Receiver::Fin {
            capability: capability.to_owned(),
            broker: Some(self.broker.host()),
        };
        let payload = self.message((&message_id, fin), &ids, work)?;
        let mut waiting = self.calls.begin(&message_id, capability, Some(ids));
        let (handed, was_handed) = oneshot::channel();
        let outgoing = Outgoing {
            topic: capability.to_owned(),
            payload,
            command: Some(Handing { message_id, handed }),
        };
        hand(&sender, outgoing, was_handed, work.deadline).await?;
        let reply = self.answer(capability, &mut waiting, work).await?;
        self.settle(capability, reply)
    }

    /// The command with the credentials of what it acts on.
    fn message(
        &self,
        (message_id, fin): (&str, Receiver),
        ids: &Ids,
        work: &Work<'_>,
    ) -> Result<Bytes, Error> {
        let command = &work.input.command;
        let text = command.command.as_ref().or(command.content.as_ref());
        let text = text.ok_or_else(|| {
            Error::permanent("the command has no text, and an MQTT fin takes no other")
        })?;
        let known = work.input.authentication();
        let known = known.map(|known| Unsealed::read(known, &self.secrets, fin));
        let envelope = Envelope {
            message_id,
            execution_id: &ids.execution_id,
            generated_on: ids.generated_on.as_deref().unwrap_or_default(),
            timeout: work.seconds_left(),
            authentication: known
                .transpose()?
                .map_or(Value::Null, |known| known.to_library()),
        };
        let message = wire::command(&work.input, text, envelope).to_string();
        if message.len() + OVERHEAD > self.packet_bytes {
            return Err(Error::Permanent(format!(
                "the command with its variables is above `mqtt.packet_bytes`, {} bytes",
                self.packet_bytes
            )));
        }
        Ok(message.into())
    }

    /// Waits for what came of a command that was handed over, as long as there is hope.
    async fn answer(
        &self,
        capability: &str,
        waiting: &mut Waiting<'_>,
        work: &Work<'_>,
    ) -> Result<Reply, Error> {
        loop {
            let is_taken = self.calls.is_taken(&waiting.message_id);
            let silent = self.calls.silent_since(capability, &waiting.message_id);
            let until = if is_taken {
                work.deadline
            } else {
                work.deadline.min(silent + work.ack_within)
            };
            if until <= Instant::now() {
                return Err(unanswered(capability, is_taken));
            }
            match timeout_at(until, &mut waiting.reply).await {
                Ok(Ok(reply)) => return Ok(reply),
                Ok(Err(_)) => return Err(Error::Uncertain("the fin's answer was lost".to_owned())),
                // It may have been heard of meanwhile.
                Err(_elapsed) => {}
            }
        }
    }

    fn settle(&self, capability: &str, reply: Reply) -> Result<Done, Error> {
        match reply {
            Reply::Result(outcome) if outcome.state == "success" => Ok(Done {
                variables: values(outcome),
                target_results: None,
            }),
            Reply::Result(outcome) => {
                let state = outcome.state.clone();
                let said = Value::Object(values(outcome)).to_string();
                let message =
                    format!("the fin with the capability `{capability}` reports `{state}`: {said}");
                Err(Error::Permanent(super::quote(
                    &message,
                    &self.secrets.masker(),
                )))
            }
            Reply::Nacked => Err(Error::retry(format!(
                "the fin with the capability `{capability}` refuses the command; it may be paused"
            ))),
            Reply::Refused(reason) => Err(Error::Permanent(format!(
                "the broker does not carry messages to `{capability}`: {reason}"
            ))),
            // A command is answered by its result.
            Reply::Acked => Err(Error::Uncertain("the fin gave no result".to_owned())),
        }
    }

    /// Tells the fin of a capability something and waits for its answer.
    pub(super) async fn order(
        &self,
        capability: &str,
        order: Order,
    ) -> Result<(), super::service::Error> {
        use super::service::Error;
        let within = Instant::now() + CONNECTED;
        let sender = self.connected(within).await.map_err(Error::Unreachable)?;
        let message_id = uuid::Uuid::now_v7().to_string();
        let mut waiting = self.calls.begin(&message_id, capability, None);
        let message = wire::order(order.word(), &message_id, capability);
        send(&sender, capability, &message).await?;
        match timeout(ORDER, &mut waiting.reply).await {
            Ok(Ok(Reply::Acked)) => Ok(()),
            Ok(Ok(_)) => Err(Error::Refused),
            _ => Err(Error::Unanswered),
        }
    }

    /// Tells fins that they are no longer registered. Those that do not listen need not know.
    pub(super) async fn dismiss(
        &self,
        fin_id: &str,
        capabilities: &[String],
    ) -> Result<(), super::service::Error> {
        let within = Instant::now() + CONNECTED;
        let sender = self.connected(within).await;
        let sender = sender.map_err(super::service::Error::Unreachable)?;
        // The library looks at the capability alone.
        let all = capabilities.iter().map(|one| (Some(one.as_str()), None));
        for (capability, fin) in all.chain([(None, Some(fin_id))]) {
            let message_id = uuid::Uuid::now_v7().to_string();
            self.remember(&message_id);
            let message = wire::unregister(&message_id, capability, fin);
            send(&sender, CONTROL, &message).await?;
        }
        Ok(())
    }

    /// Waits for the connection; else why there is none.
    async fn connected(&self, until: Instant) -> Result<mpsc::Sender<Outgoing>, String> {
        let mut line = self.line.subscribe();
        loop {
            let reason = match line.borrow_and_update().clone() {
                Line::Up(sender) if !sender.is_closed() => return Ok(sender),
                Line::Up(_) => "the connection broke".to_owned(),
                Line::Down(reason) => reason,
            };
            if !matches!(timeout_at(until, line.changed()).await, Ok(Ok(()))) {
                return Err(format!("the broker of the fins: {reason}"));
            }
        }
    }

    fn remember(&self, message_id: &str) {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.push_back(message_id.to_owned());
        if own.len() > OWN_MAX {
            own.pop_front();
        }
    }

    fn is_own(&self, message_id: &str) -> bool {
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.iter().any(|known| known == message_id)
    }
}

/// Hands a command to the connection; an error means that it was certainly not sent.
async fn hand(
    sender: &mpsc::Sender<Outgoing>,
    outgoing: Outgoing,
    mut was_handed: oneshot::Receiver<()>,
    deadline: Instant,
) -> Result<(), Error> {
    let sent = async { sender.send(outgoing).await.is_ok() && (&mut was_handed).await.is_ok() };
    let is_handed = match timeout_at(deadline, sent).await {
        Ok(is_handed) => is_handed,
        Err(_elapsed) => {
            // From here on the connection leaves it out; it may just have taken it.
            was_handed.close();
            was_handed.try_recv().is_ok()
        }
    };
    let broke = "the connection to the broker broke before the command was sent";
    if is_handed {
        Ok(())
    } else {
        Err(Error::retry(broke))
    }
}

fn unanswered(capability: &str, is_taken: bool) -> Error {
    let what = if is_taken {
        "took the command and gave no result in time"
    } else {
        "did not say that it took the command"
    };
    Error::Uncertain(format!("the fin with the capability `{capability}` {what}"))
}

async fn send(
    sender: &mpsc::Sender<Outgoing>,
    topic: &str,
    message: &Value,
) -> Result<(), super::service::Error> {
    let outgoing = Outgoing {
        topic: topic.to_owned(),
        payload: message.to_string().into(),
        command: None,
    };
    let broke = |_| super::service::Error::Unreachable("the connection broke".to_owned());
    sender.send(outgoing).await.map_err(broke)
}

/// The values of the variables that a fin sets.
fn values(outcome: Outcome) -> Map<String, Value> {
    let all = outcome.variables.unwrap_or_default().into_iter();
    all.map(|(name, set)| (name, set.value)).collect()
}
