//! One folder on disk: the store of a single node.
//!
//! All changes go through one writer thread, which commits many requests with one fsync
//! (`writer.rs`); reads go to a few connections of their own (`readers.rs`); a third thread
//! moves the write-ahead log into the database (`checkpoint.rs`). The callers turn values
//! into text before the writer sees them, so that its time goes to SQL alone.
//!
//! Foreign keys are off: retention removes events, runs and definitions on schedules of
//! their own, so none of the references may be enforced, and each check would cost the
//! writer a look-up.

/// A place where tests make the store fail or die; nothing without the feature `failpoints`.
#[cfg(feature = "failpoints")]
macro_rules! fail_point {
    ($($arguments:tt)*) => { fail::fail_point!($($arguments)*) };
}
#[cfg(not(feature = "failpoints"))]
macro_rules! fail_point {
    ($($arguments:tt)*) => {};
}

mod accept;
mod acts;
mod append;
mod backup;
mod catalogue;
mod checkpoint;
mod claim;
mod definitions;
mod expire;
mod fault;
mod folder;
mod functions;
mod lease;
mod ledger;
mod list;
mod lists;
mod migrate;
#[cfg(test)]
mod plans;
mod playbooks;
mod readers;
mod rows;
mod run_store;
mod signal;
mod stats;
mod storms;
mod tallies;
mod tokens;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::Error;
use folder::Folder;
use readers::Readers;
use stats::Shared;
use writer::{Queue, Writer};

pub use acts::ActsReader;
pub use backup::{Copy, backup, examine, restore};
pub use functions::Functions;
pub use lists::ListsReader;
pub use migrate::FORMAT;
pub use stats::Stats;

/// How a folder is opened. [`SqliteConfig::new`] gives what a server wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteConfig {
    /// The data folder; made, for its owner only, where it does not exist.
    pub dir: PathBuf,
    /// Requests that one commit may carry. Default 256; 1 only for comparison.
    pub batch_max: usize,
    /// Requests that may wait for the writer before callers wait too. Default 1024.
    pub queue_max: usize,
    /// Connections for reads. Default 2.
    pub readers: usize,
    /// Bytes of a page in a new database. Default 8192; other values only for comparison.
    pub page_size: u32,
    /// Pages in the write-ahead log at which it is moved into the database. Default 2000 (16 MiB).
    pub checkpoint_pages: u32,
    /// Bytes of the write-ahead log's file above which it is cut. Default 64 MiB.
    pub wal_max: u64,
    /// Pages that the database may have; `None` for what the disk holds. Default `None`.
    pub page_limit: Option<u32>,
    /// Time that every commit takes longer, to see the shape of a slower disk. Default `None`.
    pub commit_delay: Option<Duration>,
}

impl SqliteConfig {
    /// The defaults for a folder.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            batch_max: 256,
            queue_max: 1024,
            readers: 2,
            page_size: 8192,
            checkpoint_pages: 2000,
            wal_max: 64 * 1024 * 1024,
            page_limit: None,
            commit_delay: None,
        }
    }
}

/// The durable store. Give it up with [`crate::RunStore::close`]: only that tells when the
/// folder can be opened again.
///
/// After a commit that failed in writing to the disk nobody knows what the disk holds
/// (a repeated fsync may succeed without having written): the store then answers every
/// change with [`Error::Unavailable`] until the process is started again. A full disk is
/// no such failure: it gives [`Error::Full`] until there is space.
#[derive(Debug)]
pub struct SqliteStore {
    queue: Queue,
    readers: Arc<Readers>,
    shared: Arc<Shared>,
}

impl SqliteStore {
    /// Opens a folder, bringing it to the current format. Blocks for the time of a few
    /// fsyncs, longer where a migration has work to do.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::TooNew`], [`Error::Unavailable`], [`Error::Full`];
    /// [`Error::Corrupt`] where the file is not a database of ours.
    pub fn open(config: &SqliteConfig) -> Result<Self, Error> {
        let folder = Folder::lock(config)?;
        let connection = folder.open_writer(config)?;
        let shared = Arc::new(Shared::new(folder.wal_path(), config));
        checkpoint::start_over(&connection, &shared, config.page_size)?;
        let readers = Arc::new(Readers::open(&folder, config.readers)?);
        let clean = folder::mark_dirty(&connection).map_err(fault::error)?;
        if !clean {
            checkpoint::check_in_background(folder.open_reader()?, Arc::clone(&shared))?;
        }
        let queue = Writer::start(config, folder, connection, &readers, &shared)?;
        Ok(Self {
            queue,
            readers,
            shared,
        })
    }

    /// What the store did since it was opened.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }
}
