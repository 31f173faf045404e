//! `playbook`: starts a CACAO playbook.
//!
//! As `run_reaction`: the run is stored together with the event that asks for it, once for the
//! call's key, and is not waited for. It must never reach the store but through the host.

use std::collections::BTreeMap;
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
    name: "playbook",
    summary: "Starts a CACAO playbook.",
    actions: &[ActionSpec {
        name: "run",
        summary: "Starts one run with values for the playbook's external variables, and does not wait for it.",
        input: &config::schema::<Input>,
        output: &config::schema::<Done>,
        repeat: Repeat::Keyed,
        on_uncertain: OnUncertain::Repeat,
    }],
    config: &config::schema::<Config>,
    build: &build,
};

/// `playbook` has no settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {}

/// What `run` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// The playbook's identifier, `playbook--…`.
    playbook: String,
    /// The version to run: its `modified`. Default: the latest.
    #[serde(default)]
    version: Option<String>,
    /// Values of its external variables; the underscores around a name may be left out.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Value>")]
    variables: BTreeMap<String, Json>,
}

/// What `run` returns.
#[derive(Debug, Serialize, JsonSchema)]
struct Done {
    /// The event that was made for the run.
    event_id: String,
    /// The run.
    run_id: Option<String>,
}

struct Playbook;

fn build(config: Value, _cx: &BuildContext) -> Result<Arc<dyn Action>, BuildError> {
    let Config {} = config::read("actions.playbook", config)?;
    Ok(Arc::new(Playbook))
}

#[async_trait]
impl Action for Playbook {
    async fn invoke(&self, call: &Call) -> Result<Output, Error> {
        if call.action != "run" {
            return Err(unknown("playbook", &call.action));
        }
        let Input {
            playbook,
            version,
            variables,
        } = input(call)?;
        let variables = named(variables)?;
        let begun = call
            .host
            .run_playbook(call, &playbook, version.as_deref(), variables)
            .await?;
        output(&Done {
            event_id: begun.event.to_string(),
            run_id: begun.run.map(|run| run.to_string()),
        })
    }
}

/// Values by the names of variables; one that is given with underscores and without is not
/// chosen between.
fn named(given: BTreeMap<String, Json>) -> Result<BTreeMap<String, Json>, Error> {
    let mut variables = BTreeMap::new();
    for (name, value) in given {
        let full = if name.starts_with("__") {
            name
        } else {
            format!("__{name}__")
        };
        if variables.contains_key(&full) {
            let message =
                format!("the variable `{full}` is given twice, with underscores and without");
            return Err(Error::permanent(message));
        }
        variables.insert(full, value);
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_given_once() {
        let given = |names: &[&str]| {
            let values = names.iter().map(|name| ((*name).to_owned(), Json::null()));
            let named = named(values.collect());
            named.map(|variables| variables.into_keys().collect::<Vec<_>>())
        };
        assert_eq!(given(&["v", "__w__"]).unwrap(), ["__v__", "__w__"]);
        let twice = given(&["v", "__v__"]).unwrap_err().to_string();
        assert!(twice.contains("`__v__` is given twice"), "{twice}");
    }
}
