//! Durable truth: events, runs and their journals, definitions, cursors, tokens and acts.
//!
//! Three traits by consumer: [`RunStore`] for the engine, [`Catalogue`] for those who look,
//! [`Ledger`] for who may call and what they did.
//! Times are kept to the microsecond. Backends hold no rules: which entry may follow which is decided in `conche-core`,
//! and a check of that in SQL would be a bug. Every backend passes the same suite, [`contract`].

mod aside;
mod birth;
mod error;
mod page;
mod playbooks;
mod storms;
mod tokens;
mod types;

pub mod audit;
pub mod contract;
pub mod functions;
pub mod memory;
pub mod sqlite;

use async_trait::async_trait;
use conche_core::run::{Record, Status};
use conche_core::{Digest, EventId, RunId, Timestamp};

pub use audit::{Act, Acts, Recorded, Who};
pub use error::Error;
pub use page::{EventFilter, Page, RunFilter};
pub use playbooks::{PlaybookPut, PlaybookRow};
pub use storms::{Fate, Note};
pub use tokens::{Change, TokenId, TokenRow};
pub use types::{
    Acceptance, Accepted, Append, Claim, Claimed, Cursor, DefinitionText, EventRow, Expired,
    Intake, Journal, ListEntry, NewRun, Next, NodeId, ReactionRow, Retention, RunRow, Signal,
    SignalId, StatusCounts,
};

/// Records that one look at a journal gives.
pub const JOURNAL_RECORDS_MAX: usize = 500;

/// Bytes of stored text after which one look at a journal gives no further append.
pub const JOURNAL_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What the engine needs. Every method is one transaction: after an error nothing of it
/// happened; after success all of it is on disk (`sqlite`) and survives loss of power.
#[async_trait]
pub trait RunStore: Send + Sync {
    /// Accepts events with the runs that they trigger and the cursor of their source.
    ///
    /// An event whose `(source, id)` was accepted within the deduplication window is not
    /// stored again and starts no runs; its answer names the event accepted then. With
    /// [`Intake::holder`] the new runs are born held by that node (epoch 1), else they are due at once.
    /// A run that has gates is born, suppressed or left waiting as `conche_core::storm` decides,
    /// in the same transaction; a duplicate counts for nothing.
    /// The answers are in the order of the acceptances; the same pair twice in one intake is a duplicate too.
    async fn accept(&self, intake: Intake) -> Result<Vec<Accepted>, Error>;

    /// Takes up to `limit` due, unheld runs for a node, earliest due first, each with a higher
    /// epoch than before, its journal and the signals waiting for it. Runs that waited for more
    /// events and whose time has come are born first, due now.
    async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>, Error>;

    /// Appends to the journal of a run held under `(node, epoch)` at the expected version.
    /// Also stores the run's summary, releases it as [`Append::next`] says, accepts
    /// the events that the run emits, and removes the signals that were dealt with. The answers
    /// are about the emitted events, in their order.
    ///
    /// # Errors
    /// [`Error::Fenced`] when another holds the run now; [`Error::Conflict`] when the version is another.
    async fn append(&self, append: Append) -> Result<Vec<Accepted>, Error>;

    /// Leaves a word for a run and makes it due. A run that is held gets it at its next claim;
    /// releasing a run with signals waiting leaves it due at once.
    ///
    /// With `expected` it is taken only while the run's journal has that version and no other
    /// signal waits for it, so that of several who act on the same state one does.
    ///
    /// # Errors
    /// [`Error::Conflict`] where the version is another or a signal waits already.
    async fn signal(
        &self,
        run: RunId,
        signal: Signal,
        expected: Option<u64>,
        now: Timestamp,
    ) -> Result<SignalId, Error>;

    /// The signals waiting for a run, oldest first.
    async fn signals(&self, run: RunId) -> Result<Vec<(SignalId, Signal)>, Error>;

    /// Takes a run whose journal cannot be folded out of circulation: it needs attention,
    /// with this reason, and is never due by itself. Signals waiting for it are removed: such
    /// a run can heed none, but one that cancels ends it. Gives what became of it.
    async fn quarantine(
        &self,
        run: RunId,
        epoch: u64,
        reason: &str,
        now: Timestamp,
    ) -> Result<Status, Error>;

    /// Says that the node is alive until this time. Its runs stay its own until then. A node
    /// that never said so counts as dead, so this comes before its first claim.
    async fn heartbeat(&self, node: NodeId, until: Timestamp) -> Result<(), Error>;

    /// Frees the runs of nodes whose time is over; they are due at once. Returns how many.
    async fn reap(&self, now: Timestamp) -> Result<u64, Error>;

    /// When the next unheld run is due or to be born; the past for one that is due already.
    async fn next_due(&self) -> Result<Option<Timestamp>, Error>;

    /// Where a source resumes.
    async fn cursor(&self, source: &str) -> Result<Option<String>, Error>;

    /// Stores where a source resumes, apart from any event.
    async fn set_cursor(&self, cursor: Cursor) -> Result<(), Error>;

    /// Removes what is older than wanted, at most [`Retention::limit`] rows of each kind.
    /// An event stays as long as an unfinished run needs it.
    async fn expire(&self, retention: Retention) -> Result<Expired, Error>;

    /// Ends the store: what was asked before is finished, what comes after is [`Error::Unavailable`],
    /// but for closing it again.
    async fn close(&self) -> Result<(), Error>;
}

/// What the API, the CLI and the loader of reactions need. Lists are newest first and
/// paged by key, so that a page costs the same wherever it lies.
#[async_trait]
pub trait Catalogue: Send + Sync {
    /// Stores a version of a definition and makes it the current one of its name; a text that
    /// is there already stays as it is.
    async fn put_definition(&self, definition: DefinitionText) -> Result<(), Error>;

    /// A version of a definition.
    async fn definition(&self, digest: Digest) -> Result<DefinitionText, Error>;

    /// Stores a reaction under its name, replacing the one of that name.
    async fn put_reaction(&self, reaction: ReactionRow) -> Result<(), Error>;

    /// Removes a reaction. Whether there was one.
    async fn delete_reaction(&self, name: &str) -> Result<bool, Error>;

    /// Every stored reaction by name.
    async fn reactions(&self) -> Result<Vec<ReactionRow>, Error>;

    /// Stores a version of a playbook. Whether anything changed: the same text once more does not.
    ///
    /// # Errors
    /// [`Error::Exists`] where the version is there with another text, unless it is to be replaced.
    async fn put_playbook(&self, put: PlaybookPut) -> Result<bool, Error>;

    /// Removes every version of a playbook. Whether there was one.
    async fn delete_playbook(&self, id: &str) -> Result<bool, Error>;

    /// Every stored version of every playbook, by id and time of modification.
    async fn playbooks(&self) -> Result<Vec<PlaybookRow>, Error>;

    /// Puts an entry into a list, replacing the one of its key.
    async fn put_entry(&self, entry: ListEntry) -> Result<(), Error>;

    /// Takes an entry out of a list. Whether there was one.
    async fn remove_entry(&self, list: &str, key: &str) -> Result<bool, Error>;

    /// Entries of all lists, also those that are over, by list and key, after the one named.
    async fn entries(
        &self,
        after: Option<(String, String)>,
        limit: u32,
    ) -> Result<Vec<ListEntry>, Error>;

    /// One event.
    async fn event(&self, event: EventId) -> Result<EventRow, Error>;

    /// Events, newest first.
    async fn events(
        &self,
        filter: EventFilter,
        page: Page<EventId>,
    ) -> Result<Vec<EventRow>, Error>;

    /// One run at a glance.
    async fn run(&self, run: RunId) -> Result<RunRow, Error>;

    /// Runs, newest first.
    async fn runs(&self, filter: RunFilter, page: Page<RunId>) -> Result<Vec<RunRow>, Error>;

    /// The journal of a run from a version on (0 for the beginning): a piece of at most
    /// [`JOURNAL_RECORDS_MAX`] records; a backend that reads them from disk ends it sooner,
    /// once it has [`JOURNAL_BYTES_MAX`] bytes.
    async fn journal(&self, run: RunId, from: u64) -> Result<Journal, Error>;

    /// The whole journal of a run, read piece by piece. As large as `limits.run_bytes` and
    /// `limits.steps_per_run` let it become: only for those who fold it.
    async fn whole_journal(&self, run: RunId) -> Result<Vec<Record>, Error> {
        let mut records = Vec::new();
        loop {
            let piece = self.journal(run, records.len() as u64).await?;
            let over = !piece.more || piece.records.is_empty();
            records.extend(piece.records);
            if over {
                return Ok(records);
            }
        }
    }

    /// How many runs have each status.
    async fn counts(&self) -> Result<StatusCounts, Error>;

    /// Fails where the store cannot be written, e.g. on a full disk; for `/readyz`. Cheap while
    /// all is well. After a change could not be committed it fails until it has itself found
    /// that there is room again, so it must be called from time to time.
    async fn check(&self) -> Result<(), Error>;
}

/// Who may call, and the record of what was done by whom.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Carries out a change and records it: both or neither. Where there is nothing to change
    /// (no such reaction, a playbook that is there, a token revoked before) nothing is recorded and the answer is false.
    ///
    /// # Errors
    /// Those of the change; [`Error::Exists`] for a token whose name another has that is not
    /// revoked; [`Error::NotFound`] for one to revoke that is not there.
    async fn change(&self, change: Change, act: Act) -> Result<bool, Error>;

    /// Records an act that changes nothing here. Gives its number.
    async fn record(&self, act: Act) -> Result<u64, Error>;

    /// Every token, oldest first, also those that are over.
    async fn tokens(&self) -> Result<Vec<TokenRow>, Error>;

    /// Notes that a token was used; one that is not there is passed over.
    async fn touch_token(&self, token: TokenId, at: Timestamp) -> Result<(), Error>;

    /// The acts after a number (0 for the beginning), oldest first, at most `limit`.
    async fn acts(&self, after: u64, limit: u32) -> Result<Acts, Error>;

    /// Removes the oldest acts up to the first that is not older than `before`, at most
    /// `limit`, and tokens that ended before it. Where acts are removed the chain keeps the
    /// hash of the last of them, and an act of `now` tells of it. Gives how many.
    async fn expire_acts(
        &self,
        before: Timestamp,
        limit: u32,
        now: Timestamp,
    ) -> Result<u64, Error>;
}

/// A whole store.
pub trait Store: RunStore + Catalogue + Ledger {}

impl<T: RunStore + Catalogue + Ledger> Store for T {}
