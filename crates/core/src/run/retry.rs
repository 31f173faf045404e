//! When a failed or uncertain attempt is made again.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::key::IdempotencyKey;
use crate::span::Span;

/// What a repeat of an action means; every action declares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repeat {
    /// Doing it twice is the same as doing it once.
    Idempotent,
    /// The receiver recognises the idempotency key and does it once.
    Keyed,
    /// It can be asked whether it happened.
    Probe,
    /// Doing it twice does it twice.
    Unsafe,
}

/// What to do when it is unknown whether an attempt took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUncertain {
    /// Repeat it with the same key.
    Repeat,
    /// Leave it to a person.
    Attention,
}

/// How often and how soon an attempt is repeated. Transient failures only:
/// a permanent one is never tried again.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    /// Attempts in all, the first included. Default 5.
    pub attempts: u32,
    /// Wait before the second attempt. Default `1s`.
    pub initial: Span,
    /// By how much each wait is longer than the one before. Default 2.
    pub factor: f64,
    /// Longest wait. Default `5m`.
    pub max: Span,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 5,
            initial: Span(Duration::from_secs(1)),
            factor: 2.0,
            max: Span(Duration::from_mins(5)),
        }
    }
}

/// How one action step is carried out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// What a repeat means.
    pub repeat: Repeat,
    /// What to do when the effect is unknown.
    pub on_uncertain: OnUncertain,
    /// How often to try.
    pub retry: Retry,
    /// How long one attempt may take.
    pub timeout: Duration,
}

impl Policy {
    /// Whether an attempt of unknown effect is simply made again, with the same key.
    pub fn repeats_in_doubt(&self) -> bool {
        self.on_uncertain == OnUncertain::Repeat && self.repeat != Repeat::Probe
    }
}

/// Share of a wait that varies by key, so that many runs do not retry in step.
const JITTER: f64 = 0.2;

impl Retry {
    /// When to make the next attempt after `attempt` (counted from 1) ended at `now`;
    /// `None` when it was the last. A receiver's `after` (Retry-After) is honoured when longer.
    pub fn next(
        &self,
        key: &IdempotencyKey,
        attempt: u32,
        now: Timestamp,
        after: Option<Duration>,
    ) -> Option<Timestamp> {
        if attempt >= self.attempts {
            return None;
        }
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let wait = self.initial.0.as_secs_f64() * self.factor.max(1.0).powi(exponent);
        let wait = wait.min(self.max.0.as_secs_f64());
        let wait = wait * (1.0 - JITTER * key.spread(attempt));
        let wait = Duration::try_from_secs_f64(wait).unwrap_or(self.max.0);
        let wait = wait.max(after.unwrap_or_default());
        // A wait beyond the calendar is still a wait: the run's deadline cuts it short.
        Some(now.checked_add(wait).unwrap_or(Timestamp::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{RunId, StepId};

    fn key() -> IdempotencyKey {
        IdempotencyKey::of(
            RunId::new(uuid::Uuid::nil()),
            &StepId::from("a"),
            &Vec::new(),
            0,
            0,
        )
    }

    #[test]
    fn waits_grow_to_the_maximum_and_end_with_the_last_attempt() {
        let retry = Retry {
            attempts: 20,
            ..Retry::default()
        };
        let now = Timestamp::UNIX_EPOCH;
        let waits: Vec<f64> = (1..20)
            .map(|n| {
                retry
                    .next(&key(), n, now, None)
                    .unwrap()
                    .duration_since(now)
                    .as_secs_f64()
            })
            .collect();
        for (n, wait) in waits.iter().enumerate() {
            let full = 2f64.powi(n as i32).min(300.0);
            assert!((full * 0.8..=full).contains(wait), "wait {n} is {wait}");
        }
        assert_eq!(retry.next(&key(), 20, now, None), None);
    }

    #[test]
    fn a_receivers_longer_wait_is_honoured() {
        let now = Timestamp::UNIX_EPOCH;
        let at = Retry::default()
            .next(&key(), 1, now, Some(Duration::from_secs(77)))
            .unwrap();
        assert_eq!(at.as_second(), 77);
    }

    #[test]
    fn absurd_numbers_still_give_a_time() {
        let now = Timestamp::UNIX_EPOCH;
        let endless = Retry::default().next(&key(), 1, now, Some(Duration::MAX));
        assert_eq!(endless, Some(Timestamp::MAX));
        for factor in [f64::NAN, f64::INFINITY, -1.0, 0.0] {
            let retry = Retry {
                attempts: u32::MAX,
                factor,
                ..Retry::default()
            };
            for attempt in [1, 2, u32::MAX - 1] {
                let at = retry.next(&key(), attempt, now, None).unwrap();
                assert!((0..=300).contains(&at.as_second()), "{factor} {attempt}");
            }
        }
    }
}
