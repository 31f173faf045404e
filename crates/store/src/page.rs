//! Pages and filters of lists.

use conche_core::Timestamp;
use conche_core::run::Status;

/// A page of a list, by key: rows older than `before`, at most `limit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page<K> {
    /// The last key of the page before; `None` for the newest rows.
    pub before: Option<K>,
    /// Rows at most.
    pub limit: u32,
}

/// Which events. All that is set must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Exactly this type.
    pub event_type: Option<String>,
    /// Exactly this source.
    pub source: Option<String>,
    /// Received at or after.
    pub since: Option<Timestamp>,
}

/// Which runs. All that is set must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Exactly this status.
    pub status: Option<Status>,
    /// Runs of the definition of this name.
    pub name: Option<String>,
    /// Runs that this event triggered.
    pub event: Option<conche_core::EventId>,
}
