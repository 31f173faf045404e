//! The errors that a listener answers by itself, without a route.
//!
//! They are protocol-neutral: an API that must answer exactly as another
//! server did gives its own [`Render`].

use axum::response::Response;
use http::{HeaderValue, StatusCode, header};

/// Why a request was refused before or instead of its route's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The status to answer with.
    pub status: StatusCode,
    /// A stable name for this kind of problem.
    pub code: &'static str,
    /// What is wrong, for the caller to read. It holds nothing secret.
    pub detail: String,
}

/// Makes an answer of a problem.
pub type Render = fn(&Problem) -> Response;

impl Problem {
    /// A problem of these.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
        }
    }
}

/// Renders a problem as RFC 9457 `application/problem+json`, with the code as
/// an extension member.
pub fn problem_json(problem: &Problem) -> Response {
    let body = serde_json::json!({
        "type": "about:blank",
        "title": problem.status.canonical_reason().unwrap_or("Error"),
        "status": problem.status.as_u16(),
        "code": problem.code,
        "detail": problem.detail,
    });
    let mut response = Response::new(body.to_string().into());
    *response.status_mut() = problem.status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    response
}
