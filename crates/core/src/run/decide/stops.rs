//! Where a run begins nothing new: containers whose time is over, and branches beside one that
//! failed.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::containers::frame_path;
use super::successor;
use crate::definition::{Definition, Opens, Step};
use crate::run::entry::{Turn, VisitNo};
use crate::run::state::RunState;
use crate::run::visit::{Done, Visit, VisitState};

/// Containers within which nothing new is begun.
#[derive(Default)]
pub(super) struct Stops {
    /// Their time is over: what is under way within is stopped.
    pub(super) expired: BTreeSet<VisitNo>,
    /// A branch failed and nothing makes good for it: what is under way is brought to its end.
    pub(super) failed: BTreeSet<VisitNo>,
    /// Open groups that are brought to their end.
    whole: BTreeSet<VisitNo>,
}

impl Stops {
    pub(super) fn of(definition: &Definition, state: &RunState, now: Timestamp) -> Self {
        let mut stops = Self::default();
        let mut parallel = Vec::new();
        for (number, visit) in state.heads() {
            if visit.state != VisitState::Open {
                continue;
            }
            let late = visit.until.is_some_and(|until| now >= until);
            if late && !is_all_done(definition, state, number, visit) {
                stops.expired.insert(number);
            }
            match opens(definition, visit) {
                Some(Opens::Group { whole: true, .. }) => drop(stops.whole.insert(number)),
                Some(Opens::Parallel {
                    fail_fast: true, ..
                }) => parallel.push((number, visit)),
                _ => {}
            }
        }
        for (number, visit) in parallel {
            let has_failed = visit.opened.clone().any(|index| {
                let head = state.head(&frame_path(number, visit, index));
                let head = head.and_then(|head| state.visit(head));
                head.is_some_and(|head| has_failed(definition, head))
            });
            if has_failed {
                stops.failed.insert(number);
            }
        }
        stops
    }

    /// Whether the last visit of a frame is left as it is.
    pub(super) fn hold(&self, number: VisitNo, visit: &Visit) -> bool {
        let (path, state) = (&visit.path, &visit.state);
        if self.expired.is_empty() && self.failed.is_empty() {
            return false;
        }
        if path.iter().any(|turn| self.expired.contains(&turn.of)) {
            return true;
        }
        // One whose time is over is closed, also in a branch that goes no further: else what
        // waits within it would be waited for.
        !self.expired.contains(&number)
            && self.ends(path)
            && (ends_with(state) || self.looked_into(number, state))
    }

    /// When an open container that is left as it is will be closed all the same.
    pub(super) fn ends_at(visit: &Visit, now: Timestamp) -> Option<Timestamp> {
        let open = visit.state == VisitState::Open;
        visit.until.filter(|until| open && *until > now)
    }

    /// Whether a visit is an open container that its frames decide about.
    pub(super) fn looked_into(&self, number: VisitNo, state: &VisitState) -> bool {
        *state == VisitState::Open && !self.whole.contains(&number)
    }

    /// Whether a frame goes no further, since a branch beside it, or beside one around it, failed.
    pub(super) fn ends(&self, path: &[Turn]) -> bool {
        let inner_first = path.iter().rev();
        inner_first
            .take_while(|turn| !self.whole.contains(&turn.of))
            .any(|turn| self.failed.contains(&turn.of))
    }
}

/// Whether a frame that goes no further is over with its last visit in this state. An open
/// container is looked into; what was begun is brought to its end.
pub(super) const fn ends_with(state: &VisitState) -> bool {
    matches!(
        state,
        VisitState::Ready | VisitState::Waiting(_) | VisitState::Done(_)
    )
}

pub(super) fn opens<'d>(definition: &'d Definition, visit: &Visit) -> Option<&'d Opens> {
    match definition.steps.get(&visit.step)? {
        Step::Container(container) => Some(&container.opens),
        _ => None,
    }
}

/// Whether all frames of an open container came to their ends: then it is over in time, also
/// where that is noticed later.
fn is_all_done(
    definition: &Definition,
    state: &RunState,
    number: VisitNo,
    container: &Visit,
) -> bool {
    container.opened.clone().all(|index| {
        let head = state.head(&frame_path(number, container, index));
        let head = head.and_then(|head| state.visit(head));
        head.is_some_and(|head| match &head.state {
            VisitState::Done(done) => {
                let step = definition.steps.get(&head.step);
                step.and_then(|step| successor(step, done)).is_none()
            }
            _ => false,
        })
    })
}

/// Whether a visit is the end of a frame that failed.
fn has_failed(definition: &Definition, visit: &Visit) -> bool {
    let VisitState::Done(done @ Done::Failed(_)) = &visit.state else {
        return false;
    };
    let step = definition.steps.get(&visit.step);
    step.and_then(|step| successor(step, done)).is_none()
}
