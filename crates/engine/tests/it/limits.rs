//! Everything has a limit, and going beyond one is said aloud.

use std::sync::Arc;
use std::time::Duration;

use conche_core::run::Status;
use conche_engine::Config;
use conche_modules::Refusal;
use conche_store::memory::MemoryStore;
use conche_testkit::{Behaviour, Rig, SimClock, TestActions, until};
use serde_json::json;

async fn rig(config: Config) -> Rig {
    Rig::over(
        Arc::new(MemoryStore::new()),
        SimClock::default(),
        TestActions::default(),
        config,
    )
    .await
}

#[tokio::test]
async fn a_reaction_that_goes_in_circles_is_ended() {
    let rig = Rig::new().await;
    rig.react("name: r\nevent: t\nscript: next one\nactions: {one: {module: test, action: keyed, script: next one}}\nlimits: {steps: 25}\n").await;
    let event = rig.accepted("t").await;
    let run = rig.run_with(event, Status::Failed).await;
    assert!(run.summary.reason.unwrap().contains("more than 25 steps"));
    assert!(rig.actions.seen().len() <= 13);
}

#[tokio::test]
async fn a_run_ends_at_its_deadline_whatever_it_waits_for() {
    let rig = Rig::new().await;
    rig.react("name: r\nevent: t\nscript: next one {}\nactions: {one: {module: test, action: unsafe}}\nlimits: {deadline: 1h}\n").await;
    rig.actions.plan("unsafe", [Behaviour::LoseAnswer]);
    let event = rig.accepted("t").await;
    let run = rig.run_with(event, Status::NeedsAttention).await;
    rig.clock.advance(Duration::from_hours(1));
    rig.engine.look_now();
    let run = rig
        .run_with(event, Status::Failed)
        .await
        .summary
        .reason
        .unwrap_or_else(|| panic!("{run:?}"));
    assert!(run.contains("deadline passed"), "{run}");
}

#[tokio::test]
async fn events_that_feed_each_other_come_to_an_end() {
    let rig = Rig::new().await;
    rig.react("name: r\nevents: [t, conche.run.failed]\nscript: fail again\n")
        .await;
    rig.accepted("t").await;
    // Itself, then one run for each of the eight events in between.
    let runs = until("nine failed runs", || async {
        let counts = rig.store.counts().await.ok()?;
        counts
            .get(&Status::Failed)
            .copied()
            .filter(|failed| *failed == 9)
    })
    .await;
    assert_eq!(runs, 9);
    rig.stop().await;
}

#[tokio::test]
async fn a_source_with_too_much_waiting_is_told_so_and_nothing_is_lost() {
    let rig = rig(Config {
        runs_held: 1,
        queue_per_source: 5,
        ..Config::default()
    })
    .await;
    rig.react(
        "name: r\nevent: t\nscript: next one {}\nactions: {one: {module: test, action: keyed}}\n",
    )
    .await;
    // The backlog is assumed until the first claim has found none.
    let first = rig.accepted("t").await;
    rig.run_with(first, Status::Succeeded).await;
    rig.actions.plan("keyed", [Behaviour::Hang]);
    let mut accepted = Vec::new();
    let refusal = loop {
        match rig.send("t", None, json!({})).await {
            Ok(receipt) => accepted.push(receipt.event),
            Err(refusal) => break refusal,
        }
        assert!(accepted.len() < 100, "the queue has no end");
    };
    assert!(matches!(refusal, Refusal::Busy { retry_after } if retry_after > Duration::ZERO));
    let stuck = rig.runs(accepted[0]).await.remove(0).run;
    until("the first run to hang", || async {
        (rig.actions.seen().len() == 2).then_some(())
    })
    .await;
    rig.engine.cancel(stuck, "ann", None).await.unwrap();
    for event in &accepted[1..] {
        rig.run_with(*event, Status::Succeeded).await;
    }
    assert!(rig.send("t", None, json!({})).await.is_ok());
}

#[tokio::test]
async fn a_reaction_runs_no_more_often_at_once_than_it_allows() {
    let rig = Rig::new().await;
    rig.react("name: r\nevent: t\nscript: next one {}\nactions: {one: {module: test, action: keyed}}\nlimits: {concurrency: 1}\n").await;
    rig.actions.plan("keyed", [Behaviour::Hang]);
    let first = rig.accepted("t").await;
    rig.actions.called(1).await;
    let second = rig.accepted("t").await;
    let run = rig.runs(second).await.remove(0).run;
    until("the second run to be put off", || async {
        rig.store.run(run).await.ok().filter(|row| !row.held)
    })
    .await;
    assert_eq!(rig.actions.seen().len(), 1);
    let stuck = rig.runs(first).await.remove(0).run;
    rig.engine.cancel(stuck, "ann", None).await.unwrap();
    rig.run_with(first, Status::Cancelled).await;
    rig.skip_to_wake_up(run).await;
    rig.run_with(second, Status::Succeeded).await;
}

#[tokio::test]
async fn a_result_that_is_too_large_is_said_to_have_taken_effect() {
    let rig = rig(Config {
        result_bytes: 100,
        ..Config::default()
    })
    .await;
    rig.react(
        "name: r\nevent: t\nscript: next one {}\nactions: {one: {module: test, action: keyed}}\n",
    )
    .await;
    rig.actions.plan(
        "keyed",
        [Behaviour::Succeed(json!({"text": "x".repeat(200)}))],
    );
    let event = rig.accepted("t").await;
    let run = rig.run_with(event, Status::Failed).await;
    let reason = run.summary.reason.unwrap();
    assert!(
        reason.contains("took effect") && reason.contains("100"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_clock_that_jumps_back_fires_no_timer_twice() {
    let rig = Rig::new().await;
    rig.react(
        "name: r\nevent: t\nscript: next one {}\nactions: {one: {module: test, action: keyed}}\n",
    )
    .await;
    rig.actions.plan("keyed", [Behaviour::Retry("later")]);
    let event = rig.accepted("t").await;
    rig.actions.called(1).await;
    let run = rig.runs(event).await.remove(0).run;
    rig.skip_to_wake_up(run).await;
    rig.run_with(event, Status::Succeeded).await;
    rig.clock.set("2016-01-01T00:00:00Z".parse().unwrap());
    rig.engine.look_now();
    let event = rig.accepted("t").await;
    rig.run_with(event, Status::Succeeded).await;
    assert_eq!(rig.actions.seen().len(), 3);
}

#[tokio::test]
async fn the_results_of_one_run_have_a_limit_together() {
    let config = Config {
        run_bytes: 1000,
        ..Config::default()
    };
    let rig = rig(config).await;
    rig.react("name: r\nevent: t\nscript: next one {}\nactions: {one: {module: test, action: keyed, script: 'next one {}'}}\n").await;
    let large = || Behaviour::Succeed(json!({"text": "x".repeat(300)}));
    rig.actions
        .plan("keyed", [large(), large(), large(), large(), large()]);
    let event = rig.accepted("t").await;
    let run = rig.run_with(event, Status::Failed).await;
    assert!(run.summary.reason.unwrap().contains("results together"));
    assert_eq!(rig.actions.seen().len(), 4);
}

#[tokio::test]
async fn a_script_in_quarantine_costs_its_events_time_and_not_their_runs() {
    let rig = Rig::new().await;
    rig.react("name: r\nevent: t\nscript: quarantined\n").await;
    let event = rig.accepted("t").await;
    let run = rig.runs(event).await.remove(0).run;
    let due = until("the run to be parked", || async {
        rig.store.run(run).await.ok().filter(|row| !row.held)?.due
    })
    .await;
    let wait = due.duration_since(conche_runtime::clock::Clock::now(&rig.clock));
    assert!(wait.as_mins() >= 10, "{wait:?}");
}

#[tokio::test]
async fn an_event_from_beyond_what_can_be_stored_is_refused() {
    let rig = Rig::new().await;
    let event = |time| conche_modules::NewEvent {
        id: None,
        event_type: "t".to_owned(),
        subject: None,
        time: Some(time),
        data: conche_core::Json::null(),
    };
    for time in [conche_core::Timestamp::MAX, conche_core::Timestamp::MIN] {
        let batch = conche_modules::Batch {
            source: "tests".to_owned(),
            events: vec![event(time)],
            cursor: None,
        };
        let refusal = conche_modules::Intake::accept(&rig.engine, batch)
            .await
            .unwrap_err();
        assert!(matches!(refusal, Refusal::Invalid(_)), "{refusal}");
    }
}

#[tokio::test]
async fn a_sender_that_goes_away_leaves_no_run_behind() {
    let rig = Rig::new().await;
    rig.react("name: r\nevent: t\nscript: stop\n").await;
    for n in 0..50 {
        let id = n.to_string();
        // Asked for an answer once, then dropped: accepted or not, never in between.
        let mut sending = std::pin::pin!(rig.send("t", Some(&id), json!({})));
        drop(futures_util::poll!(sending.as_mut()));
    }
    for n in 0..50 {
        let event = rig
            .send("t", Some(&n.to_string()), json!({}))
            .await
            .unwrap()
            .event;
        rig.run_with(event, Status::Succeeded).await;
    }
    until("nothing to be counted as waiting", || async {
        (rig.engine.waiting() == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_filter_that_walks_through_a_long_list_does_not_hold_up_other_events() {
    // One thread: what is evaluated on it is over before anything else is taken in.
    let rig = Rig::new().await;
    rig.react(
        "name: r\nevent: t\nwhen: event.data.list.all(x, x > 0 && x < 3 && x != 2)\nscript: stop\n",
    )
    .await;
    let order = std::sync::Mutex::new(Vec::new());
    let send = async |name: &'static str, data: serde_json::Value| {
        let receipt = rig.send("t", Some(name), data).await.unwrap();
        order.lock().unwrap().push(name);
        receipt.event
    };
    let large = json!({"list": vec![1; 200_000]});
    let (large, small) = tokio::join!(send("large", large), send("small", json!({"list": [1]})));
    assert_eq!(*order.lock().unwrap(), ["small", "large"]);
    rig.run_with(small, Status::Succeeded).await;
    rig.run_with(large, Status::Succeeded).await;
}
