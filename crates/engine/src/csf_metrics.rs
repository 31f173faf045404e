//! CSF's counters by their own names and labels, so that its users' dashboards go on working.
//!
//! Unlike CSF this counts a failed action as an error, and an event as matched only where a
//! reaction that is still there is triggered by it. Source: CSF `metrics/metrics.go`.

use conche_core::run::{RunState, Status};
use prometheus::{IntCounterVec, Opts, Registry};

/// The two counters.
pub(crate) struct CsfMetrics {
    events: IntCounterVec,
    reactions: IntCounterVec,
}

impl CsfMetrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let counters = |name: &str, help: &str, label: &str, words: &[&str]| {
            let made = IntCounterVec::new(Opts::new(name, help), &[label]);
            let counters = made.expect("the names below are well-formed");
            for word in words {
                // Shown as 0 before the first.
                counters.with_label_values(&[word]);
            }
            let registered = registry.register(Box::new(counters.clone()));
            registered.expect("the names below are unique");
            counters
        };
        Self {
            events: counters(
                "csf_events_count",
                "Events by whether a reaction is triggered by them.",
                "matched",
                &["true", "false"],
            ),
            reactions: counters(
                "csf_reactions_count",
                "Runs of reactions that ended, by how.",
                "status",
                &["error", "not launched", "done"],
            ),
        }
    }

    pub(crate) fn count_event(&self, runs: usize) {
        let matched = if runs > 0 { "true" } else { "false" };
        self.events.with_label_values(&[matched]).inc();
    }

    /// Counts a run that ended. One that was cancelled has no word in CSF.
    pub(crate) fn count_run(&self, state: &RunState, status: Status) {
        let launched = || state.visits().iter().any(|visit| visit.attempts > 0);
        let word = match status {
            Status::Failed => "error",
            Status::Succeeded if launched() => "done",
            Status::Succeeded => "not launched",
            _ => return,
        };
        self.reactions.with_label_values(&[word]).inc();
    }
}
