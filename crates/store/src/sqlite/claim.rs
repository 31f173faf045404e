//! Due runs for a node: taken by the writer, read beside it.
//!
//! Only the writer's part has to be one transaction: once a run is held, nobody else
//! appends to it, so its journal can be read afterwards without holding up the commits.

use conche_core::{Event, RunId};
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params};

use super::append::run_of;
use super::fault::Fault;
use super::rows::{self, micros};
use super::storms;
use super::writer::{Tx, Write};
use crate::{Claim, Claimed, Error};

/// A run taken: its key and its new epoch.
pub(super) type Taken = (RunId, u64);

/// Unheld runs that are due, earliest first.
pub(super) const READY: &str = "SELECT run, epoch FROM runs
     WHERE holder = x'' AND wake <= ?1 ORDER BY wake, run LIMIT ?2";

/// Takes due runs.
pub(super) struct Take(pub(super) Claim);

impl Write for Take {
    type Answer = Vec<Taken>;

    fn write(&self, tx: &Tx<'_>) -> Result<Vec<Taken>, Fault> {
        storms::bear_ripe(tx, self.0.now, self.0.limit)?;
        let mut taken = Vec::new();
        for (key, epoch) in self.ready(tx)? {
            let Some(run) = run_of(&key) else {
                tracing::error!(?key, "a run has a key that is no id; it is passed over");
                tx.execute("UPDATE runs SET wake = NULL WHERE run = ?1", [key])?;
                continue;
            };
            let epoch = epoch + 1;
            tx.execute(
                "UPDATE runs SET holder = ?2, wake = 0, epoch = ?3 WHERE run = ?1",
                params![key, self.0.node.0.as_bytes(), epoch],
            )?;
            fail_point!("store::in_claim");
            taken.push((run, epoch as u64));
        }
        Ok(taken)
    }
}

impl Take {
    fn ready(&self, tx: &Tx<'_>) -> rusqlite::Result<Vec<(Vec<u8>, i64)>> {
        tx.connection
            .prepare_cached(READY)?
            .query_map(params![micros(self.0.now), self.0.limit], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
            .collect()
    }
}

/// Lets go of runs whose journals could not be read now.
pub(super) struct Untake {
    pub(super) claim: Claim,
    pub(super) taken: Vec<Taken>,
}

impl Write for Untake {
    type Answer = ();

    fn write(&self, tx: &Tx<'_>) -> Result<(), Fault> {
        for (run, epoch) in &self.taken {
            tx.execute(
                "UPDATE runs SET holder = x'', wake = ?4
                 WHERE run = ?1 AND holder = ?2 AND epoch = ?3",
                params![
                    run.uuid().into_bytes(),
                    self.claim.node.0.as_bytes(),
                    *epoch as i64,
                    micros(self.claim.now)
                ],
            )?;
        }
        Ok(())
    }
}

/// Reads what a node needs of each run that it took. What is unreadable of one run is
/// that run's error; only where reading fails as such does the whole claim.
pub(super) fn load(connection: &Connection, taken: &[Taken]) -> Result<Vec<Claimed>, Fault> {
    taken.iter().map(|run| load_run(connection, *run)).collect()
}

fn load_run(connection: &Connection, (run, epoch): Taken) -> Result<Claimed, Fault> {
    let mut claimed = Claimed {
        run,
        epoch,
        journal: Ok(Vec::new()),
        event: None,
        signals: Vec::new(),
    };
    let mut fill = || -> Result<(), Fault> {
        claimed.signals = rows::signals(connection, run)?;
        claimed.event = event(connection, run)?;
        claimed.journal = Ok(whole_journal(connection, run)?);
        Ok(())
    };
    match fill() {
        Ok(()) => {}
        Err(Fault::Sql(cause)) if !is_damage(&cause) => return Err(Fault::Sql(cause)),
        Err(damaged) => claimed.journal = Err(rows::of_row(damaged)),
    }
    Ok(claimed)
}

fn is_damage(cause: &rusqlite::Error) -> bool {
    cause.sqlite_error_code().is_none()
        || cause.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt)
}

fn whole_journal(
    connection: &Connection,
    run: RunId,
) -> Result<Vec<conche_core::run::Record>, Fault> {
    let records = rows::journal(connection, run, 0, rows::Most::ALL)?.records;
    let version: i64 = connection
        .prepare_cached("SELECT version FROM runs WHERE run = ?1")?
        .query_row([run.uuid().into_bytes()], |row| row.get(0))?;
    if records.len() as i64 == version {
        return Ok(records);
    }
    let message = format!("it has {} records, not {version}", records.len());
    Err(rows::corrupt("journal", run, message).into())
}

fn event(connection: &Connection, run: RunId) -> Result<Option<Event>, Fault> {
    let sql = format!(
        "SELECT {} FROM events WHERE event_id = (SELECT event_id FROM runs WHERE run = ?1)",
        rows::EVENT
    );
    let row = connection
        .prepare_cached(&sql)?
        .query_row([run.uuid().into_bytes()], |row| Ok(rows::event(row)))
        .optional()?;
    let row: Option<Result<_, Error>> = row;
    Ok(row.transpose()?.map(|row| row.event))
}
