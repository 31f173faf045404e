//! What went wrong, as RFC 9457 `application/problem+json` with a stable code.
//!
//! The detail is for the caller: it never holds what only the server's own people should see
//! (paths, messages of the disk); that goes to the log.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use conche_core::run::AnswerError;
use conche_core::{Json, id, json, reaction};
use conche_engine::{ListError, ReactionError, SignalError};
use conche_modules::Refusal;
use conche_runtime::listener;
use conche_store::Error as StoreError;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use crate::codes::{self, Code};
use crate::words;

/// How long to wait where nobody knows better.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// A failed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    code: &'static Code,
    detail: String,
    retry_after: Option<Duration>,
    check: Option<Json>,
}

/// A problem on the wire.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Body<'a> {
    /// The page that explains this code, on this server.
    #[serde(rename = "type")]
    page: String,
    /// The code in one sentence; always the same for one code.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// The stable code.
    code: &'a str,
    /// What is wrong with this request.
    detail: &'a str,
    /// Of a playbook all that is wrong: `findings` and `refusals`, each with its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    check: Option<&'a Json>,
}

impl Problem {
    /// A problem of this code; `detail` says what is wrong this time.
    pub fn new(code: &'static Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            retry_after: None,
            check: None,
        }
    }

    /// With all that a check found.
    #[must_use]
    pub(crate) fn with_check(mut self, check: Json) -> Self {
        self.check = Some(check);
        self
    }

    /// Its stable code.
    /// The HTTP status.
    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.code.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// What went wrong in this case.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    pub(crate) fn code(&self) -> &'static str {
        self.code.name
    }

    /// The caller may try again after this time.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Body {
            page: format!("/errors/{}", self.code.name),
            title: self.code.title,
            status: self.code.status,
            code: self.code.name,
            detail: &self.detail,
            check: self.check.as_ref(),
        };
        let status =
            StatusCode::from_u16(self.code.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(wait) = self.retry_after {
            // Rounded up: a caller that comes back at the named second must not be early.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Answers a listener's own problem in the form of this API, for `Listener::render`.
pub fn render(problem: &listener::Problem) -> Response {
    // A code that the listener has and this table lacks is still a problem of its status.
    let code = codes::find(problem.code).unwrap_or(&codes::INTERNAL);
    let mut response = Problem::new(code, &*problem.detail).into_response();
    *response.status_mut() = problem.status;
    response
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::NotFound { .. } => Self::new(&codes::NOT_FOUND, error.to_string()),
            StoreError::Unavailable(_) | StoreError::Locked(_) | StoreError::TooNew { .. } => {
                tracing::error!(%error, "request failed");
                Self::new(&codes::STORE_UNAVAILABLE, "the store cannot be used now")
                    .retry_after(RETRY_AFTER)
            }
            StoreError::Full(_) => {
                tracing::error!(%error, "request failed");
                Self::new(&codes::STORE_FULL, "the store has no space left")
                    .retry_after(RETRY_AFTER)
            }
            StoreError::Corrupt { kind, name, .. } => {
                tracing::error!(%error, "request failed");
                let detail =
                    format!("the stored {kind} '{name}' cannot be read; see the server's log");
                Self::new(&codes::STORED_DATA_UNREADABLE, detail)
            }
            StoreError::Fenced(_) | StoreError::Conflict { .. } | StoreError::Exists { .. } => {
                tracing::error!(%error, "request failed");
                Self::new(&codes::INTERNAL, "the server failed to answer this request")
            }
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Busy { retry_after } => {
                Self::new(&codes::BUSY, "too many events are waiting").retry_after(retry_after)
            }
            Refusal::Unavailable(error) => {
                tracing::error!(error, "event refused");
                Self::new(&codes::STORE_UNAVAILABLE, "events cannot be stored now")
                    .retry_after(RETRY_AFTER)
            }
            Refusal::Stopping => {
                Self::new(&codes::STOPPING, "the server is stopping").retry_after(RETRY_AFTER)
            }
            Refusal::Invalid(detail) => Self::new(&codes::EVENT_REFUSED, detail),
        }
    }
}

impl From<SignalError> for Problem {
    fn from(error: SignalError) -> Self {
        match error {
            SignalError::NotNow(detail) => Self::new(&codes::RUN_STATE, detail),
            SignalError::Answer(error) => {
                let code = match error {
                    AnswerError::Unknown
                    | AnswerError::SamePerson { .. }
                    | AnswerError::StarterUnknown => &codes::SECOND_PERSON,
                    AnswerError::NotAsked { .. }
                    | AnswerError::NotAskedFor { .. }
                    | AnswerError::Missing { .. }
                    | AnswerError::Value(_) => &codes::ANSWER,
                };
                Self::new(code, error.to_string())
            }
            SignalError::Sealed(error) => {
                tracing::error!(error, "request failed");
                Self::new(&codes::INTERNAL, "the server failed to answer this request")
            }
            SignalError::Store(error) => error.into(),
        }
    }
}

impl From<ListError> for Problem {
    fn from(error: ListError) -> Self {
        match error {
            ListError::Store(error) => error.into(),
            ListError::Invalid(_) | ListError::Full => {
                Self::new(&codes::LIST_ENTRY_REFUSED, error.to_string())
            }
        }
    }
}

impl From<ReactionError> for Problem {
    fn from(error: ReactionError) -> Self {
        match error {
            ReactionError::Invalid(detail) => {
                Self::new(&codes::REACTION_REFUSED, words::plain(&detail))
            }
            ReactionError::ReadOnly { .. } => {
                Self::new(&codes::REACTION_READ_ONLY, error.to_string())
            }
            ReactionError::NotFound(_) => Self::new(&codes::NOT_FOUND, error.to_string()),
            ReactionError::Store(error) => error.into(),
        }
    }
}

impl From<reaction::Error> for Problem {
    fn from(error: reaction::Error) -> Self {
        Self::new(&codes::REACTION_REFUSED, words::plain(&error.to_string()))
    }
}

impl From<json::Error> for Problem {
    fn from(error: json::Error) -> Self {
        let code = match error {
            json::Error::TooLarge { .. } => &codes::BODY_TOO_LARGE,
            json::Error::TooDeep { .. } | json::Error::Malformed(_) => &codes::INVALID_JSON,
        };
        Self::new(code, words::plain(&error.to_string()))
    }
}

impl From<id::Error> for Problem {
    fn from(error: id::Error) -> Self {
        Self::new(&codes::INVALID_ID, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_store_tell_their_kind_and_nothing_of_the_inside() {
        const INSIDE: &str = "/var/lib/secret.db: I/O error";
        let inside = || INSIDE.to_owned();
        let corrupt = StoreError::Corrupt {
            kind: "journal",
            name: "r".to_owned(),
            message: inside(),
        };
        for (error, code, waits) in [
            (StoreError::Unavailable(inside()), "store-unavailable", true),
            (StoreError::Locked(inside()), "store-unavailable", true),
            (StoreError::Full(inside()), "store-full", true),
            (corrupt, "stored-data-unreadable", false),
        ] {
            let problem = Problem::from(error);
            assert_eq!(problem.code.name, code);
            assert_eq!(problem.retry_after.is_some(), waits, "{code}");
            assert!(!problem.detail.contains("secret"), "{}", problem.detail);
        }
        let stopping = Problem::from(Refusal::Stopping);
        assert_eq!(stopping.code.status, 503);
        let unavailable = Problem::from(Refusal::Unavailable(inside()));
        assert!(!unavailable.detail.contains("secret"), "{unavailable:?}");
    }

    #[test]
    fn a_wait_is_rounded_up_to_whole_seconds() {
        let busy = Problem::new(&codes::BUSY, "x").retry_after(Duration::from_millis(1001));
        let response = busy.into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
    }

    #[test]
    fn every_problem_of_a_listener_has_a_code_here() {
        for code in [
            "body-too-large",
            "body-too-slow",
            "content-type-refused",
            "host-invalid",
            "host-refused",
            "internal",
            "origin-refused",
            "request-timeout",
            "unauthorized",
        ] {
            assert!(codes::find(code).is_some(), "{code}");
        }
    }
}
