//! Cancel and retry.

use conche_core::run::{Resolution, Status};
use conche_engine::SignalError;
use conche_testkit::{Behaviour, Rig, until};

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
    until("the run to be parked", || async {
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
        ended_before: conche_core::Timestamp::MIN,
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
async fn of_many_who_retry_a_run_at_once_one_does() {
    let rig = Rig::new().await;
    rig.react(HANGS).await;
    rig.actions
        .plan("unsafe", [Behaviour::Refuse("closed for the night")]);
    let event = rig.accepted("t").await;
    let run = rig.run_with(event, Status::Failed).await.run;
    let retries = (0..20).map(|_| rig.engine.retry(run, Some(1), "ann"));
    let answers = futures_util::future::join_all(retries).await;
    let (taken, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((taken.len(), refused.len()), (1, 19));
    for refusal in refused {
        let refusal = refusal.unwrap_err();
        assert!(matches!(refusal, SignalError::NotNow(_)), "{refusal}");
    }
    rig.run_with(event, Status::Succeeded).await;
    let seen = rig.actions.seen();
    let steps: Vec<&str> = seen.iter().map(|call| call.step.as_str()).collect();
    assert_eq!(steps, ["one", "one", "two"], "one repeated effect");
}

#[tokio::test]
async fn of_many_who_resume_a_run_at_once_one_does() {
    let rig = Rig::new().await;
    rig.react(HANGS).await;
    rig.actions
        .plan("unsafe", [Behaviour::LoseAnswer, Behaviour::LoseAnswer]);
    let event = rig.accepted("t").await;
    let run = rig.run_with(event, Status::NeedsAttention).await.run;
    until("the run to be parked", || async {
        rig.store.run(run).await.ok().filter(|row| !row.held)
    })
    .await;
    let resumes = (0..20).map(|_| rig.engine.resume(run, None, Resolution::Repeat, "ann"));
    let answers = futures_util::future::join_all(resumes).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    rig.actions.called(2).await;
    rig.run_with(event, Status::NeedsAttention).await;
    assert_eq!(rig.actions.seen().len(), 2, "one repeated effect");
}

/// A run whose definition is not in the store, put aside by the engine.
async fn put_aside(rig: &Rig) -> conche_core::RunId {
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    let lost = conche_store::contract::given::acceptance("tests", "1", now);
    let run = lost.runs[0].run;
    let intake = conche_store::contract::given::intake(vec![lost], now);
    rig.store.accept(intake).await.unwrap();
    rig.engine.look_now();
    until("the run to be put aside", || async {
        let row = rig.store.run(run).await.ok()?;
        row.is_put_aside().then_some(())
    })
    .await;
    run
}

#[tokio::test]
async fn a_run_that_is_put_aside_can_be_ended_and_nothing_else() {
    let rig = Rig::new().await;
    let run = put_aside(&rig).await;
    let retry = rig.engine.retry(run, None, "ann").await.unwrap_err();
    let resume = rig.engine.resume(run, None, Resolution::Repeat, "ann");
    for refused in [retry, resume.await.unwrap_err()] {
        assert!(matches!(refused, SignalError::NotNow(_)), "{refused}");
        let text = refused.to_string();
        assert!(
            text.contains("put aside") && text.contains("there is no definition"),
            "{text}"
        );
        assert!(text.contains("Cancel it"), "{text}");
    }
    let why = Some("of no use".to_owned());
    rig.engine.cancel(run, "ann", why).await.unwrap();
    let row = until("the run to be over", || async {
        let row = rig.store.run(run).await.ok()?;
        row.summary.status.is_finished().then_some(row)
    })
    .await;
    assert_eq!(row.summary.status, Status::Cancelled);
    let reason = row.summary.reason.unwrap();
    assert!(
        reason.starts_with("cancelled by ann: of no use; it was put aside: "),
        "{reason}"
    );
    for refused in [
        rig.engine.cancel(run, "ann", None).await.unwrap_err(),
        rig.engine.retry(run, Some(0), "ann").await.unwrap_err(),
    ] {
        assert!(matches!(refused, SignalError::NotNow(_)), "{refused}");
    }
    let retention = conche_store::Retention {
        events_before: conche_core::Timestamp::MIN,
        runs_before: conche_core::Timestamp::MAX,
        dedup_before: conche_core::Timestamp::MIN,
        ended_before: conche_core::Timestamp::MIN,
        limit: 100,
    };
    assert_eq!(rig.store.expire(retention).await.unwrap().runs, 1);
}

#[tokio::test]
async fn why_a_run_was_put_aside_is_told_with_secrets_masked() {
    let rig = Rig::new().await;
    // What could not be read is quoted, whatever it holds.
    let value = "there is no definition".to_owned().into();
    rig.masker.learn("leaked", &value);
    let run = put_aside(&rig).await;
    let event = until("the event about it", || async {
        let page = conche_store::Page {
            before: None,
            limit: 10,
        };
        let filter = conche_store::EventFilter {
            source: Some("conche".to_owned()),
            ..Default::default()
        };
        rig.store.events(filter, page).await.ok()?.pop()
    })
    .await;
    let row = rig.store.run(run).await.unwrap();
    for told in [row.summary.reason.unwrap(), event.event.data.to_string()] {
        assert!(
            told.contains("***leaked***") && !told.contains("no definition"),
            "{told}"
        );
    }
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
