//! Copies of a store: taken while a server works on it, put back where there is none.
//!
//! A copy is one SQLite database, as it was at one moment, without the space that deleted rows
//! left. It is written under another name, checked and only then given its own, so that a file
//! of that name is always a whole copy. Nothing is ever overwritten.
//!
//! What was done after a copy was taken is not in it. So each run that it holds unfinished is
//! told, by an entry in its journal, that it may have gone further.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use conche_core::Timestamp;
use conche_core::run::{Entry, JOURNAL_FORMAT, Record};
use conche_core::storm::Gathering;
use rusqlite::{Connection, OpenFlags, params};

use super::accept::text;
use super::fault::{FILE, error, unavailable};
use super::folder::Folder;
use super::rows::micros;
use super::{SqliteConfig, migrate};
use crate::{Error, Signal};

/// When a copy was taken, in its `meta`.
const COPIED_AT: &str = "copied_at";

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

/// Writes a copy of the store in the folder `dir`, as it is `now`, to the new file `to`, for its
/// owner only.
/// A server may be working on the store; it is slowed down, not stopped. Blocks.
///
/// # Errors
/// [`Error::Exists`] where there is a file `to`; [`Error::NotFound`] where there is no store;
/// [`Error::TooNew`], [`Error::Corrupt`], [`Error::Full`], [`Error::Unavailable`].
pub fn backup(dir: &Path, to: &Path, now: Timestamp) -> Result<Copy, Error> {
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
    let copy = Connection::open(&part.path).map_err(error)?;
    let sql = "INSERT INTO meta (key, value) VALUES (?1, ?2)
               ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    copy.execute(sql, params![COPIED_AT, micros(now)])
        .map_err(error)?;
    drop(copy);
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
    let found = std::fs::metadata(file)
        .map_err(|cause| unavailable(&file.display().to_string(), &cause))?;
    if !found.is_file() {
        return Err(corrupt("it is no file".to_owned()));
    }
    let bytes = found.len();
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
    if !migrate::is_made_here(&copy, format).map_err(|wrong| named(error(wrong)))? {
        let message = format!("its tables are not those of format {format}");
        return Err(corrupt(message));
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
/// is cancelled before anything else is done in it; without, its journal says that it was put
/// back. What operators asked for and no run had heeded yet is dropped, but for cancelling: it
/// may have been done since. Blocks.
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

/// No node of the world that the copy was taken from may write to it any more, and no run is
/// taken to be where the copy has it.
fn settle(restored: &Connection, cancel: Option<&str>, now: Timestamp) -> Result<(), Error> {
    let copied_at = copied_at(restored, now)?;
    doubt_runs(restored, copied_at, now)?;
    doubt_waiting(restored, copied_at)?;
    let free = "UPDATE runs SET epoch = epoch + 1 WHERE finished_at IS NULL";
    restored.execute(free, []).map_err(error)?;
    restored.execute("DELETE FROM nodes", []).map_err(error)?;
    let heeded = r#"DELETE FROM signals WHERE signal NOT LIKE '{"cancel"%'"#;
    restored.execute(heeded, []).map_err(error)?;
    // Whether functions that were accepted then were carried out since, nobody knows.
    if migrate::check(restored)? >= migrate::OPENWHISK {
        let begun = "UPDATE ow_admissions SET begun = 1";
        restored.execute(begun, []).map_err(error)?;
    }
    let Some(by) = cancel else {
        return Ok(());
    };
    let signal = Signal::Cancel {
        by: by.to_owned(),
        reason: Some(format!("restored at {now} from a copy")),
    };
    let cancel =
        "INSERT INTO signals (run, signal) SELECT run, ?1 FROM runs WHERE finished_at IS NULL";
    restored
        .execute(cancel, params![text(&signal)?])
        .map_err(error)?;
    let wake = "UPDATE runs SET wake = ?1 WHERE finished_at IS NULL AND holder = x''";
    restored
        .execute(wake, params![micros(now)])
        .map_err(error)?;
    Ok(())
}

/// When the copy was taken. Those of programs that did not note it: not before their last event.
fn copied_at(restored: &Connection, now: Timestamp) -> Result<Timestamp, Error> {
    let sql = "SELECT coalesce((SELECT value FROM meta WHERE key = ?1),
                               (SELECT max(received_at) FROM events))";
    let noted: Option<i64> = restored
        .query_row(sql, [COPIED_AT], |row| row.get(0))
        .map_err(error)?;
    let forget = "DELETE FROM meta WHERE key = ?1";
    restored.execute(forget, [COPIED_AT]).map_err(error)?;
    let noted = noted.and_then(|noted| Timestamp::from_microsecond(noted).ok());
    Ok(noted.unwrap_or(now))
}

/// Writes into the journal of each run that has not ended that it was put back.
fn doubt_runs(restored: &Connection, copied_at: Timestamp, now: Timestamp) -> Result<(), Error> {
    let entry = Entry::Restored { copied_at };
    let records = text(&[Record { at: now, entry }])?;
    let append = "INSERT INTO journal (run, from_version, format, records)
                  SELECT run, version, ?1, ?2 FROM runs WHERE finished_at IS NULL";
    restored
        .execute(append, params![JOURNAL_FORMAT, records])
        .map_err(error)?;
    let count = "UPDATE runs SET version = version + 1 WHERE finished_at IS NULL";
    restored.execute(count, []).map_err(error)?;
    Ok(())
}

/// As [`doubt_runs`], for runs that wait for more events and have no journal yet.
fn doubt_waiting(restored: &Connection, copied_at: Timestamp) -> Result<(), Error> {
    let waiting = "SELECT reaction, control, key, state FROM storms WHERE gathers = 1";
    let waiting: Vec<(String, String, String, String)> = restored
        .prepare(waiting)
        .and_then(|mut waiting| {
            let rows = waiting.query_map([], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })?;
            rows.collect()
        })
        .map_err(error)?;
    for (reaction, control, key, state) in waiting {
        // One that cannot be read is put aside where it is to be born.
        let Ok(mut waiting) = serde_json::from_str::<Gathering>(&state) else {
            continue;
        };
        waiting.copied_at = Some(copied_at);
        let update =
            "UPDATE storms SET state = ?4 WHERE reaction = ?1 AND control = ?2 AND key = ?3";
        let row = params![reaction, control, key, text(&waiting)?];
        restored.execute(update, row).map_err(error)?;
    }
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
