//! A workflow in the language of Graphviz.

use std::fmt;

use super::{label, title};
use crate::graph::{Flow, Node};

/// The workflow as a directed graph for `dot`.
pub fn dot(flow: &Flow<'_>) -> String {
    Dot(flow).to_string()
}

struct Dot<'f, 'd>(&'f Flow<'d>);

impl fmt::Display for Dot<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "digraph playbook {{\n  node [fontname=\"sans-serif\"];")?;
        for (number, node) in self.0.nodes().iter().enumerate() {
            let (title, shape) = (escaped(&title(node)), shape(node));
            writeln!(f, "  s{number} [label=\"{title}\", shape={shape}];")?;
        }
        for edge in self.0.edges() {
            let style = if edge.way.opens_branch() {
                "dashed"
            } else {
                "solid"
            };
            let label = escaped(&label(edge.way));
            writeln!(
                f,
                "  s{} -> s{} [label=\"{label}\", style={style}];",
                edge.from, edge.to
            )?;
        }
        writeln!(f, "}}")
    }
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
