//! `conche runs`: list runs, look at one, watch, cancel, pause, retry, resume.

use clap::{Args, Subcommand};
use conche_core::run::Status;
use conche_core::{EventId, RunId};
use reqwest::Method;
use serde_json::{Value, json};

use super::Ask;
use super::sse::Reader;
use crate::failure::Failure;
use crate::output::{self, Form};
use crate::story;

/// What to do with runs.
#[derive(Debug, Subcommand)]
pub(crate) enum Runs {
    /// List runs, newest first
    List(List),
    /// Show a run with its steps
    Show(One),
    /// Watch a run, or all runs, as they go on
    Tail(Tail),
    /// End a run
    Cancel(Cancel),
    /// Have a run that is over go on from one of its steps
    Retry(Retry),
    /// Have a run begin nothing more until it is resumed
    Pause(Pause),
    /// Have a paused run go on, or decide how one that needs attention does
    Resume(Resume),
}

/// Lists runs.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  conche runs list --status needs_attention")]
pub(crate) struct List {
    /// running, awaiting_answer, needs_attention, paused, cancelling, succeeded, failed or cancelled
    #[arg(long, value_parser = status)]
    status: Option<Status>,
    /// Runs of this reaction
    #[arg(long, value_name = "NAME")]
    reaction: Option<String>,
    /// Runs that this event triggered
    #[arg(long)]
    event: Option<EventId>,
    /// Older than this run
    #[arg(long, value_name = "RUN")]
    before: Option<RunId>,
    /// At most so many
    #[arg(long)]
    limit: Option<u32>,
    #[command(flatten)]
    ask: Ask,
}

/// Shows a run.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  conche runs show 01997d2e-6f2b-7c3a-9f4e-2b1c3d4e5f60")]
pub(crate) struct One {
    /// The run
    run: String,
    #[command(flatten)]
    ask: Ask,
}

/// Watches a run, or all runs.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  conche runs tail
  conche runs tail 01997d2e-6f2b-7c3a-9f4e-2b1c3d4e5f60 -o json

A run's journal is shown from its beginning and ends with the run; the view of all runs
shows what happens from now on. With `-o json` each line is one JSON value.")]
pub(crate) struct Tail {
    /// The run; all runs where none is given
    run: Option<String>,
    #[command(flatten)]
    ask: Ask,
}

/// Ends a run.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  conche runs cancel 01997d2e-6f2b-7c3a-9f4e-2b1c3d4e5f60 --reason 'false alarm'")]
pub(crate) struct Cancel {
    /// The run
    run: String,
    /// For the journal
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    ask: Ask,
}

/// Has a run pause.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  conche runs pause 01997d2e-6f2b-7c3a-9f4e-2b1c3d4e5f60 --reason 'ann looks into it'

What is under way comes to its end and is recorded; nothing else is begun. People may answer.
The times of its steps stand still; the run's own deadline does not.")]
pub(crate) struct Pause {
    /// The run
    run: String,
    /// For the journal
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    ask: Ask,
}

/// Has a run go on.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  conche runs retry 01997d2e-6f2b-7c3a-9f4e-2b1c3d4e5f60 --visit 3")]
pub(crate) struct Retry {
    /// The run
    run: String,
    /// The visit to start from, as `runs show` numbers them [default: the last that failed]
    #[arg(long)]
    visit: Option<u32>,
    #[command(flatten)]
    ask: Ask,
}

/// Has a run go on.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  conche runs resume 01997d2e-6f2b-7c3a-9f4e-2b1c3d4e5f60
  conche runs resume 01997d2e-6f2b-7c3a-9f4e-2b1c3d4e5f60 --repeat
  conche runs resume 01997d2e-6f2b-7c3a-9f4e-2b1c3d4e5f60 --succeeded '{\"ticket\":42}'
  conche runs resume 01997d2e-6f2b-7c3a-9f4e-2b1c3d4e5f60 --failed 'the ticket was never made'

Without a decision the pause of the run ends. With one it is said how a run goes on that needs
attention; if that one is paused too, it stays so.")]
pub(crate) struct Resume {
    /// The run
    run: String,
    /// The visit decided on, as `runs show` numbers them; needed where the run needed attention
    /// before, so that no word is taken for one about another attempt
    #[arg(long, requires = "Decision")]
    visit: Option<u32>,
    #[command(flatten)]
    decision: Decision,
    #[command(flatten)]
    ask: Ask,
}

/// What a person decided about an attempt whose effect is unknown.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct Decision {
    /// Do it, with the same key
    #[arg(long)]
    repeat: bool,
    /// It did happen: go on with this output, a JSON object
    #[arg(long, value_name = "OUTPUT", value_parser = object)]
    succeeded: Option<Value>,
    /// Count it as failed, for this reason
    #[arg(long, value_name = "REASON")]
    failed: Option<String>,
}

fn status(word: &str) -> Result<Status, String> {
    Status::from_word(word).ok_or_else(|| {
        let words: Vec<&str> = Status::ALL.iter().map(|status| status.as_str()).collect();
        format!("the words are: {}", words.join(", "))
    })
}

fn object(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err("it is not a JSON object".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Does it.
pub(crate) async fn run(runs: Runs) -> Result<(), Failure> {
    match runs {
        Runs::List(args) => list(args).await,
        Runs::Show(args) => {
            let path = ["api", "v1", "runs", &args.run];
            args.ask.show(&path, story::of).await
        }
        Runs::Tail(args) => tail(args).await,
        Runs::Cancel(args) => {
            let body = json!({ "reason": args.reason });
            tell(&args.ask, &args.run, "cancel", &body).await
        }
        Runs::Retry(args) => {
            let body = json!({ "visit": args.visit });
            tell(&args.ask, &args.run, "retry", &body).await
        }
        Runs::Pause(args) => {
            let body = json!({ "reason": args.reason });
            tell(&args.ask, &args.run, "pause", &body).await
        }
        Runs::Resume(args) => {
            let body = json!({ "visit": args.visit, "resolution": args.decision.resolution() });
            tell(&args.ask, &args.run, "resume", &body).await
        }
    }
}

impl Decision {
    /// As the API takes it; none where nothing is decided.
    fn resolution(&self) -> Option<Value> {
        match self {
            Self {
                succeeded: Some(output),
                ..
            } => Some(json!({ "succeeded": { "output": output } })),
            Self {
                failed: Some(reason),
                ..
            } => Some(json!({ "failed": { "reason": reason } })),
            Self { repeat, .. } => repeat.then(|| json!("repeat")),
        }
    }
}

/// Leaves a word for a run.
async fn tell(ask: &Ask, run: &str, word: &str, body: &Value) -> Result<(), Failure> {
    let path = ["api", "v1", "runs", run, word];
    let told = |_: &Value| format!("{run} is told to {word}");
    ask.send(Method::POST, &path, Some(body), told).await
}

async fn list(args: List) -> Result<(), Failure> {
    let query = [
        ("status", args.status.map(|status| status.to_string())),
        ("reaction", args.reaction),
        ("event", args.event.map(|event| event.to_string())),
        ("before", args.before.map(|run| run.to_string())),
        ("limit", args.limit.map(|limit| limit.to_string())),
    ];
    args.ask.list("runs", &query, table).await
}

/// Runs in columns.
pub(super) fn table(runs: &[Value]) -> String {
    let columns = [
        ("RUN", "/run_id"),
        ("STARTED", "/started_at"),
        ("STATUS", "/status"),
        ("REACTION", "/definition"),
        ("PLAYBOOK", "/playbook_name"),
        ("REASON", "/reason"),
    ];
    output::table(runs, &columns)
}

async fn tail(args: Tail) -> Result<(), Failure> {
    let client = args.ask.server.client()?;
    let path = match &args.run {
        Some(run) => vec!["api", "v1", "runs", run, "tail"],
        None => vec!["api", "v1", "tail"],
    };
    let mut response = client.stream(&path).await?;
    let mut reader = Reader::default();
    loop {
        let part = response.chunk().await;
        let Some(part) = part.map_err(|error| client.went_away(&super::chain(&error)))? else {
            return Err(client.went_away("it ended the view"));
        };
        let messages = reader
            .read(&part)
            .map_err(|error| Failure::Failed(error.to_string()))?;
        for message in messages {
            let value: Value = serde_json::from_str(&message.data)
                .map_err(|error| Failure::of("the live view sends something else", error))?;
            match args.ask.output.output {
                Form::Table => output::text(&story::message(&message.event, &value))?,
                Form::Json => output::line(&value.to_string())?,
                Form::Yaml => {
                    output::line("---")?;
                    output::yaml(&value)?;
                }
                Form::Sarif | Form::Junit => return Err(output::only_findings()),
            }
            if message.event == "end" {
                return Ok(());
            }
        }
    }
}
