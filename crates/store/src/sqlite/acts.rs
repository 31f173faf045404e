//! The record of what was done by whom: added to at its end, shortened at its front by
//! retention, and read by others while the server writes.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};

use super::fault::{FILE, Fault, error};
use super::folder::connect;
use super::migrate;
use super::rows::{corrupt, digest, micros};
use super::writer::{Tx, Write};
use crate::audit::{Acts, Chain, Mark, Recorded};
use crate::{Act, Error};
use conche_core::Timestamp;

/// Rows that one look gives to who reads all.
const PIECE: u32 = 1000;

/// Adds an act at the end. Gives its number.
pub(super) fn append(tx: &Tx<'_>, act: &Act) -> Result<u64, Fault> {
    let row = Recorded::after(mark(tx.connection, HEAD)?, act.clone().bounded())?;
    tx.execute(
        "INSERT INTO acts (seq, at, text, hash) VALUES (?1, ?2, ?3, ?4)",
        params![
            row.seq.cast_signed(),
            micros(act.at),
            row.text,
            row.hash.as_bytes()
        ],
    )?;
    set_mark(tx, HEAD, row.mark())?;
    Ok(row.seq)
}

/// An act that stands alone.
pub(super) struct Record(pub(super) Act);

impl Write for Record {
    type Answer = u64;

    fn write(&self, tx: &Tx<'_>) -> Result<u64, Fault> {
        append(tx, &self.0)
    }
}

/// Removes what is older than wanted, and tells of it. What is broken is kept, with all after it.
pub(super) struct ExpireActs {
    pub(super) before: Timestamp,
    pub(super) limit: u32,
    pub(super) now: Timestamp,
}

impl Write for ExpireActs {
    type Answer = u64;

    fn write(&self, tx: &Tx<'_>) -> Result<u64, Fault> {
        let before = micros(self.before);
        tx.execute(
            "DELETE FROM tokens WHERE revoked_at < ?1 OR expires_at < ?1",
            [before],
        )?;
        let checkpoint = mark(tx.connection, CHECKPOINT)?;
        let oldest = acts(tx.connection, checkpoint.seq, self.limit)?.rows;
        let mut chain = Chain::new(checkpoint);
        let mut old = 0;
        for row in &oldest {
            // What was changed stays, to be found; its time would be anybody's word.
            if let Err(broken) = chain.check(row) {
                tracing::error!(%broken, "retention removes nothing more of the record of acts");
                break;
            }
            if row.act()?.at >= self.before {
                break;
            }
            old += 1;
        }
        let Some(last) = oldest[..old].last() else {
            return Ok(0);
        };
        let checkpoint = last.mark();
        tx.execute(
            "DELETE FROM acts WHERE seq <= ?1",
            [checkpoint.seq.cast_signed()],
        )?;
        set_mark(tx, CHECKPOINT, checkpoint)?;
        append(tx, &Act::expired(checkpoint, self.now))?;
        Ok(old as u64)
    }
}

const HEAD: &str = "head";
const CHECKPOINT: &str = "checkpoint";

fn mark(connection: &Connection, kind: &'static str) -> Result<Mark, Fault> {
    let found: Option<(i64, Vec<u8>)> = connection
        .prepare_cached("SELECT seq, hash FROM marks WHERE kind = ?1")?
        .query_row([kind], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (seq, hash) = found.ok_or_else(|| corrupt("mark", kind, "it is missing"))?;
    Ok(read_mark(seq, &hash)?)
}

fn read_mark(seq: i64, hash: &[u8]) -> Result<Mark, Error> {
    let bad = |message| corrupt("act", seq, message);
    let hash = digest(hash).map_err(bad)?;
    let seq = u64::try_from(seq).map_err(|_| bad("its number is negative".to_owned()))?;
    Ok(Mark { seq, hash })
}

fn set_mark(tx: &Tx<'_>, kind: &str, mark: Mark) -> rusqlite::Result<usize> {
    tx.execute(
        "UPDATE marks SET seq = ?2, hash = ?3 WHERE kind = ?1",
        params![kind, mark.seq.cast_signed(), mark.hash.as_bytes()],
    )
}

/// Reads acts after a number, oldest first.
pub(super) fn acts(connection: &Connection, after: u64, limit: u32) -> Result<Acts, Fault> {
    let sql = "SELECT seq, text, hash FROM acts WHERE seq > ?1 ORDER BY seq LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let mut found = statement.query(params![after, limit])?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        let (seq, text, hash): (i64, String, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let Mark { seq, hash } = read_mark(seq, &hash)?;
        rows.push(Recorded { seq, text, hash });
    }
    Ok(Acts {
        rows,
        checkpoint: mark(connection, CHECKPOINT)?,
        head: mark(connection, HEAD)?,
    })
}

/// Looks at the record of a data folder that a server may have open at the same time: all as
/// it is at one moment. It changes nothing, and no writer waits for it.
#[derive(Debug)]
pub struct ActsReader(Connection);

impl ActsReader {
    /// Opens a data folder for looking. Blocks.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where there is no store, or one of an older program;
    /// [`Error::TooNew`] for one of a newer.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let database = dir.join(FILE);
        if !database.is_file() {
            let message = format!("there is no {FILE} in {}", dir.display());
            return Err(Error::Unavailable(message));
        }
        let connection = connect(&database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        migrate::check(&connection)?;
        connection.execute_batch("BEGIN").map_err(error)?;
        Ok(Self(connection))
    }

    /// The acts after a number, oldest first: a piece, empty at the end. Blocks.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for a row that is none.
    pub fn piece(&self, after: u64) -> Result<Acts, Error> {
        acts(&self.0, after, PIECE).map_err(|fault| match fault {
            Fault::Refused(refused) => refused,
            Fault::Sql(cause) => error(cause),
        })
    }
}
