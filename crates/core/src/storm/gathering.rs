//! Controls that have events wait for each other, and the run that waits with them.
//!
//! The run is not born before its time: until then its first record is kept here, and
//! [`Gathering::ripen`] makes it the record that the journal begins with.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Control;
use crate::id::{EventId, RunId};
use crate::run::{Entry, Record};

/// Bytes of data of a group's events together; the event that would go beyond begins another
/// group. All of them are in memory while the run is worked on.
pub const GROUP_BYTES_MAX: u64 = 1024 * 1024;

/// A control that has events wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gather {
    /// Runs with the last event, once it was quiet for `wait`, or `max_wait` after the first.
    Debounce {
        /// How long it must be quiet.
        wait: Duration,
        /// From the first event.
        max_wait: Duration,
    },
    /// Runs with all events, at the end of the window or when there are `max`.
    Group {
        /// From the first event.
        window: Duration,
        /// How many.
        max: u32,
    },
}

/// A run that waits for more events of its key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gathering {
    /// The run to be born.
    pub run: RunId,
    /// Its first record, as of the event that came last.
    pub first: Record,
    /// When the first event came.
    pub began: Timestamp,
    /// When the run is due.
    pub due: Timestamp,
    /// Events so far.
    pub count: u32,
    /// Bytes of their data.
    pub bytes: u64,
    /// Where it waited in a copy of the store that was put back: when the copy was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copied_at: Option<Timestamp>,
}

/// What becomes of a key with one more event.
#[derive(Debug, Clone, PartialEq)]
pub struct Joined {
    /// A run whose time had come before this event: it is born without it.
    pub before: Option<Gathering>,
    /// The run that this event waits with; due now where it is full.
    pub with: Gathering,
}

impl Gather {
    /// Which one it is.
    pub const fn control(&self) -> Control {
        match self {
            Self::Debounce { .. } => Control::Debounce,
            Self::Group { .. } => Control::Group,
        }
    }

    /// Whether the run gets all events, not only the last.
    pub const fn keeps_all(&self) -> bool {
        matches!(self, Self::Group { .. })
    }

    /// Adds an event with this many bytes of data: `run` and `first` are what it would run
    /// as by itself.
    pub fn join(
        &self,
        waiting: Option<Gathering>,
        (run, first): (RunId, Record),
        bytes: u64,
        now: Timestamp,
    ) -> Joined {
        let (before, waiting) = match waiting {
            Some(waiting) if waiting.due <= now || self.is_above(&waiting, bytes) => {
                (Some(waiting), None)
            }
            waiting => (None, waiting),
        };
        let copied_at = waiting.as_ref().and_then(|waiting| waiting.copied_at);
        let (run, began, count, sum) = waiting.map_or((run, now, 0, 0), |waiting| {
            (waiting.run, waiting.began, waiting.count, waiting.bytes)
        });
        let (count, bytes) = (count.saturating_add(1), sum.saturating_add(bytes));
        let after = |time: Timestamp, span: Duration| time.checked_add(span).unwrap_or(now);
        let due = match self {
            Self::Debounce { wait, max_wait } => after(now, *wait).min(after(began, *max_wait)),
            Self::Group { max, .. } if count >= *max => now,
            Self::Group { window, .. } => after(began, *window),
        };
        let with = Gathering {
            run,
            first,
            began,
            due,
            count,
            bytes,
            copied_at,
        };
        Joined { before, with }
    }

    fn is_above(&self, waiting: &Gathering, bytes: u64) -> bool {
        self.keeps_all() && waiting.bytes.saturating_add(bytes) > GROUP_BYTES_MAX
    }
}

impl Gathering {
    /// The first record of the run, born now: its deadline counts from now. `events` are
    /// those of a group, in order; none for a run that gets the last event only.
    pub fn ripen(self, events: Vec<EventId>, now: Timestamp) -> Record {
        let Record { at, mut entry } = self.first;
        if let Entry::Started(started) = &mut entry {
            let allowed = Duration::try_from(started.deadline.duration_since(at));
            let deadline = now.checked_add(allowed.unwrap_or_default());
            started.deadline = deadline.unwrap_or(started.deadline);
            started.events = events;
            started.copied_at = self.copied_at;
        }
        Record { at: now, entry }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use uuid::Uuid;

    use super::*;
    use crate::id::Digest;
    use crate::run::Started;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_767_225_600 + seconds).unwrap()
    }

    fn born(second: i64) -> (RunId, Record) {
        let started = Started {
            definition: Digest::of(b"d"),
            name: "r".to_owned(),
            event: Some(EventId::new(Uuid::from_u128(second as u128))),
            events: Vec::new(),
            deadline: at(second + 100),
            variables: BTreeMap::new(),
            scope: None,
            budget: None,
            by: Vec::new(),
            copied_at: None,
        };
        let record = Record {
            at: at(second),
            entry: Entry::Started(started),
        };
        (RunId::new(Uuid::from_u128(second as u128)), record)
    }

    /// Joins events of ten bytes at these seconds: runs born before each, and when the one
    /// that it waits with is due.
    fn story(gather: Gather, seconds: &[i64]) -> Vec<(bool, i64)> {
        let mut waiting = None;
        let step = |second: &i64| {
            let joined = gather.join(waiting.take(), born(*second), 10, at(*second));
            let due = joined.with.due.as_second() - at(0).as_second();
            waiting = Some(joined.with);
            (joined.before.is_some(), due)
        };
        seconds.iter().map(step).collect()
    }

    #[test]
    fn a_debounce_waits_for_quiet_and_not_for_ever() {
        let (wait, max_wait) = (Duration::from_secs(10), Duration::from_secs(25));
        let debounce = Gather::Debounce { wait, max_wait };
        assert_eq!(
            story(debounce, &[0, 5, 14, 20, 24, 25]),
            [
                (false, 10),
                (false, 15),
                (false, 24),
                (false, 25),
                (false, 25),
                (true, 35)
            ]
        );
        // Quiet for exactly as long as asked is quiet.
        assert_eq!(story(debounce, &[0, 10]), [(false, 10), (true, 20)]);
    }

    #[test]
    fn a_group_ends_with_its_window_or_when_it_is_full() {
        let (window, max) = (Duration::from_secs(10), 3);
        let group = Gather::Group { window, max };
        assert_eq!(
            story(group, &[0, 9, 10, 11, 12, 12]),
            [
                (false, 10),
                (false, 10),
                (true, 20),
                (false, 20),
                (false, 12),
                (true, 22)
            ]
        );
    }

    #[test]
    fn a_group_that_would_become_too_large_runs_without_the_event() {
        let (window, max) = (Duration::from_secs(10), 3);
        let group = Gather::Group { window, max };
        let first = group.join(None, born(0), GROUP_BYTES_MAX, at(0));
        assert_eq!(first.before, None, "one event alone may have any size");
        let second = group.join(Some(first.with.clone()), born(1), 1, at(1));
        assert_eq!(second.before, Some(first.with));
        assert_eq!((second.with.count, second.with.run), (1, born(1).0));
    }

    #[test]
    fn the_run_keeps_its_id_has_the_last_event_and_its_whole_time() {
        let (wait, max_wait) = (Duration::from_secs(10), Duration::from_secs(25));
        let debounce = Gather::Debounce { wait, max_wait };
        let first = debounce.join(None, born(1), 10, at(1)).with;
        let second = debounce.join(Some(first), born(2), 10, at(2)).with;
        assert_eq!((second.run, second.count), (born(1).0, 2));
        let record = second.ripen(Vec::new(), at(12));
        let Entry::Started(started) = record.entry else {
            panic!("{record:?}")
        };
        assert_eq!((record.at, started.deadline), (at(12), at(112)));
        assert_eq!(started.event, Some(EventId::new(Uuid::from_u128(2))));
    }
}
