//! `conche openwhisk validate`: the commands for OpenWhisk in playbooks, in each of their forms,
//! and commands that stand alone. All else of a playbook is `conche validate`'s.

use std::path::PathBuf;

use clap::Args;
use conche_cacao::Pointer;
use conche_openwhisk::command::{Flaw, Form, as_command, check, recognise, references};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::OutputArgs;
use crate::{input, output};

/// Checks commands.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  conche openwhisk validate playbook.json
  conche openwhisk validate command.json -o json

Exit code 1 where a command can't be carried out.")]
pub(crate) struct ValidateArgs {
    /// Playbooks, or commands that stand alone; `-` is standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

/// A command, where it stands, and the extensions of its step.
struct Placed<'a> {
    at: Pointer,
    command: &'a Value,
    extensions: Option<&'a Value>,
}

/// `conche openwhisk validate`; whether all commands can be carried out.
pub(crate) fn validate(args: &ValidateArgs) -> Result<bool, Failure> {
    let (mut commands, mut findings) = (Vec::new(), Vec::new());
    for path in &args.files {
        let file = path.display().to_string();
        let document = input::json(path)?;
        let found = placed(&document);
        if found.is_empty() {
            return Err(Failure::Failed(format!(
                "{file} has no command for OpenWhisk"
            )));
        }
        for one in found {
            commands.push(about(&file, &one));
            let flaws = flaws(&one).into_iter();
            findings.extend(flaws.map(|flaw| finding(&file, &one.at, &flaw)));
        }
    }
    let valid = findings
        .iter()
        .all(|finding| finding["severity"] != "error");
    let report = json!({ "valid": valid, "commands": commands, "findings": findings });
    args.output.print(&report, for_people)?;
    Ok(valid)
}

/// Every command for OpenWhisk in a document.
fn placed(document: &Value) -> Vec<Placed<'_>> {
    let Some(steps) = document.get("workflow").and_then(Value::as_object) else {
        let alone = recognise(document, None).map(|_| Placed {
            at: Pointer::top(),
            command: document,
            extensions: None,
        });
        return alone.into_iter().collect();
    };
    let commands = steps.iter().flat_map(|(id, step)| {
        let at = Pointer::top()
            .then("workflow")
            .then(id.as_str())
            .then("commands");
        let extensions = step.get("step_extensions");
        let commands = step.get("commands").and_then(Value::as_array);
        let numbered = commands.into_iter().flatten().enumerate();
        numbered.filter_map(move |(number, command)| {
            recognise(command, extensions)?;
            Some(Placed {
                at: at.then(number),
                command,
                extensions,
            })
        })
    });
    commands.collect()
}

fn flaws(one: &Placed<'_>) -> Vec<Flaw> {
    match as_command(one.command, one.extensions) {
        Some(command) => check(&command),
        None => check(one.command),
    }
}

fn about(file: &str, one: &Placed<'_>) -> Value {
    let form = match recognise(one.command, one.extensions) {
        Some(Form::Command) => "command",
        Some(Form::HttpApi) => "http-api",
        Some(Form::Extension) => "portable",
        Some(Form::Sketch) | None => "sketch",
    };
    let command = as_command(one.command, one.extensions);
    let command = command.as_ref().unwrap_or(one.command);
    json!({ "file": file, "pointer": one.at.to_string(), "form": form,
        "command": command["command"], "variables": references(command) })
}

fn finding(file: &str, at: &Pointer, flaw: &Flaw) -> Value {
    let finding = flaw.finding();
    json!({ "file": file, "code": finding.code, "severity": finding.severity,
        "pointer": at.join(&flaw.pointer).to_string(),
        "message": flaw.message, "help": flaw.help })
}

fn for_people(report: &Value) -> String {
    let list = |name: &str| report[name].as_array().cloned().unwrap_or_default();
    let mut text = output::table(
        &list("commands"),
        &[
            ("FILE", "/file"),
            ("PLACE", "/pointer"),
            ("FORM", "/form"),
            ("COMMAND", "/command"),
        ],
    );
    let findings = list("findings");
    text.extend(findings.iter().map(|finding| {
        let plain = |name: &str| output::plain(&finding[name]);
        format!(
            "{}: {} {}: {}: {}; {}\n",
            plain("file"),
            plain("severity"),
            plain("code"),
            plain("pointer"),
            plain("message"),
            plain("help")
        )
    }));
    text
}
