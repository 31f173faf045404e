//! What the engine asks for.

use std::sync::Arc;

use async_trait::async_trait;
use conche_core::run::Status;
use conche_core::{RunId, Timestamp};
use rusqlite::OptionalExtension as _;

use super::SqliteStore;
use super::accept::{Accept, SetCursor};
use super::append::Appending;
use super::claim::{self, Take, Untake};
use super::expire::Expire;
use super::lease::{Heartbeat, Quarantine, Reap};
use super::rows;
use super::signal::Signalling;
use super::storms::NEXT_RIPE;
use crate::{
    Accepted, Append, Claim, Claimed, Cursor, Error, Expired, Intake, NodeId, Retention, RunStore,
    Signal, SignalId,
};

/// When the first unheld run is due.
pub(super) const NEXT_DUE: &str = "SELECT wake FROM runs
     WHERE holder = x'' AND wake IS NOT NULL ORDER BY wake LIMIT 1";

#[async_trait]
impl RunStore for SqliteStore {
    async fn accept(&self, intake: Intake) -> Result<Vec<Accepted>, Error> {
        self.queue.write(Accept::new(intake)?).await
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>, Error> {
        let taken = self.queue.write(Take(claim)).await?;
        if taken.is_empty() {
            return Ok(Vec::new());
        }
        let taken = Arc::new(taken);
        let of_read = Arc::clone(&taken);
        let load = move |connection: &_| claim::load(connection, &of_read);
        match self.readers.read(load).await {
            Ok(claimed) => Ok(claimed),
            Err(error) => {
                // Held by a node that does not know of it, a run would be stuck.
                let taken = taken.to_vec();
                self.queue.write(Untake { claim, taken }).await?;
                Err(error)
            }
        }
    }

    async fn append(&self, append: Append) -> Result<Vec<Accepted>, Error> {
        self.queue.write(Appending::new(append)?).await
    }

    async fn signal(
        &self,
        run: RunId,
        signal: Signal,
        expected: Option<u64>,
        now: Timestamp,
    ) -> Result<SignalId, Error> {
        let signalling = Signalling::new(run, &signal, expected, now)?;
        self.queue.write(signalling).await
    }

    async fn signals(&self, run: RunId) -> Result<Vec<(SignalId, Signal)>, Error> {
        self.readers
            .read(move |connection| rows::signals(connection, run))
            .await
    }

    async fn quarantine(
        &self,
        run: RunId,
        epoch: u64,
        reason: &str,
        now: Timestamp,
    ) -> Result<Status, Error> {
        let quarantine = Quarantine {
            run,
            epoch,
            reason: reason.to_owned(),
            now,
        };
        self.queue.write(quarantine).await
    }

    async fn heartbeat(&self, node: NodeId, until: Timestamp) -> Result<(), Error> {
        self.queue.write(Heartbeat { node, until }).await
    }

    async fn reap(&self, now: Timestamp) -> Result<u64, Error> {
        self.queue.write(Reap(now)).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, Error> {
        let wake: Option<i64> = self
            .readers
            .read(move |connection| {
                let mut next = None;
                for sql in [NEXT_DUE, NEXT_RIPE] {
                    let mut statement = connection.prepare_cached(sql)?;
                    let due: Option<i64> = statement.query_row([], |row| row.get(0)).optional()?;
                    next = next.into_iter().chain(due).min();
                }
                Ok(next)
            })
            .await?;
        // A time that is none is due: the claim then finds out.
        Ok(wake.map(|wake| Timestamp::from_microsecond(wake).unwrap_or(Timestamp::MIN)))
    }

    async fn cursor(&self, source: &str) -> Result<Option<String>, Error> {
        let source = source.to_owned();
        self.readers
            .read(move |connection| {
                let sql = "SELECT value FROM cursors WHERE source = ?1";
                let mut statement = connection.prepare_cached(sql)?;
                Ok(statement.query_row([source], |row| row.get(0)).optional()?)
            })
            .await
    }

    async fn set_cursor(&self, cursor: Cursor) -> Result<(), Error> {
        self.queue.write(SetCursor(cursor)).await
    }

    async fn expire(&self, retention: Retention) -> Result<Expired, Error> {
        let find = move |connection: &_| Expire::find(connection, retention);
        let expire = self.readers.read(find).await?;
        self.queue.write(expire).await
    }

    async fn close(&self) -> Result<(), Error> {
        self.queue.close().await;
        Ok(())
    }
}
