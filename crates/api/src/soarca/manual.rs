//! `/manual`: what steps ask people, and their answers.

use std::collections::BTreeMap;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use conche_core::playbook::Program;
use conche_core::run::{Answer as Given, Entry, Question, RunState, VisitNo, VisitState, written};
use conche_core::{Json, RunId};
use conche_engine::By;
use conche_store::{Page, RunRow};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::{Answer, Good};
use super::{Here, Soarca};
use crate::actor::Actor;
use crate::approvals::asking;

/// Runs that ask, of which a list tells.
const LISTED: u32 = 500;

/// One question of a run.
struct Asked {
    run: RunId,
    visit: VisitNo,
    step: String,
    playbook: String,
    description: String,
    question: Question,
    /// How often its step has asked in this run.
    times: usize,
}

/// `GET /manual`
pub(super) async fn list(State(soarca): Here) -> Result<impl IntoResponse, Answer> {
    let broken = |error: conche_store::Error| Answer::broken("GET /manual/", &error.to_string());
    let page = Page {
        before: None,
        limit: LISTED,
    };
    let rows = asking(&**soarca.api.engine.store(), page).await;
    let mut shown = Vec::new();
    for row in rows.map_err(broken)? {
        let asked = asked(&soarca, &row).await.map_err(broken)?;
        shown.extend(asked.iter().map(Asked::shown));
    }
    Ok(Good(shown))
}

/// `GET /manual/{run}/{step}`
pub(super) async fn read(
    State(soarca): Here,
    Path((run, step)): Path<(String, String)>,
) -> Result<impl IntoResponse, Answer> {
    let call = format!("GET /manual/{run}/{step}");
    let found = find(&soarca, &call, (&run, &step), None).await?;
    Ok(Good(found.shown()))
}

/// What `POST /manual/continue` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Continue {
    #[serde(rename = "type", default)]
    _kind: String,
    execution_id: String,
    #[serde(default)]
    playbook_id: String,
    step_id: String,
    #[serde(default)]
    response_status: String,
    #[serde(default)]
    response_out_args: BTreeMap<String, Map<String, Value>>,
    /// Ours: which question of a step is meant that asks more than once.
    visit: Option<VisitNo>,
}

/// `POST /manual/continue`: unlike SOARCA, a `response_status` of `failure` means it.
pub(super) async fn go_on(
    State(soarca): Here,
    Extension(actor): Extension<Actor>,
    body: Bytes,
) -> Result<impl IntoResponse, Answer> {
    let call = "POST /manual/continue";
    let refuse = |message: &str, reason: &str| Answer::bad(message, call, reason);
    let sent: Continue = serde_json::from_slice(&body)
        .map_err(|error| refuse("Failed to unmarshal JSON", &error.to_string()))?;
    let mut values = BTreeMap::new();
    for (name, variable) in &sent.response_out_args {
        let own = variable.get("name").and_then(Value::as_str);
        if let Some(own) = own.filter(|own| own != name) {
            let message = format!(
                "variable name mismatch for variable {name}: has different name property: {own}"
            );
            return Err(refuse(&message, ""));
        }
        let value = variable.get("value").unwrap_or(&Value::Null);
        values.insert(name.clone(), Json::from(value));
    }
    let failed = match sent.response_status.as_str() {
        "" | "success" => None,
        "failure" => Some("the person answered that it failed".to_owned()),
        other => {
            let message = format!("response_status `{other}` is neither `success` nor `failure`");
            return Err(refuse(&message, ""));
        }
    };
    let place = (sent.execution_id.as_str(), sent.step_id.as_str());
    let found = find(&soarca, call, place, sent.visit).await;
    let found = found.map_err(|_| refuse("no such manual command is pending", ""))?;
    if sent.visit.is_none() && found.times > 1 {
        let (times, visit) = (found.times, found.visit);
        let message = format!(
            "the step has asked {times} times in this execution, and the answer says not which time is meant: it asks now at visit {visit}, so give `visit` with the answer"
        );
        return Err(refuse(&message, ""));
    }
    if !sent.playbook_id.is_empty() && sent.playbook_id != found.playbook {
        return Err(refuse("the execution is of another playbook", ""));
    }
    let by = By::recorded(soarca.act(&actor, "run.answer", &found.run.to_string()))
        .known_as(actor.identity(&soarca.api));
    let given = Given { values, failed };
    let left = soarca
        .api
        .engine
        .answer(found.run, Some(found.visit), given, by)
        .await;
    left.map_err(|error| refuse("the answer is not taken", &error.to_string()))?;
    Ok(Good(json!({
        "execution_id": found.run,
        "payload": found.playbook,
    })))
}

async fn find(
    soarca: &Soarca,
    call: &str,
    (run, step): (&str, &str),
    visit: Option<VisitNo>,
) -> Result<Asked, Answer> {
    let run: RunId = run
        .parse()
        .map_err(|_| Answer::bad("Failed to parse execution ID", call, ""))?;
    let unknown = || {
        let message = "no pending manual command for this execution and step";
        Answer::new(StatusCode::NOT_FOUND, message, call, "")
    };
    let row = soarca
        .api
        .engine
        .store()
        .run(run)
        .await
        .map_err(|_| unknown())?;
    let asked = asked(soarca, &row).await.map_err(|_| unknown())?;
    asked
        .into_iter()
        .find(|asked| asked.step == step && visit.is_none_or(|visit| visit == asked.visit))
        .ok_or_else(unknown)
}

/// What a run asks now.
async fn asked(soarca: &Soarca, row: &RunRow) -> Result<Vec<Asked>, conche_store::Error> {
    let store = soarca.api.engine.store();
    let text = store.definition(row.definition).await?;
    let Ok(program) = Program::parse(&text.text) else {
        return Ok(Vec::new());
    };
    let records = store.whole_journal(row.run).await?;
    let asking = records.iter().filter_map(|record| match record.entry {
        Entry::Asked { visit, .. } => Some(visit),
        _ => None,
    });
    let asking: Vec<VisitNo> = asking.collect();
    let Ok(state) = RunState::fold(row.run, records) else {
        return Ok(Vec::new());
    };
    let steps = asking.into_iter().filter_map(|visit| state.visit(visit));
    let steps: Vec<&str> = steps.map(|visit| place(visit.step.as_str()).0).collect();
    let visits = state.live_visits().into_iter();
    let asking = visits.filter_map(|(number, visit)| match &visit.state {
        VisitState::Asked { question, .. } => {
            let (step, command) = place(visit.step.as_str());
            Some(Asked {
                run: row.run,
                visit: number,
                description: description(&program, step, command),
                step: step.to_owned(),
                playbook: program.root().id.clone(),
                question: question.clone(),
                times: steps.iter().filter(|asking| **asking == step).count(),
            })
        }
        _ => None,
    });
    Ok(asking.collect())
}

/// The step of the document and the number of its command that a step of a run stands for:
/// `action--…/0.1`, with the playbook before it where it is a called one.
fn place(step: &str) -> (&str, usize) {
    let Some((whole, numbers)) = step.rsplit_once('/') else {
        return (step, 0);
    };
    let id = whole.rsplit_once('/').map_or(whole, |(_, id)| id);
    let command = numbers
        .split('.')
        .next()
        .and_then(|number| number.parse().ok());
    (id, command.unwrap_or_default())
}

fn description(program: &Program, step: &str, command: usize) -> String {
    let all = std::iter::once(program.root()).chain(program.callees());
    let mut steps = all.filter_map(|playbook| playbook.workflow.get(step));
    let commands = steps.next().and_then(|step| step.commands.as_ref());
    let command = commands.and_then(|commands| commands.get(command));
    command
        .and_then(|command| command.description.clone())
        .unwrap_or_default()
}

impl Asked {
    fn shown(&self) -> Value {
        let parties: Value = self.question.parties.read().unwrap_or_default();
        let target = parties.get("target").or_else(|| parties.get("agent"));
        let variables = self.question.answers.0.iter().map(|(name, variable)| {
            let mut object = written(variable);
            object["name"] = name.as_str().into();
            (name.to_string(), object)
        });
        json!({
            "type": "manual-command-info",
            "execution_id": self.run,
            "playbook_id": self.playbook,
            "step_id": self.step,
            "description": self.description,
            "command": self.question.text,
            "target": target.cloned().unwrap_or_else(|| json!({})),
            "out_args": variables.collect::<Map<_, _>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn the_step_of_the_document_is_found_in_that_of_the_run() {
        assert_eq!(place("action--1/0.0"), ("action--1", 0));
        assert_eq!(
            place("playbook--2@2026-01-01T00:00:00Z/action--1/2.1"),
            ("action--1", 2)
        );
        assert_eq!(place("action--1"), ("action--1", 0));
    }
}
