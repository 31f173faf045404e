//! A workflow in the language of Graphviz.

use std::fmt::Write;

use super::{label, title};
use crate::graph::{Flow, Node};

/// The workflow as a directed graph for `dot`.
pub fn dot(flow: &Flow<'_>) -> String {
    let mut text = "digraph playbook {\n  node [fontname=\"sans-serif\"];\n".to_owned();
    for (number, node) in flow.nodes().iter().enumerate() {
        let _ = writeln!(
            text,
            "  s{number} [label=\"{}\", shape={}];",
            escaped(&title(node)),
            shape(node)
        );
    }
    for edge in flow.edges() {
        let style = if edge.way.opens_branch() {
            "dashed"
        } else {
            "solid"
        };
        let _ = writeln!(
            text,
            "  s{} -> s{} [label=\"{}\", style={style}];",
            edge.from,
            edge.to,
            escaped(&label(edge.way))
        );
    }
    text.push_str("}\n");
    text
}

fn shape(node: &Node<'_>) -> &'static str {
    match node.kind {
        "start" | "end" => "oval",
        "if-condition" | "while-condition" | "switch-condition" => "diamond",
        "parallel" => "parallelogram",
        "playbook-action" => "folder",
        _ => "box",
    }
}

/// Within quotes, only quotes and backslashes mean something.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
