//! What becomes of a run that is put aside, since its journal cannot be folded.
//!
//! Kept apart so that no backend has a rule of its own. The run itself cannot heed what it
//! is told, so the words that wait for it are dealt with here: all that they can do is end it.

use conche_core::Timestamp;
use conche_core::run::Status;

use crate::Signal;

/// What the row of a run says after it was put aside.
pub(crate) struct Aside {
    pub(crate) status: Status,
    pub(crate) reason: String,
    /// Set where it is over: then retention removes it as any other.
    pub(crate) finished_at: Option<Timestamp>,
}

impl Aside {
    /// Needs attention, unless somebody asked for its end.
    pub(crate) fn new(
        reason: &str,
        waiting: impl IntoIterator<Item = Signal>,
        now: Timestamp,
    ) -> Self {
        let cancel = waiting.into_iter().find_map(|signal| match signal {
            Signal::Cancel { by, reason } => Some((by, reason)),
            Signal::Pause { .. }
            | Signal::Unpause { .. }
            | Signal::Resume { .. }
            | Signal::Retry { .. }
            | Signal::Answer { .. } => None,
        });
        let Some((by, why)) = cancel else {
            return Self {
                status: Status::NeedsAttention,
                reason: reason.to_owned(),
                finished_at: None,
            };
        };
        let why = why.map_or_else(String::new, |why| format!(": {why}"));
        Self {
            status: Status::Cancelled,
            reason: format!("cancelled by {by}{why}; it was put aside: {reason}"),
            finished_at: Some(now),
        }
    }
}
