//! What SOARCA answers when something is wrong: a map whose keys gin sorts, the status as text.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::json;

/// A refusal.
#[derive(Debug)]
pub(super) struct Answer(StatusCode, serde_json::Value);

impl Answer {
    /// A refusal of a call, with the reason that SOARCA keeps to its log.
    pub(super) fn new(status: StatusCode, message: &str, call: &str, reason: &str) -> Self {
        Self(
            status,
            json!({
                "downstream-call": reason,
                "message": message,
                "original-call": call,
                "status": status.as_u16().to_string(),
            }),
        )
    }

    /// 400, SOARCA's answer to nearly everything.
    pub(super) fn bad(message: &str, call: &str, reason: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message, call, reason)
    }

    /// The store is not available.
    pub(super) fn broken(call: &str, reason: &str) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal error",
            call,
            reason,
        )
    }

    /// A caller who is not let in.
    pub(super) fn denied(status: StatusCode, error: &str) -> Self {
        Self(status, json!({ "error": error }))
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        (self.0, Good(self.1)).into_response()
    }
}

/// JSON with the content type that gin gives it.
pub(super) struct Good<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Good<T> {
    fn into_response(self) -> Response {
        let mut response = axum::Json(self.0).into_response();
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    }
}
