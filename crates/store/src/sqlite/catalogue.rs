//! What the API, the CLI and the loader of reactions ask for.

use std::sync::Arc;

use async_trait::async_trait;
use conche_core::{Digest, EventId, RunId};

use super::SqliteStore;
use super::definitions::{self, DeleteReaction, PutDefinition, PutReaction};
use super::fault::Fault;
use super::lists::{self, PutEntry, RemoveEntry};
use super::playbooks::{self, DeletePlaybook, PutPlaybook};
use super::writer::{Tx, Write};
use super::{list, rows};
use crate::{
    Catalogue, DefinitionText, Error, EventFilter, EventRow, Journal, ListEntry, Page, PlaybookPut,
    PlaybookRow, ReactionRow, RunFilter, RunRow, StatusCounts,
};

#[async_trait]
impl Catalogue for SqliteStore {
    async fn put_definition(&self, definition: DefinitionText) -> Result<(), Error> {
        definition.check()?;
        self.queue.write(PutDefinition(definition)).await
    }

    async fn definition(&self, digest: Digest) -> Result<DefinitionText, Error> {
        self.readers
            .read(move |connection| definitions::definition(connection, digest))
            .await
    }

    async fn put_reaction(&self, reaction: ReactionRow) -> Result<(), Error> {
        self.queue.write(PutReaction(reaction)).await
    }

    async fn delete_reaction(&self, name: &str) -> Result<bool, Error> {
        self.queue.write(DeleteReaction(name.to_owned())).await
    }

    async fn reactions(&self) -> Result<Vec<ReactionRow>, Error> {
        self.readers.read(definitions::reactions).await
    }

    async fn put_playbook(&self, put: PlaybookPut) -> Result<bool, Error> {
        self.queue.write(PutPlaybook(put)).await
    }

    async fn delete_playbook(&self, id: &str) -> Result<bool, Error> {
        self.queue.write(DeletePlaybook(id.to_owned())).await
    }

    async fn playbooks(&self) -> Result<Vec<PlaybookRow>, Error> {
        self.readers.read(playbooks::playbooks).await
    }

    async fn put_entry(&self, entry: ListEntry) -> Result<(), Error> {
        self.queue.write(PutEntry(entry)).await
    }

    async fn remove_entry(&self, list: &str, key: &str) -> Result<bool, Error> {
        let (list, key) = (list.to_owned(), key.to_owned());
        self.queue.write(RemoveEntry { list, key }).await
    }

    async fn entries(
        &self,
        after: Option<(String, String)>,
        limit: u32,
    ) -> Result<Vec<ListEntry>, Error> {
        self.readers
            .read(move |connection| lists::entries(connection, after, limit))
            .await
    }

    async fn event(&self, event: EventId) -> Result<EventRow, Error> {
        self.readers
            .read(move |connection| list::event(connection, event))
            .await
    }

    async fn events(
        &self,
        filter: EventFilter,
        page: Page<EventId>,
    ) -> Result<Vec<EventRow>, Error> {
        self.readers
            .read(move |connection| list::events(connection, filter, page))
            .await
    }

    async fn run(&self, run: RunId) -> Result<RunRow, Error> {
        self.readers
            .read(move |connection| list::run(connection, run))
            .await
    }

    async fn runs(&self, filter: RunFilter, page: Page<RunId>) -> Result<Vec<RunRow>, Error> {
        self.readers
            .read(move |connection| list::runs(connection, filter, page))
            .await
    }

    async fn journal(&self, run: RunId, from: u64) -> Result<Journal, Error> {
        self.readers
            .read(move |connection| {
                list::run(connection, run)?;
                rows::journal(connection, run, from, rows::Most::PIECE)
            })
            .await
    }

    async fn counts(&self) -> Result<StatusCounts, Error> {
        self.readers.read(list::counts).await
    }

    async fn check(&self) -> Result<(), Error> {
        self.queue.write(Probe).await?;
        if self.shared.refusing().is_some() {
            let shared = Arc::clone(&self.shared);
            let look = move || {
                shared.probe_room()?;
                shared.set_refusing(None);
                Ok(())
            };
            let looked = tokio::task::spawn_blocking(look).await;
            looked.map_err(|error| Error::Unavailable(error.to_string()))??;
        }
        Ok(())
    }
}

/// Pages that must be left for the store to count as writable.
const ROOM: i64 = 8;

/// A smallest change, committed like any other.
struct Probe;

impl Write for Probe {
    type Answer = ();

    fn write(&self, tx: &Tx<'_>) -> Result<(), Fault> {
        let pragma = |name| -> rusqlite::Result<i64> {
            tx.connection
                .pragma_query_value(None, name, |row| row.get(0))
        };
        let used = pragma("page_count")? - pragma("freelist_count")?;
        let limit = pragma("max_page_count")?;
        if limit - used < ROOM {
            let message = format!("{used} of {limit} pages are used");
            return Err(Error::Full(message).into());
        }
        tx.execute("UPDATE meta SET value = value + 1 WHERE key = 'probe'", [])?;
        Ok(())
    }
}
