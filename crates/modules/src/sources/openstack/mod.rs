//! `openstack`: what the services of an OpenStack cloud tell of themselves by oslo.messaging
//! over RabbitMQ.
//!
//! At-least-once: a notification is acknowledged after its event is on disk, and is one event
//! however often it is delivered, by its `_unique_id`. Without `queue` it is read from a
//! durable queue of our own, bound to the services' exchanges, so that nobody else takes what
//! we need and what is sent while we are away is kept. Tokens and passwords that services put
//! into notifications are masked before anything is stored. What is not listed under `events`
//! is acknowledged and passed over; what cannot be read is rejected into a queue for dead
//! letters, and none of its bytes is stored, since a token may be among them.

mod mask;
mod notification;

use std::collections::BTreeMap;
use std::sync::Arc;

use conche_core::Json;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use self::notification::Notification;
use super::delivery::{Decoded, Entrance, Envelope, QueueSource, Reject, Rejects, plain, typed};
use crate::clients::amqp::{Broker, BrokerConfig, DeadLetters, OwnQueue, Queue};
use crate::intake::NewEvent;
use crate::source::{Source, SourceModule};
use crate::{BuildContext, BuildError, config as settings};

pub(super) static MODULE: SourceModule = SourceModule {
    name: "openstack",
    summary: "Notifications of OpenStack's services, from RabbitMQ.",
    events: &[(
        "compute_event",
        "Something happened to an instance: the notification, and its payload unwrapped as `payload_flat`.",
    )],
    config: settings::schema::<Config>,
    build,
};

/// Settings of an `openstack` source.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Where the broker is and who we are there. Default: none; this or `rabbit_url` must be there.
    #[serde(default)]
    broker: Option<BrokerConfig>,
    /// The broker's address with its password, as CSF's `openstack.yml` has it. Default: none.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    rabbit_url: Option<SecretString>,
    /// A queue that is there, such as `versioned_notifications.info`; it is read instead of
    /// one of our own. Default: none.
    #[serde(default)]
    queue: Option<String>,
    /// The services' exchanges (their `control_exchange`); waited for until they are there.
    /// Default: `[nova]`.
    #[serde(default)]
    exchanges: Option<Vec<String>>,
    /// The services' topics. Default: `[versioned_notifications, notifications]`.
    #[serde(default)]
    topics: Option<Vec<String>>,
    /// The priorities, in small letters. Default: `[info, error]`.
    #[serde(default)]
    priorities: Option<Vec<String>>,
    /// Event types, each with the beginnings of the notifications' `event_type` that it is made
    /// of; the longest beginning that fits counts. Default: `compute_event` of `instance.` and
    /// `compute.instance.`.
    #[serde(default = "default_events")]
    events: BTreeMap<String, Vec<String>>,
    /// The most messages under way unacknowledged, 1 to 2000. Default: 100.
    #[serde(default = "default_prefetch")]
    prefetch: u16,
    /// The most messages that the queue of our own keeps; beyond, the oldest are dropped.
    /// Default: 1000000.
    #[serde(default)]
    messages_max: Option<u32>,
    /// The exchange that takes what cannot be read. Default: none; it goes to the queue of our
    /// own with `.dead` behind its name, which keeps 10000.
    #[serde(default)]
    dead_letter_exchange: Option<String>,
    /// The type of the event that is made of what cannot be read, which is then acknowledged
    /// and not a dead letter. Default: none.
    #[serde(default)]
    invalid_event_type: Option<String>,
}

fn default_prefetch() -> u16 {
    100
}

fn default_events() -> BTreeMap<String, Vec<String>> {
    let prefixes = ["instance.", "compute.instance."].map(str::to_owned);
    BTreeMap::from([("compute_event".to_owned(), prefixes.to_vec())])
}

const MESSAGES_MAX: u32 = 1_000_000;

fn build(id: &str, config: Value, cx: &BuildContext) -> Result<Arc<dyn Source>, BuildError> {
    let place = format!("sources.{id}");
    let mut config: Config = settings::read(&place, config)?;
    let wrong = |message: &str| settings::error(&place, message);
    let broker = match (config.broker.take(), config.rabbit_url.take()) {
        (Some(broker), None) => broker,
        (None, Some(address)) => BrokerConfig::literal(address),
        _ => return Err(wrong("write exactly one of `broker` and `rabbit_url`")),
    };
    for name in Broker::secret_names(&broker) {
        name.check(&place, &cx.secrets)?;
    }
    if !(1..=2000).contains(&config.prefetch) {
        return Err(wrong("`prefetch` is from 1 to 2000"));
    }
    let broker = Broker::new(broker, cx.secrets.clone());
    let types = Types::new(&config).map_err(|message| wrong(&message))?;
    let limits = cx.json;
    Ok(Arc::new(QueueSource {
        id: id.to_owned(),
        broker: broker.map_err(|error| wrong(&error.to_string()))?,
        prefetch: config.prefetch,
        queue: queue(id, config).map_err(wrong)?,
        rejects: Rejects::new(id),
        decode: Box::new(move |entrance, bytes, envelope| {
            let notification = Notification::read(bytes, limits);
            types.decode(entrance, notification, bytes.len(), envelope)
        }),
    }))
}

/// The queue that is read.
fn queue(id: &str, config: Config) -> Result<Queue, &'static str> {
    let is_given = config.exchanges.is_some()
        || config.topics.is_some()
        || config.priorities.is_some()
        || config.messages_max.is_some()
        || config.dead_letter_exchange.is_some();
    let or = |words: Option<Vec<String>>, usual: &[&str]| {
        words.unwrap_or_else(|| usual.iter().map(|word| (*word).to_owned()).collect())
    };
    match config.queue {
        Some(name) if name.is_empty() => return Err("`queue` is empty"),
        Some(_) if is_given => {
            return Err(
                "with `queue`, which is not ours, `exchanges`, `topics`, `priorities`, \
                 `messages_max` and `dead_letter_exchange` mean nothing",
            );
        }
        Some(name) => return Ok(Queue::Existing(name)),
        None => {}
    }
    let exchanges = or(config.exchanges, &["nova"]);
    let topics = or(config.topics, &["versioned_notifications", "notifications"]);
    let priorities = or(config.priorities, &["info", "error"]);
    if [&exchanges, &topics, &priorities]
        .into_iter()
        .any(Vec::is_empty)
    {
        return Err("`exchanges`, `topics` and `priorities` must not be empty");
    }
    let key = |topic: &String| {
        let keys = priorities.iter();
        keys.map(|priority| format!("{topic}.{priority}"))
            .collect::<Vec<_>>()
    };
    let name = format!("conche.{id}");
    Ok(Queue::Own(OwnQueue {
        keys: topics.iter().flat_map(key).collect(),
        exchanges,
        dead_letters: match config.dead_letter_exchange {
            Some(exchange) => DeadLetters::Exchange(exchange),
            None => DeadLetters::OwnQueue(format!("{name}.dead")),
        },
        messages_max: config.messages_max.unwrap_or(MESSAGES_MAX),
        name,
    }))
}

/// Which event a notification is.
struct Types {
    /// Beginnings of `event_type` and the event's type, the longest first.
    prefixes: Vec<(String, String)>,
    invalid: Option<String>,
}

impl Types {
    fn new(config: &Config) -> Result<Self, String> {
        let names = config.events.keys().chain(&config.invalid_event_type);
        for name in names {
            typed(name.clone()).map_err(|wrong| format!("the event type `{name}`: {wrong}"))?;
        }
        let prefixes = config.events.iter().flat_map(|(event_type, prefixes)| {
            let prefixes = prefixes.iter();
            prefixes.map(|prefix| (prefix.clone(), event_type.clone()))
        });
        let mut prefixes: Vec<_> = prefixes.collect();
        if prefixes.is_empty() {
            return Err("`events` names no notification".to_owned());
        }
        prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Ok(Self {
            prefixes,
            invalid: config.invalid_event_type.clone(),
        })
    }

    fn decode(
        &self,
        entrance: &Entrance<'_>,
        notification: Result<Notification, Reject>,
        bytes: usize,
        envelope: Envelope,
    ) -> Decoded {
        let event = notification.and_then(|notification| {
            let name = notification.event_type();
            let mut prefixes = self.prefixes.iter();
            let found = prefixes.find(|(prefix, _)| name.starts_with(prefix));
            found
                .map(|(_, event_type)| notification.event(event_type))
                .transpose()
        });
        match event {
            Ok(Some(event)) => Decoded::Event(event),
            Ok(None) => Decoded::PassedOver,
            Err(reject) => {
                let place = envelope.subject.clone().unwrap_or_default();
                entrance.refuse(&place, &reject);
                Decoded::Unusable(self.unreadable(&reject, bytes, envelope))
            }
        }
    }

    /// The event that is made of what cannot be read, where the source is configured so.
    fn unreadable(&self, reject: &Reject, bytes: usize, envelope: Envelope) -> Option<NewEvent> {
        let key = &envelope.subject;
        let data = json!({ "reason": reject.to_string(), "bytes": bytes, "routing_key": key });
        Some(NewEvent {
            event_type: self.invalid.clone()?,
            id: envelope.id.and_then(|id| plain("id", id).ok()),
            subject: envelope.subject.and_then(|key| plain("subject", key).ok()),
            time: None,
            data: Json::from_value(&data).ok()?,
        })
    }
}
