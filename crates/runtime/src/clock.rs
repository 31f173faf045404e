//! The wall clock, as an argument: only the composition root takes the real one.

use std::sync::Arc;

use jiff::Timestamp;

/// Says what time it is. A fixed or simulated clock stands in for the real one in tests.
pub trait Clock: Send + Sync {
    /// The time now. May jump either way, as wall clocks do.
    fn now(&self) -> Timestamp;
}

/// A shared clock.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's wall clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
