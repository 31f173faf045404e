//! What an API server is answered: a decision in the form of its question.

use axum::body::Body;
use axum::response::Response;
use conche_runtime::listener::{Problem, problem_json};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::config::Mode;
use super::review::{Kind, Review};
use crate::admission::Decision;

/// How a review is answered: taken from it before it is asked about.
pub(super) struct Form {
    kind: Kind,
    api_version: String,
    uid: Option<String>,
}

impl Form {
    pub(super) fn of(review: &Review) -> Self {
        Self {
            kind: review.kind,
            api_version: review.api_version.clone(),
            uid: review.uid.clone(),
        }
    }

    /// The decision in this form. In `audit` all may enter, and what would not is told.
    pub(super) fn fill(&self, mut decision: Decision, mode: Mode) -> Value {
        if mode == Mode::Audit && !decision.allowed {
            let reason = decision.reason.take().unwrap_or_default();
            let told = format!("conche would deny this: {reason}");
            let annotations = &mut decision.audit_annotations;
            annotations.insert("would-deny".to_owned(), told.clone());
            decision.allowed = true;
            decision.warnings.insert(0, told);
            decision = decision.bounded();
        }
        let mut inner = json!({ "allowed": decision.allowed });
        if !decision.audit_annotations.is_empty() {
            inner["auditAnnotations"] = json!(decision.audit_annotations);
        }
        match self.kind {
            Kind::Image => {
                if let Some(reason) = decision.reason {
                    inner["reason"] = reason.into();
                }
                json!({ "apiVersion": self.api_version, "kind": "ImageReview", "status": inner })
            }
            Kind::Admission => {
                inner["uid"] = self.uid.clone().into();
                if !decision.allowed {
                    let message = decision.reason.unwrap_or_else(|| "denied".to_owned());
                    inner["status"] =
                        json!({ "code": 403, "reason": "Forbidden", "message": message });
                }
                if !decision.warnings.is_empty() {
                    inner["warnings"] = json!(decision.warnings);
                }
                json!({ "apiVersion": self.api_version, "kind": "AdmissionReview", "response": inner })
            }
        }
    }
}

/// 200 with this.
pub(super) fn ok(value: &Value) -> Response {
    let mut response = Response::new(Body::from(value.to_string()));
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// An error of ours; never with what went wrong inside.
pub(super) fn problem(
    status: StatusCode,
    code: &'static str,
    detail: impl Into<String>,
) -> Response {
    problem_json(&Problem::new(status, code, detail))
}
