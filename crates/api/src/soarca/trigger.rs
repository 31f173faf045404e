//! `/trigger/playbook`: starts runs. The run is durable, and its report readable, before the
//! trigger is answered.

use std::collections::BTreeMap;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use conche_cacao::{Document, Playbook, Profile, Severity};
use conche_core::Json;
use conche_engine::{PlaybookBegun, Start};
use http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, Good};
use super::{Here, Soarca, key_of};
use crate::actor::Actor;

/// `POST /trigger/playbook`: a playbook that is not kept.
pub(super) async fn ad_hoc(
    State(soarca): Here,
    Extension(actor): Extension<Actor>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<impl IntoResponse, Answer> {
    let call = "POST /trigger/playbook";
    let refuse = |reason: &str| Answer::bad("Failed to decode playbook", call, reason);
    let document = Document::parse(&body).map_err(|error| refuse(&error.to_string()))?;
    let fault = document
        .check(Profile::Lenient)
        .into_iter()
        .find(|finding| finding.severity == Severity::Error);
    if let Some(fault) = fault {
        let (code, pointer, message) = (fault.code, fault.pointer, fault.message);
        return Err(refuse(&format!("{code} {pointer}: {message}")));
    }
    let engine = &soarca.api.engine;
    let id = document.value()["id"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let start = start(&soarca, &actor, &headers, BTreeMap::new());
    let begun = engine.run_document(document, start).await;
    let begun = begun.map_err(|error| refuse(&error.to_string()))?;
    record(&soarca, &actor, &id, &begun).await;
    Ok(Good(execution(&begun, &id)))
}

/// A variable of the body. What else it says is of no account, as with SOARCA.
#[derive(Deserialize)]
struct Given {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    value: Value,
}

/// `POST /trigger/playbook/{id}`: a kept playbook, with values for its external variables.
pub(super) async fn by_id(
    State(soarca): Here,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<impl IntoResponse, Answer> {
    let call = format!("POST /trigger/playbook/{id}");
    let engine = &soarca.api.engine;
    let info = engine.playbook(&id, None).await.ok_or_else(|| {
        Answer::bad(
            "Failed to load playbook",
            &call,
            "playbook is not in repository",
        )
    })?;
    let refuse = |reason: &str| {
        let message = format!("Cannot execute. reason: {reason}");
        Answer::bad(&message, &call, "")
    };
    let given: BTreeMap<String, Given> = if body.is_empty() {
        BTreeMap::new()
    } else {
        serde_json::from_slice(&body).map_err(|_| refuse("cannot unmarshal provided variables"))?
    };
    check(&info.playbook, &given).map_err(|reason| refuse(&reason))?;
    let values = given.into_iter();
    let values = values.map(|(name, given)| (name, Json::from(&given.value)));
    let start = start(&soarca, &actor, &headers, values.collect());
    let begun = engine.run_playbook(&id, None, start).await;
    let begun = begun.map_err(|error| refuse(&error.to_string()))?;
    record(&soarca, &actor, &id, &begun).await;
    Ok(Good(execution(&begun, &id)))
}

/// Whether the values are for external variables of the playbook. SOARCA's words, which its
/// tests assert.
fn check(playbook: &Playbook, given: &BTreeMap<String, Given>) -> Result<(), String> {
    let declared = playbook.playbook_variables.as_ref();
    for (name, given) in given {
        let Some(variable) = declared.and_then(|all| all.get(name)) else {
            return Err(format!(
                "provided variables is not a valid subset of the variables for the referenced playbook [ playbook id: {} ]",
                playbook.id
            ));
        };
        if variable.kind != given.kind {
            return Err(format!(
                "mismatch in variables type for [ {name} ]: payload var type = {}, playbook var type = {}",
                given.kind, variable.kind
            ));
        }
        if variable.external != Some(true) {
            return Err(format!(
                "playbook variable [ {name} ] cannot be assigned in playbook because it is not marked as external in the plabook"
            ));
        }
    }
    Ok(())
}

fn start(
    soarca: &Soarca,
    actor: &Actor,
    headers: &HeaderMap,
    variables: BTreeMap<String, Json>,
) -> Start {
    Start {
        variables,
        key: key_of(headers),
        by: Some(actor.caller.name.to_string()),
        person: Some(actor.person(&soarca.api)),
    }
}

/// Records who started what: the run names the very content that it follows.
async fn record(soarca: &Soarca, actor: &Actor, playbook: &str, begun: &PlaybookBegun) {
    let mut act = soarca.act(actor, "playbook.run", playbook);
    act.detail.insert("run".to_owned(), begun.run.to_string());
    crate::actor::record(&soarca.api, act).await;
}

fn execution(begun: &PlaybookBegun, playbook: &str) -> Value {
    json!({ "execution_id": begun.run, "payload": playbook })
}
