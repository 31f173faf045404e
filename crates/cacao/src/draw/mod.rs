//! Pictures of a workflow: SVG, and the languages of Mermaid and Graphviz.
//!
//! Names come from whoever wrote the playbook. They are escaped for the language that they go
//! into, so that no name can become markup, a link or a script.

mod dot;
mod mermaid;
mod svg;

pub use self::dot::dot;
pub use self::mermaid::mermaid;
pub use self::svg::svg;
use crate::finding::is_hidden;
use crate::graph::{Node, Way};

/// The most characters of a name that are drawn.
const LABEL: usize = 26;

/// What is written on a way; nothing on the plain ones.
fn label(way: Way<'_>) -> String {
    match way {
        Way::Completion | Way::Next(_) => String::new(),
        Way::Success => "success".to_owned(),
        Way::Failure => "failure".to_owned(),
        Way::True => "true".to_owned(),
        Way::False => "false".to_owned(),
        Way::Case(case) => short(case, LABEL),
    }
}

/// What is written on a step.
fn title(node: &Node<'_>) -> String {
    let name = node.text("name").unwrap_or(match node.kind {
        "" => node.id,
        kind => kind,
    });
    short(name, LABEL)
}

/// At most so many characters on one line, without control characters or those that turn the
/// direction of writing.
fn short(text: &str, most: usize) -> String {
    let mut shown: String = text
        .chars()
        .map(|char| if char.is_whitespace() { ' ' } else { char })
        .filter(|char| !is_hidden(*char) && !matches!(char, '\u{fffe}' | '\u{ffff}'))
        .take(most + 1)
        .collect();
    if shown.chars().count() > most {
        shown.pop();
        shown.pop();
        shown.push('…');
    }
    shown
}
