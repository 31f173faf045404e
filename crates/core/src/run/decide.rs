//! What comes next in a run. Pure: the same state and time give the same effects.

use std::ops::Range;

use jiff::Timestamp;

use super::effect::{Effect, Invocation};
use super::entry::{Entry, ErrorKind, Outcome, Path, StepError, Turn, Verdict, VisitNo};
use super::key::IdempotencyKey;
use super::retry::Repeat;
use super::state::{Phase, RunState};
use super::visit::{Done, Visit, VisitState};
use crate::definition::{ActionStep, Condition, Definition, Input, ScriptStep, Step};
use crate::id::StepId;
use crate::json::Json;

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
        Phase::Running => Decision {
            definition,
            state,
            now,
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
            self.visit(number, visit);
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
            VisitState::Open => self.container(number, visit, step),
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
            Step::Parallel { branches, .. } => {
                self.record(Entry::Opened {
                    visit: number,
                    turn: 0,
                    count: branches.len() as u32,
                });
            }
            Step::Switch {
                cases, otherwise, ..
            } => self.switch(number, visit, cases, otherwise.is_some()),
            Step::While { condition, .. } => self.iterate(number, visit, condition, 0),
        }
    }

    fn evaluate(&mut self, number: VisitNo, visit: &Visit, step: &ScriptStep) {
        self.effects.push(Effect::Evaluate {
            visit: number,
            script: step.script.clone(),
            isolation: step.isolation,
            lists: step.lists.clone(),
            event: self.state.event().cloned(),
            action_data: self.state.output_before(visit).cloned(),
        });
    }

    /// The store was put back from a copy, after which the action may have been done.
    fn doubt(&mut self, number: VisitNo, visit: &Visit) {
        let copy = self.state.copied_at().map_or_else(
            || "a copy".to_owned(),
            |copied_at| format!("a copy of {copied_at}"),
        );
        self.record(Entry::Interrupted {
            visit: number,
            attempt: visit.attempts + 1,
            evidence: format!("the run was restored from {copy}, and it may have been done since"),
            retry_at: None,
        });
    }

    fn invocation(
        &self,
        visit: VisitNo,
        attempt: u32,
        key: IdempotencyKey,
        step: &ActionStep,
        input: Json,
    ) -> Invocation {
        let timeout = self
            .now
            .checked_add(step.policy.timeout)
            .unwrap_or(Timestamp::MAX);
        Invocation {
            visit,
            attempt,
            key,
            module: step.module.clone(),
            action: step.action.clone(),
            input,
            policy: step.policy,
            deadline: timeout.min(self.state.deadline()),
        }
    }

    /// It is unknown whether an attempt took effect: repeat, ask, or leave it to a person.
    fn uncertain(
        &mut self,
        number: VisitNo,
        visit: &Visit,
        step: &Step,
        (attempt, key, evidence, retry_at): (u32, &IdempotencyKey, &str, Option<Timestamp>),
    ) {
        let Step::Action(action) = step else {
            return self.fail(
                number,
                visit,
                ErrorKind::Permanent,
                format!("'{}' is not an action any more", visit.step),
            );
        };
        let input = match input(action, self.state, visit) {
            Ok(input) => input,
            Err(message) => return self.fail(number, visit, ErrorKind::Permanent, message),
        };
        if action.policy.repeat == Repeat::Probe {
            let call = self.invocation(number, attempt, key.clone(), action, input);
            return self.effects.push(Effect::Probe(call));
        }
        let Some(at) = retry_at else {
            return self.record(Entry::AttentionNeeded {
                visit: number,
                reason: format!(
                    "it is unknown whether attempt {attempt} of '{}' took effect: {evidence}",
                    visit.step
                ),
            });
        };
        self.due(at, |this| {
            let call = this.invocation(number, visit.attempts + 1, key.clone(), action, input);
            this.effects.push(Effect::Invoke(call));
        });
    }

    fn switch(
        &mut self,
        number: VisitNo,
        visit: &Visit,
        cases: &[(Condition, StepId)],
        otherwise: bool,
    ) {
        for (index, (condition, _)) in (0..).zip(cases) {
            match condition.holds(self.state.variables()) {
                Ok(true) => {
                    return self.record(Entry::Opened {
                        visit: number,
                        turn: index,
                        count: 1,
                    });
                }
                Ok(false) => {}
                Err(error) => {
                    return self.fail(number, visit, ErrorKind::Permanent, error.to_string());
                }
            }
        }
        self.record(if otherwise {
            Entry::Opened {
                visit: number,
                turn: cases.len() as u32,
                count: 1,
            }
        } else {
            Entry::Closed {
                visit: number,
                error: None,
            }
        });
    }

    fn iterate(&mut self, number: VisitNo, visit: &Visit, condition: &Condition, turn: u32) {
        match condition.holds(self.state.variables()) {
            Ok(true) if turn >= self.definition.limits.iterations => {
                let message = format!(
                    "the loop '{}' exceeded {} iterations",
                    visit.step, self.definition.limits.iterations
                );
                self.record(Entry::Closed {
                    visit: number,
                    error: Some(StepError {
                        kind: ErrorKind::Limit,
                        message,
                    }),
                });
            }
            Ok(true) => self.record(Entry::Opened {
                visit: number,
                turn,
                count: 1,
            }),
            Ok(false) => self.record(Entry::Closed {
                visit: number,
                error: None,
            }),
            Err(error) => self.record(Entry::Closed {
                visit: number,
                error: Some(StepError {
                    kind: ErrorKind::Permanent,
                    message: error.to_string(),
                }),
            }),
        }
    }

    /// Enters the frames of an open container; when all have ended, closes it or iterates.
    fn container(&mut self, number: VisitNo, visit: &Visit, step: &Step) {
        let (mut live, mut failed) = (false, None);
        for index in visit.opened.clone() {
            let Some(first) = first_step(step, &visit.opened, index) else {
                failed = Some(StepError {
                    kind: ErrorKind::Permanent,
                    message: format!("'{}' has no branch {index}", visit.step),
                });
                break;
            };
            let mut path = visit.path.clone();
            path.push(Turn { of: number, index });
            if self.state.head(&path).is_none() {
                self.enter(first.clone(), path, None);
                live = true;
                continue;
            }
            match self.frame(&path) {
                Frame::Live => live = true,
                Frame::Ended => {}
                Frame::Failed(error) => failed = failed.or(Some(error)),
            }
        }
        match (live, failed, step) {
            (true, _, _) => {}
            (false, None, Step::While { condition, .. }) => {
                self.iterate(number, visit, condition, visit.opened.end);
            }
            (false, error, _) => self.record(Entry::Closed {
                visit: number,
                error,
            }),
        }
    }

    fn frame(&self, path: &Path) -> Frame {
        let head = self
            .state
            .head(path)
            .and_then(|number| self.state.visit(number));
        let Some(Visit {
            state: VisitState::Done(done),
            step,
            ..
        }) = head
        else {
            return Frame::Live;
        };
        let next = self
            .definition
            .steps
            .get(step)
            .and_then(|step| successor(step, done));
        match (next, done) {
            (Some(_), _) => Frame::Live,
            (None, Done::Failed(error)) => Frame::Failed(error.clone()),
            (None, Done::Verdict(_) | Done::Output(_) | Done::Passed) => Frame::Ended,
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
        (_, Done::Failed(_)) => None,
        (
            Step::Delay { next, .. }
            | Step::Parallel { next, .. }
            | Step::Switch { next, .. }
            | Step::While { next, .. },
            _,
        ) => next.as_ref(),
    }
}

/// The first step of one of the frames `opened`; `None` for a frame that the step cannot have.
fn first_step<'a>(step: &'a Step, opened: &Range<u32>, index: u32) -> Option<&'a StepId> {
    match step {
        Step::Parallel { branches, .. } => branches.get(index as usize),
        Step::Switch {
            cases, otherwise, ..
        } => match cases.get(index as usize) {
            Some((_, first)) => Some(first),
            None if index as usize == cases.len() => otherwise.as_ref(),
            None => None,
        },
        Step::While { body, .. } => (opened.len() == 1).then_some(body),
        Step::Script(_) | Step::Action(_) | Step::Delay { .. } => None,
    }
}

fn input(step: &ActionStep, state: &RunState, visit: &Visit) -> Result<Json, String> {
    match &step.input {
        Input::Fixed(json) => Ok(json.clone()),
        Input::Variables => Json::from_value(state.variables()).map_err(|error| error.to_string()),
        Input::Verdict => match visit
            .from
            .and_then(|from| state.visit(from))
            .map(|from| &from.state)
        {
            Some(VisitState::Done(Done::Verdict(Verdict::Next { data, .. }))) => Ok(data.clone()),
            _ => Err(format!(
                "'{}' was not reached by a script's verdict",
                visit.step
            )),
        },
    }
}
