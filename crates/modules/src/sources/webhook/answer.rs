//! What a sender is answered. Success is told only after the event is on disk; an error is
//! `application/problem+json` with a stable code and never holds what went wrong inside.

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use conche_core::Json;
use conche_core::json;
use conche_runtime::listener::{Problem, problem_json};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::json;

use super::decode::Reject;
use crate::action::Answer;
use crate::intake::{Receipt, Refusal};

/// Names the event that a delivery became.
const EVENT_ID: HeaderName = HeaderName::from_static("conche-event-id");

/// When to try again where nobody knows better.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// 202 for one event.
pub(super) fn accepted(receipt: &Receipt) -> Response {
    with_event(
        json_body(StatusCode::ACCEPTED, &receipt_json(receipt)),
        receipt,
    )
}

/// 202 for a split batch.
pub(super) fn accepted_all(receipts: &[Receipt]) -> Response {
    let events: Vec<_> = receipts.iter().map(receipt_json).collect();
    json_body(StatusCode::ACCEPTED, &json!({ "events": events }))
}

fn receipt_json(receipt: &Receipt) -> serde_json::Value {
    json!({ "event_id": receipt.event.to_string(), "duplicate": receipt.duplicate })
}

/// What a run answered.
pub(super) fn answered(answer: &Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    for (name, value) in &answer.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
            response.headers_mut().append(name, value);
        }
    }
    let named = response.headers().get(header::CONTENT_TYPE).is_some();
    let is_json = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_none_or(|value| value.to_str().is_ok_and(|text| text.contains("json")));
    // A text under another content type is sent as it is, without JSON's quotes.
    let body = match answer.body.read::<String>() {
        Ok(text) if !is_json => text,
        _ if answer.body == Json::null() => String::new(),
        _ => answer.body.as_str().to_owned(),
    };
    if !named && !body.is_empty() {
        let value = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    *response.body_mut() = body.into();
    response
}

/// An answer from the configuration.
pub(super) fn canned(status: StatusCode, body: &serde_json::Value) -> Response {
    if body.is_null() {
        status.into_response()
    } else {
        json_body(status, body)
    }
}

/// Names the event in an answer.
pub(super) fn with_event(mut response: Response, receipt: &Receipt) -> Response {
    if let Ok(value) = receipt.event.to_string().parse() {
        response.headers_mut().insert(EVENT_ID, value);
    }
    response
}

/// A problem.
pub(super) fn problem(
    status: StatusCode,
    code: &'static str,
    detail: impl Into<String>,
) -> Response {
    problem_json(&Problem {
        status,
        code,
        detail: detail.into(),
    })
}

/// A sender's question whether it may send here, as CloudEvents' webhooks ask it. Everyone
/// may ask: the answer is what the configuration says of that name, and proves nothing.
pub(super) fn handshake(headers: &HeaderMap, origins: &[String], methods: &[&str]) -> Response {
    let asked = headers.get("webhook-request-origin");
    let known = asked.filter(|origin| {
        let name = origin.as_bytes();
        origins
            .iter()
            .any(|known| known == "*" || known.as_bytes().eq_ignore_ascii_case(name))
    });
    let Some(origin) = known else {
        let detail = "no sender of this name is allowed here";
        return problem(StatusCode::FORBIDDEN, "origin-refused", detail);
    };
    let mut response = StatusCode::OK.into_response();
    let told = response.headers_mut();
    told.insert("webhook-allowed-origin", origin.clone());
    if headers.contains_key("webhook-request-rate") {
        // What is too much is told by 429.
        told.insert("webhook-allowed-rate", HeaderValue::from_static("*"));
    }
    if let Ok(methods) = methods.join(", ").parse() {
        told.insert(header::ALLOW, methods);
    }
    response
}

/// A delivery that can't be read.
pub(super) fn rejected(reject: &Reject) -> Response {
    let (status, code) = status_and_code(reject);
    problem(status, code, reject.to_string())
}

fn status_and_code(reject: &Reject) -> (StatusCode, &'static str) {
    match reject {
        Reject::Json(json::Error::TooLarge { .. }) => {
            (StatusCode::PAYLOAD_TOO_LARGE, "body-too-large")
        }
        Reject::Json(json::Error::TooDeep { .. }) => (StatusCode::BAD_REQUEST, "json-too-deep"),
        Reject::Json(json::Error::Malformed(_)) => (StatusCode::BAD_REQUEST, "json-malformed"),
        Reject::Missing { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "value-missing"),
        Reject::Unusable { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "value-unusable"),
        Reject::EmptyBatch(_) => (StatusCode::UNPROCESSABLE_ENTITY, "batch-empty"),
        Reject::NoBatch(_) => (StatusCode::UNPROCESSABLE_ENTITY, "batch-missing"),
        Reject::LargeBatch { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "batch-too-large"),
        Reject::Line { reject, .. } => status_and_code(reject),
        Reject::NoPayload => (StatusCode::BAD_REQUEST, "form-unreadable"),
        Reject::Foreign { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "event-foreign"),
        Reject::OtherKind { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "payload-foreign"),
    }
}

/// An event that the engine did not take.
pub(super) fn refused(refusal: &Refusal) -> Response {
    let (status, code, retry_after) = match refusal {
        Refusal::Busy { retry_after } => {
            (StatusCode::TOO_MANY_REQUESTS, "busy", Some(*retry_after))
        }
        Refusal::Unavailable(reason) => {
            tracing::error!(%reason, "webhook event not stored");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "store-unavailable",
                Some(RETRY_AFTER),
            )
        }
        Refusal::Stopping => (
            StatusCode::SERVICE_UNAVAILABLE,
            "stopping",
            Some(RETRY_AFTER),
        ),
        Refusal::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "event-invalid", None),
    };
    let detail = match refusal {
        Refusal::Unavailable(_) => "the event can't be stored now; send it again later".to_owned(),
        other => other.to_string(),
    };
    let mut response = problem(status, code, detail);
    if let Some(after) = retry_after {
        // Rounded up: a sender that comes back early is refused again.
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    response
}

fn json_body(status: StatusCode, body: &serde_json::Value) -> Response {
    (
        status,
        [(header::CONTENT_TYPE, "application/json")],
        body.to_string(),
    )
        .into_response()
}
