//! The layout extension (check 38 of the digest): where things are drawn.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::view::{View, objects, texts};
use super::{Said, codes};
use crate::graph::{Node, layout};
use crate::pointer::Pointer;

pub(super) fn check(view: &View<'_>, said: &mut Said) {
    for node in view.flow.nodes() {
        let Some(extension) = layout::extension(node.object, "step_extensions") else {
            continue;
        };
        let mut at = node
            .pointer()
            .then("step_extensions")
            .then(layout::EXTENSION);
        // Roaster's older dialect does not nest.
        let coordinates = extension.get("coordinates").and_then(Value::as_object);
        if coordinates.is_some() {
            at = at.then("coordinates");
        }
        let extension = coordinates.unwrap_or(extension);
        let next: HashSet<&str> = texts(node.object, "next_steps").map(|(_, id)| id).collect();
        for (index, connection) in objects(extension, "outgoing_connections") {
            let at = at.then("outgoing_connections").then(index);
            points(connection, &at, said);
            target((node, &next), connection, &at, said);
        }
    }
}

/// A line has as many x as y, and two of each at least.
fn points(connection: &Map<String, Value>, at: &Pointer, said: &mut Said) {
    let count = |name: &str| connection.get(name).and_then(Value::as_array).map(Vec::len);
    let (Some(x), Some(y)) = (count("x"), count("y")) else {
        return;
    };
    if x != y || x < 2 {
        said.say(
            &codes::LAYOUT_POINTS,
            at,
            format!("the line has {x} x and {y} y"),
            "give it as many x as y, and at least two of each",
        );
    }
}

/// What a line says of its end is so in the step.
fn target(
    (node, next): (&Node<'_>, &HashSet<&str>),
    connection: &Map<String, Value>,
    at: &Pointer,
    said: &mut Said,
) {
    let text = |name: &str| connection.get(name).and_then(Value::as_str);
    let cases = node.object.get("cases").and_then(Value::as_object);
    if let Some(case) =
        text("case").filter(|case| !cases.is_some_and(|cases| cases.contains_key(*case)))
    {
        said.say(
            &codes::LAYOUT_TARGET,
            &at.then("case"),
            format!("the step has no case \"{case}\""),
            "name a case of the step",
        );
    }
    if let Some(id) = text("next_steps").filter(|id| !next.contains(id)) {
        said.say(
            &codes::LAYOUT_TARGET,
            &at.then("next_steps"),
            format!("the step does not lead to {id}"),
            "name one of its `next_steps`",
        );
    }
}
