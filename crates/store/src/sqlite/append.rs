//! More of a journal, and what becomes of the lease.
//!
//! The hot path: three of four requests are appends. So an append is one row of the journal,
//! and of the run's row only those columns are written that changed: a column with an index
//! costs twice as much as one without.

use conche_core::run::{Status, Summary};
use conche_core::{RunId, Timestamp};
use rusqlite::{OptionalExtension as _, Row, params};
use uuid::Uuid;

use super::accept::{Prepared, insert_records, text};
use super::fault::{Fault, not_found};
use super::rows::{micros, micros_due};
use super::writer::{Tx, Write};
use crate::{Accepted, Append, Error, Next, NodeId, SignalId};

/// An append, ready to be written.
pub(super) struct Appending {
    run: RunId,
    node: NodeId,
    epoch: u64,
    expected: u64,
    /// How many records, and their text.
    records: (u64, String),
    summary: Summary,
    next: Next,
    emit: Vec<Prepared>,
    signals: Vec<SignalId>,
    now: Timestamp,
}

impl Appending {
    pub(super) fn new(append: Append) -> Result<Self, Error> {
        Ok(Self {
            run: append.run,
            node: append.node,
            epoch: append.epoch,
            expected: append.expected,
            records: (append.records.len() as u64, text(&append.records)?),
            summary: append.summary,
            next: append.next,
            emit: Prepared::all(append.emit)?,
            signals: append.signals,
            now: append.now,
        })
    }
}

/// What an append needs to know of its run.
struct Before {
    holder: Vec<u8>,
    epoch: i64,
    version: i64,
    status: String,
    reason: Option<String>,
    deadline: i64,
    finished_at: Option<i64>,
}

impl Before {
    const SQL: &str = "SELECT holder, epoch, version, status, reason, deadline, finished_at
                       FROM runs WHERE run = ?1";

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            holder: row.get(0)?,
            epoch: row.get(1)?,
            version: row.get(2)?,
            status: row.get(3)?,
            reason: row.get(4)?,
            deadline: row.get(5)?,
            finished_at: row.get(6)?,
        })
    }

    fn is_at(&self, summary: &Summary) -> bool {
        self.status == summary.status.as_str()
            && self.reason == summary.reason
            && self.deadline == micros(summary.deadline)
            && self.finished_at == summary.finished_at.map(micros)
    }
}

impl Write for Appending {
    type Answer = Vec<Accepted>;

    fn write(&self, tx: &Tx<'_>) -> Result<Vec<Accepted>, Fault> {
        let before = self.check(tx)?;
        let emit = |prepared: &Prepared| prepared.write(tx, None, self.now);
        let emitted: Result<Vec<_>, Fault> = self.emit.iter().map(emit).collect();
        let emitted = emitted?;
        let (count, text) = &self.records;
        if *count > 0 {
            insert_records(tx, self.run, self.expected, text)?;
        }
        for signal in &self.signals {
            let sql = "DELETE FROM signals WHERE id = ?1 AND run = ?2";
            tx.execute(sql, params![signal.0, self.run.uuid().into_bytes()])?;
        }
        self.update_run(tx, &before)?;
        Ok(emitted)
    }
}

impl Appending {
    fn check(&self, tx: &Tx<'_>) -> Result<Before, Fault> {
        let before = tx
            .connection
            .prepare_cached(Before::SQL)?
            .query_row([self.run.uuid().into_bytes()], Before::read)
            .optional()?
            .ok_or_else(|| not_found("run", self.run))?;
        if before.holder != self.node.0.as_bytes() || before.epoch != self.epoch as i64 {
            return Err(Error::Fenced(self.run).into());
        }
        if before.version != self.expected as i64 {
            return Err(Fault::Refused(Error::Conflict {
                run: self.run,
                expected: self.expected,
                found: before.version as u64,
            }));
        }
        Ok(before)
    }

    /// Writes the run's row, once: version always, summary and lease where they changed.
    fn update_run(&self, tx: &Tx<'_>, before: &Before) -> Result<(), Fault> {
        let run = self.run.uuid().into_bytes();
        let version = (self.expected + self.records.0) as i64;
        let (holder, wake) = match self.next {
            Next::Hold => (&before.holder[..], Some(0)),
            Next::Park(until) => (&[][..], self.wake(tx, Some(micros_due(until)))?),
            Next::Finish => (&[][..], self.wake(tx, None)?),
        };
        if !before.is_at(&self.summary) {
            let summary = &self.summary;
            tx.execute(
                "UPDATE runs SET version = ?2, holder = ?3, wake = ?4, status = ?5, reason = ?6,
                                 deadline = ?7, finished_at = ?8
                 WHERE run = ?1",
                params![
                    run,
                    version,
                    holder,
                    wake,
                    summary.status.as_str(),
                    summary.reason,
                    micros(summary.deadline),
                    summary.finished_at.map(micros),
                ],
            )?;
            count_status(tx, &before.status, summary.status);
        } else if self.next == Next::Hold {
            let sql = "UPDATE runs SET version = ?2 WHERE run = ?1";
            tx.execute(sql, params![run, version])?;
        } else {
            let sql = "UPDATE runs SET version = ?2, holder = ?3, wake = ?4 WHERE run = ?1";
            tx.execute(sql, params![run, version, holder, wake])?;
        }
        Ok(())
    }

    /// When a run that is let go is due: at once where signals wait for it.
    fn wake(&self, tx: &Tx<'_>, due: Option<i64>) -> rusqlite::Result<Option<i64>> {
        let waiting = tx
            .connection
            .prepare_cached("SELECT 1 FROM signals WHERE run = ?1")?
            .exists([self.run.uuid().into_bytes()])?;
        let now = waiting.then_some(micros(self.now));
        Ok(due.into_iter().chain(now).min())
    }
}

/// Counts a change of status. A damaged word was never counted.
pub(super) fn count_status(tx: &Tx<'_>, before: &str, status: Status) {
    if let Some(before) = Status::from_word(before) {
        tx.tallies.status(before, -1);
    }
    tx.tallies.status(status, 1);
}

/// The key of a run as the database has it, where it is one.
pub(super) fn run_of(key: &[u8]) -> Option<RunId> {
    Uuid::from_slice(key).ok().map(RunId::new)
}
