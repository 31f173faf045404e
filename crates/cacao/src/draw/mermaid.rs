//! A workflow in the language of Mermaid, for Markdown pages.

use std::fmt::{self, Write};

use super::{label, title};
use crate::graph::{Flow, Node};

/// The workflow as a Mermaid flowchart.
pub fn mermaid(flow: &Flow<'_>) -> String {
    Mermaid(flow).to_string()
}

struct Mermaid<'f, 'd>(&'f Flow<'d>);

impl fmt::Display for Mermaid<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "flowchart TD")?;
        for (number, node) in self.0.nodes().iter().enumerate() {
            let (open, close) = shape(node);
            writeln!(f, "  s{number}{open}\"{}\"{close}", Escaped(&title(node)))?;
        }
        for edge in self.0.edges() {
            let arrow = if edge.way.opens_branch() {
                "-.->"
            } else {
                "-->"
            };
            write!(f, "  s{} {arrow}", edge.from)?;
            let label = label(edge.way);
            if !label.is_empty() {
                write!(f, "|\"{}\"|", Escaped(&label))?;
            }
            writeln!(f, " s{}", edge.to)?;
        }
        Ok(())
    }
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
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |char: char| char.is_alphanumeric() || " .,:-_?!()/…".contains(char);
        self.0.chars().try_for_each(|char| {
            if plain(char) {
                f.write_char(char)
            } else {
                write!(f, "#{};", u32::from(char))
            }
        })
    }
}
