//! Versions of playbooks: few rows, changed by people, never altered but where it is asked for.

use conche_core::{Digest, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::fault::Fault;
use super::rows::{corrupt, digest, micros};
use super::writer::{Tx, Write};
use crate::{Error, PlaybookPut, PlaybookRow};

/// Stores a version. Whether anything changed.
pub(super) struct PutPlaybook(pub(super) PlaybookPut);

impl Write for PutPlaybook {
    type Answer = bool;

    fn write(&self, tx: &Tx<'_>) -> Result<bool, Fault> {
        let PlaybookPut { row, replace } = &self.0;
        let digest = Digest::of(row.text.as_bytes());
        let sql = "SELECT text FROM playbooks WHERE id = ?1 AND modified = ?2";
        let there: Option<String> = tx
            .connection
            .prepare_cached(sql)?
            .query_row([&row.id, &row.modified], |found| found.get(0))
            .optional()?;
        match there {
            Some(text) if text == row.text => return Ok(false),
            Some(_) if !replace => return Err(row.exists().into()),
            Some(_) | None => {}
        }
        tx.execute(
            "INSERT INTO playbooks (id, modified, text, digest, owner, put_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (id, modified) DO UPDATE SET text = excluded.text,
                 digest = excluded.digest, owner = excluded.owner, put_at = excluded.put_at",
            params![
                row.id,
                row.modified,
                row.text,
                digest.as_bytes(),
                row.owner,
                micros(row.put_at)
            ],
        )?;
        Ok(true)
    }
}

/// Removes every version of a playbook.
pub(super) struct DeletePlaybook(pub(super) String);

impl Write for DeletePlaybook {
    type Answer = bool;

    fn write(&self, tx: &Tx<'_>) -> Result<bool, Fault> {
        let removed = tx.execute("DELETE FROM playbooks WHERE id = ?1", [&self.0])?;
        Ok(removed > 0)
    }
}

/// Every version of every playbook; one that cannot be read is left out, and told.
pub(super) fn playbooks(connection: &Connection) -> Result<Vec<PlaybookRow>, Fault> {
    let sql = "SELECT id, modified, text, digest, owner, put_at FROM playbooks
               ORDER BY id, modified";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut playbooks = Vec::new();
    while let Some(row) = rows.next()? {
        match playbook(row) {
            Ok(playbook) => playbooks.push(playbook),
            Err(error) => tracing::error!(%error, "a stored playbook is left out"),
        }
    }
    Ok(playbooks)
}

fn playbook(row: &Row<'_>) -> Result<PlaybookRow, Error> {
    let id: String = row
        .get(0)
        .map_err(|error| corrupt("playbook", "?", error))?;
    let read = || -> Result<PlaybookRow, String> {
        let column = |error: rusqlite::Error| error.to_string();
        let text: String = row.get(2).map_err(column)?;
        let stored = digest(&row.get::<_, Vec<u8>>(3).map_err(column)?)?;
        if Digest::of(text.as_bytes()) != stored {
            return Err("its text has another digest".to_owned());
        }
        let put_at = row.get(5).map_err(column)?;
        Ok(PlaybookRow {
            id: id.clone(),
            modified: row.get(1).map_err(column)?,
            text,
            owner: row.get(4).map_err(column)?,
            put_at: Timestamp::from_microsecond(put_at).map_err(|error| error.to_string())?,
        })
    };
    read().map_err(|message| corrupt("playbook", &id, message))
}
