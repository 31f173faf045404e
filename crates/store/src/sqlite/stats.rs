//! What the threads of a store tell each other and those who watch it.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};

use conche_core::Timestamp;

use super::SqliteConfig;
use super::fault::unavailable;
use crate::Error;

/// Bytes that the disk must have room for before a store that refused something counts as
/// writable again: some events of the largest size.
const ROOM: usize = 4 * 1024 * 1024;

/// What a store did since it was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Commits, each with one fsync.
    pub commits: u64,
    /// Requests answered, refused ones included. Over `commits`: how well they are grouped.
    pub requests: u64,
    /// Rows inserted, changed and removed.
    pub rows: u64,
    /// Batches that were rolled back and carried out one request at a time.
    pub redone: u64,
    /// Bytes of the write-ahead log's file.
    pub wal_bytes: u64,
    /// Checkpoints that moved something.
    pub checkpoints: u64,
    /// When the last of them ended.
    pub last_checkpoint: Option<Timestamp>,
    /// Why nothing is acknowledged any more.
    pub poisoned: Option<String>,
    /// What the check after an unclean end found wrong.
    pub damage: Option<String>,
}

/// Counters and flags between the threads.
#[derive(Debug)]
pub(super) struct Shared {
    wal: PathBuf,
    pub(super) checkpoint_pages: u32,
    pub(super) wal_max: u64,
    pub(super) commits: AtomicU64,
    pub(super) requests: AtomicU64,
    pub(super) rows: AtomicU64,
    pub(super) redone: AtomicU64,
    checkpoints: AtomicU64,
    last_checkpoint: AtomicI64,
    /// Pages in the write-ahead log after the last commit.
    pub(super) wal_pages: AtomicU32,
    /// Set when only the end of the log is left for the writer to move.
    pub(super) tail_wanted: AtomicBool,
    pub(super) closed: AtomicBool,
    pub(super) poisoned: OnceLock<String>,
    pub(super) damage: OnceLock<String>,
    /// The last failure to commit, until a whole check has found that it is over.
    refusing: Mutex<Option<Error>>,
}

impl Shared {
    pub(super) fn new(wal: PathBuf, config: &SqliteConfig) -> Self {
        Self {
            wal,
            checkpoint_pages: config.checkpoint_pages,
            wal_max: config.wal_max,
            commits: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            redone: AtomicU64::new(0),
            checkpoints: AtomicU64::new(0),
            last_checkpoint: AtomicI64::new(0),
            wal_pages: AtomicU32::new(0),
            tail_wanted: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            poisoned: OnceLock::new(),
            damage: OnceLock::new(),
            refusing: Mutex::new(None),
        }
    }

    /// Bytes of the log's file; 0 where there is none.
    pub(super) fn wal_bytes(&self) -> u64 {
        std::fs::metadata(&self.wal).map_or(0, |data| data.len())
    }

    /// Remembers that something could not be committed, or that all can be again.
    pub(super) fn set_refusing(&self, error: Option<Error>) {
        *self.refusing.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }

    /// Why something could not be committed, while that counts.
    pub(super) fn refusing(&self) -> Option<Error> {
        let refusing = self.refusing.lock();
        refusing.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Finds out whether the disk has room for more than the smallest of changes. Blocks.
    pub(super) fn probe_room(&self) -> Result<(), Error> {
        let path = self.wal.with_file_name("room");
        let probed = File::create(&path).and_then(|mut file| {
            let piece = vec![0; 64 * 1024];
            for _ in 0..ROOM / piece.len() {
                file.write_all(&piece)?;
            }
            file.sync_all()
        });
        let removed = std::fs::remove_file(&path);
        probed
            .and(removed)
            .map_err(|cause| unavailable("probing for room", &cause))
    }

    pub(super) fn count_checkpoint(&self) {
        self.checkpoints.fetch_add(1, Relaxed);
        let now = Timestamp::now().as_microsecond();
        self.last_checkpoint.store(now, Relaxed);
    }

    pub(super) fn stats(&self) -> Stats {
        let checkpoints = self.checkpoints.load(Relaxed);
        let last = Timestamp::from_microsecond(self.last_checkpoint.load(Relaxed)).ok();
        Stats {
            commits: self.commits.load(Relaxed),
            requests: self.requests.load(Relaxed),
            rows: self.rows.load(Relaxed),
            redone: self.redone.load(Relaxed),
            wal_bytes: self.wal_bytes(),
            checkpoints,
            last_checkpoint: last.filter(|_| checkpoints > 0),
            poisoned: self.poisoned.get().cloned(),
            damage: self.damage.get().cloned(),
        }
    }
}
