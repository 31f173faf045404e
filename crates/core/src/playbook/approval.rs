//! What a second person is asked before a step is carried out: each of its commands, filled in,
//! with what it is for, and no credentials.
//!
//! What was approved is what is done: a command whose values changed since is not in the plan.

use std::sync::Arc;

use conche_cacao::variable::Scope;
use serde_json::{Map, Value, json};

use super::command::CommandTemplate;
use super::credentials::SECRET;
use crate::json::Json;
use crate::run::{Declared, Question};

/// What stands in the place of a secret.
const MASK: &str = "***";
/// Words in the names of headers whose values are credentials.
const SECRET_HEADERS: [&str; 5] = ["auth", "cookie", "key", "secret", "token"];
/// Characters of a part of a command in the text of the question; the plan has it whole.
const SHOWN_CHARS: usize = 200;

/// The commands of a step, for approval.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What people call the step.
    pub(super) step: String,
    /// The step's own variables, which are seen by its commands only.
    pub(super) variables: Declared,
    /// In the order in which they are carried out, but for those that are questions themselves.
    pub(super) commands: Vec<Arc<CommandTemplate>>,
}

impl Plan {
    /// Asks, as seen from before the step.
    pub(crate) fn question(&self, scope: &Scope) -> Result<Question, String> {
        let mut within = scope.clone();
        within.enter(self.variables.0.clone());
        let (mut plan, mut lines) = (Vec::new(), Vec::new());
        for command in &self.commands {
            let shown = command.planned(&within).map_err(|error| {
                format!(
                    "{error}; what a second person approves must be known before the step begins: a command that needs the result of another belongs into a step of its own"
                )
            })?;
            lines.push(line(&shown));
            plan.push(Json::from(&shown));
        }
        Ok(Question {
            text: format!("May {} be done? {}", self.step, lines.join("; ")),
            parties: Json::null(),
            answers: Declared::default(),
            plan,
        })
    }
}

impl CommandTemplate {
    /// What would be done, on what and with what, without credentials.
    pub(crate) fn planned(&self, scope: &Scope) -> Result<Value, String> {
        let mut input: Value = self
            .fill(scope)?
            .read()
            .map_err(|error| error.to_string())?;
        let members = ["command", "agent", "target", "variables"];
        let mut planned = Map::new();
        for name in members {
            if let Some(part) = input.get_mut(name) {
                planned.insert(name.to_owned(), part.take());
            }
        }
        let mut planned = Value::Object(planned);
        hide(&mut planned);
        Ok(planned)
    }
}

/// Takes credentials out of what a module would get.
fn hide(planned: &mut Value) {
    for party in ["agent", "target"] {
        let Some(Value::Object(known)) = planned.pointer_mut(&format!("/{party}/authentication"))
        else {
            continue;
        };
        for property in SECRET {
            let Some(secret) = known.get_mut(property) else {
                continue;
            };
            let name = secret.get("secret").and_then(Value::as_str);
            *secret = match name {
                Some(name) if !name.is_empty() => json!({ "secret": name }),
                _ => MASK.into(),
            };
        }
    }
    let headers = planned.pointer_mut("/command/headers");
    let headers = headers.and_then(Value::as_object_mut).into_iter().flatten();
    for (name, values) in headers {
        let name = name.to_ascii_lowercase();
        if SECRET_HEADERS.iter().any(|word| name.contains(word)) {
            *values = json!([MASK]);
        }
    }
}

/// A command in one line.
fn line(planned: &Value) -> String {
    let text = |pointer: &str| planned.pointer(pointer).and_then(Value::as_str);
    let kind = text("/command/type").unwrap_or_default();
    let on = match planned.get("target") {
        Some(_) => "target",
        None => "agent",
    };
    let name = text(&format!("/{on}/name")).unwrap_or_default();
    let addresses = planned.pointer(&format!("/{on}/address"));
    let addresses = addresses.and_then(Value::as_object).into_iter().flatten();
    let addresses: Vec<&str> = addresses
        .flat_map(|(_, values)| values.as_array().into_iter().flatten())
        .filter_map(Value::as_str)
        .collect();
    let address = match addresses.join(", ") {
        none if none.is_empty() => none,
        some => format!(" ({some})"),
    };
    let parts = ["command", "command_b64", "content", "content_b64"];
    let parts = parts.map(|part| text(&format!("/command/{part}")));
    let parts: Vec<String> = parts.into_iter().flatten().map(cut).collect();
    format!("{kind} on {name}{address}: {}", parts.join(" "))
}

fn cut(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
