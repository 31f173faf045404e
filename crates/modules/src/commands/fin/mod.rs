//! `fin`: commands that SOARCA Fins carry out: programs of anybody's that offer capabilities.
//!
//! There are two kinds. Fins of SOARCA 1 speak through an MQTT broker ([`mqtt`]); newer ones
//! fetch their commands by HTTP ([`poll`]), over routes that a listener mounts. Which fin does a
//! command is told by the agent ([`registry`]); a capability that is not there yet is waited
//! for. A fin registers once, when it starts, so registrations are remembered over a restart
//! ([`state`]); commands are not: the engine's journal has them, and what was under way when
//! Conche stopped is uncertain.

mod authentication;
mod config;
mod mqtt;
mod poll;
mod registry;
pub(crate) mod service;
mod state;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use conche_core::run::{OnUncertain, Repeat};
use conche_runtime::clock::SharedClock;
use conche_runtime::secrets::Masker;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::time::Instant;

use self::config::{Config, PLACE};
use self::mqtt::Mqtt;
pub use self::mqtt::Order;
use self::poll::Poll;
pub use self::poll::routes::{admin_router, router};
use self::registry::Registry;
pub use self::registry::Transport;
use self::service::Service;
pub use self::service::{CapabilityInfo, Error as FinError, FinInfo, Fins};
use self::state::State;
use crate::action::{Action, ActionModule, ActionSpec, Call, Error, Output};
use crate::actions::{input, output, unknown};
use crate::clients::mqtt::Broker;
use crate::command::{CommandInput, EXECUTE};
use crate::{BuildContext, BuildError, config as settings};

pub(super) static MODULE: ActionModule = ActionModule {
    name: "fin",
    summary: "Has SOARCA Fins carry out commands, by MQTT or by HTTP.",
    actions: &[ActionSpec {
        name: EXECUTE,
        summary: "Has the fin that the agent names carry out one command.",
        input: &settings::schema::<CommandInput>,
        output: &settings::schema::<Done>,
        repeat: Repeat::Unsafe,
        on_uncertain: OnUncertain::Attention,
    }],
    config: &settings::schema::<Config>,
    build: &build,
};

/// How much of what a fin says about its failure is shown, in characters.
const QUOTE_CHARS_MAX: usize = 500;

/// What `execute` returns.
#[derive(Debug, Serialize, JsonSchema)]
struct Done {
    /// The values of the variables that the fin set, by their names.
    variables: Map<String, Value>,
    /// What a fin that polls says about single targets.
    #[serde(skip_serializing_if = "Option::is_none")]
    target_results: Option<Value>,
}

/// One command under way.
struct Work<'a> {
    call: &'a Call,
    input: CommandInput,
    clock: &'a SharedClock,
    deadline: Instant,
    ack_within: Duration,
}

struct Fin {
    /// None where neither transport has settings.
    service: Option<Arc<Service>>,
}

fn build(config: Value, cx: &BuildContext) -> Result<Arc<dyn Action>, BuildError> {
    let config: Config = settings::read(PLACE, config)?;
    if config.mqtt.is_none() && config.poll.is_none() {
        return Ok(Arc::new(Fin { service: None }));
    }
    for name in config.mqtt.iter().flat_map(Broker::secret_names) {
        name.check(PLACE, &cx.secrets)?;
    }
    if let Some(poll) = &config.poll {
        poll.check(cx)?;
    }
    let state = State::new(config.state_file(cx));
    let mqtt = config
        .mqtt
        .map(|broker| Mqtt::new(broker, cx.secrets.clone()));
    let wrong = |error: crate::clients::mqtt::Error| {
        settings::error(&format!("{PLACE}.mqtt"), error.to_string())
    };
    let service = Arc::new(Service {
        registry: Registry::default(),
        state,
        clock: cx.clock.clone(),
        secrets: cx.secrets.clone(),
        wait: config.wait.duration(),
        ack_within: config.ack_within.duration(),
        mqtt: mqtt.transpose().map_err(wrong)?,
        poll: config
            .poll
            .map(|poll| Arc::new(Poll::new(poll, cx.secrets.clone()))),
    });
    cx.fins.set(service.clone());
    Ok(Arc::new(Fin {
        service: Some(service),
    }))
}

#[async_trait]
impl Action for Fin {
    fn unavailable(&self) -> Option<String> {
        let nobody = || {
            format!(
                "no module carries out such commands, and there are no fins: set `{PLACE}.mqtt` or `{PLACE}.poll`"
            )
        };
        self.service.is_none().then(nobody)
    }

    async fn invoke(&self, call: &Call) -> Result<Output, Error> {
        if call.action != EXECUTE {
            return Err(unknown("fin", &call.action));
        }
        let Some(service) = &self.service else {
            return Err(Error::permanent(format!(
                "there are no fins: set `{PLACE}.mqtt` or `{PLACE}.poll`"
            )));
        };
        let work = Work {
            call,
            input: input(call)?,
            clock: &service.clock,
            deadline: Instant::now() + call.timeout,
            ack_within: service.ack_within,
        };
        let mut done = service.carry_out(&work).await?;
        let masker = service.secrets.masker();
        done.variables
            .values_mut()
            .for_each(|value| masker.mask_json(value));
        done.target_results
            .iter_mut()
            .for_each(|value| masker.mask_json(value));
        output(&done)
    }
}

impl Service {
    async fn carry_out(&self, work: &Work<'_>) -> Result<Done, Error> {
        let patience = Instant::now() + self.wait;
        let agent = &work.input.agent;
        let chosen = self.choose(agent, patience.min(work.deadline)).await;
        let choice = chosen.map_err(|missing| match missing {
            // The time of the attempt was shorter than the wait.
            missing if missing.may_pass() && Instant::now() < patience => {
                Error::retry(missing.to_string())
            }
            missing => Error::Permanent(missing.to_string()),
        })?;
        let capability = choice.capability.as_str();
        match (choice.transport, &self.mqtt, &self.poll) {
            (Transport::Mqtt, Some(mqtt), _) => mqtt.carry_out(capability, work).await,
            (Transport::Http, _, Some(poll)) => poll.carry_out(capability, work).await,
            // Remembered from another configuration.
            (transport, _, _) => {
                let section = match transport {
                    Transport::Mqtt => "mqtt",
                    Transport::Http => "poll",
                };
                let message = format!(
                    "the fin with the capability `{capability}` can't be reached: set `{PLACE}.{section}`"
                );
                Err(Error::Permanent(message))
            }
        }
    }
}

impl Work<'_> {
    /// The same on every repeat, so that a fin that keeps the ids of what it did can know one.
    fn id(&self) -> uuid::Uuid {
        let key = self.call.key.as_str();
        key.parse().unwrap_or_else(|_| uuid::Uuid::now_v7())
    }

    /// What the fin is told: the step's own timeout or what is left of the attempt, whichever is
    /// shorter, in whole seconds rounded up, at least one.
    fn seconds_left(&self) -> u64 {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let time = match self.input.context.timeout {
            0 => left,
            milliseconds => left.min(Duration::from_millis(milliseconds)),
        };
        time.as_millis().div_ceil(1000).max(1) as u64
    }
}

/// A text for a message: of bounded length and without secrets.
fn quote(text: &str, masker: &Masker) -> String {
    let masked = masker.mask(text);
    let mut quoted: String = masked.chars().take(QUOTE_CHARS_MAX).collect();
    if quoted.len() < masked.len() {
        quoted.push('…');
    }
    quoted
}
