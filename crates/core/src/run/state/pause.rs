//! A paused run: what it accepts, and how it goes on.
//!
//! The times of its steps stand still while it is paused; its own deadline does not, so that
//! nothing waits for ever.

use jiff::Timestamp;

use super::{Phase, RunState};
use crate::run::entry::{Entry, Record};
use crate::run::visit::{Illegal, Visit, VisitState};

impl RunState {
    pub(super) fn apply_paused(&mut self, since: Timestamp, record: Record) -> Result<(), Illegal> {
        match record.entry {
            // What was under way ends, one way or the other, and people may speak.
            Entry::Evaluated { visit, .. }
            | Entry::Found { visit, .. }
            | Entry::Answered { visit, .. }
            | Entry::Succeeded { visit, .. }
            | Entry::Failed { visit, .. }
            | Entry::Interrupted { visit, .. }
            | Entry::AttentionNeeded { visit, .. }
            | Entry::Resumed { visit, .. } => self.apply_to(visit, record.entry),
            Entry::Unpaused { .. } => {
                self.unpause(since, record.at);
                Ok(())
            }
            Entry::CancelRequested { by, reason } => {
                self.cancel(&by, reason);
                Ok(())
            }
            Entry::Finished { outcome, reason } => self.finish(record.at, outcome, reason),
            Entry::Restored { copied_at } => {
                self.restore(copied_at);
                Ok(())
            }
            Entry::Started(_)
            | Entry::Entered { .. }
            | Entry::Opened { .. }
            | Entry::Closed { .. }
            | Entry::Asked { .. }
            | Entry::Delayed { .. }
            | Entry::Elapsed { .. }
            | Entry::Intended { .. }
            | Entry::Paused { .. }
            | Entry::Reopened { .. } => Err(self.illegal(&record.entry)),
        }
    }

    /// Goes on. What was left of a delay, a question's time and a step's time is left still.
    fn unpause(&mut self, since: Timestamp, now: Timestamp) {
        self.phase = Phase::Running;
        let paused = now.duration_since(since).max(jiff::SignedDuration::ZERO);
        let deadline = self.deadline;
        let later = |at: Timestamp| {
            let later = at.checked_add(paused).unwrap_or(Timestamp::MAX);
            // Nothing is waited for beyond the end of the run.
            later.min(deadline.max(at))
        };
        for number in self.frames.values() {
            put_off(&mut self.visits[*number as usize], later);
        }
    }
}

/// Puts off the times that a visit waits for.
fn put_off(visit: &mut Visit, later: impl Fn(Timestamp) -> Timestamp) {
    match &mut visit.state {
        VisitState::Open => visit.until = visit.until.map(later),
        VisitState::Waiting(until) | VisitState::Asked { until, .. } => *until = later(*until),
        // An attempt that became due meanwhile is due.
        VisitState::Ready
        | VisitState::Performing { .. }
        | VisitState::BackingOff(_)
        | VisitState::Uncertain { .. }
        | VisitState::Attention { .. }
        | VisitState::Done(_) => {}
    }
}
