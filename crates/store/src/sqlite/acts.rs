//! The record of what was done by whom: added to at its end, shortened at its front by
//! retention, and read by others while the server writes.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::fault::{FILE, Fault, error};
use super::folder::connect;
use super::rows::{corrupt, digest, micros};
use super::writer::{Tx, Write};
use crate::audit::{Acts, Broken, Chain, Mark, Recorded};
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

/// Removes what is older than wanted, and tells of it.
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
        let old = tx
            .connection
            .prepare_cached("SELECT seq, at, hash FROM acts ORDER BY seq LIMIT ?1")?
            .query_map([self.limit], |row| {
                Ok((row.get(0)?, row.get::<_, i64>(1)?, row.get(2)?))
            })?
            .take_while(|row| row.as_ref().map_or(true, |(_, at, _)| *at < before))
            .collect::<rusqlite::Result<Vec<(i64, i64, Vec<u8>)>>>()?;
        let Some((seq, _, hash)) = old.last() else {
            return Ok(0);
        };
        let checkpoint = read_mark(*seq, hash)?;
        tx.execute("DELETE FROM acts WHERE seq <= ?1", [seq])?;
        set_mark(tx, CHECKPOINT, checkpoint)?;
        append(tx, &Act::expired(checkpoint, self.now))?;
        Ok(old.len() as u64)
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

/// Looks at the record of a data folder that a server may have open at the same time. It
/// changes nothing and takes no lock that a server would wait for.
#[derive(Debug)]
pub struct ActsReader(Connection);

/// What a check of a whole record found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The last row that retention removed; number 0 where it removed none.
    pub checkpoint: Mark,
    /// The last row.
    pub head: Mark,
    /// The first row that is not as it was written.
    pub broken: Option<Broken>,
}

impl ActsReader {
    /// Opens a data folder for looking.
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
        let connection = connect(&database, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        super::migrate::check(&connection)?;
        Ok(Self(connection))
    }

    /// Gives every row to `each`, oldest first, all as they are at one moment.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for a row that cannot be read; whatever `each` fails with.
    pub fn each<E: From<Error>>(
        &self,
        mut each: impl FnMut(&Recorded) -> Result<(), E>,
    ) -> Result<(), E> {
        let snapshot = self.0.unchecked_transaction().map_err(error)?;
        let mut after = 0;
        loop {
            let piece = acts(&snapshot, after, PIECE).map_err(plain)?;
            if piece.rows.is_empty() {
                return Ok(());
            }
            for row in &piece.rows {
                each(row)?;
                after = row.seq;
            }
        }
    }

    /// Checks the whole record as it is at one moment.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for a row that cannot be read at all.
    pub fn verify(&self) -> Result<Verified, Error> {
        let snapshot = self.0.unchecked_transaction().map_err(error)?;
        let Acts {
            checkpoint, head, ..
        } = acts(&snapshot, 0, 0).map_err(plain)?;
        let mut chain = Chain::new(checkpoint);
        let broken = loop {
            let piece = acts(&snapshot, chain.last().seq, PIECE).map_err(plain)?;
            if piece.rows.is_empty() {
                break chain.end(head).err();
            }
            if let Err(broken) = piece.rows.iter().try_for_each(|row| chain.check(row)) {
                break Some(broken);
            }
        };
        Ok(Verified {
            checkpoint,
            head,
            broken,
        })
    }
}

fn plain(fault: Fault) -> Error {
    match fault {
        Fault::Refused(refused) => refused,
        Fault::Sql(cause) => error(cause),
    }
}
