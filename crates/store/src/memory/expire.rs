//! Forgetting what is older than wanted, oldest first.

use std::collections::{HashMap, HashSet};

use conche_core::{Digest, EventId, RunId, Timestamp};

use super::state::State;
use super::storms::Kept;
use crate::{Expired, ListEntry, Retention};

impl State {
    pub(super) fn expire(&mut self, retention: Retention) -> Expired {
        let limit = retention.limit as usize;
        Expired {
            runs: self.expire_runs(retention.runs_before, limit),
            events: self.expire_events(retention.events_before, limit),
            dedup: self.expire_dedup(retention.dedup_before, limit),
            definitions: self.expire_definitions(limit),
            ended: self.expire_ended(retention.ended_before, limit),
        }
    }

    fn expire_runs(&mut self, before: Timestamp, limit: usize) -> u64 {
        let mut old: Vec<(Timestamp, RunId)> = Vec::new();
        for (run, stored) in &self.runs {
            match stored.summary.finished_at {
                Some(at) if at < before && stored.is_at_rest() => old.push((at, *run)),
                _ => {}
            }
        }
        let removed = oldest(old, limit);
        for run in &removed {
            self.runs.remove(run);
        }
        self.signals.retain(|_, (run, _)| !removed.contains(run));
        removed.len() as u64
    }

    fn expire_events(&mut self, before: Timestamp, limit: usize) -> u64 {
        let needed: HashSet<EventId> = self
            .runs
            .values()
            .filter(|stored| !stored.is_at_rest())
            .flat_map(|stored| stored.event.iter().chain(&stored.events))
            .chain(self.storms.values().flat_map(Kept::events))
            .copied()
            .collect();
        let old = self.events.iter();
        let old = old.filter(|(id, row)| row.received_at < before && !needed.contains(id));
        let removed = oldest(old.map(|(id, row)| (row.received_at, *id)).collect(), limit);
        for event in &removed {
            self.events.remove(event);
        }
        removed.len() as u64
    }

    fn expire_dedup(&mut self, before: Timestamp, limit: usize) -> u64 {
        let old = self.dedup.iter().filter(|(_, (_, at))| *at < before);
        let removed = oldest(
            old.map(|(pair, (_, at))| (*at, pair.clone())).collect(),
            limit,
        );
        for pair in &removed {
            self.dedup.remove(pair);
        }
        removed.len() as u64
    }

    fn expire_ended(&mut self, before: Timestamp, limit: usize) -> u64 {
        let before = before.as_microsecond();
        let over = self.storms.iter().filter(|(_, kept)| kept.is_over(before));
        let over: Vec<_> = over.map(|(at, _)| at.clone()).take(limit).collect();
        for at in &over {
            self.storms.remove(at);
        }
        let is_over = |entry: &ListEntry| {
            let end = entry.expires_at.map(Timestamp::as_microsecond);
            end.is_some_and(|end| end <= before)
        };
        let entries = self.lists.iter().filter(|(_, entry)| is_over(entry));
        let entries: Vec<_> = entries.map(|(at, _)| at.clone()).take(limit).collect();
        for at in &entries {
            self.lists.remove(at);
        }
        (over.len() + entries.len()) as u64
    }

    fn expire_definitions(&mut self, limit: usize) -> u64 {
        let mut kept: HashSet<Digest> = self.runs.values().map(|run| run.definition).collect();
        kept.extend(self.storms.values().filter_map(Kept::definition));
        kept.extend(
            self.reactions
                .values()
                .map(|row| Digest::of(row.text.as_bytes())),
        );
        let mut current: HashMap<(&str, &str), (u64, Digest)> = HashMap::new();
        for (digest, (put, text)) in &self.definitions {
            let last = current
                .entry((&text.kind, &text.name))
                .or_insert((*put, *digest));
            *last = (*last).max((*put, *digest));
        }
        kept.extend(current.into_values().map(|(_, digest)| digest));
        let unused = self
            .definitions
            .keys()
            .filter(|digest| !kept.contains(digest));
        let unused: Vec<Digest> = unused.take(limit).copied().collect();
        for digest in &unused {
            self.definitions.remove(digest);
        }
        unused.len() as u64
    }
}

/// The first so many by time.
fn oldest<K: Ord>(mut old: Vec<(Timestamp, K)>, limit: usize) -> Vec<K> {
    old.sort_unstable();
    old.truncate(limit);
    old.into_iter().map(|(_, key)| key).collect()
}
