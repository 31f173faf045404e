//! `conche events`: hand events in, list them, look at one.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Map, Value};

use super::ServerArgs;
use crate::failure::Failure;
use crate::input;
use crate::output::{self, OutputArgs};

/// What to do with events.
#[derive(Debug, Subcommand)]
pub(crate) enum Events {
    /// Hand an event in
    Send(Send),
    /// List events, newest first
    List(List),
    /// Show an event with its payload and its runs
    Show(Show),
}

/// Hands an event in.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  conche events send --type clair.notification notification.json
  echo '{\"vm\":\"web-1\"}' | conche events send --type vm.suspicious --id 42 -")]
pub(crate) struct Send {
    /// What happened
    #[arg(long = "type", value_name = "TYPE")]
    event_type: String,
    /// What it came through [default: api]
    #[arg(long)]
    source: Option<String>,
    /// The sender's id: the same source and id again is the same event
    #[arg(long)]
    id: Option<String>,
    /// What it happened to
    #[arg(long)]
    subject: Option<String>,
    /// A file with the payload as JSON; `-` is standard input
    file: PathBuf,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Lists events.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  conche events list --type clair.notification --limit 10")]
pub(crate) struct List {
    /// Exactly this type
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Exactly this source
    #[arg(long)]
    source: Option<String>,
    /// Older than this event
    #[arg(long, value_name = "EVENT")]
    before: Option<String>,
    /// At most so many
    #[arg(long)]
    limit: Option<u32>,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Shows an event.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  conche events show 01997d2e-6f2b-7c3a-9f4e-2b1c3d4e5f60 -o json")]
pub(crate) struct Show {
    /// The event
    event: String,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Does it.
pub(crate) async fn run(events: Events) -> Result<(), Failure> {
    match events {
        Events::Send(args) => send(args).await,
        Events::List(args) => list(args).await,
        Events::Show(args) => show(args).await,
    }
}

async fn send(args: Send) -> Result<(), Failure> {
    let mut event = Map::new();
    event.insert("type".to_owned(), args.event_type.into());
    event.insert("data".to_owned(), input::json(&args.file)?);
    for (key, value) in [
        ("source", args.source),
        ("id", args.id),
        ("subject", args.subject),
    ] {
        if let Some(value) = value {
            event.insert(key.to_owned(), value.into());
        }
    }
    let client = args.server.client()?;
    let path = ["api", "v1", "events"];
    let answer = client
        .send(Method::POST, &path, Some(&Value::Object(event)))
        .await?;
    args.output.print(&answer, |answer| {
        let known = match answer["duplicate"].as_bool() {
            Some(true) => " (accepted before: no run was started)",
            _ => "",
        };
        format!("{}{known}", output::plain(&answer["event_id"]))
    })
}

async fn list(args: List) -> Result<(), Failure> {
    let query = [
        ("type", args.event_type),
        ("source", args.source),
        ("before", args.before),
        ("limit", args.limit.map(|limit| limit.to_string())),
    ];
    let client = args.server.client()?;
    let answer = client.get(&["api", "v1", "events"], &query).await?;
    args.output.print(&answer, |page| {
        let rows = page["events"].as_array().map_or(&[][..], Vec::as_slice);
        let columns = [
            ("EVENT", "/event_id"),
            ("RECEIVED", "/received_at"),
            ("TYPE", "/type"),
            ("SOURCE", "/source"),
            ("SUBJECT", "/subject"),
        ];
        output::table(rows, &columns) + &super::next_page(page)
    })
}

async fn show(args: Show) -> Result<(), Failure> {
    let client = args.server.client()?;
    let path = ["api", "v1", "events", &args.event];
    let answer = client.get(&path, &[]).await?;
    args.output.print(&answer, |event| {
        let heading = [
            ("event", "event_id"),
            ("type", "type"),
            ("source", "source"),
            ("id", "id"),
            ("subject", "subject"),
            ("received", "received_at"),
        ]
        .map(|(name, key)| format!("{name:9}{}", output::plain(&event[key])))
        .join("\n");
        let data = serde_json::to_string_pretty(&event["data"]).unwrap_or_default();
        let runs = event["runs"].as_array().map_or(&[][..], Vec::as_slice);
        format!("{heading}\ndata\n{data}\n\n{}", super::runs::table(runs))
    })
}
