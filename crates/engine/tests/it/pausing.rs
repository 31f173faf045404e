//! A run is paused and goes on: while something is under way, while it waits in the store, and
//! over the death of the process.

use std::sync::Arc;
use std::time::Duration;

use conche_core::RunId;
use conche_core::run::Status;
use conche_engine::{Config, SignalError};
use conche_store::Store;
use conche_store::memory::MemoryStore;
use conche_testkit::{Behaviour, MortalStore, Rig, SimClock, TestActions, until};
use serde_json::json;

const REACTION: &str = "name: r\nevent: t\nscript: next one {}\nactions:\n  one: {module: test, action: keyed, script: next two}\n  two: {module: test, action: idempotent}\n";

/// Waits until a run that is let go has this status.
async fn parked(rig: &Rig, run: RunId, status: Status) {
    until(&format!("the run to be {status}"), || async {
        let row = rig.store.run(run).await.ok()?;
        (row.summary.status == status && !row.held).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_under_way_ends_and_the_next_step_waits_for_the_word() {
    let rig = Rig::new().await;
    rig.react(REACTION).await;
    rig.actions.plan("keyed", [Behaviour::Retry("busy")]);
    let event = rig.accepted("t").await;
    rig.actions.called(1).await;
    let run = rig.runs(event).await.remove(0).run;
    let why = Some("ann looks into it".to_owned());
    rig.engine.pause(run, "ann", why).await.unwrap();
    parked(&rig, run, Status::Paused).await;
    let row = rig.store.run(run).await.unwrap();
    let reason = row.summary.reason.as_deref();
    assert_eq!(reason, Some("paused by ann: ann looks into it"));
    assert_eq!(row.due, Some(row.summary.deadline), "nothing else wakes it");
    let counts = rig.store.counts().await.unwrap();
    assert_eq!(counts.get(&Status::Paused), Some(&1));
    // The next attempt is long due.
    rig.clock.advance(Duration::from_hours(1));
    rig.engine.look_now();
    let again = rig.engine.pause(run, "bob", None).await.unwrap_err();
    assert!(again.to_string().contains("paused by ann"), "{again}");
    assert_eq!(rig.actions.seen().len(), 1);
    rig.engine.unpause(run, "bob").await.unwrap();
    rig.run_with(event, Status::Succeeded).await;
    let journal = rig.journal(run).await;
    let pauses = journal.iter().filter(|name| name.ends_with("paused"));
    assert_eq!(pauses.collect::<Vec<_>>(), [&"paused", &"unpaused"]);
}

#[tokio::test]
async fn words_that_mean_nothing_now_are_refused() {
    let rig = Rig::new().await;
    rig.react(REACTION).await;
    rig.actions
        .plan("keyed", [Behaviour::Retry("busy"), Behaviour::Refuse("no")]);
    let event = rig.accepted("t").await;
    rig.actions.called(1).await;
    let run = rig.runs(event).await.remove(0).run;
    let not = rig.engine.unpause(run, "ann").await.unwrap_err();
    assert!(not.to_string().contains("is not paused"), "{not}");
    parked(&rig, run, Status::Running).await;
    rig.skip_to_wake_up(run).await;
    rig.run_with(event, Status::Failed).await;
    let over = rig.engine.pause(run, "ann", None).await.unwrap_err();
    assert!(matches!(over, SignalError::NotNow(_)), "{over}");
    let over = rig.engine.unpause(run, "ann").await.unwrap_err();
    assert!(matches!(over, SignalError::NotNow(_)), "{over}");
}

#[tokio::test]
async fn a_paused_run_is_cancelled_at_once() {
    let rig = Rig::new().await;
    rig.react(REACTION).await;
    rig.actions.plan("keyed", [Behaviour::Retry("busy")]);
    let event = rig.accepted("t").await;
    rig.actions.called(1).await;
    let run = rig.runs(event).await.remove(0).run;
    rig.engine.pause(run, "ann", None).await.unwrap();
    rig.engine.cancel(run, "ann", None).await.unwrap();
    rig.run_with(event, Status::Cancelled).await;
}

#[tokio::test]
async fn a_run_that_waits_for_a_slot_heeds_what_it_is_told() {
    let rig = Rig::new().await;
    rig.react("name: r\nevent: t\nlimits: {concurrency: 1}\nscript: next one {}\nactions:\n  one: {module: test, action: keyed}\n").await;
    rig.actions.plan("keyed", [Behaviour::Hang]);
    rig.accepted("t").await;
    rig.actions.called(1).await;
    let second = rig.accepted("t").await;
    let run = until("the second run to wait", || async {
        let row = rig.runs(second).await.into_iter().next()?;
        (!row.held).then_some(row.run)
    })
    .await;
    rig.engine.pause(run, "ann", None).await.unwrap();
    parked(&rig, run, Status::Paused).await;
    rig.engine.cancel(run, "ann", None).await.unwrap();
    rig.run_with(second, Status::Cancelled).await;
    assert_eq!(rig.actions.seen().len(), 1);
}

/// Pauses a run, with the process killed at a write; then another process has it go on. Gives
/// whether somebody was told that the run pauses.
async fn killed_at(write: u64, lands: bool) -> bool {
    let truth: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let (clock, actions) = (SimClock::default(), TestActions::default());
    let config = Config::default;
    let first = Rig::over(truth.clone(), clock.clone(), actions.clone(), config()).await;
    first.react(REACTION).await;
    first.kill().await;
    actions.plan("keyed", [Behaviour::Retry("busy")]);
    let mortal = Arc::new(MortalStore::new(truth.clone(), write, lands));
    let second = Rig::over(mortal.clone(), clock.clone(), actions.clone(), config()).await;
    drop(second.send("t", Some("fact"), json!({})).await);
    until("the first attempt or death", || async {
        (mortal.is_dead() || !actions.seen().is_empty()).then_some(())
    })
    .await;
    let page = conche_store::Page {
        before: None,
        limit: 1,
    };
    let runs = truth.runs(conche_store::RunFilter::default(), page).await;
    let Some(run) = runs.unwrap().first().map(|row| row.run) else {
        return false;
    };
    let told = second.engine.pause(run, "ann", None).await.is_ok();
    until("the pause or death", || async {
        let paused = truth.run(run).await.ok()?.summary.status == Status::Paused;
        (mortal.is_dead() || paused).then_some(())
    })
    .await;
    second.kill().await;
    clock.advance(config().lease * 2);
    let last = Rig::over(truth, clock.clone(), actions.clone(), config()).await;
    last.engine.look_now();
    if told {
        parked(&last, run, Status::Paused).await;
        assert!(actions.seen().len() <= 1, "write {write}");
        last.engine.unpause(run, "bob").await.unwrap();
    }
    until("the run to succeed", || async {
        clock.advance(Duration::from_secs(1));
        last.engine.look_now();
        let row = last.store.run(run).await.ok()?;
        (row.summary.status == Status::Succeeded).then_some(())
    })
    .await;
    assert!(actions.effects().values().all(|times| *times == 1));
    assert_eq!(actions.effects().len(), 2, "write {write}");
    told
}

#[tokio::test]
async fn a_pause_that_was_acknowledged_outlives_the_death_of_the_process() {
    // Intake, the intent, the failure with the time of the next attempt, the pause.
    let mut told = 0;
    for write in 1..=5 {
        for lands in [false, true] {
            told += usize::from(killed_at(write, lands).await);
        }
    }
    assert!(told > 2, "some were told before the end");
}
