//! Branches (checks 19 to 21 of the digest): each has its own steps and its own end, and what
//! opens them says what it must.

use std::collections::HashSet;

use serde_json::Value;

use super::limits::LEVELS_MAX;
use super::view::View;
use super::{Said, codes};
use crate::graph::{Edge, Way};
use crate::variable::kind::cut;

/// `closing` are the ways that close a cycle, which have been told as such.
pub(super) fn check(view: &View<'_>, closing: &HashSet<Edge<'_>>, said: &mut Said) {
    apart(view, closing, said);
    openers(view, said);
}

/// Branches: each has its own steps and its own end.
fn apart(view: &View<'_>, closing: &HashSet<Edge<'_>>, said: &mut Said) {
    let flow = &view.flow;
    let mut levels = view.levels.all().iter();
    let deep = levels.find(|level| level.depth > LEVELS_MAX);
    if let Some(edge) = deep.and_then(|level| level.opened_by) {
        said.say(
            &codes::LIMITS,
            &flow.place(edge.from, edge.way),
            format!("more than {LEVELS_MAX} branches are within each other here"),
            "move what is within into a playbook of its own, and run that",
        );
    }
    for level in view.levels.all() {
        let Some(opened_by) = level.opened_by.filter(|edge| !closing.contains(edge)) else {
            continue;
        };
        if !level.ends {
            said.say(
                &codes::BRANCH_WITHOUT_END,
                &flow.place(opened_by.from, opened_by.way),
                "this branch reaches no end step",
                "lead its last step to an end step of its own",
            );
        }
    }
    for (_, edge) in view.levels.meetings() {
        if !closing.contains(edge) {
            meeting(view, *edge, said);
        }
    }
    for (level, _) in view.levels.shared() {
        let opened_by = view.levels.all()[*level].opened_by;
        if let Some(edge) = opened_by.filter(|edge| !closing.contains(edge)) {
            meeting(view, edge, said);
        }
    }
}

fn meeting(view: &View<'_>, edge: Edge<'_>, said: &mut Said) {
    let at = view.flow.place(edge.from, edge.way);
    let to = &view.flow.nodes()[edge.to];
    if to.kind == "end" {
        said.say(
            &codes::SHARED_END,
            &at,
            format!("{} is the end of another branch as well", to.id),
            "give each branch an end step of its own",
        );
    } else {
        said.say(
            &codes::BRANCH_LEAVES,
            &at,
            format!(
                "this leads into {}, which belongs to another branch",
                cut(to.label())
            ),
            "end the branch; what comes after it follows the step that opened it",
        );
    }
}

/// Steps that open branches.
fn openers(view: &View<'_>, said: &mut Said) {
    let nodes = view.flow.nodes();
    for (number, node) in nodes.iter().enumerate() {
        let branches = view
            .flow
            .leaving(number)
            .iter()
            .filter(|edge| edge.way.opens_branch());
        let mut first = HashSet::new();
        for edge in branches {
            let at = view.flow.place(number, edge.way);
            // Cases of a switch may lead to the same branch.
            let same = !first.insert(edge.to);
            if same && !matches!(edge.way, Way::Case(_)) {
                said.say(
                    &codes::SAME_BRANCH,
                    &at,
                    "two branches of this step begin with the same step",
                    "give each branch steps of its own",
                );
            }
            if nodes[edge.to].kind == "end" && !matches!(edge.way, Way::Case(_)) {
                said.say(
                    &codes::EMPTY_BRANCH,
                    &at,
                    "there is nothing in this branch",
                    "leave the branch out, or give it a step",
                );
            }
        }
        let cases = node.object.get("cases").and_then(Value::as_object);
        if cases.is_some_and(|cases| !cases.contains_key("default")) {
            said.say(
                &codes::NO_DEFAULT,
                &node.pointer().then("cases"),
                "nothing is said of any other value",
                "add a case `default`",
            );
        }
    }
}
