//! `mqtt`: messages of an MQTT broker's topics, with QoS 1.
//!
//! At-least-once: a message is acknowledged after its event is on disk, and the broker keeps
//! the session while we are away (with MQTT 5 for a week). MQTT gives messages no id, so one
//! that is delivered again is a second event unless `id_from` names an id in it or `digest`
//! makes one of its topic and bytes. While events cannot be stored at most `window` messages
//! are held and none is acknowledged. What was received on a connection that broke is
//! forgotten and comes again: an acknowledgement on the next one could mean another message.
//! What cannot be decoded is acknowledged, since a broker has no other place for it.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use conche_runtime::supervisor::{BoxError, Stop};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use super::delivery::{Entrance, Envelope, Format, Naming, Payload, Rejects, Stopping};
use crate::clients::backoff::Reconnects;
use crate::clients::mqtt::{Broker, BrokerConfig, Error, Happening, Link, Message, Receipt};
use crate::clients::mqtt::{Speaker, Use};
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
        let mut course = Course::default();
        while let Err(error) = self.session(&entrance, &mut course).await {
            let wait = course.waits.next();
            tracing::warn!(source = %self.id, %error, ?wait, "the broker is tried again");
            if entrance.pause(wait).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// What is known from one connection to the next.
#[derive(Default)]
struct Course {
    waits: Reconnects,
    /// Whether these topics were asked for since the start: the configuration may have changed
    /// before it. Asking again would make the broker send retained messages again.
    subscribed: bool,
}

/// Messages on their way to the store.
#[derive(Default)]
struct Work<'a> {
    held: Vec<Message>,
    storing: Option<Storing<'a>>,
}

type Storing<'a> = Pin<Box<dyn Future<Output = Result<Vec<Receipt>, Stopping>> + Send + 'a>>;

/// What ended one step.
enum Step {
    Happened(Happening),
    Stored,
    Stopping,
}

impl Mqtt {
    /// One connection from its beginning to its end; `Ok` where the source is to stop.
    async fn session(&self, entrance: &Entrance<'_>, course: &mut Course) -> Result<(), Error> {
        let (speaker, mut link) = self.broker.link(&self.how)?;
        let mut work = Work::default();
        loop {
            let step = tokio::select! {
                () = entrance.stop.requested() => Step::Stopping,
                step = self.step(&mut link, &mut work, &speaker, entrance) => step?,
            };
            let happening = match step {
                Step::Stopping => {
                    // What cannot be sent any more is delivered again.
                    timeout(LEAVE, leave(&speaker, &mut link, work)).await.ok();
                    return Ok(());
                }
                Step::Stored => continue,
                Step::Happened(happening) => happening,
            };
            match happening {
                Happening::Message(message) => work.held.push(message),
                Happening::Connected { session_present } => {
                    tracing::info!(source = %self.id, session_present, "connected");
                    if session_present && course.subscribed {
                        course.waits.reset();
                    } else {
                        speaker.subscribe(&self.topics)?;
                    }
                }
                Happening::Subscribed { refused: true } => return Err(Error::Subscription),
                Happening::Subscribed { refused: false } => {
                    course.subscribed = true;
                    course.waits.reset();
                }
                _ => {}
            }
        }
    }

    /// Waits for the connection, and meanwhile stores what came and acknowledges it: the wait
    /// for the connection is never given up for that. While the window is full nothing is
    /// read, not even the answer to a ping.
    async fn step<'a>(
        &'a self,
        link: &mut Link,
        work: &mut Work<'a>,
        speaker: &Speaker,
        entrance: &'a Entrance<'a>,
    ) -> Result<Step, Error> {
        let is_full = work.held.len() >= usize::from(self.how.window);
        let mut poll = pin!(link.poll());
        loop {
            if work.storing.is_none() && !work.held.is_empty() {
                let held = std::mem::take(&mut work.held);
                work.storing = Some(Box::pin(self.store(held, entrance)));
            }
            let stored = async {
                match work.storing.as_mut() {
                    Some(storing) => storing.await,
                    None => std::future::pending().await,
                }
            };
            let receipts = tokio::select! {
                happening = &mut poll, if !is_full => return Ok(Step::Happened(happening?)),
                stored = stored => stored,
            };
            work.storing = None;
            let Ok(receipts) = receipts else {
                return Ok(Step::Stopping);
            };
            for receipt in &receipts {
                speaker.acknowledge(receipt)?;
            }
            if is_full {
                return Ok(Step::Stored);
            }
        }
    }

    async fn store(
        &self,
        messages: Vec<Message>,
        entrance: &Entrance<'_>,
    ) -> Result<Vec<Receipt>, Stopping> {
        let (mut events, mut receipts) = (Vec::new(), Vec::new());
        for message in messages {
            let envelope = Envelope {
                id: self.digest.then(|| digest(&message)),
                subject: Some(message.topic),
            };
            let decoded = entrance.decode(&self.format, &message.payload, envelope);
            events.extend(decoded.map_or_else(|invalid| invalid, Some));
            receipts.push(message.receipt);
        }
        entrance.accept_usable(events, None).await?;
        Ok(receipts)
    }
}

/// Acknowledges what is being stored, and says good-bye.
async fn leave(speaker: &Speaker, link: &mut Link, work: Work<'_>) {
    let stored = match work.storing {
        Some(storing) => storing.await.unwrap_or_default(),
        None => Vec::new(),
    };
    let asked = stored.iter().try_for_each(|one| speaker.acknowledge(one));
    if asked.and_then(|()| speaker.leave()).is_ok() {
        while !matches!(link.poll().await, Ok(Happening::Left) | Err(_)) {}
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
