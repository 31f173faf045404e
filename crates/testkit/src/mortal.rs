//! A store that dies: after a chosen number of writes nothing reaches it any more, as if
//! the process had been killed at that point.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use conche_core::run::Status;
use conche_core::{Digest, EventId};
use conche_core::{RunId, Timestamp};
use conche_store::{
    Accepted, Act, Acts, Append, Catalogue, Change, Claim, Claimed, Cursor, DefinitionText, Error,
    EventFilter, EventRow, Expired, Intake, Journal, Ledger, ListEntry, NodeId, Page, PlaybookPut,
    PlaybookRow, ReactionRow, Retention, RunFilter, RunRow, RunStore, Signal, SignalId,
    StatusCounts, Store, TokenId, TokenRow,
};

/// Passes on to the real store until its writes are used up.
pub struct MortalStore {
    inner: Arc<dyn Store>,
    writes_left: AtomicU64,
    /// Whether the write that kills still happens: death after the commit, before its answer.
    last_one_lands: bool,
}

impl MortalStore {
    /// Dies at the `writes`-th accept or append from now.
    pub fn new(inner: Arc<dyn Store>, writes: u64, last_one_lands: bool) -> Self {
        Self {
            inner,
            writes_left: AtomicU64::new(writes),
            last_one_lands,
        }
    }

    /// Whether it is dead.
    pub fn is_dead(&self) -> bool {
        self.writes_left.load(Ordering::SeqCst) == 0
    }

    /// Counts one write. `Ok(true)`: it is the last and lands, but its answer is lost.
    fn write(&self) -> Result<bool, Error> {
        let used = self
            .writes_left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        match used {
            Err(_) => Err(dead()),
            Ok(1) if self.last_one_lands => Ok(true),
            Ok(1) => Err(dead()),
            Ok(_) => Ok(false),
        }
    }

    fn alive(&self) -> Result<&dyn Store, Error> {
        if self.is_dead() {
            Err(dead())
        } else {
            Ok(&*self.inner)
        }
    }
}

fn dead() -> Error {
    Error::Unavailable("the process was killed".to_owned())
}

#[async_trait]
impl RunStore for MortalStore {
    async fn accept(&self, intake: Intake) -> Result<Vec<Accepted>, Error> {
        let last = self.write()?;
        let accepted = self.inner.accept(intake).await?;
        if last { Err(dead()) } else { Ok(accepted) }
    }

    async fn append(&self, append: Append) -> Result<Vec<Accepted>, Error> {
        let last = self.write()?;
        let emitted = self.inner.append(append).await?;
        if last { Err(dead()) } else { Ok(emitted) }
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>, Error> {
        self.alive()?.claim(claim).await
    }

    async fn signal(
        &self,
        run: RunId,
        signal: Signal,
        expected: Option<u64>,
        now: Timestamp,
    ) -> Result<SignalId, Error> {
        self.alive()?.signal(run, signal, expected, now).await
    }

    async fn signals(&self, run: RunId) -> Result<Vec<(SignalId, Signal)>, Error> {
        self.alive()?.signals(run).await
    }

    async fn quarantine(
        &self,
        run: RunId,
        epoch: u64,
        reason: &str,
        now: Timestamp,
    ) -> Result<Status, Error> {
        self.alive()?.quarantine(run, epoch, reason, now).await
    }

    async fn heartbeat(&self, node: NodeId, until: Timestamp) -> Result<(), Error> {
        self.alive()?.heartbeat(node, until).await
    }

    async fn reap(&self, now: Timestamp) -> Result<u64, Error> {
        self.alive()?.reap(now).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, Error> {
        self.alive()?.next_due().await
    }

    async fn cursor(&self, source: &str) -> Result<Option<String>, Error> {
        self.alive()?.cursor(source).await
    }

    async fn set_cursor(&self, cursor: Cursor) -> Result<(), Error> {
        self.alive()?.set_cursor(cursor).await
    }

    async fn expire(&self, retention: Retention) -> Result<Expired, Error> {
        self.alive()?.expire(retention).await
    }

    async fn close(&self) -> Result<(), Error> {
        Ok(())
    }
}

#[async_trait]
impl Catalogue for MortalStore {
    async fn put_definition(&self, definition: DefinitionText) -> Result<(), Error> {
        self.alive()?.put_definition(definition).await
    }

    async fn definition(&self, digest: Digest) -> Result<DefinitionText, Error> {
        self.alive()?.definition(digest).await
    }

    async fn put_reaction(&self, reaction: ReactionRow) -> Result<(), Error> {
        self.alive()?.put_reaction(reaction).await
    }

    async fn delete_reaction(&self, name: &str) -> Result<bool, Error> {
        self.alive()?.delete_reaction(name).await
    }

    async fn reactions(&self) -> Result<Vec<ReactionRow>, Error> {
        self.alive()?.reactions().await
    }

    async fn put_playbook(&self, put: PlaybookPut) -> Result<bool, Error> {
        self.alive()?.put_playbook(put).await
    }

    async fn delete_playbook(&self, id: &str) -> Result<bool, Error> {
        self.alive()?.delete_playbook(id).await
    }

    async fn playbooks(&self) -> Result<Vec<PlaybookRow>, Error> {
        self.alive()?.playbooks().await
    }

    async fn put_entry(&self, entry: ListEntry) -> Result<(), Error> {
        self.alive()?.put_entry(entry).await
    }

    async fn remove_entry(&self, list: &str, key: &str) -> Result<bool, Error> {
        self.alive()?.remove_entry(list, key).await
    }

    async fn entries(
        &self,
        after: Option<(String, String)>,
        limit: u32,
    ) -> Result<Vec<ListEntry>, Error> {
        self.alive()?.entries(after, limit).await
    }

    async fn event(&self, event: EventId) -> Result<EventRow, Error> {
        self.alive()?.event(event).await
    }

    async fn events(
        &self,
        filter: EventFilter,
        page: Page<EventId>,
    ) -> Result<Vec<EventRow>, Error> {
        self.alive()?.events(filter, page).await
    }

    async fn run(&self, run: RunId) -> Result<RunRow, Error> {
        self.alive()?.run(run).await
    }

    async fn runs(&self, filter: RunFilter, page: Page<RunId>) -> Result<Vec<RunRow>, Error> {
        self.alive()?.runs(filter, page).await
    }

    async fn journal(&self, run: RunId, from: u64) -> Result<Journal, Error> {
        Catalogue::journal(self.alive()?, run, from).await
    }

    async fn counts(&self) -> Result<StatusCounts, Error> {
        self.alive()?.counts().await
    }

    async fn check(&self) -> Result<(), Error> {
        self.alive()?.check().await
    }
}

#[async_trait]
impl Ledger for MortalStore {
    async fn change(&self, change: Change, act: Act) -> Result<bool, Error> {
        self.alive()?.change(change, act).await
    }

    async fn record(&self, act: Act) -> Result<u64, Error> {
        self.alive()?.record(act).await
    }

    async fn tokens(&self) -> Result<Vec<TokenRow>, Error> {
        self.alive()?.tokens().await
    }

    async fn touch_token(&self, token: TokenId, at: Timestamp) -> Result<(), Error> {
        self.alive()?.touch_token(token, at).await
    }

    async fn acts(&self, after: u64, limit: u32) -> Result<Acts, Error> {
        self.alive()?.acts(after, limit).await
    }

    async fn expire_acts(
        &self,
        before: Timestamp,
        limit: u32,
        now: Timestamp,
    ) -> Result<u64, Error> {
        self.alive()?.expire_acts(before, limit, now).await
    }
}
