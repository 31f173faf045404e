//! `mqtt`: messages of an MQTT broker's topics, with QoS 1.
//!
//! At-least-once: a message is acknowledged after its event is on disk, and the broker keeps
//! the session while we are away (with MQTT 5 for a week). MQTT gives messages no id, so one
//! that is delivered again is a second event unless `id_from` names an id in it or `digest`
//! makes one of its topic and bytes. While events cannot be stored at most `window` messages
//! are held and none is acknowledged. What was received on a connection that broke is
//! forgotten and comes again: an acknowledgement on the next one could mean another message.
//! What cannot be decoded is acknowledged, since a broker has no other place for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use conche_runtime::supervisor::{BoxError, Stop};
use futures_util::FutureExt as _;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use super::delivery::{
    Decoded, Delivery, Entrance, Envelope, Fate, Format, Naming, Payload, Rejects, Subscription,
    consume,
};
use crate::clients::mqtt::{Broker, BrokerConfig, Error, Happening, Link as Wire, Message};
use crate::clients::mqtt::{Receipt, Speaker, Use};
use crate::intake::Intake;
use crate::source::{Source, SourceModule};
use crate::{BuildContext, BuildError, config as settings};

pub(super) static MODULE: SourceModule = SourceModule {
    name: "mqtt",
    summary: "Messages of an MQTT broker's topics.",
    events: &[],
    config: settings::schema::<Config>,
    build,
};

/// Saying good-bye takes no longer.
const LEAVE: Duration = Duration::from_secs(1);

/// Settings of an `mqtt` source.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Where the broker is and who we are there.
    broker: BrokerConfig,
    /// The topics, with `+` and `#` as MQTT has them.
    topics: Vec<String>,
    /// The name of our session at the broker: no two clients may share one.
    client_id: String,
    /// The most messages held unacknowledged, 1 to 1000. Default: 100.
    #[serde(default = "default_window")]
    window: u16,
    /// Whether a message's id is a digest of its topic and bytes, so that equal messages are
    /// one event. Default: false.
    #[serde(default)]
    digest: bool,
    /// The type of the events. Default: none; this or `event_type_from` must be there.
    #[serde(default)]
    event_type: Option<String>,
    /// JSON Pointer to the type in the data. Default: none.
    #[serde(default)]
    event_type_from: Option<String>,
    /// JSON Pointer to the id in the data. Default: none, or the `digest`.
    #[serde(default)]
    id_from: Option<String>,
    /// JSON Pointer to the subject in the data. Default: the topic.
    #[serde(default)]
    subject_from: Option<String>,
    /// `json`, or `text` for any text. Default: `json`.
    #[serde(default)]
    payload: Payload,
    /// The type of the event that is made of what cannot be decoded. Default: none, it is
    /// counted, told in the log and left out.
    #[serde(default)]
    invalid_event_type: Option<String>,
}

fn default_window() -> u16 {
    100
}

struct Mqtt {
    id: String,
    broker: Broker,
    topics: Vec<String>,
    how: Use,
    digest: bool,
    format: Format,
    rejects: Rejects,
    /// Whether these topics were asked for since the start: the configuration may have changed
    /// before it. Asking again would make the broker send retained messages again.
    subscribed: AtomicBool,
}

fn build(id: &str, config: Value, cx: &BuildContext) -> Result<Arc<dyn Source>, BuildError> {
    let place = format!("sources.{id}");
    let config: Config = settings::read(&place, config)?;
    let wrong = |message: &str| settings::error(&place, message);
    for name in Broker::secret_names(&config.broker) {
        name.check(&place, &cx.secrets)?;
    }
    let proper = |topic: &String| rumqttc::valid_filter(topic);
    if config.topics.is_empty() || config.topics.len() > 100 || !config.topics.iter().all(proper) {
        return Err(wrong("`topics` takes 1 to 100 topic filters of MQTT"));
    }
    if !(1..=1000).contains(&config.window) || config.client_id.trim().is_empty() {
        return Err(wrong(
            "`window` is from 1 to 1000, and `client_id` not empty",
        ));
    }
    let naming = Naming {
        event_type: config.event_type,
        event_type_from: config.event_type_from,
        id_from: config.id_from,
        subject_from: config.subject_from,
        invalid_event_type: config.invalid_event_type,
        payload: config.payload,
    };
    let broker = Broker::new(config.broker, cx.secrets.clone());
    Ok(Arc::new(Mqtt {
        id: id.to_owned(),
        broker: broker.map_err(|error| wrong(&error.to_string()))?,
        topics: config.topics,
        how: Use {
            client_id: config.client_id,
            keeps_session: true,
            window: config.window.max(50),
        },
        digest: config.digest,
        format: Format::new(naming, cx.json).map_err(|message| wrong(&message))?,
        rejects: Rejects::new(id),
        subscribed: AtomicBool::new(false),
    }))
}

#[async_trait]
impl Source for Mqtt {
    async fn run(&self, intake: Arc<dyn Intake>, stop: Stop) -> Result<(), BoxError> {
        let entrance = Entrance {
            source: &self.id,
            intake: &*intake,
            stop: &stop,
            rejects: &self.rejects,
        };
        consume(self, &entrance).await;
        Ok(())
    }
}

/// A connection and what came by it.
struct Link {
    speaker: Speaker,
    wire: Wire,
    held: Vec<Message>,
    /// Polling the wire once more would connect anew.
    is_broken: bool,
    /// The broker has our session, with the topics in it.
    is_reading: bool,
}

#[async_trait]
impl Subscription for Mqtt {
    type Link = Link;
    type Receipt = Receipt;
    type Error = Error;

    /// The wire connects when it is polled first. What comes before the topics are granted is
    /// held.
    async fn open(&self) -> Result<Link, Error> {
        let (speaker, wire) = self.broker.link(&self.how)?;
        let mut link = Link {
            speaker,
            wire,
            held: Vec::new(),
            is_broken: false,
            is_reading: false,
        };
        while !link.is_reading && !self.is_full(&link) {
            let happened = link.wire.poll().await;
            self.note(&mut link, happened)?;
        }
        Ok(link)
    }

    async fn take(&self, link: &mut Link) -> Result<Vec<Delivery<Receipt>>, Error> {
        loop {
            // Acknowledgements go out here as well, also while more is held already.
            while !self.is_full(link)
                && let Some(happened) = link.wire.poll().now_or_never()
            {
                self.note(link, happened)?;
            }
            if !link.held.is_empty() {
                let held = std::mem::take(&mut link.held);
                return Ok(held.into_iter().map(|one| self.delivery(one)).collect());
            }
            let happened = link.wire.poll().await;
            self.note(link, happened)?;
        }
    }

    /// While the window is full nothing is read, not even the answer to a ping.
    async fn attend(&self, link: &mut Link) -> Error {
        while !self.is_full(link) {
            let happened = link.wire.poll().await;
            if let Err(error) = self.note(link, happened) {
                return error;
            }
        }
        std::future::pending().await
    }

    fn decode(&self, entrance: &Entrance<'_>, bytes: &[u8], envelope: Envelope) -> Decoded {
        entrance.decode(&self.format, bytes, envelope)
    }

    async fn settle(&self, link: &mut Link, settled: Vec<(Receipt, Fate)>) -> Result<(), Error> {
        let mut receipts = settled.iter().map(|(receipt, _)| receipt);
        receipts.try_for_each(|receipt| link.speaker.acknowledge(receipt))
    }

    /// Sends the acknowledgements that wait, and says good-bye. What cannot be sent any more
    /// is delivered again.
    async fn close(&self, mut link: Link) {
        if link.is_broken || link.speaker.leave().is_err() {
            return;
        }
        let left =
            async { while !matches!(link.wire.poll().await, Ok(Happening::Left) | Err(_)) {} };
        timeout(LEAVE, left).await.ok();
    }
}

impl Mqtt {
    fn is_full(&self, link: &Link) -> bool {
        link.held.len() >= usize::from(self.how.window)
    }

    /// Takes note of what happened to the connection.
    fn note(&self, link: &mut Link, happened: Result<Happening, Error>) -> Result<(), Error> {
        link.is_broken = happened.is_err();
        match happened? {
            Happening::Message(message) => link.held.push(message),
            Happening::Connected { session_present } => {
                tracing::info!(source = %self.id, session_present, "connected");
                if session_present && self.subscribed.load(Ordering::Relaxed) {
                    link.is_reading = true;
                } else {
                    link.speaker.subscribe(&self.topics)?;
                }
            }
            Happening::Subscribed { refused: true } => return Err(Error::Subscription),
            Happening::Subscribed { refused: false } => {
                self.subscribed.store(true, Ordering::Relaxed);
                link.is_reading = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn delivery(&self, message: Message) -> Delivery<Receipt> {
        Delivery {
            envelope: Envelope {
                id: self.digest.then(|| digest(&message)),
                subject: Some(message.topic),
            },
            bytes: message.payload,
            receipt: message.receipt,
        }
    }
}

fn digest(message: &Message) -> String {
    let mut hash = Sha256::new();
    hash.update((message.topic.len() as u64).to_be_bytes());
    hash.update(message.topic.as_bytes());
    hash.update(&message.payload);
    uuid::Uuid::from_slice(&hash.finalize()[..16])
        .map_or_else(|_| String::new(), |id| id.to_string())
}
