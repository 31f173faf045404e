//! Compositions: an action that is asked again and again what to invoke next.

use std::sync::Arc;

use conche_openwhisk::model::{Activation, FullyQualifiedName, KeyValue, Name, Response, Status};
use http::StatusCode;
use serde_json::{Map, Value};

use super::record;
use super::sequence::{Sum, part};
use super::{Call, Inner, Journey};
use crate::entities::Target;
use crate::store::User;

const TOO_LONG: &str = "Too many actions in the composition.";

/// What the answer of a conductor means.
#[derive(Debug, PartialEq)]
enum Next {
    /// It is over, with this result.
    Done(Value),
    /// Invoke an action, keep the state, ask again.
    Invoke {
        action: Value,
        params: Map<String, Value>,
        state: Map<String, Value>,
    },
}

/// Reads what a conductor returned.
fn next(result: Value) -> Next {
    let Value::Object(mut members) = result else {
        return Next::Done(result);
    };
    let params = members.remove("params");
    match (members.remove("action"), params) {
        (Some(action), params) => Next::Invoke {
            action,
            params: boxed("value", params),
            state: boxed("state", members.remove("state")),
        },
        (None, Some(params)) => Next::Done(boxed("value", Some(params)).into()),
        (None, None) => Next::Done(members.into()),
    }
}

/// An object as it is; anything else as the member of one.
fn boxed(name: &str, value: Option<Value>) -> Map<String, Value> {
    match value {
        None => Map::new(),
        Some(Value::Object(members)) => members,
        Some(other) => [(name.to_owned(), other)].into_iter().collect(),
    }
}

impl Inner {
    /// Carries out a composition; none where it could not begin.
    pub(super) async fn conductor(
        self: &Arc<Self>,
        call: Call,
        journey: &Arc<Journey>,
    ) -> Option<Activation> {
        let began = self.now();
        let mut sum = Sum::default();
        let response = self.conduct(&call, journey, &mut sum).await?;
        let more = KeyValue::new("conductor", true);
        Some(sum.activation(&call, response, began, Some(more)))
    }

    async fn conduct(
        self: &Arc<Self>,
        call: &Call,
        journey: &Arc<Journey>,
        sum: &mut Sum,
    ) -> Option<Response> {
        let mut payload = match &call.payload {
            Value::Null => Map::new().into(),
            payload => payload.clone(),
        };
        loop {
            if !Journey::take(&journey.conductors) {
                return Some(record::failure(Status::ApplicationError, TOO_LONG));
            }
            let asked = part(call, call.target.clone(), payload, self.now());
            let activation = self.primitive(asked).await?;
            let package = call.target.action.namespace.package.as_ref();
            let package = package.map(ToString::to_string);
            let activation = self.record(activation, package).await;
            sum.add(&activation);
            let mut response = activation.response;
            if !response.success {
                return Some(response);
            }
            let (action, params, state) = match next(response.result.take().unwrap_or_default()) {
                Next::Done(result) => return Some(record::response(Status::Success, result)),
                Next::Invoke {
                    action,
                    params,
                    state,
                } => (action, params, state),
            };
            let mut answer = match self.conducted(&call.who, &action).await {
                Err(error) => boxed("error", Some(error.into())),
                Ok(target) => {
                    if !Journey::take(&journey.components) {
                        return Some(record::failure(Status::ApplicationError, TOO_LONG));
                    }
                    let part = part(call, target, params.into(), self.now());
                    let done = self.part(part, journey).await?;
                    sum.add(&done);
                    if done.response.status == Status::InternalError {
                        return Some(done.response);
                    }
                    match done.response.result {
                        Some(Value::Object(result)) => result,
                        _ => Map::new(),
                    }
                }
            };
            answer.extend(state);
            payload = answer.into();
        }
    }

    /// The action that a conductor names, or why it cannot be invoked.
    async fn conducted(&self, who: &User, action: &Value) -> Result<Target, String> {
        let malformed = || format!("Failed to parse action name '{}'.", shown(action));
        let written = action.as_str().ok_or_else(malformed)?;
        let name = FullyQualifiedName::parse(written).map_err(|_| malformed())?;
        let own = Name::parse(&who.namespace).map_err(|_| malformed())?;
        self.target(who, name.resolve(&own))
            .await
            .map_err(|refusal| {
                if refusal.status == StatusCode::FORBIDDEN {
                    format!("Failed entitlement check for action with name '{written}'.")
                } else {
                    format!("Failed to resolve action with name '{written}'.")
                }
            })
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        boxed("", Some(value))
    }

    #[test]
    fn the_answer_of_a_conductor_says_what_is_next() {
        for (answer, wanted) in [
            (
                json!({ "params": { "a": 1 } }),
                Next::Done(json!({ "a": 1 })),
            ),
            (json!({ "params": 7 }), Next::Done(json!({ "value": 7 }))),
            (
                json!({ "a": 1, "state": 2 }),
                Next::Done(json!({ "a": 1, "state": 2 })),
            ),
            (json!([1]), Next::Done(json!([1]))),
            (
                json!({ "action": "x", "params": 1, "state": [2] }),
                Next::Invoke {
                    action: "x".into(),
                    params: object(json!({ "value": 1 })),
                    state: object(json!({ "state": [2] })),
                },
            ),
            (
                json!({ "action": 3 }),
                Next::Invoke {
                    action: 3.into(),
                    params: Map::new(),
                    state: Map::new(),
                },
            ),
        ] {
            assert_eq!(next(answer.clone()), wanted, "{answer}");
        }
    }
}
