//! An event: an immutable fact that came from outside, or from one of our own runs.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{EventId, RunId};
use crate::json::Json;

/// Event types of our own: emitted for every run that failed or needs attention.
pub const RUN_FAILED: &str = "conche.run.failed";
/// See [`RUN_FAILED`].
pub const RUN_NEEDS_ATTENTION: &str = "conche.run.needs_attention";
/// The event of a run that another run asked for by name; it triggers no other reaction.
pub const RUN_REQUESTED: &str = "conche.run.requested";
/// The event of a run of a playbook that was asked for; it triggers no reaction.
pub const PLAYBOOK_REQUESTED: &str = "conche.playbook.requested";
/// The event of a run that asks a person.
pub const RUN_AWAITING_ANSWER: &str = "conche.run.awaiting_answer";

/// Whether a time can be an event's: stores keep microseconds and cannot keep the very first
/// and last days that a [`Timestamp`] has.
#[must_use]
pub fn is_storable(time: Timestamp) -> bool {
    let day = Duration::from_hours(24);
    (Timestamp::MIN + day..Timestamp::MAX - day).contains(&time)
}

/// An immutable fact, shaped after [CloudEvents 1.0](https://cloudevents.io).
///
/// `source` and `id` together name the fact for the sender: a second event with
/// the same pair within the store's deduplication window is the same event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Our name for it, and its key in the store.
    pub event_id: EventId,
    /// The sender's id; our own where the sender gives none.
    pub id: String,
    /// The configured source that it came through.
    pub source: String,
    /// What happened, e.g. `k8s.pod.created`. CSF calls this the event name.
    #[serde(rename = "type")]
    pub event_type: String,
    /// What it happened to, where the source can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// When it happened by the sender's clock; else when it was received.
    pub time: Timestamp,
    /// The payload as it was sent.
    pub data: Json,
    /// The run of ours that emitted it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<RunId>,
    /// How many of our own runs stand between this event and the outside: 0 for
    /// an event from outside. Bounded, so that reactions cannot feed each other for ever.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub depth: u16,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(depth: &u16) -> bool {
    *depth == 0
}
