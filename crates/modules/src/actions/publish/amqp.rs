//! Publishing by AMQP: persistent, mandatory and confirmed.
//!
//! Each message has a channel of its own while it is under way, since an error closes the
//! channel with all that is on it; channels are used again.

use std::sync::{Arc, Mutex, PoisonError};

use conche_core::Json;
use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Channel, Confirmation, Connection};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Semaphore;

use super::{Doubt, bytes};
use crate::action::Error;
use crate::clients::amqp::{Broker, confirming};

/// Messages under way at a time; further calls wait.
const UNDER_WAY: usize = 16;

/// Delivery mode of AMQP: survives a restart of the broker.
const PERSISTENT: u8 = 2;

/// The longest short string of AMQP in bytes, which names and types are.
const SHORT_MAX: usize = 255;

/// What `amqp` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// A name under `actions.publish.amqp`.
    pub(super) broker: String,
    /// The exchange, at most 255 bytes. Default: the one that takes a queue's name for a
    /// routing key.
    #[serde(default)]
    exchange: String,
    /// The routing key, at most 255 bytes.
    routing_key: String,
    /// The message: a text as it is, anything else as JSON.
    #[schemars(with = "Value")]
    payload: Json,
    /// Its type, at most 255 bytes. Default: `application/json`.
    #[serde(default = "json")]
    content_type: String,
}

fn json() -> String {
    "application/json".to_owned()
}

impl Input {
    /// Refuses a text that has no room in the protocol: the library panics on one.
    fn check(&self) -> Result<(), Error> {
        let texts = [
            ("exchange", &self.exchange),
            ("routing_key", &self.routing_key),
            ("content_type", &self.content_type),
        ];
        match texts.iter().find(|(_, text)| text.len() > SHORT_MAX) {
            Some((name, _)) => Err(Error::permanent(format!(
                "`{name}` has more than {SHORT_MAX} bytes"
            ))),
            None => Ok(()),
        }
    }
}

/// What `amqp` returns.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Done {
    /// The message's id: the same on a repeat.
    message_id: String,
}

/// The connection to one broker, made when it is needed.
pub(super) struct Pool {
    broker: Broker,
    connection: tokio::sync::Mutex<Option<Arc<Connection>>>,
    idle: Mutex<Vec<Channel>>,
    under_way: Semaphore,
}

impl Pool {
    pub(super) fn new(broker: Broker) -> Self {
        Self {
            broker,
            connection: tokio::sync::Mutex::default(),
            idle: Mutex::default(),
            under_way: Semaphore::new(UNDER_WAY),
        }
    }

    pub(super) async fn publish(
        &self,
        input: Input,
        key: String,
        doubt: Arc<Doubt>,
    ) -> Result<Done, Error> {
        input.check()?;
        let _place = self.under_way.acquire().await;
        let channel = self.channel().await?;
        let properties = BasicProperties::default()
            .with_message_id(key.as_str().into())
            .with_content_type(input.content_type.as_str().into())
            .with_delivery_mode(PERSISTENT);
        let mandatory = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let payload = bytes(&input.payload);
        doubt.begin();
        let sent = channel.basic_publish(
            input.exchange.as_str().into(),
            input.routing_key.as_str().into(),
            mandatory,
            &payload,
            properties,
        );
        let confirmed = match sent.await {
            Ok(confirm) => confirm.await,
            Err(error) => Err(error),
        };
        match confirmed {
            Ok(Confirmation::Ack(None)) => {}
            Ok(Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned))) => {
                let reason = returned.reply_text.to_string();
                self.put_back(channel);
                return Err(Error::permanent(format!(
                    "the broker could not route the message: {reason}"
                )));
            }
            Ok(Confirmation::Nack(None)) => {
                return Err(Error::retry("the broker did not take the message"));
            }
            Ok(Confirmation::NotRequested) => {
                return Err(doubt.error("the broker confirms nothing on this channel"));
            }
            // An answer of the broker closes the channel, and the message with it.
            Err(error) if error.is_amqp_soft_error() => {
                return Err(Error::permanent(format!("the broker: {error}")));
            }
            Err(error) => return Err(doubt.error(format!("the broker: {error}"))),
        }
        self.put_back(channel);
        Ok(Done { message_id: key })
    }

    fn put_back(&self, channel: Channel) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(channel);
    }

    fn take_idle(&self) -> Option<Channel> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|channel| channel.status().connected());
        idle.pop()
    }

    async fn channel(&self) -> Result<Channel, Error> {
        if let Some(channel) = self.take_idle() {
            return Ok(channel);
        }
        let mut kept = self.connection.lock().await;
        let alive = kept.as_ref().filter(|kept| kept.status().connected());
        let connection = match alive {
            Some(connection) => connection.clone(),
            None => {
                let connection = self.broker.connect("publish").await;
                let connection = connection.map_err(|error| Error::retry(error.to_string()))?;
                kept.insert(Arc::new(connection)).clone()
            }
        };
        drop(kept);
        confirming(&connection)
            .await
            .map_err(|error| Error::retry(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_has_no_room_in_a_frame_is_refused_and_not_panicked_on() {
        for (name, most) in [
            ("exchange", "x".repeat(255)),
            ("routing_key", "é".repeat(127)),
            ("content_type", "t".repeat(255)),
        ] {
            let read = |text: &str| -> Input {
                let mut input =
                    serde_json::json!({ "broker": "b", "routing_key": "k", "payload": 1 });
                input[name] = text.into();
                serde_json::from_value(input).unwrap()
            };
            assert!(read(&most).check().is_ok(), "{name}");
            let refused = read(&(most + "éé")).check().unwrap_err().to_string();
            assert!(refused.contains(name), "{refused}");
        }
    }
}
