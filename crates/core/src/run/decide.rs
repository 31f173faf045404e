//! What comes next in a run. Pure: the same state and time give the same effects.

mod attempts;
mod containers;
mod stops;

use std::collections::BTreeMap;

use jiff::Timestamp;

use self::attempts::input;
use self::stops::Stops;
use super::effect::Effect;
use super::entry::{Entry, ErrorKind, Outcome, Path, StepError, Verdict, VisitNo};
use super::state::{Phase, RunState};
use super::visit::{Done, Visit, VisitState};
use crate::definition::{AskStep, Definition, Step};
use crate::id::StepId;

/// What the reason of a failure ends with after which an exception handler ran.
const HANDLED: &str = " (its exception handler ran)";

/// Says what is to be done now. `definition` is the version that the run was started with.
///
/// Where there are [`Effect::Record`]s there is nothing else: apply them in order, then the
/// state is another, so ask again. Nothing but [`Effect::WaitUntil`] means that the run can be
/// left alone until the earliest of them, or until something arrives for it. Nothing at all
/// means that it is finished.
///
/// The state does not know which evaluations, probes and stops are being worked on, so these
/// effects come again until their outcome is recorded: the caller drops those that it has
/// already begun. An invocation comes once, since its intent is recorded.
pub fn decide(definition: &Definition, state: &RunState, now: Timestamp) -> Vec<Effect> {
    match state.phase() {
        Phase::Finished { .. } => Vec::new(),
        Phase::Cancelling { reason } => end(state, Outcome::Cancelled, Some(reason.clone())),
        Phase::Paused { reason, .. } => match state.deadline() {
            deadline if now < deadline => vec![Effect::WaitUntil(deadline)],
            deadline => {
                let reason = format!("the run's deadline passed at {deadline} ({reason})");
                end(state, Outcome::Failed, Some(reason))
            }
        },
        Phase::Running => Decision {
            definition,
            state,
            now,
            stops: Stops::of(definition, state, now),
            effects: Vec::new(),
        }
        .take(),
    }
}

/// Ends a run: first everything under way is stopped, then it is finished.
fn end(state: &RunState, outcome: Outcome, reason: Option<String>) -> Vec<Effect> {
    let stops: Vec<Effect> = state
        .performing()
        .map(|visit| Effect::Stop { visit })
        .collect();
    if stops.is_empty() {
        vec![Effect::Record(Entry::Finished { outcome, reason })]
    } else {
        stops
    }
}

struct Decision<'a> {
    definition: &'a Definition,
    state: &'a RunState,
    now: Timestamp,
    /// Containers that go no further.
    stops: Stops,
    effects: Vec<Effect>,
}

/// How a frame stands.
enum Frame {
    /// Something is still to happen in it.
    Live,
    Ended,
    Failed(StepError),
}

impl Decision<'_> {
    fn take(mut self) -> Vec<Effect> {
        // What is all done is done, also when that is noticed after the deadline only.
        match self.frame(&Path::new()) {
            Frame::Live => {}
            Frame::Ended => return end(self.state, Outcome::Succeeded, None),
            Frame::Failed(error) => return end(self.state, Outcome::Failed, Some(error.message)),
        }
        if let Some(reason) = self.limit_reached() {
            return end(self.state, Outcome::Failed, Some(reason));
        }
        if self.state.visits().is_empty() {
            self.enter(self.definition.start.clone(), Path::new(), None);
            return self.effects;
        }
        for (number, visit) in self.state.heads() {
            if !self.stops.hold(number, visit) {
                self.visit(number, visit);
            } else if let Some(until) = Stops::ends_at(visit, self.now) {
                self.effects
                    .push(Effect::WaitUntil(until.min(self.state.deadline())));
            }
        }
        if self
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::Record(_)))
        {
            self.effects
                .retain(|effect| matches!(effect, Effect::Record(_)));
            self.number_entries();
        }
        self.effects
    }

    /// Which limit of the whole run it has come to, in words.
    fn limit_reached(&self) -> Option<String> {
        let (deadline, steps) = (self.state.deadline(), self.definition.limits.steps);
        if self.now >= deadline {
            Some(format!("the run's deadline passed at {deadline}"))
        } else if self.state.visits().len() > steps as usize {
            Some(format!("more than {steps} steps were visited"))
        } else {
            None
        }
    }

    /// Gives the visits entered by this decision their numbers, in order.
    fn number_entries(&mut self) {
        let mut next = self.state.visits().len() as VisitNo;
        for effect in &mut self.effects {
            if let Effect::Record(Entry::Entered { visit, .. }) = effect {
                *visit = next;
                next += 1;
            }
        }
    }

    fn visit(&mut self, number: VisitNo, visit: &Visit) {
        let Some(step) = self.definition.steps.get(&visit.step) else {
            let message = format!("the definition has no step '{}'", visit.step);
            return match visit.state {
                VisitState::Ready => self.fail(number, visit, ErrorKind::Permanent, message),
                VisitState::Done(_) => {}
                // Entered under another definition, which a caller must not do.
                _ => self.effects.push(Effect::WaitUntil(self.state.deadline())),
            };
        };
        match &visit.state {
            VisitState::Ready => self.ready(number, visit, step),
            VisitState::BackingOff(at) => self.due(*at, |this| this.ready(number, visit, step)),
            VisitState::Open => match step {
                Step::Container(container) => self.container(number, visit, container),
                _ => self.effects.push(Effect::WaitUntil(self.state.deadline())),
            },
            VisitState::Asked { question, until } => self.due(*until, |this| {
                let did = if question.plan.is_empty() {
                    "answered"
                } else {
                    "approved"
                };
                let message = format!("nobody {did} '{}' in time", visit.step);
                this.fail(number, visit, ErrorKind::TimedOut, message);
            }),
            VisitState::Waiting(until) => {
                self.due(*until, |this| this.record(Entry::Elapsed { visit: number }));
            }
            VisitState::Uncertain {
                attempt,
                key,
                evidence,
                retry_at,
            } => {
                self.uncertain(number, visit, step, (*attempt, key, evidence, *retry_at));
            }
            // Only the one who performs it, or a person, can move these.
            VisitState::Performing { .. } | VisitState::Attention { .. } => {
                self.effects.push(Effect::WaitUntil(self.state.deadline()));
            }
            VisitState::Done(done) => {
                if let Some(next) = successor(step, done) {
                    self.enter(next.clone(), visit.path.clone(), Some(number));
                }
            }
        }
    }

    fn ready(&mut self, number: VisitNo, visit: &Visit, step: &Step) {
        match step {
            Step::Script(script) => self.evaluate(number, visit, script),
            Step::Action(action) => {
                let key = visit.key(self.state.run(), number);
                match input(action, self.state, visit) {
                    Ok(_) if visit.in_doubt && !action.policy.repeats_in_doubt() => {
                        self.doubt(number, visit);
                    }
                    Ok(_) if action.guarded && !self.is_approved(visit, action) => {
                        let message = format!(
                            "'{}' would not do what a second person approved, or nobody did: start again from its approval",
                            visit.step
                        );
                        self.fail(number, visit, ErrorKind::Permanent, message);
                    }
                    Ok(input) => {
                        let call = self.invocation(number, visit.attempts + 1, key, action, input);
                        self.effects.push(Effect::Invoke(call));
                    }
                    Err(message) => self.fail(number, visit, ErrorKind::Permanent, message),
                }
            }
            Step::Delay { span, .. } => match self.now.checked_add(*span) {
                Ok(until) => self.record(Entry::Delayed {
                    visit: number,
                    until,
                }),
                Err(error) => self.fail(number, visit, ErrorKind::Permanent, error.to_string()),
            },
            Step::Pass { .. } => self.record(Entry::Closed {
                visit: number,
                error: None,
                variables: BTreeMap::new(),
            }),
            Step::Container(container) => self.begin(number, visit, container),
            Step::Ask(ask) => self.ask(number, visit, ask),
            Step::Query(query) => self.effects.push(Effect::Query {
                visit: number,
                queries: query.queries.clone(),
                input: self.state.output_before(visit).cloned().unwrap_or_default(),
            }),
            Step::Raise => {
                let (kind, message) = self.went_wrong(visit);
                self.fail(number, visit, kind, message);
            }
        }
    }

    fn ask(&mut self, number: VisitNo, visit: &Visit, step: &AskStep) {
        let timeout = step.timeout.unwrap_or(std::time::Duration::MAX);
        let until = self.now.checked_add(timeout).unwrap_or(Timestamp::MAX);
        let until = until.min(self.given_up(number));
        match step.question.question(self.state.scope(&visit.path)) {
            Ok(question) => self.record(Entry::Asked {
                visit: number,
                question,
                until,
            }),
            Err(message) => self.fail(number, visit, ErrorKind::Permanent, message),
        }
    }

    /// What failed before a visit in its frame, the first thing first.
    fn went_wrong(&self, visit: &Visit) -> (ErrorKind, String) {
        let mut errors = Vec::new();
        let mut before = visit.from;
        while let Some(visit) = before.and_then(|number| self.state.visit(number)) {
            if let VisitState::Done(Done::Failed(error)) = &visit.state {
                errors.push(error);
            }
            before = visit.from;
        }
        let first = errors.pop();
        let kind = first.map_or(ErrorKind::Permanent, |error| error.kind);
        let message = first.map_or("it failed", |error| error.message.as_str());
        match errors.pop() {
            // A called playbook said so already.
            None if message.ends_with(HANDLED) => (kind, message.to_owned()),
            None => (kind, format!("{message}{HANDLED}")),
            Some(second) => (
                kind,
                format!(
                    "{message} (and its exception handler failed: {})",
                    second.message
                ),
            ),
        }
    }

    /// Does something if `at` has come, else waits for it.
    fn due(&mut self, at: Timestamp, then: impl FnOnce(&mut Self)) {
        if self.now >= at {
            then(self);
        } else {
            self.effects
                .push(Effect::WaitUntil(at.min(self.state.deadline())));
        }
    }

    fn enter(&mut self, step: StepId, path: Path, from: Option<VisitNo>) {
        self.record(Entry::Entered {
            visit: self.state.visits().len() as VisitNo,
            step,
            path,
            from,
        });
    }

    fn fail(&mut self, number: VisitNo, visit: &Visit, kind: ErrorKind, message: String) {
        let attempt = match visit.state {
            VisitState::Performing { attempt, .. } | VisitState::Uncertain { attempt, .. } => {
                attempt
            }
            _ => visit.attempts + 1,
        };
        self.record(Entry::Failed {
            visit: number,
            attempt,
            error: StepError { kind, message },
            retry_at: None,
            logs: Vec::new(),
        });
    }

    fn record(&mut self, entry: Entry) {
        self.effects.push(Effect::Record(entry));
    }
}

/// The step after one that came to `done`; `None` where its frame ends.
fn successor<'a>(step: &'a Step, done: &Done) -> Option<&'a StepId> {
    match (step, done) {
        (Step::Script(script), Done::Verdict(Verdict::Next { action, .. })) => {
            script.branches.get(action)
        }
        (Step::Script(_), _) => None,
        (Step::Action(action), Done::Failed(_)) => action.on_failure.as_ref(),
        (Step::Action(action), _) => action.next.as_ref(),
        (Step::Container(container), Done::Failed(_)) => container.on_failure.as_ref(),
        (Step::Container(container), _) => container.next.as_ref(),
        (Step::Ask(ask), Done::Failed(_)) => ask.on_failure.as_ref(),
        (Step::Ask(ask), _) => ask.next.as_ref(),
        (
            Step::Delay { .. } | Step::Pass { .. } | Step::Query(_) | Step::Raise,
            Done::Failed(_),
        )
        | (Step::Raise, _) => None,
        (Step::Query(query), _) => query.next.as_ref(),
        (Step::Delay { next, .. } | Step::Pass { next }, _) => next.as_ref(),
    }
}
