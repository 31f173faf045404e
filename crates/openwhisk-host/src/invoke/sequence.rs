//! Sequences: what one component returns is the whole input of the next, until one fails.

use std::sync::Arc;

use conche_openwhisk::model::{
    Activation, ActivationId, Exec, FullyQualifiedName, KeyValue, Messages, Name, Response, Status,
};
use serde_json::{Map, Value};

use super::record::{self, Outcome};
use super::{Call, Inner, Journey, new_id};
use crate::entities::Target;
use crate::store::User;

/// What the parts of a sequence or composition add up to.
#[derive(Debug, Default)]
pub(super) struct Sum {
    pub(super) logs: Vec<String>,
    duration: i64,
    memory: u64,
    start: Option<i64>,
}

impl Sum {
    pub(super) fn add(&mut self, part: &Activation) {
        self.logs.push(part.activation_id.to_string());
        self.duration = self.duration.saturating_add(part.duration.unwrap_or(0));
        self.start = self.start.or(Some(part.start));
        let limits = part.annotations.get("limits");
        let memory = limits.and_then(|limits| limits.get("memory"));
        self.memory = self.memory.max(memory.and_then(Value::as_u64).unwrap_or(0));
    }

    /// The record of the whole.
    pub(super) fn activation(
        self,
        call: &Call,
        response: Response,
        now: i64,
        more: Option<KeyValue>,
    ) -> Activation {
        let mut limits = call.target.action.limits.clone();
        limits.memory = Some(self.memory)
            .filter(|memory| *memory > 0)
            .or(limits.memory);
        let start = self.start.unwrap_or(now);
        let mut annotations = vec![
            KeyValue::new("waitTime", (start - call.accepted).max(0)),
            KeyValue::new("kind", "sequence"),
            record::limits(&limits),
            KeyValue::new("topmost", call.within.is_none()),
        ];
        annotations.extend(more);
        let outcome = Outcome {
            response,
            start,
            duration: self.duration,
            logs: self.logs,
            annotations,
        };
        record::activation(call, outcome)
    }
}

/// A component that is to be carried out within `call`.
pub(super) fn part(call: &Call, target: Target, payload: Value, accepted: i64) -> Call {
    Call {
        who: Arc::clone(&call.who),
        target,
        payload,
        id: new_id(),
        within: Some(ActivationId::clone(&call.id)),
        begin: Arc::clone(&call.begin),
        transaction: Arc::clone(&call.transaction),
        accepted,
    }
}

impl Inner {
    /// Carries out a sequence; none where it could not begin.
    pub(super) async fn sequence(
        self: &Arc<Self>,
        call: Call,
        components: Vec<String>,
        journey: &Arc<Journey>,
    ) -> Option<Activation> {
        let began = self.now();
        let mut sum = Sum::default();
        let mut value = match &call.payload {
            Value::Null => Map::new().into(),
            payload => payload.clone(),
        };
        let mut response = record::response(Status::Success, value.clone());
        let components = if Journey::take(&journey.sequences) {
            components
        } else {
            response = too_long();
            Vec::new()
        };
        for component in components {
            let Some(target) = self.component(&call.who, &component).await else {
                let text = Messages::SEQUENCE_COMPONENT_NOT_FOUND;
                response = record::failure(Status::ApplicationError, text);
                break;
            };
            let atomic = !matches!(target.action.exec, Exec::Sequence(_));
            if atomic && !Journey::take(&journey.components) {
                response = too_long();
                break;
            }
            let part = part(&call, target, value, self.now());
            let done = self.part(part, journey).await?;
            sum.add(&done);
            response = done.response;
            value = response.result.clone().unwrap_or_default();
            if !response.success {
                break;
            }
        }
        Some(sum.activation(&call, response, began, None))
    }

    /// What the name of a component means now; it may have been replaced or removed.
    async fn component(&self, who: &User, written: &str) -> Option<Target> {
        let name = FullyQualifiedName::parse_in_body(written).ok()?;
        let own = Name::parse(&who.namespace).ok()?;
        self.target(who, name.resolve(&own)).await.ok()
    }
}

fn too_long() -> Response {
    record::failure(Status::ApplicationError, Messages::SEQUENCE_TOO_LONG)
}
