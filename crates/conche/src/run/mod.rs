//! `conche run`: one reaction on one event, or one playbook, without a server.
//!
//! A whole engine with its store in memory, the real sandbox and the real actions. The answer
//! is the server's own form of a run. Nothing is kept.

pub(crate) mod dry;
pub(crate) mod playbook;
mod rails;
mod reaction;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use clap::Args;
use conche_api::{ApiState, Authorizer, VersionInfo};
use conche_core::run::Status;
use conche_core::{Json, RunId};
use conche_engine::{Engine, PlaybookFolder, SandboxEvaluator};
use conche_runtime::clock::SystemClock;
use conche_runtime::supervisor::{Grace, Supervisor};
use conche_store::memory::MemoryStore;
use conche_store::{Page, RunFilter};
use serde_json::Value;
use tower::ServiceExt;

use crate::config::{self, Folder, Loaded};
use crate::failure::Failure;
use crate::output::OutputArgs;
use crate::parts::{self, Parts};
use crate::{input, logging, story};

/// The run is looked at so often even where no change is told.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Runs that one reaction's run may start and that are waited for.
const RUNS_MAX: u32 = 100;
/// Bytes of the answer; the API cuts what is larger.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
const GRACE: Grace = Grace {
    per_stage: Duration::from_secs(1),
    total: Duration::from_secs(3),
};

/// Runs a reaction or a playbook, without a server.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  conche run reactions/suspend-vm.yaml --event event.json
  echo '{\"vm\":\"web-1\"}' | conche run reactions/suspend-vm.yaml --event - -o json
  conche run playbooks/block-address.json --var __address__=192.0.2.7
  conche run playbooks/isolate.json --var host=web-1 --answer approved=true
  conche run playbooks/isolate.json --var host=web-1 --dry-run --outcome action--…=failed
  conche run playbooks/isolate.json --config conche.yaml --grant edr_token=edr.example.com

A reaction may start the playbooks of the folder that --config names; their runs are waited for.
A reaction to Conche's own events, such as `conche.run.failed`, is tried in the same way. Storm
control does not hold it up: a group has the one event.

A playbook that asks a person gets the values of --answer; where it asks for others, the run
stops there and says what is asked. Playbooks that it calls are looked for in its folder.

Actions are really carried out; those that need settings take them from --config. A secret of
that configuration is sent only where its `playbooks.secrets` lets it go, as on a server; --grant
lets it go to one more host for this run, encrypted unless that is this machine. What is stopped
or protected in the data folder of that configuration is so here, too. Exit code
0 where the run succeeded, 1 where it did not or the event does not trigger the reaction.")]
pub(crate) struct RunArgs {
    /// A reaction file, or a CACAO playbook
    file: PathBuf,
    /// A file with the event's payload as JSON; `-` is standard input [default: {}]
    #[arg(long, value_name = "FILE")]
    event: Option<PathBuf>,
    /// The event's type [default: the reaction's, where it has only one]
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// A value of a playbook's external variable; the underscores around it may be left out
    #[arg(long = "var", value_name = "NAME=VALUE")]
    variables: Vec<String>,
    /// A value that a playbook asks a person for
    #[arg(long = "answer", value_name = "NAME=VALUE")]
    answers: Vec<String>,
    /// Says that what a playbook asks a person to do, without asking for a value, was done; and
    /// approves what a second person would have to
    #[arg(long)]
    confirm: bool,
    /// Says what a playbook would do, on what and with what, and does nothing
    #[arg(long)]
    dry_run: bool,
    /// With --dry-run: what comes of a step, `failed` or the result of its commands as JSON;
    /// STEP may be ID or ID/COMMAND.TARGET [default: all goes well]
    #[arg(long = "outcome", value_name = "STEP=OUTCOME", requires = "dry_run")]
    outcomes: Vec<String>,
    /// A secret of the configuration that playbooks may have sent to this host in this run;
    /// `*.example.com` and a port are understood
    #[arg(long = "grant", value_name = "NAME=HOST", requires = "config")]
    grants: Vec<String>,
    /// A configuration with the settings of actions, secrets and limits [default: none]
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs the file and tells what came of it; whether it succeeded.
pub(crate) async fn run(args: RunArgs) -> Result<bool, Failure> {
    let work = if playbook::is_one(&args.file) {
        Work::Playbook(Box::new(playbook::prepare(&args)?))
    } else {
        Work::Reaction(Box::new(reaction::prepare(&args)?))
    };
    let mut loaded = match &args.config {
        Some(file) => Loaded::load(Some(file), config::environment())?,
        None => Loaded::defaults(),
    };
    let config = &mut loaded.config;
    config::add_grants(&mut config.grants, &args.grants, &config.secrets)
        .map_err(|wrong| Failure::Usage(format!("--grant: {wrong}")))?;
    let data = data(args.event.as_deref(), loaded.config.json)?;
    let parts = Parts::build(&loaded)?;
    let filter = std::env::var("CONCHE_LOG").unwrap_or_else(|_| "warn".to_owned());
    let masker = parts.secrets.masker();
    logging::start(logging::Format::Text, Some(&filter), masker, None)?;
    let supervisor = Supervisor::new();
    let ran = on_an_engine(&loaded, parts, &supervisor, work, data).await;
    supervisor.shutdown(GRACE).await;
    let run = ran?;
    if args.dry_run {
        args.output.print(&run, dry::table)?;
    } else {
        args.output.print(&run, story::of)?;
    }
    Ok(run["status"] == "succeeded")
}

/// What is run.
enum Work {
    Reaction(Box<reaction::Prepared>),
    Playbook(Box<playbook::Prepared>),
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
    work: Work,
    data: Json,
) -> Result<Value, Failure> {
    let sandbox = parts::sandbox(&loaded.config).await?;
    parts.serve_fins(&supervisor.tasks());
    let engine = Engine::start(conche_engine::Parts {
        store: Arc::new(MemoryStore::new()),
        evaluator: Arc::new(SandboxEvaluator::new(sandbox)),
        actions: parts.actions,
        clock: Arc::new(SystemClock),
        tasks: supervisor.tasks(),
        secrets: parts.secrets.clone(),
        config: loaded.config.engine,
        safety: loaded.config.safety.clone(),
    })
    .await
    .map_err(|error| Failure::of("can't start the engine", error))?;
    if loaded.file().is_some() {
        rails::heed(&engine, &loaded.config.data_dir, &supervisor.tasks()).await?;
    }
    let run = match work {
        Work::Reaction(prepared) => {
            watch_playbooks(&engine, loaded).await?;
            let run = reaction::carry_out(&engine, *prepared, data).await?;
            others(&engine, run).await?;
            run
        }
        Work::Playbook(prepared) if prepared.dry => {
            return playbook::rehearse(&engine, &prepared);
        }
        Work::Playbook(prepared) => playbook::carry_out(&engine, *prepared).await?,
    };
    show(engine, loaded, supervisor, run).await
}

/// Has the playbooks at hand that a reaction may start: those of the configuration's folder.
async fn watch_playbooks(engine: &Engine, loaded: &Loaded) -> Result<(), Failure> {
    let dir = match &loaded.config.playbooks {
        _ if loaded.file().is_none() => return Ok(()),
        Folder::Default(dir) if !dir.is_dir() => return Ok(()),
        Folder::Default(dir) | Folder::Named(dir) => dir,
    };
    let watched = PlaybookFolder::watch(engine, dir).await.map_err(|error| {
        let what = format!("can't read the playbooks folder {}", dir.display());
        Failure::of(&what, error)
    })?;
    for fault in watched.loaded().faults {
        tracing::warn!(%fault, "playbook file refused");
    }
    Ok(())
}

/// Waits for the runs that a run has started: nothing of them outlives this process.
async fn others(engine: &Engine, run: RunId) -> Result<(), Failure> {
    let mut changes = engine.tail();
    let page = Page {
        before: None,
        limit: RUNS_MAX,
    };
    let runs = engine.store().runs(RunFilter::default(), page).await;
    let runs = runs.map_err(|error| Failure::of("can't look at the runs", error))?;
    for other in runs.into_iter().filter(|other| other.run != run) {
        let status = wait(engine, other.run, &mut changes).await?;
        if status != Status::Succeeded {
            let name = &other.name;
            tracing::warn!(run = %other.run, name, %status, "a run that was started did not succeed");
        }
    }
    Ok(())
}

/// Waits until a run is over or only a person can say how it goes on. A run has a deadline,
/// so this ends.
async fn wait(
    engine: &Engine,
    run: RunId,
    changes: &mut tokio::sync::broadcast::Receiver<Arc<conche_engine::Change>>,
) -> Result<Status, Failure> {
    loop {
        let row = engine.store().run(run).await;
        let row = row.map_err(|error| Failure::of("can't look at the run", error))?;
        let status = row.summary.status;
        if status.is_finished() || status.waits_for_a_person() {
            return Ok(status);
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
        sources: BTreeMap::new(),
        engine,
        folder: None,
        playbooks: None,
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
