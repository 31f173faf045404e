//! Words from outside to a run.

use conche_core::{RunId, Timestamp};
use rusqlite::params;

use super::accept::text;
use super::fault::{Fault, not_found};
use super::rows::micros;
use super::writer::{Tx, Write};
use crate::{Error, Signal, SignalId};

/// A signal, ready to be written.
pub(super) struct Signalling {
    run: RunId,
    signal: String,
    now: i64,
}

impl Signalling {
    pub(super) fn new(run: RunId, signal: &Signal, now: Timestamp) -> Result<Self, Error> {
        Ok(Self {
            run,
            signal: text(signal)?,
            now: micros(now),
        })
    }
}

impl Write for Signalling {
    type Answer = SignalId;

    fn write(&self, tx: &Tx<'_>) -> Result<SignalId, Fault> {
        let run = self.run.uuid().into_bytes();
        let known = tx
            .connection
            .prepare_cached("SELECT 1 FROM runs WHERE run = ?1")?
            .exists([run])?;
        if !known {
            return Err(not_found("run", self.run).into());
        }
        let sql = "INSERT INTO signals (run, signal) VALUES (?1, ?2)";
        tx.execute(sql, params![run, self.signal])?;
        let id = tx.connection.last_insert_rowid();
        // A held run gets it at its next claim, for its release looks for signals.
        tx.execute(
            "UPDATE runs SET wake = min(coalesce(wake, ?2), ?2) WHERE run = ?1 AND holder = x''",
            params![run, self.now],
        )?;
        Ok(SignalId(id))
    }
}
