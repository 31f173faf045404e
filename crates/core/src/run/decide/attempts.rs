//! Scripts to evaluate and attempts at actions: the first, repeats, and those of unknown effect.

use jiff::Timestamp;

use super::Decision;
use crate::definition::{ActionStep, Input, ScriptStep, Step};
use crate::json::Json;
use crate::run::effect::{Effect, Invocation};
use crate::run::entry::{Entry, ErrorKind, Verdict, VisitNo};
use crate::run::key::IdempotencyKey;
use crate::run::retry::Repeat;
use crate::run::state::RunState;
use crate::run::visit::{Done, Visit, VisitState};

impl Decision<'_> {
    pub(super) fn evaluate(&mut self, number: VisitNo, visit: &Visit, step: &ScriptStep) {
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
    pub(super) fn doubt(&mut self, number: VisitNo, visit: &Visit) {
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

    pub(super) fn invocation(
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
            deadline: timeout.min(self.given_up(visit)),
            copied_at: self.state.copied_at(),
        }
    }

    /// When a visit is given up at the latest: at the end of the run's time, or of that of a
    /// container around it.
    pub(super) fn given_up(&self, number: VisitNo) -> Timestamp {
        let path = self.state.visit(number).map(|visit| &visit.path);
        let around = path.into_iter().flatten();
        around
            .filter_map(|turn| self.state.visit(turn.of)?.until)
            .fold(self.state.deadline(), Timestamp::min)
    }

    /// Whether what an action is about to do is in the plan that was approved before its step.
    pub(super) fn is_approved(&self, visit: &Visit, action: &ActionStep) -> bool {
        let Input::Command(template) = &action.input else {
            return false;
        };
        let step = visit.path.last().and_then(|turn| self.state.visit(turn.of));
        let before = step.and_then(|step| self.state.visit(step.from?));
        let plan = before.and_then(|before| before.approved.as_ref());
        let planned = template.planned(self.state.scope(&visit.path));
        plan.zip(planned.ok())
            .is_some_and(|(plan, planned)| plan.contains(&Json::from(&planned)))
    }

    /// It is unknown whether an attempt took effect: repeat, ask, or leave it to a person.
    pub(super) fn uncertain(
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
}

pub(super) fn input(step: &ActionStep, state: &RunState, visit: &Visit) -> Result<Json, String> {
    match &step.input {
        Input::Fixed(json) => Ok(json.clone()),
        Input::Variables => Json::from_value(state.variables()).map_err(|error| error.to_string()),
        Input::Command(template) => template.fill(state.scope(&visit.path)),
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
