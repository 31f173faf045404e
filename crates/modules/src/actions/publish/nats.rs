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

/// What `nats` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// A name under `actions.publish.nats`.
    pub(super) broker: String,
    /// The subject; a stream must take it.
    subject: String,
    /// The message: a text as it is, anything else as JSON.
    #[schemars(with = "Value")]
    payload: Json,
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
