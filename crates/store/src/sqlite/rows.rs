//! Between columns and values. What cannot be read is [`Error::Corrupt`] with its key, so
//! that one bad row never hides the others.

use conche_core::run::{JOURNAL_FORMAT, Record, Status, Summary};
use conche_core::{Digest, Event, EventId, Json, RunId, Timestamp};
use rusqlite::{Connection, Row, params};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::fault::{Fault, error};
use crate::{
    Error, EventRow, JOURNAL_BYTES_MAX, JOURNAL_RECORDS_MAX, Journal, RunRow, Signal, SignalId,
};

/// Columns of an event, in the order that [`event`] reads.
pub(super) const EVENT: &str =
    "event_id, id, source, event_type, subject, time, data, cause, depth, received_at, notes";

/// Columns of a run, in the order that [`run`] reads.
pub(super) const RUN: &str = "run, definition, name, event_id, started_at, status, reason, \
     deadline, finished_at, version, holder, wake";

/// Microseconds since 1970; what is finer is cut off.
pub(super) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// As [`micros`], rounded up: nothing is due before its time.
pub(super) fn micros_due(at: Timestamp) -> i64 {
    let finer = at.subsec_nanosecond() % 1000 > 0;
    at.as_microsecond().saturating_add(i64::from(finer))
}

/// What is wrong with a row, before it is known which row it is.
type Bad = String;

fn time(micros: i64) -> Result<Timestamp, Bad> {
    Timestamp::from_microsecond(micros).map_err(|error| error.to_string())
}

fn id(bytes: &[u8]) -> Result<Uuid, Bad> {
    Uuid::from_slice(bytes).map_err(|error| error.to_string())
}

fn number<T: TryFrom<i64>>(number: i64) -> Result<T, Bad> {
    T::try_from(number).map_err(|_| format!("{number} is out of range"))
}

fn column<T: rusqlite::types::FromSql>(row: &Row<'_>, index: usize) -> Result<T, Bad> {
    row.get(index).map_err(|error| error.to_string())
}

fn optional<T>(value: Option<i64>, read: impl Fn(i64) -> Result<T, Bad>) -> Result<Option<T>, Bad> {
    value.map(read).transpose()
}

/// The key in a row's first column, for messages.
fn key(row: &Row<'_>) -> String {
    match row.get_ref(0) {
        Ok(rusqlite::types::ValueRef::Blob(bytes)) => {
            id(bytes).map_or_else(|_| format!("{bytes:02x?}"), |id| id.to_string())
        }
        _ => "?".to_owned(),
    }
}

pub(super) fn corrupt(kind: &'static str, name: impl ToString, message: impl ToString) -> Error {
    Error::Corrupt {
        kind,
        name: name.to_string(),
        message: message.to_string(),
    }
}

/// Reads the columns [`EVENT`].
pub(super) fn event(row: &Row<'_>) -> Result<EventRow, Error> {
    read_event(row).map_err(|message| corrupt("event", key(row), message))
}

fn read_event(row: &Row<'_>) -> Result<EventRow, Bad> {
    let data = RawValue::from_string(column(row, 6)?).map_err(|error| error.to_string())?;
    let cause: Option<Vec<u8>> = column(row, 7)?;
    let event = Event {
        event_id: EventId::new(id(&column::<Vec<u8>>(row, 0)?)?),
        id: column(row, 1)?,
        source: column(row, 2)?,
        event_type: column(row, 3)?,
        subject: column(row, 4)?,
        time: time(column(row, 5)?)?,
        data: Json::from(data),
        cause: cause.map(|bytes| id(&bytes)).transpose()?.map(RunId::new),
        depth: number(column(row, 8)?)?,
    };
    Ok(EventRow {
        event,
        received_at: time(column(row, 9)?)?,
        notes: match column::<Option<String>>(row, 10)? {
            Some(notes) => serde_json::from_str(&notes).map_err(|error| error.to_string())?,
            None => Vec::new(),
        },
    })
}

/// Reads the columns [`RUN`].
pub(super) fn run(row: &Row<'_>) -> Result<RunRow, Error> {
    read_run(row).map_err(|message| corrupt("run", key(row), message))
}

fn read_run(row: &Row<'_>) -> Result<RunRow, Bad> {
    let word: String = column(row, 5)?;
    let event: Option<Vec<u8>> = column(row, 3)?;
    let held = !column::<Vec<u8>>(row, 10)?.is_empty();
    let wake: Option<i64> = column(row, 11)?;
    Ok(RunRow {
        run: RunId::new(id(&column::<Vec<u8>>(row, 0)?)?),
        definition: digest(&column::<Vec<u8>>(row, 1)?)?,
        name: column(row, 2)?,
        event: event.map(|bytes| id(&bytes)).transpose()?.map(EventId::new),
        started_at: time(column(row, 4)?)?,
        summary: Summary {
            status: Status::from_word(&word).ok_or_else(|| format!("no status is '{word}'"))?,
            reason: column(row, 6)?,
            deadline: time(column(row, 7)?)?,
            finished_at: optional(column(row, 8)?, time)?,
        },
        version: number(column(row, 9)?)?,
        due: optional(wake.filter(|_| !held), time)?,
        held,
    })
}

pub(super) fn digest(bytes: &[u8]) -> Result<Digest, Bad> {
    <[u8; 32]>::try_from(bytes)
        .map(Digest::from_bytes)
        .map_err(|_| format!("a digest has 32 bytes, not {}", bytes.len()))
}

/// How much of a journal is read.
#[derive(Clone, Copy)]
pub(super) struct Most {
    records: usize,
    bytes: usize,
}

impl Most {
    /// To fold it.
    pub(super) const ALL: Self = Self {
        records: usize::MAX,
        bytes: usize::MAX,
    };
    /// To look at it.
    pub(super) const PIECE: Self = Self {
        records: JOURNAL_RECORDS_MAX,
        bytes: JOURNAL_BYTES_MAX,
    };
}

/// The records of a run from a version on. `from` may lie within a stored append.
pub(super) fn journal(
    connection: &Connection,
    run: RunId,
    version: u64,
    most: Most,
) -> Result<Journal, Fault> {
    let sql = "SELECT from_version, format, records FROM journal
               WHERE run = ?1 AND from_version >= coalesce(
                   (SELECT max(from_version) FROM journal WHERE run = ?1 AND from_version <= ?2), 0)
               ORDER BY from_version";
    let mut statement = connection.prepare_cached(sql)?;
    let from = i64::try_from(version).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![run.uuid().into_bytes(), from])?;
    let mut records: Vec<Record> = Vec::new();
    let (mut skip, mut bytes, mut more) = (None, 0, false);
    while let Some(row) = rows.next()? {
        let bad = |message: Bad| Fault::Refused(corrupt("journal", run, message));
        let wanted = skip.map_or(0, |first| records.len() as i64 - (from - first));
        if wanted > 0 && (wanted as usize >= most.records || bytes >= most.bytes) {
            more = true;
            break;
        }
        bytes += row.get_ref(2)?.as_str().map_or(0, str::len);
        let (version, appended) = read_append(row).map_err(bad)?;
        let first = *skip.get_or_insert(version);
        let expected = first + records.len() as i64;
        if version != expected || (first > 0 && first > from) {
            return Err(bad(format!(
                "after version {expected} comes version {version}"
            )));
        }
        records.extend(appended);
    }
    let skip = skip.map_or(0, |first| usize::try_from(from - first).unwrap_or(0));
    let mut records = records.split_off(skip.min(records.len()));
    more |= records.len() > most.records;
    records.truncate(most.records);
    Ok(Journal {
        from: version,
        records,
        more,
    })
}

fn read_append(row: &Row<'_>) -> Result<(i64, Vec<Record>), Bad> {
    let format: i64 = column(row, 1)?;
    if !(1..=i64::from(JOURNAL_FORMAT)).contains(&format) {
        return Err(format!(
            "it has format {format}, this program reads formats 1 to {JOURNAL_FORMAT}"
        ));
    }
    let text = row.get_ref(2).map_err(|error| error.to_string())?;
    let text = text.as_str().map_err(|error| error.to_string())?;
    let records = serde_json::from_str(text).map_err(|error| error.to_string())?;
    Ok((column(row, 0)?, records))
}

/// The signals waiting for a run, oldest first.
pub(super) fn signals(
    connection: &Connection,
    run: RunId,
) -> Result<Vec<(SignalId, Signal)>, Fault> {
    let sql = "SELECT id, signal FROM signals WHERE run = ?1 ORDER BY id";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([run.uuid().into_bytes()])?;
    let mut signals = Vec::new();
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        let read = || -> Result<Signal, Bad> {
            let text: String = column(row, 1)?;
            serde_json::from_str(&text).map_err(|error| error.to_string())
        };
        let signal = read().map_err(|message| corrupt("signal", id, message))?;
        signals.push((SignalId(id), signal));
    }
    Ok(signals)
}

/// The signals waiting for a run but for those that cannot be read: one damaged word must not
/// keep the others from being heard.
pub(super) fn readable_signals(
    connection: &Connection,
    run: RunId,
) -> rusqlite::Result<Vec<Signal>> {
    let mut statement =
        connection.prepare_cached("SELECT signal FROM signals WHERE run = ?1 ORDER BY id")?;
    let texts = statement.query_map([run.uuid().into_bytes()], |row| row.get::<_, String>(0))?;
    let read = |text: rusqlite::Result<String>| serde_json::from_str(&text.ok()?).ok();
    Ok(texts.filter_map(read).collect())
}

/// A row that cannot be read, or a page of it: the error of that row.
pub(super) fn of_row(fault: Fault) -> Error {
    match fault {
        Fault::Refused(refused) => refused,
        Fault::Sql(cause) => error(cause),
    }
}
