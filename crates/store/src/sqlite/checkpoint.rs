//! Moves the write-ahead log into the database, beside the writer rather than within its
//! commits.
//!
//! The log can only start over when all of it was moved while nothing was added. Under load
//! the thread here never gets that far, so it moves the bulk, and when little is left asks
//! the writer to move the rest between two batches.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use rusqlite::Connection;

use super::fault::{error, unavailable};
use super::stats::Shared;
use crate::Error;

/// Pages that the writer may move by itself between two batches: about a millisecond's work.
const TAIL: u32 = 256;

/// Passes over the log before the writer is asked, however much is left.
const PASSES: usize = 4;

/// The thread that moves the log.
pub(super) struct Checkpointer {
    wake: SyncSender<()>,
    thread: JoinHandle<()>,
    /// Pages in the log at which to wake it next.
    next: u32,
    shared: Arc<Shared>,
}

impl Checkpointer {
    pub(super) fn start(connection: Connection, shared: &Arc<Shared>) -> Result<Self, Error> {
        let (wake, woken) = sync_channel(1);
        let shared = Arc::clone(shared);
        let of_thread = Arc::clone(&shared);
        let thread = Builder::new()
            .name("store-checkpoint".to_owned())
            .spawn(move || serve(&connection, &woken, &of_thread))
            .map_err(|cause| unavailable("starting the checkpoint thread", &cause))?;
        Ok(Self {
            wake,
            thread,
            next: shared.checkpoint_pages,
            shared,
        })
    }

    /// Called by the writer between two batches.
    pub(super) fn tick(&mut self, writer: &Connection) {
        if self.shared.tail_wanted.swap(false, Relaxed) {
            self.tail(writer);
        }
        let pages = self.shared.wal_pages.load(Relaxed);
        if pages < self.shared.checkpoint_pages {
            self.next = self.shared.checkpoint_pages;
        } else if pages >= self.next {
            // A reader may keep the log from starting over; then try less often.
            self.next = pages.saturating_add(self.shared.checkpoint_pages / 4);
            // Full means that it is awake already.
            self.wake.try_send(()).ok();
        }
    }

    fn tail(&self, writer: &Connection) {
        if self.shared.wal_bytes() <= self.shared.wal_max {
            return self.report(checkpoint(writer, "PASSIVE"));
        }
        // Cutting the file needs every reader out of the log: try, do not wait.
        let patient = |wait| writer.busy_timeout(wait);
        let cut = patient(Duration::ZERO).and_then(|()| checkpoint(writer, "TRUNCATE"));
        self.report(cut);
        if let Err(error) = patient(super::folder::BUSY) {
            tracing::warn!(%error, "the writer's lock wait could not be restored");
        }
    }

    fn report(&self, done: rusqlite::Result<u32>) {
        match done {
            Ok(0) => {}
            Ok(_) => self.shared.count_checkpoint(),
            Err(error) => tracing::warn!(%error, "a checkpoint failed"),
        }
    }

    /// Ends the thread and waits for it.
    pub(super) fn stop(self) {
        drop(self.wake);
        if self.thread.join().is_err() {
            tracing::error!("the checkpoint thread panicked");
        }
    }
}

fn serve(connection: &Connection, woken: &Receiver<()>, shared: &Shared) {
    while woken.recv().is_ok() {
        if let Err(error) = bulk(connection, shared) {
            tracing::warn!(%error, "a checkpoint failed");
        }
    }
}

fn bulk(connection: &Connection, shared: &Shared) -> rusqlite::Result<()> {
    for _ in 0..PASSES {
        let moved = checkpoint(connection, "PASSIVE")?;
        fail_point!("store::in_checkpoint");
        if moved > 0 {
            shared.count_checkpoint();
        }
        if shared.wal_pages.load(Relaxed).saturating_sub(moved) <= TAIL {
            break;
        }
    }
    shared.tail_wanted.store(true, Relaxed);
    Ok(())
}

/// One pass; how many pages of the log are in the database after it. A failed fsync here
/// loses nothing: the log keeps the pages until a later pass succeeds.
pub(super) fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<u32> {
    let sql = format!("PRAGMA wal_checkpoint({mode})");
    let moved: i64 = connection.query_row(&sql, [], |row| row.get(2))?;
    Ok(u32::try_from(moved).unwrap_or(0))
}

/// Moves what a process that ended uncleanly left in the log, where it is much: what is
/// not moved now would grow by all that this process adds until its own first checkpoint.
pub(super) fn start_over(writer: &Connection, shared: &Shared, page: u32) -> Result<(), Error> {
    let usual = u64::from(shared.checkpoint_pages) * u64::from(page);
    if shared.wal_bytes() > usual {
        checkpoint(writer, "TRUNCATE").map_err(error)?;
    }
    Ok(())
}

/// Checks the database after an unclean end, beside the work: events that come in after
/// a crash should not wait until gigabytes were read. Ends with the store.
pub(super) fn check_in_background(
    mut connection: Connection,
    shared: Arc<Shared>,
) -> Result<(), Error> {
    let check = move || {
        let closing = Arc::clone(&shared);
        let stop = move || closing.closed.load(Relaxed);
        let found = connection
            .progress_handler(10_000, Some(stop))
            .and_then(|()| find_damage(&connection));
        let damage = match found {
            Ok(None) => return,
            Err(_) if shared.closed.load(Relaxed) => return,
            Ok(Some(damage)) => damage,
            Err(cause) => cause.to_string(),
        };
        tracing::error!(damage, "the database is damaged");
        // Set once here only.
        drop(shared.damage.set(damage));
    };
    Builder::new()
        .name("store-check".to_owned())
        .spawn(check)
        .map(drop)
        .map_err(|cause| unavailable("starting the check", &cause))
}

/// Looks at one table with its indexes after the other, the list of unused pages with the
/// first: a look at all of it would keep the log from starting over until its end.
fn find_damage(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let tables: rusqlite::Result<Vec<String>> = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?
        .query_map([], |row| row.get(0))?
        .collect();
    for table in std::iter::once("sqlite_schema".to_owned()).chain(tables?) {
        let check = format!("PRAGMA quick_check(\"{table}\")");
        let verdict: String = connection.query_row(&check, [], |row| row.get(0))?;
        if verdict != "ok" {
            return Ok(Some(verdict));
        }
    }
    Ok(None)
}
