//! Who is alive, whose runs are free, and what is taken out of circulation.

use conche_core::run::Status;
use conche_core::{RunId, Timestamp};
use rusqlite::{OptionalExtension as _, params};

use super::append::count_status;
use super::fault::{Fault, not_found};
use super::rows::{self, micros};
use super::writer::{Tx, Write};
use crate::aside::Aside;
use crate::{Error, NodeId};

/// A node is alive until a time.
pub(super) struct Heartbeat {
    pub(super) node: NodeId,
    pub(super) until: Timestamp,
}

impl Write for Heartbeat {
    type Answer = ();

    fn write(&self, tx: &Tx<'_>) -> Result<(), Fault> {
        tx.execute(
            "INSERT INTO nodes (node, alive_until) VALUES (?1, ?2)
             ON CONFLICT (node) DO UPDATE SET alive_until = excluded.alive_until",
            params![self.node.0.as_bytes(), micros(self.until)],
        )?;
        Ok(())
    }
}

/// Frees the runs of nodes whose time is over.
pub(super) struct Reap(pub(super) Timestamp);

impl Write for Reap {
    type Answer = u64;

    fn write(&self, tx: &Tx<'_>) -> Result<u64, Fault> {
        let now = micros(self.0);
        tx.execute("DELETE FROM nodes WHERE alive_until <= ?1", [now])?;
        let mut freed = 0;
        let mut holder = Vec::new();
        // From holder to holder along the index: as many look-ups as there are nodes.
        while let Some(next) = next_holder(tx, &holder)? {
            holder = next;
            let alive = tx
                .connection
                .prepare_cached("SELECT 1 FROM nodes WHERE node = ?1")?
                .exists([&holder])?;
            if !alive {
                freed += tx.execute(FREE, params![holder, now])?;
            }
        }
        Ok(freed as u64)
    }
}

/// The holder after this one.
pub(super) const NEXT_HOLDER: &str = "SELECT holder FROM runs
     WHERE holder > ?1 AND wake IS NOT NULL ORDER BY holder LIMIT 1";

/// Frees the runs of a holder.
pub(super) const FREE: &str = "UPDATE runs SET holder = x'', wake = ?2
     WHERE holder = ?1 AND wake IS NOT NULL";

fn next_holder(tx: &Tx<'_>, after: &[u8]) -> rusqlite::Result<Option<Vec<u8>>> {
    tx.connection
        .prepare_cached(NEXT_HOLDER)?
        .query_row([after], |row| row.get(0))
        .optional()
}

/// Takes a run out of circulation.
pub(super) struct Quarantine {
    pub(super) run: RunId,
    pub(super) epoch: u64,
    pub(super) reason: String,
    pub(super) now: Timestamp,
}

impl Write for Quarantine {
    type Answer = Status;

    fn write(&self, tx: &Tx<'_>) -> Result<Status, Fault> {
        let run = self.run.uuid().into_bytes();
        let (held, epoch, status): (bool, i64, String) = tx
            .connection
            .prepare_cached("SELECT holder <> x'', epoch, status FROM runs WHERE run = ?1")?
            .query_row([run], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?
            .ok_or_else(|| not_found("run", self.run))?;
        if !held || epoch != self.epoch as i64 {
            return Err(Error::Fenced(self.run).into());
        }
        let waiting = rows::readable_signals(tx.connection, self.run)?;
        let aside = Aside::new(&self.reason, waiting, self.now);
        tx.execute(
            "UPDATE runs SET status = ?2, reason = ?3, finished_at = ?4, holder = x'', wake = NULL
             WHERE run = ?1",
            params![
                run,
                aside.status.as_str(),
                aside.reason,
                aside.finished_at.map(micros)
            ],
        )?;
        tx.execute("DELETE FROM signals WHERE run = ?1", [run])?;
        count_status(tx, &status, aside.status);
        Ok(aside.status)
    }
}
