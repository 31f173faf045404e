//! What storm control remembers, in rows; runs whose time of waiting is over are born from them.

use std::cell::RefCell;
use std::collections::HashMap;

use conche_core::run::Entry;
use conche_core::storm::{Gathering, Memory};
use conche_core::{EventId, RunId, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::accept::{PreparedRun, text};
use super::fault::Fault;
use super::rows::{micros, micros_due};
use super::writer::Tx;
use crate::NewRun;
use crate::storms::{Ground, Spot};

/// Keys of a reaction that are over and forgotten at once where it has no room for another.
const FORGOTTEN_AT_ONCE: u32 = 1000;

/// Waiting runs whose time has come, earliest first.
pub(super) const RIPE: &str = "SELECT reaction, control, key, state FROM storms
     WHERE gathers = 1 AND until <= ?1 ORDER BY until LIMIT ?2";

/// When the first waiting run is to be born.
pub(super) const NEXT_RIPE: &str =
    "SELECT until FROM storms WHERE gathers = 1 ORDER BY until LIMIT 1";

/// What is over, to be forgotten.
pub(super) const OVER: &str = "SELECT reaction, control, key FROM storms
     WHERE gathers = 0 AND until <= ?1 ORDER BY until LIMIT ?2";

/// How many keys each reaction has, counted once and then kept with every change. Forgotten
/// with a transaction that is rolled back.
#[derive(Debug, Default)]
pub(super) struct Keys(RefCell<HashMap<String, u64>>);

impl Keys {
    fn count(&self, connection: &Connection, reaction: &str) -> rusqlite::Result<u64> {
        if let Some(count) = self.0.borrow().get(reaction) {
            return Ok(*count);
        }
        let sql = "SELECT count(*) FROM storms WHERE reaction = ?1";
        let count: i64 = connection
            .prepare_cached(sql)?
            .query_row([reaction], |row| row.get(0))?;
        let count = count as u64;
        self.0.borrow_mut().insert(reaction.to_owned(), count);
        Ok(count)
    }

    fn add(&self, reaction: &str, change: i64) {
        if let Some(count) = self.0.borrow_mut().get_mut(reaction) {
            *count = count.saturating_add_signed(change);
        }
    }

    pub(super) fn clear(&self) {
        self.0.borrow_mut().clear();
    }
}

/// The rows, within a transaction.
pub(super) struct Rows<'a> {
    pub(super) tx: &'a Tx<'a>,
    pub(super) now: Timestamp,
}

impl Rows<'_> {
    fn read<T: DeserializeOwned>(&self, at: &Spot) -> Result<Option<T>, Fault> {
        let sql = "SELECT state FROM storms WHERE reaction = ?1 AND control = ?2 AND key = ?3";
        let state: Option<String> = self
            .tx
            .connection
            .prepare_cached(sql)?
            .query_row(key(at), |row| row.get(0))
            .optional()?;
        Ok(state.and_then(|state| readable(at, &state)))
    }

    fn write(&self, at: &Spot, state: &str, until: i64, gathers: bool) -> Result<(), Fault> {
        let (reaction, control, key) = key(at);
        let update = "UPDATE storms SET state = ?4, until = ?5, gathers = ?6
                      WHERE reaction = ?1 AND control = ?2 AND key = ?3";
        let row = params![reaction, control, key, state, until, gathers];
        if self.tx.execute(update, row)? == 0 {
            let insert = "INSERT INTO storms (reaction, control, key, state, until, gathers)
                          VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            self.tx.execute(insert, row)?;
            self.tx.keys.add(reaction, 1);
        }
        Ok(())
    }

    /// The definition of a waiting run is needed as that of a stored one is.
    fn count_definition(&self, waiting: &Gathering, change: i64) {
        if let Entry::Started(started) = &waiting.first.entry {
            let digest = started.definition.as_bytes();
            self.tx.tallies.definition(digest, change);
        }
    }
}

fn key(at: &Spot) -> (&str, &'static str, &str) {
    (&at.reaction, at.control.as_str(), at.key.as_str())
}

/// What is damaged counts as forgotten, so that the reaction runs.
fn readable<T: DeserializeOwned>(at: &Spot, state: &str) -> Option<T> {
    serde_json::from_str(state)
        .inspect_err(|error| {
            tracing::error!(reaction = at.reaction, %error, "what storm control remembers cannot be read");
        })
        .ok()
}

impl Ground for Rows<'_> {
    type Fault = Fault;

    fn memory(&mut self, at: &Spot) -> Result<Option<Memory>, Fault> {
        self.read(at)
    }

    fn remember(&mut self, at: &Spot, memory: &Memory, end: i64) -> Result<(), Fault> {
        self.write(at, &text(memory)?, end, false)
    }

    fn gathering(&mut self, at: &Spot) -> Result<Option<Gathering>, Fault> {
        self.read(at)
    }

    fn wait(
        &mut self,
        at: &Spot,
        waiting: &Gathering,
        event: EventId,
        all: bool,
    ) -> Result<(), Fault> {
        if let Some(before) = self.read(at)? {
            self.count_definition(&before, -1);
        }
        self.count_definition(waiting, 1);
        self.write(at, &text(waiting)?, micros_due(waiting.due), true)?;
        let n = if all { waiting.count } else { 0 };
        let sql = "INSERT INTO run_events (run, n, event_id) VALUES (?1, ?2, ?3)
                   ON CONFLICT (run, n) DO UPDATE SET event_id = excluded.event_id";
        let (run, event) = (waiting.run.uuid().into_bytes(), event.uuid().into_bytes());
        self.tx.execute(sql, params![run, n, event])?;
        Ok(())
    }

    fn bear(&mut self, at: &Spot, ripe: Gathering) -> Result<(), Fault> {
        let sql = "DELETE FROM storms WHERE reaction = ?1 AND control = ?2 AND key = ?3";
        let removed = self.tx.execute(sql, key(at))?;
        self.tx.keys.add(&at.reaction, -(removed as i64));
        self.count_definition(&ripe, -1);
        let run = ripe.run;
        let events = events_of(self.tx, run)?;
        if events.is_empty() {
            let sql = "DELETE FROM run_events WHERE run = ?1";
            self.tx.execute(sql, [run.uuid().into_bytes()])?;
        }
        let new = NewRun {
            run,
            first: ripe.ripen(events, self.now),
            gates: None,
        };
        PreparedRun::new(new)?.insert(self.tx, None, micros(self.now))
    }

    fn has_room(&mut self, reaction: &str, most: u32) -> Result<bool, Fault> {
        let most = u64::from(most);
        if self.tx.keys.count(self.tx.connection, reaction)? < most {
            return Ok(true);
        }
        let sql = "DELETE FROM storms WHERE (reaction, control, key) IN
                     (SELECT reaction, control, key FROM storms
                      WHERE reaction = ?1 AND until <= ?2 AND gathers = 0 LIMIT ?3)";
        let row = params![reaction, micros(self.now), FORGOTTEN_AT_ONCE];
        let removed = self.tx.execute(sql, row)?;
        self.tx.keys.add(reaction, -(removed as i64));
        Ok(removed > 0)
    }
}

/// The events of a group, oldest first; none for a run that gets the last event only.
fn events_of(tx: &Tx<'_>, run: RunId) -> Result<Vec<EventId>, Fault> {
    let sql = "SELECT event_id FROM run_events WHERE run = ?1 AND n > 0 ORDER BY n";
    let mut statement = tx.connection.prepare_cached(sql)?;
    let events = statement.query_map([run.uuid().into_bytes()], |row| row.get::<_, [u8; 16]>(0))?;
    let events: rusqlite::Result<Vec<[u8; 16]>> = events.collect();
    let event = |bytes| EventId::new(Uuid::from_bytes(bytes));
    Ok(events?.into_iter().map(event).collect())
}

/// Has the runs born whose time has come.
pub(super) fn bear_ripe(tx: &Tx<'_>, now: Timestamp, limit: u32) -> Result<(), Fault> {
    let ripe: Vec<(String, String, String, String)> = tx
        .connection
        .prepare_cached(RIPE)?
        .query_map(params![micros(now), limit], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    for (reaction, control, key, state) in ripe {
        let control = serde_json::from_value(control.clone().into());
        let waiting = serde_json::from_str::<Gathering>(&state);
        let (Ok(control), Ok(waiting)) = (control, waiting) else {
            tracing::error!(
                reaction,
                key,
                "a run that waits for events cannot be read; it stays"
            );
            let sql = "UPDATE storms SET gathers = 2 WHERE reaction = ?1 AND key = ?2
                       AND gathers = 1 AND state = ?3";
            tx.execute(sql, params![reaction, key, state])?;
            continue;
        };
        let at = Spot {
            reaction,
            control,
            key: conche_core::storm::Key::new(&key),
        };
        Rows { tx, now }.bear(&at, waiting)?;
    }
    Ok(())
}

/// Forgets what is remembered of a key, where that is over; how many rows that are.
pub(super) fn forget(
    tx: &Tx<'_>,
    (reaction, control, key): (&str, &str, &str),
    ended: i64,
) -> rusqlite::Result<usize> {
    let sql = "DELETE FROM storms WHERE reaction = ?1 AND control = ?2 AND key = ?3
               AND gathers = 0 AND until <= ?4";
    let removed = tx.execute(sql, params![reaction, control, key, ended])?;
    tx.keys.add(reaction, -(removed as i64));
    Ok(removed)
}
