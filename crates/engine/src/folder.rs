//! The reactions folder, looked at again and again: a changed file is in force within a
//! second or two; a bad one is reported and the last good version stays.
//!
//! Looking is by size and time of change rather than by the kernel's notifications:
//! those are lost on network file systems and on the swapped symbolic links by which
//! Kubernetes updates mounted files.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use conche_core::reaction::{self, Authored, Format, Reaction};
use conche_core::{place, words};
use conche_runtime::supervisor::{Backoff, OnFailure, Stage, ticker};

use crate::Engine;
use crate::reactions::FileRefusal;

/// Bytes of a reaction or script file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// How often a folder is looked at.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is wrong with one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFault {
    /// Its path within the folder.
    pub file: String,
    /// The line and column within it, from 1, where they are known.
    pub at: Option<(u64, u64)>,
    /// What is wrong.
    pub message: String,
    /// Whether an earlier version of it is in force.
    pub earlier_in_force: bool,
}

impl FileFault {
    /// What is wrong and where in the file, for those who know which file.
    pub fn in_its_file(&self) -> String {
        match self.at {
            Some((line, column)) => format!("line {line}, column {column}: {}", self.message),
            None => self.message.clone(),
        }
    }
}

impl fmt::Display for FileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some((line, column)) = self.at {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// What a look at the folder found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Reactions in force from the folder.
    pub reactions: usize,
    /// Files that are not.
    pub faults: Vec<FileFault>,
}

/// A watched folder.
pub struct Folder {
    dir: PathBuf,
    engine: Engine,
    files: Mutex<BTreeMap<String, File>>,
    loaded: Mutex<Loaded>,
}

#[derive(Default)]
struct File {
    /// Of the file and the script files that it names.
    stamps: BTreeMap<PathBuf, Option<Stamp>>,
    good: Option<Reaction>,
    fault: Option<Wrong>,
}

/// What is wrong in a file, and at which line and column.
#[derive(Debug, Clone, Default)]
struct Wrong {
    at: Option<(u64, u64)>,
    message: String,
}

impl Wrong {
    fn new(message: impl AsRef<str>) -> Self {
        Self {
            at: None,
            message: words::plain(message.as_ref()),
        }
    }

    /// What the engine found, placed in the text of the file.
    fn placed(refusal: &FileRefusal, text: &str) -> Self {
        let flaw = match refusal {
            FileRefusal::Flaw(flaw) => flaw,
            FileRefusal::Other(error) => return Self::new(error.to_string()),
        };
        let in_block = flaw
            .at
            .and_then(|at| place::within_block(text, &flaw.key, at));
        Self {
            at: in_block.or_else(|| place::find(text, &flaw.key)),
            ..Self::new(&flaw.message)
        }
    }
}

impl From<reaction::Error> for Wrong {
    fn from(error: reaction::Error) -> Self {
        match error {
            reaction::Error::Syntax {
                line,
                column,
                message,
            } => Self {
                at: Some((line, column)),
                ..Self::new(message)
            },
            other => Self::new(other.to_string()),
        }
    }
}

/// By what a changed file is known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    changed: Option<SystemTime>,
    bytes: u64,
}

impl Stamp {
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let data = fs::metadata(path).ok()?;
        Some(Self {
            changed: data.modified().ok(),
            bytes: data.len(),
        })
    }
}

impl Folder {
    /// Loads the folder once and keeps looking at it.
    ///
    /// # Errors
    /// Where the folder cannot be listed. Bad files are not errors but [`Loaded::faults`].
    pub async fn watch(engine: &Engine, dir: &Path) -> Result<Arc<Self>, std::io::Error> {
        let folder = Arc::new(Self {
            dir: dir.to_owned(),
            engine: engine.clone(),
            files: Mutex::default(),
            loaded: Mutex::default(),
        });
        fs::read_dir(dir)?;
        folder.look().await;
        let watched = folder.clone();
        engine.0.tasks.spawn(
            "reactions folder",
            Stage::Sources,
            OnFailure::Restart(Backoff::default()),
            move |stop| {
                let folder = watched.clone();
                async move {
                    ticker(LOOK_EVERY, &stop, || folder.look()).await;
                    Ok::<(), std::io::Error>(())
                }
            },
        );
        Ok(folder)
    }

    /// What the last look found.
    pub fn loaded(&self) -> Loaded {
        self.loaded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn look(&self) {
        let Some((good, mut faults)) = self.refresh() else {
            return;
        };
        let refused = self.engine.sync_folder(good.clone()).await;
        let reactions = good.len() - refused.len();
        for (file, refusal, earlier_in_force) in refused {
            let text = text_of(&self.dir.join(&file), FILE_BYTES_MAX).unwrap_or_default();
            let Wrong { at, message } = Wrong::placed(&refusal, &text);
            faults.push(FileFault {
                file,
                at,
                message,
                earlier_in_force,
            });
        }
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        for fault in &faults {
            if !loaded.faults.contains(fault) {
                tracing::error!(fault.earlier_in_force, %fault, "reaction file refused");
            }
        }
        *loaded = Loaded { reactions, faults };
    }

    /// Reads what changed. `None` when nothing did, or the folder cannot be listed now.
    fn refresh(&self) -> Option<(BTreeMap<String, Reaction>, Vec<FileFault>)> {
        let listed = list(&self.dir).inspect_err(|error| {
            tracing::error!(dir = %self.dir.display(), %error, "cannot list the reactions folder");
        });
        let listed = listed.ok()?;
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let before = files.len();
        files.retain(|name, _| listed.contains_key(name));
        let mut changed = files.len() != before;
        for (name, (path, format)) in &listed {
            let known = files.entry(name.clone()).or_default();
            if !known.stamps.is_empty()
                && known
                    .stamps
                    .iter()
                    .all(|(path, stamp)| Stamp::of(path) == *stamp)
            {
                continue;
            }
            changed = true;
            known.read(&self.dir, path, *format);
        }
        if !changed {
            return None;
        }
        let good = files
            .iter()
            .filter_map(|(name, file)| Some((name.clone(), file.good.clone()?)))
            .collect();
        let faults = files
            .iter()
            .filter_map(|(name, file)| {
                let Wrong { at, message } = file.fault.clone()?;
                Some(FileFault {
                    file: name.clone(),
                    at,
                    message,
                    earlier_in_force: file.good.is_some(),
                })
            })
            .collect();
        Some((good, faults))
    }
}

impl File {
    fn read(&mut self, dir: &Path, path: &Path, format: Format) {
        self.stamps = BTreeMap::from([(path.to_owned(), Stamp::of(path))]);
        let parsed = text_of(path, FILE_BYTES_MAX)
            .map_err(Wrong::new)
            .and_then(|text| Ok(Authored::parse(&text, format)?));
        let resolved = parsed.and_then(|authored| {
            let stamps = &mut self.stamps;
            authored
                .resolve(&mut |script| {
                    let script = script_path(dir, path, script)?;
                    stamps.insert(script.clone(), Stamp::of(&script));
                    text_of(&script, FILE_BYTES_MAX)
                })
                .map_err(Wrong::from)
        });
        match resolved {
            Ok(reaction) => (self.good, self.fault) = (Some(reaction), None),
            Err(fault) => self.fault = Some(fault),
        }
    }
}

/// Reads one reaction file with its script files, without any engine: for `run` and `validate`.
pub fn read_reaction(path: &Path) -> Result<Reaction, String> {
    let format = path
        .extension()
        .and_then(|extension| Format::of_extension(&extension.to_string_lossy()));
    let format = format.ok_or("the name of a reaction file ends in .json, .yaml or .yml")?;
    let dir = path
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut file = File::default();
    file.read(dir, path, format);
    match (file.good, file.fault) {
        (Some(reaction), None) => Ok(reaction),
        (_, fault) => {
            let Wrong { at, message } = fault.unwrap_or_default();
            Err(match at {
                Some((line, column)) => format!("line {line}, column {column}: {message}"),
                None => message,
            })
        }
    }
}

/// Files of the folder and its subfolders that may be reactions or playbooks, by their path within it.
pub(crate) fn list(dir: &Path) -> std::io::Result<BTreeMap<String, (PathBuf, Format)>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![dir.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            // Hidden files are editors' and Kubernetes' own.
            if name.starts_with('.') {
                continue;
            }
            let extension = path
                .extension()
                .map(|extension| extension.to_string_lossy().into_owned());
            if path.is_dir() {
                folders.push(path);
            } else if let Some(format) = extension.as_deref().and_then(Format::of_extension) {
                let within = path
                    .strip_prefix(dir)
                    .unwrap_or(&path)
                    .to_string_lossy()
                    .into_owned();
                found.insert(within, (path, format));
            }
        }
    }
    Ok(found)
}

/// The file that a `script_file` names: relative to the reaction's file, never outside the folder.
fn script_path(dir: &Path, reaction: &Path, script: &str) -> Result<PathBuf, String> {
    let path = reaction.parent().unwrap_or(dir).join(script);
    let real = path.canonicalize().map_err(|error| error.to_string())?;
    let dir = dir.canonicalize().map_err(|error| error.to_string())?;
    if real.starts_with(&dir) {
        Ok(path)
    } else {
        Err("it lies outside the reactions folder".to_owned())
    }
}

/// The text of a file that is not too large.
pub(crate) fn text_of(path: &Path, most: u64) -> Result<String, String> {
    let bytes = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if bytes > most {
        return Err(format!(
            "the file has {bytes} bytes; at most {most} are allowed"
        ));
    }
    fs::read_to_string(path).map_err(|error| error.to_string())
}
