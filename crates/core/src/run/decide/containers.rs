//! What comes next in steps that open frames: opening, iterating, joining, giving up.

use std::collections::BTreeMap;
use std::ops::Range;

use conche_cacao::variable::{Name, Variables};
use jiff::Timestamp;

use super::stops::{ends_with, opens};
use super::{Decision, Frame, successor};
use crate::definition::{Condition, Container, Opens};
use crate::id::StepId;
use crate::json::Json;
use crate::run::effect::Effect;
use crate::run::entry::{Entry, ErrorKind, OpenedScope, Path, StepError, Turn, VisitNo};
use crate::run::scope::Declared;
use crate::run::visit::{Done, Visit, VisitState};

pub(super) fn frame_path(container: VisitNo, visit: &Visit, index: u32) -> Path {
    let mut path = visit.path.clone();
    path.push(Turn {
        of: container,
        index,
    });
    path
}

impl Decision<'_> {
    /// Opens a container, or closes it where it has nothing to open.
    pub(super) fn begin(&mut self, number: VisitNo, visit: &Visit, container: &Container) {
        let mut scope = OpenedScope {
            variables: container.variables.clone(),
            isolated: false,
        };
        let opened = match &container.opens {
            Opens::Group { .. } => Ok(Some(0..1)),
            Opens::Parallel { branches, .. } => Ok(Some(0..branches.len() as u32)),
            Opens::If { cases, otherwise } => {
                self.choose(visit, container, cases, otherwise.as_ref())
            }
            Opens::Switch { on, cases } => {
                let values = cases.iter().map(|(value, _)| value.as_str());
                let mut seen = self.state.scope(&visit.path).clone();
                seen.enter(container.variables.0.clone());
                match on.choose(values, &seen) {
                    Ok(chosen) => Ok(chosen.and_then(|chosen| {
                        let at = cases.iter().position(|(value, _)| value == chosen)? as u32;
                        Some(at..at + 1)
                    })),
                    Err(error) => Err(error.to_string()),
                }
            }
            Opens::While { condition, .. } => {
                let holds = self.holds(visit, container, condition);
                holds.map(|holds| holds.then_some(0..1))
            }
            Opens::Call {
                variables, in_args, ..
            } => self.call(visit, container, variables, in_args).map(|own| {
                scope = OpenedScope {
                    variables: own,
                    isolated: true,
                };
                Some(0..1)
            }),
        };
        match opened {
            Ok(Some(opened)) => self.open(number, opened, Some((container, scope))),
            Ok(None) => self.record(closed(number, None)),
            Err(message) => self.fail(number, visit, ErrorKind::Permanent, message),
        }
    }

    fn open(
        &mut self,
        number: VisitNo,
        opened: Range<u32>,
        first: Option<(&Container, OpenedScope)>,
    ) {
        let timeout = first.as_ref().and_then(|(container, _)| container.timeout);
        let until = timeout.map(|timeout| {
            let until = self.now.checked_add(timeout).unwrap_or(Timestamp::MAX);
            until.min(self.state.deadline())
        });
        let scoped = self.state.started().scope.is_some();
        self.record(Entry::Opened {
            visit: number,
            turn: opened.start,
            count: opened.len() as u32,
            scope: first.map(|(_, scope)| scope).filter(|_| scoped),
            until,
        });
    }

    /// The case whose condition holds, or the one for all others.
    fn choose(
        &self,
        visit: &Visit,
        container: &Container,
        cases: &[(Condition, StepId)],
        otherwise: Option<&StepId>,
    ) -> Result<Option<Range<u32>>, String> {
        for (index, (condition, _)) in (0..).zip(cases) {
            if self.holds(visit, container, condition)? {
                return Ok(Some(index..index + 1));
            }
        }
        let rest = cases.len() as u32;
        Ok(otherwise.is_some().then_some(rest..rest + 1))
    }

    /// Whether a condition of a container holds before it is open.
    fn holds(
        &self,
        visit: &Visit,
        container: &Container,
        condition: &Condition,
    ) -> Result<bool, String> {
        let mut seen = self.state.scope(&visit.path).clone();
        seen.enter(container.variables.0.clone());
        let holds = condition.holds(self.state.variables(), &seen);
        holds.map_err(|error| error.to_string())
    }

    /// The variables with which a called playbook starts.
    fn call(
        &self,
        visit: &Visit,
        container: &Container,
        variables: &Declared,
        in_args: &[Name],
    ) -> Result<Declared, String> {
        let around = visit.path.iter().filter(|turn| {
            let visit = self.state.visit(turn.of);
            let opens = visit.and_then(|visit| opens(self.definition, visit));
            matches!(opens, Some(Opens::Call { .. }))
        });
        let most = self.definition.limits.calls;
        if around.count() >= most as usize {
            return Err(format!(
                "more than {most} playbooks call each other, one within the other"
            ));
        }
        let mut seen = self.state.scope(&visit.path).clone();
        seen.enter(container.variables.0.clone());
        let mut own = variables.clone();
        for name in in_args {
            let given = seen.variable(name.as_str());
            let given =
                given.ok_or_else(|| format!("there is no variable `{name}` to hand over"))?;
            let Some(variable) = own.0.get_mut(name.as_str()) else {
                return Err(format!("the playbook has no variable `{name}` to be given"));
            };
            if let Some(value) = &given.value {
                let read = variable.kind.parse(&value.to_string());
                let read = read.map_err(|error| format!("`{name}` cannot be handed over: {error}"));
                variable.value = Some(read?);
            }
        }
        let missing = own
            .0
            .iter()
            .find(|(_, variable)| variable.external && variable.value.is_none());
        match missing {
            None => Ok(own),
            Some((name, _)) => Err(format!("the playbook must be given a value for `{name}`")),
        }
    }

    /// Enters the frames of an open container; when all are over, closes it or iterates.
    pub(super) fn container(&mut self, number: VisitNo, visit: &Visit, container: &Container) {
        if self.stops.expired.contains(&number) {
            return self.expire(number, visit);
        }
        let failing = self.stops.failed.contains(&number);
        let (mut live, mut failed) = (false, None);
        for index in visit.opened.clone() {
            let Some(first) = first_step(&container.opens, &visit.opened, index) else {
                failed = Some(StepError {
                    kind: ErrorKind::Permanent,
                    message: format!("'{}' has no branch {index}", visit.step),
                });
                break;
            };
            let path = frame_path(number, visit, index);
            if self.state.head(&path).is_none() {
                if !failing {
                    self.enter(first.clone(), path, None);
                    live = true;
                }
                continue;
            }
            match self.frame(&path) {
                Frame::Live => live = true,
                Frame::Ended => {}
                Frame::Failed(error) => failed = failed.or(Some(error)),
            }
        }
        if live {
            if let Some(until) = visit.until {
                self.effects
                    .push(Effect::WaitUntil(until.min(self.state.deadline())));
            }
            return;
        }
        match (failed, &container.opens) {
            (None, Opens::While { condition, .. }) => {
                self.iterate(number, visit, condition);
            }
            (None, Opens::Call { out_args, .. }) => {
                self.give_back(number, visit, (container, out_args));
            }
            (error, _) => self.record(closed(number, error)),
        }
    }

    /// The time of a container is over: stops what is under way within it, then closes it.
    fn expire(&mut self, number: VisitNo, visit: &Visit) {
        let stops: Vec<Effect> = self
            .state
            .performing_within(number)
            .map(|visit| Effect::Stop { visit })
            .collect();
        if !stops.is_empty() {
            return self.effects.extend(stops);
        }
        self.record(closed(number, Some(timed_out(visit, self.now))));
    }

    /// Asks the condition of a loop again, between two iterations.
    fn iterate(&mut self, number: VisitNo, visit: &Visit, condition: &Condition) {
        let turn = visit.opened.end;
        // What the last iteration assigned is seen before it is joined.
        let seen = self.state.scope(&frame_path(number, visit, turn - 1));
        let error = match condition.holds(self.state.variables(), seen) {
            Ok(true) if visit.until.is_some_and(|until| self.now >= until) => {
                Some(timed_out(visit, self.now))
            }
            Ok(true) if self.may_iterate(turn) => return self.open(number, turn..turn + 1, None),
            Ok(true) => Some(StepError {
                kind: ErrorKind::Limit,
                message: format!(
                    "the loop '{}' exceeded {} iterations",
                    visit.step, self.definition.limits.iterations
                ),
            }),
            Ok(false) => None,
            Err(error) => Some(StepError {
                kind: ErrorKind::Permanent,
                message: error.to_string(),
            }),
        };
        self.record(closed(number, error));
    }

    const fn may_iterate(&self, turn: u32) -> bool {
        turn < self.definition.limits.iterations
    }

    /// Closes a called playbook; what it returns must fit the caller's variables. Those of the
    /// calling step itself end with it.
    fn give_back(
        &mut self,
        number: VisitNo,
        visit: &Visit,
        (container, out_args): (&Container, &[Name]),
    ) {
        let returned = self.state.scope(&frame_path(number, visit, 0));
        let mut seen = self.state.scope(&visit.path).clone();
        seen.enter(container.variables.0.clone());
        let mut variables = BTreeMap::new();
        for name in out_args {
            let value = returned
                .variable(name.as_str())
                .and_then(|variable| variable.value.as_ref());
            let value = value.map_or(serde_json::Value::Null, |value| value.to_string().into());
            if let Err(reason) = seen.assign(name.as_str(), &value) {
                let error = StepError {
                    kind: ErrorKind::Permanent,
                    message: format!("what the playbook returned cannot be kept: {reason}"),
                };
                return self.record(closed(number, Some(error)));
            }
            if !container.variables.0.contains_key(name) {
                variables.insert(name.to_string(), Json::from(&value));
            }
        }
        self.record(Entry::Closed {
            visit: number,
            error: None,
            variables,
        });
    }

    /// How a frame stands.
    pub(super) fn frame(&self, path: &Path) -> Frame {
        let head = self.state.head(path);
        let Some((number, visit)) = head.and_then(|head| Some((head, self.state.visit(head)?)))
        else {
            return Frame::Live;
        };
        let over = self.stops.ends(path) && self.is_over(number, visit);
        let VisitState::Done(done) = &visit.state else {
            return if over { Frame::Ended } else { Frame::Live };
        };
        let step = self.definition.steps.get(&visit.step);
        match (step.and_then(|step| successor(step, done)), done) {
            (Some(_), _) if over => Frame::Ended,
            (Some(_), _) => Frame::Live,
            (None, Done::Failed(error)) => Frame::Failed(error.clone()),
            (None, Done::Verdict(_) | Done::Output(_) | Done::Passed) => Frame::Ended,
        }
    }

    /// Whether nothing is under way in the last visit of a frame that goes no further.
    fn is_over(&self, number: VisitNo, visit: &Visit) -> bool {
        let open = self.stops.looked_into(number, &visit.state);
        ends_with(&visit.state)
            || open
                && visit.opened.clone().all(|index| {
                    let path = frame_path(number, visit, index);
                    self.state.head(&path).is_none() || !matches!(self.frame(&path), Frame::Live)
                })
    }
}

/// What CACAO wants handed over when a step's time is over: the word and the step.
fn timed_out(visit: &Visit, now: Timestamp) -> StepError {
    let until = visit.until.unwrap_or(now);
    StepError {
        kind: ErrorKind::TimedOut,
        message: format!("ACTION_TIMEOUT: '{}' was not over at {until}", visit.step),
    }
}

const fn closed(visit: VisitNo, error: Option<StepError>) -> Entry {
    Entry::Closed {
        visit,
        error,
        variables: BTreeMap::new(),
    }
}

/// The first step of one of the frames `opened`; `None` for a frame that the step cannot have.
fn first_step<'a>(opens: &'a Opens, opened: &Range<u32>, index: u32) -> Option<&'a StepId> {
    match opens {
        Opens::Parallel { branches, .. } => branches.get(index as usize),
        Opens::If { cases, otherwise } => match cases.get(index as usize) {
            Some((_, first)) => Some(first),
            None if index as usize == cases.len() => otherwise.as_ref(),
            None => None,
        },
        Opens::Switch { cases, .. } => cases.get(index as usize).map(|(_, first)| first),
        Opens::While { body, .. } | Opens::Group { body, .. } | Opens::Call { body, .. } => {
            (opened.len() == 1).then_some(body)
        }
    }
}
