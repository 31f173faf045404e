//! Sandboxes and calls in a form that tests can read as a sentence.

use std::sync::Arc;
use std::time::Duration;

use conche_script::{
    Config, Error, Evaluated, Evaluation, Isolation, Limits, Sandbox, Script, Verdict,
    WorkerCommand,
};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// Generous: the machine may be busy and the build unoptimised.
pub(crate) const SLOW: Duration = Duration::from_secs(20);

pub(crate) fn config() -> Config {
    let mut config = Config::new(WorkerCommand::program(env!(
        "CARGO_BIN_EXE_conche-script-worker"
    )));
    config.workers = 1;
    config.limits.time = Duration::from_secs(5);
    config
}

pub(crate) async fn sandbox() -> Sandbox {
    Sandbox::start(config()).await.unwrap()
}

pub(crate) fn raw(value: &Value) -> Arc<RawValue> {
    raw_text(&value.to_string())
}

pub(crate) fn raw_text(text: &str) -> Arc<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap().into()
}

pub(crate) fn call(source: &str) -> Evaluation {
    Evaluation {
        script: Arc::new(Script::new("test", source)),
        event: raw(&json!({ "n": 1, "list": [1, 2], "nested": { "a": "b" } })),
        action_data: None,
        lists: None,
        isolation: Isolation::Warm,
        limits: None,
    }
}

pub(crate) fn fresh(source: &str) -> Evaluation {
    Evaluation {
        isolation: Isolation::Fresh,
        ..call(source)
    }
}

pub(crate) fn within(time: Duration, evaluation: Evaluation) -> Evaluation {
    let limits = Limits {
        time,
        ..Limits::default()
    };
    Evaluation {
        limits: Some(limits),
        ..evaluation
    }
}

/// The verdict in a comparable form: "stop" or ["action", data].
pub(crate) fn verdict(evaluated: &Evaluated) -> Value {
    match &evaluated.next {
        Verdict::Stop => json!("stop"),
        Verdict::Next { action, data } => {
            json!([action, serde_json::from_str::<Value>(data.get()).unwrap()])
        }
    }
}

pub(crate) async fn decide(sandbox: &Sandbox, evaluation: Evaluation) -> Value {
    match sandbox.evaluate(evaluation).await {
        Ok(evaluated) => verdict(&evaluated),
        Err(error) => json!({ "error": error.to_string() }),
    }
}

pub(crate) async fn failure(sandbox: &Sandbox, evaluation: Evaluation) -> Error {
    sandbox.evaluate(evaluation).await.unwrap_err()
}

pub(crate) fn event_after(evaluated: &Evaluated) -> Option<Value> {
    let event = evaluated.event.as_ref()?;
    Some(serde_json::from_str(event.get()).unwrap())
}

/// Waits until `done`, failing after [`SLOW`].
pub(crate) async fn until(mut done: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(SLOW, async {
        while !done() {
            tokio::task::yield_now().await;
        }
    });
    waited.await.unwrap();
}
