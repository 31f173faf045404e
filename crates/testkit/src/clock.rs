//! A wall clock that only a test moves.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use conche_runtime::clock::Clock;
use jiff::Timestamp;

/// Stands still until told otherwise; may be moved either way.
#[derive(Debug, Clone)]
pub struct SimClock(Arc<Mutex<Timestamp>>);

impl SimClock {
    /// A clock that shows `now`.
    pub fn at(now: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(now)))
    }

    /// Moves forward.
    pub fn advance(&self, span: Duration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now += span;
    }

    /// Jumps to any time.
    pub fn set(&self, to: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = to;
    }
}

impl Default for SimClock {
    fn default() -> Self {
        Self::at(
            "2026-01-05T10:00:00Z"
                .parse()
                .unwrap_or(Timestamp::UNIX_EPOCH),
        )
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
