//! The data folder: who may read it, who holds it, and how its database is opened.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::fault::{FILE, error, unavailable};
use super::{SqliteConfig, migrate};
use crate::Error;

/// How long to wait for a lock of SQLite. No process of ours contends for one; a person's
/// `sqlite3` or a backup may, briefly.
pub(super) const BUSY: Duration = Duration::from_secs(5);

/// A data folder held by this process.
#[derive(Debug)]
pub(super) struct Folder {
    dir: PathBuf,
    /// Holds the lock until it is dropped.
    _lock: File,
}

impl Folder {
    /// Makes the folder if need be and takes its lock.
    pub(super) fn lock(config: &SqliteConfig) -> Result<Self, Error> {
        let dir = config.dir.clone();
        let io = |cause| unavailable(&dir.display().to_string(), &cause);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .map_err(io)?;
        let private = |name| {
            let mut options = OpenOptions::new();
            options.create(true).truncate(false).write(true).mode(0o600);
            options.open(dir.join(name)).map_err(io)
        };
        let lock = private("lock")?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Locked(dir.display().to_string())),
            Err(TryLockError::Error(cause)) => return Err(io(cause)),
        }
        // SQLite gives its other files the mode of this one.
        private(FILE)?;
        Ok(Self { dir, _lock: lock })
    }

    fn database(&self) -> PathBuf {
        self.dir.join(FILE)
    }

    pub(super) fn wal_path(&self) -> PathBuf {
        self.dir.join(format!("{FILE}-wal"))
    }

    /// Opens the connection that writes, after bringing the database to the current format.
    pub(super) fn open_writer(&self, config: &SqliteConfig) -> Result<Connection, Error> {
        // Looked at read-only first: a database of a newer program must stay as it is.
        if std::fs::metadata(self.database()).is_ok_and(|data| data.len() > 0) {
            migrate::check(&self.open_reader()?)?;
        }
        let mut connection = self.connect(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let set = |name: &str, value: &dyn rusqlite::ToSql| {
            connection.pragma_update(None, name, value).map_err(error)
        };
        // The size of a page is settled by the first write, so it comes first.
        set("page_size", &config.page_size)?;
        set("journal_mode", &"WAL")?;
        set("synchronous", &"FULL")?;
        set("wal_autocheckpoint", &0)?;
        set("cache_size", &-65_536)?;
        set("temp_store", &"MEMORY")?;
        if let Some(pages) = config.page_limit {
            set("max_page_count", &pages)?;
        }
        migrate::run(&mut connection)?;
        Ok(connection)
    }

    /// Opens the connection that moves the log into the database.
    pub(super) fn open_checkpointer(&self) -> Result<Connection, Error> {
        let connection = self.connect(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let set = |name: &str, value: &dyn rusqlite::ToSql| {
            connection.pragma_update(None, name, value).map_err(error)
        };
        set("synchronous", &"FULL")?;
        set("wal_autocheckpoint", &0)?;
        Ok(connection)
    }

    /// Opens a connection that can only read.
    pub(super) fn open_reader(&self) -> Result<Connection, Error> {
        self.connect(OpenFlags::SQLITE_OPEN_READ_ONLY)
    }

    fn connect(&self, mode: OpenFlags) -> Result<Connection, Error> {
        connect(&self.database(), mode)
    }
}

/// Opens a database as every connection of ours is opened.
pub(super) fn connect(database: &Path, mode: OpenFlags) -> Result<Connection, Error> {
    let flags = mode | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags).map_err(error)?;
    connection.busy_timeout(BUSY).map_err(error)?;
    for (name, value) in [
        ("foreign_keys", false),
        ("cell_size_check", true),
        ("trusted_schema", false),
    ] {
        connection.pragma_update(None, name, value).map_err(error)?;
    }
    // Plans do not depend on the values bound, so that no statement is prepared twice.
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map_err(error)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Notes that the database is in use. Whether it was closed in order before.
pub(super) fn mark_dirty(writer: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT value FROM meta WHERE key = 'clean'";
    let clean: i64 = writer.query_row(sql, [], |row| row.get(0))?;
    writer.execute("UPDATE meta SET value = 0 WHERE key = 'clean'", [])?;
    // The folder is locked, so no process lives that could hold a run: the first look for
    // dead nodes frees them all, and a restart waits for no lease.
    writer.execute("DELETE FROM nodes", [])?;
    Ok(clean == 1)
}

/// Notes that the database was closed in order.
pub(super) fn mark_clean(writer: &Connection) -> rusqlite::Result<()> {
    writer.execute("UPDATE meta SET value = 1 WHERE key = 'clean'", [])?;
    Ok(())
}
