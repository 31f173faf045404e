//! Forgetting what is older than wanted.
//!
//! What is old is looked for by a reader, which may take its time; the writer checks each
//! row again and removes it, so that a run reopened meanwhile keeps its event.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::fault::Fault;
use super::rows::micros;
use super::storms::{self, OVER};
use super::tallies::{DEFINITION, STATUS};
use super::writer::{Tx, Write};
use crate::{Expired, Retention};

/// Rows to remove where they are still old.
pub(super) struct Expire {
    retention: Retention,
    runs: Vec<Vec<u8>>,
    events: Vec<Vec<u8>>,
    dedup: Vec<(String, String)>,
    keys: Vec<(String, String, String)>,
    entries: Vec<(String, String)>,
}

/// A run needs its events while it waits to be born, is unfinished, or is finished and about
/// to be worked on again.
macro_rules! unneeded {
    () => {
        "NOT EXISTS (SELECT 1 FROM runs WHERE runs.event_id = events.event_id
                     AND (runs.finished_at IS NULL OR runs.wake IS NOT NULL))
         AND NOT EXISTS (SELECT 1 FROM run_events AS of WHERE of.event_id = events.event_id
                     AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.run = of.run
                         AND runs.finished_at IS NOT NULL AND runs.wake IS NULL))"
    };
}

pub(super) const OLD_RUNS: &str = "SELECT run FROM runs
     WHERE finished_at < ?1 AND wake IS NULL ORDER BY finished_at LIMIT ?2";

pub(super) const OLD_EVENTS: &str = concat!(
    "SELECT event_id FROM events WHERE received_at < ?1 AND ",
    unneeded!(),
    " ORDER BY received_at LIMIT ?2"
);

pub(super) const OLD_PAIRS: &str = "SELECT source, id FROM dedup
     WHERE accepted_at < ?1 ORDER BY accepted_at LIMIT ?2";

pub(super) const ENDED: &str = "SELECT list, key FROM list_entries
     WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2";

impl Expire {
    /// Finds what is old. The event of an unfinished run is not.
    pub(super) fn find(connection: &Connection, retention: Retention) -> Result<Self, Fault> {
        let keys = |sql: &str, before: i64| -> rusqlite::Result<Vec<Vec<u8>>> {
            connection
                .prepare_cached(sql)?
                .query_map(params![before, retention.limit], |row| row.get(0))?
                .collect()
        };
        let runs = keys(OLD_RUNS, micros(retention.runs_before))?;
        let events = keys(OLD_EVENTS, micros(retention.events_before))?;
        let dedup: rusqlite::Result<Vec<(String, String)>> = connection
            .prepare_cached(OLD_PAIRS)?
            .query_map(
                params![micros(retention.dedup_before), retention.limit],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?
            .collect();
        let ended = params![micros(retention.ended_before), retention.limit];
        let keys: rusqlite::Result<Vec<(String, String, String)>> = connection
            .prepare_cached(OVER)?
            .query_map(ended, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect();
        let entries: rusqlite::Result<Vec<(String, String)>> = connection
            .prepare_cached(ENDED)?
            .query_map(ended, |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect();
        Ok(Self {
            retention,
            runs,
            events,
            dedup: dedup?,
            keys: keys?,
            entries: entries?,
        })
    }
}

impl Write for Expire {
    type Answer = Expired;

    fn write(&self, tx: &Tx<'_>) -> Result<Expired, Fault> {
        let mut expired = Expired::default();
        for run in &self.runs {
            expired.runs += u64::from(remove_run(tx, run)?);
        }
        for event in &self.events {
            let sql = concat!("DELETE FROM events WHERE event_id = ?1 AND ", unneeded!());
            expired.events += tx.execute(sql, [event])? as u64;
        }
        let before = micros(self.retention.dedup_before);
        for (source, id) in &self.dedup {
            let sql = "DELETE FROM dedup WHERE source = ?1 AND id = ?2 AND accepted_at < ?3";
            expired.dedup += tx.execute(sql, params![source, id, before])? as u64;
        }
        let ended = micros(self.retention.ended_before);
        for (reaction, control, key) in &self.keys {
            let at = (&**reaction, &**control, &**key);
            expired.ended += storms::forget(tx, at, ended)? as u64;
        }
        for (list, key) in &self.entries {
            let sql = "DELETE FROM list_entries
                       WHERE list = ?1 AND key = ?2 AND expires_at <= ?3";
            expired.ended += tx.execute(sql, params![list, key, ended])? as u64;
        }
        expired.definitions = remove_definitions(tx, self.retention.limit)?;
        Ok(expired)
    }
}

fn remove_run(tx: &Tx<'_>, run: &[u8]) -> Result<bool, Fault> {
    let removed: Option<(String, Vec<u8>)> = tx
        .connection
        .prepare_cached(
            "DELETE FROM runs WHERE run = ?1 AND finished_at IS NOT NULL AND wake IS NULL
             RETURNING status, definition",
        )?
        .query_row([run], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((status, definition)) = removed else {
        return Ok(false);
    };
    tx.execute("DELETE FROM journal WHERE run = ?1", [run])?;
    tx.execute("DELETE FROM signals WHERE run = ?1", [run])?;
    tx.execute("DELETE FROM run_events WHERE run = ?1", [run])?;
    tx.tallies.add(STATUS, status.as_bytes(), -1);
    tx.tallies.add(DEFINITION, &definition, -1);
    Ok(true)
}

/// Removes versions that nothing refers to. What the batch counted so far is written
/// first, since runs born in it count, too.
fn remove_definitions(tx: &Tx<'_>, limit: u32) -> Result<u64, Fault> {
    tx.tallies.flush(tx.connection)?;
    let removed = tx.execute(
        "DELETE FROM definitions WHERE digest IN (
             SELECT old.digest FROM definitions AS old
             WHERE NOT EXISTS (SELECT 1 FROM tallies
                               WHERE kind = 'definition' AND key = old.digest AND count > 0)
               AND NOT EXISTS (SELECT 1 FROM reactions WHERE reactions.digest = old.digest)
               AND EXISTS (SELECT 1 FROM definitions AS newer
                           WHERE newer.kind = old.kind AND newer.name = old.name
                             AND newer.put > old.put)
             LIMIT ?1)",
        [limit],
    )?;
    tx.execute(
        "DELETE FROM tallies WHERE kind = 'definition' AND count <= 0",
        [],
    )?;
    Ok(removed as u64)
}
