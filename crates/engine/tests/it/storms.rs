//! Storm control of reactions: how often they run, with which events, and who is told.

use std::sync::Arc;
use std::time::Duration;

use conche_core::run::Status;
use conche_core::storm::Control;
use conche_core::{EventId, RunId, Timestamp};
use conche_engine::Config;
use conche_modules::{Intake as _, NewEvent};
use conche_store::memory::MemoryStore;
use conche_store::{Fate, Note};
use conche_testkit::{Rig, SimClock, TestActions, until};
use prometheus::Encoder as _;
use serde_json::{Value, json};

async fn send(rig: &Rig, id: &str, data: Value) -> EventId {
    let receipt = rig.send("t", Some(id), data).await.unwrap();
    assert!(!receipt.duplicate);
    receipt.event
}

async fn notes(rig: &Rig, event: EventId) -> Vec<Note> {
    rig.store.event(event).await.unwrap().notes
}

/// Waits until the run has ended well.
async fn succeeded(rig: &Rig, run: RunId) {
    until("the run to succeed", || async {
        let row = rig.store.run(run).await.ok()?;
        (row.summary.status == Status::Succeeded).then_some(())
    })
    .await;
}

fn metrics(rig: &Rig) -> String {
    let mut text = Vec::new();
    let families = rig.engine.metrics().registry().gather();
    prometheus::TextEncoder::new()
        .encode(&families, &mut text)
        .unwrap();
    String::from_utf8(text).unwrap()
}

fn after(rig: &Rig, span: Duration) -> Timestamp {
    rig.engine.clock().now() + span
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_repeat_is_suppressed_and_says_by_what_and_until_when() {
    let rig = Rig::new().await;
    rig.react("name: r\nevent: t\nscript: stop\ndedup: {key: event.data.ip, window: 10m}\n")
        .await;
    rig.react("name: other\nevent: t\nscript: stop\n").await;
    let until = after(&rig, SECOND * 600);
    let first = send(&rig, "1", json!({"ip": "1.2.3.4"})).await;
    assert_eq!(rig.runs(first).await.len(), 2);
    rig.clock.advance(SECOND * 9);
    let repeat = send(&rig, "2", json!({"ip": "1.2.3.4"})).await;
    let runs = rig.runs(repeat).await;
    assert_eq!(runs.len(), 1, "the other reaction ran");
    assert_eq!(runs[0].name, "other");
    let (reaction, by) = ("r".to_owned(), Control::Dedup);
    let fate = Fate::Suppressed { by, until };
    assert_eq!(notes(&rig, repeat).await, [Note { reaction, fate }]);
    let elsewhere = send(&rig, "3", json!({"ip": "4.3.2.1"})).await;
    assert_eq!(rig.runs(elsewhere).await.len(), 2);
    let counted = "conche_suppressed_total{by=\"dedup\",reaction=\"r\"} 1";
    assert!(metrics(&rig).contains(counted), "{}", metrics(&rig));
    // Whoever asks for an answer is not kept waiting for a run that never comes.
    let question = NewEvent {
        id: None,
        event_type: "t".to_owned(),
        subject: None,
        time: None,
        data: conche_core::Json::from(&json!({"ip": "1.2.3.4"})),
    };
    rig.engine.delete_reaction("other").await.unwrap();
    let asked = rig.engine.ask("tests", question, SECOND * 3600).await;
    assert_eq!(asked.unwrap().answer, None);
}

#[tokio::test]
async fn a_debounced_reaction_runs_once_with_the_last_event() {
    let rig = Rig::new().await;
    rig.react(
        "name: r\nevent: t\nscript: next one\nactions: {one: {module: test, action: keyed}}\ndebounce: {wait: 30s, max_wait: 5m}\n",
    )
    .await;
    let mut last = send(&rig, "0", json!({"n": 0})).await;
    let Fate::Waits { with, .. } = notes(&rig, last).await[0].fate else {
        panic!("it waits")
    };
    for n in 1..5 {
        rig.clock.advance(SECOND * 20);
        last = send(&rig, &n.to_string(), json!({"n": n})).await;
    }
    assert!(rig.actions.seen().is_empty());
    rig.clock.advance(SECOND * 31);
    rig.engine.look_now();
    succeeded(&rig, with).await;
    let seen = rig.actions.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(
        seen[0].input.read::<Value>().unwrap()["event"],
        json!({"n": 4})
    );
    assert_eq!(rig.store.run(with).await.unwrap().event, Some(last));
}

const GROUP: &str = "
name: r
event: t
script: next one
actions: {one: {module: test, action: keyed}}
group: {key: event.data.host, window: 1m, max: 3}
";

#[tokio::test]
async fn a_group_survives_the_process_and_its_script_sees_all_events() {
    let rig = Rig::new().await;
    rig.react(GROUP).await;
    let first = send(&rig, "1", json!({"host": "a", "n": 1})).await;
    let Fate::Waits { with, .. } = notes(&rig, first).await[0].fate else {
        panic!("it waits")
    };
    let (store, clock, actions) = rig.kill().await;
    clock.advance(SECOND * 30);
    let rig = Rig::over(store, clock, actions, Config::default()).await;
    let again = rig.send("t", Some("1"), json!({"host": "a", "n": 1})).await;
    assert!(again.unwrap().duplicate);
    let second = send(&rig, "2", json!({"host": "a", "n": 2})).await;
    assert!(rig.runs(second).await.is_empty());
    rig.clock.advance(SECOND * 30);
    rig.engine.look_now();
    succeeded(&rig, with).await;
    let input: Value = rig.actions.seen()[0].input.read().unwrap();
    let events = input["event"]["events"].as_array().unwrap();
    let ids: Vec<&Value> = events.iter().map(|event| &event["id"]).collect();
    assert_eq!(ids, ["1", "2"]);
    assert_eq!(events[1]["data"], json!({"host": "a", "n": 2}));
    assert_eq!(events[0]["type"], "t");
}

#[tokio::test]
async fn a_full_group_runs_without_waiting() {
    let rig = Rig::new().await;
    rig.react(GROUP).await;
    let mut event = send(&rig, "0", json!({"host": "a"})).await;
    for n in 1..3 {
        event = send(&rig, &n.to_string(), json!({"host": "a"})).await;
    }
    let run = rig.run_with(event, Status::Succeeded).await.run;
    let input: Value = rig.actions.seen()[0].input.read().unwrap();
    assert_eq!(input["event"]["events"].as_array().unwrap().len(), 3);
    // An operator's retry finds all of them again.
    rig.engine.retry(run, Some(0), "me").await.unwrap();
    rig.actions.called(2).await;
}

#[tokio::test]
async fn an_event_without_the_key_runs_without_control() {
    let rig = Rig::new().await;
    rig.react(
        "name: r\nevent: t\nscript: stop\nthrottle: {key: event.data.ip, limit: 1, per: 1h}\n",
    )
    .await;
    for id in ["1", "2", "3"] {
        let event = send(&rig, id, json!({})).await;
        assert_eq!(rig.runs(event).await.len(), 1);
    }
    assert!(metrics(&rig).contains("conche_filter_faults_total 3"));
}

#[tokio::test]
async fn a_reaction_with_too_many_keys_runs_and_is_loud() {
    let config = Config {
        storm_keys: 2,
        ..Config::default()
    };
    let store = Arc::new(MemoryStore::new());
    let rig = Rig::over(store, SimClock::default(), TestActions::default(), config).await;
    rig.react("name: r\nevent: t\nscript: stop\ndedup: {key: event.data.ip, window: 10m}\n")
        .await;
    for ip in ["1", "2", "3", "3"] {
        let event = rig.send("t", None, json!({"ip": ip})).await.unwrap().event;
        assert_eq!(rig.runs(event).await.len(), 1);
    }
    let counted = "conche_uncontrolled_total{by=\"dedup\",reaction=\"r\"} 2";
    assert!(metrics(&rig).contains(counted), "{}", metrics(&rig));
}

#[tokio::test]
async fn failures_of_runs_are_under_control_as_events_from_outside_are() {
    let rig = Rig::new().await;
    rig.react("name: r\nevent: t\nscript: fail on purpose\n")
        .await;
    rig.react(
        "name: page\nevent: conche.run.failed\nscript: next one\nactions: {one: {module: test, action: keyed}}\nthrottle: {limit: 2, per: 1h}\n",
    )
    .await;
    for id in 0..5 {
        let event = send(&rig, &id.to_string(), json!({})).await;
        rig.run_with(event, Status::Failed).await;
    }
    rig.actions.called(2).await;
    let counted = "conche_suppressed_total{by=\"throttle\",reaction=\"page\"} 3";
    assert!(metrics(&rig).contains(counted), "{}", metrics(&rig));
}

#[tokio::test]
async fn a_key_that_is_no_expression_is_refused_with_its_name() {
    let rig = Rig::new().await;
    let reaction = conche_testkit::rig::reaction(
        "name: r\nevent: t\nscript: stop\ngroup: {key: 'event.', window: 1m}\n",
    );
    let error = rig.engine.put_reaction(reaction).await.unwrap_err();
    assert!(error.to_string().starts_with("'group.key': "), "{error}");
}
