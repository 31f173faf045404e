//! What goes in and out of a store.

use std::collections::BTreeMap;

use conche_core::run::{Answer, Record, Resolution, Status, Summary};
use conche_core::storm::Gates;
use conche_core::{Digest, Event, EventId, Json, RunId, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::storms::{Fate, Note};

/// Names one server process; a new one at every start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeId(pub Uuid);

/// Events to accept in one transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Intake {
    /// Events with the runs that each triggers.
    pub acceptances: Vec<Acceptance>,
    /// Where the source goes on after these.
    pub cursor: Option<Cursor>,
    /// The node that works on the new runs at once; `None` leaves them due.
    pub holder: Option<NodeId>,
    /// The time of acceptance.
    pub now: Timestamp,
}

/// One event with the runs that it triggers.
#[derive(Debug, Clone, PartialEq)]
pub struct Acceptance {
    /// The event.
    pub event: Event,
    /// Its runs; none for an event that nothing reacts to.
    pub runs: Vec<NewRun>,
}

/// A run to be born.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRun {
    /// Its id.
    pub run: RunId,
    /// Its first record: always `Entry::Started`.
    pub first: Record,
    /// What it has to pass to be born; `None` where its reaction has no storm control.
    pub gates: Option<Gates>,
}

/// What became of an acceptance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The stored event: this one, or for a duplicate the one accepted earlier.
    pub event: EventId,
    /// Whether it was accepted before; then its runs were not started again.
    pub duplicate: bool,
    /// What became of each of its runs, in their order; none for a duplicate.
    pub fates: Vec<Fate>,
}

impl Accepted {
    /// An event that was accepted before.
    pub(crate) const fn before(event: EventId) -> Self {
        Self {
            event,
            duplicate: true,
            fates: Vec::new(),
        }
    }
}

/// Where a source resumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The source.
    pub source: String,
    /// What it wants to know at its next start.
    pub value: String,
}

/// A node asks for work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The node.
    pub node: NodeId,
    /// Runs due at or before this time.
    pub now: Timestamp,
    /// Runs at most.
    pub limit: u32,
}

/// A run that a node now holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// The run.
    pub run: RunId,
    /// The fencing epoch: every write must name it.
    pub epoch: u64,
    /// Its journal, or why it cannot be read (then [`crate::RunStore::quarantine`] it).
    pub journal: Result<Vec<Record>, crate::Error>,
    /// The event that triggered it; `None` where there was none or it is gone.
    pub event: Option<Event>,
    /// Signals waiting for it, oldest first.
    pub signals: Vec<(SignalId, Signal)>,
}

/// A piece of a journal.
#[derive(Debug, Clone, PartialEq)]
pub struct Journal {
    /// The version before the first record here.
    pub from: u64,
    /// The records, oldest first.
    pub records: Vec<Record>,
    /// Whether there are records after these: ask again from `from` and as many more.
    pub more: bool,
}

/// More of a journal.
#[derive(Debug, Clone, PartialEq)]
pub struct Append {
    /// The run.
    pub run: RunId,
    /// Who holds it.
    pub node: NodeId,
    /// Under which epoch.
    pub epoch: u64,
    /// How many records the journal has before these.
    pub expected: u64,
    /// What is appended; may be empty where only `next` matters.
    pub records: Vec<Record>,
    /// The run at a glance after them.
    pub summary: Summary,
    /// Whether the run stays held.
    pub next: Next,
    /// Events that the run emits, with the runs that they trigger; duplicates are passed over.
    pub emit: Vec<Acceptance>,
    /// Signals dealt with.
    pub signals: Vec<SignalId>,
    /// The time of the append.
    pub now: Timestamp,
}

/// What becomes of the lease after an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The node keeps the run.
    Hold,
    /// The run is let go, due at this time (at once where signals wait for it).
    Park(Timestamp),
    /// The run is let go and never due by itself (at once where signals wait for it).
    Finish,
}

/// Numbers signals in the order of their arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SignalId(pub i64);

/// A word from outside to a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// End it.
    Cancel {
        /// Who asks.
        by: String,
        /// Why.
        reason: Option<String>,
    },
    /// Go on after *needs attention*.
    Resume {
        /// The visit decided on.
        visit: u32,
        /// The decision.
        resolution: Resolution,
        /// Who decided.
        by: String,
    },
    /// Begin nothing until it is told to go on.
    Pause {
        /// Who asks.
        by: String,
        /// Why.
        reason: Option<String>,
    },
    /// Go on after a pause.
    Unpause {
        /// Who asks.
        by: String,
    },
    /// Go on from a step after the end.
    Retry {
        /// The visit to start from.
        visit: u32,
        /// Who asks.
        by: String,
        /// What tells them from everybody else, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        identity: Option<String>,
    },
    /// Answer what a step asks.
    Answer {
        /// The visit that asks.
        visit: u32,
        /// The answer.
        answer: Answer,
        /// Who answered.
        by: String,
        /// What tells them from everybody else, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        identity: Option<String>,
    },
}

/// A stored version of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionText {
    /// Names this version.
    pub digest: Digest,
    /// `reaction` (later also `playbook`).
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The canonical text that the digest is of.
    pub text: String,
}

impl DefinitionText {
    /// Refuses a text that is not the one its digest names.
    pub(crate) fn check(&self) -> Result<(), crate::Error> {
        match Digest::of(self.text.as_bytes()) {
            of if of == self.digest => Ok(()),
            of => Err(crate::Error::Corrupt {
                kind: "definition",
                name: self.digest.to_string(),
                message: format!("its text has the digest {of}"),
            }),
        }
    }
}

/// A reaction that was put through the API rather than a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReactionRow {
    /// Its name.
    pub name: String,
    /// Its canonical text.
    pub text: String,
    /// When it was put.
    pub updated_at: Timestamp,
}

/// A stored event.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRow {
    /// The event.
    pub event: Event,
    /// When it was accepted.
    pub received_at: Timestamp,
    /// What became of the reactions that it triggered and that did not simply run.
    pub notes: Vec<Note>,
}

/// An entry of a named list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEntry {
    /// The list.
    pub list: String,
    /// Its key within the list.
    pub key: String,
    /// What is kept under it.
    pub value: Json,
    /// When it was put.
    pub put_at: Timestamp,
    /// From when on it counts no more; `None` for one that stays.
    pub expires_at: Option<Timestamp>,
}

impl ListEntry {
    /// Whether it counts at a time.
    pub fn counts(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

/// A run at a glance, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// The run.
    pub run: RunId,
    /// The version of the definition that it follows.
    pub definition: Digest,
    /// The definition's name.
    pub name: String,
    /// The event that triggered it.
    pub event: Option<EventId>,
    /// When it began.
    pub started_at: Timestamp,
    /// At a glance.
    pub summary: Summary,
    /// Records in its journal.
    pub version: u64,
    /// When it is looked at again; `None` while it is held or finished.
    pub due: Option<Timestamp>,
    /// Whether a node is working on it.
    pub held: bool,
}

impl RunRow {
    /// Whether it was taken out of circulation: it needs attention and nothing will look at it
    /// again by itself. A run that waits for a person comes back at its deadline at least.
    pub fn is_put_aside(&self) -> bool {
        self.summary.status == Status::NeedsAttention && !self.held && self.due.is_none()
    }
}

/// How many runs have each status.
pub type StatusCounts = BTreeMap<Status, u64>;

/// What to remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Events accepted before.
    pub events_before: Timestamp,
    /// Runs finished before, with their journals.
    pub runs_before: Timestamp,
    /// Deduplication pairs accepted before.
    pub dedup_before: Timestamp,
    /// What storm control remembers of keys, and entries of lists, that ended before: now.
    pub ended_before: Timestamp,
    /// Rows of each kind at most, so that writers are not held up.
    pub limit: u32,
}

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expired {
    /// Events.
    pub events: u64,
    /// Runs.
    pub runs: u64,
    /// Deduplication pairs.
    pub dedup: u64,
    /// Keys of storm control and entries of lists.
    pub ended: u64,
    /// Definitions that no run and no stored reaction refers to any more. The version put last
    /// under a name stays, since the next event may start a run of it.
    pub definitions: u64,
}
