//! How many runs there are by status and by definition. Collected while a batch runs and
//! written once at its end, so that a batch of 256 changes a few rows, not 512.

use std::cell::RefCell;
use std::collections::BTreeMap;

use conche_core::run::Status;
use rusqlite::{Connection, params};

/// Runs with a status.
pub(super) const STATUS: &str = "status";
/// Runs of a version of a definition.
pub(super) const DEFINITION: &str = "definition";

/// Changes not written yet.
#[derive(Debug, Default)]
pub(super) struct Tallies {
    changes: RefCell<BTreeMap<(&'static str, Vec<u8>), i64>>,
}

impl Tallies {
    /// Counts runs of a status.
    pub(super) fn status(&self, status: Status, change: i64) {
        self.add(STATUS, status.as_str().as_bytes(), change);
    }

    /// Counts runs of a version of a definition.
    pub(super) fn definition(&self, digest: &[u8], change: i64) {
        self.add(DEFINITION, digest, change);
    }

    pub(super) fn add(&self, kind: &'static str, key: &[u8], change: i64) {
        let mut changes = self.changes.borrow_mut();
        *changes.entry((kind, key.to_vec())).or_default() += change;
    }

    /// Writes what was counted.
    pub(super) fn flush(&self, connection: &Connection) -> rusqlite::Result<()> {
        let changes = self.changes.take();
        for ((kind, key), change) in changes.iter().filter(|(_, change)| **change != 0) {
            connection
                .prepare_cached(
                    "INSERT INTO tallies (kind, key, count) VALUES (?1, ?2, ?3)
                     ON CONFLICT (kind, key) DO UPDATE SET count = count + excluded.count",
                )?
                .execute(params![kind, key, change])?;
        }
        Ok(())
    }

    /// Forgets what was counted in a transaction that was rolled back.
    pub(super) fn clear(&self) {
        self.changes.borrow_mut().clear();
    }
}
