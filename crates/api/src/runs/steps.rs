//! The steps of a run, as its journal tells them: the core's fold says how far each visit is,
//! the records beside it say when, with what and what was written to the console.

use std::collections::BTreeMap;

use conche_core::run::{
    Done, Entry, ErrorKind, Illegal, LogLevel, LogLine, Record, RunState, StepError, Visit,
    VisitNo, VisitState,
};
use conche_core::{Json, RunId, Timestamp};
use conche_store::Error as StoreError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Api;
use crate::problem::Problem;

/// Bytes of inputs, outputs and console lines that one answer shows.
const SHOWN_BYTES: usize = 4 * 1024 * 1024;

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StepStatus {
    /// Nothing was done yet.
    Ready,
    /// Steps within it are worked on.
    Open,
    /// A delay is under way.
    Waiting,
    /// A person was asked.
    AwaitingAnswer,
    /// An attempt is under way.
    Performing,
    /// The last attempt failed; another follows.
    BackingOff,
    /// Whether the last attempt took effect is unknown.
    Uncertain,
    /// A person has to say how to go on.
    NeedsAttention,
    /// It ended well.
    Succeeded,
    /// It failed for good.
    Failed,
}

impl From<&VisitState> for StepStatus {
    fn from(state: &VisitState) -> Self {
        match state {
            VisitState::Ready => Self::Ready,
            VisitState::Open => Self::Open,
            VisitState::Waiting(_) => Self::Waiting,
            VisitState::Asked { .. } => Self::AwaitingAnswer,
            VisitState::Performing { .. } => Self::Performing,
            VisitState::BackingOff(_) => Self::BackingOff,
            VisitState::Uncertain { .. } => Self::Uncertain,
            VisitState::Attention { .. } => Self::NeedsAttention,
            VisitState::Done(Done::Failed(_)) => Self::Failed,
            VisitState::Done(_) => Self::Succeeded,
        }
    }
}

/// One visit of a step.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Step)]
pub(crate) struct StepOut {
    /// Its number, by which it is retried or resumed.
    #[schema(value_type = u32)]
    visit: VisitNo,
    /// The step of the definition.
    step_id: String,
    /// How far it is.
    status: StepStatus,
    /// Attempts made.
    attempts: u32,
    /// When it was entered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    finished_at: Option<Timestamp>,
    /// When the delay ends or the next attempt is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    next_at: Option<Timestamp>,
    /// The module and action invoked, as `module.action`.
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<String>,
    /// The input of the action.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    input: Option<Json>,
    /// What the action returned, or the verdict of the script.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    output: Option<Json>,
    /// Why it failed, or why the last attempt did.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorOut>,
    /// What a person needs to know to decide, or what is known of an uncertain attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<String>,
    /// What the script wrote to its console.
    console: Vec<LineOut>,
    /// Whether the run was taken back to a step before it: then it is history only.
    forgotten: bool,
}

/// Why an attempt failed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StepError)]
pub(crate) struct ErrorOut {
    /// What sort of failure.
    #[schema(value_type = String)]
    kind: ErrorKind,
    /// For people.
    message: String,
}

impl From<StepError> for ErrorOut {
    fn from(error: StepError) -> Self {
        Self {
            kind: error.kind,
            message: error.message,
        }
    }
}

/// A console line.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConsoleLine)]
pub(crate) struct LineOut {
    /// `debug`, `info`, `warn` or `error`.
    #[schema(value_type = String)]
    level: LogLevel,
    /// What was written.
    text: String,
}

impl From<LogLine> for LineOut {
    fn from(line: LogLine) -> Self {
        Self {
            level: line.level,
            text: line.text,
        }
    }
}

/// What a journal says of a run's steps.
#[derive(Default)]
pub(super) struct Folded {
    pub(super) steps: Vec<StepOut>,
    pub(super) variables: BTreeMap<String, Json>,
    pub(super) truncated: bool,
    pub(super) fault: Option<String>,
}

/// Reads and folds the journal of a run. One that is damaged is no error: it must not hide
/// the run from the person who has to look at it.
pub(super) async fn read(api: &Api, run: RunId) -> Result<Folded, Problem> {
    let damaged = |message: String| Folded {
        fault: Some(message),
        ..Folded::default()
    };
    match api.engine.store().whole_journal(run).await {
        Ok(records) => {
            Ok(fold(run, records).unwrap_or_else(|illegal| damaged(illegal.to_string())))
        }
        Err(StoreError::Corrupt { message, .. }) => Ok(damaged(message)),
        Err(error) => Err(error.into()),
    }
}

/// Variables by name: those of a playbook as CACAO writes their values.
fn variables(state: &RunState) -> BTreeMap<String, Json> {
    let Some(declared) = state.declared() else {
        return state.variables().clone();
    };
    let value = |value: &conche_core::run::Value| Json::from(&value.to_string().into());
    let values = declared.0.iter().map(|(name, variable)| {
        let value = variable.value.as_ref().map_or_else(Json::null, value);
        (name.to_string(), value)
    });
    values.collect()
}

fn fold(run: RunId, records: Vec<Record>) -> Result<Folded, Illegal> {
    let mut seen: BTreeMap<VisitNo, Seen> = BTreeMap::new();
    for record in &records {
        if let Some(visit) = record.entry.visit() {
            seen.entry(visit).or_default().take(record);
        }
    }
    let state = RunState::fold(run, records)?;
    let mut room = Room(SHOWN_BYTES);
    let steps = (0..)
        .zip(state.visits())
        .map(|(number, visit)| step(number, visit, seen.remove(&number), &mut room))
        .collect();
    Ok(Folded {
        steps,
        variables: variables(&state),
        truncated: room.0 == 0,
        fault: None,
    })
}

/// What records say of a visit beside its state.
#[derive(Default)]
struct Seen {
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    action: Option<String>,
    input: Option<Json>,
    error: Option<StepError>,
    console: Vec<LogLine>,
}

impl Seen {
    fn take(&mut self, record: &Record) {
        self.first.get_or_insert(record.at);
        self.last = Some(record.at);
        match &record.entry {
            Entry::Intended {
                module,
                action,
                input,
                ..
            } => {
                self.action = Some(format!("{module}.{action}"));
                self.input = Some(input.clone());
            }
            Entry::Evaluated { logs, .. } => self.console.extend_from_slice(logs),
            Entry::Failed { error, logs, .. } => {
                self.error = Some(error.clone());
                self.console.extend_from_slice(logs);
            }
            _ => {}
        }
    }
}

/// How many bytes may still be shown; nothing more once something did not fit.
struct Room(usize);

impl Room {
    fn show(&mut self, json: Json) -> Option<Json> {
        self.take(json.as_str().len()).then_some(json)
    }

    fn take(&mut self, bytes: usize) -> bool {
        let left = self.0.checked_sub(bytes).filter(|left| *left > 0);
        self.0 = left.unwrap_or(0);
        left.is_some()
    }
}

fn step(number: VisitNo, visit: &Visit, seen: Option<Seen>, room: &mut Room) -> StepOut {
    let seen = seen.unwrap_or_default();
    let is_done = matches!(visit.state, VisitState::Done(_));
    let (error, output) = match &visit.state {
        VisitState::Done(Done::Failed(error)) => (Some(error.clone()), None),
        VisitState::Done(Done::Output(output)) => (None, Some(output.clone())),
        VisitState::Done(Done::Verdict(verdict)) => (None, Json::from_value(verdict).ok()),
        VisitState::Done(Done::Passed) => (None, None),
        _ => (seen.error, None),
    };
    let (next_at, evidence) = match &visit.state {
        VisitState::Waiting(at) | VisitState::BackingOff(at) => (Some(*at), None),
        VisitState::Uncertain {
            evidence, retry_at, ..
        } => (*retry_at, Some(evidence.clone())),
        VisitState::Attention { reason } => (None, Some(reason.clone())),
        _ => (None, None),
    };
    let console = seen.console.into_iter();
    StepOut {
        visit: number,
        step_id: visit.step.to_string(),
        status: (&visit.state).into(),
        attempts: visit.attempts,
        started_at: seen.first,
        finished_at: seen.last.filter(|_| is_done),
        next_at,
        action: seen.action,
        input: seen.input.and_then(|input| room.show(input)),
        output: output.and_then(|output| room.show(output)),
        error: error.map(Into::into),
        evidence,
        console: console
            .filter(|line| room.take(line.text.len()))
            .map(Into::into)
            .collect(),
        forgotten: visit.forgotten,
    }
}

#[cfg(test)]
mod tests {
    use conche_core::Digest;
    use conche_core::run::{Started, Verdict};
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn record(entry: Entry) -> Record {
        Record {
            at: Timestamp::UNIX_EPOCH,
            entry,
        }
    }

    fn started() -> Record {
        record(Entry::Started(Started {
            definition: Digest::of(b"d"),
            name: "d".to_owned(),
            event: None,
            events: Vec::new(),
            deadline: Timestamp::MAX,
            variables: BTreeMap::new(),
            scope: None,
            budget: None,
            by: Vec::new(),
            copied_at: None,
        }))
    }

    /// A script step whose console is this large.
    fn visited(visit: VisitNo, bytes: usize) -> [Record; 2] {
        let line = LogLine {
            level: LogLevel::Info,
            text: "x".repeat(bytes),
        };
        [
            record(Entry::Entered {
                visit,
                step: "s".into(),
                path: Vec::new(),
                from: visit.checked_sub(1),
            }),
            record(Entry::Evaluated {
                visit,
                verdict: Verdict::Stop,
                event: None,
                logs: vec![line],
            }),
        ]
    }

    #[test]
    fn what_is_too_large_to_show_is_left_out_and_the_steps_stay() {
        let mut records = vec![started()];
        records.extend(visited(0, 10));
        records.extend(visited(1, SHOWN_BYTES));
        records.extend(visited(2, 10));
        let folded = fold(RunId::new(Uuid::nil()), records).unwrap();
        assert!(folded.truncated);
        let lines: Vec<_> = folded.steps.iter().map(|step| step.console.len()).collect();
        assert_eq!(lines, [1, 0, 0]);
        assert!(
            folded
                .steps
                .iter()
                .all(|step| step.status == StepStatus::Succeeded)
        );
    }

    #[test]
    fn a_journal_that_breaks_the_rules_is_refused_with_the_reason() {
        let mut records = vec![started()];
        records.extend(visited(5, 0));
        let fault = fold(RunId::new(Uuid::nil()), records).err().unwrap();
        assert!(fault.to_string().contains("visit"), "{fault}");
    }

    #[test]
    fn the_stop_of_a_script_is_shown_as_its_output() {
        let mut records = vec![started()];
        records.extend(visited(0, 1));
        let folded = fold(RunId::new(Uuid::nil()), records).unwrap();
        let step = serde_json::to_value(&folded.steps[0]).unwrap();
        assert_eq!(step["output"], json!("stop"));
        assert!(!folded.truncated);
    }
}
