//! `conche playbooks`, the verbs that ask a server: what is at hand there, and running it.

use std::path::PathBuf;

use clap::Args;
use conche_cacao::Document;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::sse::Reader;
use super::{Ask, Client};
use crate::failure::Failure;
use crate::playbooks::{read, summary};
use crate::run::playbook::values;
use crate::{input, output, story};

/// With what identifiers of playbooks begin.
const IDENTIFIER: &str = "playbook--";

/// Lists playbooks.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  conche playbooks list")]
pub(crate) struct List {
    #[command(flatten)]
    ask: Ask,
}

/// A playbook in a file, or on the server.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  conche playbooks show block.json
  conche playbooks show playbook--ca02135e-92b1-43f2-8ede-0d7ac3baea9e")]
pub(crate) struct Show {
    /// A file, `-` for standard input, or the identifier of one that the server has
    #[arg(value_name = "FILE|ID")]
    playbook: PathBuf,
    /// The version on the server, by its time of modification [default: the latest]
    #[arg(long, value_name = "TIME")]
    modified: Option<String>,
    #[command(flatten)]
    ask: Ask,
}

/// A playbook in a file.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  conche playbooks put block.json")]
pub(crate) struct Put {
    /// The playbook; `-` is standard input
    file: PathBuf,
    #[command(flatten)]
    ask: Ask,
}

/// A playbook of the server.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  conche playbooks versions playbook--ca02135e-92b1-43f2-8ede-0d7ac3baea9e
  conche playbooks remove playbook--ca02135e-92b1-43f2-8ede-0d7ac3baea9e")]
pub(crate) struct Named {
    /// Its identifier
    id: String,
    #[command(flatten)]
    ask: Ask,
}

/// Runs a playbook.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  conche playbooks run playbook--ca02135e-92b1-43f2-8ede-0d7ac3baea9e --var address=192.0.2.7 --wait

With `--wait` the exit code is 1 where the run does not succeed.")]
pub(crate) struct Run {
    /// Its identifier
    id: String,
    /// A value for an external variable; the underscores may be left out
    #[arg(long = "var", value_name = "NAME=VALUE")]
    variables: Vec<String>,
    /// The version, by its time of modification [default: the latest]
    #[arg(long, value_name = "TIME")]
    modified: Option<String>,
    /// The same key again starts nothing and names the run of before
    #[arg(long)]
    key: Option<String>,
    /// Wait until the run is over, and show it
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    ask: Ask,
}

/// `conche playbooks list`: those at hand and, below them, files of the folder that are not.
pub(crate) async fn list(args: List) -> Result<bool, Failure> {
    let client = args.ask.server.client()?;
    let mut answer = client.get(&["api", "v1", "playbooks"], &[]).await?;
    let mut folder = client.get(&["api", "v1", "playbooks-folder"], &[]).await?;
    answer["faults"] = folder["faults"].take();
    args.ask.output.print(&answer, |list| {
        let mut rows = list["playbooks"].as_array().cloned().unwrap_or_default();
        rows.iter_mut().for_each(condense);
        rows.extend(list["faults"].as_array().into_iter().flatten().map(refused));
        let columns = [
            ("ID", "/id"),
            ("NAME", "/name"),
            ("MODIFIED", "/modified"),
            ("VERSIONS", "/count"),
            ("FILE", "/owner/file"),
            ("WARNINGS", "/findings/warnings"),
            ("FAULT", "/fault"),
        ];
        output::table(&rows, &columns)
    })?;
    Ok(true)
}

/// What a row has beside what the server says.
fn condense(row: &mut Value) {
    row["count"] = json!(row["versions"].as_array().map_or(0, Vec::len));
    let refusals = row["refusals"].as_array().into_iter().flatten();
    let refusals = refusals.map(|refusal| output::plain(&refusal["message"]));
    let lapsed = row["lapsed"].as_str().map(str::to_owned);
    let faults: Vec<String> = lapsed.into_iter().chain(refusals).collect();
    if !faults.is_empty() {
        row["fault"] = json!(faults.join("; "));
    }
}

/// A file that is not at hand, as a row among those that are.
fn refused(fault: &Value) -> Value {
    let earlier = match fault["earlier_in_force"].as_bool() {
        Some(true) => " (an earlier version is at hand)",
        _ => "",
    };
    json!({
        "owner": { "file": fault["file"] },
        "fault": format!("{}{earlier}", output::plain(&fault["message"])),
    })
}

/// `conche playbooks show`.
pub(crate) async fn show(args: Show) -> Result<bool, Failure> {
    let id = args.playbook.to_string_lossy().into_owned();
    if !id.starts_with(IDENTIFIER) || args.playbook.exists() {
        let about = summary::about(&read(&args.playbook)?);
        args.ask.output.print(&about, summary::table)?;
        return Ok(true);
    }
    let query = [("version", args.modified)];
    let client = args.ask.server.client()?;
    let answer = client.get(&["api", "v1", "playbooks", &id], &query).await?;
    args.ask.output.print(&answer, |answer| {
        summary::table(&summary::about(&Document::of(answer["playbook"].clone())))
    })?;
    Ok(true)
}

/// `conche playbooks put`: the text goes as it is, since signatures are made over it.
pub(crate) async fn put(args: Put) -> Result<bool, Failure> {
    let text = input::text(&args.file)?;
    let client = args.ask.server.client()?;
    let url = client.url(&["api", "v1", "playbooks"])?;
    let request = client.http.post(url);
    let request = request.header(CONTENT_TYPE, "application/json").body(text);
    let answer = client.ask(request).await?;
    args.ask.output.print(&answer, |info| {
        let findings = info["messages"].as_array().into_iter().flatten();
        let lines = findings.map(|finding| {
            format!(
                "{}: {} {}: {}\n",
                output::plain(&finding["severity"]),
                output::plain(&finding["code"]),
                output::plain(&finding["pointer"]),
                output::plain(&finding["message"])
            )
        });
        let (id, modified) = (output::plain(&info["id"]), output::plain(&info["modified"]));
        format!(
            "{id} of {modified} is at hand\n{}",
            lines.collect::<String>()
        )
    })?;
    Ok(true)
}

/// `conche playbooks remove`.
pub(crate) async fn remove(args: Named) -> Result<bool, Failure> {
    let path = ["api", "v1", "playbooks", &args.id];
    let told = |_: &Value| format!("{} is removed in every version", args.id);
    args.ask.send(Method::DELETE, &path, None, told).await?;
    Ok(true)
}

/// `conche playbooks versions`.
pub(crate) async fn versions(args: Named) -> Result<bool, Failure> {
    let path = ["api", "v1", "playbooks", &args.id, "versions"];
    args.ask
        .show(&path, |answer| {
            let mut rows = answer["versions"].as_array().cloned().unwrap_or_default();
            rows.iter_mut().for_each(condense);
            let columns = [
                ("MODIFIED", "/modified"),
                ("NAME", "/name"),
                ("SINCE", "/since"),
                ("BY", "/by"),
                ("FILE", "/owner/file"),
                ("FAULT", "/fault"),
            ];
            output::table(&rows, &columns)
        })
        .await?;
    Ok(true)
}

/// `conche playbooks run`.
pub(crate) async fn run(args: Run) -> Result<bool, Failure> {
    let mut body = json!({ "variables": values(&args.variables)? });
    if let Some(version) = &args.modified {
        body["version"] = version.as_str().into();
    }
    let client = args.ask.server.client()?;
    let url = client.url(&["api", "v1", "playbooks", &args.id, "runs"])?;
    let request = client.http.post(url);
    let mut request = request
        .header(CONTENT_TYPE, "application/json")
        .body(body.to_string());
    if let Some(key) = &args.key {
        request = request.header("idempotency-key", key);
    }
    let begun = client.ask(request).await?;
    let run = output::plain(&begun["run_id"]);
    if !args.wait {
        args.ask.output.print(&begun, |_| format!("{run}\n"))?;
        return Ok(true);
    }
    over(&client, &run).await?;
    let shown = client.get(&["api", "v1", "runs", &run], &[]).await?;
    args.ask.output.print(&shown, story::of)?;
    Ok(shown["status"] == "succeeded")
}

/// Waits until a run is over.
async fn over(client: &Client, run: &str) -> Result<(), Failure> {
    let mut response = client.stream(&["api", "v1", "runs", run, "tail"]).await?;
    let mut reader = Reader::default();
    loop {
        let part = response.chunk().await;
        let Some(part) = part.map_err(|error| client.went_away(&super::chain(&error)))? else {
            return Err(client.went_away("it ended the view"));
        };
        let messages = reader
            .read(&part)
            .map_err(|error| Failure::Failed(error.to_string()))?;
        if messages.iter().any(|message| message.event == "end") {
            return Ok(());
        }
    }
}
