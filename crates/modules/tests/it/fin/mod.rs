//! The module `fin` with real fins: SOARCA's published library over a real broker, fins that
//! poll over real sockets, and a plain MQTT client where a fin misbehaves.

mod broker;
mod library;
mod misbehaving;
mod poll;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use conche_modules::fins::Fins;
use conche_modules::{Action, BuildContext, Call, Error};
use conche_runtime::supervisor::{Grace, OnFailure, Stage, Supervisor};
use serde_json::{Value, json};

use crate::support::{action, call, context};

/// The password of the broker.
const PASSWORD: &str = "hunter22-hunter22";
/// The password of the target.
const LOGIN: &str = "opensesame-7";

/// The module as a server runs it.
struct Served {
    module: Arc<dyn Action>,
    fins: Arc<Fins>,
    cx: BuildContext,
    supervisor: Supervisor,
}

impl Served {
    /// Builds it from `actions.fin` and serves it; `folder` is the data folder.
    fn start(folder: &Path, config: &Value) -> Self {
        Self::start_with(folder, config, PASSWORD)
    }

    /// With this password for the broker.
    fn start_with(folder: &Path, config: &Value, password: &str) -> Self {
        let secrets = [
            ("broker", password),
            ("target", LOGIN),
            ("fins", "let-me-in-let-me-in"),
        ];
        let mut cx = context(folder, &secrets);
        cx.data_dir = Some(folder.to_owned());
        let module = action("fin", config.clone(), &cx).unwrap();
        let (fins, supervisor) = (cx.fins.clone(), Supervisor::new());
        let served = fins.clone();
        supervisor
            .tasks()
            .spawn("fins", Stage::Api, OnFailure::Log, move |stop| {
                let served = served.clone();
                async move {
                    served.serve(stop).await;
                    Ok::<(), std::convert::Infallible>(())
                }
            });
        Self {
            module,
            fins,
            cx,
            supervisor,
        }
    }

    async fn carry_out(&self, call: &Call) -> Result<Value, Error> {
        let output = self.module.invoke(call).await?;
        Ok(output.read().unwrap())
    }

    async fn stop(self) {
        self.supervisor.shutdown(Grace::default()).await;
    }
}

/// A command for an agent of this type and name.
fn input(kind: &str, name: &str, command: &str) -> Value {
    json!({
        "command": { "type": "manual", "command": command },
        "agent": { "id": "agent--1", "type": kind, "name": name },
        "variables": { "__word__": { "type": "string", "value": "word" } },
        "context": { "playbook_id": "playbook--1", "step_id": "action--1", "timeout": 5000 },
    })
}

/// A call with this much time.
fn call_of(input: &Value, seconds: u64) -> Call {
    let mut call = call("execute", input);
    call.timeout = Duration::from_secs(seconds);
    call
}

/// Why it is not known what happened.
fn uncertain(result: Result<Value, Error>) -> String {
    match result {
        Err(Error::Uncertain(message)) => message,
        other => panic!("{other:?}"),
    }
}

/// Why it did not happen and may later.
fn retried(result: Result<Value, Error>) -> String {
    match result {
        Err(Error::Retry { message, .. }) => message,
        other => panic!("{other:?}"),
    }
}

/// Why it failed.
fn failed(result: Result<Value, Error>) -> String {
    match result {
        Err(Error::Permanent(message)) => message,
        other => panic!("{other:?}"),
    }
}
