//! One action that is neither a sequence nor a conductor: handed to the runtimes, or done here
//! where it comes with the host.

use std::sync::Arc;
use std::time::Duration;

use conche_openwhisk::model::{Activation, Exec, KeyValue, Messages, Status};
use serde_json::{Map, Value};

use super::record::{self, Outcome};
use super::{Call, Inner};
use crate::entities::Target;
use crate::native::Native;
use crate::runtimes::{ActionKey, Code, Envelope, Limits, Ran, ResponseClass, Run};

/// Every action has limits since it was stored; these stand in where a record lacks them.
const TIMEOUT_MS: u64 = 60_000;
const MEMORY_MB: u64 = 256;
const LOGS_MB: u64 = 10;

impl Inner {
    /// Carries out one action; none where it could not begin.
    pub(super) async fn primitive(self: &Arc<Self>, call: Call) -> Option<Activation> {
        let began = self.now();
        let ran = self.ran(&call).await?;
        let wait = i64::try_from(ran.wait.as_millis()).unwrap_or(i64::MAX);
        let start = began.saturating_add(wait);
        let mut annotations = vec![
            KeyValue::new("waitTime", (start - call.accepted).max(0)),
            KeyValue::new("kind", call.target.action.exec.kind()),
            KeyValue::new("timeout", ran.timed_out),
            record::limits(&call.target.action.limits),
        ];
        if let Some(init) = ran.init {
            annotations.push(KeyValue::new("initTime", millis(init)));
        }
        if let Some(by) = &ran.carried_out_by {
            annotations.push(KeyValue::new(Ran::CARRIED_OUT_BY, by.as_str()));
        }
        let status = match ran.class {
            ResponseClass::Success => Status::Success,
            ResponseClass::ApplicationError => Status::ApplicationError,
            ResponseClass::DeveloperError => Status::DeveloperError,
            ResponseClass::InternalError => Status::InternalError,
        };
        let duration = millis(ran.duration());
        let outcome = Outcome {
            response: record::response(status, ran.result),
            start,
            duration,
            logs: ran.logs,
            annotations,
        };
        Some(record::activation(&call, outcome))
    }

    async fn ran(self: &Arc<Self>, call: &Call) -> Option<Ran> {
        let value = arguments(&call.target, &call.payload);
        match call.target.native {
            Some(native) => {
                if !self.begin(&call.begin).await {
                    return None;
                }
                let result = self.native(native, call, value).await;
                Some(native_ran(result))
            }
            None => {
                let begin = Box::pin(self.begin(&call.begin));
                let run = self.run(call, value);
                self.runtimes.run_after(run, begin).await
            }
        }
    }

    async fn native(self: &Arc<Self>, native: Native, call: &Call, value: Value) -> Value {
        let arguments = match value {
            Value::Object(arguments) => arguments,
            other => return other,
        };
        match native {
            Native::Word(word) => word.result(arguments, &call.who.namespace, &*self.clock),
            Native::Alarm(feed) => self.feed(feed, arguments).await,
        }
    }

    fn run(&self, call: &Call, value: Value) -> Run {
        let action = &call.target.action;
        let (kind, main, image) = match &action.exec {
            Exec::Code(code) => (code.kind.clone(), code.main.clone(), None),
            Exec::Blackbox(blackbox) => (
                action.exec.kind().to_owned(),
                blackbox.main.clone(),
                Some(blackbox.image.clone()),
            ),
            Exec::Sequence(_) => (action.exec.kind().to_owned(), None, None),
        };
        let given = action.annotations.is_truthy("provide-api-key", true);
        let name = call.target.name().to_string();
        let init = call.target.bound.iter().filter(|one| one.init);
        Run {
            action: ActionKey {
                name: name.clone(),
                revision: call.target.revision.to_string(),
            },
            code: Code {
                kind,
                text: call.target.code.clone().unwrap_or_else(|| "".into()),
                binary: action.exec.is_binary(),
                main,
                image,
            },
            value,
            env: init
                .map(|one| (one.key.clone(), text(&one.value)))
                .collect(),
            envelope: Envelope {
                namespace: call.who.namespace.clone(),
                action_name: name,
                action_version: action.version.to_string(),
                activation_id: call.id.to_string(),
                transaction_id: call.transaction.to_string(),
                api_key: given.then(|| format!("{}:{}", call.who.uuid, call.who.key)),
                api_host: Some(self.settings.url.clone()),
            },
            limits: limits_of(call),
        }
    }
}

fn limits_of(call: &Call) -> Limits {
    let limits = &call.target.action.limits;
    let small =
        |number: Option<u64>, usual| u32::try_from(number.unwrap_or(usual)).unwrap_or(u32::MAX);
    Limits {
        timeout: Duration::from_millis(limits.timeout.unwrap_or(TIMEOUT_MS)),
        memory_mb: small(limits.memory, MEMORY_MB),
        logs_mb: small(limits.logs, LOGS_MB),
    }
}

/// The arguments of a run: what is bound, and the payload over it. An array is handed on as it is.
fn arguments(target: &Target, payload: &Value) -> Value {
    let bound = || {
        let run = target.bound.iter().filter(|one| !one.init);
        run.map(|one| (one.key.clone(), one.value.clone()))
    };
    match payload {
        Value::Object(payload) => {
            let mut arguments: Map<String, Value> = bound().collect();
            arguments.extend(
                payload
                    .iter()
                    .map(|(key, value)| (key.clone(), value.clone())),
            );
            arguments.into()
        }
        Value::Array(_) => payload.clone(),
        _ => bound().collect::<Map<_, _>>().into(),
    }
}

/// A result with `error` is a failure of the application, and `error` is all of it.
fn native_ran(result: Value) -> Ran {
    match result {
        Value::Object(mut members) if members.contains_key("error") => {
            let error = members.remove("error").unwrap_or_default();
            Ran::failure(ResponseClass::ApplicationError, error)
        }
        Value::Object(_) | Value::Array(_) => Ran::success(result),
        other => Ran::failure(
            ResponseClass::DeveloperError,
            Messages::no_json(&other.to_string()),
        ),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
