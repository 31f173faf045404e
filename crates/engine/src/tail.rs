//! The live view: what happens to runs, as it is committed.

use std::sync::Arc;

use conche_core::run::{Record, Summary};
use conche_core::{EventId, RunId};
use tokio::sync::broadcast;

/// What was committed to a run.
#[derive(Debug, Clone)]
pub struct Change {
    /// The run.
    pub run: RunId,
    /// Its definition's name.
    pub name: String,
    /// The event that triggered it.
    pub event: Option<EventId>,
    /// Version before the records.
    pub from: u64,
    /// The records.
    pub records: Vec<Record>,
    /// The run at a glance after them.
    pub summary: Summary,
}

/// Sends changes to whoever looks. A slow onlooker misses some and is told how many; the
/// journal has them all.
pub(crate) struct Tail(broadcast::Sender<Arc<Change>>);

/// Changes kept for slow onlookers.
const KEPT: usize = 1024;

impl Default for Tail {
    fn default() -> Self {
        Self(broadcast::channel(KEPT).0)
    }
}

impl Tail {
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<Change>> {
        self.0.subscribe()
    }

    /// Makes and sends a change if anybody looks.
    pub(crate) fn send(&self, change: impl FnOnce() -> Change) {
        if self.0.receiver_count() > 0 {
            // Nobody is left to tell when this fails.
            drop(self.0.send(Arc::new(change())));
        }
    }
}
