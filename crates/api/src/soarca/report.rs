//! A run of a playbook as SOARCA reports it. Pure: a fold of the journal.
//!
//! Steps are reported that SOARCA reports: actions, called playbooks, `if` and `while`; of a
//! step that is visited again and again the first visit. A run that waits for a person is
//! `ongoing`, since Roaster looks away from any other; its step is `await_user_input`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conche_cacao::Playbook;
use conche_cacao::model::{Command, Step};
use conche_core::run::{
    Done, Entry, ErrorKind, Outcome, Phase, Record, RunState, VisitNo, VisitState,
};
use conche_core::{Json, RunId, Timestamp};
use serde_json::{Map, Value, json};

use super::playbooks::NO_TIME;

/// Seconds after which clients ask again.
const INTERVAL: u32 = 5;

const SUCCEEDED: &str = "successfully_executed";
const FAILED: &str = "failed";
const ONGOING: &str = "ongoing";
const SERVER_ERROR: &str = "server_side_error";
const TIMED_OUT: &str = "timeout_error";
const AWAITING: &str = "await_user_input";

/// The report of a run.
pub(super) fn report(playbook: &Playbook, run: RunId, records: &[Record]) -> Value {
    let started = records.first().map(|record| record.at);
    let Ok(state) = RunState::fold(run, records.to_vec()) else {
        return whole(
            playbook,
            run,
            (SERVER_ERROR, None),
            (started, None),
            Map::new(),
        );
    };
    let mut steps = Map::new();
    for (number, visit) in (0..).zip(state.visits()) {
        let id = visit.step.as_str();
        let Some(step) = playbook.workflow.get(id) else {
            continue;
        };
        if is_reported(step) && !visit.forgotten && !steps.contains_key(id) {
            let reporting = Reporting {
                playbook,
                state: &state,
                records,
                number,
            };
            steps.insert(id.to_owned(), reporting.step(id, step));
        }
    }
    let (status, error) = match state.phase() {
        Phase::Running | Phase::Paused { .. } | Phase::Cancelling { .. } => (ONGOING, None),
        Phase::Finished {
            outcome: Outcome::Succeeded,
            ..
        } => (SUCCEEDED, None),
        Phase::Finished { reason, .. } => (FAILED, reason.clone()),
    };
    let times = (started, state.finished_at());
    whole(playbook, run, (status, error), times, steps)
}

fn is_reported(step: &Step) -> bool {
    matches!(
        step.kind.as_str(),
        "action" | "playbook-action" | "if-condition" | "while-condition"
    )
}

fn whole(
    playbook: &Playbook,
    run: RunId,
    (status, error): (&str, Option<String>),
    (started, ended): (Option<Timestamp>, Option<Timestamp>),
    steps: Map<String, Value>,
) -> Value {
    json!({
        "name": playbook.name,
        "description": playbook.description.as_deref().unwrap_or_default(),
        "type": "execution_status",
        "execution_id": run,
        "playbook_id": playbook.id,
        "started": time(started),
        "ended": time(ended),
        "status": status,
        "status_text": text(status, "playbook", error.as_deref()),
        "step_results": steps,
        "request_interval": INTERVAL,
    })
}

fn time(at: Option<Timestamp>) -> String {
    at.map_or_else(|| NO_TIME.to_owned(), |at| at.to_string())
}

/// SOARCA's words for a status, with the error behind them.
fn text(status: &str, level: &str, error: Option<&str>) -> String {
    let words = match status {
        SUCCEEDED => format!("{level} execution completed successfully"),
        FAILED => format!("something went wrong in the execution of this {level}"),
        ONGOING => format!("this {level} is currently being executed"),
        TIMED_OUT => format!("the execution of this {level} timed out"),
        AWAITING => format!("waiting for users to provide input for the {level} execution"),
        _ => format!("there was a server-side problem with the execution of this {level}"),
    };
    match error {
        Some(error) => format!("{words} - error: {error}"),
        None => words,
    }
}

struct Reporting<'a> {
    playbook: &'a Playbook,
    state: &'a RunState,
    records: &'a [Record],
    number: VisitNo,
}

impl Reporting<'_> {
    fn step(&self, id: &str, step: &Step) -> Value {
        let visit = &self.state.visits()[self.number as usize];
        let over = matches!(self.state.phase(), Phase::Finished { .. });
        let (status, error) = match &visit.state {
            VisitState::Done(Done::Failed(error)) if error.kind == ErrorKind::TimedOut => {
                (TIMED_OUT, Some(error.message.as_str()))
            }
            VisitState::Done(Done::Failed(error)) => (SERVER_ERROR, Some(error.message.as_str())),
            VisitState::Done(_) => (SUCCEEDED, None),
            // The run ended within the step, by a person's word or in its deadline.
            _ if over => (FAILED, None),
            _ if self.asks() => (AWAITING, None),
            _ => (ONGOING, None),
        };
        let done = matches!(visit.state, VisitState::Done(_));
        let (first, last) = self.times();
        let ended = if done { last } else { self.state.finished_at() };
        let commands = step.commands.as_deref().unwrap_or_default();
        json!({
            "name": step.name.as_deref().unwrap_or_default(),
            "description": step.description.as_deref().unwrap_or_default(),
            "execution_id": self.state.run(),
            "step_id": id,
            "started": time(first),
            "ended": time(ended),
            "status": status,
            "status_text": text(status, "step", error),
            "executed_by": "soarca",
            "commands_b64": commands.iter().map(encoded).collect::<Vec<_>>(),
            "variables": self.variables(done),
            "automated_execution": !commands.iter().any(|command| command.kind == "manual"),
        })
    }

    /// Whether a person is asked within the step.
    fn asks(&self) -> bool {
        let within =
            |path: &[conche_core::run::Turn]| path.iter().any(|turn| turn.of == self.number);
        let visits = self.state.visits().iter();
        let mut asking = visits.filter(|visit| matches!(visit.state, VisitState::Asked { .. }));
        asking.any(|visit| within(&visit.path))
    }

    fn times(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        let own = self
            .records
            .iter()
            .filter(|record| record.entry.visit() == Some(self.number));
        let times: Vec<Timestamp> = own.map(|record| record.at).collect();
        (times.first().copied(), times.last().copied())
    }

    /// What the step returned; while it is under way, all that the playbook has.
    fn variables(&self, done: bool) -> BTreeMap<String, Value> {
        let all = self.state.declared().unwrap_or_default();
        let returned = self.returned();
        let shown = all
            .0
            .iter()
            .filter(|(name, _)| !done || returned.contains_key(name.as_str()));
        shown
            .map(|(name, variable)| {
                let value = returned.get(name.as_str());
                let value = match value.map(|value| value.read::<Value>().unwrap_or_default()) {
                    Some(Value::String(text)) => text,
                    Some(value) => value.to_string(),
                    None => variable
                        .value
                        .as_ref()
                        .map(ToString::to_string)
                        .unwrap_or_default(),
                };
                let declared = self.playbook.playbook_variables.as_ref();
                let declared = declared.and_then(|all| all.get(name.as_str()));
                let description = declared.and_then(|declared| declared.description.clone());
                let object = json!({
                    "type": variable.kind.as_str(),
                    "name": name.as_str(),
                    "description": description.unwrap_or_default(),
                    "value": value,
                    "constant": variable.constant,
                    "external": variable.external,
                });
                (name.to_string(), object)
            })
            .collect()
    }

    /// What was set within the step, the last value of each variable.
    fn returned(&self) -> BTreeMap<&str, &Json> {
        let mut returned = BTreeMap::new();
        for record in self.records {
            let (visit, variables) = match &record.entry {
                Entry::Succeeded {
                    visit, variables, ..
                }
                | Entry::Answered {
                    visit, variables, ..
                }
                | Entry::Closed {
                    visit, variables, ..
                } => (*visit, variables),
                _ => continue,
            };
            let Some(at) = self.state.visit(visit) else {
                continue;
            };
            if visit == self.number || at.path.iter().any(|turn| turn.of == self.number) {
                let set = variables.iter();
                returned.extend(set.map(|(name, value)| (name.as_str(), value)));
            }
        }
        returned
    }
}

fn encoded(command: &Command) -> String {
    match (&command.command_b64, &command.command) {
        (Some(encoded), _) if !encoded.is_empty() => encoded.clone(),
        (_, text) => STANDARD.encode(text.as_deref().unwrap_or_default()),
    }
}
