//! `in_args` and `out_args`: the variables that a step is handed and sets (checks 31 to 33 of the
//! digest).

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::Value;

use super::scopes::Scopes;
use super::variables::{Of, Used};
use super::view::{View, objects, texts};
use super::{Said, codes};
use crate::graph::Node;
use crate::variable::reference::KEYWORD;
use crate::vocabulary::AGENT_TARGET_TYPE;

/// Types of commands that see of the variables only what is filled into their texts. Others are
/// handed those of `in_args`: events for `sigma`, files for `yara`, cells for `jupyter`, and for a
/// type that the specification does not know, nobody knows what.
static FILLED_IN: [&str; 9] = [
    "bash",
    "caldera-cmd",
    "elastic",
    "http-api",
    "kestrel",
    "manual",
    "openc2-http",
    "powershell",
    "ssh",
];

/// Names of variables, without `:value`.
pub(super) fn check(
    scopes: &Scopes<'_, '_>,
    (step, node): (usize, &Node<'_>),
    used: &Used,
    said: &mut Said,
) {
    let (mut listed, is_handed) = (HashSet::new(), is_handed(scopes.view(), node));
    for list in ["in_args", "out_args"] {
        for (index, text) in texts(node.object, list) {
            let at = node.pointer().then(list).then(index);
            let name = text.strip_suffix(KEYWORD).unwrap_or(text);
            if name != text {
                said.say(
                    &codes::ARGUMENT_KEYWORD,
                    &at,
                    "a list of arguments has names, not values",
                    format!("write {name}"),
                );
            }
            listed.insert(name);
            let Some(variable) = scopes.find(step, name) else {
                said.say(
                    &codes::ARGUMENT,
                    &at,
                    format!("there is no variable {name}"),
                    "declare it in `playbook_variables` or in the step",
                );
                continue;
            };
            let constant = variable.object.get("constant") == Some(&Value::Bool(true));
            if constant && list == "out_args" {
                said.say(
                    &codes::CONSTANT_SET,
                    &at,
                    format!("{name} is a constant, and this step sets it"),
                    "take it out, or make it no constant",
                );
            }
            let unread = node.kind == "action" && !is_handed && !used.contains_key(name);
            if list == "in_args" && unread {
                said.say(
                    &codes::UNUSED_ARGUMENT,
                    &at,
                    format!("the step does not use {name}"),
                    "use it, or take it out",
                );
            }
        }
    }
    unlisted(node, used, &listed, said);
}

/// Whether who carries the step out is handed the variables of `in_args`, whatever its texts say.
fn is_handed(view: &View<'_>, node: &Node<'_>) -> bool {
    let agents = view.document.get("agent_definitions");
    let agent = node
        .text("agent")
        .and_then(|id| agents?.get(id)?.get("type")?.as_str());
    let mut commands = objects(node.object, "commands");
    agent.is_some_and(|kind| !AGENT_TARGET_TYPE.has(kind))
        || commands.any(|(_, command)| {
            let kind = command.get("type").and_then(Value::as_str);
            kind.is_some_and(|kind| !FILLED_IN.contains(&kind))
        })
}

/// What the step uses and does not list, where it lists anything.
fn unlisted(node: &Node<'_>, used: &Used, listed: &HashSet<&str>, said: &mut Said) {
    let says_so = node.object.contains_key("in_args");
    let unlisted: BTreeSet<&String> = used
        .iter()
        .filter(|(name, of)| **of == Of::Command && !listed.contains(name.as_str()))
        .map(|(name, _)| name)
        .collect();
    for name in unlisted
        .into_iter()
        .filter(|_| says_so && node.kind == "action")
    {
        said.say(
            &codes::UNLISTED_ARGUMENT,
            &node.pointer().then("in_args"),
            format!("the step uses {name}, which is not listed"),
            "list it",
        );
    }
}

/// Variables that two branches of a parallel step set: which one holds, nobody says.
pub(super) fn side_by_side(view: &View<'_>, scopes: &Scopes<'_, '_>, said: &mut Said) {
    let levels = view.levels.all();
    // Which branch of which parallel step each level is in, going outwards one step at a time.
    let mut writers: HashMap<(usize, &str), usize> = HashMap::new();
    for (number, node) in view.flow.nodes().iter().enumerate() {
        for (index, text) in texts(node.object, "out_args") {
            let global = scopes.find(number, text).is_some_and(|found| found.global);
            let mut level = view.shallow(number).filter(|_| global);
            while let Some(inner) = level {
                let opener = levels[inner].opened_by.map(|edge| edge.from);
                if let Some(opener) =
                    opener.filter(|opener| view.flow.nodes()[*opener].kind == "parallel")
                {
                    let first = *writers.entry((opener, text)).or_insert(inner);
                    if first != inner {
                        said.say(
                            &codes::PARALLEL_WRITERS,
                            &node.pointer().then("out_args").then(index),
                            format!("another branch of the same parallel step sets {text} as well"),
                            "let each branch set a variable of its own",
                        );
                    }
                }
                level = levels[inner].parent;
            }
        }
    }
}
