//! The embedded OpenWhisk host: on the one database, with the one sandbox, behind a listener of
//! its own; within `conche serve`, or alone by `conche openwhisk serve`. The other verbs are for
//! any host: what is said to it is said by `conche-openwhisk`.

mod connect;
mod deploy;
mod described;
mod entities;
mod files;
mod functions;
mod invoke;
mod local;
mod scripts;
mod serve;
mod storage;
mod validate;

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Subcommand;
use conche_openwhisk_host::runtimes::{CageCommand, Pool, Programs, Settings as Processes};
use conche_openwhisk_host::users::FIRST;
use conche_openwhisk_host::{Host, Parts};
use conche_runtime::clock::SystemClock;
use conche_runtime::supervisor::Tasks;
use conche_store::sqlite::SqliteStore;

pub(crate) use self::functions::watch as watch_functions;
pub(crate) use self::local::Local;
use self::scripts::Functions;
use self::storage::Storage;
use crate::config;
use crate::failure::{self, Failure};

/// The file in the data folder by which `wsk` and other clients know the host and its first
/// user.
pub(crate) const CREDENTIALS: &str = "openwhisk.wskprops";

/// Functions in OpenWhisk's way.
#[derive(Debug, Subcommand)]
pub(crate) enum OpenWhisk {
    /// Run the embedded host alone
    Serve(serve::ServeArgs),
    /// Put on a host what a manifest or a folder of functions describes
    Deploy(deploy::DeployArgs),
    /// Take from a host what a manifest or a folder of functions describes
    Undeploy(deploy::UndeployArgs),
    /// Invoke an action, sequence or composition
    Invoke(invoke::InvokeArgs),
    /// Fire a trigger
    Fire(invoke::FireArgs),
    /// Look at what was invoked and fired
    #[command(
        subcommand,
        after_help = "Example:\n  conche openwhisk activations list --limit 5"
    )]
    Activations(entities::Activations),
    /// List actions, packages, rules or triggers
    List(entities::ListArgs),
    /// Show an action, package, rule or trigger
    Get(entities::GetArgs),
    /// Check the openwhisk commands of playbooks, and commands that stand alone
    Validate(validate::ValidateArgs),
}

/// `conche openwhisk`.
pub(crate) async fn run(verb: OpenWhisk) -> Result<ExitCode, Failure> {
    let done = match verb {
        OpenWhisk::Serve(args) => return serve::serve(args).await,
        OpenWhisk::Deploy(args) => deploy::deploy(args).await,
        OpenWhisk::Undeploy(args) => deploy::undeploy(args).await,
        OpenWhisk::Invoke(args) => invoke::invoke(args).await,
        OpenWhisk::Fire(args) => invoke::fire(args).await,
        OpenWhisk::Activations(verb) => entities::activations(verb).await,
        OpenWhisk::List(args) => entities::list(args).await,
        OpenWhisk::Get(args) => entities::get(args).await,
        OpenWhisk::Validate(args) => validate::validate(&args),
    };
    done.map(|in_order| ExitCode::from(u8::from(!in_order) * failure::FAILED))
}

/// Starts the host; its routes answer as soon as they are mounted.
///
/// What the last process left is taken up; the credentials of its first user are written into
/// the data folder, for its owner only.
pub(crate) async fn start(
    config: &config::Host,
    address: SocketAddr,
    store: &SqliteStore,
    data_dir: &Path,
    tasks: &Tasks,
) -> Result<Host, Failure> {
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        Failure::of(&format!("can't start the OpenWhisk host: {what}"), error)
    };
    let scheme = if config.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let settings = config.settings(format!("{scheme}://{address}"));
    let url = settings.url.clone();
    let runtimes = Pool::start(
        processes(&config.runtimes).await?,
        Arc::new(SystemClock),
        tasks,
    )
    .await
    .map_err(|error| failed("its runtimes", &error))?;
    let parts = Parts {
        store: Arc::new(Storage(store.functions())),
        runtimes: Arc::new(runtimes),
        clock: Arc::new(SystemClock),
        tasks: tasks.clone(),
    };
    let host = Host::new(settings, parts)
        .await
        .map_err(|error| failed("its users", &error))?;
    let resumed = host
        .start()
        .await
        .map_err(|error| failed("what the last process left", &error))?;
    if resumed.started + resumed.ended > 0 {
        let (started, ended) = (resumed.started, resumed.ended);
        tracing::info!(
            started,
            ended,
            "activations of the last process were taken up"
        );
    }
    let path = data_dir.join(CREDENTIALS);
    write_credentials(&path, &url, &host)
        .map_err(|error| failed(&path.display().to_string(), &error))?;
    Ok(host)
}

async fn processes(config: &config::Runtimes) -> Result<Processes, Failure> {
    let memory = config.script_memory.bytes();
    let scripts = Functions::start(config.script_workers.get(), memory).await?;
    let defaults = Processes::new(CageCommand::current_executable());
    let programs = Programs {
        node_modules: config.node_modules.clone(),
        readable: config.readable.clone(),
        ..defaults.programs
    };
    Ok(Processes {
        programs,
        scripts: Some(Arc::new(scripts)),
        processes: config.processes.map_or(defaults.processes, usize::from),
        memory_mb: u32::try_from(config.memory.bytes() >> 20).unwrap_or(u32::MAX),
        idle: config.idle.duration(),
        network: config.network,
        ..defaults
    })
}

/// Written anew and then put in place, so that nobody reads half of it.
fn write_credentials(path: &Path, url: &str, host: &Host) -> std::io::Result<()> {
    let Some(user) = host
        .users()
        .into_iter()
        .find(|user| user.namespace == FIRST)
    else {
        return Ok(());
    };
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    // Left by a process that was interrupted, maybe for others to read.
    drop(fs::remove_file(&part));
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&part)?;
    writeln!(
        file,
        "APIHOST={url}\nAUTH={}:{}\nNAMESPACE=_",
        user.uuid, user.key
    )?;
    fs::rename(part, path)
}
