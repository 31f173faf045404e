//! The playbooks folder, looked at again and again, as that of reactions is: a changed file is
//! at hand within a second or two; a bad one is reported and its last good version stays.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use conche_cacao::place::locate;
use conche_cacao::{Document, json};
use conche_core::words;
use conche_runtime::supervisor::{Backoff, OnFailure, Stage, ticker};

use super::PlaybookError;
use super::files::list;
use super::sync::Files;
use crate::folder::{LOOK_EVERY, Stamp, text_of};
use crate::{Engine, FileFault};

/// What a look at the folder found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadedPlaybooks {
    /// Files whose playbooks are at hand as they stand there.
    pub playbooks: usize,
    /// Files that are not.
    pub faults: Vec<FileFault>,
}

/// A watched folder of playbooks.
pub struct PlaybookFolder {
    dir: PathBuf,
    engine: Engine,
    files: Mutex<BTreeMap<String, File>>,
    seen: Mutex<Option<u64>>,
    loaded: Mutex<LoadedPlaybooks>,
}

#[derive(Default)]
struct File {
    stamp: Option<Stamp>,
    good: Option<Arc<Document>>,
    fault: Option<Wrong>,
}

/// What is wrong in a file, and at which line and column.
#[derive(Clone)]
struct Wrong {
    at: Option<(u64, u64)>,
    message: String,
}

impl PlaybookFolder {
    /// Loads the folder once and keeps looking at it.
    ///
    /// # Errors
    /// Where the folder cannot be listed. Bad files are not errors but [`LoadedPlaybooks::faults`].
    pub async fn watch(engine: &Engine, dir: &Path) -> Result<Arc<Self>, std::io::Error> {
        let folder = Arc::new(Self {
            dir: dir.to_owned(),
            engine: engine.clone(),
            files: Mutex::default(),
            seen: Mutex::default(),
            loaded: Mutex::default(),
        });
        std::fs::read_dir(dir)?;
        folder.look().await;
        let watched = folder.clone();
        let restart = OnFailure::Restart(Backoff::default());
        engine
            .0
            .tasks
            .spawn("playbooks folder", Stage::Sources, restart, move |stop| {
                let folder = watched.clone();
                async move {
                    ticker(LOOK_EVERY, &stop, || folder.look()).await;
                    Ok::<(), std::io::Error>(())
                }
            });
        Ok(folder)
    }

    /// What the last look found.
    pub fn loaded(&self) -> LoadedPlaybooks {
        let loaded = self.loaded.lock();
        loaded.unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn look(&self) {
        let changes = self.engine.playbook_changes().await;
        let refused_before = !self.loaded().faults.is_empty();
        let others_changed = *lock(&self.seen) != Some(changes);
        let Some(changed) = self.refresh() else {
            return;
        };
        // What a refused file needs may have come by the API.
        let is_worth_it = changed || (refused_before && others_changed);
        if !is_worth_it {
            return;
        }
        let (good, mut faults) = self.read();
        let refused = self.engine.sync_playbooks(&good).await;
        let playbooks = good.len() - refused.len();
        for (file, (error, earlier_in_force)) in refused {
            let Wrong { at, message } = placed(&error, good.get(&file).map(AsRef::as_ref));
            faults.push(FileFault {
                file,
                at,
                message,
                earlier_in_force,
            });
        }
        *lock(&self.seen) = Some(self.engine.playbook_changes().await);
        let mut loaded = lock(&self.loaded);
        for fault in &faults {
            if !loaded.faults.contains(fault) {
                tracing::error!(fault.earlier_in_force, %fault, "playbook file refused");
            }
        }
        *loaded = LoadedPlaybooks { playbooks, faults };
    }

    /// Reads what changed. Whether anything did; none where the folder cannot be listed now.
    fn refresh(&self) -> Option<bool> {
        let listed = list(&self.dir).inspect_err(|error| {
            tracing::error!(dir = %self.dir.display(), %error, "cannot list the playbooks folder");
        });
        let listed = listed.ok()?;
        let mut files = lock(&self.files);
        let before = files.len();
        let is_there = |name: &String| listed.files.contains_key(name);
        files.retain(|name, _| is_there(name) || listed.outside.contains(name));
        let mut changed = files.len() != before;
        for name in &listed.outside {
            let known = files.entry(name.clone()).or_default();
            changed |= known.leads_out();
        }
        for (name, path) in &listed.files {
            let stamp = Stamp::of(path);
            let known = files.entry(name.clone()).or_default();
            if known.stamp.is_none() || known.stamp != stamp {
                changed = true;
                known.stamp = stamp;
                known.read(path);
            }
        }
        Some(changed)
    }

    /// The last good document of each file, and what is wrong with those that changed since.
    fn read(&self) -> (Files, Vec<FileFault>) {
        let files = lock(&self.files);
        let good = files.iter();
        let good = good.filter_map(|(name, file)| Some((name.clone(), file.good.clone()?)));
        let faults = files.iter().filter_map(|(name, file)| {
            let Wrong { at, message } = file.fault.clone()?;
            Some(FileFault {
                file: name.clone(),
                at,
                message,
                earlier_in_force: file.good.is_some(),
            })
        });
        (good.collect(), faults.collect())
    }
}

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl File {
    /// Notes that it is none of the folder's. Whether that is new.
    fn leads_out(&mut self) -> bool {
        let message = "it is a link that leads out of the folder";
        let was = self.fault.as_ref();
        let is_new = was.is_none_or(|was| was.message != message);
        self.stamp = None;
        self.fault = Some(Wrong {
            at: None,
            message: message.to_owned(),
        });
        is_new
    }

    fn read(&mut self, path: &Path) {
        let most = json::Limits::default().bytes as u64;
        let parsed = text_of(path, most).map_err(|message| Wrong {
            at: None,
            message: words::plain(&message),
        });
        let parsed = parsed.and_then(|text| Ok(Document::parse(text.as_bytes())?));
        match parsed {
            Ok(document) => (self.good, self.fault) = (Some(Arc::new(document)), None),
            Err(wrong) => self.fault = Some(wrong),
        }
    }
}

impl From<json::Error> for Wrong {
    fn from(error: json::Error) -> Self {
        match error {
            json::Error::NotIJson {
                message,
                line,
                column,
                ..
            } => Self {
                at: Some((line as u64, column as u64)),
                message,
            },
            other => Self {
                at: None,
                message: other.to_string(),
            },
        }
    }
}

/// What the engine found, placed in the text of the file.
fn placed(error: &PlaybookError, document: Option<&Document>) -> Wrong {
    let message = error.to_string();
    let PlaybookError::Refused(checked) = error else {
        return Wrong { at: None, message };
    };
    let finding = checked.errors().next();
    let at = match (finding, checked.refusals.first()) {
        (Some(finding), _) => finding.place,
        (None, Some(refusal)) => document.and_then(Document::text).and_then(|text| {
            locate(text, &[&refusal.pointer])
                .into_iter()
                .flatten()
                .next()
        }),
        (None, None) => None,
    };
    Wrong {
        at: at.map(|place| (place.line as u64, place.column as u64)),
        message,
    }
}
