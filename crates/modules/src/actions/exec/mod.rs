//! `exec`: programs of this machine, from a list.
//!
//! Off unless the configuration lists commands. A run chooses one by name and fills its
//! slots; it can't name a program, add an argument or reach a shell. What a program did before
//! it was killed nobody knows: such a call is uncertain and goes to a person, and none is ever
//! repeated unasked.

pub(crate) mod config;
pub(crate) mod process;

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::sync::Arc;

use async_trait::async_trait;
use conche_core::Json;
use conche_core::run::{OnUncertain, Repeat};
use conche_runtime::secrets::Secrets;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::config::{Arg, Command, Config, Slot};
use self::process::Ended;
use super::{input, output, unknown};
use crate::action::{Action, ActionModule, ActionSpec, Call, Error, Output};
use crate::config as settings;
use crate::{BuildContext, BuildError};

pub(super) static MODULE: ActionModule = ActionModule {
    name: "exec",
    summary: "Programs of this machine, from a list in the configuration.",
    actions: &[ActionSpec {
        name: "run",
        summary: "Runs a listed command and gives what it wrote.",
        input: &settings::schema::<Input>,
        output: &settings::schema::<Done>,
        repeat: Repeat::Unsafe,
        on_uncertain: OnUncertain::Attention,
    }],
    config: &settings::schema::<Config>,
    build: &build,
};

const PLACE: &str = "actions.exec";

/// The longest value of a slot in bytes.
const VALUE_MAX: usize = 32 * 1024;

/// So much of what a failed command wrote is told.
const QUOTE_MAX: usize = 500;

/// Which command, and what to fill in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// The command's name under `actions.exec.commands`.
    command: String,
    /// The values of its slots, each a text, a number or a boolean. Default: none.
    #[serde(default)]
    args: BTreeMap<String, Value>,
    /// What to write to its standard input, where the command takes it. Default: nothing.
    #[serde(default)]
    #[schemars(with = "Option<Value>")]
    stdin: Option<Json>,
}

/// What a command did.
#[derive(Debug, Serialize, JsonSchema)]
struct Done {
    /// Its exit code.
    exit_code: i32,
    /// What it wrote to standard output; bytes that are no UTF-8 are replaced.
    stdout: String,
    /// What it wrote to standard error.
    stderr: String,
    /// Whether it wrote more than is kept.
    truncated: bool,
}

struct Exec {
    commands: BTreeMap<String, Command>,
    secrets: Arc<Secrets>,
}

fn build(config: Value, cx: &BuildContext) -> Result<Arc<dyn Action>, BuildError> {
    let config: Config = settings::read(PLACE, config)?;
    Ok(Arc::new(Exec {
        commands: config::commands(PLACE, config, cx)?,
        secrets: cx.secrets.clone(),
    }))
}

#[async_trait]
impl Action for Exec {
    async fn invoke(&self, call: &Call) -> Result<Output, Error> {
        if call.action != "run" {
            return Err(unknown("exec", &call.action));
        }
        let input: Input = input(call)?;
        let name = &input.command;
        let command = self.commands.get(name).ok_or_else(|| {
            Error::permanent(format!(
                "there is no command `{name}` under `{PLACE}.commands`"
            ))
        })?;
        let stdin = stdin(&input, command)?;
        let prepared = self.prepare(command, arguments(command, input.args)?)?;
        let child = process::start(prepared).map_err(|error| not_started(name, &error))?;
        let kept = command.config.max_output.length();
        let limit = command.config.timeout.duration().min(call.timeout);
        match tokio::time::timeout(limit, process::watch(child, stdin.as_bytes(), kept)).await {
            Ok(Ok(ended)) => self.judge(name, command, &ended),
            Ok(Err(error)) => Err(Error::Uncertain(format!("`{name}` was lost: {error}"))),
            Err(_elapsed) => Err(Error::Uncertain(format!(
                "`{name}` was killed after {limit:?}; what it had done by then is unknown"
            ))),
        }
    }
}

impl Exec {
    fn prepare(
        &self,
        command: &Command,
        arguments: Vec<String>,
    ) -> Result<tokio::process::Command, Error> {
        let mut prepared = tokio::process::Command::new(&command.config.program);
        prepared.args(arguments).current_dir(&command.config.cwd);
        let env = &command.config.env;
        process::confine(&mut prepared, env, command.user, &self.secrets)?;
        Ok(prepared)
    }

    fn judge(&self, name: &str, command: &Command, ended: &Ended) -> Result<Output, Error> {
        let limit = command.config.max_output.length();
        let masker = self.secrets.masker();
        let (stdout, more_output) = ended.stdout.text(limit, &masker);
        let (stderr, more_errors) = ended.stderr.text(limit, &masker);
        let Some(exit_code) = ended.status.code() else {
            let signal = ended.status.signal().unwrap_or_default();
            return Err(Error::Uncertain(format!(
                "`{name}` was ended by signal {signal}"
            )));
        };
        if !command.config.ok_codes.contains(&exit_code) {
            let told = if stderr.trim().is_empty() {
                &stdout
            } else {
                &stderr
            };
            let quote: String = told.trim().chars().take(QUOTE_MAX).collect();
            return Err(Error::permanent(format!(
                "`{name}` ended with exit code {exit_code}: {quote}"
            )));
        }
        output(&Done {
            exit_code,
            stdout,
            stderr,
            truncated: more_output || more_errors,
        })
    }
}

/// What is written to the command; one that takes nothing must not be given anything.
fn stdin(input: &Input, command: &Command) -> Result<String, Error> {
    match &input.stdin {
        Some(_) if !command.config.stdin => Err(Error::permanent(format!(
            "the command `{}` takes no `stdin`",
            input.command
        ))),
        Some(json) => Ok(json.as_str().to_owned()),
        None => Ok(String::new()),
    }
}

/// The arguments with every slot filled, each value for one slot.
fn arguments(command: &Command, mut values: BTreeMap<String, Value>) -> Result<Vec<String>, Error> {
    let arguments = command.config.args.iter().map(|arg| match arg {
        Arg::Fixed(text) => Ok(text.clone()),
        Arg::Slot(slot) => {
            let value = values.remove(&slot.name);
            fill(command, slot, value)
                .map_err(|flaw| Error::permanent(format!("the argument `{}` {flaw}", slot.name)))
        }
    });
    let arguments = arguments.collect::<Result<_, _>>()?;
    match values.keys().next() {
        Some(name) => Err(Error::permanent(format!(
            "the command has no argument `{name}`"
        ))),
        None => Ok(arguments),
    }
}

fn fill(command: &Command, slot: &Slot, value: Option<Value>) -> Result<String, String> {
    let text = match value {
        Some(Value::String(text)) => text,
        Some(scalar @ (Value::Number(_) | Value::Bool(_))) => scalar.to_string(),
        Some(_) => return Err("is no text, number or boolean".to_owned()),
        None => return Err("is missing".to_owned()),
    };
    if text.len() > VALUE_MAX {
        return Err(format!("is longer than {VALUE_MAX} bytes"));
    }
    if text.contains('\0') {
        return Err("has a character that no argument can have".to_owned());
    }
    if text.starts_with('-') && slot.prefix.is_empty() && !slot.allow_dash {
        return Err("must not begin with `-`, which programs take for an option".to_owned());
    }
    let pattern = command.patterns.get(&slot.name);
    if !pattern.is_some_and(|pattern| pattern.is_match(&text)) {
        return Err(format!("does not match `{}`", slot.pattern));
    }
    Ok(format!("{}{text}", slot.prefix))
}

/// A program that did not start did nothing.
pub(crate) fn not_started(name: &str, error: &std::io::Error) -> Error {
    use std::io::ErrorKind;
    let message = format!("`{name}` can't be started: {error}");
    match error.kind() {
        ErrorKind::NotFound
        | ErrorKind::PermissionDenied
        | ErrorKind::ArgumentListTooLong
        | ErrorKind::InvalidInput
        | ErrorKind::NotADirectory => Error::permanent(message),
        _ => Error::retry(message),
    }
}
