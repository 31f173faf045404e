//! CSF's `dummy` module: an action that only shows that it was called.
//!
//! Its input, its output and its name are CSF's, so that CSF's sample reactions run unchanged.
//! It must never do anything but log.

use std::sync::Arc;

use async_trait::async_trait;
use conche_core::run::{OnUncertain, Repeat};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{input, output, unknown};
use crate::action::{Action, ActionModule, ActionSpec, Call, Error, Output};
use crate::{BuildContext, BuildError, config};

pub(super) static MODULE: ActionModule = ActionModule {
    name: "dummy",
    summary: "Shows that it was called, for trying things out.",
    actions: &[ActionSpec {
        name: "dummy_action",
        summary: "Logs its input.",
        input: &config::schema::<Input>,
        output: &config::schema::<Done>,
        repeat: Repeat::Idempotent,
        on_uncertain: OnUncertain::Repeat,
    }],
    config: &config::schema::<Config>,
    build: &build,
};

/// `dummy` has no settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {}

/// What `dummy_action` takes. Like CSF it ignores other members.
#[derive(Debug, Deserialize, JsonSchema)]
struct Input {
    /// Any text. Default: none.
    #[serde(default)]
    dummy_string: Option<Value>,
}

/// What `dummy_action` returns: always the same, as in CSF.
#[derive(Debug, Serialize, JsonSchema)]
struct Done {
    /// `dummyvalue`.
    dummykey: &'static str,
}

struct Dummy;

fn build(config: Value, _cx: &BuildContext) -> Result<Arc<dyn Action>, BuildError> {
    let Config {} = config::read("actions.dummy", config)?;
    Ok(Arc::new(Dummy))
}

#[async_trait]
impl Action for Dummy {
    async fn invoke(&self, call: &Call) -> Result<Output, Error> {
        if call.action != "dummy_action" {
            return Err(unknown("dummy", &call.action));
        }
        let Input { dummy_string } = input(call)?;
        let text = dummy_string.unwrap_or_default();
        tracing::info!(run_id = %call.run, dummy_string = %text, "dummy action called");
        output(&Done {
            dummykey: "dummyvalue",
        })
    }
}
