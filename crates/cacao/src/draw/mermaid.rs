//! A workflow in the language of Mermaid, for Markdown pages.

use std::fmt::Write;

use super::{label, title};
use crate::graph::{Flow, Node};

/// The workflow as a Mermaid flowchart.
pub fn mermaid(flow: &Flow<'_>) -> String {
    let mut text = "flowchart TD\n".to_owned();
    for (number, node) in flow.nodes().iter().enumerate() {
        let (open, close) = shape(node);
        let _ = writeln!(
            text,
            "  s{number}{open}\"{}\"{close}",
            escaped(&title(node))
        );
    }
    for edge in flow.edges() {
        let arrow = if edge.way.opens_branch() {
            "-.->"
        } else {
            "-->"
        };
        let label = match label(edge.way) {
            label if label.is_empty() => String::new(),
            label => format!("|\"{}\"|", escaped(&label)),
        };
        let _ = writeln!(text, "  s{} {arrow}{label} s{}", edge.from, edge.to);
    }
    text
}

fn shape(node: &Node<'_>) -> (&'static str, &'static str) {
    match node.kind {
        "start" | "end" => ("([", "])"),
        "if-condition" | "while-condition" | "switch-condition" => ("{", "}"),
        "parallel" => ("[/", "/]"),
        "playbook-action" => ("[[", "]]"),
        _ => ("[", "]"),
    }
}

/// Mermaid reads `#…;` as an entity within quotes: every character that could mean something
/// is written so.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_alphanumeric()
            || matches!(
                char,
                ' ' | '.' | ',' | ':' | '-' | '_' | '?' | '!' | '(' | ')' | '/' | '…'
            )
        {
            escaped.push(char);
        } else {
            let _ = write!(escaped, "#{};", u32::from(char));
        }
    }
    escaped
}
