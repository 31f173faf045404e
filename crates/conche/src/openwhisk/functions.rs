//! The functions folder: what it describes is on the embedded host, and a change is within a
//! second or two. What is wrong is reported, and the last good version stays.
//!
//! It is looked at as the folders of reactions and playbooks are, by size and time of change
//! (decision 0007), and read and compared as `conche openwhisk deploy` does. What is taken from
//! the folder is taken from the host; what others have put there is never touched.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use conche_openwhisk::client::{Auth, Client};
use conche_openwhisk::deploy::{Change, Desired, Host as Target, Plan, carry_out, look};
use conche_openwhisk::model::Name;
use conche_openwhisk_host::Host;
use conche_openwhisk_host::users::FIRST;
use conche_runtime::supervisor::{Backoff, OnFailure, Stage, Tasks, ticker};

use super::described;
use crate::config;
use crate::failure::Failure;

/// How often the folder is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What marks that an entity is of the folder.
const PROJECT: &str = "functions folder";

/// By what a changed file is known.
type Stamps = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

/// A watched folder.
struct Functions {
    dir: PathBuf,
    client: Client,
    auth: Auth,
    namespace: Name,
    seen: Mutex<Seen>,
}

/// What the last look found.
#[derive(Default)]
struct Seen {
    /// None where it is to be looked at again, whatever changed.
    stamps: Option<Stamps>,
    /// What was wrong, so that it is told once.
    faults: BTreeSet<String>,
}

/// Loads the folder once and keeps looking at it.
pub(crate) async fn watch(
    host: &Host,
    folder: &config::Folder,
    tasks: &Tasks,
) -> Result<(), Failure> {
    let dir = match folder {
        config::Folder::Default(dir) if !dir.is_dir() => return Ok(()),
        config::Folder::Default(dir) | config::Folder::Named(dir) => dir,
    };
    let cannot = |error: &dyn std::fmt::Display| {
        Failure::of(
            &format!("can't read the functions folder {}", dir.display()),
            error,
        )
    };
    fs::read_dir(dir).map_err(|error| cannot(&error))?;
    let functions = Functions::of(host, dir).map_err(|error| cannot(&error))?;
    let functions = Arc::new(functions);
    let loaded = functions.look().await.unwrap_or_default();
    let refused = functions.seen().faults.len();
    tracing::info!(dir = %dir.display(), functions = loaded, refused, "functions loaded");
    tasks.spawn(
        "functions folder",
        Stage::Sources,
        OnFailure::Restart(Backoff::default()),
        move |stop| {
            let functions = functions.clone();
            async move {
                ticker(LOOK_EVERY, &stop, || async {
                    functions.look().await;
                })
                .await;
                Ok::<(), Infallible>(())
            }
        },
    );
    Ok(())
}

impl Functions {
    fn of(host: &Host, dir: &Path) -> Result<Self, String> {
        let none = || format!("the host has no namespace `{FIRST}`");
        let user = host
            .users()
            .into_iter()
            .find(|user| user.namespace == FIRST);
        let user = user.ok_or_else(none)?;
        let auth = Auth::parse_key(&format!("{}:{}", user.uuid, user.key).into());
        let auth = auth.map_err(|error| error.to_string())?;
        let within = host.within(FIRST).ok_or_else(none)?;
        let client = Client::with_transport("http://localhost", &auth, within);
        Ok(Self {
            dir: dir.to_owned(),
            client: client.map_err(|error| error.to_string())?,
            auth,
            namespace: Name::parse(FIRST).map_err(|error| error.to_string())?,
            seen: Mutex::default(),
        })
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the host in step with the folder, where that has changed. How many entities the
    /// folder describes then.
    async fn look(&self) -> Option<usize> {
        let (dir, namespace) = (self.dir.clone(), self.namespace.clone());
        let before = self.seen().stamps.clone();
        let read = tokio::task::spawn_blocking(move || {
            let stamps = stamps(&dir);
            let is_same = before.as_ref().is_some_and(|before| *before == stamps);
            let source = described::Source {
                path: &dir,
                deployment: None,
                package: None,
                confined: true,
            };
            (!is_same).then(|| (stamps, described::read(&source, &namespace)))
        });
        let (stamps, described) = read.await.ok()??;
        let (count, faults, settled) = match described {
            Ok(desired) => self.bring(desired).await,
            Err(fault) => (0, vec![fault.to_string()], true),
        };
        let mut seen = self.seen();
        let faults: BTreeSet<String> = faults.into_iter().collect();
        for fault in faults.difference(&seen.faults) {
            tracing::error!(%fault, "function refused: what was there of it stays");
        }
        seen.faults = faults;
        seen.stamps = settled.then_some(stamps);
        Some(count)
    }

    /// Does what is to be done, one after the other, whatever fails. How many entities there
    /// are, what is wrong, and whether it was all that could be done for now.
    async fn bring(&self, desired: Desired) -> (usize, Vec<String>, bool) {
        let host = Target {
            client: &self.client,
            auth: &self.auth,
        };
        let desired = desired.managed(PROJECT);
        let count = desired.entities.len();
        let mut faults: Vec<String> = desired.faults.iter().map(ToString::to_string).collect();
        let live = match look(host, &desired, Some((PROJECT, &self.namespace))).await {
            Ok(live) => live,
            Err(error) => {
                faults.push(error.to_string());
                return (count, faults, false);
            }
        };
        let mut settled = true;
        for step in Plan::deploy(&desired, &live, Some(PROJECT)).steps {
            let stays = desired
                .faults
                .iter()
                .any(|fault| fault.action.as_ref() == Some(&step.name));
            if stays && step.change == Change::Remove {
                continue;
            }
            match carry_out(host, &desired, &live, &step).await {
                Ok(()) if step.change == Change::Unchanged => {}
                Ok(()) => tracing::info!("functions folder: {step}"),
                Err(error) => {
                    // What the host refuses it refuses until the folder changes.
                    settled &= error.is_refusal();
                    faults.push(error.to_string());
                }
            }
        }
        (count, faults, settled)
    }
}

/// All files of a folder and below by size and time of change. What can't be looked at is not
/// there.
fn stamps(dir: &Path) -> Stamps {
    let (mut stamps, mut folders) = (Stamps::new(), vec![dir.to_owned()]);
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        for entry in entries {
            let path = entry.path();
            let Ok(about) = fs::metadata(&path) else {
                continue;
            };
            let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            if !about.is_dir() {
                stamps.insert(path, (about.modified().ok(), about.len()));
            } else if !is_link && stamps.len() < super::files::FILES_MAX {
                folders.push(path);
            }
        }
    }
    stamps
}
