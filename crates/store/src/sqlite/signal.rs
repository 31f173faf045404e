//! Words from outside to a run.

use conche_core::{RunId, Timestamp};
use rusqlite::{OptionalExtension as _, params};

use super::accept::text;
use super::fault::{Fault, not_found};
use super::rows::micros;
use super::writer::{Tx, Write};
use crate::{Error, Signal, SignalId};

/// A signal, ready to be written.
pub(super) struct Signalling {
    run: RunId,
    signal: String,
    expected: Option<u64>,
    now: i64,
}

impl Signalling {
    pub(super) fn new(
        run: RunId,
        signal: &Signal,
        expected: Option<u64>,
        now: Timestamp,
    ) -> Result<Self, Error> {
        Ok(Self {
            run,
            signal: text(signal)?,
            expected,
            now: micros(now),
        })
    }
}

impl Write for Signalling {
    type Answer = SignalId;

    fn write(&self, tx: &Tx<'_>) -> Result<SignalId, Fault> {
        let run = self.run.uuid().into_bytes();
        let (version, waiting): (i64, bool) = tx
            .connection
            .prepare_cached(
                "SELECT version, EXISTS (SELECT 1 FROM signals WHERE signals.run = runs.run)
                 FROM runs WHERE run = ?1",
            )?
            .query_row([run], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?
            .ok_or_else(|| not_found("run", self.run))?;
        let found = version as u64;
        if let Some(expected) = self.expected
            && (found != expected || waiting)
        {
            return Err(Fault::Refused(Error::Conflict {
                run: self.run,
                expected,
                found,
            }));
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
