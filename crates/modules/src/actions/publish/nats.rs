//! Publishing into a JetStream stream: acknowledged by the server, and recognised by it when
//! it comes again within the stream's duplicate window (two minutes unless set otherwise).

use std::sync::Arc;

use async_nats::connection::State;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::{Client, jetstream};
use conche_core::Json;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::OnceCell;

use super::{Doubt, bytes};
use crate::action::Error;
use crate::clients::nats::Broker;

/// The longest subject in bytes: a server reads 4096 of a line with all that is on it.
const SUBJECT_MAX: usize = 1024;

/// What `nats` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// A name under `actions.publish.nats`.
    pub(super) broker: String,
    /// The subject, without wildcards; a stream must take it.
    subject: String,
    /// The message: a text as it is, anything else as JSON.
    #[schemars(with = "Value")]
    payload: Json,
}

/// Whether a message can be published to it. Looked at here, so that what comes from an event
/// is refused for good and not taken for a message whose fate is unknown.
fn is_subject(subject: &str) -> bool {
    let is_token = |token: &str| {
        let odd = |char: char| char.is_whitespace() || char.is_control();
        !matches!(token, "" | "*" | ">") && !token.contains(odd)
    };
    subject.len() <= SUBJECT_MAX && subject.split('.').all(is_token)
}

/// What `nats` returns.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Done {
    /// The stream that has the message.
    stream: String,
    /// Its number there.
    sequence: u64,
    /// Whether the stream had it already.
    duplicate: bool,
}

/// The connection to one cluster, made when it is first needed.
pub(super) struct Pool {
    broker: Broker,
    client: OnceCell<Client>,
}

impl Pool {
    pub(super) fn new(broker: Broker) -> Self {
        Self {
            broker,
            client: OnceCell::new(),
        }
    }

    pub(super) async fn publish(
        &self,
        input: Input,
        key: String,
        doubt: Arc<Doubt>,
    ) -> Result<Done, Error> {
        if !is_subject(&input.subject) {
            return Err(Error::permanent(
                "the subject is empty, too long or has wildcards, spaces or control characters",
            ));
        }
        let connected = self
            .client
            .get_or_try_init(|| self.broker.connect("publish", None));
        let client = connected
            .await
            .map_err(|error| Error::retry(error.to_string()))?;
        if client.connection_state() != State::Connected {
            // The library would keep the message and send it some time later.
            return Err(Error::retry("there is no connection to the server now"));
        }
        let message = PublishMessage::build()
            .payload(bytes(&input.payload))
            .message_id(&key);
        doubt.begin();
        let context = jetstream::new(client.clone());
        let sent = context.send_publish(input.subject, message).await;
        let acknowledged = match sent {
            Ok(acknowledgement) => acknowledgement.await,
            Err(error) => Err(error),
        };
        let done = acknowledged.map_err(|error| match error.kind() {
            PublishErrorKind::StreamNotFound => {
                Error::permanent("no stream takes messages of this subject")
            }
            PublishErrorKind::MaxPayloadExceeded => {
                Error::permanent("the message is larger than the server takes")
            }
            _ => doubt.error(format!("the server: {error}")),
        })?;
        Ok(Done {
            stream: done.stream,
            sequence: done.sequence,
            duplicate: done.duplicate,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_that_no_message_can_have_is_refused_before_anything_goes_out() {
        assert!(is_subject("soc.alerts.host-1") && is_subject("$KV.x") && is_subject("a*b"));
        for subject in [
            "",
            ".a",
            "a..b",
            "a.",
            "a.*",
            "a.>",
            "a b",
            "a\r\nPUB b 0",
            "a\tb",
            "a\0",
            &"s".repeat(SUBJECT_MAX + 1),
        ] {
            assert!(!is_subject(subject), "{subject:?}");
        }
    }
}
