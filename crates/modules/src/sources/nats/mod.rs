//! `nats`: messages of a JetStream stream, or of plain subjects.
//!
//! From a stream, at-least-once: a durable pull consumer keeps our place at the server, and a
//! message is acknowledged after its event is on disk. Its id is the sender's `Nats-Msg-Id`,
//! else the stream with its time of creation and the message's number, so that it is one
//! event however often it is delivered. At most `window` messages are under way; while events
//! cannot be stored none is acknowledged and the server delivers them again. What cannot be
//! decoded is terminated: the server tells so and does not deliver it again.
//!
//! From plain subjects (`lossy_subjects`) nothing is promised: what is sent while we are away,
//! or faster than it is stored, is lost; the latter is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::{self, AckKind, Message};
use async_nats::{Client, HeaderMap, Subscriber};
use async_trait::async_trait;
use conche_runtime::supervisor::{BoxError, Stop};
use conche_runtime::units::Span;
use futures_util::StreamExt as _;
use futures_util::stream::{ReadyChunks, SelectAll, select_all};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout;

use super::delivery::{
    BATCH, Decoded, Delivery, Entrance, Envelope, Fate, Format, Naming, Payload, Rejects,
    Subscription, consume,
};
use crate::clients::nats::{Broker, BrokerConfig, Error, Slow};
use crate::intake::Intake;
use crate::source::{Source, SourceModule};
use crate::{BuildContext, BuildError, config as settings};

pub(super) static MODULE: SourceModule = SourceModule {
    name: "nats",
    summary: "Messages of a NATS JetStream stream, or of plain subjects.",
    events: &[],
    config: settings::schema::<Config>,
    build,
};

/// A server that says nothing for twice as long is asked anew.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Sending what waits to be sent, at the end, takes no longer.
const LEAVE: Duration = Duration::from_secs(1);

/// Settings of a `nats` source: `stream` and `durable`, or `lossy_subjects`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Where the servers are and who we are there.
    broker: BrokerConfig,
    /// The JetStream stream; it must be there. Default: none.
    #[serde(default)]
    stream: Option<String>,
    /// The name of our durable consumer, which is made where it is not there. Default: none.
    #[serde(default)]
    durable: Option<String>,
    /// The subject of the stream to read, with `*` and `>`. Default: all.
    #[serde(default)]
    filter_subject: Option<String>,
    /// Plain subjects to read instead of a stream, with `*` and `>`: messages can be lost.
    /// Default: none.
    #[serde(default)]
    lossy_subjects: Vec<String>,
    /// Sources with the same group share the messages of `lossy_subjects`. Default: none.
    #[serde(default)]
    queue_group: Option<String>,
    /// The most messages under way unacknowledged, 1 to 10000. Default: 200.
    #[serde(default = "default_window")]
    window: u16,
    /// A message that is not acknowledged for so long is delivered again. Default: 30s.
    #[serde(default = "default_ack_wait")]
    ack_wait: Span,
    /// The type of the events. Default: none; this or `event_type_from` must be there.
    #[serde(default)]
    event_type: Option<String>,
    /// JSON Pointer to the type in the data. Default: none.
    #[serde(default)]
    event_type_from: Option<String>,
    /// JSON Pointer to the id in the data. Default: `Nats-Msg-Id`, else the number in the stream.
    #[serde(default)]
    id_from: Option<String>,
    /// JSON Pointer to the subject in the data. Default: the message's subject.
    #[serde(default)]
    subject_from: Option<String>,
    /// `json`, or `text` for any text. Default: `json`.
    #[serde(default)]
    payload: Payload,
    /// The type of the event that is made of what cannot be decoded, which is then
    /// acknowledged. Default: none, it is terminated.
    #[serde(default)]
    invalid_event_type: Option<String>,
}

fn default_window() -> u16 {
    200
}

fn default_ack_wait() -> Span {
    Span::from_secs(30)
}

struct Nats {
    id: String,
    broker: Broker,
    reading: Reading,
    format: Format,
    rejects: Rejects,
    /// Messages of plain subjects that came faster than they were stored.
    dropped: Arc<AtomicU64>,
}

/// What is read.
enum Reading {
    Stream {
        name: String,
        consumer: Box<pull::Config>,
    },
    Subjects {
        subjects: Vec<String>,
        group: Option<String>,
        window: usize,
    },
}

fn build(id: &str, config: Value, cx: &BuildContext) -> Result<Arc<dyn Source>, BuildError> {
    let place = format!("sources.{id}");
    let config: Config = settings::read(&place, config)?;
    let wrong = |message: &str| settings::error(&place, message);
    for name in Broker::secret_names(&config.broker) {
        name.check(&place, &cx.secrets)?;
    }
    let reading = reading(&config).map_err(wrong)?;
    let naming = Naming {
        event_type: config.event_type,
        event_type_from: config.event_type_from,
        id_from: config.id_from,
        subject_from: config.subject_from,
        invalid_event_type: config.invalid_event_type,
        payload: config.payload,
    };
    let broker = Broker::new(config.broker, cx.secrets.clone());
    Ok(Arc::new(Nats {
        id: id.to_owned(),
        broker: broker.map_err(|error| wrong(&error.to_string()))?,
        reading,
        format: Format::new(naming, cx.json).map_err(|message| wrong(&message))?,
        rejects: Rejects::new(id),
        dropped: Arc::default(),
    }))
}

fn reading(config: &Config) -> Result<Reading, &'static str> {
    if !(1..=10_000).contains(&config.window) {
        return Err("`window` is from 1 to 10000");
    }
    match (&config.stream, &config.durable) {
        (Some(stream), Some(durable)) if config.lossy_subjects.is_empty() => Ok(Reading::Stream {
            name: stream.clone(),
            consumer: Box::new(pull::Config {
                durable_name: Some(durable.clone()),
                ack_policy: AckPolicy::Explicit,
                ack_wait: config.ack_wait.duration(),
                max_ack_pending: i64::from(config.window),
                filter_subject: config.filter_subject.clone().unwrap_or_default(),
                ..pull::Config::default()
            }),
        }),
        (None, None) if !config.lossy_subjects.is_empty() => Ok(Reading::Subjects {
            subjects: config.lossy_subjects.clone(),
            group: config.queue_group.clone(),
            window: usize::from(config.window),
        }),
        _ => Err("write `stream` and `durable`, or `lossy_subjects` alone"),
    }
}

#[async_trait]
impl Source for Nats {
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

/// A connection and what is read by it.
struct Link {
    client: Client,
    messages: Messages,
}

enum Messages {
    Stream {
        /// What makes a number of the stream an id.
        prefix: String,
        messages: Box<ReadyChunks<pull::Stream>>,
    },
    Subjects(ReadyChunks<SelectAll<Subscriber>>),
}

#[async_trait]
impl Subscription for Nats {
    type Link = Link;
    /// A message of plain subjects has none.
    type Receipt = Option<Message>;
    type Error = Error;

    async fn open(&self) -> Result<Link, Error> {
        let (client, messages) = match &self.reading {
            Reading::Stream { name, consumer } => {
                let client = self.broker.connect(&self.id, None).await?;
                let messages = self.stream(&client, name, consumer).await?;
                (client, messages)
            }
            Reading::Subjects {
                subjects,
                group,
                window,
            } => {
                let slow = Slow {
                    window: *window,
                    dropped: self.dropped.clone(),
                };
                let client = self.broker.connect(&self.id, Some(slow)).await?;
                let all = subscribed(&client, subjects, group.as_ref()).await?;
                (client, Messages::Subjects(all.ready_chunks(BATCH)))
            }
        };
        Ok(Link { client, messages })
    }

    async fn take(&self, link: &mut Link) -> Result<Vec<Delivery<Option<Message>>>, Error> {
        let ended = || Error::of("reading", &"it has ended");
        match &mut link.messages {
            Messages::Stream { prefix, messages } => {
                let taken = messages.next().await.ok_or_else(ended)?;
                let one = |message: Result<Message, _>| {
                    let message = message.map_err(|error| Error::of("reading", &error))?;
                    Ok(streamed(message, prefix))
                };
                taken.into_iter().map(one).collect()
            }
            Messages::Subjects(messages) => {
                let taken = messages.next().await.ok_or_else(ended)?;
                Ok(taken.into_iter().map(plain).collect())
            }
        }
    }

    fn decode(&self, entrance: &Entrance<'_>, bytes: &[u8], envelope: Envelope) -> Decoded {
        entrance.decode(&self.format, bytes, envelope)
    }

    fn lost(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }

    async fn settle(
        &self,
        _link: &mut Link,
        settled: Vec<(Option<Message>, Fate)>,
    ) -> Result<(), Error> {
        for (message, fate) in settled {
            let Some(message) = message else { continue };
            let answered = message.ack_with(match fate {
                Fate::Stored => AckKind::Ack,
                Fate::Unusable => AckKind::Term,
            });
            let answered = answered.await;
            answered.map_err(|error| Error::of("acknowledging", &error))?;
        }
        Ok(())
    }

    /// Acknowledgements that are on their way still go out.
    async fn close(&self, link: Link) {
        timeout(LEAVE, link.client.flush()).await.ok();
    }
}

impl Nats {
    async fn stream(
        &self,
        client: &Client,
        name: &str,
        wanted: &pull::Config,
    ) -> Result<Messages, Error> {
        let context = jetstream::new(client.clone());
        let stream = context.get_stream(name).await;
        let stream = stream.map_err(|error| Error::of(&format!("stream `{name}`"), &error))?;
        let prefix = format!("{name}@{}", stream.cached_info().created.unix_timestamp());
        let consumer = stream.create_consumer(wanted.clone()).await;
        let consumer = consumer
            .map_err(|error| Error::of(&format!("the consumer of stream `{name}`"), &error))?;
        let messages = consumer
            .stream()
            .max_messages_per_batch(BATCH)
            .heartbeat(HEARTBEAT)
            .messages()
            .await
            .map_err(|error| Error::of("reading", &error))?;
        tracing::info!(source = %self.id, stream = %name, "reading");
        let messages = Box::new(messages.ready_chunks(BATCH));
        Ok(Messages::Stream { prefix, messages })
    }
}

async fn subscribed(
    client: &Client,
    subjects: &[String],
    group: Option<&String>,
) -> Result<SelectAll<Subscriber>, Error> {
    let mut all = Vec::new();
    for subject in subjects {
        let subject = subject.clone();
        let subscribed = match group.cloned() {
            Some(group) => client.queue_subscribe(subject, group).await,
            None => client.subscribe(subject).await,
        };
        all.push(subscribed.map_err(|error| Error::of("subscribing", &error))?);
    }
    Ok(select_all(all))
}

fn streamed(message: Message, prefix: &str) -> Delivery<Option<Message>> {
    let number = message.info().map(|info| info.stream_sequence).ok();
    let own = number.map(|number| format!("{prefix}:{number}"));
    Delivery {
        bytes: message.payload.clone(),
        envelope: Envelope {
            id: message_id(message.headers.as_ref()).or(own),
            subject: Some(message.subject.to_string()),
        },
        receipt: Some(message),
    }
}

fn plain(message: async_nats::Message) -> Delivery<Option<Message>> {
    Delivery {
        envelope: Envelope {
            id: message_id(message.headers.as_ref()),
            subject: Some(message.subject.to_string()),
        },
        bytes: message.payload,
        receipt: None,
    }
}

fn message_id(headers: Option<&HeaderMap>) -> Option<String> {
    let id = headers?.get(NATS_MESSAGE_ID)?;
    Some(id.as_str().to_owned())
}
