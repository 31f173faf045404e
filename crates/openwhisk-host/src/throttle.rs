//! How much one namespace may ask for: invocations and firings in a minute, invocations at a
//! time, and what all namespaces together may have in flight.
//!
//! A minute is one of the wall clock, as upstream counts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use conche_openwhisk::model::Messages;
use http::StatusCode;

use crate::refusal::Refusal;
use crate::settings::Throttles;

const MINUTE_MS: i64 = 60_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum What {
    Invocations,
    Firings,
}

/// Counts what namespaces ask for.
#[derive(Debug)]
pub(crate) struct Throttle {
    limits: Throttles,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    /// The minute that is counted.
    minute: i64,
    in_minute: HashMap<(String, What), u64>,
    in_flight: HashMap<String, u64>,
    total: u64,
}

/// A place among those in flight; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    throttle: Arc<Throttle>,
    namespace: String,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.throttle.open();
        counts.total = counts.total.saturating_sub(1);
        let Some(count) = counts.in_flight.get_mut(&self.namespace) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            counts.in_flight.remove(&self.namespace);
        }
    }
}

impl Throttle {
    pub(crate) fn new(limits: Throttles) -> Arc<Self> {
        Arc::new(Self {
            limits,
            counts: Mutex::default(),
        })
    }

    /// A place for an invocation, counted against the minute of `now` (in milliseconds).
    pub(crate) fn invocation(self: &Arc<Self>, namespace: &str, now: i64) -> Result<Slot, Refusal> {
        let mut counts = self.open();
        let flying = counts.in_flight.get(namespace).copied().unwrap_or(0);
        let allowed = self.limits.concurrent_invocations;
        if flying >= allowed {
            let text = Messages::too_many_concurrent(flying + 1, allowed);
            return Err(too_many(text, 1));
        }
        if counts.total >= self.limits.in_flight {
            return Err(Refusal::overloaded());
        }
        let allowed = self.limits.invocations_per_minute;
        counts.count(namespace, What::Invocations, allowed, now)?;
        Ok(self.enter(counts, namespace))
    }

    /// A place for what was accepted before and goes on.
    pub(crate) fn resumed(self: &Arc<Self>, namespace: &str) -> Slot {
        self.enter(self.open(), namespace)
    }

    /// Counts a firing.
    pub(crate) fn firing(&self, namespace: &str, now: i64) -> Result<(), Refusal> {
        let allowed = self.limits.fires_per_minute;
        self.open().count(namespace, What::Firings, allowed, now)
    }

    /// How many are in flight.
    pub(crate) fn in_flight(&self) -> u64 {
        self.open().total
    }

    fn enter(self: &Arc<Self>, mut counts: MutexGuard<'_, Counts>, namespace: &str) -> Slot {
        counts.total += 1;
        *counts.in_flight.entry(namespace.to_owned()).or_default() += 1;
        Slot {
            throttle: Arc::clone(self),
            namespace: namespace.to_owned(),
        }
    }

    fn open(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn count(
        &mut self,
        namespace: &str,
        what: What,
        allowed: u64,
        now: i64,
    ) -> Result<(), Refusal> {
        let minute = now.div_euclid(MINUTE_MS);
        if minute != self.minute {
            self.minute = minute;
            self.in_minute.clear();
        }
        let count = self.in_minute.entry((namespace.to_owned(), what));
        let count = count.or_default();
        if *count >= allowed {
            let left = (MINUTE_MS - now.rem_euclid(MINUTE_MS) + 999).div_euclid(1000);
            let text = Messages::too_many_requests(*count + 1, allowed);
            return Err(too_many(text, left.unsigned_abs()));
        }
        *count += 1;
        Ok(())
    }
}

fn too_many(text: String, retry_after: u64) -> Refusal {
    Refusal {
        retry_after: Some(retry_after),
        ..Refusal::new(StatusCode::TOO_MANY_REQUESTS, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throttle() -> Arc<Throttle> {
        Throttle::new(Throttles {
            invocations_per_minute: 3,
            concurrent_invocations: 2,
            fires_per_minute: 1,
            in_flight: 3,
        })
    }

    #[test]
    fn a_minute_has_so_many_invocations_and_the_next_has_them_again() {
        let throttle = throttle();
        for _ in 0..3 {
            drop(throttle.invocation("a", 61_000).unwrap());
        }
        let refused = throttle.invocation("a", 61_000).unwrap_err();
        assert_eq!(
            refused.text,
            "Too many requests in the last minute (count: 4, allowed: 3)."
        );
        assert_eq!(refused.retry_after, Some(59));
        assert!(throttle.invocation("b", 61_000).is_ok());
        assert!(throttle.invocation("a", 120_000).is_ok());
    }

    #[test]
    fn a_namespace_has_so_many_in_flight_and_all_have_so_many() {
        let throttle = throttle();
        let one = throttle.invocation("a", 0).unwrap();
        let _two = throttle.invocation("a", 0).unwrap();
        let refused = throttle.invocation("a", 0).unwrap_err();
        assert_eq!(
            refused.text,
            "Too many concurrent requests in flight (count: 3, allowed: 2)."
        );
        let _three = throttle.invocation("b", 0).unwrap();
        let full = throttle.invocation("c", 0).unwrap_err();
        assert_eq!(full.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(throttle.in_flight(), 3);
        drop(one);
        assert!(throttle.invocation("a", 0).is_ok());
    }

    #[test]
    fn firings_are_counted_for_themselves() {
        let throttle = throttle();
        assert_eq!(throttle.firing("a", 0), Ok(()));
        assert!(throttle.firing("a", 0).is_err());
        assert!(throttle.invocation("a", 0).is_ok());
    }
}
