//! `log`: writes to the server's own log.
//!
//! The line carries the run and the step, so that it is found from either side. Known secret
//! values are masked. It must never do anything else: a run's own record is its journal.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use conche_core::run::{OnUncertain, Repeat};
use conche_runtime::secrets::Masker;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{input, output, unknown};
use crate::action::{Action, ActionModule, ActionSpec, Call, Error, Output};
use crate::{BuildContext, BuildError, config};

pub(super) static MODULE: ActionModule = ActionModule {
    name: "log",
    summary: "Writes to the server's log.",
    actions: &[ActionSpec {
        name: "write",
        summary: "Writes one line.",
        input: &config::schema::<Input>,
        output: &config::schema::<Done>,
        repeat: Repeat::Idempotent,
        on_uncertain: OnUncertain::Repeat,
    }],
    config: &config::schema::<Config>,
    build: &build,
};

/// `log` has no settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {}

/// What `write` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// The line.
    message: String,
    /// How grave it is. Default: `info`.
    #[serde(default)]
    level: Level,
    /// What belongs to it. Default: nothing.
    #[serde(default)]
    fields: BTreeMap<String, Value>,
}

/// How grave a line is.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Level {
    /// For those who look for a mistake.
    Debug,
    /// For the record.
    #[default]
    Info,
    /// Somebody should look.
    Warn,
    /// Something is broken.
    Error,
}

/// What `write` returns: nothing.
#[derive(Debug, Serialize, JsonSchema)]
struct Done {}

struct Log {
    masker: Masker,
}

fn build(config: Value, cx: &BuildContext) -> Result<Arc<dyn Action>, BuildError> {
    let Config {} = config::read("actions.log", config)?;
    let masker = cx.secrets.masker();
    Ok(Arc::new(Log { masker }))
}

#[async_trait]
impl Action for Log {
    async fn invoke(&self, call: &Call) -> Result<Output, Error> {
        if call.action != "write" {
            return Err(unknown("log", &call.action));
        }
        let line: Input = input(call)?;
        let message = self.masker.mask(&line.message);
        let fields = Value::from_iter(line.fields).to_string();
        let fields = self.masker.mask(&fields);
        let (run_id, step) = (call.run, &call.step);
        // tracing fixes a level at each place of use. Text goes through its quoting
        // (`?`), so that no line break of a sender makes a line of its own.
        match line.level {
            Level::Debug => tracing::debug!(%run_id, %step, %fields, message = ?message),
            Level::Info => tracing::info!(%run_id, %step, %fields, message = ?message),
            Level::Warn => tracing::warn!(%run_id, %step, %fields, message = ?message),
            Level::Error => tracing::error!(%run_id, %step, %fields, message = ?message),
        }
        output(&Done {})
    }
}
