//! What of a step is read the same way for every type: what follows, its times, its variables.

use std::time::Duration;

use conche_cacao::Pointer;
use conche_cacao::model::{Dictionary, Step, Variable as Declaration};
use conche_cacao::variable::{Name, Variable};

use super::results::EXTENSION;
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

/// What the step's `result-mapping` extension says for one command and target; none where the
/// step has no such extension.
pub(super) fn mapping(
    step: &Step,
    command: usize,
    target: usize,
) -> Result<Option<Vec<(Name, String)>>, String> {
    let Some(extension) = step
        .step_extensions
        .as_ref()
        .and_then(|all| all.get(EXTENSION))
    else {
        return Ok(None);
    };
    let members = extension
        .get("mapping")
        .and_then(serde_json::Value::as_object)
        .ok_or("a `result-mapping` needs an object `mapping`")?;
    let mut found = Vec::new();
    for (name, part) in members {
        let index = |key: &str| part.get(key).and_then(serde_json::Value::as_u64);
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
        let key = Name::parse(name).map_err(|error| format!("`{name}`: {error}"))?;
        let pointer = part.get("pointer").and_then(serde_json::Value::as_str);
        let pointer = pointer.ok_or_else(|| format!("`{name}` needs a `pointer`"))?;
        found.push((key, pointer.to_owned()));
    }
    Ok(Some(found))
}
