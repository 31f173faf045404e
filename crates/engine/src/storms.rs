//! What storm control made of events, told: counted for each reaction and, where a control
//! could not do its work, said in the log, but no more often than somebody can read it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use conche_core::Timestamp;
use conche_core::run::Entry;
use conche_store::{Accepted, Fate, NewRun};

use crate::Inner;
use crate::triggers::Fault;

/// A complaint about a reaction is repeated so often.
const REPEAT: Duration = Duration::from_mins(1);
/// Complaints remembered; with more of them all are forgotten, and may come again.
const REMEMBERED: usize = 1000;

/// What was complained of, and when.
#[derive(Default)]
pub(crate) struct Complaints(Mutex<HashMap<(String, String), Timestamp>>);

impl Complaints {
    /// Whether this may be said now.
    fn may(&self, reaction: &str, what: &str, now: Timestamp) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = (reaction.to_owned(), what.to_owned());
        let recently = |last: &Timestamp| now.duration_since(*last).unsigned_abs() < REPEAT;
        if said.get(&at).is_some_and(recently) {
            return false;
        }
        if said.len() >= REMEMBERED {
            said.clear();
        }
        said.insert(at, now);
        true
    }
}

impl Inner {
    /// A reaction could not tell what to do with an event.
    pub(crate) fn tell_fault(&self, reaction: &str, fault: &Fault, now: Timestamp) {
        self.metrics.filter_faults.inc();
        if self.complaints.may(reaction, &fault.to_string(), now) {
            tracing::error!(reaction, "reaction {fault}");
        }
    }

    /// What became of one run that an event was to start.
    pub(crate) fn tell_fate(&self, reaction: &str, fate: Fate, now: Timestamp) {
        match fate {
            Fate::Born => {}
            Fate::Suppressed { by, .. }
            | Fate::Waits {
                by, first: false, ..
            } => {
                self.metrics.count_suppressed(reaction, by.as_str());
            }
            Fate::Waits { first: true, .. } => self.metrics.runs_started.inc(),
            Fate::Uncontrolled { by } => {
                self.metrics.count_uncontrolled(reaction, by.as_str());
                if self.complaints.may(reaction, by.as_str(), now) {
                    let (by, limit) = (by.as_str(), self.config.storm_keys);
                    tracing::error!(
                        reaction,
                        by,
                        limit,
                        "too many keys are under storm control: events of new ones run uncontrolled"
                    );
                }
            }
        }
    }

    /// What became of the runs of events that a run of ours emitted.
    pub(crate) fn tell_emitted(&self, emit: &[conche_store::Acceptance], accepted: &[Accepted]) {
        let now = self.now();
        for (acceptance, accepted) in emit.iter().zip(accepted) {
            for (run, fate) in acceptance.runs.iter().zip(&accepted.fates) {
                self.tell_fate(name(run), *fate, now);
            }
        }
    }
}

fn name(run: &NewRun) -> &str {
    match &run.first.entry {
        Entry::Started(started) => &started.name,
        _ => "",
    }
}
