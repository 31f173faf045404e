//! `sigma`: a rule of a playbook over events that its variables hold.
//!
//! Pure: nothing is read, sent or changed, so it may be repeated freely. The rule and the events
//! may come from anywhere: both are bounded, and so is the work that they may make together. Our
//! own reading of Sigma: the library for it bounds neither expressions nor work, and passes over
//! lists.

mod condition;
mod field;
mod pattern;
mod rule;

use std::sync::Arc;

use async_trait::async_trait;
use conche_core::run::{OnUncertain, Repeat};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::pattern::Budget;
use self::rule::Rule;
use super::command_line;
use crate::action::{Action, ActionModule, ActionSpec, Call, Error, Output};
use crate::actions::{input, output, unknown};
use crate::command::{CommandInput, EXECUTE, Variable};
use crate::{BuildContext, BuildError, config as settings};

pub(super) static MODULE: ActionModule = ActionModule {
    name: "sigma",
    summary: "Sigma rules over events in variables.",
    actions: &[ActionSpec {
        name: EXECUTE,
        summary: "Tells which events a rule matches.",
        input: &settings::schema::<CommandInput>,
        output: &settings::schema::<Found>,
        repeat: Repeat::Idempotent,
        on_uncertain: OnUncertain::Repeat,
    }],
    config: &settings::schema::<Config>,
    build: &build,
};

const PLACE: &str = "actions.sigma";

/// Settings of `sigma`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[allow(clippy::struct_field_names, reason = "they are all limits")]
struct Config {
    /// More events of one command are not taken. Default: 10000.
    max_events: usize,
    /// More matches are not told. Default: 100.
    max_matches: usize,
    /// How much work one command may make, in comparisons of a character or so; a hundred
    /// million take about a second. Default: 100000000.
    max_work: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_events: 10_000,
            max_matches: 100,
            max_work: 100_000_000,
        }
    }
}

/// What the rule matched.
#[derive(Debug, Serialize, JsonSchema)]
struct Found {
    /// Whether any event matched.
    matched: bool,
    /// The events that matched.
    matches: Vec<Match>,
    /// How many events were looked at.
    events: usize,
    /// The rule, as it names itself.
    rule: Named,
    /// True where more matched than is told.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

/// A rule's own words about itself.
#[derive(Debug, Serialize, JsonSchema)]
struct Named {
    /// Its title.
    title: String,
    /// Its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// Its level, e.g. `high`.
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<String>,
}

/// An event that matched.
#[derive(Debug, Serialize, JsonSchema)]
struct Match {
    /// The variable that holds it.
    variable: String,
    /// Which of the variable's events, from 0.
    index: usize,
    /// The event.
    event: Value,
}

struct Sigma {
    config: Arc<Config>,
}

fn build(config: Value, _cx: &BuildContext) -> Result<Arc<dyn Action>, BuildError> {
    let config: Config = settings::read(PLACE, config)?;
    Ok(Arc::new(Sigma {
        config: Arc::new(config),
    }))
}

#[async_trait]
impl Action for Sigma {
    async fn invoke(&self, call: &Call) -> Result<Output, Error> {
        if call.action != EXECUTE {
            return Err(unknown("sigma", &call.action));
        }
        let input: CommandInput = input(call)?;
        let config = self.config.clone();
        // It takes a while at worst, and bounds itself.
        let work = tokio::task::spawn_blocking(move || evaluate(&config, input));
        let found = work
            .await
            .map_err(|_| Error::permanent("the rule can't be evaluated"))?;
        output(&found.map_err(Error::Permanent)?)
    }
}

fn evaluate(config: &Config, input: CommandInput) -> Result<Found, String> {
    let rule = command_line::bytes(&input.command).map_err(|error| error.to_string())?;
    let rule = String::from_utf8(rule).map_err(|_| "the rule is no text")?;
    let rule = Rule::parse(&rule).map_err(|flaw| format!("the rule can't be used: {flaw}"))?;
    let mut budget = Budget::new(config.max_work);
    let mut found = Found {
        matched: false,
        matches: Vec::new(),
        events: 0,
        rule: Named {
            title: rule.title.clone(),
            id: rule.id.clone(),
            level: rule.level.clone(),
        },
        truncated: false,
    };
    for (name, variable) in input.variables {
        let events = events(&variable).map_err(|flaw| format!("the variable `{name}` {flaw}"))?;
        for (index, event) in events.into_iter().enumerate() {
            found.events += 1;
            if found.events > config.max_events {
                return Err(format!("there are more than {} events", config.max_events));
            }
            let matches = rule.matches(&event, &mut budget);
            if !matches.map_err(|_| "the rule takes too much work (`max_work`)")? {
                continue;
            }
            found.matched = true;
            if found.matches.len() == config.max_matches {
                found.truncated = true;
                continue;
            }
            found.matches.push(Match {
                variable: name.clone(),
                index,
                event,
            });
        }
    }
    if found.events == 0 {
        return Err(
            "there is no event: name a variable with JSON objects in the step's `in_args`"
                .to_owned(),
        );
    }
    Ok(found)
}

/// The events of a variable: an object, a list of objects, or a text with those or with a JSON
/// object on each line. None where it holds something else.
fn events(variable: &Variable) -> Result<Vec<Value>, String> {
    let value = match &variable.value {
        Value::String(text) if text.trim_start().starts_with(['{', '[']) => read(text)?,
        Value::String(_) => return Ok(Vec::new()),
        other => other.clone(),
    };
    match value {
        Value::Object(_) => Ok(vec![value]),
        Value::Array(items) if items.iter().all(Value::is_object) => Ok(items),
        Value::Array(_) => Err("is a list of something else than objects".to_owned()),
        _ => Ok(Vec::new()),
    }
}

fn read(text: &str) -> Result<Value, String> {
    if let Ok(whole) = serde_json::from_str(text) {
        return Ok(whole);
    }
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let each = lines.map(serde_json::from_str).collect::<Result<_, _>>();
    each.map(Value::Array)
        .map_err(|error| format!("begins like JSON and is none: {error}"))
}
