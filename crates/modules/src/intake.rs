//! The way in: what a source hands to the engine.

use std::time::Duration;

use async_trait::async_trait;
use conche_core::{EventId, Json, Timestamp};

use crate::action::Answer;

/// Takes events in. When a call returns `Ok`, the events are on disk with the runs that they
/// trigger; only then may a sender be told so. Full queues make the caller wait, or answer
/// [`Refusal::Busy`]: nothing is ever dropped silently.
#[async_trait]
pub trait Intake: Send + Sync {
    /// Accepts events of one source, in order, with the source's new cursor, in one transaction.
    async fn accept(&self, batch: Batch) -> Result<Vec<Receipt>, Refusal>;

    /// Accepts one event and waits until a run's `respond` action answers it, at most so long.
    async fn ask(&self, source: &str, event: NewEvent, timeout: Duration)
    -> Result<Asked, Refusal>;

    /// Accepts one event and gathers what the runs that it triggers answer, the first answer of
    /// each: until every one has answered or ended, or an answer `settles` the matter, at most
    /// so long. Nobody else's answer counts.
    async fn consult(
        &self,
        source: &str,
        event: NewEvent,
        timeout: Duration,
        settles: Settles<'_>,
    ) -> Result<Consulted, Refusal>;

    /// Who listens to events of a type.
    fn audience(&self, event_type: &str) -> Audience;

    /// Where the source left off.
    async fn cursor(&self, source: &str) -> Result<Option<String>, Refusal>;

    /// Counts a delivery that the source itself refused; `reason` is one of a few words.
    fn refused(&self, source: &str, reason: &'static str);

    /// Notes how a source stands with what it reads from. `part` tells several such things of
    /// one source apart; it is empty where there is one. Sources that nothing can part from
    /// what they read, such as webhooks, note nothing.
    fn connection(&self, source: &str, part: &str, state: Connection);
}

/// How a source stands with what it reads from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connection {
    /// It has not reached it yet.
    Awaited,
    /// It reads.
    Open,
    /// It cannot, for this reason. Values of secrets are taken out by whoever keeps it.
    Broken(String),
}

/// Whether an answer is enough, whatever the others say.
pub type Settles<'a> = &'a (dyn Fn(&Answer) -> bool + Send + Sync);

/// The reactions that an event's type triggers, whatever their filters say of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Audience {
    /// How many.
    pub reactions: usize,
    /// The same as long as they are the same, and as they were.
    pub policy: u64,
}

/// Events to accept at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The id of the configured source.
    pub source: String,
    /// Events in order.
    pub events: Vec<NewEvent>,
    /// Where the source goes on after these.
    pub cursor: Option<String>,
}

/// An event as decoded by a source.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// The sender's id, by which repeats are recognised; `None` makes every delivery a new event.
    pub id: Option<String>,
    /// What happened.
    pub event_type: String,
    /// What it happened to.
    pub subject: Option<String>,
    /// When, by the sender's clock.
    pub time: Option<Timestamp>,
    /// The payload.
    pub data: Json,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The stored event: for a duplicate the one accepted earlier.
    pub event: EventId,
    /// Whether it was accepted before.
    pub duplicate: bool,
}

/// What became of a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The event.
    pub receipt: Receipt,
    /// The answer; `None` where no run gave one in time, or all ended without.
    pub answer: Option<Answer>,
}

/// What the runs of an event said.
#[derive(Debug, Clone, PartialEq)]
pub struct Consulted {
    /// The event.
    pub receipt: Receipt,
    /// The first answer of each run that gave one.
    pub answers: Vec<Answer>,
    /// How many of the reactions that the event triggered will give none: the run ended without,
    /// or there is none, since its filter failed or storm control held it back.
    pub silent: usize,
    /// How many runs may answer yet.
    pub open: usize,
}

/// Why nothing was accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Too much is waiting: come back after this time.
    #[error("too many events are waiting; try again in {} s", .retry_after.as_secs())]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// The store cannot be written now.
    #[error("events cannot be stored now: {0}")]
    Unavailable(String),
    /// The process is stopping.
    #[error("the server is stopping")]
    Stopping,
    /// The event itself is not acceptable.
    #[error("{0}")]
    Invalid(String),
}
