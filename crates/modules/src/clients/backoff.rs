//! How long to wait before a broker is tried again.

use std::time::Duration;

/// The waits between attempts to reach a broker: doubled from the first to the last, for ever,
/// each cut by up to a quarter so that many nodes do not come at once.
#[derive(Debug)]
pub(crate) struct Reconnects {
    next: Duration,
}

impl Default for Reconnects {
    fn default() -> Self {
        Self { next: Self::FIRST }
    }
}

impl Reconnects {
    const FIRST: Duration = Duration::from_millis(100);
    /// The longest wait.
    pub(crate) const MOST: Duration = Duration::from_secs(30);

    /// The connection stood: the next break is waited for shortly again.
    pub(crate) fn reset(&mut self) {
        self.next = Self::FIRST;
    }

    /// How long to wait now.
    pub(crate) fn next(&mut self) -> Duration {
        let wait = self.next;
        self.next = wait.saturating_mul(2).min(Self::MOST);
        // The low bits of a fresh UUID are random.
        let cut = uuid::Uuid::now_v7().as_bytes()[15] % 64;
        wait.mul_f64(1.0 - f64::from(cut) / 256.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reconnects_wait_longer_each_time_up_to_half_a_minute() {
        let mut waits = Reconnects::default();
        let all: Vec<_> = (0..12).map(|_| waits.next()).collect();
        assert!(all[0] <= Duration::from_millis(100) && all[0] >= Duration::from_millis(75));
        assert!(all[11] <= Duration::from_secs(30) && all[11] >= Duration::from_secs(22));
        waits.reset();
        assert!(waits.next() <= Duration::from_millis(100));
    }
}
