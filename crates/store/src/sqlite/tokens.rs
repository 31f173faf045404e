//! Stored tokens: few rows, changed by people, read at every look of a server's cache.

use conche_core::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use uuid::Uuid;

use super::fault::{Fault, not_found};
use super::rows::{corrupt, digest, micros};
use super::writer::{Tx, Write};
use crate::{Error, TokenId, TokenRow};

/// Adds a token.
pub(super) fn put(tx: &Tx<'_>, row: &TokenRow) -> Result<(), Fault> {
    let sql = "SELECT EXISTS (SELECT 1 FROM tokens WHERE name = ?1 AND revoked_at IS NULL)";
    let taken: bool = tx
        .connection
        .prepare_cached(sql)?
        .query_row([&row.name], |row| row.get(0))?;
    if taken && row.revoked_at.is_none() {
        let (kind, name) = ("token", row.name.clone());
        return Err(Error::Exists { kind, name }.into());
    }
    tx.execute(
        "INSERT INTO tokens (token, digest, name, role, created_at, created_by, expires_at,
                             last_used, revoked_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            row.token.0.into_bytes(),
            row.digest.as_bytes(),
            row.name,
            row.role,
            micros(row.created_at),
            row.created_by,
            row.expires_at.map(micros),
            row.last_used.map(micros),
            row.revoked_at.map(micros),
        ],
    )?;
    Ok(())
}

/// Revokes a token. Whether it was not revoked before.
pub(super) fn revoke(tx: &Tx<'_>, token: TokenId, at: Timestamp) -> Result<bool, Fault> {
    let key = token.0.into_bytes();
    let revoked: bool = tx
        .connection
        .prepare_cached("SELECT revoked_at IS NOT NULL FROM tokens WHERE token = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()?
        .ok_or_else(|| not_found("token", token))?;
    if !revoked {
        let sql = "UPDATE tokens SET revoked_at = ?2 WHERE token = ?1";
        tx.execute(sql, params![key, micros(at)])?;
    }
    Ok(!revoked)
}

/// Notes that a token was used.
pub(super) struct Touch(pub(super) TokenId, pub(super) Timestamp);

impl Write for Touch {
    type Answer = ();

    fn write(&self, tx: &Tx<'_>) -> Result<(), Fault> {
        tx.execute(
            "UPDATE tokens SET last_used = max(coalesce(last_used, ?2), ?2) WHERE token = ?1",
            params![self.0.0.into_bytes(), micros(self.1)],
        )?;
        Ok(())
    }
}

/// Every token, oldest first. One that cannot be read fails the whole look: a token that was
/// revoked must never be taken for one that is not there.
pub(super) fn tokens(connection: &Connection) -> Result<Vec<TokenRow>, Fault> {
    let sql = "SELECT token, digest, name, role, created_at, created_by, expires_at, last_used,
                      revoked_at
               FROM tokens ORDER BY token";
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = statement.query([])?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        rows.push(read(row)?);
    }
    Ok(rows)
}

fn read(row: &Row<'_>) -> Result<TokenRow, Fault> {
    let key: Vec<u8> = row.get(0)?;
    let id = Uuid::from_slice(&key).map_err(|error| corrupt("token", "?", error))?;
    let bad = |message: String| corrupt("token", id, message);
    let time =
        |micros: i64| Timestamp::from_microsecond(micros).map_err(|error| bad(error.to_string()));
    let optional = |index| -> Result<Option<Timestamp>, Fault> {
        let micros: Option<i64> = row.get(index)?;
        Ok(micros.map(time).transpose()?)
    };
    Ok(TokenRow {
        token: TokenId(id),
        digest: digest(&row.get::<_, Vec<u8>>(1)?).map_err(bad)?,
        name: row.get(2)?,
        role: row.get(3)?,
        created_at: time(row.get(4)?)?,
        created_by: row.get(5)?,
        expires_at: optional(6)?,
        last_used: optional(7)?,
        revoked_at: optional(8)?,
    })
}
