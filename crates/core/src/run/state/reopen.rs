//! How a finished run goes back to one of its visits.
//!
//! Everything here starts from what the journal says of the visits, never from the frames
//! that were live at the end: those of closed containers are long gone by then.

use std::collections::BTreeMap;

use super::RunState;
use crate::run::entry::{Path, Turn, VisitNo};
use crate::run::visit::{Visit, VisitState};

impl RunState {
    /// Makes the visit `target` ready again, opens the containers around it and forgets what
    /// followed.
    pub(super) fn reopen(&mut self, target: VisitNo) {
        let path = self.visits[target as usize].path.clone();
        for turn in &path {
            let container = &mut self.visits[turn.of as usize];
            container.state = VisitState::Open;
            // Its time was counted from a beginning that is long past.
            container.until = None;
            // Within a loop, back to the iteration of the target.
            if !container.opened.contains(&turn.index) {
                container.opened = turn.index..turn.index.saturating_add(1);
            }
        }
        let followed: Vec<bool> = (0..)
            .zip(&self.visits)
            .map(|(number, visit)| self.follows((number, &visit.path), (target, &path)))
            .collect();
        for (visit, followed) in self.visits.iter_mut().zip(followed) {
            visit.forgotten |= followed;
            // What is done from here on somebody else wants done.
            visit.approved = None;
        }
        let visit = &mut self.visits[target as usize];
        visit.state = VisitState::Ready;
        visit.tries = 0;
        visit.rerun += 1;
        visit.in_doubt = false;
        self.frames = self.live_frames();
        self.scopes.reopen(self.frames.keys());
    }

    /// Whether a visit follows `target` or stands within it. Branches side by side do not
    /// follow each other; iterations of a loop do.
    fn follows(
        &self,
        (number, path): (VisitNo, &[Turn]),
        (target, around): (VisitNo, &[Turn]),
    ) -> bool {
        let mut turns = path.iter();
        for there in around {
            match turns.next() {
                None => return number > there.of,
                Some(here) if here.of != there.of => return here.of > there.of,
                Some(here) if here.index != there.index => {
                    return here.index >= self.visits[there.of as usize].opened.end;
                }
                Some(_) => {}
            }
        }
        match turns.next() {
            None => number > target,
            Some(here) => here.of >= target,
        }
    }

    /// The last visit of every frame whose containers are all open.
    fn live_frames(&self) -> BTreeMap<Path, VisitNo> {
        let live = |(_, visit): &(VisitNo, &Visit)| {
            let mut around = visit.path.iter();
            !visit.forgotten && around.all(|turn| self.visits[turn.of as usize].holds_open(*turn))
        };
        (0..)
            .zip(&self.visits)
            .filter(live)
            .map(|(number, visit)| (visit.path.clone(), number))
            .collect()
    }
}
