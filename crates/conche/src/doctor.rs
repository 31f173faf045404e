//! `conche doctor`: whether this machine and this configuration can carry a server.
//!
//! Each check answers for itself, so that one that fails hides no other. Nothing is changed:
//! a data folder that is not there is not made, and one that a server holds is left alone.

mod network;

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use conche_runtime::secrets::Secrets;
use conche_script::{Evaluation, Isolation, Script, Verdict};
use conche_store::sqlite::{SqliteConfig, SqliteStore};
use conche_store::{Catalogue, RunStore};
use serde::Serialize;
use serde_json::json;

use crate::config::{Config, Folder, Loaded};
use crate::failure::Failure;
use crate::folder;
use crate::output::{self, OutputArgs};
use crate::parts::{self, Parts};
use crate::settings::{ConfigArgs, OpenArgs};
use crate::telemetry::Telemetry;

/// The disk is too full to start with.
const FREE_MIN: u64 = 100 * 1024 * 1024;
/// The disk will soon be too full.
const FREE_WANTED: u64 = 1024 * 1024 * 1024;
/// No machine with this program has an earlier date: 2026-01-01.
const EARLIEST: i64 = 1_767_225_600;

/// Checks the machine and the configuration.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  conche doctor --config conche.yaml

Exit code 1 where something is wrong; warnings alone give 0.")]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    open: OpenArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// How it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    Warning,
    Error,
}

/// What one check found.
#[derive(Debug, Serialize)]
struct Check {
    #[serde(rename = "check")]
    name: &'static str,
    status: State,
    detail: String,
}

#[derive(Debug, Serialize)]
struct Report {
    healthy: bool,
    checks: Vec<Check>,
}

const fn check(name: &'static str, status: State, detail: String) -> Check {
    Check {
        name,
        status,
        detail,
    }
}

/// Checks everything and prints what was found; whether nothing is wrong.
pub(crate) async fn doctor(args: DoctorArgs) -> Result<bool, Failure> {
    let mut checks = vec![clock(), landlock()];
    let mut own_listeners = Vec::new();
    let loaded = match args.config.load() {
        Ok(loaded) => {
            let (configuration, own) = config(&loaded, args.open.allow_unauthenticated);
            checks.push(configuration);
            own_listeners = own;
            checks.extend(environment(&loaded));
            loaded
        }
        Err(error) => {
            checks.push(check("configuration", State::Error, error.to_string()));
            Loaded::defaults()
        }
    };
    let config = &loaded.config;
    checks.extend(secrets(config));
    checks.push(sandbox(config).await);
    checks.extend(reactions(&loaded).await);
    checks.extend(playbooks(&loaded).await);
    checks.push(data_dir(&config.data_dir));
    checks.push(store(&config.data_dir).await);
    checks.push(disk(&config.data_dir));
    let listeners = [
        ("api", config.api.listen),
        ("webhooks", config.webhooks.listen),
        ("metrics", config.metrics.listen),
        ("soarca", config.soarca.listen),
        ("openwhisk.host", config.openwhisk_listener.listen),
    ];
    let listeners = listeners.map(|(name, listen)| (name.to_owned(), listen));
    for (name, listen) in listeners.into_iter().chain(own_listeners) {
        checks.extend(listen.map(|address| network::port(&name, address)));
    }
    checks.extend(network::sources(&config.api).await);
    let healthy = checks.iter().all(|check| check.status != State::Error);
    let report = Report { healthy, checks };
    args.output.print(&report, |report| {
        let rows: Vec<_> = report.checks.iter().map(|check| json!(check)).collect();
        let columns = [
            ("CHECK", "/check"),
            ("STATUS", "/status"),
            ("DETAIL", "/detail"),
        ];
        output::table(&rows, &columns)
    })?;
    Ok(healthy)
}

fn clock() -> Check {
    let now = jiff::Timestamp::now();
    if now.as_second() >= EARLIEST {
        return check("clock", State::Ok, now.to_string());
    }
    let detail = format!("it says {now}: deadlines, schedules and certificates would be wrong");
    check("clock", State::Error, detail)
}

fn landlock() -> Check {
    let modules = std::fs::read_to_string("/sys/kernel/security/lsm");
    let (state, detail) = match modules {
        Ok(list) if list.trim().split(',').any(|name| name == "landlock") => {
            (State::Ok, "the kernel offers it".to_owned())
        }
        Ok(_) => (
            State::Warning,
            "the kernel does not offer it: script workers are confined by seccomp alone".to_owned(),
        ),
        Err(error) => (State::Warning, format!("can't tell: {error}")),
    };
    check("landlock", state, detail)
}

/// A listener's name and address.
type Listening = (String, Option<SocketAddr>);

/// Whether a server can run by it, and the listeners that its sources have for themselves.
fn config(loaded: &Loaded, open: bool) -> (Check, Vec<Listening>) {
    let what = match loaded.file() {
        Some(file) => file.display().to_string(),
        None => "built-in defaults: there is no file".to_owned(),
    };
    let built = loaded.clone().for_a_server(open).map_err(Failure::from);
    let built = built.and_then(|loaded| Parts::for_a_server(&loaded));
    let built = built.and_then(|parts| {
        Telemetry::from_environment(parts.secrets.masker())?;
        Ok(parts)
    });
    match built {
        Ok(parts) => {
            let own = parts.sources.iter();
            let own = own.filter_map(|(id, source)| Some((id.clone(), source.listener()?.listen)));
            (check("configuration", State::Ok, what), own.collect())
        }
        Err(error) => (
            check("configuration", State::Error, error.to_string()),
            Vec::new(),
        ),
    }
}

fn environment(loaded: &Loaded) -> impl Iterator<Item = Check> {
    let warnings = loaded.warnings.iter();
    warnings.map(|warning| check("environment", State::Warning, warning.clone()))
}

fn secrets(config: &Config) -> Vec<Check> {
    let found = Secrets::load(config.secrets.clone()).check();
    let found = found.into_iter().map(|secret| {
        let (state, detail) = match secret.result {
            Err(error) => (State::Error, error.to_string()),
            Ok(()) if secret.warnings.is_empty() => (State::Ok, secret.name),
            Ok(()) => (
                State::Warning,
                format!("{}: {}", secret.name, secret.warnings.join("; ")),
            ),
        };
        check("secret", state, detail)
    });
    found.collect()
}

/// A worker starts only where it could be confined, so an answer says that it was.
async fn sandbox(config: &Config) -> Check {
    let started = match parts::sandbox(config).await {
        Ok(sandbox) => sandbox,
        Err(error) => return check("script sandbox", State::Error, error.to_string()),
    };
    let script = Script::new("doctor", "nextAction = 'well'");
    let evaluation = Evaluation {
        script: script.into(),
        event: serde_json::value::RawValue::NULL.to_owned().into(),
        action_data: None,
        lists: None,
        isolation: Isolation::Fresh,
        limits: None,
    };
    let answer = started.evaluate(evaluation).await;
    let workers = started.stats().pids.len();
    started.stop(Duration::from_secs(1)).await;
    match answer.map(|evaluated| evaluated.next) {
        Ok(Verdict::Next { action, .. }) if action == "well" => check(
            "script sandbox",
            State::Ok,
            format!("{workers} confined workers answer"),
        ),
        Ok(other) => check(
            "script sandbox",
            State::Error,
            format!("it answers {other:?}"),
        ),
        Err(error) => check("script sandbox", State::Error, error.to_string()),
    }
}

async fn reactions(loaded: &Loaded) -> Vec<Check> {
    let folder = &loaded.config.reactions;
    look("reactions", loaded, folder, async |dir, parts| {
        let look = folder::look(dir, loaded, parts).await?;
        Ok((format!("{} can be in force", look.reactions), look.faults))
    })
    .await
}

async fn playbooks(loaded: &Loaded) -> Vec<Check> {
    let folder = &loaded.config.playbooks;
    look("playbooks", loaded, folder, async |dir, parts| {
        let look = folder::look_at_playbooks(dir, loaded, parts).await?;
        let faults = look.faults.into_iter();
        let faults = faults.map(|fault| dir.join(fault.to_string()).display().to_string());
        Ok((format!("{} can be run", look.playbooks), faults.collect()))
    })
    .await
}

/// What is in a folder, and a check for each fault, so that none hides behind another.
async fn look(
    name: &'static str,
    loaded: &Loaded,
    folder: &Folder,
    look: impl AsyncFnOnce(&Path, Parts) -> Result<(String, Vec<String>), Failure>,
) -> Vec<Check> {
    let dir = match folder {
        Folder::Default(dir) if !dir.is_dir() => {
            let detail = format!("there is no folder {}", dir.display());
            return vec![check(name, State::Ok, detail)];
        }
        Folder::Default(dir) | Folder::Named(dir) => dir,
    };
    // A configuration that can't be built is told already.
    let Ok(parts) = Parts::build(loaded) else {
        return Vec::new();
    };
    match look(dir, parts).await {
        Ok((found, faults)) => {
            let found = check(name, State::Ok, format!("{}: {found}", dir.display()));
            let faults = faults.into_iter();
            let faults = faults.map(|fault| check(name, State::Error, fault));
            std::iter::once(found).chain(faults).collect()
        }
        Err(error) => vec![check(name, State::Error, error.to_string())],
    }
}

fn data_dir(dir: &Path) -> Check {
    let name = "data folder";
    match std::fs::metadata(dir) {
        Ok(data) if !data.is_dir() => check(
            name,
            State::Error,
            format!("{} is no folder", dir.display()),
        ),
        Ok(data) if data.permissions().mode() & 0o077 != 0 => check(
            name,
            State::Warning,
            format!(
                "others may look into {}: run chmod 700 on it",
                dir.display()
            ),
        ),
        Ok(_) => check(name, State::Ok, dir.display().to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let detail = format!("{} is made at the first start", dir.display());
            check(name, State::Ok, detail)
        }
        Err(error) => check(name, State::Error, format!("{}: {error}", dir.display())),
    }
}

async fn store(dir: &Path) -> Check {
    if !dir.is_dir() {
        return check("store", State::Ok, "there is none yet".to_owned());
    }
    let config = SqliteConfig::new(dir);
    let opened = tokio::task::spawn_blocking(move || SqliteStore::open(&config)).await;
    let store = match opened {
        Ok(Ok(store)) => store,
        Ok(Err(conche_store::Error::Locked(_))) => {
            return check("store", State::Ok, "a running server holds it".to_owned());
        }
        Ok(Err(error)) => return check("store", State::Error, error.to_string()),
        Err(panic) => return check("store", State::Error, panic.to_string()),
    };
    let checked = store.check().await;
    let damage = store.stats().damage;
    let closed = store.close().await;
    match (checked.and(closed), damage) {
        (Ok(()), None) => check("store", State::Ok, "it opens and can be written".to_owned()),
        (Ok(()), Some(damage)) => check("store", State::Error, damage),
        (Err(error), _) => check("store", State::Error, error.to_string()),
    }
}

fn disk(dir: &Path) -> Check {
    let nearest: Option<PathBuf> = std::path::absolute(dir).ok().and_then(|dir| {
        dir.ancestors()
            .find(|path| path.exists())
            .map(Path::to_owned)
    });
    let Some(nearest) = nearest else {
        return check(
            "disk",
            State::Error,
            format!("{} is nowhere", dir.display()),
        );
    };
    let free = match nix::sys::statvfs::statvfs(&nearest) {
        Ok(stat) => stat.blocks_available().saturating_mul(stat.fragment_size()),
        Err(error) => return check("disk", State::Error, error.to_string()),
    };
    let state = match free {
        ..FREE_MIN => State::Error,
        FREE_MIN..FREE_WANTED => State::Warning,
        _ => State::Ok,
    };
    check("disk", state, format!("{} MiB free", free / (1024 * 1024)))
}
