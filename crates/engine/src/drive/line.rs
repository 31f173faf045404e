//! What holds a run back though it could go on: a turn, a stop of effects, a place at a target.
//! And what reminds people of whom it asks.
//!
//! Of what is held back nothing is recorded: the run looks again after a while.

use std::collections::HashMap;
use std::time::Duration;

use conche_core::Timestamp;
use conche_core::event::RUN_AWAITING_ANSWER;
use conche_core::run::{Effect, Phase, VisitNo};
use conche_store::Next;

use super::{Broken, Drive};
use crate::housekeeping::later;
use crate::intake::Told;
use crate::targets::Place;
use crate::{rails, reminders};

/// A run that is far back in a line comes back after so many times that span at most.
pub(super) const TURN_WAITS: u32 = 30;
/// A run whose target has no place free looks again after this time.
const TARGET_WAIT: Duration = Duration::from_secs(1);

/// Places at targets, by the visit that acts on them.
type Places = HashMap<VisitNo, Option<Place>>;

impl Drive<'_> {
    /// Whether a run of a playbook may begin, or how many have to end before.
    pub(super) fn turn(&self) -> Result<(), usize> {
        let state = &self.held.state;
        let is_playbook = state.started().scope.is_some();
        if !is_playbook || *state.phase() != Phase::Running {
            return Ok(());
        }
        self.engine.turns.take(&state.started().name, state.run())
    }

    /// Lets go of the run, to be looked at again after a span.
    pub(super) async fn wait_in_line(
        &mut self,
        what: String,
        span: Duration,
    ) -> Result<(), Broken> {
        self.engine.waits.note(self.held.state.run(), what);
        let again = later(self.engine.now(), span).min(self.held.state.deadline());
        self.commit(Next::Park(again)).await
    }

    /// Takes out what may not begin now. Gives the places of what may, and when to look again.
    pub(super) fn hold_back(&self, starts: &mut Vec<Effect>) -> (Places, Option<Timestamp>) {
        let stopped = |effect: &Effect| match effect {
            Effect::Invoke(call) => {
                let (name, state) = (&self.held.definition.name, &self.held.state);
                let around = rails::around(name, state, call.visit);
                self.engine.is_stopped(&around, &call.module)
            }
            _ => false,
        };
        let run = self.held.state.run();
        let mut again = None;
        if starts.iter().any(stopped) {
            starts.retain(|effect| !stopped(effect));
            again = Some(later(self.engine.now(), rails::LOOK_AGAIN));
            let what = "effects are stopped".to_owned();
            self.engine.waits.note(run, what);
        }
        let mut places = HashMap::new();
        let mut full = None;
        starts.retain(|effect| {
            let Effect::Invoke(call) = effect else {
                return true;
            };
            match self.engine.targets.take(|| rails::places(&call.input)) {
                Ok(place) => {
                    places.insert(call.visit, place);
                    true
                }
                Err(target) => {
                    full = Some(target);
                    false
                }
            }
        });
        if let Some(target) = full {
            let soon = later(self.engine.now(), TARGET_WAIT);
            again = again.map_or(Some(soon), |again| Some(again.min(soon)));
            let what = format!("other attempts at `{target}` end first");
            self.engine.waits.note(run, what);
        }
        if again.is_none() {
            self.engine.waits.clear(run);
        }
        (places, again)
    }

    /// Tells again of questions that wait for an answer; gives when to do so next.
    pub(super) fn remind(&mut self) -> Option<Timestamp> {
        let every = self.engine.config.remind_every?;
        let now = self.engine.now();
        for reminder in reminders::due(&self.held.state, every, now) {
            let last = self.reminded.insert(reminder.visit, reminder.nth);
            if last == Some(reminder.nth) {
                continue;
            }
            let told = Told {
                event_type: RUN_AWAITING_ANSWER,
                reason: &reminder.reason,
                nth: None,
                id: Some(reminder.id),
                more: reminder.more,
            };
            let event = self.engine.own_event(&self.held, told, now);
            self.emit.extend(event);
        }
        reminders::next(&self.held.state, every, now)
    }
}
