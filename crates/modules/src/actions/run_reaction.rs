//! `run_reaction`: starts another reaction by its name.
//!
//! As `emit`, but for one reaction and without a trigger: the run is stored together with the
//! event that it gets, once for the call's key, and counts towards what a run may emit and how
//! deep runs may cause each other. It is not waited for. It must never reach the store but
//! through the host.

use std::sync::Arc;

use async_trait::async_trait;
use conche_core::Json;
use conche_core::run::{OnUncertain, Repeat};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{input, output, unknown};
use crate::action::{Action, ActionModule, ActionSpec, Call, Error, Output};
use crate::{BuildContext, BuildError, config};

pub(super) static MODULE: ActionModule = ActionModule {
    name: "run_reaction",
    summary: "Starts another reaction by its name.",
    actions: &[ActionSpec {
        name: "run",
        summary: "Starts one run, and does not wait for it.",
        input: &config::schema::<Input>,
        output: &config::schema::<Done>,
        repeat: Repeat::Keyed,
        on_uncertain: OnUncertain::Repeat,
    }],
    config: &config::schema::<Config>,
    build: &build,
};

/// `run_reaction` has no settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {}

/// What `run` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// The reaction's name.
    reaction: String,
    /// The payload of its event, of the type `conche.run.requested`. Default: `null`.
    #[serde(default = "Json::null")]
    #[schemars(with = "Value")]
    data: Json,
}

/// What `run` returns.
#[derive(Debug, Serialize, JsonSchema)]
struct Done {
    /// The event that was made for the run.
    event_id: String,
    /// The run; `null` where it was started by an earlier attempt and is removed already.
    run_id: Option<String>,
}

struct RunReaction;

fn build(config: Value, _cx: &BuildContext) -> Result<Arc<dyn Action>, BuildError> {
    let Config {} = config::read("actions.run_reaction", config)?;
    Ok(Arc::new(RunReaction))
}

#[async_trait]
impl Action for RunReaction {
    async fn invoke(&self, call: &Call) -> Result<Output, Error> {
        if call.action != "run" {
            return Err(unknown("run_reaction", &call.action));
        }
        let Input { reaction, data } = input(call)?;
        let begun = call.host.run_reaction(call, &reaction, data).await?;
        output(&Done {
            event_id: begun.event.to_string(),
            run_id: begun.run.map(|run| run.to_string()),
        })
    }
}
