//! `conche run --dry-run`: what a playbook would do, in the order in which it would, with
//! nothing done.
//!
//! The run's own state machine is driven by hand: time passes at once, commands get the
//! outcomes of the command line, or those that their type has when all goes well; a command of
//! which its module can tell that it would refuse it fails.

use std::collections::BTreeMap;

use conche_core::definition::{Definition, Step};
use conche_core::run::{
    Answer, Declared, Effect, Entry, ErrorKind, Invocation, Person, Phase, Record, Report,
    RunState, Started, StepError, VisitState, answer, decide, settle,
};
use conche_core::{Json, RunId, StepId, Timestamp};
use conche_engine::Engine;
use serde_json::{Value, json};
use uuid::Uuid;

use super::playbook::Prepared;
use crate::failure::Failure;
use crate::output;

/// What commands of a type give when all goes well and nobody said what.
const WELL: [(&str, &str); 6] = [
    (
        "http-api",
        r#"{"status":200,"headers":{},"body":"","json":null}"#,
    ),
    (
        "openc2-http",
        r#"{"status":200,"status_text":"","results":"","body":""}"#,
    ),
    ("ssh", r#"{"stdout":"","stderr":"","exit_code":0}"#),
    ("bash", r#"{"stdout":"","stderr":"","exit_code":0}"#),
    ("powershell", r#"{"stdout":"","stderr":"","exit_code":0}"#),
    ("elastic", r#"{"status":200,"body":"","json":null}"#),
];

/// Outcomes by step: of a whole step, or of one command for one target (`ID/0.1`).
#[derive(Default)]
pub(super) struct Outcomes(BTreeMap<String, Outcome>);

enum Outcome {
    Failed,
    Output(Json),
}

impl Outcomes {
    /// Reads `STEP=failed` and `STEP=JSON`.
    pub(super) fn read(given: &[String]) -> Result<Self, Failure> {
        let one = |text: &String| {
            let wrong = || Failure::Usage(format!("`{text}` is neither STEP=failed nor STEP=JSON"));
            let (step, outcome) = text.split_once('=').ok_or_else(wrong)?;
            let outcome = match outcome {
                "failed" => Outcome::Failed,
                json => {
                    let value: Value = serde_json::from_str(json).map_err(|_| wrong())?;
                    Outcome::Output(Json::from(&value))
                }
            };
            Ok((step.to_owned(), outcome))
        };
        given.iter().map(one).collect::<Result<_, _>>().map(Self)
    }

    /// What was said of steps that carry out no command, or are none.
    fn idle(&self, definition: &Definition) -> Option<&str> {
        let carries_out = |step: &str| {
            let step = definition.steps.get(&StepId::from(step));
            matches!(step, Some(Step::Action(_)))
        };
        let idle = |step: &&String| !carries_out(step) && !carries_out(&format!("{step}/0.0"));
        self.0.keys().find(idle).map(String::as_str)
    }

    fn report(&self, step: &str, call: &Invocation) -> Report {
        let whole = step.rsplit_once('/').map_or(step, |(whole, _)| whole);
        match self.0.get(step).or_else(|| self.0.get(whole)) {
            Some(Outcome::Output(output)) => Report::Output(output.clone()),
            Some(Outcome::Failed) => failed("as --outcome says".to_owned()),
            None => {
                let well = WELL.iter().find(|(module, _)| *module == call.module);
                let text = well.map_or("{}", |(_, text)| *text);
                let value: Value = serde_json::from_str(text).unwrap_or_default();
                Report::Output(Json::from(&value))
            }
        }
    }
}

fn failed(message: String) -> Report {
    Report::Failed {
        error: StepError {
            kind: ErrorKind::Permanent,
            message,
        },
        after: None,
        logs: Vec::new(),
    }
}

/// A run that only seems to happen.
struct Rehearsal<'a> {
    engine: &'a Engine,
    definition: &'a Definition,
    prepared: &'a Prepared,
    state: RunState,
    now: Timestamp,
    told: Vec<Value>,
}

/// What would be done. Its form is that of a run, but for `would` instead of `steps`.
pub(super) fn rehearse(
    definition: &Definition,
    scope: Declared,
    prepared: &Prepared,
    engine: &Engine,
) -> Result<Value, Failure> {
    if let Some(step) = prepared.outcomes.idle(definition) {
        return Err(Failure::Usage(format!(
            "--outcome: the playbook has no step `{step}` that carries out commands"
        )));
    }
    let now = engine.clock().now();
    let started = Started {
        definition: definition.digest,
        name: definition.name.clone(),
        event: None,
        events: Vec::new(),
        deadline: now
            .checked_add(definition.limits.deadline)
            .unwrap_or(Timestamp::MAX),
        variables: BTreeMap::new(),
        scope: Some(scope),
        budget: None,
        by: Vec::new(),
        copied_at: None,
    };
    let first = Record {
        at: now,
        entry: Entry::Started(started),
    };
    let state = RunState::begin(RunId::new(Uuid::nil()), first);
    let mut rehearsal = Rehearsal {
        engine,
        definition,
        prepared,
        state: state.map_err(|error| Failure::Failed(error.to_string()))?,
        now,
        told: Vec::new(),
    };
    rehearsal
        .go()
        .map_err(|error| Failure::Failed(error.to_string()))?;
    Ok(rehearsal.shown())
}

impl Rehearsal<'_> {
    fn go(&mut self) -> Result<(), conche_core::run::Illegal> {
        while !matches!(self.state.phase(), Phase::Finished { .. }) {
            let effects = decide(self.definition, &self.state, self.now);
            let (mut acted, mut next) = (false, None::<Timestamp>);
            for effect in effects {
                match effect {
                    Effect::WaitUntil(at) => {
                        next = Some(next.map_or(at, |next| next.min(at)));
                        continue;
                    }
                    other => self.act(other)?,
                }
                acted = true;
            }
            if acted || self.answers()? {
                continue;
            }
            match next {
                // Only a person could say how it goes on.
                _ if self.state.summary().status.waits_for_a_person() => break,
                Some(next) => self.now = self.now.max(next),
                None => break,
            }
        }
        Ok(())
    }

    fn act(&mut self, effect: Effect) -> Result<(), conche_core::run::Illegal> {
        let intent = effect.intent();
        let (visit, report) = match effect {
            Effect::Record(entry) => return self.record(entry),
            Effect::Invoke(call) => {
                let step = self.step(call.visit);
                let mut input: Value = call.input.read().unwrap_or_default();
                hide(&mut input);
                let mut told = json!({
                    "step_id": step,
                    "action": format!("{}.{}", call.module, call.action),
                    "attempt": call.attempt,
                    "input": input,
                });
                let report = if let Some(reason) = self.engine.foresee(&call) {
                    told["refused"] = reason.as_str().into();
                    failed(reason)
                } else {
                    self.prepared.outcomes.report(&step, &call)
                };
                self.told.push(told);
                (call.visit, report)
            }
            // What a filter finds depends on what was not got: nothing is set.
            Effect::Query { visit, .. } => (visit, Report::Found(BTreeMap::new())),
            Effect::Probe(call) => (call.visit, Report::NotHappened),
            Effect::Stop { visit } | Effect::Evaluate { visit, .. } => {
                let evidence = "it was stopped".to_owned();
                (visit, Report::Uncertain { evidence })
            }
            Effect::WaitUntil(_) => return Ok(()),
        };
        if let Some(intent) = intent {
            self.record(intent)?;
        }
        let entry = settle(self.definition, &self.state, visit, report, self.now)?;
        self.record(entry)
    }

    /// Answers what is asked, as far as the command line says how; whether it did.
    fn answers(&mut self) -> Result<bool, conche_core::run::Illegal> {
        let visits = (0..).zip(self.state.visits());
        let asked = visits.filter_map(|(number, visit)| match &visit.state {
            VisitState::Asked { question, .. } => Some((number, question.clone())),
            _ => None,
        });
        let asked: Vec<_> = asked.collect();
        for (visit, question) in asked {
            let mut asks = json!({ "step_id": self.step(visit), "asks": question.text });
            // What would be done is wanted to be known: it is taken as approved.
            let given = if question.plan.is_empty() {
                self.prepared.answer(&question)
            } else {
                asks["approves"] = json!(question.plan);
                Some(Answer::default())
            };
            if self.told.last() != Some(&asks) {
                self.told.push(asks);
            }
            let Some(given) = given else { continue };
            if let Ok(entry) = answer(&self.state, visit, given, nobody()) {
                self.record(entry)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn record(&mut self, entry: Entry) -> Result<(), conche_core::run::Illegal> {
        let record = Record {
            at: self.now,
            entry,
        };
        self.state.apply(record)
    }

    fn step(&self, visit: u32) -> String {
        let visit = self.state.visit(visit);
        visit.map_or_else(String::new, |visit| visit.step.to_string())
    }

    fn shown(self) -> Value {
        let summary = self.state.summary();
        let declared = self.state.declared().unwrap_or_default();
        let variables: BTreeMap<&str, Option<String>> = declared
            .0
            .iter()
            .map(|(name, variable)| {
                let value = variable.value.as_ref().map(ToString::to_string);
                (name.as_str(), value)
            })
            .collect();
        json!({
            "dry_run": true,
            "status": summary.status,
            "reason": summary.reason,
            "definition": self.definition.name,
            "would": self.told,
            "variables": variables,
        })
    }
}

/// Who answers what only seems to be asked.
fn nobody() -> Person {
    let name = "conche run".to_owned();
    Person {
        identity: Some(name.clone()),
        name,
    }
}

/// A secret that a variable carries is not shown.
fn hide(input: &mut Value) {
    match input {
        Value::Object(members) => {
            if members.contains_key("secret") && members.contains_key("value") {
                members.insert("value".to_owned(), "***".into());
            }
            members.values_mut().for_each(hide);
        }
        Value::Array(items) => items.iter_mut().for_each(hide),
        _ => {}
    }
}

/// The same for people.
pub(super) fn table(run: &Value) -> String {
    let mut lines = vec![format!(
        "nothing was done; {} would end as: {}",
        output::plain(&run["definition"]),
        output::plain(&run["status"])
    )];
    if run["reason"].is_string() {
        lines.push(format!("  because {}", output::plain(&run["reason"])));
    }
    for step in run["would"].as_array().into_iter().flatten() {
        let id = output::plain(&step["step_id"]);
        if let Some(asks) = step.get("asks") {
            let whom = match step.get("approves") {
                Some(_) => " a second person",
                None => "",
            };
            lines.push(format!("  {id} asks{whom}: {}", output::plain(asks)));
            continue;
        }
        let on = step
            .pointer("/input/target")
            .or_else(|| step.pointer("/input/agent"));
        let on = on.map_or_else(String::new, |on| {
            let address = on
                .get("address")
                .map(ToString::to_string)
                .unwrap_or_default();
            let port = on["port"].as_str().map(|port| format!(" port {port}"));
            let port = port.unwrap_or_default();
            format!(" on {} {address}{port}", output::plain(&on["name"]))
        });
        let action = output::plain(&step["action"]);
        lines.push(format!("  {id} {action}{on}"));
        for key in ["command", "headers", "content"] {
            if let Some(part) = step.pointer(&format!("/input/command/{key}")) {
                lines.push(format!("      {key} {}", output::plain(part)));
            }
        }
        if let Some(reason) = step.get("refused") {
            lines.push(format!("      would be refused: {}", output::plain(reason)));
        }
    }
    for (name, value) in run["variables"].as_object().into_iter().flatten() {
        lines.push(format!("  {name} = {}", output::plain(value)));
    }
    lines.join("\n")
}
