//! The records of activations: how they are made, stored and read.

use std::sync::Arc;

use conche_openwhisk::model::{
    ActionLimits, Activation, KeyValue, KeyValues, Other, Response, Status,
};
use serde_json::{Value, json};

use super::Call;
use crate::host::Inner;
use crate::refusal::Refusal;
use crate::store::{self, Commit, Record};

/// A response of a class with its result.
pub(crate) fn response(status: Status, result: Value) -> Response {
    Response {
        success: status == Status::Success,
        status,
        result: Some(result),
        size: None,
        other: Other::new(),
    }
}

/// A failure with its `error`.
pub(crate) fn failure(status: Status, error: impl Into<Value>) -> Response {
    let error: Value = error.into();
    response(status, json!({ "error": error }))
}

/// What came of a call that took so long.
pub(super) struct Outcome {
    pub(super) response: Response,
    /// In milliseconds since 1970.
    pub(super) start: i64,
    /// In milliseconds.
    pub(super) duration: i64,
    pub(super) logs: Vec<String>,
    /// Beside those that every activation has.
    pub(super) annotations: Vec<KeyValue>,
}

/// The record of a call.
pub(super) fn activation(call: &Call, outcome: Outcome) -> Activation {
    let action = &call.target.action;
    let mut annotations = vec![KeyValue::new("path", call.target.name().without_slash())];
    annotations.extend(outcome.annotations);
    if let Some(binding) = &call.target.binding {
        annotations.push(KeyValue::new("binding", binding.as_str()));
    }
    if call.within.is_some() {
        annotations.push(KeyValue::new("causedBy", "sequence"));
    }
    let namespace = namespace_of(call);
    Activation {
        namespace,
        name: action.name.clone(),
        version: action.version.clone(),
        publish: false,
        subject: call.who.namespace.clone(),
        activation_id: call.id.clone(),
        start: outcome.start,
        end: Some(outcome.start.saturating_add(outcome.duration)),
        duration: Some(outcome.duration),
        cause: call.within.clone(),
        response: outcome.response,
        logs: outcome.logs,
        annotations: KeyValues(annotations),
        other: Other::new(),
    }
}

/// The namespace of who invokes; that of the action where it cannot be said.
fn namespace_of(call: &Call) -> conche_openwhisk::model::EntityPath {
    let own = call.who.namespace.clone().try_into();
    own.unwrap_or_else(|_| call.target.action.namespace.clone())
}

/// The annotations that are known before a call is carried out.
pub(super) fn known(call: &Call) -> Vec<KeyValue> {
    let action = &call.target.action;
    let kind = if call.target.is_conductor() {
        "sequence"
    } else {
        action.exec.kind()
    };
    let mut known = vec![
        KeyValue::new("path", call.target.name().without_slash()),
        KeyValue::new("kind", kind),
        limits(&action.limits),
    ];
    let binding = call.target.binding.as_ref();
    known.extend(binding.map(|binding| KeyValue::new("binding", binding.as_str())));
    known
}

/// The annotation `limits`.
pub(super) fn limits(limits: &ActionLimits) -> KeyValue {
    let value = serde_json::to_value(limits).unwrap_or_default();
    KeyValue::new("limits", value)
}

/// The record as the store keeps it.
pub(crate) fn stored(activation: &Activation, package: Option<String>) -> Record {
    Record {
        activation: activation.activation_id.to_string(),
        namespace: activation.namespace.namespace.to_string(),
        name: activation.name.to_string(),
        package,
        start: u64::try_from(activation.start).unwrap_or(0),
        // Its parts are strings, numbers and JSON, which can be written.
        document: serde_json::to_value(activation).unwrap_or_default(),
    }
}

/// A stored record as an activation.
pub(crate) fn read(record: Record) -> Result<Activation, Refusal> {
    serde_json::from_value(record.document).map_err(|error| {
        store::Error::Corrupt {
            what: format!("activation {}", record.activation),
            reason: error.to_string(),
        }
        .into()
    })
}

impl Inner {
    /// Stores what came of a call. Where that cannot be done the caller is told so, since the
    /// record is what others will go by.
    pub(super) async fn record(
        self: &Arc<Self>,
        mut activation: Activation,
        package: Option<String>,
    ) -> Activation {
        let commit = Commit {
            finish: vec![stored(&activation, package)],
            ..Commit::default()
        };
        if !self.persist(commit).await {
            let text = "The activation ended but could not be recorded.";
            activation.response = failure(Status::InternalError, text);
        }
        activation
    }
}
