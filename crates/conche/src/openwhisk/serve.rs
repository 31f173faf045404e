//! `conche openwhisk serve`: the embedded host and nothing else.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use conche_runtime::listener::Listener;
use conche_runtime::secrets::Masker;
use conche_runtime::supervisor::{Grace, Stage, Supervisor};
use conche_store::RunStore as _;
use conche_store::sqlite::{SqliteConfig, SqliteStore};

use crate::config::{Host as HostConfig, Runtimes};
use crate::failure::Failure;
use crate::signals::Signals;
use crate::{logging, output};

/// Runs the host.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  conche openwhisk serve --dev
  conche openwhisk serve --listen 127.0.0.1:3233 --data-dir ./functions-data
  WSK_CONFIG_FILE=./functions-data/openwhisk.wskprops wsk action list

Credentials of the namespace `guest` are written to openwhisk.wskprops in the data folder, which
`wsk` and `conche openwhisk` read. `conche serve` has the same host: see `openwhisk:` in its
configuration.")]
pub(crate) struct ServeArgs {
    /// Address and port; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:3233", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Where everything is kept
    #[arg(long, default_value = "./openwhisk-data", value_name = "DIR")]
    data_dir: PathBuf,
    /// Give `guest` and `whisk.system` the keys that OpenWhisk's documentation prints: everybody
    /// knows them
    #[arg(long)]
    dev: bool,
    /// A folder of npm modules that every JavaScript function may load from
    #[arg(long, value_name = "DIR")]
    node_modules: Option<PathBuf>,
    /// Let it listen on an address other than loopback
    #[arg(long)]
    allow_unauthenticated: bool,
    /// The form of the log [default: text]
    #[arg(long, env = "CONCHE_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<logging::Format>,
    /// What is logged, such as `info,conche_openwhisk_host=debug` [default: info]
    #[arg(long, env = "CONCHE_LOG", value_name = "FILTER")]
    log: Option<String>,
}

/// Runs the host until it is told to end or a part of it fails.
pub(super) async fn serve(args: ServeArgs) -> Result<ExitCode, Failure> {
    let config = HostConfig {
        listen: Some(args.listen),
        allow_unauthenticated: args.allow_unauthenticated,
        dev: args.dev,
        runtimes: Runtimes {
            node_modules: args.node_modules.map(std::path::absolute).transpose()?,
            ..Runtimes::default()
        },
        ..HostConfig::default()
    };
    let format = args.log_format.unwrap_or(logging::Format::Text);
    logging::start(format, args.log.as_deref(), Masker::default(), None)?;
    let mut signals = Signals::listen()?;
    let listener = Listener::bind("openwhisk", config.listener())
        .await
        .map_err(|error| Failure::Failed(error.to_string()))?;
    let store = open(&args.data_dir).await?;
    let supervisor = Supervisor::new();
    let tasks = supervisor.tasks();
    let address = listener.local_addr();
    let host = super::start(&config, address, &store, &args.data_dir, &tasks).await?;
    listener
        .render(conche_openwhisk_host::render)
        .serve(host.router(), &tasks, Stage::Api);
    let credentials = args.data_dir.join(super::CREDENTIALS);
    let credentials = credentials.display();
    // A host without standard output still serves.
    if let Err(error) = output::line(&format!(
        "listening openwhisk={address}\ncredentials {credentials}"
    )) {
        tracing::warn!(%error, "cannot print where it listens: {address}");
    }
    let code = tokio::select! {
        name = signals.next() => {
            tracing::info!(signal = name, "stopping");
            ExitCode::SUCCESS
        }
        failure = supervisor.failed() => {
            tracing::error!(%failure, "a part failed: stopping");
            ExitCode::FAILURE
        }
    };
    tokio::select! {
        _report = supervisor.shutdown(Grace::default()) => {}
        name = signals.again() => {
            tracing::warn!(signal = name, "told again to stop: ending at once");
            return Ok(ExitCode::FAILURE);
        }
    }
    if let Err(error) = store.close().await {
        tracing::error!(%error, "the store was not closed in order");
    }
    Ok(code)
}

async fn open(dir: &std::path::Path) -> Result<SqliteStore, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::of("can't open the store", error);
    let config = SqliteConfig::new(dir);
    tokio::task::spawn_blocking(move || SqliteStore::open(&config))
        .await
        .map_err(|panic| failed(&panic))?
        .map_err(|error| failed(&error))
}
