//! What the actions take, and the command that each means.

use std::time::Duration;

use conche_runtime::units::Span;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::party::Place;
use crate::action::Error;
use crate::command::CommandInput;

/// What a call is about, whoever made it.
pub(super) struct Input {
    /// The command, as a playbook writes one.
    pub(super) written: Value,
    pub(super) place: Place,
    pub(super) out_args: Vec<String>,
    /// The step, for the host's log.
    pub(super) step: String,
}

impl Input {
    pub(super) fn of_command(given: CommandInput, place: Place) -> Result<Self, Error> {
        let written = serde_json::to_value(&given.command);
        Ok(Self {
            written: written.map_err(|error| Error::permanent(error.to_string()))?,
            place,
            out_args: given.out_args,
            step: given.context.step_id,
        })
    }
}

/// How the end of an activation is waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Mode {
    /// With the host, then by asking.
    #[default]
    Wait,
    /// By asking from the beginning.
    Poll,
    /// Not at all.
    Async,
}

/// The input of `invoke`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct InvokeInput {
    /// A name under `openwhisk.hosts`, or `local` for the embedded host; may be left out where
    /// there is one only.
    #[serde(default)]
    host: Option<String>,
    /// The action: `/ns/[package/]name`, or without the namespace for that of the key.
    action: String,
    /// Its arguments.
    #[serde(default)]
    params: Map<String, Value>,
    /// How its end is waited for. Default: `wait`.
    #[serde(default)]
    mode: Mode,
    /// How long the host itself waits, a minute at most. Default: `60s`.
    #[serde(default)]
    wait: Option<Span>,
    /// Whether its log is wanted. Default: false.
    #[serde(default)]
    logs: bool,
}

impl InvokeInput {
    pub(super) fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    pub(super) fn input(self, place: Place) -> Input {
        let wait = self.wait.map_or(Duration::from_mins(1), Span::duration);
        let mode = match self.mode {
            Mode::Wait => "wait",
            Mode::Poll => "poll",
            Mode::Async => "async",
        };
        let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        Input {
            written: json!({ "type": "openwhisk", "command": format!("invoke {}", self.action),
                "params": self.params, "mode": mode, "wait_ms": wait, "logs": self.logs }),
            place,
            out_args: Vec::new(),
            step: INVOKED.to_owned(),
        }
    }
}

/// Stands for the step of a reaction in the host's log.
const INVOKED: &str = "reaction";

/// The input of `fire`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FireInput {
    /// A name under `openwhisk.hosts`, or `local` for the embedded host; may be left out where
    /// there is one only.
    #[serde(default)]
    host: Option<String>,
    /// The trigger: `/ns/name`, or without the namespace for that of the key.
    trigger: String,
    /// What its rules pass on.
    #[serde(default)]
    payload: Map<String, Value>,
    /// Whether a trigger without an active rule is a failure. Default: false.
    #[serde(default)]
    require_rule: bool,
}

impl FireInput {
    pub(super) fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    pub(super) fn input(self, place: Place) -> Input {
        Input {
            written: json!({ "type": "openwhisk", "command": format!("fire {}", self.trigger),
                "params": self.payload, "require_rule": self.require_rule }),
            place,
            out_args: Vec::new(),
            step: INVOKED.to_owned(),
        }
    }
}
