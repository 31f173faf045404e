//! Copies of a store: taken while a server works on it, put back where there is none.
//!
//! A copy is one SQLite database, as it was at one moment, without the space that deleted rows
//! left. It is written under another name, checked and only then given its own, so that a file
//! of that name is always a whole copy. Nothing is ever overwritten.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use conche_core::Timestamp;
use rusqlite::{Connection, OpenFlags, params};

use super::fault::{FILE, error, unavailable};
use super::folder::Folder;
use super::{SqliteConfig, migrate};
use crate::{Error, Signal};

/// What a copy holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// Bytes of the file.
    pub bytes: u64,
    /// Format of the store.
    pub format: u32,
    /// Events in it.
    pub events: u64,
    /// Runs in it.
    pub runs: u64,
    /// Those of them that have not ended.
    pub unfinished: u64,
}

/// Writes a copy of the store in the folder `dir` to the new file `to`, for its owner only.
/// A server may be working on the store; it is slowed down, not stopped. Blocks.
///
/// # Errors
/// [`Error::Exists`] where there is a file `to`; [`Error::NotFound`] where there is no store;
/// [`Error::TooNew`], [`Error::Corrupt`], [`Error::Full`], [`Error::Unavailable`].
pub fn backup(dir: &Path, to: &Path) -> Result<Copy, Error> {
    let database = dir.join(FILE);
    if !database.exists() {
        return Err(Error::NotFound {
            kind: "store",
            name: dir.display().to_string(),
        });
    }
    let part = Part::new(to)?;
    let source = open(&database)?;
    migrate::check(&source)?;
    let path = part.path.to_str().ok_or_else(|| {
        let message = "is no text, and the database knows files by text only";
        Error::Unavailable(format!("{} {message}", part.path.display()))
    })?;
    source
        .execute("VACUUM INTO ?1", params![path])
        .map_err(error)?;
    drop(source);
    let copy = examine(&part.path)?;
    part.finish()?;
    Ok(copy)
}

/// What `file`, a copy, holds; it is read and checked whole. Blocks.
///
/// # Errors
/// [`Error::TooNew`], [`Error::Corrupt`], [`Error::Unavailable`].
pub fn examine(file: &Path) -> Result<Copy, Error> {
    let corrupt = |message: String| Error::Corrupt {
        kind: "backup",
        name: file.display().to_string(),
        message,
    };
    let bytes = std::fs::metadata(file)
        .map_err(|cause| unavailable(&file.display().to_string(), &cause))?
        .len();
    // SQLite's errors name the store's own file.
    let named = |wrong: Error| match wrong {
        Error::Corrupt { message, .. } => corrupt(message),
        other => other,
    };
    let copy = open(file).map_err(named)?;
    let format = migrate::check(&copy).map_err(named)?;
    if format == 0 {
        return Err(corrupt("it is no copy of a store".to_owned()));
    }
    let found: String = copy
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(|wrong| named(error(wrong)))?;
    if found != "ok" {
        return Err(corrupt(found));
    }
    let count = |sql: &str| {
        copy.query_row(sql, [], |row| row.get::<_, i64>(0))
            .map(i64::unsigned_abs)
    };
    let counted = || {
        Ok(Copy {
            bytes,
            format,
            events: count("SELECT count(*) FROM events")?,
            runs: count("SELECT count(*) FROM runs")?,
            unfinished: count("SELECT count(*) FROM runs WHERE finished_at IS NULL")?,
        })
    };
    counted().map_err(|wrong| named(error(wrong)))
}

/// Puts the copy `from` into the folder `dir`, which has no store yet. What was held by a node
/// is fenced off from it. With `cancel`, given as who asks for it, every run that has not ended
/// is cancelled before anything else is done in it. Blocks.
///
/// # Errors
/// [`Error::Exists`] where the folder has a store; [`Error::Locked`] where a server runs on
/// it; those of [`examine`].
pub fn restore(
    from: &Path,
    dir: &Path,
    cancel: Option<&str>,
    now: Timestamp,
) -> Result<Copy, Error> {
    let copy = examine(from)?;
    let folder = Folder::lock(&SqliteConfig::new(dir))?;
    let database = dir.join(FILE);
    let io = |cause: io::Error| unavailable(&database.display().to_string(), &cause);
    // Taking the lock has made the file.
    if std::fs::metadata(&database).map_err(io)?.len() > 0 {
        return Err(Error::Exists {
            kind: "store",
            name: dir.display().to_string(),
        });
    }
    std::fs::remove_file(&database).map_err(io)?;
    let part = Part::new(&database)?;
    io::copy(
        &mut File::open(from).map_err(|cause| unavailable(&from.display().to_string(), &cause))?,
        &mut File::options().write(true).open(&part.path).map_err(io)?,
    )
    .map_err(io)?;
    let mut restored = Connection::open(&part.path).map_err(error)?;
    let transaction = restored.transaction().map_err(error)?;
    settle(&transaction, cancel, now)?;
    transaction.commit().map_err(error)?;
    drop(restored);
    part.finish()?;
    drop(folder);
    Ok(copy)
}

/// No node of the world that the copy was taken from may write to it any more.
fn settle(restored: &Connection, cancel: Option<&str>, now: Timestamp) -> Result<(), Error> {
    let free = "UPDATE runs SET epoch = epoch + 1 WHERE finished_at IS NULL";
    restored.execute(free, []).map_err(error)?;
    restored.execute("DELETE FROM nodes", []).map_err(error)?;
    let Some(by) = cancel else {
        return Ok(());
    };
    let signal = Signal::Cancel {
        by: by.to_owned(),
        reason: Some(format!("restored at {now} from a copy")),
    };
    let text = super::accept::text(&signal)?;
    let cancel =
        "INSERT INTO signals (run, signal) SELECT run, ?1 FROM runs WHERE finished_at IS NULL";
    restored.execute(cancel, params![text]).map_err(error)?;
    let wake = "UPDATE runs SET wake = ?1 WHERE finished_at IS NULL AND holder = x''";
    let now = super::rows::micros(now);
    restored.execute(wake, params![now]).map_err(error)?;
    Ok(())
}

fn open(file: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).map_err(error)?;
    connection
        .busy_timeout(super::folder::BUSY)
        .map_err(error)?;
    connection
        .pragma_update(None, "trusted_schema", false)
        .map_err(error)?;
    Ok(connection)
}

/// A file on its way to its name; removed where it does not get there.
struct Part {
    path: PathBuf,
    name: PathBuf,
    done: bool,
}

impl Part {
    fn new(name: &Path) -> Result<Self, Error> {
        let exists = || Error::Exists {
            kind: "file",
            name: name.display().to_string(),
        };
        if name.exists() {
            return Err(exists());
        }
        let mut path = name.as_os_str().to_owned();
        path.push(".part");
        let path = PathBuf::from(path);
        // Left by one that was interrupted.
        drop(std::fs::remove_file(&path));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        options
            .open(&path)
            .map_err(|cause| unavailable(&path.display().to_string(), &cause))?;
        Ok(Self {
            path,
            name: name.to_owned(),
            done: false,
        })
    }

    /// Onto the disk, then to its name.
    fn finish(mut self) -> Result<(), Error> {
        let settled = || {
            File::open(&self.path)?.sync_all()?;
            std::fs::hard_link(&self.path, &self.name)?;
            std::fs::remove_file(&self.path)?;
            let folder = self
                .name
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
        };
        settled().map_err(|cause| unavailable(&self.name.display().to_string(), &cause))?;
        self.done = true;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.done {
            // Nothing more can be done about it than to leave it.
            drop(std::fs::remove_file(&self.path));
        }
    }
}
