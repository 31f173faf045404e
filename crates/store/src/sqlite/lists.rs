//! Entries of named lists.

use conche_core::{Json, Timestamp};
use rusqlite::{Connection, Row, params};
use serde_json::value::RawValue;

use super::fault::Fault;
use super::rows::{corrupt, micros};
use super::writer::{Tx, Write};
use crate::{Error, ListEntry};

/// Puts an entry in.
pub(super) struct PutEntry(pub(super) ListEntry);

impl Write for PutEntry {
    type Answer = ();

    fn write(&self, tx: &Tx<'_>) -> Result<(), Fault> {
        let ListEntry {
            list,
            key,
            value,
            put_at,
            expires_at,
        } = &self.0;
        let sql = "INSERT INTO list_entries (list, key, value, put_at, expires_at)
                   VALUES (?1, ?2, ?3, ?4, ?5)
                   ON CONFLICT (list, key) DO UPDATE SET value = excluded.value,
                       put_at = excluded.put_at, expires_at = excluded.expires_at";
        let (put_at, expires_at) = (micros(*put_at), expires_at.map(micros));
        tx.execute(sql, params![list, key, value.as_str(), put_at, expires_at])?;
        Ok(())
    }
}

/// Takes an entry out.
pub(super) struct RemoveEntry {
    pub(super) list: String,
    pub(super) key: String,
}

impl Write for RemoveEntry {
    type Answer = bool;

    fn write(&self, tx: &Tx<'_>) -> Result<bool, Fault> {
        let sql = "DELETE FROM list_entries WHERE list = ?1 AND key = ?2";
        Ok(tx.execute(sql, params![self.list, self.key])? > 0)
    }
}

pub(super) fn entries(
    connection: &Connection,
    after: Option<(String, String)>,
    limit: u32,
) -> Result<Vec<ListEntry>, Fault> {
    let sql = "SELECT list, key, value, put_at, expires_at FROM list_entries
               WHERE (list, key) > (?1, ?2) ORDER BY list, key LIMIT ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let (list, key) = after.unwrap_or_default();
    let mut rows = statement.query(params![list, key, limit])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        match entry(row)? {
            Ok(entry) => entries.push(entry),
            Err(error) => tracing::error!(%error, "an entry of a list is left out"),
        }
    }
    Ok(entries)
}

fn entry(row: &Row<'_>) -> Result<Result<ListEntry, Error>, Fault> {
    let (list, key): (String, String) = (row.get(0)?, row.get(1)?);
    let (value, put_at): (String, i64) = (row.get(2)?, row.get(3)?);
    let expires_at: Option<i64> = row.get(4)?;
    let read = || -> Result<ListEntry, String> {
        let value = RawValue::from_string(value).map_err(|error| error.to_string())?;
        let time = |at| Timestamp::from_microsecond(at).map_err(|error| error.to_string());
        Ok(ListEntry {
            list: list.clone(),
            key: key.clone(),
            value: Json::from(value),
            put_at: time(put_at)?,
            expires_at: expires_at.map(time).transpose()?,
        })
    };
    Ok(read().map_err(|message| corrupt("list entry", format!("{list}/{key}"), message)))
}
