//! `amqp`: messages of a RabbitMQ queue.
//!
//! At-least-once: a message is acknowledged after its event is on disk, and is one event
//! however often it is delivered where it has a `message_id` or `id_from` is set. There is no
//! cursor: the queue is one. At most `prefetch` messages are held; while events cannot be
//! stored none is acknowledged and the broker keeps the rest. After a break the source
//! reconnects for ever. What cannot be decoded is rejected without being put back, so that
//! the broker dead-letters it where the queue is declared so; it never comes again by itself.

use std::sync::Arc;

use conche_core::json::Limits;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::delivery::{Format, Naming, Payload, QueueSource, Rejects};
use crate::clients::amqp::{Broker, BrokerConfig, DeadLetters, OwnQueue, Queue};
use crate::source::{Source, SourceModule};
use crate::{BuildContext, BuildError, config as settings};

pub(super) static MODULE: SourceModule = SourceModule {
    name: "amqp",
    summary: "Messages of a RabbitMQ queue.",
    events: &[],
    config: settings::schema::<Config>,
    build,
};

/// Settings of an `amqp` source.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Where the broker is and who we are there.
    broker: BrokerConfig,
    /// The queue. Without `bind` it must be there; with it, it is made where it is not.
    queue: String,
    /// Makes `queue` a durable queue of our own, bound to an exchange. Default: none.
    #[serde(default)]
    bind: Option<Bind>,
    /// The most messages under way unacknowledged, 1 to 2000. Default: 100.
    #[serde(default = "default_prefetch")]
    prefetch: u16,
    /// The type of the events. Default: none; this or `event_type_from` must be there.
    #[serde(default)]
    event_type: Option<String>,
    /// JSON Pointer to the type in the data. Default: none.
    #[serde(default)]
    event_type_from: Option<String>,
    /// JSON Pointer to the id in the data. Default: the message's `message_id`.
    #[serde(default)]
    id_from: Option<String>,
    /// JSON Pointer to the subject in the data. Default: the routing key.
    #[serde(default)]
    subject_from: Option<String>,
    /// `json`, or `text` for any text. Default: `json`.
    #[serde(default)]
    payload: Payload,
    /// The type of the event that is made of what cannot be decoded, which is then
    /// acknowledged. Default: none, it is rejected.
    #[serde(default)]
    invalid_event_type: Option<String>,
}

/// What a queue of our own is bound to.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Bind {
    /// The exchange; waited for until it is there.
    exchange: String,
    /// The routing keys, with `*` and `#` where the exchange is a topic.
    keys: Vec<String>,
    /// Where rejected messages go. Default: none, they are dropped.
    #[serde(default)]
    dead_letter_exchange: Option<String>,
    /// The most messages that the queue keeps; beyond, the oldest are dropped. Default: 1000000.
    #[serde(default = "default_messages_max")]
    messages_max: u32,
}

fn default_prefetch() -> u16 {
    100
}

fn default_messages_max() -> u32 {
    1_000_000
}

fn build(id: &str, config: Value, cx: &BuildContext) -> Result<Arc<dyn Source>, BuildError> {
    let place = format!("sources.{id}");
    let config: Config = settings::read(&place, config)?;
    let wrong = |message: &str| settings::error(&place, message);
    for name in Broker::secret_names(&config.broker) {
        name.check(&place, &cx.secrets)?;
    }
    if !(1..=2000).contains(&config.prefetch) || config.queue.is_empty() {
        return Err(wrong("`prefetch` is from 1 to 2000, and `queue` not empty"));
    }
    let queue = match config.bind {
        None => Queue::Existing(config.queue),
        Some(bind) if bind.keys.is_empty() || bind.exchange.is_empty() => {
            return Err(wrong(
                "`bind` needs an `exchange` and at least one of `keys`",
            ));
        }
        Some(bind) => Queue::Own(OwnQueue {
            name: config.queue,
            exchanges: vec![bind.exchange],
            keys: bind.keys,
            dead_letters: bind
                .dead_letter_exchange
                .map_or(DeadLetters::Dropped, DeadLetters::Exchange),
            messages_max: bind.messages_max,
        }),
    };
    let naming = Naming {
        event_type: config.event_type,
        event_type_from: config.event_type_from,
        id_from: config.id_from,
        subject_from: config.subject_from,
        invalid_event_type: config.invalid_event_type,
        payload: config.payload,
    };
    let limits: Limits = cx.json;
    let broker = Broker::new(config.broker, cx.secrets.clone());
    let format = Format::new(naming, limits).map_err(|message| wrong(&message))?;
    Ok(Arc::new(QueueSource {
        id: id.to_owned(),
        broker: broker.map_err(|error| wrong(&error.to_string()))?,
        queue,
        prefetch: config.prefetch,
        rejects: Rejects::new(id),
        decode: Box::new(move |entrance, bytes, envelope| {
            entrance.decode(&format, bytes, envelope)
        }),
    }))
}
