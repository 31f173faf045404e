//! Entries of named lists.

use std::path::Path;

use conche_core::{Json, Timestamp};
use rusqlite::{Connection, OpenFlags, Row, params};
use serde_json::value::RawValue;

use super::fault::{FILE, Fault, error};
use super::folder::connect;
use super::migrate;
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

/// Looks at the lists of a data folder that a server may have open at the same time. It changes
/// nothing, and no writer waits for it.
#[derive(Debug)]
pub struct ListsReader(Connection);

impl ListsReader {
    /// Opens a data folder for looking; none where there is no store yet. Blocks.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where it cannot be read, or is one of an older program;
    /// [`Error::TooNew`] for one of a newer.
    pub fn open(dir: &Path) -> Result<Option<Self>, Error> {
        let database = dir.join(FILE);
        let there = database.try_exists();
        if !there.map_err(|error| Error::Unavailable(error.to_string()))? {
            return Ok(None);
        }
        let connection = connect(&database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        migrate::check(&connection)?;
        Ok(Some(Self(connection)))
    }

    /// The entries of a list as they are now, also those that are over. Blocks.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where they cannot be read; [`Error::Corrupt`] for one that is none,
    /// since it might be the one that matters.
    pub fn entries(&self, list: &str) -> Result<Vec<ListEntry>, Error> {
        let read = || -> Result<Vec<ListEntry>, Fault> {
            let sql = "SELECT list, key, value, put_at, expires_at FROM list_entries
                       WHERE list = ?1 ORDER BY key";
            let mut statement = self.0.prepare_cached(sql)?;
            let mut rows = statement.query([list])?;
            let mut entries = Vec::new();
            while let Some(row) = rows.next()? {
                entries.push(entry(row)??);
            }
            Ok(entries)
        };
        read().map_err(|fault| match fault {
            Fault::Refused(refused) => refused,
            Fault::Sql(cause) => error(cause),
        })
    }
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
