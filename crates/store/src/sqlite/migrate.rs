//! From the format of a database to the one that this program writes.
//!
//! Each step runs in a transaction of its own together with its number, so that a step that
//! is interrupted never happened. A step that was released is never changed again.

use rusqlite::Connection;

use super::fault::error;
use crate::Error;

/// Every step, in order; the number of a format is the number of steps that led to it.
const STEPS: [&str; 3] = [
    include_str!("migrations/0001_initial.sql"),
    include_str!("migrations/0002_access.sql"),
    include_str!("migrations/0003_storms.sql"),
];

/// The format that this program writes.
pub const FORMAT: u32 = STEPS.len() as u32;

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
