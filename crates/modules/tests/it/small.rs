//! The modules without a peer: `dummy`, `emit`, `log`, `onetime`, `respond`,
//! `run_reaction`.

use std::sync::Arc;

use conche_modules::{Error, Source};
use conche_runtime::supervisor::Stop;
use serde_json::json;

use crate::running::Log;
use crate::support::{FakeHost, FakeIntake, action, call, context, invoke, source};

#[tokio::test]
async fn the_dummy_action_takes_and_returns_what_csfs_does() {
    let folder = tempfile::tempdir().unwrap();
    let module = action(
        "dummy",
        serde_json::Value::Null,
        &context(folder.path(), &[]),
    )
    .unwrap();
    for input in [
        json!({ "dummy_string": "hello" }),
        json!({}),
        json!({ "other": 1 }),
    ] {
        let output = invoke(&module, "dummy_action", input).await.unwrap();
        assert_eq!(output, json!({ "dummykey": "dummyvalue" }));
    }
    let unknown = invoke(&module, "nothing", json!({})).await;
    assert_eq!(
        unknown,
        Err(Error::permanent("module `dummy` has no action `nothing`"))
    );
}

#[tokio::test]
async fn the_dummy_source_makes_csfs_events_of_texts_only() {
    let folder = tempfile::tempdir().unwrap();
    let config = json!({ "id": "s", "module": "dummy", "interval": "1ms", "count": 40 });
    let dummy = source("dummy", config, &context(folder.path(), &[])).unwrap();
    let intake = FakeIntake::new();
    dummy.run(intake.clone(), Stop::new()).await.unwrap();
    let stored = intake.stored();
    assert_eq!(stored.events.len(), 40);
    for (_, event) in &stored.events {
        let data: serde_json::Map<String, serde_json::Value> = event.data.read().unwrap();
        let mut names: Vec<_> = data.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            ["dummy_date", "dummy_host", "dummy_id", "dummy_string"]
        );
        assert!(data.values().all(serde_json::Value::is_string), "{data:?}");
    }
    for name in ["dummy_event", "dummy_event_2"] {
        assert!(
            stored
                .events
                .iter()
                .any(|(_, event)| event.event_type == name),
            "{name}"
        );
    }
}

#[tokio::test]
async fn onetime_fires_once_in_a_start_however_often_it_is_run() {
    let folder = tempfile::tempdir().unwrap();
    let cx = context(folder.path(), &[]);
    let intake = FakeIntake::new();
    let first: Arc<dyn Source> = source("onetime", serde_json::Value::Null, &cx).unwrap();
    first.run(intake.clone(), Stop::new()).await.unwrap();
    first.run(intake.clone(), Stop::new()).await.unwrap();
    assert_eq!(intake.stored().events.len(), 1);
    let second = source("onetime", json!({ "event_type": "server.started" }), &cx).unwrap();
    second.run(intake.clone(), Stop::new()).await.unwrap();
    let stored = intake.stored();
    let types: Vec<_> = stored
        .events
        .iter()
        .map(|(_, event)| event.event_type.as_str())
        .collect();
    assert_eq!(types, ["onetime", "server.started"]);
    let data: serde_json::Value = stored.events[0].1.data.read().unwrap();
    let timestamp = data["timestamp"].as_str().unwrap();
    assert!(timestamp.contains(" +0000 UTC m=+0."), "{timestamp}");
}

#[tokio::test]
async fn emitting_again_with_the_same_key_gives_the_same_event() {
    let folder = tempfile::tempdir().unwrap();
    let module = action(
        "emit",
        serde_json::Value::Null,
        &context(folder.path(), &[]),
    )
    .unwrap();
    let mut one = call(
        "emit",
        &json!({ "type": "a.b", "subject": "s", "data": { "n": 1.0 } }),
    );
    let host = Arc::new(FakeHost::default());
    one.host = host.clone();
    let first = module.invoke(&one).await.unwrap();
    one.attempt = 2;
    assert_eq!(module.invoke(&one).await.unwrap(), first);
    let emitted = host.emitted.lock().unwrap();
    let (id, event) = &emitted[one.key.as_str()];
    assert_eq!(first.as_str(), format!(r#"{{"event_id":"{id}"}}"#));
    assert_eq!(
        (event.event_type.as_str(), event.subject.as_deref()),
        ("a.b", Some("s"))
    );
    assert_eq!(event.data.as_str(), r#"{"n":1.0}"#);
}

#[tokio::test]
async fn a_reaction_is_started_by_its_name_once_for_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let cx = context(folder.path(), &[]);
    let module = action("run_reaction", serde_json::Value::Null, &cx).unwrap();
    let one = call(
        "run",
        &json!({ "reaction": "contain", "data": { "host": "a" } }),
    );
    let mut told = Vec::new();
    for _ in 0..2 {
        told.push(
            module
                .invoke(&one)
                .await
                .unwrap()
                .read::<serde_json::Value>()
                .unwrap(),
        );
    }
    assert_eq!(told[0], told[1]);
    assert!(told[0]["event_id"].is_string() && told[0]["run_id"].is_string());
    let nobody = invoke(&module, "run", json!({ "reaction": "nobody" })).await;
    assert!(matches!(nobody, Err(Error::Permanent(message)) if message.contains("no reaction")));
    for wrong in [json!({}), json!({ "reaction": "x", "wait": true })] {
        assert!(matches!(
            invoke(&module, "run", wrong).await,
            Err(Error::Permanent(_))
        ));
    }
}

#[tokio::test]
async fn an_event_of_ours_or_without_a_type_is_not_emitted() {
    let folder = tempfile::tempdir().unwrap();
    let module = action(
        "emit",
        serde_json::Value::Null,
        &context(folder.path(), &[]),
    )
    .unwrap();
    let table = [
        json!({ "type": "conche.run.failed" }),
        json!({ "type": "" }),
        json!({ "type": "a\nb" }),
        json!({ "data": 1 }),
        json!({ "type": "a", "subject": "" }),
        json!({ "type": "a", "dta": 1 }),
    ];
    for input in table {
        let refused = invoke(&module, "emit", input.clone()).await;
        assert!(matches!(refused, Err(Error::Permanent(_))), "{input}");
    }
}

#[tokio::test]
async fn an_answer_reaches_who_waits_and_is_no_error_when_nobody_does() {
    let folder = tempfile::tempdir().unwrap();
    let module = action(
        "respond",
        serde_json::Value::Null,
        &context(folder.path(), &[]),
    )
    .unwrap();
    for nobody_waits in [false, true] {
        let host = Arc::new(FakeHost {
            nobody_waits,
            ..FakeHost::default()
        });
        let mut one = call(
            "respond",
            &json!({ "status": 201, "headers": { "X-A": "b" }, "body": { "n": 1.0 } }),
        );
        one.host = host.clone();
        let output = module.invoke(&one).await.unwrap();
        assert_eq!(
            output.as_str(),
            format!(r#"{{"delivered":{}}}"#, !nobody_waits)
        );
        let answers = host.answers.lock().unwrap();
        assert_eq!(
            (answers[0].status, answers[0].body.as_str()),
            (201, r#"{"n":1.0}"#)
        );
        assert_eq!(answers[0].headers, [("X-A".to_owned(), "b".to_owned())]);
    }
}

#[tokio::test]
async fn an_answer_that_could_harm_the_connection_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let module = action(
        "respond",
        serde_json::Value::Null,
        &context(folder.path(), &[]),
    )
    .unwrap();
    let table = [
        json!({ "status": 100 }),
        json!({ "status": 600 }),
        json!({ "headers": { "Content-Length": "5" } }),
        json!({ "headers": { "transfer-encoding": "chunked" } }),
        json!({ "headers": { "Set-Cookie": "a=b" } }),
        json!({ "headers": { "X-A": "b\r\nX-C: d" } }),
        json!({ "headers": { "a b": "c" } }),
        json!({ "bdy": 1 }),
    ];
    for input in table {
        let refused = invoke(&module, "respond", input.clone()).await;
        assert!(matches!(refused, Err(Error::Permanent(_))), "{input}");
    }
}

#[tokio::test]
async fn a_log_line_is_one_line_names_its_run_and_shows_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let cx = context(folder.path(), &[("token", "hunter22")]);
    cx.secrets.get("token").unwrap();
    let module = action("log", serde_json::Value::Null, &cx).unwrap();
    let one = call(
        "write",
        &json!({
            "message": "found hunter22\nERROR forged line", "level": "warn", "fields": { "k": ["hunter22"] },
        }),
    );
    let log = Log::new();
    let output = module.invoke(&one).await.unwrap();
    assert_eq!(output.as_str(), "{}");
    let text = log.text();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(
        text.contains(" WARN ") && text.contains(&one.run.to_string()),
        "{text}"
    );
    assert!(
        !text.contains("hunter22") && text.contains("***token***"),
        "{text}"
    );
    for input in [
        json!({}),
        json!({ "message": "m", "level": "loud" }),
        json!({ "message": 1 }),
    ] {
        assert!(invoke(&module, "write", input).await.is_err());
    }
}
