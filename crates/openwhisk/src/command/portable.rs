//! A playbook for everyone: each step with one `openwhisk` command gets an `http-api` command
//! that any executor of CACAO 2.0 carries out, and keeps ours as an extension of the step.
//!
//! Generated, never written by hand, so that the two can't differ. What the portable command
//! can't do is told: it waits with the host only, tries nothing again and gives its raw result.

use serde_json::{Map, Value, json};

use super::parse::{Arguments, Command, CommandError, Mode, Verb};
use super::{Form, recognise};
use crate::client::entity_path;

/// The extension under which a step keeps its `openwhisk` command.
pub const EXTENSION: &str = "extension-definition--f9cea8f6-15ff-4c3a-8564-54f25fd2f1d9";

/// Who made the extension, as an identity of CACAO.
const MAKER: &str = "identity--5d1c0a45-22c7-4d0e-a2a5-4d5f6ac2d9a0";
/// The agent by whose name SOARCA finds out how to carry a command out.
const SOARCA_AGENT: &str = "soarca-http-api";
/// The variable in which SOARCA puts a result.
const SOARCA_RESULT: &str = "__soarca_http_api_result__";
/// The shortest `timeout` of a step: the host may wait a minute.
const TIMEOUT_MIN: u64 = 65_000;

/// Why a playbook has no portable form.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PortableError {
    /// It is no playbook with steps.
    #[error("it is no playbook with a workflow")]
    NoPlaybook,
    /// A step has several commands, and an extension is of the step.
    #[error(
        "the step `{0}` has other commands beside its openwhisk command: give each a step of its own"
    )]
    SeveralCommands(String),
    /// A command is wrong.
    #[error("the command of step `{step}`: {source}")]
    Command {
        /// The step.
        step: String,
        /// Why.
        source: CommandError,
    },
    /// It can't be said in one request.
    #[error("the command of step `{step}` {why}")]
    NotPortable {
        /// The step.
        step: String,
        /// Why.
        why: &'static str,
    },
    /// Where the host is can't be told.
    #[error("the agent of step `{0}` is not among the agent definitions")]
    NoAgent(String),
}

/// The portable form of a playbook, and what to know about it.
///
/// # Errors
/// [`PortableError`]
pub fn portable(playbook: &Value) -> Result<(Value, Vec<String>), PortableError> {
    let mut changed = playbook.clone();
    let mut notes = Vec::new();
    let steps = playbook
        .get("workflow")
        .and_then(Value::as_object)
        .ok_or(PortableError::NoPlaybook)?;
    let mut is_changed = false;
    for (id, step) in steps {
        let commands = step.get("commands").and_then(Value::as_array);
        let own = |command: &&Value| recognise(command, None) == Some(Form::Command);
        match commands.map(Vec::as_slice) {
            Some([command]) if own(&command) => {
                let of = Of { id, step, command };
                changed["workflow"][id] = of.portable(&mut changed, &mut notes)?;
                is_changed = true;
            }
            Some(several) if several.iter().any(|command| own(&command)) => {
                return Err(PortableError::SeveralCommands(id.clone()));
            }
            _ => {}
        }
    }
    if is_changed {
        if changed.get("extension_definitions").is_none() {
            changed["extension_definitions"] = json!({});
        }
        changed["extension_definitions"][EXTENSION] = definition();
    }
    Ok((changed, notes))
}

/// What the playbook says of the extension.
fn definition() -> Value {
    json!({
        "type": "extension-definition",
        "name": "openwhisk command",
        "description": "How the http-api command of the step is carried out by executors that know Apache OpenWhisk: with polling, retries, and results in variables.",
        "created_by": MAKER,
        "schema": format!("urn:conche:{EXTENSION}"),
        "version": "1.0"
    })
}

/// A step with one `openwhisk` command.
struct Of<'a> {
    id: &'a str,
    step: &'a Value,
    command: &'a Value,
}

impl Of<'_> {
    fn not(&self, why: &'static str) -> PortableError {
        PortableError::NotPortable {
            step: self.id.to_owned(),
            why,
        }
    }

    fn portable(
        &self,
        playbook: &mut Value,
        notes: &mut Vec<String>,
    ) -> Result<Value, PortableError> {
        let wrong = |source| PortableError::Command {
            step: self.id.to_owned(),
            source,
        };
        let command = Command::parse(self.command).map_err(wrong)?;
        if command.idempotency.is_some() {
            return Err(self.not("has `idempotency`: another executor has no key to give"));
        }
        let name = command.name().map_err(wrong)?;
        let (path, query) = match command.verb {
            Verb::Fire => (entity_path(crate::model::Collection::Triggers, &name), ""),
            Verb::Invoke => (
                entity_path(crate::model::Collection::Actions, &name),
                match command.mode {
                    Mode::Async => "?blocking=false",
                    Mode::Wait | Mode::Poll => "?blocking=true&result=true",
                },
            ),
        };
        let path = path.map_err(|_| self.not("names a trigger in a package"))?;
        let mut http = json!({
            "type": "http-api",
            "command": format!("POST /api/v1{path}{query} HTTP/1.1"),
            "headers": { "Content-Type": ["application/json"] },
        });
        match &command.arguments {
            Arguments::Params(params) => {
                http["content"] = self.content(params, playbook, notes).into();
            }
            Arguments::Encoded(encoded) => http["content_b64"] = encoded.as_str().into(),
        }
        let mut kept = self.command.as_object().cloned().unwrap_or_default();
        kept.remove("type");
        for name in ["description", "playbook_activity", "external_references"] {
            if let Some(said) = kept.remove(name) {
                http[name] = said;
            }
        }
        kept.remove("version");
        let mut step = self.step.clone();
        step["commands"] = json!([http]);
        if step.get("step_extensions").is_none() {
            step["step_extensions"] = json!({});
        }
        step["step_extensions"][EXTENSION] = kept.into();
        self.wait(&mut step, &command, notes);
        Self::result(&mut step, playbook);
        self.parties(&mut step, playbook)?;
        Ok(step)
    }

    /// The body as text. A reference alone in quotes is written bare where its variable is no
    /// text, since the result must be JSON of the same types.
    fn content(
        &self,
        params: &Map<String, Value>,
        playbook: &Value,
        notes: &mut Vec<String>,
    ) -> String {
        let mut text = Value::from(params.clone()).to_string();
        for name in super::references(&params.clone().into()) {
            let of = [
                &self.step["step_variables"],
                &playbook["playbook_variables"],
            ];
            let kind = of
                .iter()
                .find_map(|variables| variables[&name]["type"].as_str());
            let (quoted, bare) = (format!("\"{name}:value\""), format!("{name}:value"));
            match kind {
                Some("integer" | "long" | "float" | "bool" | "dictionary" | "list") => {
                    text = text.replace(&quoted, &bare);
                }
                _ => notes.push(format!(
                    "{}: a quote or backslash in `{name}` breaks the body for executors that fill in texts as they are",
                    self.id
                )),
            }
        }
        text
    }

    fn wait(&self, step: &mut Value, command: &Command, notes: &mut Vec<String>) {
        if command.mode == Mode::Async {
            return;
        }
        notes.push(format!(
            "{}: the action's own time limit should be at most 55 s, since the portable command does not ask again",
            self.id
        ));
        if step["timeout"]
            .as_u64()
            .is_none_or(|timeout| timeout < TIMEOUT_MIN)
        {
            step["timeout"] = TIMEOUT_MIN.into();
        }
    }

    /// SOARCA's result variable beside those that the step writes.
    fn result(step: &mut Value, playbook: &mut Value) {
        let mut out = step["out_args"].as_array().cloned().unwrap_or_default();
        if !out.iter().any(|name| name == SOARCA_RESULT) {
            out.push(SOARCA_RESULT.into());
        }
        step["out_args"] = out.into();
        if playbook.get("playbook_variables").is_none() {
            playbook["playbook_variables"] = json!({});
        }
        if playbook["playbook_variables"].get(SOARCA_RESULT).is_none() {
            playbook["playbook_variables"][SOARCA_RESULT] = json!({ "type": "string" });
        }
    }

    /// The agent under the name that SOARCA knows, and the same as target: executors by the
    /// specification send to the agent, SOARCA to the target.
    fn parties(&self, step: &mut Value, playbook: &mut Value) -> Result<(), PortableError> {
        let missing = || PortableError::NoAgent(self.id.to_owned());
        let id = step["agent"].as_str().ok_or_else(missing)?.to_owned();
        let definition = playbook["agent_definitions"]
            .get_mut(&id)
            .ok_or_else(missing)?;
        definition["name"] = SOARCA_AGENT.into();
        let as_target = definition.clone();
        if step["targets"].as_array().is_none_or(Vec::is_empty) {
            step["targets"] = json!([id]);
            if playbook.get("target_definitions").is_none() {
                playbook["target_definitions"] = json!({});
            }
            playbook["target_definitions"][&id] = as_target;
        }
        Ok(())
    }
}
