//! Cancel and retry.

use conche_core::run::Status;
use conche_testkit::{Behaviour, Rig};

const HANGS: &str = "name: r\nevent: t\nscript: next one {}\nactions:\n  one: {module: test, action: unsafe, script: next two}\n  two: {module: test, action: idempotent}\n";

#[tokio::test]
async fn cancel_stops_what_is_under_way_and_records_the_doubt() {
    let rig = Rig::new().await;
    rig.react(HANGS).await;
    rig.actions.plan("unsafe", [Behaviour::Hang]);
    let event = rig.accepted("t").await;
    rig.actions.called(1).await;
    let run = rig.runs(event).await.remove(0).run;
    rig.engine
        .cancel(run, "ann", Some("false alarm".to_owned()))
        .await
        .unwrap();
    let row = rig.run_with(event, Status::Cancelled).await;
    assert_eq!(
        row.summary.reason.as_deref(),
        Some("cancelled by ann: false alarm")
    );
    let journal = rig.journal(run).await;
    assert_eq!(
        journal[journal.len() - 3..],
        ["cancel_requested", "interrupted", "finished"]
    );
    let error = rig.engine.cancel(run, "ann", None).await.unwrap_err();
    assert!(error.to_string().contains("the run is over"), "{error}");
    assert_eq!(rig.actions.seen().len(), 1, "nothing new was started");
}

#[tokio::test]
async fn cancel_reaches_a_run_that_waits_in_the_store() {
    let rig = Rig::new().await;
    rig.react(HANGS).await;
    rig.actions.plan("unsafe", [Behaviour::Retry("busy")]);
    let event = rig.accepted("t").await;
    rig.actions.called(1).await;
    let run = rig.runs(event).await.remove(0).run;
    conche_testkit::until("the run to be parked", || async {
        rig.store.run(run).await.ok().filter(|row| !row.held)
    })
    .await;
    rig.engine.cancel(run, "ann", None).await.unwrap();
    rig.run_with(event, Status::Cancelled).await;
}

#[tokio::test]
async fn retry_goes_on_from_the_failed_step_with_a_new_key() {
    let rig = Rig::new().await;
    rig.react("name: r\nevent: t\nscript: next one {}\nactions:\n  one: {module: test, action: keyed, script: next two}\n  two: {module: test, action: unsafe}\n").await;
    rig.actions
        .plan("unsafe", [Behaviour::Refuse("closed for the night")]);
    let event = rig.accepted("t").await;
    let run = rig.run_with(event, Status::Failed).await.run;
    rig.engine.retry(run, None, "ann").await.unwrap();
    rig.run_with(event, Status::Succeeded).await;
    let seen = rig.actions.seen();
    let steps: Vec<&str> = seen.iter().map(|call| call.step.as_str()).collect();
    assert_eq!(
        steps,
        ["one", "two", "two"],
        "what was done is not done again"
    );
    assert_ne!(
        seen[1].key, seen[2].key,
        "what a person wants done again is a new effect"
    );
    assert_eq!(
        rig.journal(run)
            .await
            .iter()
            .filter(|name| **name == "reopened")
            .count(),
        1
    );
}

#[tokio::test]
async fn signals_that_make_no_sense_are_refused_with_the_reason() {
    let rig = Rig::new().await;
    rig.react("name: r\nevent: t\nscript: stop\n").await;
    let event = rig.accepted("t").await;
    let run = rig.run_with(event, Status::Succeeded).await.run;
    let none = rig.engine.retry(run, None, "ann").await.unwrap_err();
    assert!(none.to_string().contains("no step failed"), "{none}");
    let wrong = rig.engine.retry(run, Some(99), "ann").await.unwrap_err();
    assert!(wrong.to_string().contains("no visit 99"), "{wrong}");
    let missing = conche_core::RunId::new(uuid::Uuid::now_v7());
    assert!(
        rig.engine
            .cancel(missing, "ann", None)
            .await
            .unwrap_err()
            .to_string()
            .contains("there is no run")
    );
}

#[tokio::test]
async fn a_run_whose_event_is_gone_is_not_retried_on_nothing() {
    let rig = Rig::new().await;
    rig.react("name: r\nevent: t\nscript: fail no\n").await;
    let event = rig.accepted("t").await;
    let run = rig.run_with(event, Status::Failed).await.run;
    let retention = conche_store::Retention {
        events_before: conche_core::Timestamp::MAX,
        runs_before: conche_core::Timestamp::MIN,
        dedup_before: conche_core::Timestamp::MIN,
        limit: 100,
    };
    let expired = rig.store.expire(retention).await.unwrap();
    assert_eq!(expired.events, 2, "it and the one about the failure");
    let refused = rig.engine.retry(run, None, "ann").await.unwrap_err();
    assert!(
        refused.to_string().contains("not kept any more"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_run_that_is_put_aside_says_so_by_an_event() {
    let rig = Rig::new().await;
    rig.react("name: pager\nevent: conche.run.needs_attention\nscript: next page\nactions: {page: {module: test, action: keyed}}\n").await;
    // Its definition is not in the store.
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    let lost = conche_store::contract::given::acceptance("tests", "1", now);
    let run = lost.runs[0].run;
    rig.store
        .accept(conche_store::contract::given::intake(vec![lost], now))
        .await
        .unwrap();
    rig.engine.look_now();
    rig.actions.called(1).await;
    let paged: serde_json::Value = rig.actions.seen().remove(0).input.read().unwrap();
    assert_eq!(paged["event"]["run_id"], serde_json::json!(run));
    assert_eq!(
        rig.store.run(run).await.unwrap().summary.status,
        Status::NeedsAttention
    );
}
