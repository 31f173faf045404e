//! `conche run`: one reaction, one event, no server.
//!
//! A whole engine with its store in memory, the real sandbox and the real actions, in which
//! the one reaction is in force; the event is handed in as a source would. The answer is
//! the server's own form of a run. Nothing is kept.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use clap::Args;
use conche_api::{ApiState, Authorizer, VersionInfo};
use conche_core::reaction::Reaction;
use conche_core::run::Status;
use conche_core::{EventId, Json, RunId};
use conche_engine::{Engine, SandboxEvaluator};
use conche_modules::NewEvent;
use conche_runtime::clock::SystemClock;
use conche_runtime::supervisor::{Grace, Supervisor};
use conche_store::memory::MemoryStore;
use conche_store::{Page, RunFilter, RunRow};
use serde_json::Value;
use tower::ServiceExt;

use crate::config::{self, Loaded};
use crate::failure::Failure;
use crate::output::OutputArgs;
use crate::parts::{self, Parts};
use crate::{input, logging, story};

/// The run is looked at so often even where no change is told.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What the engine counts filters under that gave no answer.
const FILTER_FAULTS: &str = "conche_filter_faults_total";
/// Bytes of the answer; the API cuts what is larger.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
const GRACE: Grace = Grace {
    per_stage: Duration::from_secs(1),
    total: Duration::from_secs(3),
};

/// Runs a reaction file on an event, without a server.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  conche run reactions/suspend-vm.yaml --event event.json
  echo '{\"vm\":\"web-1\"}' | conche run reactions/suspend-vm.yaml --event - -o json

A reaction to Conche's own events, such as `conche.run.failed`, is tried in the same way. Storm
control does not hold it up: a group has the one event.

Actions are really carried out; those that need settings take them from --config. Exit code
0 where the run succeeded, 1 where it did not or the event does not trigger the reaction.")]
pub(crate) struct RunArgs {
    /// A reaction file
    file: PathBuf,
    /// A file with the event's payload as JSON; `-` is standard input [default: {}]
    #[arg(long, value_name = "FILE")]
    event: Option<PathBuf>,
    /// The event's type [default: the reaction's, where it has only one]
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// A variable to start with, as NAME=VALUE; only playbooks have variables
    #[arg(long = "var", value_name = "NAME=VALUE")]
    variables: Vec<String>,
    /// A configuration with the settings of actions, secrets and limits [default: none]
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs the reaction and tells what came of it; whether it succeeded.
pub(crate) async fn run(args: RunArgs) -> Result<bool, Failure> {
    let mut reaction = input::reaction(&args.file)?;
    at_once(&mut reaction);
    if !args.variables.is_empty() {
        let message = "a reaction has no variables: put them into the event (--event)";
        return Err(Failure::Usage(message.to_owned()));
    }
    let event_type = event_type(&reaction, args.event_type)?;
    let loaded = match &args.config {
        Some(file) => Loaded::load(Some(file), config::environment())?,
        None => Loaded::defaults(),
    };
    let data = data(args.event.as_deref(), loaded.config.json)?;
    let parts = Parts::build(&loaded)?;
    let filter = std::env::var("CONCHE_LOG").unwrap_or_else(|_| "warn".to_owned());
    let masker = parts.secrets.masker();
    logging::start(logging::Format::Text, Some(&filter), masker, None)?;
    let event = NewEvent {
        id: None,
        event_type,
        subject: None,
        time: None,
        data,
    };
    let supervisor = Supervisor::new();
    let ran = on_an_engine(&loaded, parts, &supervisor, (reaction, event)).await;
    supervisor.shutdown(GRACE).await;
    let run = ran?;
    args.output.print(&run, story::of)?;
    Ok(run["status"] == "succeeded")
}

/// The one event is not waited for to become more: a group is full with it, and the other
/// controls have nothing to say about it.
fn at_once(reaction: &mut Reaction) {
    (reaction.dedup, reaction.throttle, reaction.debounce) = (None, None, None);
    if let Some(group) = &mut reaction.group {
        group.max = Some(1);
    }
}

fn event_type(reaction: &Reaction, wanted: Option<String>) -> Result<String, Failure> {
    let types: Vec<&str> = reaction.events.iter().map(String::as_str).collect();
    match (wanted, &*types) {
        (Some(wanted), _) if types.contains(&&*wanted) => Ok(wanted),
        (Some(wanted), _) => Err(Failure::Failed(format!(
            "no run: an event of type `{wanted}` does not trigger the reaction `{}`, whose types are: {}",
            reaction.name,
            types.join(", ")
        ))),
        (None, [one]) => Ok((*one).to_owned()),
        (None, _) => Err(Failure::Usage(format!(
            "say with --type which of the reaction's event types this is: {}",
            types.join(", ")
        ))),
    }
}

fn data(file: Option<&Path>, limits: conche_core::json::Limits) -> Result<Json, Failure> {
    let Some(file) = file else {
        return Ok(Json::empty_object());
    };
    let text = input::text(file)?;
    Json::parse(text.trim().as_bytes(), limits)
        .map_err(|error| Failure::Failed(format!("{}: {error}", file.display())))
}

async fn on_an_engine(
    loaded: &Loaded,
    parts: Parts,
    supervisor: &Supervisor,
    (reaction, event): (Reaction, NewEvent),
) -> Result<Value, Failure> {
    let sandbox = parts::sandbox(&loaded.config).await?;
    let engine = Engine::start(conche_engine::Parts {
        store: Arc::new(MemoryStore::new()),
        evaluator: Arc::new(SandboxEvaluator::new(sandbox)),
        actions: parts.actions,
        clock: Arc::new(SystemClock),
        tasks: supervisor.tasks(),
        masker: parts.secrets.masker(),
        config: loaded.config.engine,
    })
    .await
    .map_err(|error| Failure::of("can't start the engine", error))?;
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
    let when = reaction.when.clone();
    let info = engine
        .put_reaction(reaction)
        .await
        .map_err(|error| failed(&error))?;
    for warning in &info.warnings {
        tracing::warn!(
            reaction = info.reaction.name,
            warning,
            "reaction has a fault"
        );
    }
    let changes = engine.tail();
    let source = if event.event_type.starts_with("conche.") {
        "conche"
    } else {
        "run"
    };
    let receipts = engine.rehearse(source, event).await;
    let receipts = receipts.map_err(|error| failed(&error))?;
    let accepted = receipts.first().map(|receipt| receipt.event);
    let Some(run) = find(&engine, accepted).await? else {
        return Err(no_run(&engine, &when.unwrap_or_default()));
    };
    wait(&engine, run.run, changes).await?;
    show(engine, loaded, supervisor, run.run).await
}

/// Why there is no run: a filter that gave no answer did not say no.
fn no_run(engine: &Engine, when: &str) -> Failure {
    let families = engine.metrics().registry().gather();
    let mut faults = families
        .iter()
        .filter(|family| family.name() == FILTER_FAULTS)
        .flat_map(prometheus::proto::MetricFamily::get_metric);
    Failure::Failed(
        if faults.any(|fault| fault.get_counter().get_value() > 0.0) {
            format!(
                "no run: the reaction's `when: {when}` could not be evaluated on this event; the log says why"
            )
        } else {
            format!("no run: the event does not satisfy the reaction's `when: {when}`")
        },
    )
}

/// The run that the event triggered.
async fn find(engine: &Engine, event: Option<EventId>) -> Result<Option<RunRow>, Failure> {
    let page = Page {
        before: None,
        limit: 1,
    };
    let filter = RunFilter {
        event,
        ..RunFilter::default()
    };
    let runs = engine.store().runs(filter, page).await;
    let runs = runs.map_err(|error| Failure::of("can't find the run", error))?;
    Ok(runs.into_iter().next())
}

/// Waits until a run is over or only a person can say how it goes on. A run has a deadline,
/// so this ends.
async fn wait(
    engine: &Engine,
    run: RunId,
    mut changes: tokio::sync::broadcast::Receiver<Arc<conche_engine::Change>>,
) -> Result<(), Failure> {
    loop {
        let row = engine.store().run(run).await;
        let row = row.map_err(|error| Failure::of("can't look at the run", error))?;
        let status = row.summary.status;
        if status.is_finished() || status == Status::NeedsAttention {
            return Ok(());
        }
        // Missed, late or about another run: the store has the truth.
        drop(tokio::time::timeout(LOOK_EVERY, changes.recv()).await);
    }
}

/// The run in the form in which the server shows it.
async fn show(
    engine: Engine,
    loaded: &Loaded,
    supervisor: &Supervisor,
    run: RunId,
) -> Result<Value, Failure> {
    let cannot = |error: &dyn std::fmt::Display| Failure::of("can't show the run", error);
    let router = conche_api::router(ApiState {
        sources: std::collections::BTreeSet::new(),
        engine,
        folder: None,
        version: VersionInfo {
            version: crate::VERSION.to_owned(),
            commit: None,
        },
        auth: Authorizer::Open,
        tasks: supervisor.tasks(),
        json: loaded.config.json,
        metrics: Vec::new(),
    });
    let request = http::Request::get(format!("/api/v1/runs/{run}"))
        .body(Body::empty())
        .map_err(|error| cannot(&error))?;
    let response = router
        .oneshot(request)
        .await
        .map_err(|error| cannot(&error))?;
    let body = to_bytes(response.into_body(), ANSWER_BYTES_MAX).await;
    let body = body.map_err(|error| cannot(&error))?;
    serde_json::from_slice(&body).map_err(|error| cannot(&error))
}
