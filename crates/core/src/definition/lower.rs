//! Reactions made into definitions.
//!
//! A reaction becomes one script step for itself and, for each action, an action step and,
//! where the action has a script, a script step after it. Script steps carry the suffix
//! `:script`, so that journals read well.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{ActionStep, Definition, Input, Limits, Results, Script, ScriptStep, Step};
use crate::id::StepId;
use crate::reaction::{Action, Reaction};
use crate::run::{OnUncertain, Policy, Repeat};

/// What the modules declare of their actions, as far as the core needs it.
pub trait ActionTable {
    /// What a repeat of the action means and what to do when its effect is unknown;
    /// `None` for an action that no module offers.
    fn guarantee(&self, module: &str, action: &str) -> Option<(Repeat, OnUncertain)>;
}

impl<F: Fn(&str, &str) -> Option<(Repeat, OnUncertain)>> ActionTable for F {
    fn guarantee(&self, module: &str, action: &str) -> Option<(Repeat, OnUncertain)> {
        self(module, action)
    }
}

/// What the configuration sets where a reaction says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Defaults {
    /// Limits of a run.
    pub limits: Limits,
    /// How long one attempt may take.
    pub action_timeout: Duration,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            action_timeout: Duration::from_mins(1),
        }
    }
}

/// Makes a reaction into a definition. An action that no module offers is kept: it fails
/// when a run comes to it, as in CSF, and is warned about where reactions are loaded.
pub fn lower(reaction: &Reaction, table: &dyn ActionTable, defaults: &Defaults) -> Definition {
    let branches: BTreeMap<String, StepId> = reaction
        .actions
        .keys()
        .map(|key| (key.clone(), StepId::from(key)))
        .collect();
    let lists: Arc<[String]> = reaction.lists.iter().cloned().collect();
    let script_step = |source: &str| {
        Step::Script(ScriptStep {
            script: Arc::new(Script::new(source)),
            isolation: reaction.isolation,
            lists: lists.clone(),
            branches: branches.clone(),
        })
    };
    let start = script_name(reaction, "");
    let mut steps = BTreeMap::from([(start.clone(), script_step(&reaction.script))]);
    for (key, action) in &reaction.actions {
        let next = (!action.script.is_empty()).then(|| script_name(reaction, key));
        if let Some(next) = &next {
            steps.insert(next.clone(), script_step(&action.script));
        }
        steps.insert(
            StepId::from(key),
            action_step(action, next, table, defaults),
        );
    }
    let limits = &reaction.limits;
    Definition {
        digest: reaction.digest(),
        name: reaction.name.clone(),
        start,
        steps,
        limits: Limits {
            deadline: limits
                .deadline
                .map_or(defaults.limits.deadline, |span| span.0),
            steps: limits.steps.unwrap_or(defaults.limits.steps),
            iterations: defaults.limits.iterations,
            concurrency: limits.concurrency.unwrap_or(defaults.limits.concurrency),
            calls: defaults.limits.calls,
        },
    }
}

fn action_step(
    action: &Action,
    next: Option<StepId>,
    table: &dyn ActionTable,
    defaults: &Defaults,
) -> Step {
    let (repeat, on_uncertain) = table
        .guarantee(&action.module, &action.action)
        .unwrap_or((Repeat::Unsafe, OnUncertain::Attention));
    Step::Action(ActionStep {
        module: action.module.clone(),
        action: action.action.clone(),
        input: Input::Verdict,
        policy: Policy {
            repeat,
            on_uncertain: action.on_uncertain.unwrap_or(on_uncertain),
            retry: action.retry.unwrap_or_default(),
            timeout: action
                .timeout
                .map_or(defaults.action_timeout, |span| span.0),
        },
        results: Results::Kept,
        guarded: false,
        next,
        on_failure: None,
    })
}

/// The name of the script step after the action `key` (or of the first one, for `""`),
/// made longer until no action has it.
fn script_name(reaction: &Reaction, key: &str) -> StepId {
    let mut name = if key.is_empty() {
        "script".to_owned()
    } else {
        format!("{key}:script")
    };
    while reaction.actions.contains_key(&name) {
        name.push('\'');
    }
    StepId::from(&name)
}
