//! The kind that is carried out by a script sandbox, which is played here: what its answers
//! become, and when it stands in for Node.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use conche_openwhisk_host::runtimes::{
    Ran, Run, Runtimes as _, SCRIPT_KIND, ScriptCall, ScriptDone, ScriptEnd, Scripts,
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::rig::{
    Rig, binary, error, is_developer_error, lines, named, returned, rig_with, settings, text,
    until, with,
};

/// Ends every call as it was told, and keeps it.
struct Played {
    end: ScriptEnd,
    calls: Mutex<Vec<ScriptCall>>,
}

#[async_trait]
impl Scripts for Played {
    async fn call(&self, call: ScriptCall) -> ScriptDone {
        self.calls.lock().unwrap().push(call);
        ScriptDone {
            end: self.end.clone(),
            logs: vec![(false, "said".to_owned()), (true, "warned".to_owned())],
        }
    }

    fn at_once(&self) -> usize {
        1
    }
}

/// Takes one call at a time, each until it is let go; keeps the order in which they came.
struct Gate {
    open: Semaphore,
    order: Mutex<Vec<Value>>,
}

#[async_trait]
impl Scripts for Gate {
    async fn call(&self, call: ScriptCall) -> ScriptDone {
        self.order.lock().unwrap().push(call.value);
        self.open.acquire().await.unwrap().forget();
        ScriptDone {
            end: ScriptEnd::Returned(None),
            logs: Vec::new(),
        }
    }

    fn at_once(&self) -> usize {
        1
    }
}

async fn played(end: ScriptEnd) -> (Rig, Arc<Played>) {
    let calls = Mutex::default();
    let played = Arc::new(Played { end, calls });
    let mut settings = settings();
    settings.scripts = Some(Arc::clone(&played) as Arc<dyn Scripts>);
    (rig_with(SCRIPT_KIND, settings).await.unwrap(), played)
}

fn script() -> Run {
    let mut run = text(SCRIPT_KIND, "const main = () => ({})");
    run.value = json!({ "a": 1 });
    run.env.insert("INIT".to_owned(), "x".to_owned());
    run.code.main = Some("niam".to_owned());
    run.limits.timeout = Duration::from_millis(1500);
    run
}

async fn ended(end: ScriptEnd) -> Ran {
    played(end).await.0.run(script()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sandbox_is_told_what_to_run_and_within_which_limits() {
    let (rig, played) = played(ScriptEnd::Returned(Some(json!({ "b": 2 })))).await;
    let ran = rig.run(script()).await;
    assert_eq!(lines(&ran), ["stdout: said", "stderr: warned"]);
    assert_eq!((ran.carried_out_by.clone(), ran.init), (None, None));
    assert_eq!(returned(ran), json!({ "b": 2 }));
    let calls = played.calls.lock().unwrap();
    let call = &calls[0];
    assert_eq!(
        (call.main.as_str(), &call.value),
        ("niam", &json!({ "a": 1 }))
    );
    assert_eq!(&*call.source, "const main = () => ({})");
    assert_eq!(call.env["INIT"], "x");
    assert_eq!(call.env["__OW_NAMESPACE"], "guest");
    assert_eq!(
        (call.timeout.as_millis(), call.memory, call.answer),
        (1500, 256 << 20, 1 << 20)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_end_of_a_script_has_its_class_and_text() {
    assert_eq!(returned(ended(ScriptEnd::Returned(None)).await), json!({}));
    assert_eq!(
        returned(ended(ScriptEnd::Returned(Some(json!([1])))).await),
        json!([1])
    );
    let rejected = ended(ScriptEnd::Rejected(json!("no"))).await;
    assert_eq!(error(&rejected), ("application error", &json!("no")));
    for (known, length, start) in [
        (Some((2_000_000, "{\"a".to_owned())), 2_000_000, "{\"a"),
        (None, (1 << 20) + 1, ""),
    ] {
        let long = ended(ScriptEnd::TooLong(known)).await;
        let text = format!(
            "The action produced a response that exceeded the allowed length: {length} > \
             1048576 bytes. The truncated response was: {start}"
        );
        assert_eq!(error(&long), ("application error", &json!(text)));
    }
    let rows = [
        (
            ScriptEnd::Returned(Some(Value::from("x"))),
            "The action did not return a dictionary.",
        ),
        (
            ScriptEnd::Threw("Error: T".to_owned()),
            "An error has occurred: Error: T",
        ),
        (
            ScriptEnd::Unusable("SyntaxError: x".to_owned()),
            "Initialization has failed due to: SyntaxError: x",
        ),
        (
            ScriptEnd::OutOfTime,
            "The action exceeded its time limits of 1500 milliseconds.",
        ),
        (
            ScriptEnd::OutOfMemory,
            "The action exhausted its memory and was aborted.",
        ),
    ];
    for (end, text) in rows {
        let timed_out = end == ScriptEnd::OutOfTime;
        let ran = ended(end).await;
        is_developer_error(&ran, text);
        assert_eq!(ran.timed_out, timed_out);
    }
    let busy = ended(ScriptEnd::Unavailable("busy".to_owned())).await;
    assert_eq!(error(&busy).0, "whisk internal error");
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_stand_in_for_node_where_there_is_none_and_that_is_told() {
    let (rig, _) = played(ScriptEnd::Returned(None)).await;
    for kind in ["nodejs:default", "nodejs:20"] {
        let ran = rig.run(text(kind, "const main = () => ({})")).await;
        assert_eq!(ran.carried_out_by.as_deref(), Some(SCRIPT_KIND));
        assert_eq!(returned(ran), json!({}));
    }
    let archive = rig.run(binary("nodejs:20", b"PK")).await;
    is_developer_error(&archive, "The kind `quickjs:1` takes code as text only.");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_scripts_take_turns_by_action_and_waiting_is_no_running() {
    let gate = Arc::new(Gate {
        open: Semaphore::new(0),
        order: Mutex::default(),
    });
    let mut settings = settings();
    settings.scripts = Some(Arc::clone(&gate) as Arc<dyn Scripts>);
    let rig = Arc::new(rig_with(SCRIPT_KIND, settings).await.unwrap());
    let mut calls = JoinSet::new();
    for (action, value) in [("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1")] {
        let run = named(action, with(json!(value), script()));
        let (before, own) = (calls.len(), Arc::clone(&rig));
        calls.spawn(async move { (before, own.run(run).await) });
        until("the call waits", || {
            !gate.order.lock().unwrap().is_empty() && rig.load().waiting == before
        })
        .await;
    }
    let held = Duration::from_millis(30);
    let all_wait = Instant::now();
    until("they have waited", || all_wait.elapsed() >= held).await;
    gate.open.add_permits(4);
    let mut waits = vec![Duration::ZERO; 4];
    while let Some(ended) = calls.join_next().await {
        let (number, ran) = ended.unwrap();
        waits[number] = ran.wait;
        assert_eq!(returned(ran), json!({}));
    }
    assert_eq!(*gate.order.lock().unwrap(), ["a1", "b1", "a2", "a3"]);
    assert!(waits[1..].iter().all(|wait| *wait >= held), "{waits:?}");
}
