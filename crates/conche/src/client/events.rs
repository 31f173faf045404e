//! `conche events`: hand events in, list them, look at one.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use conche_core::EventId;
use reqwest::Method;
use serde_json::{Map, Value};

use super::{Ask, Client};
use crate::failure::Failure;
use crate::input;
use crate::output;

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
    ask: Ask,
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
    before: Option<EventId>,
    /// At most so many
    #[arg(long)]
    limit: Option<u32>,
    #[command(flatten)]
    ask: Ask,
}

/// Shows an event.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  conche events show 01997d2e-6f2b-7c3a-9f4e-2b1c3d4e5f60 -o json")]
pub(crate) struct Show {
    /// The event
    event: String,
    #[command(flatten)]
    ask: Ask,
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
    let event_type = args.event_type;
    event.insert("type".to_owned(), event_type.clone().into());
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
    let client = args.ask.server.client()?;
    let path = ["api", "v1", "events"];
    let mut answer = client
        .send(Method::POST, &path, Some(&Value::Object(event)))
        .await?;
    // The event is on disk: whoever may only send is told so and no more.
    let became = became(&client, &mut answer, &event_type).await;
    let became = became.unwrap_or_default();
    args.ask.output.print(&answer, |answer| {
        format!("{}\n{became}", output::plain(&answer["event_id"]))
    })
}

/// What became of an accepted event, as a text; the runs that it began and the notes on others
/// are added to the answer.
async fn became(
    client: &Client,
    accepted: &mut Value,
    event_type: &str,
) -> Result<String, Failure> {
    if accepted["duplicate"] == true {
        accepted["runs"] = Value::Array(Vec::new());
        return Ok("accepted before: no run was begun".to_owned());
    }
    let event = output::plain(&accepted["event_id"]);
    let mut event = client.get(&["api", "v1", "events", &event], &[]).await?;
    let runs = event["runs"].as_array().map_or(&[][..], Vec::as_slice);
    accepted["runs"] = runs.iter().map(|run| run["run_id"].clone()).collect();
    let notes = notes(&event);
    if runs.is_empty() && notes.is_empty() {
        let reactions = client.get(&["api", "v1", "reactions"], &[]).await?;
        return Ok(none_begun(event_type, &reactions));
    }
    let line = |run: &Value| {
        format!(
            "run {} of {}\n",
            output::plain(&run["run_id"]),
            output::plain(&run["definition"])
        )
    };
    let mut told: String = runs.iter().map(line).collect();
    told += &notes.join("\n");
    accepted["notes"] = event["notes"].take();
    Ok(told)
}

/// What became of the reactions to an event that did not simply run, a line for each.
fn notes(event: &Value) -> Vec<String> {
    let notes = event["notes"].as_array().into_iter().flatten();
    notes.map(note).collect()
}

fn note(note: &Value) -> String {
    let [reaction, by, until, with] =
        ["reaction", "by", "until", "with"].map(|key| output::plain(&note[key]));
    match note["became"].as_str() {
        Some("suppressed") => format!("{reaction} is suppressed by its {by} until {until}"),
        Some("waits") => format!("{reaction} waits by its {by} until {until}, as run {with}"),
        Some("uncontrolled") => {
            format!("{reaction} ran: its {by} had no room for another key")
        }
        _ => output::plain(note),
    }
}

/// Why no run was begun.
fn none_begun(event_type: &str, reactions: &Value) -> String {
    let listed = reactions["reactions"].as_array().into_iter().flatten();
    let takes = |reaction: &&Value| {
        let mut types = reaction["events"].as_array().into_iter().flatten();
        types.any(|taken| taken == event_type)
    };
    let names: Vec<String> = listed
        .filter(takes)
        .map(|reaction| output::plain(&reaction["name"]))
        .collect();
    if names.is_empty() {
        return format!("no run was begun: no reaction is for events of type `{event_type}`");
    }
    let names = names.join(", ");
    format!("no run was begun: of the reactions for `{event_type}` ({names}) no `when` holds")
}

async fn list(args: List) -> Result<(), Failure> {
    let query = [
        ("type", args.event_type),
        ("source", args.source),
        ("before", args.before.map(|event| event.to_string())),
        ("limit", args.limit.map(|limit| limit.to_string())),
    ];
    let columns = [
        ("EVENT", "/event_id"),
        ("RECEIVED", "/received_at"),
        ("TYPE", "/type"),
        ("SOURCE", "/source"),
        ("SUBJECT", "/subject"),
        ("NOTES", "/notes"),
    ];
    let table = |rows: &[Value]| {
        let mut rows = rows.to_vec();
        for row in &mut rows {
            row["notes"] = in_short(row);
        }
        output::table(&rows, &columns)
    };
    args.ask.list("events", &query, table).await
}

/// The notes on an event in a few words, for a column; `events show` tells more.
fn in_short(event: &Value) -> Value {
    let notes = event["notes"].as_array().into_iter().flatten();
    let words = notes.map(|note| {
        let [reaction, became, by] =
            ["reaction", "became", "by"].map(|key| output::plain(&note[key]));
        format!("{reaction} {became} ({by})")
    });
    match words.collect::<Vec<_>>() {
        words if words.is_empty() => Value::Null,
        words => words.join(", ").into(),
    }
}

async fn show(args: Show) -> Result<(), Failure> {
    let path = ["api", "v1", "events", &args.event];
    args.ask.show(&path, for_people).await
}

fn for_people(event: &Value) -> String {
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
    let mut notes = notes(event).join("\n");
    if !notes.is_empty() {
        notes.push('\n');
    }
    format!(
        "{heading}\ndata\n{data}\n\n{notes}{}",
        super::runs::table(runs)
    )
}
