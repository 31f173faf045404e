//! Named lists: filters ask them, entries end to the moment, and a restart forgets none.

use std::time::Duration;

use conche_core::Json;
use conche_core::run::{Entry, Status, Verdict};
use conche_engine::{Config, ListError};
use conche_testkit::Rig;
use serde_json::json;

const SECOND: Duration = Duration::from_secs(1);

fn value(json: &serde_json::Value) -> Json {
    Json::from(json)
}

/// Whether an event with this address triggers the reaction.
async fn triggers(rig: &Rig, ip: &str) -> bool {
    let receipt = rig.send("t", None, json!({"ip": ip})).await.unwrap();
    !rig.runs(receipt.event).await.is_empty()
}

#[tokio::test]
async fn a_filter_asks_a_list_and_an_entry_counts_until_its_end() {
    let rig = Rig::new().await;
    rig.react("name: r\nevent: t\nscript: stop\nwhen: listed('blocked', event.data.ip)\n")
        .await;
    assert!(!triggers(&rig, "1.2.3.4").await);
    let put = rig
        .engine
        .put_entry("blocked", "1.2.3.4", value(&json!(true)), Some(SECOND * 60));
    put.await.unwrap();
    assert!(triggers(&rig, "1.2.3.4").await);
    assert!(!triggers(&rig, "4.3.2.1").await);
    rig.clock.advance(Duration::from_millis(59_999));
    assert!(triggers(&rig, "1.2.3.4").await);
    let (store, clock, actions) = rig.kill().await;
    let rig = Rig::over(store, clock, actions, Config::default()).await;
    assert!(triggers(&rig, "1.2.3.4").await, "it is kept");
    assert_eq!(rig.engine.lists(), [("blocked".to_owned(), 1)].into());
    rig.clock.advance(Duration::from_millis(1));
    assert!(!triggers(&rig, "1.2.3.4").await);
    assert!(rig.engine.list_entries("blocked", None, 10).is_empty());
    assert!(rig.engine.lists().is_empty());
}

#[tokio::test]
async fn a_filter_reads_the_value_of_an_entry() {
    let rig = Rig::new().await;
    rig.react(
        "name: r\nevent: t\nscript: stop\nwhen: listed('watched', event.data.ip) && list_value('watched', event.data.ip).level > 2\n",
    )
    .await;
    for (ip, level) in [("1", 1), ("3", 3)] {
        let entry = value(&json!({"level": level}));
        let put = rig.engine.put_entry("watched", ip, entry, None).await;
        put.unwrap();
    }
    let mut triggered = Vec::new();
    for ip in ["1", "2", "3"] {
        triggered.push(triggers(&rig, ip).await);
    }
    assert_eq!(triggered, [false, false, true]);
    assert_eq!(rig.engine.remove_entry("watched", "3").await, Ok(true));
    assert_eq!(rig.engine.remove_entry("watched", "3").await, Ok(false));
    assert!(!triggers(&rig, "3").await);
}

#[tokio::test]
async fn names_keys_and_values_have_a_size() {
    let rig = Rig::new().await;
    let long = "x".repeat(2000);
    let large = value(&json!(long));
    for (list, key, entry) in [
        ("", "k", Json::null()),
        ("a b", "k", Json::null()),
        ("..", "k", Json::null()),
        (&long, "k", Json::null()),
        ("l", "", Json::null()),
        ("l", &long, Json::null()),
        ("l", "k", large),
    ] {
        let put = rig.engine.put_entry(list, key, entry, None).await;
        assert!(matches!(put, Err(ListError::Invalid(_))), "{put:?}");
    }
    assert!(rig.engine.lists().is_empty());
}

/// What a script of a reaction that says `lists:` is given.
async fn seen(rig: &Rig) -> serde_json::Value {
    let event = rig.accepted("t").await;
    let run = rig.run_with(event, Status::Succeeded).await.run;
    let records = rig.store.whole_journal(run).await.unwrap();
    let verdict = records.iter().find_map(|record| match &record.entry {
        Entry::Evaluated {
            verdict: Verdict::Next { data, .. },
            ..
        } => Some(data.read::<serde_json::Value>().unwrap()),
        _ => None,
    });
    verdict.unwrap()["lists"].clone()
}

#[tokio::test]
async fn a_script_is_given_the_entries_that_count_when_it_is_called() {
    let rig = Rig::new().await;
    rig.react(
        "name: r\nevent: t\nlists: [blocked, none]\nscript: lists a\nactions: { a: { module: test, action: idempotent } }\n",
    )
    .await;
    for (list, ttl) in [("blocked", Some(SECOND * 60)), ("other", None)] {
        let put = rig
            .engine
            .put_entry(list, "a\"b", value(&json!({"n": 1})), ttl);
        put.await.unwrap();
    }
    let blocked = json!({"blocked": {"a\"b": {"n": 1}}, "none": {}});
    assert_eq!(seen(&rig).await, blocked);
    rig.clock.advance(Duration::from_millis(59_999));
    assert_eq!(seen(&rig).await, blocked);
    rig.clock.advance(Duration::from_millis(1));
    assert_eq!(seen(&rig).await, json!({"blocked": {}, "none": {}}));
    rig.react(
        "name: r\nevent: t\nscript: lists a\nactions: { a: { module: test, action: idempotent } }\n",
    )
    .await;
    assert_eq!(seen(&rig).await, json!(null), "it names no list any more");
}

#[tokio::test]
async fn a_script_is_not_given_more_than_it_can_take() {
    let rig = Rig::new().await;
    rig.react("name: r\nevent: t\nlists: [l]\nscript: stop\n")
        .await;
    let large = value(&json!("x".repeat(1000)));
    for key in 0..262 {
        let (key, large) = (format!("{key:04}"), large.clone());
        rig.engine.put_entry("l", &key, large, None).await.unwrap();
    }
    let event = rig.accepted("t").await;
    let run = rig.run_with(event, Status::Failed).await;
    let records = rig.store.whole_journal(run.run).await.unwrap();
    let reason = records.iter().find_map(|record| match &record.entry {
        Entry::Finished { reason, .. } => reason.clone(),
        _ => None,
    });
    let reason = reason.unwrap();
    assert!(
        reason.contains("have 263572 bytes together, and a script is given at most 262144"),
        "{reason}"
    );
    assert_eq!(rig.engine.remove_entry("l", "0000").await, Ok(true));
    assert_eq!(rig.engine.remove_entry("l", "0001").await, Ok(true));
    let event = rig.accepted("t").await;
    rig.run_with(event, Status::Succeeded).await;
}
