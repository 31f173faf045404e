//! How long the call in hand may still take: judged by the processor time of its worker,
//! so that a busy machine is not the script's fault, and bounded by the wall clock.
//!
//! Reading the processor time of another process costs more than most calls do, so it is
//! not read when a call begins. The first look comes after a quarter of the limit, which
//! few calls live to see; what was used until then is not held against the call.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::Limits;

pub(super) struct Stint {
    limit: Duration,
    /// The end by the wall clock.
    last: Instant,
    started: Instant,
    /// Processor time of the worker at the first look.
    seen: Option<Duration>,
}

impl Stint {
    pub(super) fn new(limits: &Limits, started: Instant) -> Self {
        Self {
            limit: limits.time,
            last: started + limits.longest(),
            started,
            seen: None,
        }
    }

    /// When to look first.
    pub(super) fn first_look(&self) -> Instant {
        self.started + self.limit / 4
    }

    /// Looks at a call that is still under way: when to look again, or `None` when it has
    /// used up its time.
    pub(super) fn look(&mut self, used: Option<Duration>, now: Instant) -> Option<Instant> {
        let end = (self.started + self.limit + Limits::KILL_GRACE).min(self.last);
        // Where the kernel does not tell, only the wall clock is left.
        let Some(used) = used else {
            return (now < end).then_some(end);
        };
        let Some(seen) = self.seen else {
            self.seen = Some(used);
            return Some(end);
        };
        // An eighth more than the worker grants itself: where it can still end the call, the
        // call's logs are kept.
        let granted = self.limit * 3 / 4 + self.limit / 8;
        let left = granted.saturating_sub(used.saturating_sub(seen));
        let done = left.is_zero() || now >= self.last;
        (!done).then(|| (now + left + Limits::KILL_GRACE).min(self.last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn stint(start: Instant, wall: Option<Duration>) -> Stint {
        let limits = Limits {
            time: MS * 200,
            wall,
            ..Limits::default()
        };
        Stint::new(&limits, start)
    }

    #[test]
    fn a_call_that_computes_ends_right_after_its_limit() {
        let start = Instant::now();
        let mut stint = stint(start, None);
        assert_eq!(stint.first_look(), start + MS * 50);
        let again = stint.look(Some(MS * 1050), start + MS * 50);
        assert_eq!(again, Some(start + MS * 210));
        // The worker has not ended it by itself at 200 ms.
        let again = stint.look(Some(MS * 1210), start + MS * 210);
        assert_eq!(again, Some(start + MS * (210 + 15 + 10)));
        assert_eq!(stint.look(Some(MS * 1235), start + MS * 235), None);
    }

    #[test]
    fn a_call_that_is_kept_waiting_gets_its_time_but_not_for_ever() {
        let start = Instant::now();
        let mut stint = stint(start, None);
        stint.look(Some(MS * 1000), start + MS * 50);
        // It got a third of a processor.
        let again = stint.look(Some(MS * 1053), start + MS * 210);
        assert_eq!(again, Some(start + MS * (210 + 122 + 10)));
        assert_eq!(stint.look(Some(MS * 1060), start + MS * 1600), None);
    }

    #[test]
    fn a_call_ends_by_the_wall_clock_where_that_is_limited_as_well() {
        let start = Instant::now();
        let mut stint = stint(start, Some(MS * 205));
        let again = stint.look(Some(MS * 1000), start + MS * 50);
        assert_eq!(again, Some(start + MS * 205));
        assert_eq!(stint.look(Some(MS * 1010), start + MS * 205), None);
    }

    #[test]
    fn without_processor_times_the_wall_clock_counts() {
        let start = Instant::now();
        let mut stint = stint(start, None);
        assert_eq!(stint.look(None, start + MS * 50), Some(start + MS * 210));
        assert_eq!(stint.look(None, start + MS * 210), None);
    }
}
