//! `conche serve`: builds the parts in order, says where they listen, waits, drains.
//!
//! Order: what only the configuration decides (so that its mistakes stop nothing half
//! started), ports, store and script workers, engine, reactions, sources, answers. Stopping
//! goes the other way round, stage by stage, and is bounded.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use clap::Args;
use conche_api::soarca::{self, Origins, SoarcaState};
use conche_api::{ApiState, Authorizer, Caller, VersionInfo};
use conche_engine::{Engine, Folder, PlaybookFolder, SandboxEvaluator};
use conche_modules::{Source, sources::no_such_webhook};
use conche_openwhisk_host::Host;
use conche_runtime::clock::SystemClock;
use conche_runtime::listener::Auth;
use conche_runtime::listener::guard::TokenSet;
use conche_runtime::secrets::Secrets;
use conche_runtime::supervisor::{Backoff, Grace, OnFailure, Stage, Supervisor, Tasks};
use conche_store::Store;
use conche_store::sqlite::{SqliteConfig, SqliteStore};

use crate::config::{self, Config, Loaded};
use crate::csf;
use crate::failure::Failure;
use crate::listeners::{Listeners, Routers};
use crate::metrics::Registries;
use crate::parts::{self, Parts};
use crate::settings::ConfigArgs;
use crate::signals::Signals;
use crate::telemetry::Telemetry;
use crate::{certificates, ledger, logging, notify, openwhisk, output, sealing};

/// Closing the store writes at most one more commit and a checkpoint.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// Exit code of a server that was told twice to end.
const KILLED: u8 = 130;

/// Runs the server.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  conche serve --config conche.yaml
  conche serve --csf-config csf_config
  CONCHE_API__LISTEN=127.0.0.1:0 conche serve

When all listeners answer, one line is printed: `listening api=ADDRESS webhooks=ADDRESS`.
SIGINT or SIGTERM ends the server in order; another one, a second later or more, ends it at
once.")]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Let listeners without authentication listen on addresses other than loopback
    #[arg(long)]
    allow_unauthenticated: bool,
    /// The form of the log [default: text]
    #[arg(long, env = "CONCHE_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<logging::Format>,
    /// What is logged, such as `info,conche_engine=debug` [default: info]
    #[arg(long, env = "CONCHE_LOG", value_name = "FILTER")]
    log: Option<String>,
}

/// Runs the server until it is told to end or a part of it fails.
pub(crate) async fn serve(args: ServeArgs) -> Result<ExitCode, Failure> {
    let loaded = args
        .config
        .load()?
        .for_a_server(args.allow_unauthenticated)?;
    let parts = Parts::for_a_server(&loaded)?;
    let csf = loaded.csf.as_ref();
    let format = match csf {
        Some(csf) if csf.log_json => logging::Format::Json,
        _ => logging::Format::Text,
    };
    let filter = args.log.as_deref().or(csf.map(|csf| csf.log));
    let format = args.log_format.unwrap_or(format);
    let (telemetry, log_layer) = Telemetry::from_environment(parts.secrets.masker())?;
    logging::start(format, filter, parts.secrets.masker(), log_layer)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    tell_of_secrets(&loaded, &parts.secrets);
    let mut signals = Signals::listen()?;
    let supervisor = Supervisor::new();
    let (store, started) = start(&loaded, parts, telemetry, &supervisor).await?;
    say(&started);
    notify::tell(notify::READY);

    let code = tokio::select! {
        name = signals.next() => {
            tracing::info!(signal = name, "stopping");
            say("stopping in order; press again to stop at once");
            ExitCode::SUCCESS
        }
        failure = supervisor.failed() => {
            tracing::error!(%failure, "a part failed: stopping");
            ExitCode::FAILURE
        }
    };
    notify::tell(notify::STOPPING);
    tokio::select! {
        () = drain(supervisor, &*store) => Ok(code),
        name = signals.again() => {
            tracing::warn!(signal = name, "told again to stop: ending at once");
            Ok(ExitCode::from(KILLED))
        }
    }
}

/// Prints a line. A server without standard output still serves.
fn say(line: &str) {
    if let Err(error) = output::line(line) {
        tracing::warn!(%error, "cannot print: {line}");
    }
}

/// Tells which secrets cannot be read, and what will not work without them.
fn tell_of_secrets(loaded: &Loaded, secrets: &Secrets) {
    for check in secrets.check() {
        let needed_by = loaded.users_of_secret(&check.name);
        if let Err(error) = &check.result {
            tracing::warn!(needed_by, "{error}");
        }
        for warning in &check.warnings {
            tracing::warn!(secret = check.name, needed_by, "{warning}");
        }
    }
}

/// Starts everything; returns the store, to be closed last, and where the listeners answer.
async fn start(
    loaded: &Loaded,
    parts: Parts,
    telemetry: Telemetry,
    supervisor: &Supervisor,
) -> Result<(Arc<dyn Store>, String), Failure> {
    let (config, tasks) = (&loaded.config, supervisor.tasks());
    tracing::info!(version = crate::VERSION, config = ?loaded.file(), data_dir = %config.data_dir.display(), "starting");
    let auth = authorizer(config, &parts.secrets)?;
    for name in config.api_token.iter().map(|token| &token.secret) {
        parts.secrets.withhold(name);
    }
    let listeners = Listeners::bind(config, &parts.sources)
        .await
        .map_err(|error| Failure::Failed(error.to_string()))?;
    let (store, sandbox) = tokio::try_join!(open_store(config), parts::sandbox(config))?;
    let key = sealing::key(&config.data_dir);
    let key = key.map_err(|error| Failure::of("can't seal what is secret", error))?;
    parts.secrets.seal_by(&key);
    let evaluator = Arc::new(SandboxEvaluator::new(sandbox));
    let mut registries = Registries::new(store.clone(), evaluator.clone(), &tasks);
    let functions = start_functions(config, &listeners, &store, &tasks).await?;
    if let Some(host) = &functions {
        parts.openwhisk.open(Arc::new(openwhisk::Local::of(host)?));
    }
    let store: Arc<dyn Store> = store;
    parts.serve_fins(&tasks);
    let engine = Engine::start(conche_engine::Parts {
        store: store.clone(),
        evaluator,
        actions: parts.actions,
        clock: Arc::new(SystemClock),
        tasks: tasks.clone(),
        secrets: parts.secrets.clone(),
        config: config.engine,
        safety: config.safety.clone(),
    })
    .await
    .map_err(|error| Failure::of("can't start the engine", error))?;
    ledger::tell_start(&*store, loaded).await?;
    registries.add(telemetry.registry());
    telemetry.start(&engine, &tasks);
    import_csf(&engine, loaded).await?;
    let folder = watch_reactions(&engine, &config.reactions).await?;
    let playbooks = watch_playbooks(&engine, &config.playbooks).await?;
    let (webhooks, own) = start_sources(&engine, &parts.sources, &tasks);
    let metrics = registries.router(&engine);
    let state = |auth, folder, metrics| ApiState {
        sources: config.sources_by_id(),
        engine: engine.clone(),
        folder,
        playbooks: playbooks.clone(),
        version: VersionInfo {
            version: crate::VERSION.to_owned(),
            commit: crate::COMMIT.map(str::to_owned),
        },
        auth,
        tasks: tasks.clone(),
        json: config.json,
        metrics,
    };
    let routers = Routers {
        webhooks,
        sources: own,
        metrics,
        soarca: soarca::router(SoarcaState {
            api: state(soarca_callers(config), None, Vec::new()),
            origins: Origins::new(config.soarca.origins.clone()),
            fins: parts.fins.clone(),
        }),
        openwhisk: functions.map(|host| host.router()).unwrap_or_default(),
        api: conche_api::router(state(auth, folder, registries.into_inner())),
    };
    certificates::watch(listeners.certificates(), &tasks)?;
    ledger::retain(&store, config.audit, &tasks);
    let addresses = listeners.serve(routers, &tasks);
    Ok((store, addresses.to_string()))
}

async fn open_store(config: &Config) -> Result<Arc<SqliteStore>, Failure> {
    let cannot = |error: &dyn std::fmt::Display| Failure::of("can't open the store", error);
    let sqlite = SqliteConfig::new(&config.data_dir);
    let store = tokio::task::spawn_blocking(move || SqliteStore::open(&sqlite))
        .await
        .map_err(|panic| cannot(&panic))?
        .map_err(|error| cannot(&error))?;
    Ok(Arc::new(store))
}

/// Starts the embedded OpenWhisk host, where it has a listener.
async fn start_functions(
    config: &Config,
    listeners: &Listeners,
    store: &SqliteStore,
    tasks: &Tasks,
) -> Result<Option<Host>, Failure> {
    let Some(address) = listeners.openwhisk() else {
        return Ok(None);
    };
    let functions = &config.openwhisk.runtimes;
    if config.api.listen.is_some() && config.api.auth != Auth::Token && functions.network {
        tracing::warn!(
            "functions reach this server's own API, which asks for no token: set `api.auth: token`, or \
             `openwhisk.host.runtimes.network: false`"
        );
    }
    let data_dir = &config.data_dir;
    let host = openwhisk::start(&config.openwhisk, address, store, data_dir, tasks).await?;
    openwhisk::watch_functions(&host, &config.functions, tasks).await?;
    Ok(Some(host))
}

/// Takes CSF's reactions over at the first start, before any event can come.
async fn import_csf(engine: &Engine, loaded: &Loaded) -> Result<(), Failure> {
    let Some(csf) = &loaded.csf else {
        return Ok(());
    };
    let data_dir = &loaded.config.data_dir;
    if let Some(imported) = csf::import_once(engine, &csf.database, data_dir).await? {
        ledger::tell_import(engine, &csf.database, imported.reactions.len()).await;
        let (reactions, database) = (imported.reactions.len(), csf.database.display());
        tracing::info!(reactions, %database, "CSF's reactions were imported");
        for fault in imported.faults {
            tracing::warn!(fault, "not imported as it was");
        }
    }
    Ok(())
}

async fn watch_reactions(
    engine: &Engine,
    folder: &config::Folder,
) -> Result<Option<Arc<Folder>>, Failure> {
    let dir = match folder {
        config::Folder::Default(dir) if !dir.is_dir() => {
            tracing::info!(dir = %dir.display(), "there is no reactions folder");
            return Ok(None);
        }
        config::Folder::Default(dir) | config::Folder::Named(dir) => dir,
    };
    let watched = Folder::watch(engine, dir).await.map_err(|error| {
        Failure::of(
            &format!("can't read the reactions folder {}", dir.display()),
            error,
        )
    })?;
    let loaded = watched.loaded();
    tracing::info!(dir = %dir.display(), reactions = loaded.reactions, refused = loaded.faults.len(), "reactions loaded");
    Ok(Some(watched))
}

async fn watch_playbooks(
    engine: &Engine,
    folder: &config::Folder,
) -> Result<Option<Arc<PlaybookFolder>>, Failure> {
    let dir = match folder {
        config::Folder::Default(dir) if !dir.is_dir() => return Ok(None),
        config::Folder::Default(dir) | config::Folder::Named(dir) => dir,
    };
    let watched = PlaybookFolder::watch(engine, dir).await.map_err(|error| {
        let what = format!("can't read the playbooks folder {}", dir.display());
        Failure::of(&what, error)
    })?;
    let loaded = watched.loaded();
    tracing::info!(dir = %dir.display(), playbooks = loaded.playbooks, refused = loaded.faults.len(), "playbooks loaded");
    Ok(Some(watched))
}

/// Starts every source; returns the routes that they want on the webhook listener, and those
/// that they want on their own.
fn start_sources(
    engine: &Engine,
    sources: &[(String, Arc<dyn Source>)],
    tasks: &Tasks,
) -> (Router, BTreeMap<String, Router>) {
    let (mut router, mut own) = (Router::new(), BTreeMap::new());
    let restart = OnFailure::Restart(Backoff::default());
    for (id, source) in sources {
        match (source.routes(engine.intake()), source.listener()) {
            (Some(routes), Some(_)) => drop(own.insert(id.clone(), routes)),
            (Some(routes), None) => router = router.merge(routes),
            (None, _) => {}
        }
        let (source, intake) = (source.clone(), engine.intake());
        tasks.spawn(
            format!("source {id}"),
            Stage::Sources,
            restart,
            move |stop| {
                let (source, intake) = (source.clone(), intake.clone());
                async move { source.run(intake, stop).await }
            },
        );
    }
    (router.fallback(no_such_webhook), own)
}

fn authorizer(config: &Config, secrets: &Secrets) -> Result<Authorizer, Failure> {
    if config.api.auth != Auth::Token {
        return Ok(Authorizer::Open);
    }
    let mut tokens = TokenSet::new();
    if let Some(token) = &config.api_token {
        let value = secrets
            .get(&token.secret)
            .map_err(|error| Failure::of("api.token", error))?;
        tokens.insert(&value, Caller::unlimited(&token.secret));
    }
    Ok(Authorizer::Tokens(tokens))
}

/// Who may call the SOARCA-compatible API: holders of stored tokens, where it asks for one.
fn soarca_callers(config: &Config) -> Authorizer {
    match config.soarca.auth {
        Auth::Token => Authorizer::Tokens(TokenSet::new()),
        Auth::LoopbackOpen | Auth::None => Authorizer::Open,
    }
}

async fn drain(supervisor: Supervisor, store: &dyn Store) {
    let report = supervisor.shutdown(Grace::default()).await;
    match tokio::time::timeout(CLOSE_WITHIN, store.close()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "the store was not closed in order"),
        Err(_elapsed) => tracing::error!("the store was not closed in time"),
    }
    tracing::info!(
        stopped = report.stopped,
        stragglers = report.stragglers.len(),
        "stopped"
    );
}
