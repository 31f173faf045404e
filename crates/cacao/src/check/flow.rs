//! The flow of control (checks 12 and 15 to 24 of the digest), but for what branches have to do
//! with each other.

use std::collections::HashSet;

use serde_json::Value;

use super::view::{View, objects};
use super::{Said, branches, codes};
use crate::graph::{Edge, Node};
use crate::pointer::Pointer;
use crate::variable::kind::cut;

pub(super) fn check(view: &View<'_>, said: &mut Said) {
    start(view, said);
    minimum(view, said);
    next_steps(view, said);
    let closing = cycles(view, said);
    reach(view, said);
    branches::check(view, &closing, said);
    exception(view, said);
    times(view, said);
}

fn start(view: &View<'_>, said: &mut Said) {
    let nodes = view.flow.nodes();
    if let Some(start) = view.flow.start().map(|number| &nodes[number])
        && start.kind != "start"
    {
        said.say(
            &codes::START_TYPE,
            &Pointer::top().then("workflow_start"),
            format!("{} is a step of type {}", start.id, start.kind),
            "name a step of type start",
        );
    }
    let starts: Vec<&Node<'_>> = nodes.iter().filter(|node| node.kind == "start").collect();
    if starts.is_empty() && !nodes.is_empty() {
        said.say(
            &codes::ONE_START,
            &Pointer::top().then("workflow"),
            "there is no step of type start",
            "add one, and name it in `workflow_start`",
        );
    }
    for other in starts.iter().skip(1) {
        said.say(
            &codes::ONE_START,
            &other.pointer(),
            "this is one start step too many",
            "a workflow has exactly one",
        );
    }
    for edge in view.flow.edges() {
        if nodes[edge.to].kind == "start" {
            said.say(
                &codes::BACK_TO_START,
                &view.flow.place(edge.from, edge.way),
                "this leads back to the start step",
                "lead to the step after it, or repeat by a while-condition",
            );
        }
    }
}

/// A workflow has something to do and somewhere to stop.
fn minimum(view: &View<'_>, said: &mut Said) {
    let nodes = view.flow.nodes();
    if nodes.is_empty() {
        return;
    }
    let at = Pointer::top().then("workflow");
    if !nodes.iter().any(|node| node.kind == "end") {
        said.say(
            &codes::NO_END,
            &at,
            "there is no step of type end",
            "add one where the playbook is over, and one for each branch",
        );
    } else if view.flow.start().is_some()
        && view.levels.all().first().is_some_and(|main| !main.ends)
    {
        said.say(
            &codes::NO_END,
            &at,
            "no way leads from the start to an end",
            "lead the last step to a step of type end",
        );
    }
    if !nodes
        .iter()
        .any(|node| matches!(node.kind, "action" | "playbook-action"))
    {
        said.say(
            &codes::NO_ACTION,
            &at,
            "no step does anything",
            "add a step of type action or playbook-action",
        );
    }
}

/// What comes after each step.
fn next_steps(view: &View<'_>, said: &mut Said) {
    for node in view.flow.nodes() {
        let at = node.pointer();
        let has = |name: &str| node.object.contains_key(name);
        let (completion, success, failure) =
            (has("on_completion"), has("on_success"), has("on_failure"));
        let forbidden: &[&str] = match node.kind {
            "end" => &["on_completion", "on_success", "on_failure"],
            "start" => &["on_success", "on_failure"],
            _ => &[],
        };
        for name in forbidden.iter().filter(|name| has(name)) {
            said.say(
                &codes::NOT_HERE,
                &at.then(*name),
                format!("a step of type {} has no `{name}`", node.kind),
                if node.kind == "start" {
                    "use `on_completion`"
                } else {
                    "take it out"
                },
            );
        }
        if node.kind == "end" {
            continue;
        }
        if completion && (success || failure) {
            said.say(
                &codes::BOTH_NEXT,
                &at.then("on_completion"),
                "`on_completion` stands beside `on_success` or `on_failure`",
                "use the one, or the others",
            );
        } else if !completion && !success && failure {
            said.say(
                &codes::ONLY_FAILURE,
                &at,
                "it says what follows a failure, and not what follows success",
                "add `on_success`",
            );
        } else if !completion && !success {
            let help = if node.kind == "start" {
                "add `on_completion`"
            } else {
                "add `on_completion`, or `on_success` and `on_failure`"
            };
            said.say(
                &codes::NO_NEXT,
                &at,
                "nothing says what comes after this step",
                help,
            );
        }
    }
}

/// Ways that close a cycle. Branches end by an end step, so that a sound workflow has none,
/// whatever it repeats.
fn cycles<'d>(view: &View<'d>, said: &mut Said) -> HashSet<Edge<'d>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let flow = &view.flow;
    let mut marks = vec![Mark::New; flow.nodes().len()];
    let mut closing = Vec::new();
    for root in 0..flow.nodes().len() {
        if marks[root] != Mark::New {
            continue;
        }
        marks[root] = Mark::Open;
        let mut path = vec![(root, 0)];
        while let Some((step, next)) = path.last_mut() {
            let Some(edge) = flow.leaving(*step).get(*next) else {
                marks[*step] = Mark::Done;
                path.pop();
                continue;
            };
            *next += 1;
            match marks[edge.to] {
                Mark::New => {
                    marks[edge.to] = Mark::Open;
                    path.push((edge.to, 0));
                }
                Mark::Open => closing.push(*edge),
                Mark::Done => {}
            }
        }
    }
    for edge in &closing {
        let to = &flow.nodes()[edge.to];
        if edge.from == edge.to && edge.way.opens_branch() {
            said.say(
                &codes::OWN_BRANCH,
                &flow.place(edge.from, edge.way),
                "the branch begins with the step that opens it",
                "name the first step of the branch",
            );
            continue;
        }
        let help = if to.kind == "while-condition" {
            "lead to an end step: the condition is asked again by itself"
        } else {
            "what repeats is a branch of a while-condition"
        };
        said.say(
            &codes::CYCLE,
            &flow.place(edge.from, edge.way),
            format!("this leads back to {}, where it came from", cut(to.label())),
            help,
        );
    }
    closing.into_iter().collect()
}

fn reach(view: &View<'_>, said: &mut Said) {
    if view.flow.start().is_none() {
        return;
    }
    for (number, node) in view.flow.nodes().iter().enumerate() {
        // A second start step has been told as such.
        if view.levels.home(number).is_none() && node.kind != "start" {
            said.say(
                &codes::UNREACHABLE,
                &node.pointer(),
                "no way leads to this step",
                "lead to it, or take it out",
            );
        }
    }
}

fn exception(view: &View<'_>, said: &mut Said) {
    let Some(handler) = view.flow.exception() else {
        let untaken = untaken(view).filter(|_| view.text("workflow_exception").is_none());
        if let Some(node) = untaken {
            said.say(
                &codes::NO_EXCEPTION,
                &node.pointer(),
                "nobody takes a failure of this step",
                "add `on_failure`, or `workflow_exception` to the playbook",
            );
        }
        return;
    };
    if view.levels.home(handler) == Some(0) {
        said.say(
            &codes::EXCEPTION_OVERLAPS,
            &Pointer::top().then("workflow_exception"),
            "what handles an exception is a step of the main flow",
            "give exceptions steps of their own",
        );
    }
}

/// The first step of whose failure nothing says what follows: neither the step itself, where
/// `on_completion` follows whatever the outcome, nor a step around it.
fn untaken<'v, 'd>(view: &'v View<'d>) -> Option<&'v Node<'d>> {
    let nodes = view.flow.nodes();
    let goes_on = |node: &Node<'_>| {
        let mut ways = ["on_completion", "on_failure"].into_iter();
        ways.any(|way| node.object.contains_key(way))
    };
    // Of each level, outer ones first: whether a step around it goes on after a failure in it.
    let mut caught: Vec<bool> = Vec::new();
    for level in view.levels.all() {
        let opener = level.opened_by.map(|edge| &nodes[edge.from]);
        let outer = level.parent.is_some_and(|parent| caught[parent]);
        caught.push(outer || opener.is_some_and(goes_on));
    }
    let mut steps = nodes.iter().enumerate();
    let found = steps.find(|(number, node)| {
        let level = view.levels.home(*number);
        let alone = level.is_some_and(|level| !caught[level]);
        alone && !matches!(node.kind, "start" | "end") && !goes_on(node)
    });
    found.map(|(_, node)| node)
}

fn times(view: &View<'_>, said: &mut Said) {
    for (number, node) in view.flow.nodes().iter().enumerate() {
        let timeout = milliseconds(node, "timeout").filter(|timeout| *timeout > 0);
        let branches = view
            .flow
            .leaving(number)
            .iter()
            .filter(|edge| edge.way.opens_branch());
        for first in branches.map(|edge| &view.flow.nodes()[edge.to]) {
            let within = milliseconds(first, "delay").unwrap_or(0)
                + milliseconds(first, "timeout").unwrap_or(0);
            if let Some(timeout) = timeout.filter(|timeout| *timeout < within) {
                said.say(
                    &codes::SHORT_TIMEOUT,
                    &node.pointer().then("timeout"),
                    format!(
                        "{timeout} ms are less than the {within} ms that {} has",
                        cut(first.label())
                    ),
                    "give it at least as much",
                );
                break;
            }
        }
        let manual = objects(node.object, "commands")
            .any(|(_, command)| command.get("type") == Some(&Value::from("manual")));
        if manual && timeout.is_none() {
            said.say(
                &codes::NO_TIMEOUT,
                &node.pointer(),
                "this waits for a person, and does not say how long",
                "add a `timeout` in milliseconds",
            );
        }
    }
}

fn milliseconds(node: &Node<'_>, name: &str) -> Option<u64> {
    node.object.get(name)?.as_u64()
}
