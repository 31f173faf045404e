//! Registrations over a restart.
//!
//! A fin registers once, when it starts: forgetting it would make it deaf until somebody starts
//! it anew. Registrations are therefore kept in a file of the module's own, written whole and
//! put in place by a rename before the fin is told that it is registered. This is the module's
//! memory of its peers, as an MQTT client keeps its sessions; runs and what came of them are in
//! the store, which it never touches. Where there is no place for the file, registrations are in
//! memory only, and the log says so once.
//!
//! The file holds no token and no credential: of a fin that polls, the digest of its token.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use super::registry::{Registration, Registry};

/// The version of the file's form.
const VERSION: u32 = 1;

/// A file of registrations is smaller; a larger one is another file.
const BYTES_MAX: u64 = 64 << 20;

/// The file.
#[derive(Serialize, Deserialize)]
struct Kept {
    version: u32,
    fins: Vec<Registration>,
}

/// Registrations cannot be kept or are not to be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{}: {reason}", path.display())]
    Unreadable { path: PathBuf, reason: String },
}

/// Where registrations are kept.
#[derive(Debug)]
pub(super) struct State {
    path: Option<PathBuf>,
    /// Whether the file was read; before, it must not be overwritten.
    is_read: AtomicBool,
    /// One write at a time, so that the last one is the newest.
    writing: tokio::sync::Mutex<()>,
}

impl State {
    /// The file need not be there, its folder must when it is loaded.
    pub(super) fn new(path: Option<PathBuf>) -> Self {
        Self {
            path,
            is_read: AtomicBool::new(false),
            writing: tokio::sync::Mutex::default(),
        }
    }

    /// Reads what an earlier process has kept. A file that makes no sense is left as it is, to be
    /// looked at; registrations are then in memory only.
    pub(super) fn load(&self, registry: &Registry) {
        let folder = |path: &&PathBuf| folder(path).is_dir();
        let Some(path) = self.path.as_ref().filter(folder) else {
            tracing::warn!(
                "fins are remembered in memory only: after a restart they must register again"
            );
            return;
        };
        match read(path, registry) {
            Ok(()) => self.is_read.store(true, Ordering::Release),
            Err(error) => {
                tracing::error!(%error, "which fins there were can't be read: they are remembered in memory only");
            }
        }
    }

    /// Keeps the present registrations: on disk when this returns.
    pub(super) async fn save(&self, registry: &Registry) {
        let is_read = self.is_read.load(Ordering::Acquire);
        let Some(path) = self.path.as_ref().filter(|_| is_read) else {
            return;
        };
        let _one = self.writing.lock().await;
        let kept = Kept {
            version: VERSION,
            fins: registry.all(),
        };
        let path = path.clone();
        let written = tokio::task::spawn_blocking(move || write(&path, &kept)).await;
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "registrations of fins cannot be kept"),
            Err(error) => tracing::error!(%error, "registrations of fins cannot be kept"),
        }
    }
}

fn read(path: &Path, registry: &Registry) -> Result<(), Error> {
    let unreadable = |reason: String| Error::Unreadable {
        path: path.to_owned(),
        reason,
    };
    let bytes = match std::fs::metadata(path).map(|found| found.len()) {
        Ok(length) if length > BYTES_MAX => return Err(unreadable("is too large".to_owned())),
        Ok(_) => std::fs::read(path).map_err(|source| io(path, source))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(io(path, source)),
    };
    let kept: Kept =
        serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
    if kept.version != VERSION {
        return Err(unreadable(format!(
            "has the unknown version {}",
            kept.version
        )));
    }
    for fin in kept.fins {
        let fin_id = fin.fin_id.clone();
        if let Err(error) = registry.put(fin) {
            tracing::warn!(fin = %fin_id, %error, "a kept registration is left out");
        }
    }
    Ok(())
}

/// The folder that the file is in.
fn folder(path: &Path) -> &Path {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

fn io(path: &Path, source: std::io::Error) -> Error {
    Error::Io {
        path: path.to_owned(),
        source,
    }
}

fn write(path: &Path, kept: &Kept) -> Result<(), Error> {
    let new = path.with_extension("new");
    let put = || -> std::io::Result<()> {
        let mut options = std::fs::OpenOptions::new();
        options.create(true).write(true).truncate(true).mode(0o600);
        let mut file = options.open(&new)?;
        file.write_all(&serde_json::to_vec(kept)?)?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        std::fs::File::open(folder(path))?.sync_all()
    };
    put().map_err(|source| io(path, source))
}
