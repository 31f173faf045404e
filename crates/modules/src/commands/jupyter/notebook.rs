//! The code cells of a notebook (nbformat 4), and the variables that they are given.
//!
//! What is no notebook is one cell of code, as hunt flows are. Variables are assigned after the
//! first cell that is tagged `parameters`, which holds their defaults, else before all
//! cells: in Python, each under its name and under its name without the underscores around
//! it. They are written as literals, so that no value can become code.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use crate::action::Error;
use crate::command::Variable;

/// The most code cells of a notebook.
const CELLS_MAX: usize = 1000;

/// Deeper values become text: the literal of a variable is no place for more.
const DEPTH_MAX: usize = 32;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Notebook {
    /// The code of its cells, without those that are blank.
    pub(super) cells: Vec<String>,
    /// The kernel that it names.
    pub(super) kernel: Option<String>,
    /// Before which cell its variables are set.
    parameters: usize,
}

impl Notebook {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let document: Option<Value> = serde_json::from_str(text).ok();
        let Some(document) = document.filter(|document| document["cells"].is_array()) else {
            return Ok(Self {
                cells: vec![text.to_owned()],
                kernel: None,
                parameters: 0,
            });
        };
        if document["nbformat"] != 4 {
            return Err(Error::permanent("the notebook is not of nbformat 4"));
        }
        let mut notebook = Self {
            cells: Vec::new(),
            kernel: document["metadata"]["kernelspec"]["name"]
                .as_str()
                .map(str::to_owned),
            parameters: 0,
        };
        for cell in document["cells"].as_array().into_iter().flatten() {
            let code = source(&cell["source"]);
            if cell["cell_type"] != "code" || code.trim().is_empty() {
                continue;
            }
            notebook.cells.push(code);
            let tags = cell["metadata"]["tags"].as_array();
            let is_tagged = tags.is_some_and(|tags| tags.iter().any(|tag| tag == "parameters"));
            if is_tagged && notebook.parameters == 0 {
                notebook.parameters = notebook.cells.len();
            }
        }
        match notebook.cells.len() {
            0 => Err(Error::permanent("the notebook has no code")),
            count if count > CELLS_MAX => Err(Error::permanent(format!(
                "the notebook has {count} code cells; at most {CELLS_MAX} are executed"
            ))),
            _ => Ok(notebook),
        }
    }

    /// Adds a cell that sets variables.
    pub(super) fn set(&mut self, variables: &BTreeMap<String, Variable>) {
        let mut code = String::new();
        for (name, variable) in variables {
            let short = name.trim_matches('_');
            let known = [name.as_str(), short];
            let names = &known[..if short == name { 1 } else { 2 }];
            for name in names.iter().filter(|name| is_identifier(name)) {
                // Writing to a String cannot fail.
                writeln!(code, "{name} = {}", literal(&variable.value, 0)).ok();
            }
        }
        if !code.is_empty() {
            self.cells.insert(self.parameters, code);
        }
    }
}

/// A cell's source: a text, or its lines.
fn source(source: &Value) -> String {
    match source {
        Value::String(text) => text.clone(),
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect(),
        _ => String::new(),
    }
}

/// Whether Python takes it for a name of the user's.
fn is_identifier(name: &str) -> bool {
    const KEYWORDS: [&str; 35] = [
        "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class",
        "continue", "def", "del", "elif", "else", "except", "finally", "for", "from", "global",
        "if", "import", "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return",
        "try", "while", "with", "yield",
    ];
    let mut chars = name.chars();
    let first = chars.next();
    first.is_some_and(|char| char.is_ascii_alphabetic() || char == '_')
        && chars.all(|char| char.is_ascii_alphanumeric() || char == '_')
        && !KEYWORDS.contains(&name)
}

/// A value as Python writes it. A JSON string is a Python string too.
fn literal(value: &Value, depth: usize) -> String {
    let inner = |value| literal(value, depth + 1);
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Array(_) | Value::Object(_) if depth >= DEPTH_MAX => {
            Value::String(value.to_string()).to_string()
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(inner).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(members) => {
            let pair = |(name, value)| format!("{}: {}", Value::String(name), inner(value));
            let members = members
                .iter()
                .map(|(name, value)| pair((name.clone(), value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn variable(value: Value) -> Variable {
        Variable {
            value,
            ..Variable::default()
        }
    }

    #[test]
    fn the_code_of_a_notebook_is_read_and_variables_go_behind_their_defaults() {
        let document = json!({ "nbformat": 4, "metadata": { "kernelspec": { "name": "python3" } }, "cells": [
            { "cell_type": "markdown", "source": "# title" },
            { "cell_type": "code", "source": ["import re\n", "re"] },
            { "cell_type": "code", "source": "x = 1", "metadata": { "tags": ["parameters"] } },
            { "cell_type": "code", "source": " \n" },
            { "cell_type": "code", "source": "print(x)" } ] });
        let mut notebook = Notebook::parse(&document.to_string()).unwrap();
        assert_eq!(notebook.cells, ["import re\nre", "x = 1", "print(x)"]);
        assert_eq!(notebook.kernel.as_deref(), Some("python3"));
        let variables = [
            ("__x__".to_owned(), variable(json!("a\"\n'\\"))),
            ("y".to_owned(), variable(json!([null, true, {"k": 1.5}]))),
            ("no-name".to_owned(), variable(json!(1))),
            ("__class__".to_owned(), variable(json!(1))),
        ];
        notebook.set(&variables.into());
        assert_eq!(
            notebook.cells[2],
            "__class__ = 1\n__x__ = \"a\\\"\\n'\\\\\"\nx = \"a\\\"\\n'\\\\\"\ny = [None, True, {\"k\": 1.5}]\n"
        );
        assert_eq!(notebook.cells[3], "print(x)");
    }

    #[test]
    fn what_is_no_notebook_is_one_cell_and_variables_come_first() {
        let mut flow = Notebook::parse("x = GET process FROM y\n").unwrap();
        assert_eq!(flow.cells, ["x = GET process FROM y\n"]);
        flow.set(&[("a".to_owned(), variable(json!(1)))].into());
        assert_eq!(flow.cells, ["a = 1\n", "x = GET process FROM y\n"]);
        for refused in [
            json!({ "nbformat": 3, "cells": [] }),
            json!({ "nbformat": 4, "cells": [] }),
            json!({ "nbformat": 4, "cells": [{ "cell_type": "raw", "source": "x" }] }),
        ] {
            assert!(Notebook::parse(&refused.to_string()).is_err(), "{refused}");
        }
    }
}
