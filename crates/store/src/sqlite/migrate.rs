//! From the format of a database to the one that this program writes.
//!
//! Each step runs in a transaction of its own together with its number, so that a step that
//! is interrupted never happened. A step that was released is never changed again.

use rusqlite::Connection;

use super::fault::error;
use crate::Error;

/// Every step, in order; the number of a format is the number of steps that led to it.
const STEPS: [&str; 5] = [
    include_str!("migrations/0001_initial.sql"),
    include_str!("migrations/0002_access.sql"),
    include_str!("migrations/0003_storms.sql"),
    include_str!("migrations/0004_playbooks.sql"),
    include_str!("migrations/0005_openwhisk.sql"),
];

/// The format that this program writes.
pub const FORMAT: u32 = STEPS.len() as u32;

/// The first format with what the embedded OpenWhisk host keeps.
pub(super) const OPENWHISK: u32 = 5;

fn format_of(connection: &Connection) -> Result<u32, Error> {
    connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(error)
}

/// Refuses a database of a newer program; gives the format of any other.
pub(super) fn check(connection: &Connection) -> Result<u32, Error> {
    match format_of(connection)? {
        found if found > FORMAT => Err(Error::TooNew {
            found,
            known: FORMAT,
        }),
        found => Ok(found),
    }
}

/// Brings a database to the current format.
pub(super) fn run(connection: &mut Connection) -> Result<(), Error> {
    let from = check(connection)?;
    for (number, sql) in (1..).zip(STEPS).skip(from as usize) {
        step(connection, number, sql).map_err(error)?;
        tracing::info!(format = number, "the store was brought to a new format");
    }
    Ok(())
}

/// Whether a database has the tables and indexes of its format and nothing else. A trigger or
/// a view in a file of somebody else's would act with every write of ours.
pub(super) fn is_made_here(connection: &Connection, format: u32) -> rusqlite::Result<bool> {
    let known = Connection::open_in_memory()?;
    for sql in STEPS.iter().take(format as usize) {
        known.execute_batch(sql)?;
    }
    Ok(parts(&known)? == parts(connection)?)
}

/// The kind, the name and the text of all that a database is made of.
fn parts(connection: &Connection) -> rusqlite::Result<Vec<(String, String, Option<String>)>> {
    let sql = "SELECT type, name, sql FROM sqlite_schema ORDER BY type, name";
    let mut parts = connection.prepare(sql)?;
    parts
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect()
}

fn step(connection: &mut Connection, number: u32, sql: &str) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(sql)?;
    fail_point!("store::in_migration", |_| Err(
        rusqlite::Error::ExecuteReturnedResults
    ));
    transaction.pragma_update(None, "user_version", number)?;
    fail_point!("store::before_migration_commit");
    transaction.commit()?;
    fail_point!("store::after_migration_commit");
    Ok(())
}
