//! Lists, newest first, paged by key. Each filter has an index that also gives the order,
//! so a page costs the same at its thousandth and its millionth row. Where two are set, the
//! narrower index is taken and the other filter applied row by row.

use std::time::Duration;

use conche_core::run::Status;
use conche_core::{EventId, RunId, Timestamp};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, params_from_iter};
use uuid::Uuid;

use super::fault::{Fault, not_found};
use super::rows::{self, micros};
use super::tallies::STATUS;
use crate::{Error, EventFilter, EventRow, Page, RunFilter, RunRow, StatusCounts};

/// How much earlier an event's id may be made than the event is accepted. Ids carry the time
/// of their making, and bounding them ends a search for recent events early.
const ID_AGE: Duration = Duration::from_hours(1);

/// Conditions with their values.
#[derive(Default)]
struct Where {
    sql: String,
    values: Vec<Value>,
}

impl Where {
    /// Adds `left ?n`.
    fn and(&mut self, left: &str, value: impl Into<Value>) {
        self.values.push(value.into());
        let joint = if self.sql.is_empty() { "WHERE" } else { " AND" };
        self.sql = format!("{}{joint} {left} ?{}", self.sql, self.values.len());
    }
}

fn key(id: Uuid) -> Value {
    Value::Blob(id.as_bytes().to_vec())
}

pub(super) fn event(connection: &Connection, event: EventId) -> Result<EventRow, Fault> {
    let sql = format!("SELECT {} FROM events WHERE event_id = ?1", rows::EVENT);
    connection
        .prepare_cached(&sql)?
        .query_row([event.uuid().into_bytes()], |row| Ok(rows::event(row)))
        .optional()?
        .unwrap_or_else(|| Err(not_found("event", event)))
        .map_err(Fault::Refused)
}

pub(super) fn events(
    connection: &Connection,
    filter: EventFilter,
    page: Page<EventId>,
) -> Result<Vec<EventRow>, Fault> {
    let (sql, values) = events_sql(filter, page);
    list(connection, &sql, values, page.limit, rows::event)
}

pub(super) fn events_sql(filter: EventFilter, page: Page<EventId>) -> (String, Vec<Value>) {
    let mut r#where = Where::default();
    // A plus takes a condition out of the choice of an index.
    let off = |on: bool| if on { "" } else { "+" };
    let by_source = filter.event_type.is_none();
    if let Some(event_type) = filter.event_type {
        r#where.and("event_type =", event_type);
    }
    if let Some(source) = filter.source {
        r#where.and(&format!("{}source =", off(by_source)), source);
    }
    if let Some(since) = filter.since {
        r#where.and("+received_at >=", micros(since));
        r#where.and("event_id >=", key(first_id(since)));
    }
    if let Some(before) = page.before {
        r#where.and("event_id <", key(before.uuid()));
    }
    let (columns, conditions) = (rows::EVENT, r#where.sql);
    let sql = format!("SELECT {columns} FROM events {conditions} ORDER BY event_id DESC");
    (sql, r#where.values)
}

/// The lowest id of an event received since then.
fn first_id(since: Timestamp) -> Uuid {
    let oldest = since.checked_sub(ID_AGE).unwrap_or(Timestamp::MIN);
    let millis = u64::try_from(oldest.as_millisecond()).unwrap_or(0);
    Uuid::from_u128(u128::from(millis) << 80)
}

pub(super) fn run(connection: &Connection, run: RunId) -> Result<RunRow, Fault> {
    let sql = format!("SELECT {} FROM runs WHERE run = ?1", rows::RUN);
    connection
        .prepare_cached(&sql)?
        .query_row([run.uuid().into_bytes()], |row| Ok(rows::run(row)))
        .optional()?
        .unwrap_or_else(|| Err(not_found("run", run)))
        .map_err(Fault::Refused)
}

pub(super) fn runs(
    connection: &Connection,
    filter: RunFilter,
    page: Page<RunId>,
) -> Result<Vec<RunRow>, Fault> {
    let (sql, values) = runs_sql(filter, page);
    list(connection, &sql, values, page.limit, rows::run)
}

pub(super) fn runs_sql(filter: RunFilter, page: Page<RunId>) -> (String, Vec<Value>) {
    let mut r#where = Where::default();
    let off = |on: bool| if on { "" } else { "+" };
    let by_event = filter.event.is_some();
    // Most runs of most names succeed, so that status narrows least.
    let by_name = !by_event && (filter.name.is_some() && filter.status.is_none_or(is_common));
    let by_status = !by_event && !by_name;
    if let Some(event) = filter.event {
        r#where.and("event_id =", key(event.uuid()));
    }
    if let Some(name) = filter.name {
        r#where.and(&format!("{}name =", off(by_name)), name);
    }
    if let Some(status) = filter.status {
        let left = format!("{}status =", off(by_status));
        r#where.and(&left, status.as_str().to_owned());
    }
    if let Some(before) = page.before {
        r#where.and("run <", key(before.uuid()));
    }
    let (columns, conditions) = (rows::RUN, r#where.sql);
    let sql = format!("SELECT {columns} FROM runs {conditions} ORDER BY run DESC");
    (sql, r#where.values)
}

fn is_common(status: Status) -> bool {
    status == Status::Succeeded
}

/// The first so many rows that can be read; the others are told and passed over.
fn list<T>(
    connection: &Connection,
    sql: &str,
    values: Vec<Value>,
    limit: u32,
    read: fn(&rusqlite::Row<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Fault> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while found.len() < limit as usize {
        let Some(row) = rows.next()? else { break };
        match read(row) {
            Ok(row) => found.push(row),
            Err(error) => tracing::error!(%error, "a stored row is left out of a list"),
        }
    }
    Ok(found)
}

pub(super) fn counts(connection: &Connection) -> Result<StatusCounts, Fault> {
    let sql = "SELECT key, count FROM tallies WHERE kind = ?1 AND count > 0";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([STATUS])?;
    let mut counts = StatusCounts::new();
    while let Some(row) = rows.next()? {
        let word: Vec<u8> = row.get(0)?;
        let status = std::str::from_utf8(&word).ok().and_then(Status::from_word);
        if let Some(status) = status {
            counts.insert(status, row.get::<_, i64>(1)? as u64);
        }
    }
    Ok(counts)
}
