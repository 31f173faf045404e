//! `emit`: an event of our own, caused by the run.
//!
//! Its id is the call's key, so a repeat emits it once. How many runs may follow from one
//! another is bounded by the engine. It must never reach the store but through the host.

use std::sync::Arc;

use async_trait::async_trait;
use conche_core::Json;
use conche_core::run::{OnUncertain, Repeat};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{input, output, unknown};
use crate::action::{Action, ActionModule, ActionSpec, Call, Error, Output};
use crate::intake::NewEvent;
use crate::{BuildContext, BuildError, config};

pub(super) static MODULE: ActionModule = ActionModule {
    name: "emit",
    summary: "Makes an event that other reactions can be triggered by.",
    actions: &[ActionSpec {
        name: "emit",
        summary: "Makes one event.",
        input: &config::schema::<Input>,
        output: &config::schema::<Done>,
        repeat: Repeat::Keyed,
        on_uncertain: OnUncertain::Repeat,
    }],
    config: &config::schema::<Config>,
    build: &build,
};

/// The types of Conche's own events begin so; nobody else may make them.
const RESERVED: &str = "conche.";

/// The longest type or subject in bytes.
const TEXT_MAX: usize = 1024;

/// `emit` has no settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {}

/// What `emit` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// The event's type; not one that begins with `conche.`.
    #[serde(rename = "type")]
    event_type: String,
    /// What the event is about. Default: none.
    #[serde(default)]
    subject: Option<String>,
    /// The payload. Default: `null`.
    #[serde(default = "Json::null")]
    #[schemars(with = "Value")]
    data: Json,
}

/// What `emit` returns.
#[derive(Debug, Serialize, JsonSchema)]
struct Done {
    /// The event; for a repeat the one made before.
    event_id: String,
}

struct Emit;

fn build(config: Value, _cx: &BuildContext) -> Result<Arc<dyn Action>, BuildError> {
    let Config {} = config::read("actions.emit", config)?;
    Ok(Arc::new(Emit))
}

#[async_trait]
impl Action for Emit {
    async fn invoke(&self, call: &Call) -> Result<Output, Error> {
        if call.action != "emit" {
            return Err(unknown("emit", &call.action));
        }
        let Input {
            event_type,
            subject,
            data,
        } = input(call)?;
        check("type", &event_type)?;
        subject
            .as_deref()
            .map_or(Ok(()), |text| check("subject", text))?;
        if event_type.starts_with(RESERVED) {
            return Err(Error::permanent(format!(
                "types that begin with `{RESERVED}` are Conche's own"
            )));
        }
        let event = NewEvent {
            id: Some(call.key.to_string()),
            event_type,
            subject,
            time: None,
            data,
        };
        let event_id = call.host.emit(call, event).await?.to_string();
        output(&Done { event_id })
    }
}

fn check(what: &str, text: &str) -> Result<(), Error> {
    if text.is_empty() || text.len() > TEXT_MAX || text.chars().any(char::is_control) {
        return Err(Error::permanent(format!(
            "the {what} must be 1 to {TEXT_MAX} bytes without control characters"
        )));
    }
    Ok(())
}
