//! `publish`: a message to an MQTT, NATS or AMQP broker, which must confirm it.
//!
//! The step succeeds only when the broker has said that it has the message. Where that answer
//! is missing after the message went out nobody knows: NATS recognises a repeat by the call's
//! key for as long as its stream's duplicate window; AMQP carries the key as `message_id` and
//! MQTT nothing at all, so there a person decides unless the definition says otherwise.
//!
//! Brokers are configured by name and connections to each are kept; a script chooses among
//! the names and never gives an address.

mod amqp;
mod mqtt;
mod nats;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use conche_core::Json;
use conche_core::run::{OnUncertain, Repeat};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout;

use super::{output, unknown};
use crate::action::{Action, ActionModule, ActionSpec, Call, Error, Output};
use crate::clients;
use crate::{BuildContext, BuildError, config};

pub(super) static MODULE: ActionModule = ActionModule {
    name: "publish",
    summary: "Sends messages to MQTT, NATS and AMQP brokers.",
    actions: &[
        ActionSpec {
            name: "mqtt",
            summary: "Publishes one message with QoS 1.",
            input: &config::schema::<mqtt::Input>,
            output: &config::schema::<mqtt::Done>,
            repeat: Repeat::Unsafe,
            on_uncertain: OnUncertain::Attention,
        },
        ActionSpec {
            name: "nats",
            summary: "Publishes one message into a JetStream stream, with the call's key as its id.",
            input: &config::schema::<nats::Input>,
            output: &config::schema::<nats::Done>,
            repeat: Repeat::Keyed,
            on_uncertain: OnUncertain::Repeat,
        },
        ActionSpec {
            name: "amqp",
            summary: "Publishes one persistent message to an exchange that routes it.",
            input: &config::schema::<amqp::Input>,
            output: &config::schema::<amqp::Done>,
            repeat: Repeat::Unsafe,
            on_uncertain: OnUncertain::Attention,
        },
    ],
    config: &config::schema::<Config>,
    build: &build,
};

const PLACE: &str = "actions.publish";

/// Settings of `publish`: the brokers by name.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// MQTT brokers by name. Default: none.
    mqtt: BTreeMap<String, clients::mqtt::BrokerConfig>,
    /// NATS servers by name. Default: none.
    nats: BTreeMap<String, clients::nats::BrokerConfig>,
    /// RabbitMQ brokers by name. Default: none.
    amqp: BTreeMap<String, clients::amqp::BrokerConfig>,
}

struct Publish {
    mqtt: BTreeMap<String, mqtt::Pool>,
    nats: BTreeMap<String, nats::Pool>,
    amqp: BTreeMap<String, amqp::Pool>,
}

fn build(config: Value, cx: &BuildContext) -> Result<Arc<dyn Action>, BuildError> {
    let config: Config = config::read(PLACE, config)?;
    let names = (config.mqtt.values())
        .flat_map(clients::mqtt::Broker::secret_names)
        .chain((config.nats.values()).flat_map(clients::nats::Broker::secret_names))
        .chain((config.amqp.values()).flat_map(clients::amqp::Broker::secret_names));
    for name in names {
        name.check(PLACE, &cx.secrets)?;
    }
    let secrets = &cx.secrets;
    Ok(Arc::new(Publish {
        mqtt: pools("mqtt", config.mqtt, |broker| {
            clients::mqtt::Broker::new(broker, secrets.clone()).map(mqtt::Pool::new)
        })?,
        nats: pools("nats", config.nats, |broker| {
            clients::nats::Broker::new(broker, secrets.clone()).map(nats::Pool::new)
        })?,
        amqp: pools("amqp", config.amqp, |broker| {
            clients::amqp::Broker::new(broker, secrets.clone()).map(amqp::Pool::new)
        })?,
    }))
}

fn pools<C, P, E: std::fmt::Display>(
    kind: &str,
    brokers: BTreeMap<String, C>,
    pool: impl Fn(C) -> Result<P, E>,
) -> Result<BTreeMap<String, P>, BuildError> {
    let pools = brokers.into_iter().map(|(name, broker)| {
        let pool = pool(broker)
            .map_err(|error| config::error(&format!("{PLACE}.{kind}.{name}"), error.to_string()))?;
        Ok((name, pool))
    });
    pools.collect()
}

#[async_trait]
impl Action for Publish {
    async fn invoke(&self, call: &Call) -> Result<Output, Error> {
        match call.action.as_str() {
            "mqtt" => {
                let input: mqtt::Input = super::input(call)?;
                let pool = named(&self.mqtt, &input.broker)?;
                output(&within(call, |doubt| pool.publish(input, doubt)).await?)
            }
            "nats" => {
                let input: nats::Input = super::input(call)?;
                let pool = named(&self.nats, &input.broker)?;
                let key = call.key.to_string();
                output(&within(call, |doubt| pool.publish(input, key, doubt)).await?)
            }
            "amqp" => {
                let input: amqp::Input = super::input(call)?;
                let pool = named(&self.amqp, &input.broker)?;
                let key = call.key.to_string();
                output(&within(call, |doubt| pool.publish(input, key, doubt)).await?)
            }
            action => Err(unknown("publish", action)),
        }
    }
}

fn named<'a, P>(pools: &'a BTreeMap<String, P>, name: &str) -> Result<&'a P, Error> {
    pools
        .get(name)
        .ok_or_else(|| Error::permanent(format!("there is no broker `{name}` under `{PLACE}`")))
}

/// Set when a message may have gone out: from then on a missing answer tells nothing.
#[derive(Debug, Default)]
struct Doubt(AtomicBool);

impl Doubt {
    fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// What a failure means.
    fn error(&self, message: impl Into<String>) -> Error {
        if self.0.load(Ordering::Relaxed) {
            return Error::Uncertain(message.into());
        }
        Error::retry(message)
    }
}

/// Publishes within the call's time.
async fn within<T, F: Future<Output = Result<T, Error>>>(
    call: &Call,
    publish: impl FnOnce(Arc<Doubt>) -> F,
) -> Result<T, Error> {
    let doubt = Arc::new(Doubt::default());
    match timeout(call.timeout, publish(doubt.clone())).await {
        Ok(published) => published,
        Err(_elapsed) => Err(doubt.error("the broker did not confirm the message in time")),
    }
}

/// The bytes of a payload: a text as it is, anything else as JSON.
fn bytes(payload: &Json) -> Bytes {
    match payload.read::<String>() {
        Ok(text) => text.into(),
        Err(_) => payload.as_str().to_owned().into(),
    }
}
