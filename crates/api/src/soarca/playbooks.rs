//! `/playbook`: playbooks kept through the API.
//!
//! The document is answered as it was written, with what SOARCA adds to it: identifiers in the
//! objects of dictionaries, names in variables. What SOARCA drops is kept: clients take no
//! offence at more.

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use conche_cacao::{Document, Profile};
use conche_engine::{NewPlaybook, PlaybookError};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Here;
use super::answer::{Answer, Good};
use crate::access::Access;
use crate::actor::Actor;

const NOT_FOUND: &str = "Could not find playbook for given ID";
const NOT_CREATED: &str = "Could not create playbook. Is the playbook correct?";
/// What Go writes for a time that is not set.
pub(super) const NO_TIME: &str = "0001-01-01T00:00:00Z";
/// Properties that hold secrets.
const SECRET: [&str; 3] = ["password", "token", "private_key"];

#[derive(Serialize)]
struct Meta {
    id: String,
    name: String,
    description: String,
    valid_from: String,
    valid_until: String,
    labels: Option<Vec<String>>,
}

/// `GET /playbook`
pub(super) async fn list(
    State(soarca): Here,
    Extension(actor): Extension<Actor>,
) -> impl IntoResponse {
    let all = latest(&soarca.api.engine).await;
    let shown = all.iter().map(|info| shown(info.document.value(), &actor));
    Good(shown.collect::<Vec<_>>())
}

/// `GET /playbook/meta`
pub(super) async fn meta(State(soarca): Here) -> impl IntoResponse {
    let all = latest(&soarca.api.engine).await;
    let time = |time: &Option<String>| time.clone().unwrap_or_else(|| NO_TIME.to_owned());
    let metas = all.iter().map(|info| Meta {
        id: info.playbook.id.clone(),
        name: info.playbook.name.clone(),
        description: info.playbook.description.clone().unwrap_or_default(),
        valid_from: time(&info.playbook.valid_from),
        valid_until: time(&info.playbook.valid_until),
        labels: info.playbook.labels.clone(),
    });
    Good(metas.collect::<Vec<_>>())
}

/// `GET /playbook/{id}`
pub(super) async fn read(
    State(soarca): Here,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Answer> {
    let found = soarca.api.engine.playbook(&id, None).await;
    let found = found.ok_or_else(|| Answer::bad(NOT_FOUND, "GET /playbook/{id}", ""))?;
    Ok(Good(shown(found.document.value(), &actor)))
}

/// `POST /playbook`
pub(super) async fn create(
    State(soarca): Here,
    Extension(actor): Extension<Actor>,
    body: Bytes,
) -> Result<impl IntoResponse, Answer> {
    let refuse = |reason: &str| Answer::bad(NOT_CREATED, "POST /playbook", reason);
    let document = Document::parse(&body).map_err(|error| refuse(&error.to_string()))?;
    let id = document.value()["id"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    if soarca.api.engine.playbook(&id, None).await.is_some() {
        return Err(refuse("Provided duplicate playbook, already in database"));
    }
    let value = put(&soarca, &actor, document, false).await;
    let value = value.map_err(|error| refuse(&error.to_string()))?;
    Ok((StatusCode::CREATED, Good(shown(&value, &actor))))
}

/// `PUT /playbook/{id}`
pub(super) async fn update(
    State(soarca): Here,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<impl IntoResponse, Answer> {
    let refuse = |reason: &str| Answer::bad(NOT_FOUND, "PUT /playbook/{id}", reason);
    let document = Document::parse(&body).map_err(|error| refuse(&error.to_string()))?;
    if document.value()["id"] != id.as_str() {
        return Err(refuse("the playbook has another id than the path"));
    }
    let there = soarca.api.engine.playbook(&id, None).await;
    let there = there.ok_or_else(|| refuse(""))?;
    let own = document.value()["modified"].as_str().unwrap_or_default();
    // It would be kept beside the one in force, and have no effect.
    if own
        .parse()
        .ok()
        .is_some_and(|own| modified(&there) > Some(own))
    {
        return Err(refuse("there is a version with a later `modified`"));
    }
    let value = put(&soarca, &actor, document, true).await;
    let value = value.map_err(|error| refuse(&error.to_string()))?;
    Ok(Good(shown(&value, &actor)))
}

/// `DELETE /playbook/{id}`: 200 for one that is not there as well.
pub(super) async fn delete(
    State(soarca): Here,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
) -> Result<StatusCode, Answer> {
    let act = soarca.act(&actor, "playbook.delete", &id);
    match soarca.api.engine.delete_playbook_by(&id, Some(act)).await {
        Ok(()) | Err(PlaybookError::NotFound { .. }) => Ok(StatusCode::OK),
        Err(error) => Err(Answer::bad(
            "Could not delete object",
            "DELETE /playbook/{id}",
            &error.to_string(),
        )),
    }
}

async fn put(
    soarca: &super::Soarca,
    actor: &Actor,
    document: Document,
    replace: bool,
) -> Result<Value, PlaybookError> {
    let value = document.value().clone();
    let act = soarca.act(
        actor,
        "playbook.put",
        value["id"].as_str().unwrap_or_default(),
    );
    let new = NewPlaybook {
        document,
        profile: Profile::Lenient,
        replace,
        by: actor.caller.name.to_string(),
    };
    soarca.api.engine.put_playbook_by(new, Some(act)).await?;
    Ok(value)
}

/// The latest version of every playbook.
async fn latest(engine: &conche_engine::Engine) -> Vec<conche_engine::PlaybookInfo> {
    let mut latest: Vec<conche_engine::PlaybookInfo> = Vec::new();
    for info in engine.playbooks().await {
        match latest
            .iter_mut()
            .find(|known| known.playbook.id == info.playbook.id)
        {
            Some(known) if modified(&info) >= modified(known) => *known = info,
            Some(_) => {}
            None => latest.push(info),
        }
    }
    latest
}

fn modified(info: &conche_engine::PlaybookInfo) -> Option<conche_core::Timestamp> {
    info.playbook.modified.parse().ok()
}

/// A playbook with what SOARCA adds. Secrets are shown to those only who may change it.
pub(super) fn shown(document: &Value, actor: &Actor) -> Value {
    let mut shown = document.clone();
    for (dictionary, extra) in [
        ("workflow", &[][..]),
        ("agent_definitions", &["location", "contact"]),
        ("target_definitions", &["location", "contact"]),
        ("authentication_info_definitions", &[]),
    ] {
        for (id, object) in members(&mut shown, dictionary) {
            object.insert("id".to_owned(), id.into());
            for name in extra {
                object.entry(*name).or_insert_with(|| json!({}));
            }
            variables(object, "step_variables");
        }
    }
    for (_, info) in members(&mut shown, "authentication_info_definitions") {
        info.entry("kms").or_insert(false.into());
        if !actor.caller.may.contains(&Access::Define) {
            for name in SECRET {
                if let Some(value) = info.get_mut(name) {
                    *value = "***".into();
                }
            }
        }
    }
    if let Value::Object(playbook) = &mut shown {
        variables(playbook, "playbook_variables");
        for time in ["valid_from", "valid_until"] {
            playbook.entry(time).or_insert(NO_TIME.into());
        }
    }
    shown
}

fn members<'v>(
    document: &'v mut Value,
    dictionary: &str,
) -> impl Iterator<Item = (String, &'v mut Map<String, Value>)> {
    let dictionary = document.get_mut(dictionary).and_then(Value::as_object_mut);
    let members = dictionary.into_iter().flatten();
    members.filter_map(|(id, object)| Some((id.clone(), object.as_object_mut()?)))
}

fn variables(object: &mut Map<String, Value>, property: &str) {
    let all = object.get_mut(property).and_then(Value::as_object_mut);
    for (name, variable) in all.into_iter().flatten() {
        if let Value::Object(variable) = variable {
            variable.insert("name".to_owned(), name.as_str().into());
        }
    }
}
