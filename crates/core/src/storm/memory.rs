//! Controls that let an event pass or not, and what they remember of a key.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Control;

/// A control that lets an event pass or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// The first passes, those of the window after it do not.
    Dedup {
        /// How long.
        window: Duration,
    },
    /// So many pass in any span of this length.
    Throttle {
        /// How many.
        limit: u32,
        /// The span.
        per: Duration,
    },
}

/// When events of a key passed, in microseconds since 1970, oldest first: the last one for a
/// `dedup`, at most `limit` for a `throttle`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    passed: Vec<i64>,
}

impl Watch {
    /// Which one it is.
    pub const fn control(&self) -> Control {
        match self {
            Self::Dedup { .. } => Control::Dedup,
            Self::Throttle { .. } => Control::Throttle,
        }
    }

    fn limit_and_span(&self) -> (usize, i64) {
        let (limit, span) = match self {
            Self::Dedup { window } => (1, window),
            Self::Throttle { limit, per } => (*limit as usize, per),
        };
        (limit, i64::try_from(span.as_micros()).unwrap_or(i64::MAX))
    }

    /// What is remembered once an event passes now.
    ///
    /// # Errors
    /// The time until which none of this key passes, where this one does not.
    pub fn pass(&self, memory: &Memory, now: Timestamp) -> Result<Memory, Timestamp> {
        let (limit, span) = self.limit_and_span();
        let now = now.as_microsecond();
        // A time far ahead was written before the clock was set back: it counts no more.
        let counts = |at: &&i64| now.saturating_sub(**at) < span && at.saturating_sub(now) < span;
        let mut passed: Vec<i64> = memory.passed.iter().filter(counts).copied().collect();
        passed.sort_unstable();
        if passed.len() < limit {
            passed.push(now);
            return Ok(Memory { passed });
        }
        let oldest = passed[passed.len() - limit];
        let until = Timestamp::from_microsecond(oldest.saturating_add(span));
        Err(until.unwrap_or(Timestamp::MAX))
    }

    /// When nothing that is remembered counts any more, in microseconds since 1970.
    pub fn end(&self, memory: &Memory) -> i64 {
        let (_, span) = self.limit_and_span();
        let last = memory.passed.iter().max();
        last.map_or(i64::MIN, |last| last.saturating_add(span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_767_225_600 + seconds).unwrap()
    }

    /// Which of these seconds pass, and for the others until when none does.
    fn story(watch: Watch, seconds: &[i64]) -> Vec<Result<(), i64>> {
        let mut memory = Memory::default();
        let step = |second: &i64| match watch.pass(&memory, at(*second)) {
            Ok(next) => {
                memory = next;
                Ok(())
            }
            Err(until) => Err(until.as_second() - at(0).as_second()),
        };
        seconds.iter().map(step).collect()
    }

    #[test]
    fn a_dedup_lets_the_first_of_each_window_pass() {
        let window = Duration::from_secs(10);
        let passed = story(Watch::Dedup { window }, &[0, 1, 9, 10, 11, 25]);
        assert_eq!(passed, [Ok(()), Err(10), Err(10), Ok(()), Err(20), Ok(())]);
    }

    #[test]
    fn a_throttle_holds_in_every_span_and_not_only_in_whole_ones() {
        let (limit, per) = (2, Duration::from_secs(10));
        let watch = Watch::Throttle { limit, per };
        let passed = story(watch, &[0, 9, 9, 10, 11, 19, 20, 21]);
        assert_eq!(
            passed,
            [
                Ok(()),
                Ok(()),
                Err(10),
                Ok(()),
                Err(19),
                Ok(()),
                Ok(()),
                Err(29)
            ]
        );
    }

    #[test]
    fn a_clock_that_was_set_back_blocks_nothing_for_long() {
        let window = Duration::from_secs(10);
        let passed = story(Watch::Dedup { window }, &[1_000_000, 0, 1]);
        assert_eq!(passed, [Ok(()), Ok(()), Err(10)]);
    }

    #[test]
    fn what_is_remembered_ends_with_the_last_that_passed() {
        let (limit, per) = (2, Duration::from_secs(10));
        let watch = Watch::Throttle { limit, per };
        let memory = watch.pass(&Memory::default(), at(0)).unwrap();
        let memory = watch.pass(&memory, at(4)).unwrap();
        assert_eq!(watch.end(&memory), at(14).as_microsecond());
        assert_eq!(watch.pass(&memory, at(10)).unwrap().passed.len(), 2);
    }
}
