//! How sources stand with what they read from: told by them, kept here while the process lives,
//! shown by the API and counted in a metric.
//!
//! A source that is away is no failure of this server, which stays ready; it has to be seen all
//! the same. What is kept of an error is short and holds no value of a secret.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use conche_core::Timestamp;
use conche_modules::Connection;
use conche_runtime::secrets::Masker;

/// Characters of an error that are kept.
const ERROR_MAX: usize = 500;

/// How a source stands with what it reads from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceState {
    /// Whether it reads; with several connections, whether all do.
    pub is_connected: bool,
    /// Since when: of the first that does not, or the last that does.
    pub since: Timestamp,
    /// The last error, whatever came after it: when, and what.
    pub last_error: Option<(Timestamp, String)>,
}

/// One connection of a source.
struct Part {
    is_open: bool,
    since: Timestamp,
    last_error: Option<(Timestamp, String)>,
}

/// The connections of all sources, by source and part.
#[derive(Default)]
pub(crate) struct Connections(Mutex<BTreeMap<String, BTreeMap<String, Part>>>);

impl Connections {
    /// Notes what a source says; returns how it stands now.
    pub(crate) fn note(
        &self,
        (source, part): (&str, &str),
        state: Connection,
        now: Timestamp,
        masker: &Masker,
    ) -> SourceState {
        let is_open = state == Connection::Open;
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let parts = all.entry(source.to_owned()).or_default();
        let held = parts.entry(part.to_owned()).or_insert(Part {
            is_open,
            since: now,
            last_error: None,
        });
        if held.is_open != is_open {
            (held.is_open, held.since) = (is_open, now);
        }
        if let Connection::Broken(why) = state {
            let why = masker.mask(&why).chars().take(ERROR_MAX).collect();
            held.last_error = Some((now, why));
        }
        together(parts)
    }

    /// How a source stands; none where it never said.
    pub(crate) fn of(&self, source: &str) -> Option<SourceState> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(source).map(together)
    }
}

fn together(parts: &BTreeMap<String, Part>) -> SourceState {
    let is_connected = parts.values().all(|part| part.is_open);
    let since = if is_connected {
        parts.values().map(|part| part.since).max()
    } else {
        let closed = parts.values().filter(|part| !part.is_open);
        closed.map(|part| part.since).min()
    };
    let errors = parts.iter().filter_map(|(name, part)| {
        let (at, why) = part.last_error.as_ref()?;
        Some((
            *at,
            if name.is_empty() {
                why.clone()
            } else {
                format!("{name}: {why}")
            },
        ))
    });
    SourceState {
        is_connected,
        since: since.unwrap_or_default(),
        last_error: errors.max_by_key(|(at, _)| *at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: &str) -> Timestamp {
        format!("2026-11-22T08:00:{second}Z").parse().unwrap()
    }

    #[test]
    fn a_source_stands_since_when_it_changed_and_keeps_its_last_error_without_secrets() {
        let (all, masker) = (Connections::default(), Masker::default());
        masker.learn("broker", &"hunter22".into());
        let note = |part, state, second| all.note(("bus", part), state, at(second), &masker);
        assert_eq!(all.of("bus"), None);
        let first = note("", Connection::Awaited, "00");
        assert_eq!((first.is_connected, first.since), (false, at("00")));
        let broken = || Connection::Broken(format!("hunter22 is refused{}", "!".repeat(600)));
        note("", broken(), "01");
        let down = note("", broken(), "02");
        assert_eq!((down.is_connected, down.since), (false, at("00")));
        let (when, why) = down.last_error.unwrap();
        assert_eq!((when, why.chars().count()), (at("02"), ERROR_MAX));
        assert!(
            why.contains("is refused!") && !why.contains("hunter22"),
            "{why}"
        );
        let up = note("", Connection::Open, "03");
        note("", Connection::Open, "04");
        assert_eq!((up.is_connected, up.since), (true, at("03")));
        assert_eq!(all.of("bus"), Some(up.clone()));
        assert_eq!(up.last_error.map(|(when, _)| when), Some(at("02")));
    }

    #[test]
    fn a_source_of_several_connections_stands_when_all_do() {
        let (all, masker) = (Connections::default(), Masker::default());
        let note = |part, state, second| all.note(("k", part), state, at(second), &masker);
        note("pods", Connection::Open, "01");
        let one = note("nodes", Connection::Broken("403".to_owned()), "02");
        assert_eq!((one.is_connected, one.since), (false, at("02")));
        assert_eq!(one.last_error, Some((at("02"), "nodes: 403".to_owned())));
        let both = note("nodes", Connection::Open, "05");
        assert_eq!((both.is_connected, both.since), (true, at("05")));
    }
}
