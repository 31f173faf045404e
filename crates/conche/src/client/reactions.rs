//! `conche reactions`: those in force on a server.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use conche_core::reaction::Reaction;
use reqwest::Method;
use serde_json::{Value, json};

use super::Ask;
use crate::failure::Failure;
use crate::input;
use crate::output;

/// What to do with reactions.
#[derive(Debug, Subcommand)]
pub(crate) enum Reactions {
    /// List the reactions in force, and files that are not
    List(List),
    /// Show a reaction with its scripts
    Show(Named),
    /// Put a reaction in force, in place of the one of its name
    Put(File),
    /// Remove a reaction
    Delete(Named),
    /// Have the server check a reaction, and change nothing
    Check(File),
}

/// Lists reactions.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  conche reactions list")]
pub(crate) struct List {
    #[command(flatten)]
    ask: Ask,
}

/// A reaction of the server.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  conche reactions show suspend-vm -o yaml
  conche reactions delete suspend-vm")]
pub(crate) struct Named {
    /// Its name
    name: String,
    #[command(flatten)]
    ask: Ask,
}

/// A reaction in a file.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  conche reactions put reactions/suspend-vm.yaml
  conche reactions check reactions/suspend-vm.yaml -o json")]
pub(crate) struct File {
    /// A reaction file; script files that it names are read too
    #[arg(value_name = "FILE")]
    path: PathBuf,
    #[command(flatten)]
    ask: Ask,
}

/// Does it; whether all is in order.
pub(crate) async fn run(reactions: Reactions) -> Result<bool, Failure> {
    match reactions {
        Reactions::List(args) => list(args).await,
        Reactions::Show(args) => show(args).await,
        Reactions::Put(args) => put(args).await,
        Reactions::Delete(args) => {
            let path = ["api", "v1", "reactions", &args.name];
            let told = |_: &Value| format!("{} is removed", args.name);
            args.ask.send(Method::DELETE, &path, None, told).await?;
            Ok(true)
        }
        Reactions::Check(args) => check(args).await,
    }
}

/// Those in force and, below them, files of the folder that are not: who looks for a reaction
/// and does not find it looks here.
async fn list(args: List) -> Result<bool, Failure> {
    let client = args.ask.server.client()?;
    let mut answer = client.get(&["api", "v1", "reactions"], &[]).await?;
    let mut folder = client.get(&["api", "v1", "reactions-folder"], &[]).await?;
    answer["faults"] = folder["faults"].take();
    args.ask.output.print(&answer, |list| {
        let mut rows = list["reactions"].as_array().cloned().unwrap_or_default();
        rows.extend(list["faults"].as_array().into_iter().flatten().map(refused));
        let columns = [
            ("NAME", "/name"),
            ("EVENTS", "/events"),
            ("FILE", "/owner/file"),
            ("SINCE", "/since"),
            ("WARNINGS", "/warnings"),
            ("FAULT", "/fault"),
        ];
        output::table(&rows, &columns)
    })?;
    Ok(true)
}

/// A file that is not in force, as a row among those that are.
fn refused(fault: &Value) -> Value {
    let earlier = match fault["earlier_in_force"].as_bool() {
        Some(true) => " (an earlier version is in force)",
        _ => "",
    };
    json!({
        "owner": { "file": fault["file"] },
        "fault": format!("{}{earlier}", output::plain(&fault["message"])),
    })
}

async fn show(args: Named) -> Result<bool, Failure> {
    let path = ["api", "v1", "reactions", &args.name];
    let document = |info: &Value| {
        // The reaction itself is a document: YAML is the form for people.
        let heading = format!(
            "# {} since {}\n",
            output::plain(&info["digest"]),
            output::plain(&info["since"])
        );
        let reaction = serde_saphyr::to_string(&info["reaction"]).unwrap_or_default();
        heading + &warnings(info, "# ") + &reaction
    };
    args.ask.show(&path, document).await?;
    Ok(true)
}

async fn put(args: File) -> Result<bool, Failure> {
    let (reaction, body) = read(&args.path)?;
    let path = ["api", "v1", "reactions", &reaction.name];
    let told = |info: &Value| format!("{} is in force\n{}", reaction.name, warnings(info, ""));
    args.ask.send(Method::PUT, &path, Some(&body), told).await?;
    Ok(true)
}

async fn check(args: File) -> Result<bool, Failure> {
    let (_, body) = read(&args.path)?;
    let path = ["api", "v1", "reactions", "check"];
    let client = args.ask.server.client()?;
    let answer = client.send(Method::POST, &path, Some(&body)).await?;
    let valid = answer["valid"] == true;
    args.ask.output.print(&answer, |checked| {
        let findings = checked["findings"].as_array();
        let lines = findings.into_iter().flatten().map(|finding| {
            let severity = output::plain(&finding["severity"]);
            format!(
                "{}: {}\n",
                output::coloured(&severity),
                output::plain(&finding["message"])
            )
        });
        let verdict = if valid {
            "it would be taken\n"
        } else {
            "it would be refused\n"
        };
        lines.collect::<String>() + verdict
    })?;
    Ok(valid)
}

/// What will go wrong when a run comes to it, one line each.
fn warnings(info: &Value, before: &str) -> String {
    let warnings = info["warnings"].as_array().into_iter().flatten();
    let lines = warnings.map(|warning| format!("{before}warning: {}\n", output::plain(warning)));
    lines.collect::<Vec<_>>().concat()
}

/// A reaction file in the form in which the API takes it, scripts within.
fn read(file: &Path) -> Result<(Reaction, Value), Failure> {
    let reaction = input::reaction(file)?;
    let body = serde_json::to_value(&reaction)
        .map_err(|error| Failure::of("can't write the reaction", error))?;
    Ok((reaction, body))
}
