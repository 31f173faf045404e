//! What of a step is read the same way for every type: what follows, its times, its variables.

use std::time::Duration;

use conche_cacao::Pointer;
use conche_cacao::model::{Dictionary, Step, Variable as Declaration};
use conche_cacao::variable::{Name, Variable};
use serde_json::Value;

use super::results::{EXTENSION, soarca_part};
use crate::definition::Query;
use crate::run::Declared;

/// What follows a step: CACAO's table of next steps (§4.1).
///
/// | outcome | `on_completion` | `on_success` only | both | `on_failure` only, none |
/// |---|---|---|---|---|
/// | succeeded | goes there | goes there | goes to `on_success` | refused |
/// | failed | goes there | its frame fails | goes to `on_failure` | refused |
pub(super) struct Next<'s> {
    pub(super) success: &'s str,
    pub(super) failure: Option<&'s str>,
}

impl<'s> Next<'s> {
    /// The properties that say it: of success, and of failure.
    pub(super) const fn said_by(step: &Step) -> (&'static str, &'static str) {
        match step.on_completion {
            Some(_) => ("on_completion", "on_completion"),
            None => ("on_success", "on_failure"),
        }
    }

    pub(super) fn of(step: &'s Step) -> Result<Self, (&'static str, String)> {
        let (completion, success, failure) = (
            step.on_completion.as_deref(),
            step.on_success.as_deref(),
            step.on_failure.as_deref(),
        );
        match (completion, success, failure) {
            (Some(completion), None, None) => Ok(Self {
                success: completion,
                failure: Some(completion),
            }),
            (None, Some(success), failure) => Ok(Self { success, failure }),
            (Some(_), _, _) => Err((
                "on_completion",
                "`on_completion` excludes `on_success` and `on_failure`: nobody can say which is meant".to_owned(),
            )),
            (None, None, _) => Err((
                "on_success",
                "what follows when the step succeeds is not said: add `on_completion` or `on_success`".to_owned(),
            )),
        }
    }
}

/// A time in milliseconds; none where it is 0.
pub(super) fn span(milliseconds: Option<u64>) -> Option<Duration> {
    milliseconds
        .filter(|milliseconds| *milliseconds > 0)
        .map(Duration::from_millis)
}

/// Variables as a playbook or step declares them.
pub(super) fn declared(
    declarations: Option<&Dictionary<Declaration>>,
    at: &Pointer,
) -> Result<Declared, (Pointer, String)> {
    let mut declared = Declared::default();
    for (name, declaration) in declarations.into_iter().flat_map(Dictionary::iter) {
        let fault = |message: String| (at.then(name), message);
        let key = Name::parse(name).map_err(|error| fault(error.to_string()))?;
        let json = serde_json::to_value(declaration).map_err(|error| fault(error.to_string()))?;
        let variable = Variable::declared(&json).map_err(|error| fault(error.to_string()))?;
        declared.0.insert(key, variable);
    }
    Ok(declared)
}

/// Names of variables.
pub(super) fn names(names: Option<&Vec<String>>) -> Result<Vec<Name>, String> {
    let names = names.into_iter().flatten();
    names
        .map(|name| Name::parse(name).map_err(|error| format!("`{name}`: {error}")))
        .collect()
}

/// What a step's extensions say about the result of one command for one target.
#[derive(Default)]
pub(super) struct Wanted {
    /// Variables and the JSON Pointers of what they get; none where nothing is said.
    pub(super) pointers: Option<Vec<(Name, String)>>,
    /// What is looked for by jq filters.
    pub(super) queries: Vec<Query>,
}

/// Reads `result-mapping` and SOARCA's `soarca-assignment`, under whatever keys they stand.
pub(super) fn wanted(
    step: &Step,
    kind: &str,
    command: usize,
    target: usize,
) -> Result<Wanted, String> {
    let mut wanted = Wanted::default();
    for (key, extension) in step.step_extensions.iter().flatten() {
        match extension.get("type").and_then(Value::as_str) {
            Some("soarca-assignment") => wanted.queries.extend(assignment(extension, kind)?),
            Some("result-mapping") => mapping(step, extension, (command, target), &mut wanted)?,
            _ if key == EXTENSION => mapping(step, extension, (command, target), &mut wanted)?,
            _ => {}
        }
    }
    Ok(wanted)
}

fn mapping(
    step: &Step,
    extension: &Value,
    (command, target): (usize, usize),
    wanted: &mut Wanted,
) -> Result<(), String> {
    let members = extension
        .get("mapping")
        .and_then(Value::as_object)
        .ok_or("a `result-mapping` needs an object `mapping`")?;
    let pointers = wanted.pointers.get_or_insert_default();
    for (name, part) in members {
        let index = |key: &str| part.get(key).and_then(Value::as_u64);
        let elsewhere = |key: &str, here: usize| index(key).is_some_and(|at| at != here as u64);
        for (key, all) in [
            ("command", step.commands.as_ref().map_or(0, Vec::len)),
            ("target", step.targets.as_ref().map_or(1, Vec::len)),
        ] {
            if index(key).is_some_and(|at| at >= all as u64) {
                return Err(format!(
                    "`{name}` is mapped from a {key} that the step does not have"
                ));
            }
        }
        if elsewhere("command", command) || elsewhere("target", target) {
            continue;
        }
        let variable = Name::parse(name).map_err(|error| format!("`{name}`: {error}"))?;
        let text = |key: &str| part.get(key).and_then(Value::as_str);
        match (text("pointer"), text("jq")) {
            (Some(pointer), None) => pointers.push((variable, pointer.to_owned())),
            (None, Some(filter)) => wanted.queries.push(Query {
                variable: variable.to_string(),
                of: String::new(),
                current: false,
                filter: filter.into(),
            }),
            _ => {
                return Err(format!(
                    "`{name}` needs either a `pointer` or a `jq` filter"
                ));
            }
        }
    }
    Ok(())
}

/// SOARCA's way: a part of a named result, or all of it. Where the name is not one that this
/// command sets, it is meant for another.
fn assignment(extension: &Value, kind: &str) -> Result<Option<Query>, String> {
    let text = |value: &Value, key: &str| -> Result<String, String> {
        let text = value.get(key).and_then(Value::as_str);
        let text = text.ok_or_else(|| format!("a `soarca-assignment` needs `{key}`"))?;
        Ok(text.to_owned())
    };
    let result = text(extension, "step-result")?;
    let Some(pointer) = soarca_part(kind, &result) else {
        return Ok(None);
    };
    let variable = text(extension, "variable")?;
    Name::parse(&variable).map_err(|error| format!("`{variable}`: {error}"))?;
    let filter = match extension.get("expression") {
        None | Some(Value::Null) => ".current".to_owned(),
        Some(expression) if expression.get("type").and_then(Value::as_str) == Some("jq") => {
            text(expression, "expression")?
        }
        Some(_) => return Err("a `soarca-assignment` knows expressions of type `jq`".to_owned()),
    };
    Ok(Some(Query {
        variable,
        of: pointer.to_owned(),
        current: true,
        filter: filter.into(),
    }))
}
