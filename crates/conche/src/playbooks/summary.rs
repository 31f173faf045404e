//! `conche playbooks show` and `summary`: what a playbook is and does.

use std::path::PathBuf;

use clap::Args;
use conche_cacao::graph::Flow;
use conche_cacao::{Document, check};
use serde_json::{Map, Value, json};

use super::{read, write};
use crate::failure::Failure;
use crate::output::{self, OutputArgs};

/// Prints or writes the processing summary.
#[derive(Debug, Args)]
pub(crate) struct SummaryArgs {
    /// The playbook; `-` is standard input
    file: PathBuf,
    /// Write the summary into the playbook; signatures of it no longer hold then
    #[arg(long)]
    write: bool,
    /// The summary as it will be once the playbook is signed: it is signed with the rest
    #[arg(long)]
    signed: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// What a playbook is and does.
pub(crate) fn about(document: &Document) -> Value {
    let value = document.value();
    let flow = Flow::of(value);
    let text = |name: &str| value.get(name).cloned().unwrap_or(Value::Null);
    let steps: Vec<Value> = flow
        .nodes()
        .iter()
        .map(|node| {
            let commands = node.object.get("commands").and_then(Value::as_array);
            let commands: Vec<&str> = commands
                .into_iter()
                .flatten()
                .filter_map(|command| command.get("type")?.as_str())
                .collect();
            json!({"step_id": node.id, "type": node.kind, "name": node.text("name"), "commands": commands.join(", ")})
        })
        .collect();
    json!({
        "id": text("id"),
        "name": text("name"),
        "description": text("description"),
        "modified": text("modified"),
        "playbook_types": text("playbook_types"),
        "revoked": value.get("revoked").and_then(Value::as_bool).unwrap_or(false),
        "signatures": value.get("signatures").and_then(Value::as_array).map_or(0, Vec::len),
        "variables": inputs(document),
        "steps": steps,
    })
}

/// The same for people.
pub(crate) fn table(about: &Value) -> String {
    let line = |name: &str| format!("{name}: {}\n", output::plain(&about[name]));
    let head = [
        "id",
        "name",
        "description",
        "modified",
        "revoked",
        "signatures",
    ];
    let head: String = head.into_iter().map(line).collect();
    let variables = [("VARIABLE", "/name"), ("TYPE", "/type"), ("FROM", "/from")];
    let columns = [
        ("STEP", "/name"),
        ("TYPE", "/type"),
        ("COMMANDS", "/commands"),
    ];
    let empty = Vec::new();
    let rows = |name: &str| about[name].as_array().unwrap_or(&empty);
    let (variables, steps) = (
        output::table(rows("variables"), &variables),
        output::table(rows("steps"), &columns),
    );
    format!("{head}\n{variables}\n{steps}")
}

/// The playbook's variables, and where each first value comes from.
fn inputs(document: &Document) -> Vec<Value> {
    let variables = document
        .value()
        .get("playbook_variables")
        .and_then(Value::as_object);
    let from = |variable: &Value| match (variable.get("external"), variable.get("value")) {
        (Some(Value::Bool(true)), _) => "the caller",
        (_, None | Some(Value::Null)) => "a step",
        _ => "the playbook",
    };
    let all = variables.into_iter().flatten();
    all.map(|(name, variable)| json!({"name": name, "type": variable.get("type"), "from": from(variable)}))
        .collect()
}

/// `conche playbooks summary`.
pub(crate) fn summary(args: &SummaryArgs) -> Result<(), Failure> {
    let document = read(&args.file)?;
    let so: Map<String, Value> = check::processing_summary(document.value())
        .into_iter()
        .map(|(name, so)| {
            let will_be = args.signed && name == "digital_signatures";
            (name.to_owned(), (so || will_be).into())
        })
        .collect();
    if !args.write {
        return args.output.print(&so, |so| {
            let lines = so.iter().map(|(name, so)| format!("{name}: {so}\n"));
            lines.collect()
        });
    }
    let mut value = document.into_value();
    let members = value.as_object_mut();
    let members = members.ok_or_else(|| Failure::Failed("this is no playbook".to_owned()))?;
    members.insert("playbook_processing_summary".to_owned(), so.into());
    write(&args.file, &Document::of(value).to_text())
}
