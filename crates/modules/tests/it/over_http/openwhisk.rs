//! `openwhisk` commands and actions against a host of OpenWhisk.

#[path = "../../../../openwhisk/tests/it/fake.rs"]
#[allow(dead_code, clippy::disallowed_methods, reason = "it is for several")]
mod fake;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use conche_modules::{Action, BuildContext, Call, Embedded, Error, OpenWhiskHosts, Probed};
use conche_openwhisk::client::{Failure, Request, Response, Transport};
use conche_openwhisk::command::Verb;
use conche_openwhisk::model::{ActivationId, FullyQualifiedName};
use serde_json::{Value, json};

use self::fake::{Fake, ID, Reply, accepted, activation, error, not_found};
use super::{basic, permanent};
use crate::support::{action, call, context, invoke};

const KEY: &str = "k3y-k3y-k3y";

fn module(config: Value) -> Arc<dyn Action> {
    module_with(config, OpenWhiskHosts::default())
}

fn module_with(config: Value, hosts: OpenWhiskHosts) -> Arc<dyn Action> {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.keep();
    let secrets = [("ow", KEY), ("whole", "uuid:k3y-k3y-k3y")];
    let cx = BuildContext {
        openwhisk: Arc::new(hosts),
        ..context(&folder, &secrets)
    };
    action("openwhisk", config, &cx).unwrap()
}

/// The input for a command by an agent at this host.
fn input(fake: &Fake, command: Value) -> Value {
    json!({
        "command": command,
        "agent": { "id": "http-api--1", "type": "http-api", "name": "ow",
            "address": { "url": [fake.url()] }, "authentication": basic("http-basic", "uuid", "ow") },
        "out_args": ["__score__", "__openwhisk_status__"],
        "context": { "step_id": "action--1" }
    })
}

fn command(changes: Value) -> Value {
    let mut command = json!({ "type": "openwhisk", "command": "invoke /_/enrich/ip",
        "params": { "ip": "198.51.100.7", "depth": 3 },
        "poll": { "interval_ms": 10, "max_interval_ms": 10 } });
    for (name, value) in changes.as_object().unwrap() {
        command[name] = value.clone();
    }
    command
}

#[tokio::test]
async fn an_activation_becomes_a_result_and_variables() {
    let fake = Fake::start(|_| {
        let result = json!({ "score": 7, "leak": KEY });
        Reply::Json(200, activation("success", result), None)
    })
    .await;
    let done = invoke(
        &module(json!({})),
        "execute",
        input(&fake, command(json!({}))),
    )
    .await
    .unwrap();
    assert_eq!(done["activationId"], ID);
    assert_eq!(
        done["variables"],
        json!({ "__score__": 7, "__openwhisk_status__": "success" })
    );
    assert!(!done.to_string().contains(KEY), "{done}");
    let asked = &fake.asked()[0];
    assert_eq!(asked.body, json!({ "ip": "198.51.100.7", "depth": 3 }));
    assert_eq!(
        asked.header("authorization"),
        Some("Basic dXVpZDprM3ktazN5LWszeQ==")
    );
    assert!(asked.header("x-request-id").unwrap().contains("action--1"));
    assert!(
        asked.target.starts_with(
            "/api/v1/namespaces/_/actions/enrich/ip?blocking=true&result=false&timeout="
        )
    );
}

#[tokio::test]
async fn a_granted_secret_does_not_go_in_clear_where_the_agent_is_elsewhere() {
    let fake = Fake::start(|_| Reply::Json(200, activation("success", json!({})), None)).await;
    let mut input = input(&fake, command(json!({})));
    input["agent"]["address"] = json!({ "url": ["http://192.0.2.1"] });
    let refused = permanent(invoke(&module(json!({})), "execute", input).await);
    assert!(refused.contains("in clear"), "{refused}");
}

/// The same call again, as the process after this one makes it.
fn again(first: &Call, input: &Value) -> Call {
    let mut next = call("execute", input);
    next.key = first.key.clone();
    next.host = first.host.clone();
    next.attempt = 2;
    next
}

/// Dies while it waits for an activation: what is durable by then is all that is left.
async fn dies_while_polling(module: &Arc<dyn Action>, call: &Call, fake: &Fake) {
    let looks = || fake.asked().iter().any(|asked| asked.method == "GET");
    let watch = async {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
        while !looks() {
            assert!(tokio::time::Instant::now() < deadline, "it never asked");
            tokio::time::sleep(Duration::from_millis(5)).await; // poll
        }
    };
    tokio::select! {
        _ = module.invoke(call) => panic!("it must not end"),
        () = watch => {}
    }
}

#[tokio::test]
async fn a_process_that_dies_between_invoking_and_asking_never_invokes_again() {
    for (class, result) in [
        ("success", json!({ "score": 1 })),
        ("application error", json!({ "error": "no" })),
    ] {
        let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let is_over = over.clone();
        let fake = Fake::start(move |asked| match asked.method.as_str() {
            "POST" => accepted(),
            _ if is_over.load(std::sync::atomic::Ordering::Relaxed) => {
                Reply::Json(200, activation(class, result.clone()), None)
            }
            _ => not_found(),
        })
        .await;
        let module = module(json!({}));
        let input = input(&fake, command(json!({ "mode": "poll" })));
        let first = call("execute", &input);
        dies_while_polling(&module, &first, &fake).await;
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        let found = module.probe(&again(&first, &input)).await.unwrap();
        match (class, found) {
            ("success", Probed::Happened(output)) => {
                let output: Value = output.read().unwrap();
                assert_eq!(output["variables"]["__score__"], 1);
            }
            ("application error", Probed::Failed(Error::Permanent(message))) => {
                assert!(message.contains("application_error"), "{message}");
            }
            (_, other) => panic!("{other:?}"),
        }
        let invoked = fake
            .asked()
            .iter()
            .filter(|asked| asked.method == "POST")
            .count();
        assert_eq!(invoked, 1);
        // Nobody waits for it any more: another call under this key would be another deed.
        assert!(matches!(
            module.probe(&again(&first, &input)).await.unwrap(),
            Probed::Unknown(_)
        ));
    }
}

#[tokio::test]
async fn failures_say_what_may_be_done_next() {
    let module = module(json!({}));
    let run = async |reply: fn() -> Reply, changes: Value| {
        let fake = Fake::start(move |_| reply()).await;
        let result = invoke(&module, "execute", input(&fake, command(changes))).await;
        (result, fake.asked().len())
    };
    let (throttled, _) = run(|| error(429, "enough"), json!({})).await;
    assert!(
        matches!(throttled, Err(Error::Retry { .. })),
        "{throttled:?}"
    );
    let own = json!({ "retry": { "max_attempts": 2, "backoff_ms": 10 } });
    let (throttled, times) = run(|| error(429, "enough"), own).await;
    assert_eq!(
        (permanent(throttled).contains("throttled"), times),
        (true, 2)
    );
    let (lost, times) = run(|| Reply::Hangs, json!({})).await;
    assert_eq!((permanent(lost).contains("lost"), times), (true, 1));
    let failed: fn() -> Reply = || {
        Reply::Json(
            502,
            activation("application error", json!({ "error": KEY })),
            None,
        )
    };
    let (failed_, _) = run(failed, json!({})).await;
    let message = permanent(failed_);
    assert!(
        message.contains("application_error") && !message.contains(KEY),
        "{message}"
    );
    let (tolerated, _) = run(failed, json!({ "fail_on": ["developer"] })).await;
    assert_eq!(
        tolerated.unwrap()["variables"]["__openwhisk_status__"],
        "application_error"
    );
    let (flawed, times) = run(|| Reply::Hangs, json!({ "wait_ms": 0 })).await;
    assert_eq!((permanent(flawed).contains("/wait_ms"), times), (true, 0));
}

#[tokio::test]
async fn a_command_with_a_key_sends_it_in_both_places() {
    let fake = Fake::start(|_| Reply::Json(200, activation("success", json!({})), None)).await;
    let command = command(json!({ "idempotency": { "param": "once" } }));
    let call = call("execute_keyed", &input(&fake, command));
    module(json!({})).invoke(&call).await.unwrap();
    let asked = &fake.asked()[0];
    assert_eq!(asked.body["once"], call.key.to_string());
    assert_eq!(asked.header("idempotency-key"), Some(call.key.as_str()));
}

#[tokio::test]
async fn reactions_invoke_and_fire_at_a_configured_host() {
    let fake = Fake::start(|asked| match asked.line().as_str() {
        line if line.ends_with("/triggers/quiet") => Reply::Json(204, Value::Null, None),
        _ => Reply::Json(200, activation("success", json!({ "x": 1 })), None),
    })
    .await;
    let hosts = json!({ "prod": { "url": fake.url(), "auth": { "secret": "whole" } } });
    let hosts = OpenWhiskHosts::new(serde_json::from_value(hosts).unwrap(), false);
    let module = module_with(json!({}), hosts);
    let done = invoke(
        &module,
        "invoke",
        json!({ "action": "utils/echo", "params": { "a": 1 } }),
    )
    .await;
    assert_eq!(done.unwrap()["response"]["result"], json!({ "x": 1 }));
    assert_eq!(
        fake.asked()[0].header("authorization"),
        Some("Basic dXVpZDprM3ktazN5LWszeQ==")
    );
    let fire = |more: bool| json!({ "host": "prod", "trigger": "/_/quiet", "require_rule": more });
    let fired = invoke(&module, "fire", fire(false)).await.unwrap();
    assert_eq!(fired["status"], "no_active_rule");
    assert!(permanent(invoke(&module, "fire", fire(true)).await).contains("no_active_rule"));
    let nowhere = invoke(&module, "invoke", json!({ "host": "lab", "action": "a" })).await;
    assert!(permanent(nowhere).contains("there is no host `lab`"));
}

/// An embedded host that knows the keys that it is told to, and remembers what it is sent.
#[derive(Debug, Clone, Default)]
struct Within {
    known: Option<String>,
    asked: Arc<std::sync::Mutex<Vec<Request>>>,
}

#[async_trait]
impl Transport for Within {
    async fn send(&self, request: Request) -> Result<Response, Failure> {
        self.asked.lock().unwrap().push(request);
        Ok(Response {
            status: http::StatusCode::OK,
            headers: http::HeaderMap::new(),
            body: activation("success", json!({ "score": 7 }))
                .to_string()
                .into(),
        })
    }
}

#[async_trait]
impl Embedded for Within {
    async fn known(
        &self,
        _verb: Verb,
        _name: &FullyQualifiedName,
        key: &str,
    ) -> Result<Option<ActivationId>, String> {
        let found = self.known.as_deref() == Some(key);
        Ok(found.then(|| ActivationId::parse(ID).unwrap()))
    }
}

#[tokio::test]
async fn the_embedded_host_is_sent_the_key_of_every_call_and_no_credentials() {
    let within = Within::default();
    let hosts = OpenWhiskHosts::new(std::collections::BTreeMap::new(), true);
    hosts.open(Arc::new(within.clone()));
    let module = module_with(json!({}), hosts);
    let input = json!({ "command": command(json!({})), "agent": { "name": "local" },
        "out_args": ["__score__"], "context": { "step_id": "action--1" } });
    let first = call("execute", &input);
    let done: Value = module.invoke(&first).await.unwrap().read().unwrap();
    assert_eq!(done["variables"]["__score__"], 7);
    let asked = within.asked.lock().unwrap().remove(0);
    assert_eq!(asked.headers["idempotency-key"], first.key.as_str());
    assert!(!asked.headers.contains_key("authorization"));
}

#[tokio::test]
async fn a_call_of_the_embedded_host_that_was_cut_off_is_never_in_doubt() {
    let input = json!({ "command": command(json!({})), "agent": { "name": "local" },
        "context": { "step_id": "action--1" } });
    let first = call("execute", &input);
    for (known, action) in [
        (false, "execute"),
        (true, "execute"),
        (false, "fire"),
        (true, "fire"),
    ] {
        let within = Within {
            known: known.then(|| first.key.to_string()),
            ..Within::default()
        };
        let hosts = OpenWhiskHosts::new(std::collections::BTreeMap::new(), true);
        hosts.open(Arc::new(within.clone()));
        let module = module_with(json!({}), hosts);
        let firing = json!({ "trigger": "t" });
        let again = Call {
            key: first.key.clone(),
            ..call(action, if action == "fire" { &firing } else { &input })
        };
        let found = module.probe(&again).await.unwrap();
        let keys: Vec<String> = within
            .asked
            .lock()
            .unwrap()
            .iter()
            .map(|asked| {
                asked.headers["idempotency-key"]
                    .to_str()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        if known {
            assert!(matches!(found, Probed::Happened(_)), "{found:?}");
            assert_eq!(keys, [first.key.as_str()], "asked for under its key");
        } else {
            assert_eq!(found, Probed::NotHappened);
            assert!(keys.is_empty(), "a probe does nothing");
        }
    }
}

#[tokio::test]
async fn what_an_embedded_host_that_was_restored_does_not_know_may_have_happened() {
    let hosts = OpenWhiskHosts::new(std::collections::BTreeMap::new(), true);
    hosts.open(Arc::new(Within::default()));
    let module = module_with(json!({}), hosts);
    let call = Call {
        copied_at: Some(conche_core::Timestamp::UNIX_EPOCH),
        ..call("fire", &json!({ "trigger": "t" }))
    };
    let found = module.probe(&call).await.unwrap();
    assert!(matches!(found, Probed::Unknown(_)), "{found:?}");
}
