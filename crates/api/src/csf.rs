//! CSF's REST API, version 1, path for path and byte for byte where a client could tell.
//!
//! Where CSF was wrong this is right and a superset: a body is checked before it is stored,
//! answers say that they are JSON, and a name is a key, so that posting a reaction again
//! replaces it. A web page has to say that its body is JSON, which a browser lets no page of
//! another origin do; programs that name no type, or another, are served as CSF served them.
//! CSF let reactions to different events share a name; here the later one is
//! kept as `NAME (EVENT)` and shown to CSF's clients by the name they gave it.
//! Source: CSF `api/api.go`.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json as Answer};
use conche_core::Json;
use conche_core::csf::{CsfReaction, beside};
use conche_core::reaction::{self, Reaction};
use conche_engine::{Owner, ReactionError, ReactionInfo};
use conche_modules::{actions, sources};
use conche_runtime::listener::guard::is_from_browser;
use conche_store::Act;
use http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use serde_json::{Value, json};

use crate::actor::{Actor, record};
use crate::extract::check_content_type;
use crate::problem::Problem;
use crate::{Api, Shared, codes, words};

/// An argument as CSF describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Argument {
    #[serde(rename = "type")]
    kind: String,
    name: String,
}

#[derive(Debug, Serialize)]
struct ActionOut {
    data_in: Vec<Argument>,
    data_out: Vec<Argument>,
    name: &'static str,
}

#[derive(Debug, Serialize)]
struct EventOut {
    data: Vec<Argument>,
    name: &'static str,
}

/// What CSF says an event carries.
#[rustfmt::skip]
const EVENTS: &[(&str, &[(&str, &str)])] = &[
    ("onetime", &[("timestamp", "timestamp string")]),
    ("new_vuln", &[("new", "Object containing new vuln details"), ("old", "Object containing old vuln details")]),
    ("new_pod", &[("pod", "k8s pod struct k8s.io/api/core/v1.Pod")]),
    ("k8s_image_validation_request", &[("image_review", "k8s object ImageReview"), ("uuid", "uuid of the request")]),
    ("compute_event", &[("instance", "instance object")]),
    ("dummy_event", &[("dummy_id", "int"), ("dummy_date", "string"), ("dummy_host", "string")]),
    ("dummy_event_2", &[("dummy_id", "int"), ("dummy_date", "string"), ("dummy_string", "string")]),
];

/// What CSF says its actions take and give: module, action, in, out.
#[rustfmt::skip]
#[expect(clippy::type_complexity, reason = "a table reads better than its types")]
const ACTIONS: &[(&str, &str, &[(&str, &str)], &[(&str, &str)])] = &[
    ("dummy", "dummy_action", &[("dummy_string", "string")], &[]),
    ("klar", "scan_image", &[("image", "string, docker image name")], &[("vulns", "array of vulnerabilities")]),
    ("klar", "scan_images", &[("images", "[]string, array of docker image names")], &[("{{name of the image scanned}}", "array of vulnerabilities")]),
    ("k8s", "is_image_deployed", &[("image", "string"), ("namespace", "string")], &[("deployments", "array of strings (names of deployments)")]),
    ("k8s", "is_image_in_pods", &[("image", "string"), ("namespace", "string")], &[("pods", "array of strings (names of pods)")]),
    ("k8s_imagevalidate", "validate_image", &[("uuid", "uuid"), ("validate", "bool")], &[]),
    ("mail", "send_mail", &[("to", "string"), ("subject", "string"), ("content", "string")], &[]),
    ("vuls", "scan_instance", &[("host", "string"), ("user", "string"), ("port", "string"), ("deep_scan", "bool")], &[("result", "string (json of vuls result)")]),
];

/// `GET /v1/reactions`
pub(crate) async fn list(State(api): State<Shared>) -> Answer<Vec<CsfReaction>> {
    let all = api.engine.reactions().await;
    let shown = all.iter().flat_map(|info| {
        let events = info.reaction.events.iter();
        events.map(|event| shown(&all, info, event))
    });
    Answer(shown.collect())
}

/// `GET /v1/actions`
pub(crate) async fn list_actions() -> Answer<Value> {
    let modules: BTreeMap<&str, Vec<ActionOut>> = actions::ALL
        .iter()
        .map(|module| {
            let actions = module.actions.iter().map(|action| {
                let known = ACTIONS
                    .iter()
                    .find(|known| (known.0, known.1) == (module.name, action.name));
                let (data_in, data_out) = match known {
                    Some((_, _, taken, given)) => (words(taken), words(given)),
                    None => (members(&(action.input)()), members(&(action.output)())),
                };
                ActionOut {
                    data_in,
                    data_out,
                    name: action.name,
                }
            });
            (module.name, actions.collect())
        })
        .collect();
    Answer(json!(modules))
}

/// `GET /v1/events`
pub(crate) async fn list_events() -> Answer<Value> {
    let events: Vec<EventOut> = sources::ALL
        .iter()
        .flat_map(|module| module.events)
        .map(|(name, _)| {
            let known = EVENTS.iter().find(|(known, _)| known == name);
            EventOut {
                data: known.map_or_else(Vec::new, |(_, data)| words(data)),
                name,
            }
        })
        .collect();
    Answer(json!({ "events": events }))
}

/// `GET /v1/events/{event}/reactions`
pub(crate) async fn list_of_event(
    State(api): State<Shared>,
    Path(event): Path<String>,
) -> Answer<Vec<CsfReaction>> {
    let all = api.engine.reactions().await;
    let of_event = all
        .iter()
        .filter(|info| info.reaction.events.contains(&event));
    Answer(of_event.map(|info| shown(&all, info, &event)).collect())
}

/// `POST /v1/events/{event}/reactions`; the event that counts is the body's, as in CSF.
pub(crate) async fn post(
    State(api): State<Shared>,
    Extension(actor): Extension<Actor>,
    Path(event): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let mut act = actor.act(&api, "reaction.put", &*event);
    act.detail.insert("event".to_owned(), event);
    let body = match readable(&headers, body) {
        Ok(body) => body,
        Err((status, code, wrong)) => {
            refused(&api, act, code).await;
            return text(status, &wrong);
        }
    };
    let posted = Json::parse(&body, api.json)
        .map_err(|error| error.to_string())
        .and_then(|body| CsfReaction::parse(body.as_str()).map_err(plain));
    if let Ok(posted) = &posted {
        act.target.clone_from(&posted.name);
    }
    let reaction = posted.and_then(|posted| posted.reaction().map_err(plain));
    let mut reaction = match reaction {
        Ok(reaction) => reaction,
        Err(wrong) => {
            refused(&api, act, codes::REACTION_REFUSED.name).await;
            return text(StatusCode::BAD_REQUEST, &wrong);
        }
    };
    // From the look at what there is until the name is taken.
    let _alone = api.naming.lock().await;
    if let Err(taken) = settle_name(&api.engine.reactions().await, &mut reaction) {
        refused(&api, act, codes::REACTION_READ_ONLY.name).await;
        return text(StatusCode::CONFLICT, &taken);
    }
    act.target.clone_from(&reaction.name);
    let digest = reaction.digest().to_string();
    act.detail.insert("digest".to_owned(), digest);
    let put = api
        .engine
        .put_reaction_by(reaction, Some(act.clone()))
        .await;
    match put {
        Ok(_) => StatusCode::OK.into_response(),
        Err(error) => failed(&api, act, error).await,
    }
}

/// The body, unless it is too large or a page may have sent it from elsewhere.
fn readable(
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Bytes, (StatusCode, &'static str, String)> {
    if is_from_browser(headers) && check_content_type(headers).is_err() {
        let wrong = "a web page sends the body as application/json, not compressed".to_owned();
        let code = codes::CONTENT_TYPE_REFUSED.name;
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, code, wrong));
    }
    body.map_err(|error| {
        let code = match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => &codes::BODY_TOO_LARGE,
            _ => &codes::INVALID_BODY,
        };
        (error.status(), code.name, error.body_text())
    })
}

/// `GET /v1/events/{event}/reactions/{reaction}`
pub(crate) async fn show(
    State(api): State<Shared>,
    Path((event, name)): Path<(String, String)>,
) -> Response {
    let all = api.engine.reactions().await;
    match find(&all, &event, &name) {
        Some(info) => Answer(shown(&all, info, &event)).into_response(),
        None => err(StatusCode::NOT_FOUND, "No such reaction"),
    }
}

/// `DELETE /v1/events/{event}/reactions/{reaction}`; 200 also where there is none, as in CSF.
pub(crate) async fn delete(
    State(api): State<Shared>,
    Extension(actor): Extension<Actor>,
    Path((event, name)): Path<(String, String)>,
) -> Response {
    let all = api.engine.reactions().await;
    let Some(info) = find(&all, &event, &name) else {
        return StatusCode::OK.into_response();
    };
    let name = &info.reaction.name;
    let act = actor.act(&api, "reaction.delete", &**name);
    if info.reaction.events.len() > 1 {
        refused(&api, act, codes::REACTION_READ_ONLY.name).await;
        let message = "other events trigger it too: remove it at /api/v1/reactions/NAME";
        return err(StatusCode::CONFLICT, message);
    }
    let gone = api.engine.delete_reaction_by(name, Some(act.clone())).await;
    match gone {
        Ok(()) | Err(ReactionError::NotFound(_)) => StatusCode::OK.into_response(),
        Err(error) => failed(&api, act, error).await,
    }
}

/// The reaction that CSF's clients know by this event and name.
fn find<'a>(all: &'a [ReactionInfo], event: &str, name: &str) -> Option<&'a ReactionInfo> {
    let by_name = |name: &str| {
        all.iter()
            .find(|info| info.reaction.name == name && info.reaction.events.contains(event))
    };
    by_name(name).or_else(|| by_name(&beside(name, event)))
}

/// What CSF's clients see of a reaction under one of its events.
fn shown(all: &[ReactionInfo], info: &ReactionInfo, event: &str) -> CsfReaction {
    let mut shown = CsfReaction::of(&info.reaction, event);
    let first = shown.name.strip_suffix(&beside("", event));
    let is_beside = |first: &&str| all.iter().any(|other| other.reaction.name == *first);
    if let Some(first) = first.filter(is_beside) {
        shown.name = first.to_owned();
    }
    shown
}

/// Chooses the name to store a posted reaction by.
fn settle_name(all: &[ReactionInfo], reaction: &mut Reaction) -> Result<(), String> {
    let Some(event) = reaction.events.first().cloned() else {
        return Ok(());
    };
    let before = find(all, &event, &reaction.name);
    match before {
        Some(before) if !is_csfs(before, &event) => {
            return Err(format!(
                "the reaction '{}' says more than CSF has words for: change it at /api/v1/reactions or in its file",
                reaction.name
            ));
        }
        Some(before) => reaction.name.clone_from(&before.reaction.name),
        None if all.iter().any(|info| info.reaction.name == reaction.name) => {
            reaction.name = beside(&reaction.name, &event);
        }
        None => {}
    }
    Ok(())
}

/// Whether nothing of a reaction is lost when it is told in CSF's words.
fn is_csfs(info: &ReactionInfo, event: &str) -> bool {
    info.owner == Owner::Api
        && CsfReaction::of(&info.reaction, event)
            .reaction()
            .is_ok_and(|told| told == *info.reaction)
}

fn words(table: &[(&str, &str)]) -> Vec<Argument> {
    let argument = |(name, kind): &(&str, &str)| Argument {
        kind: (*kind).to_owned(),
        name: (*name).to_owned(),
    };
    table.iter().map(argument).collect()
}

/// The members of an object's schema in CSF's form.
fn members(schema: &Value) -> Vec<Argument> {
    let members = schema["properties"].as_object().into_iter().flatten();
    members
        .map(|(name, schema)| Argument {
            kind: schema["type"].as_str().unwrap_or("any").to_owned(),
            name: name.clone(),
        })
        .collect()
}

fn plain(error: reaction::Error) -> String {
    words::plain(&error.to_string())
}

/// Records an act that was refused, as the native API does.
async fn refused(api: &Api, mut act: Act, code: &str) {
    code.clone_into(&mut act.outcome);
    record(api, act).await;
}

async fn failed(api: &Api, act: Act, error: ReactionError) -> Response {
    refused(api, act, Problem::from(error.clone()).code()).await;
    let message = error.to_string();
    match error {
        ReactionError::Invalid(_) => text(StatusCode::BAD_REQUEST, &message),
        ReactionError::ReadOnly { .. } => err(StatusCode::CONFLICT, &message),
        ReactionError::NotFound(_) => err(StatusCode::NOT_FOUND, "No such reaction"),
        ReactionError::Store(error) => {
            tracing::error!(%error, "reaction not stored");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// As Go's `http.Error` writes it.
fn text(status: StatusCode, message: &str) -> Response {
    let plain = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (status, plain, format!("{message}\n")).into_response()
}

fn err(status: StatusCode, message: &str) -> Response {
    (status, Answer(json!({ "err": message }))).into_response()
}
