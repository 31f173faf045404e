//! A store that forgets at its end: for tests, `conche run` and trying things out.
//!
//! Plain maps behind one lock; it keeps everything that `sqlite` keeps and passes the
//! same contract. It must never be offered where events are acknowledged to others.

mod expire;
mod ledger;
mod state;
mod storms;

use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use conche_core::run::Status;
use conche_core::{Digest, EventId, RunId, Timestamp};

use crate::{
    Accepted, Append, Catalogue, Claim, Claimed, Cursor, DefinitionText, Error, EventFilter,
    EventRow, Expired, Intake, JOURNAL_RECORDS_MAX, Journal, ListEntry, NodeId, Page, PlaybookPut,
    PlaybookRow, ReactionRow, Retention, RunFilter, RunRow, RunStore, Signal, SignalId,
    StatusCounts,
};
use state::State;

/// Everything in memory, gone with the value.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Every change checks before it writes, so a panic within one leaves whole state behind
    /// and the lock may be taken again.
    fn open(&self) -> Result<MutexGuard<'_, State>, Error> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return Err(Error::Unavailable("it was closed".to_owned()));
        }
        Ok(state)
    }
}

#[async_trait]
impl RunStore for MemoryStore {
    async fn accept(&self, intake: Intake) -> Result<Vec<Accepted>, Error> {
        let mut state = self.open()?;
        let plan = state.plan(&intake.acceptances)?;
        if let Some(cursor) = intake.cursor {
            state.cursors.insert(cursor.source, cursor.value);
        }
        Ok(state.take_in(intake.acceptances, plan, intake.holder, intake.now))
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>, Error> {
        Ok(self.open()?.claim(claim))
    }

    async fn append(&self, append: Append) -> Result<Vec<Accepted>, Error> {
        self.open()?.append(append)
    }

    async fn signal(
        &self,
        run: RunId,
        signal: Signal,
        expected: Option<u64>,
        now: Timestamp,
    ) -> Result<SignalId, Error> {
        self.open()?.signal(run, signal, expected, now)
    }

    async fn signals(&self, run: RunId) -> Result<Vec<(SignalId, Signal)>, Error> {
        Ok(self.open()?.signals_of(run))
    }

    async fn quarantine(
        &self,
        run: RunId,
        epoch: u64,
        reason: &str,
        now: Timestamp,
    ) -> Result<Status, Error> {
        self.open()?.quarantine(run, epoch, reason, now)
    }

    async fn heartbeat(&self, node: NodeId, until: Timestamp) -> Result<(), Error> {
        self.open()?.nodes.insert(node, until);
        Ok(())
    }

    async fn reap(&self, now: Timestamp) -> Result<u64, Error> {
        Ok(self.open()?.reap(now))
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, Error> {
        let state = self.open()?;
        let due = state.due.first().map(|(due, _)| *due);
        Ok(due.into_iter().chain(state.next_ripe()).min())
    }

    async fn cursor(&self, source: &str) -> Result<Option<String>, Error> {
        Ok(self.open()?.cursors.get(source).cloned())
    }

    async fn set_cursor(&self, cursor: Cursor) -> Result<(), Error> {
        self.open()?.cursors.insert(cursor.source, cursor.value);
        Ok(())
    }

    async fn expire(&self, retention: Retention) -> Result<Expired, Error> {
        Ok(self.open()?.expire(retention))
    }

    async fn close(&self) -> Result<(), Error> {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .closed = true;
        Ok(())
    }
}

#[async_trait]
impl Catalogue for MemoryStore {
    async fn put_definition(&self, definition: DefinitionText) -> Result<(), Error> {
        definition.check()?;
        self.open()?.put_definition(definition);
        Ok(())
    }

    async fn definition(&self, digest: Digest) -> Result<DefinitionText, Error> {
        let state = self.open()?;
        let (_, definition) = state
            .definitions
            .get(&digest)
            .ok_or_else(|| not_found("definition", digest))?;
        Ok(definition.clone())
    }

    async fn put_reaction(&self, reaction: ReactionRow) -> Result<(), Error> {
        self.open()?
            .reactions
            .insert(reaction.name.clone(), reaction);
        Ok(())
    }

    async fn delete_reaction(&self, name: &str) -> Result<bool, Error> {
        Ok(self.open()?.reactions.remove(name).is_some())
    }

    async fn reactions(&self) -> Result<Vec<ReactionRow>, Error> {
        Ok(self.open()?.reactions.values().cloned().collect())
    }

    async fn put_playbook(&self, put: PlaybookPut) -> Result<bool, Error> {
        let PlaybookPut { row, replace } = put;
        let key = (row.id.clone(), row.modified.clone());
        let mut state = self.open()?;
        match state.playbooks.get(&key) {
            Some(there) if there.text == row.text => return Ok(false),
            Some(_) if !replace => return Err(row.exists()),
            Some(_) | None => {}
        }
        state.playbooks.insert(key, row);
        Ok(true)
    }

    async fn delete_playbook(&self, id: &str) -> Result<bool, Error> {
        let mut state = self.open()?;
        let before = state.playbooks.len();
        state.playbooks.retain(|(of, _), _| of != id);
        Ok(state.playbooks.len() < before)
    }

    async fn playbooks(&self) -> Result<Vec<PlaybookRow>, Error> {
        Ok(self.open()?.playbooks.values().cloned().collect())
    }

    async fn put_entry(&self, entry: ListEntry) -> Result<(), Error> {
        let key = (entry.list.clone(), entry.key.clone());
        self.open()?.lists.insert(key, entry);
        Ok(())
    }

    async fn remove_entry(&self, list: &str, key: &str) -> Result<bool, Error> {
        let key = (list.to_owned(), key.to_owned());
        Ok(self.open()?.lists.remove(&key).is_some())
    }

    async fn entries(
        &self,
        after: Option<(String, String)>,
        limit: u32,
    ) -> Result<Vec<ListEntry>, Error> {
        let state = self.open()?;
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let found = state.lists.range((start, Bound::Unbounded));
        let found = found.map(|(_, entry)| entry.clone());
        Ok(found.take(limit as usize).collect())
    }

    async fn event(&self, event: EventId) -> Result<EventRow, Error> {
        let state = self.open()?;
        let row = state.events.get(&event);
        row.cloned().ok_or_else(|| not_found("event", event))
    }

    async fn events(
        &self,
        filter: EventFilter,
        page: Page<EventId>,
    ) -> Result<Vec<EventRow>, Error> {
        let wanted = |row: &&EventRow| {
            filter
                .event_type
                .as_ref()
                .is_none_or(|wanted| row.event.event_type == *wanted)
                && filter
                    .source
                    .as_ref()
                    .is_none_or(|wanted| row.event.source == *wanted)
                && filter.since.is_none_or(|since| row.received_at >= since)
        };
        let state = self.open()?;
        let older = state.events.iter().rev();
        let older = older.filter(|(id, _)| page.before.is_none_or(|before| **id < before));
        Ok(older
            .map(|(_, row)| row)
            .filter(wanted)
            .take(page.limit as usize)
            .cloned()
            .collect())
    }

    async fn run(&self, run: RunId) -> Result<RunRow, Error> {
        let state = self.open()?;
        state
            .runs
            .get(&run)
            .map(|stored| stored.row(run))
            .ok_or_else(|| not_found("run", run))
    }

    async fn runs(&self, filter: RunFilter, page: Page<RunId>) -> Result<Vec<RunRow>, Error> {
        let wanted = |row: &RunRow| {
            filter
                .status
                .is_none_or(|wanted| row.summary.status == wanted)
                && filter
                    .name
                    .as_ref()
                    .is_none_or(|wanted| row.name == *wanted)
                && filter.event.is_none_or(|wanted| row.event == Some(wanted))
        };
        let state = self.open()?;
        let older = state.runs.iter().rev();
        let older = older.filter(|(id, _)| page.before.is_none_or(|before| **id < before));
        Ok(older
            .map(|(id, stored)| stored.row(*id))
            .filter(wanted)
            .take(page.limit as usize)
            .collect())
    }

    async fn journal(&self, run: RunId, from: u64) -> Result<Journal, Error> {
        let state = self.open()?;
        let stored = state.runs.get(&run).ok_or_else(|| not_found("run", run))?;
        let start = usize::try_from(from).unwrap_or(usize::MAX);
        let rest = stored.journal.get(start..).unwrap_or_default();
        Ok(Journal {
            from,
            records: rest[..rest.len().min(JOURNAL_RECORDS_MAX)].to_vec(),
            more: rest.len() > JOURNAL_RECORDS_MAX,
        })
    }

    async fn counts(&self) -> Result<StatusCounts, Error> {
        let state = self.open()?;
        let mut counts = StatusCounts::new();
        for stored in state.runs.values() {
            *counts.entry(stored.summary.status).or_default() += 1;
        }
        Ok(counts)
    }

    async fn check(&self) -> Result<(), Error> {
        self.open().map(|_| ())
    }
}

fn not_found(kind: &'static str, name: impl ToString) -> Error {
    Error::NotFound {
        kind,
        name: name.to_string(),
    }
}
