//! The one connection to the broker: registrations come in, answers go out.
//!
//! Each break is followed by a new connection that asks for all topics again; what was handed
//! to a connection that broke is never sent by the next one, so that a command cannot go out
//! after it was given up. What is waited for goes on being waited for: the fin may have it.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use conche_runtime::supervisor::Stop;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::calls::Fate;
use super::wire::{self, CONTROL, Incoming, Register, Results, Undecodable, Unregister};
use super::{Handing, Line, Mqtt, Outgoing};
use crate::clients::backoff::Reconnects;
use crate::clients::mqtt::{Error, Happening, Link, Message, Speaker, Use};
use crate::commands::fin::registry::Refused;
use crate::commands::fin::service::Service;

/// Messages that wait for the connection; further senders wait.
const WAITING: usize = 256;

/// The most messages unacknowledged, and half the requests that wait for the connection: there
/// are no more capabilities to ask for at once than these.
const WINDOW: u16 = u16::MAX;

/// Saying good-bye takes no longer.
const LEAVE: Duration = Duration::from_secs(1);

/// Serves fins until asked to stop, over one connection after the other.
pub(in crate::commands::fin) async fn serve(service: &Service, mqtt: &Mqtt, stop: &Stop) {
    let mut waits = Reconnects::default();
    while !stop.is_requested() {
        let (error, stood) = match connect(service, mqtt) {
            Ok((mut connection, mut link)) => {
                let ended = connection.run(&mut link, stop).await;
                let Err(error) = ended else { break };
                (error, connection.stood)
            }
            Err(error) => (error, false),
        };
        if stood {
            waits.reset();
        }
        let wait = waits.next();
        let reason = mqtt.secrets.masker().mask(&error.to_string()).into_owned();
        tracing::warn!(error = %reason, wait = ?wait, "the broker of the fins is tried again");
        mqtt.line.send_replace(Line::Down(reason));
        tokio::select! {
            () = stop.requested() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
    let over = "Conche is stopping".to_owned();
    mqtt.line.send_replace(Line::Down(over));
}

fn connect<'a>(service: &'a Service, mqtt: &'a Mqtt) -> Result<(Connection<'a>, Link), Error> {
    let how = Use {
        client_id: format!("conche-fins-{}", uuid::Uuid::now_v7().simple()),
        keeps_session: false,
        window: WINDOW,
    };
    let (speaker, link) = mqtt.broker.link(&how)?;
    let connection = Connection {
        service,
        mqtt,
        speaker,
        asked: VecDeque::new(),
        handed: VecDeque::new(),
        in_flight: HashMap::new(),
        stood: false,
    };
    Ok((connection, link))
}

struct Connection<'a> {
    service: &'a Service,
    mqtt: &'a Mqtt,
    speaker: Speaker,
    /// Topics that the broker has not granted yet, in order.
    asked: VecDeque<String>,
    /// What the library has not sent yet, in order: the command's message id, if it is one.
    handed: VecDeque<Option<String>>,
    /// Commands that the broker has not confirmed.
    in_flight: HashMap<u16, String>,
    /// Whether the broker has let us in.
    stood: bool,
}

impl Connection<'_> {
    async fn run(&mut self, link: &mut Link, stop: &Stop) -> Result<(), Error> {
        let (sender, mut outgoing) = mpsc::channel(WAITING);
        loop {
            tokio::select! {
                biased;
                () = stop.requested() => {
                    self.leave(link).await;
                    return Ok(());
                }
                happened = link.poll() => self.note(happened?, &sender).await?,
                Some(message) = outgoing.recv(), if self.stood => self.send(message)?,
            }
        }
    }

    async fn note(
        &mut self,
        happened: Happening,
        sender: &mpsc::Sender<Outgoing>,
    ) -> Result<(), Error> {
        match happened {
            Happening::Connected { .. } => {
                self.stood = true;
                self.subscribe(vec![CONTROL.to_owned()])?;
                self.subscribe(self.service.registry.topics())?;
            }
            Happening::Subscribed { refused } => self.granted(refused, sender)?,
            Happening::Sent(number) => {
                if let Some(Some(command)) = self.handed.pop_front() {
                    self.in_flight.insert(number, command);
                }
            }
            Happening::Taken { number, refusal } => {
                let command = self.in_flight.remove(&number);
                if let Some((command, reason)) = command.zip(refusal) {
                    self.mqtt.calls.refused(&command, reason);
                }
            }
            Happening::Message(message) => {
                self.take(&message).await?;
                self.speaker.acknowledge(&message.receipt)?;
            }
            Happening::Left | Happening::Other => {}
        }
        Ok(())
    }

    fn granted(&mut self, refused: bool, sender: &mpsc::Sender<Outgoing>) -> Result<(), Error> {
        let Some(topic) = self.asked.pop_front() else {
            return Ok(());
        };
        match (topic == CONTROL, refused) {
            (true, true) => return Err(Error::Subscription),
            (true, false) => {
                tracing::info!("connected to the broker of the fins");
                self.mqtt.line.send_replace(Line::Up(sender.clone()));
            }
            (false, true) => {
                tracing::warn!(capability = %topic, "the broker does not let us read what the fin answers");
            }
            (false, false) => {}
        }
        Ok(())
    }

    fn subscribe(&mut self, topics: Vec<String>) -> Result<(), Error> {
        self.speaker.subscribe(&topics)?;
        self.asked.extend(topics);
        Ok(())
    }

    fn send(&mut self, message: Outgoing) -> Result<(), Error> {
        let mut command = None;
        if let Some(Handing { message_id, handed }) = message.command {
            if handed.send(()).is_err() {
                // It was given up: its step may be repeated, so it must not go out.
                return Ok(());
            }
            command = Some(message_id);
        }
        self.speaker
            .publish(&message.topic, message.payload, false)?;
        self.handed.push_back(command);
        Ok(())
    }

    fn answer(&mut self, topic: &str, message: &Value) -> Result<(), Error> {
        self.send(Outgoing {
            topic: topic.to_owned(),
            payload: Bytes::from(message.to_string()),
            command: None,
        })
    }

    async fn leave(&mut self, link: &mut Link) {
        if self.stood && self.speaker.leave().is_ok() {
            let left =
                async { while !matches!(link.poll().await, Ok(Happening::Left) | Err(_)) {} };
            timeout(LEAVE, left).await.ok();
        }
    }

    /// Does what a message asks for.
    async fn take(&mut self, message: &Message) -> Result<(), Error> {
        let topic = message.topic.as_str();
        match wire::decode(&message.payload) {
            Ok(incoming) if topic == CONTROL => self.control(incoming).await,
            Ok(incoming) => self.reply(topic, incoming),
            Err(Undecodable { message_id, reason }) => {
                tracing::warn!(topic, reason, "a message of a fin makes no sense");
                match message_id {
                    Some(id) => self.answer(topic, &wire::nack(&id)),
                    None => Ok(()),
                }
            }
        }
    }

    /// A message on the topic on which fins come and go.
    async fn control(&mut self, incoming: Incoming) -> Result<(), Error> {
        match incoming {
            Incoming::Register(register) => self.register(*register).await,
            Incoming::Unregister(unregister) => self.unregister(unregister).await,
            // Acknowledgements on this topic are for others, or say what we need not know.
            _ => Ok(()),
        }
    }

    async fn register(&mut self, register: Register) -> Result<(), Error> {
        let message_id = register.message_id.clone();
        let fin = register.registration(self.service.clock.now());
        let topics = fin.capabilities.iter().map(|one| one.id.clone()).collect();
        let fin_id = fin.fin_id.clone();
        match self.service.registry.put(fin) {
            Ok(()) => {
                tracing::info!(fin = %fin_id, capabilities = ?topics, "a fin has registered");
                self.service.state.save(&self.service.registry).await;
                self.subscribe(topics)?;
                self.answer(&fin_id, &wire::ack(&message_id))
            }
            Err(refused) => {
                tracing::warn!(fin = %fin_id, reason = %refused, "a fin is not registered");
                // Its id may be no topic.
                let topic = match refused {
                    Refused::Full => fin_id.as_str(),
                    Refused::Unfit(_) => CONTROL,
                };
                self.answer(topic, &wire::nack(&message_id))
            }
        }
    }

    async fn unregister(&mut self, asked: Unregister) -> Result<(), Error> {
        if self.mqtt.is_own(&asked.message_id) {
            return Ok(());
        }
        tracing::info!(fin = ?asked.fin_id, capability = ?asked.capability_id, all = asked.all, "unregistered");
        self.service
            .unregister(asked.fin_id, asked.capability_id, asked.all);
        self.service.state.save(&self.service.registry).await;
        self.answer(CONTROL, &wire::ack(&asked.message_id))
    }

    /// A message on a capability's topic.
    fn reply(&mut self, capability: &str, incoming: Incoming) -> Result<(), Error> {
        let calls = &self.mqtt.calls;
        let (heard, progress) = match incoming {
            Incoming::Ack(id) => (calls.ack(capability, &id), None),
            Incoming::Nack(id) => (calls.nack(capability, &id), None),
            Incoming::Result(results) => {
                self.result(capability, *results)?;
                (true, None)
            }
            Incoming::Status(progress) => {
                calls.status(capability);
                (true, Some(progress))
            }
            Incoming::Ours | Incoming::Register(_) | Incoming::Unregister(_) => (false, None),
        };
        if heard {
            let now = self.service.clock.now();
            let registry = &self.service.registry;
            registry.touch_capability(capability, progress.as_deref(), now);
        }
        Ok(())
    }

    /// A result that nobody waits for is acknowledged as well: the library would send it again
    /// and again, and break over a refusal.
    fn result(&mut self, capability: &str, results: Results) -> Result<(), Error> {
        let (run, step) = {
            let context = &results.result.context;
            (context.execution_id.clone(), context.step_id.clone())
        };
        let fate = self.mqtt.calls.result(capability, results.result);
        if fate != Fate::Delivered {
            tracing::warn!(
                capability,
                run,
                step,
                ?fate,
                "nobody waits for a fin's result"
            );
        }
        self.answer(capability, &wire::ack(&results.message_id))
    }
}
