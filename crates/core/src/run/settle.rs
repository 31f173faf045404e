//! What came of an effect, or what a person decided, turned into the entry that records it.
//! Pure: retry policy, variables and the naming of unknown actions are decided here and
//! recorded, so that the journal explains itself.

use std::collections::BTreeMap;
use std::time::Duration;

use conche_cacao::variable::{Name, Type, Variable};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::entry::{
    Entry, ErrorKind, LogLine, Path, Person, Question, Resolution, StepError, Verdict, VisitNo,
};
use super::retry::Retry;
use super::state::{Phase, RunState};
use super::visit::{Illegal, Visit, VisitState};
use crate::definition::{ActionStep, Asking, Definition, Results, Step};
use crate::json::Json;

/// With what failures begin that came after the effect.
const DONE: &str = "it was done";

/// What the shell found out by performing an effect.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// A script gave a verdict.
    Verdict {
        /// The verdict.
        verdict: Verdict,
        /// The event, where the script changed it.
        event: Option<Json>,
        /// Its console.
        logs: Vec<LogLine>,
    },
    /// An action returned.
    Output(Json),
    /// Parts of a result, by the variables that they are for.
    Found(BTreeMap<String, Json>),
    /// It failed, and certainly so.
    Failed {
        /// Why.
        error: StepError,
        /// How long the receiver asked to wait before the next attempt.
        after: Option<Duration>,
        /// A script's console.
        logs: Vec<LogLine>,
    },
    /// The effect is unknown.
    Uncertain {
        /// What is known.
        evidence: String,
    },
    /// It was not begun, and a person says whether it is.
    HeldBack {
        /// Why.
        reason: String,
    },
    /// A probe found that it did not happen.
    NotHappened,
    /// A probe could not tell.
    ProbeFailed {
        /// Why.
        evidence: String,
    },
}

/// The entry that records `report` for `visit`.
///
/// Whether the visit still waits for such a report is found out when the entry is applied: a
/// report that comes after the run was cancelled, finished or reopened is refused there, and is
/// to be dropped.
///
/// # Errors
/// [`Illegal`] where the visit does not exist.
pub fn settle(
    definition: &Definition,
    state: &RunState,
    visit: VisitNo,
    report: Report,
    now: Timestamp,
) -> Result<Entry, Illegal> {
    let illegal = || Illegal {
        state: format!("without visit {visit}"),
        entry: "report".to_owned(),
    };
    let at = state.visit(visit).ok_or_else(illegal)?;
    let step = definition.steps.get(&at.step);
    let attempt = match at.state {
        VisitState::Performing { attempt, .. } | VisitState::Uncertain { attempt, .. } => attempt,
        _ => at.attempts + 1,
    };
    let settling = Settling {
        state,
        visit,
        attempt,
        at,
        step,
        now,
    };
    Ok(match report {
        Report::Verdict {
            verdict,
            event,
            logs,
        } => settling.verdict(verdict, event, logs),
        Report::Output(output) => settling.output(output),
        Report::Found(variables) => settling.found(variables),
        Report::Failed { error, after, logs } => {
            let error = settling.told(error);
            settling.failed(error, after, logs)
        }
        Report::Uncertain { evidence } => settling.uncertain(evidence),
        Report::HeldBack { reason } => Entry::AttentionNeeded { visit, reason },
        Report::NotHappened => settling.failed(
            StepError {
                kind: ErrorKind::Transient,
                message: format!("attempt {attempt} had no effect"),
            },
            None,
            Vec::new(),
        ),
        Report::ProbeFailed { evidence } => Entry::AttentionNeeded {
            visit,
            reason: format!(
                "it is unknown whether attempt {attempt} of '{}' took effect: {evidence}",
                at.step
            ),
        },
    })
}

/// The entry that records what the person `by` decided about `visit`.
///
/// # Errors
/// [`Illegal`] where the visit does not exist or does not need attention.
pub fn resume(
    definition: &Definition,
    state: &RunState,
    visit: VisitNo,
    resolution: Resolution,
    by: String,
) -> Result<Entry, Illegal> {
    let at = state.visit(visit);
    let live = at.filter(|_| state.live(visit).is_some());
    let Some(at) = live.filter(|at| matches!(at.state, VisitState::Attention { .. })) else {
        return Err(Illegal {
            state: at.map_or_else(
                || format!("without visit {visit}"),
                |at| format!("{} at its visit of '{}'", at.state.name(), at.step),
            ),
            entry: "resumed".to_owned(),
        });
    };
    let variables = match (&resolution, definition.steps.get(&at.step)) {
        (Resolution::Succeeded { output }, Some(Step::Action(action))) => {
            let assigned = assigned(Some(action), state, &at.path, output);
            assigned.map_err(|reason| Illegal {
                state: format!("at its visit of '{}' ({reason})", at.step),
                entry: "resumed".to_owned(),
            })?
        }
        _ => BTreeMap::new(),
    };
    Ok(Entry::Resumed {
        visit,
        resolution,
        variables,
        by,
    })
}

/// The entry that records what the person `by` answered to the question of `visit`: values for
/// the variables that were asked for, or why it was not done. What is approved is approved by
/// somebody who is known and did not have the run started; anybody may refuse it.
///
/// # Errors
/// [`AnswerError`], and nothing is recorded.
pub fn answer(
    state: &RunState,
    visit: VisitNo,
    answer: Answer,
    by: Person,
) -> Result<Entry, AnswerError> {
    // A question in a step that was given up stands there still, and nobody waits for an answer.
    let open = matches!(state.phase(), Phase::Running | Phase::Paused { .. });
    let at = state.live(visit).filter(|_| open);
    let Some((path, VisitState::Asked { question, .. })) = at.map(|at| (&at.path, &at.state))
    else {
        return Err(AnswerError::NotAsked { visit });
    };
    fits(question, &answer)?;
    state
        .can_assign(path, &answer.values)
        .map_err(AnswerError::Value)?;
    let is_approval = !question.plan.is_empty();
    if is_approval && answer.failed.is_none() {
        second_person(state.starters(), &by)?;
    }
    let given = Json::from_value(&answer.values);
    Ok(Entry::Answered {
        visit,
        answer: given.map_err(|error| AnswerError::Value(error.to_string()))?,
        error: answer.failed.map(|message| StepError {
            kind: ErrorKind::Operator,
            message: if is_approval {
                format!("{} refused it: {message}", by.name)
            } else {
                message
            },
        }),
        variables: answer.values,
        by: by.name,
        identity: by.identity,
    })
}

/// Whether an answer has what was asked for, and nothing else.
fn fits(question: &Question, answer: &Answer) -> Result<(), AnswerError> {
    let stranger = answer
        .values
        .keys()
        .find(|name| !question.answers.0.contains_key(name.as_str()));
    if let Some(name) = stranger {
        return Err(AnswerError::NotAskedFor { name: name.clone() });
    }
    let empty = answer.values.iter().find(|(name, value)| {
        let declared = question.answers.0.get(name.as_str());
        let text = declared.is_none_or(|variable| variable.kind.is_text());
        !text && value.as_str() == "\"\""
    });
    if let Some((name, _)) = empty {
        return Err(AnswerError::Value(format!(
            "the value of `{name}` is empty"
        )));
    }
    for (name, value) in &answer.values {
        let declared = question.answers.0.get(name.as_str());
        let read: serde_json::Value = value.read().unwrap_or_default();
        if read.is_null() {
            return Err(AnswerError::Value(format!(
                "the value of `{name}` is null, which answers nothing"
            )));
        }
        if let Some(found) = declared.and_then(|variable| no_text(variable, &read)) {
            return Err(AnswerError::Value(format!(
                "the value of `{name}` is {found}, and its type is `string`"
            )));
        }
    }
    if answer.failed.is_none() {
        let names = question.answers.0.keys().map(Name::as_str);
        let missing = names.filter(|name| !answer.values.contains_key(*name));
        let missing: Vec<String> = missing.map(|name| format!("`{name}`")).collect();
        if !missing.is_empty() {
            let names = missing.join(", ");
            return Err(AnswerError::Missing { names });
        }
    }
    Ok(())
}

/// Whether somebody may approve what others had started: they must be known, and so must the
/// others, and be none of them. The same name is taken for the same person, also where it is
/// that of another token.
fn second_person(starters: &[Person], by: &Person) -> Result<(), AnswerError> {
    if by.identity.is_none() {
        return Err(AnswerError::Unknown);
    }
    for starter in starters {
        if starter.identity.is_none() {
            return Err(AnswerError::StarterUnknown);
        }
        if starter.identity == by.identity || starter.name == by.name {
            return Err(AnswerError::SamePerson {
                name: by.name.clone(),
            });
        }
    }
    Ok(())
}

/// The visit whose approval comes before a visit, if one does: a finished run is reopened there
/// and not after it.
pub fn approval_of(definition: &Definition, state: &RunState, visit: VisitNo) -> Option<VisitNo> {
    let visit = state.visit(visit)?;
    let around = visit.path.iter().filter_map(|turn| state.visit(turn.of));
    around.chain([visit]).find_map(|step| {
        let before = step.from?;
        let asked = definition.steps.get(&state.visit(before)?.step)?;
        let Step::Ask(ask) = asked else { return None };
        let leads_here = ask.next.as_ref() == Some(&step.step);
        let is_approval = matches!(ask.question, Asking::Approval(_));
        (leads_here && is_approval).then_some(before)
    })
}

/// What a person answered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Values by variable, as CACAO writes them.
    #[serde(default)]
    pub values: BTreeMap<String, Json>,
    /// Set where it was not done, or not well: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// Why an answer is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Nobody waits for one there, or not any more.
    #[error("nothing is asked at visit {visit}")]
    NotAsked {
        /// The visit.
        visit: VisitNo,
    },
    /// A value for something else.
    #[error("`{name}` is not asked for")]
    NotAskedFor {
        /// The variable.
        name: String,
    },
    /// Values that were asked for and are not there.
    #[error("a value is asked for {names} too; say that it failed where there is none")]
    Missing {
        /// The variables.
        names: String,
    },
    /// A value that its variable cannot hold.
    #[error("{0}")]
    Value(String),
    /// An approval by somebody whom nobody knows.
    #[error(
        "who approves must be known: by a token, or by a client certificate on an open listener"
    )]
    Unknown,
    /// An approval by somebody who had the run started.
    #[error("`{name}` had the run started: somebody else has to approve what it does")]
    SamePerson {
        /// Who.
        name: String,
    },
    /// An approval of what somebody had started whom nobody knows.
    #[error(
        "nobody knows who had the run started, so that nobody can tell whether somebody else approves it: cancel it, and start it by a token"
    )]
    StarterUnknown,
}

/// What a value is that somebody gives, where it is no text and its variable is for text: its
/// JSON would be taken for what was meant.
pub fn no_text(variable: &Variable, value: &serde_json::Value) -> Option<&'static str> {
    let found = match value {
        serde_json::Value::Object(_) => "an object",
        serde_json::Value::Array(_) => "a list",
        _ => return None,
    };
    (variable.kind == Type::String).then_some(found)
}

/// The variables that `output` sets, or why they cannot be.
fn assigned(
    action: Option<&ActionStep>,
    state: &RunState,
    path: &Path,
    output: &Json,
) -> Result<BTreeMap<String, Json>, String> {
    match action.map(|action| &action.results) {
        None | Some(Results::Kept) => Ok(BTreeMap::new()),
        Some(Results::Variable(name)) => Ok(BTreeMap::from([(name.clone(), output.clone())])),
        Some(Results::Mapped(mapping)) => {
            let variables = mapping.variables(output, state.scope(path))?;
            state.can_assign(path, &variables)?;
            Ok(variables)
        }
    }
}

struct Settling<'a> {
    state: &'a RunState,
    visit: VisitNo,
    attempt: u32,
    at: &'a Visit,
    step: Option<&'a Step>,
    now: Timestamp,
}

impl Settling<'_> {
    fn verdict(self, verdict: Verdict, event: Option<Json>, logs: Vec<LogLine>) -> Entry {
        if let (Verdict::Next { action, .. }, Some(Step::Script(script))) = (&verdict, self.step)
            && !script.branches.contains_key(action)
        {
            let known: Vec<&str> = script.branches.keys().map(String::as_str).collect();
            let known = if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            };
            let message = format!(
                "the script asked for the action '{action}', which is not defined (defined: {known})"
            );
            return self.give_up(ErrorKind::NoSuchAction, message, logs);
        }
        Entry::Evaluated {
            visit: self.visit,
            verdict,
            event,
            logs,
        }
    }

    fn output(self, output: Json) -> Entry {
        match assigned(self.action(), self.state, &self.at.path, &output) {
            Ok(variables) => Entry::Succeeded {
                visit: self.visit,
                attempt: self.attempt,
                variables,
                output,
            },
            // It did happen: a retry would do it again.
            Err(reason) => {
                let message = format!("{DONE}, but its result cannot be kept: {reason}");
                self.give_up(ErrorKind::Permanent, message, Vec::new())
            }
        }
    }

    fn found(self, variables: BTreeMap<String, Json>) -> Entry {
        match self.state.can_assign(&self.at.path, &variables) {
            Ok(()) => Entry::Found {
                visit: self.visit,
                variables,
            },
            Err(reason) => {
                let message = format!("{DONE}, but what was found cannot be kept: {reason}");
                self.give_up(ErrorKind::Permanent, message, Vec::new())
            }
        }
    }

    /// What is looked for in a result is looked for after the command was carried out, which who
    /// reads of the failure must not do again.
    fn told(&self, error: StepError) -> StepError {
        match self.step {
            Some(Step::Query(_)) => StepError {
                message: format!("{DONE}, but its result lacks something: {}", error.message),
                ..error
            },
            _ => error,
        }
    }

    fn failed(self, error: StepError, after: Option<Duration>, logs: Vec<LogLine>) -> Entry {
        let again = matches!(
            error.kind,
            ErrorKind::Transient | ErrorKind::TimedOut | ErrorKind::Quarantined
        );
        let retry_at = if again { self.retry_at(after) } else { None };
        Entry::Failed {
            visit: self.visit,
            attempt: self.attempt,
            error,
            retry_at,
            logs,
        }
    }

    fn uncertain(self, evidence: String) -> Entry {
        let action = self.action();
        let repeat = action.is_some_and(|action| action.policy.repeats_in_doubt());
        Entry::Interrupted {
            visit: self.visit,
            attempt: self.attempt,
            evidence,
            retry_at: if repeat { self.retry_at(None) } else { None },
        }
    }

    fn give_up(self, kind: ErrorKind, message: String, logs: Vec<LogLine>) -> Entry {
        Entry::Failed {
            visit: self.visit,
            attempt: self.attempt,
            error: StepError { kind, message },
            retry_at: None,
            logs,
        }
    }

    fn retry_at(&self, after: Option<Duration>) -> Option<Timestamp> {
        let retry = self
            .action()
            .map_or_else(Retry::default, |action| action.policy.retry);
        let key = self.at.key_of_attempt(self.state.run(), self.visit);
        // A script's attempt is counted by the entry that this becomes, an action's already was.
        let tries = match self.at.state {
            VisitState::Performing { .. } | VisitState::Uncertain { .. } => self.at.tries,
            _ => self.at.tries + 1,
        };
        retry.next(&key, tries, self.now, after)
    }

    fn action(&self) -> Option<&ActionStep> {
        match self.step {
            Some(Step::Action(action)) => Some(action),
            _ => None,
        }
    }
}
