//! Definitions and reactions: few rows, changed by people.

use conche_core::Digest;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::fault::{Fault, not_found};
use super::rows::{corrupt, digest, micros};
use super::writer::{Tx, Write};
use crate::{DefinitionText, Error, ReactionRow};
use conche_core::Timestamp;

/// Stores a version of a definition.
pub(super) struct PutDefinition(pub(super) DefinitionText);

impl Write for PutDefinition {
    type Answer = ();

    fn write(&self, tx: &Tx<'_>) -> Result<(), Fault> {
        let DefinitionText {
            digest,
            kind,
            name,
            text,
        } = &self.0;
        tx.execute(
            "INSERT INTO definitions (digest, kind, name, text, put)
             VALUES (?1, ?2, ?3, ?4, (SELECT coalesce(max(put), 0) + 1 FROM definitions))
             ON CONFLICT (digest) DO UPDATE SET put = excluded.put",
            params![digest.as_bytes(), kind, name, text],
        )?;
        Ok(())
    }
}

/// Reads a version of a definition.
pub(super) fn definition(connection: &Connection, digest: Digest) -> Result<DefinitionText, Fault> {
    let read = |row: &rusqlite::Row<'_>| {
        Ok(DefinitionText {
            digest,
            kind: row.get(0)?,
            name: row.get(1)?,
            text: row.get(2)?,
        })
    };
    let found = connection
        .prepare_cached("SELECT kind, name, text FROM definitions WHERE digest = ?1")?
        .query_row([digest.as_bytes()], |row| Ok(read(row)))
        .optional()?
        .ok_or_else(|| not_found("definition", digest))?;
    let damaged = |message: String| Fault::Refused(corrupt("definition", digest, message));
    let found = found.map_err(|error: rusqlite::Error| damaged(error.to_string()))?;
    match Digest::of(found.text.as_bytes()) {
        of if of == digest => Ok(found),
        of => Err(damaged(format!("its text has the digest {of}"))),
    }
}

/// Stores a reaction under its name.
pub(super) struct PutReaction(pub(super) ReactionRow);

impl Write for PutReaction {
    type Answer = ();

    fn write(&self, tx: &Tx<'_>) -> Result<(), Fault> {
        let row = &self.0;
        let digest = Digest::of(row.text.as_bytes());
        tx.execute(
            "INSERT INTO reactions (name, text, digest, updated_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (name) DO UPDATE
             SET text = excluded.text, digest = excluded.digest, updated_at = excluded.updated_at",
            params![
                row.name,
                row.text,
                digest.as_bytes(),
                micros(row.updated_at)
            ],
        )?;
        Ok(())
    }
}

/// Removes a reaction by name.
pub(super) struct DeleteReaction(pub(super) String);

impl Write for DeleteReaction {
    type Answer = bool;

    fn write(&self, tx: &Tx<'_>) -> Result<bool, Fault> {
        let removed = tx.execute("DELETE FROM reactions WHERE name = ?1", [&self.0])?;
        Ok(removed > 0)
    }
}

/// Every reaction by name; one that cannot be read is left out, and told.
pub(super) fn reactions(connection: &Connection) -> Result<Vec<ReactionRow>, Fault> {
    let sql = "SELECT name, text, digest, updated_at FROM reactions ORDER BY name";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut reactions = Vec::new();
    while let Some(row) = rows.next()? {
        match reaction(row) {
            Ok(reaction) => reactions.push(reaction),
            Err(error) => tracing::error!(%error, "a stored reaction is left out"),
        }
    }
    Ok(reactions)
}

fn reaction(row: &rusqlite::Row<'_>) -> Result<ReactionRow, Error> {
    let name: String = row
        .get(0)
        .map_err(|error| corrupt("reaction", "?", error))?;
    let read = || -> Result<ReactionRow, String> {
        let column = |error: rusqlite::Error| error.to_string();
        let text: String = row.get(1).map_err(column)?;
        let stored = digest(&row.get::<_, Vec<u8>>(2).map_err(column)?)?;
        if Digest::of(text.as_bytes()) != stored {
            return Err("its text has another digest".to_owned());
        }
        let micros = row.get(3).map_err(column)?;
        let updated_at = Timestamp::from_microsecond(micros).map_err(|error| error.to_string())?;
        Ok(ReactionRow {
            name: name.clone(),
            text,
            updated_at,
        })
    };
    read().map_err(|message| corrupt("reaction", &name, message))
}
