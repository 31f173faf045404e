//! Conditions and switches (checks 20, 22 and 34 of the digest).

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::limits::PATTERNS_MAX;
use super::scopes::Scopes;
use super::variables::{Of, Used};
use super::view::{View, texts};
use super::{Said, codes};
use crate::condition::switch::DEFAULT;
use crate::condition::{self, Condition, Dialect, Switch};
use crate::graph::Node;
use crate::pointer::Pointer;
use crate::variable::Type;

/// The conditions of steps that can be read, by the number of the step.
pub(super) fn read_all(view: &View<'_>, said: &mut Said) -> HashMap<usize, Condition> {
    let mut conditions = HashMap::new();
    let mut patterns = 0;
    for (number, node) in view.flow.nodes().iter().enumerate() {
        let Some(text) = node.text("condition") else {
            continue;
        };
        let at = node.pointer().then("condition");
        patterns += condition::patterns(text);
        if patterns > PATTERNS_MAX {
            said.say(
                &codes::LIMITS,
                &at,
                format!("the conditions have more than {PATTERNS_MAX} patterns up to here"),
                "compare with `=` and `IN` where that is enough, or make two playbooks of it",
            );
            break;
        }
        conditions.extend(read(text, &at, said).map(|condition| (number, condition)));
    }
    conditions
}

/// A condition as STIX has it or, failing that, as others write it.
fn read(text: &str, at: &Pointer, said: &mut Said) -> Option<Condition> {
    let error = match Condition::parse(text, Dialect::Stix) {
        Ok(condition) => return Some(condition),
        Err(error) => error,
    };
    match Condition::parse(text, Dialect::Bare) {
        Ok(condition) => {
            said.say(
                &codes::BARE_CONDITION,
                at,
                format!("this is not STIX: {error}"),
                "write it as STIX has it, with text in single quotes",
            );
            Some(condition)
        }
        Err(bare) => {
            said.say(
                &codes::CONDITION,
                at,
                format!("this is no condition: {bare}"),
                "write it as STIX has it, such as __name__:value = 'text'",
            );
            None
        }
    }
}

/// Whether what a condition asks fits the types of its variables.
pub(super) fn types(
    scopes: &Scopes<'_, '_>,
    (step, node): (usize, &Node<'_>),
    read: &Condition,
    used: &mut Used,
    said: &mut Said,
) {
    let at = node.pointer().then("condition");
    used.extend(
        read.uses()
            .into_iter()
            .map(|used| (used.name.clone(), Of::Command)),
    );
    let kinds = |name: &str| {
        let kind = scopes.find(step, name)?.object.get("type")?.as_str()?;
        Some(Type::of(kind))
    };
    for problem in read.check(&kinds) {
        let undeclared = matches!(
            problem,
            crate::condition::evaluate::Error::Undeclared { .. }
        );
        let (check, help) = if undeclared {
            (
                &codes::UNDECLARED,
                "declare it in `playbook_variables` or in the step",
            )
        } else {
            (&codes::OPERATOR, "ask what the variable's type can answer")
        };
        said.say(check, &at, problem.to_string(), help);
    }
}

pub(super) fn switch(
    scopes: &Scopes<'_, '_>,
    (step, node): (usize, &Node<'_>),
    used: &mut Used,
    said: &mut Said,
) {
    let Some(text) = node.text("switch") else {
        return;
    };
    let at = node.pointer();
    let switch = match Switch::parse(text) {
        Ok(switch) => switch,
        Err(error) => {
            said.say(
                &codes::SWITCH,
                &at.then("switch"),
                format!("this is no switch: {error}"),
                "write __name__:value and nothing more",
            );
            return;
        }
    };
    let name = switch.name().as_str();
    used.insert(name.to_owned(), Of::Command);
    let Some(variable) = scopes.find(step, name) else {
        said.say(
            &codes::UNDECLARED,
            &at.then("switch"),
            format!("there is no variable {name}"),
            "declare it in `playbook_variables` or in the step",
        );
        return;
    };
    let kind = Type::of(
        variable
            .object
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default(),
    );
    let cases = node.object.get("cases").and_then(Value::as_object);
    for case in cases
        .into_iter()
        .flat_map(Map::keys)
        .filter(|case| *case != DEFAULT)
    {
        if let Err(error) = kind.parse(case) {
            said.say(
                &codes::IMPOSSIBLE_CASE,
                &at.then("cases").then(case.as_str()),
                format!("this case never comes: {error}"),
                "correct the case, or the variable's type",
            );
        }
    }
}

/// Loops whose condition nothing in them can change.
pub(super) fn loops(view: &View<'_>, conditions: &HashMap<usize, Condition>, said: &mut Said) {
    let levels = view.levels.all();
    let mut writes: HashMap<usize, HashSet<&str>> = HashMap::new();
    for (number, node) in view.flow.nodes().iter().enumerate() {
        let mut level = view.shallow(number);
        while let Some(inner) = level {
            let opener = levels[inner].opened_by.map(|edge| edge.from);
            if let Some(opener) =
                opener.filter(|opener| view.flow.nodes()[*opener].kind == "while-condition")
            {
                let names = texts(node.object, "out_args").map(|(_, name)| name);
                writes.entry(opener).or_default().extend(names);
                // SOARCA sets its variables without being asked.
                if node.kind == "action" && !node.object.contains_key("out_args") {
                    writes.entry(opener).or_default().insert("__soarca_");
                }
            }
            level = levels[inner].parent;
        }
    }
    for (number, node) in view
        .flow
        .nodes()
        .iter()
        .enumerate()
        .filter(|(_, node)| node.kind == "while-condition")
    {
        let Some(condition) = conditions.get(&number) else {
            continue;
        };
        let written = writes.get(&number);
        let changes = condition.uses().iter().any(|used| {
            written.is_some_and(|written| {
                written.contains(used.name.as_str())
                    || (used.name.starts_with("__soarca_") && written.contains("__soarca_"))
            })
        });
        if !changes {
            said.say(
                &codes::ENDLESS,
                &node.pointer().then("condition"),
                "nothing in the loop sets what the condition asks about",
                "let a step of the loop name the variable in `out_args`",
            );
        }
    }
}
