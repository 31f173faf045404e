//! Publishing by MQTT with QoS 1: the broker's acknowledgement is waited for.
//!
//! A connection carries one message at a time, so that an acknowledgement can mean no other,
//! and is used again for as long as its keep-alive allows without a ping.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use conche_core::Json;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{Doubt, bytes};
use crate::action::Error;
use crate::clients::mqtt::{Broker, Happening, Link, Speaker, Use};

/// Connections at a time; further calls wait.
const CONNECTIONS: usize = 8;

/// An idle connection is kept for so long: less than the keep-alive.
const IDLE: Duration = Duration::from_secs(20);

/// So long an idle connection is listened to, whether it was closed meanwhile.
const LOOK: Duration = Duration::from_millis(2);

/// The longest topic in bytes.
const TOPIC_MAX: usize = 1024;

/// What `mqtt` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// A name under `actions.publish.mqtt`.
    pub(super) broker: String,
    /// The topic, without wildcards and control characters.
    topic: String,
    /// The message: a text as it is, anything else as JSON.
    #[schemars(with = "Value")]
    payload: Json,
    /// Whether the broker keeps it for those who subscribe later. Default: false.
    #[serde(default)]
    retain: bool,
}

/// Whether a message can be published to it. A control character lets a broker close the
/// connection, after which nobody knows what it did.
fn is_topic(topic: &str) -> bool {
    rumqttc::valid_topic(topic)
        && (1..=TOPIC_MAX).contains(&topic.len())
        && !topic.chars().any(char::is_control)
}

/// What `mqtt` returns.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Done {
    /// The topic.
    topic: String,
}

struct Session {
    speaker: Speaker,
    link: Link,
    used: Instant,
}

/// The connections to one broker.
pub(super) struct Pool {
    broker: Broker,
    idle: Mutex<Vec<Session>>,
    open: Semaphore,
}

impl Pool {
    pub(super) fn new(broker: Broker) -> Self {
        Self {
            broker,
            idle: Mutex::default(),
            open: Semaphore::new(CONNECTIONS),
        }
    }

    pub(super) async fn publish(&self, input: Input, doubt: Arc<Doubt>) -> Result<Done, Error> {
        if !is_topic(&input.topic) {
            return Err(Error::permanent(
                "the topic is empty, too long or has wildcards or control characters",
            ));
        }
        let _place = self.open.acquire().await;
        let mut session = self.session().await?;
        let payload = bytes(&input.payload);
        session
            .send(&input.topic, payload, input.retain, &doubt)
            .await?;
        session.used = Instant::now();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(session);
        Ok(Done { topic: input.topic })
    }

    /// A kept connection that was not closed, or a new one.
    async fn session(&self) -> Result<Session, Error> {
        while let Some(mut session) = self.take_idle() {
            if session.is_open().await {
                return Ok(session);
            }
        }
        let how = Use {
            client_id: format!("conche-{}", uuid::Uuid::now_v7().simple()),
            keeps_session: false,
            window: 10,
        };
        let link = self.broker.link(&how);
        let (speaker, mut link) = link.map_err(|error| Error::retry(error.to_string()))?;
        loop {
            match link.poll().await {
                Ok(Happening::Connected { .. }) => break,
                Ok(_) => {}
                Err(error) => return Err(Error::retry(format!("the broker: {error}"))),
            }
        }
        let used = Instant::now();
        Ok(Session {
            speaker,
            link,
            used,
        })
    }

    fn take_idle(&self) -> Option<Session> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|session| session.used.elapsed() < IDLE);
        idle.pop()
    }
}

impl Session {
    /// Nothing is under way, so that giving up the wait loses nothing.
    async fn is_open(&mut self) -> bool {
        loop {
            match timeout(LOOK, self.link.poll()).await {
                Ok(Ok(Happening::Connected { .. }) | Err(_)) => return false,
                Ok(Ok(_)) => {}
                Err(_elapsed) => return true,
            }
        }
    }

    async fn send(
        &mut self,
        topic: &str,
        payload: Bytes,
        retain: bool,
        doubt: &Doubt,
    ) -> Result<(), Error> {
        let asked = self.speaker.publish(topic, payload, retain);
        asked.map_err(|error| Error::retry(error.to_string()))?;
        doubt.begin();
        let mut ours = None;
        loop {
            match self.link.poll().await {
                Ok(Happening::Sent(number)) => ours = Some(number),
                Ok(Happening::Taken { number, refusal }) if Some(number) == ours => {
                    return refusal.map_or(Ok(()), |reason| {
                        Err(Error::permanent(format!("the broker refuses it: {reason}")))
                    });
                }
                Ok(_) => {}
                Err(error) => return Err(doubt.error(format!("the broker: {error}"))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_brokers_hang_up_on_is_refused_before_anything_goes_out() {
        assert!(is_topic("soc/alerts/ä"));
        for topic in [
            "",
            "a/#",
            "a/+/b",
            "a\0b",
            "a\nb",
            &"t".repeat(TOPIC_MAX + 1),
        ] {
            assert!(!is_topic(topic), "{topic:?}");
        }
    }
}
