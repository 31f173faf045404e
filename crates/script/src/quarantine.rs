//! Scripts that cost a worker again and again are set aside. Pure: the caller
//! says what time it is.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::QuarantinePolicy;
use crate::script::Digest;

/// Scripts with strikes that are remembered; beyond that the oldest are
/// forgotten, so that endless new hostile scripts can't fill the memory.
const REMEMBERED: usize = 10_000;

/// A script that is not run for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Which script.
    pub script: Digest,
    /// Its name for people, as its last caller called it.
    pub name: Arc<str>,
    /// Workers it cost within the window.
    pub strikes: u32,
    /// Until it is run again.
    pub remaining: Duration,
}

struct Record {
    name: Arc<str>,
    strikes: VecDeque<Instant>,
}

/// Strikes by script.
pub(crate) struct Quarantine {
    policy: QuarantinePolicy,
    records: HashMap<Digest, Record>,
}

impl Quarantine {
    pub(crate) fn new(policy: QuarantinePolicy) -> Self {
        Self {
            policy,
            records: HashMap::new(),
        }
    }

    /// Notes that a script cost a worker.
    pub(crate) fn strike(&mut self, script: Digest, name: &Arc<str>, now: Instant) {
        if self.policy.strikes == 0 {
            return;
        }
        if self.records.len() >= REMEMBERED && !self.records.contains_key(&script) {
            let oldest = self
                .records
                .iter()
                .min_by_key(|(_, record)| record.strikes.back().copied());
            if let Some((&oldest, _)) = oldest {
                self.records.remove(&oldest);
            }
        }
        let record = self.records.entry(script).or_insert_with(|| Record {
            name: Arc::clone(name),
            strikes: VecDeque::new(),
        });
        record.name = Arc::clone(name);
        record.strikes.push_back(now);
        if record.strikes.len() > self.policy.strikes as usize {
            record.strikes.pop_front();
        }
    }

    /// Whether a script has cost a worker lately, and is to be run carefully.
    pub(crate) fn is_suspect(&mut self, script: Digest, now: Instant) -> bool {
        // The usual case by far, and on the path of every call.
        if self.records.is_empty() {
            return false;
        }
        let window = self.policy.window;
        let Some(record) = self.records.get_mut(&script) else {
            return false;
        };
        let last = record.strikes.back().copied();
        let live = last.is_some_and(|last| now.saturating_duration_since(last) < window);
        if !live {
            self.records.remove(&script);
        }
        live
    }

    /// The quarantine of a script, if it is in one.
    pub(crate) fn check(&mut self, script: Digest, now: Instant) -> Option<Quarantined> {
        if !self.is_suspect(script, now) {
            return None;
        }
        self.records
            .get(&script)
            .and_then(|record| self.sentence(script, record, now))
    }

    /// All scripts in quarantine, by digest.
    pub(crate) fn list(&self, now: Instant) -> Vec<Quarantined> {
        let mut list: Vec<_> = self
            .records
            .iter()
            .filter_map(|(&script, record)| self.sentence(script, record, now))
            .collect();
        list.sort_unstable_by_key(|quarantined| quarantined.script);
        list
    }

    /// Forgets a script's strikes; false if it had none.
    pub(crate) fn release(&mut self, script: Digest) -> bool {
        self.records.remove(&script).is_some()
    }

    fn sentence(&self, script: Digest, record: &Record, now: Instant) -> Option<Quarantined> {
        let (first, last) = (*record.strikes.front()?, *record.strikes.back()?);
        let enough = record.strikes.len() >= self.policy.strikes as usize;
        let together = last.saturating_duration_since(first) <= self.policy.window;
        let remaining = self
            .policy
            .window
            .checked_sub(now.saturating_duration_since(last))?;
        (enough && together && !remaining.is_zero()).then(|| Quarantined {
            script,
            name: Arc::clone(&record.name),
            strikes: record.strikes.len() as u32,
            remaining,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Script;

    const MINUTE: Duration = Duration::from_mins(1);

    fn struck(times: &[u32]) -> (Quarantine, Digest, Instant) {
        let script = Script::new("s", "while (true) {}").digest();
        let start = Instant::now();
        let mut quarantine = Quarantine::new(QuarantinePolicy::default());
        for &minutes in times {
            quarantine.strike(script, &"s".into(), start + minutes * MINUTE);
        }
        (quarantine, script, start)
    }

    #[test]
    fn three_strikes_within_the_window_lead_to_quarantine() {
        let (mut quarantine, script, start) = struck(&[0, 4, 9]);
        let found = quarantine.check(script, start + 9 * MINUTE).unwrap();
        assert_eq!((found.strikes, found.remaining), (3, 10 * MINUTE));
        assert_eq!(quarantine.list(start + 9 * MINUTE), [found]);
    }

    #[test]
    fn two_strikes_make_a_suspect_only() {
        let (mut quarantine, script, start) = struck(&[0, 4]);
        assert!(quarantine.check(script, start + 4 * MINUTE).is_none());
        assert!(quarantine.is_suspect(script, start + 4 * MINUTE));
    }

    #[test]
    fn strikes_far_apart_do_not_add_up() {
        let (mut quarantine, script, start) = struck(&[0, 6, 12]);
        assert!(quarantine.check(script, start + 12 * MINUTE).is_none());
        quarantine.strike(script, &"s".into(), start + 13 * MINUTE);
        assert!(quarantine.check(script, start + 13 * MINUTE).is_some());
    }

    #[test]
    fn quarantine_ends_with_the_window_and_starts_from_nothing() {
        let (mut quarantine, script, start) = struck(&[0, 0, 0]);
        assert!(quarantine.check(script, start + 9 * MINUTE).is_some());
        assert!(quarantine.check(script, start + 10 * MINUTE).is_none());
        quarantine.strike(script, &"s".into(), start + 10 * MINUTE);
        assert!(quarantine.check(script, start + 10 * MINUTE).is_none());
    }

    #[test]
    fn nothing_is_counted_where_no_number_of_strikes_is_too_much() {
        let script = Script::new("s", "while (true) {}").digest();
        let start = Instant::now();
        let mut quarantine = Quarantine::new(QuarantinePolicy {
            strikes: 0,
            ..QuarantinePolicy::default()
        });
        for _ in 0..9 {
            quarantine.strike(script, &"s".into(), start);
        }
        assert!(quarantine.check(script, start).is_none());
        assert!(!quarantine.is_suspect(script, start));
    }

    #[test]
    fn a_released_script_has_no_strikes() {
        let (mut quarantine, script, start) = struck(&[0, 0, 0]);
        assert!(quarantine.release(script));
        assert!(!quarantine.release(script));
        assert!(!quarantine.is_suspect(script, start));
    }
}
