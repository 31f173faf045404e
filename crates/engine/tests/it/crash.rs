//! Killed at every write, before and after it lands: the next process finishes the run, and
//! every keyed effect is one effect.

use std::sync::Arc;

use conche_core::run::Status;
use conche_engine::Config;
use conche_store::Store;
use conche_store::memory::MemoryStore;
use conche_testkit::{MortalStore, Rig, SimClock, TestActions, until};
use serde_json::json;

const REACTION: &str = "
name: r
event: t
script: 'next one {}'
actions:
  one: {module: test, action: keyed, script: 'next two {}'}
  two: {module: test, action: idempotent, script: 'next three {}'}
  three: {module: test, action: probed}
";

/// Runs until the store is dead, then goes on over what it left.
async fn killed_at(write: u64, lands: bool) {
    let truth: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let (clock, actions) = (SimClock::default(), TestActions::default());
    // Put with a store that lives, so that the writes counted are the run's.
    let first = Rig::over(
        truth.clone(),
        clock.clone(),
        actions.clone(),
        Config::default(),
    )
    .await;
    first.react(REACTION).await;
    first.kill().await;
    let mortal = Arc::new(MortalStore::new(truth.clone(), write, lands));
    let second = Rig::over(
        mortal.clone(),
        clock.clone(),
        actions.clone(),
        Config::default(),
    )
    .await;
    let sent = second.send("t", Some("fact"), json!({})).await;
    until("the store to die or the run to end", || async {
        let counts = truth.counts().await.ok()?;
        (mortal.is_dead() || counts.contains_key(&Status::Succeeded)).then_some(())
    })
    .await;
    second.kill().await;
    // The sender was not told: it sends again, as senders do.
    // The lease of the dead runs out.
    clock.advance(Config::default().lease * 2);
    let last = Rig::over(
        truth.clone(),
        clock.clone(),
        actions.clone(),
        Config::default(),
    )
    .await;
    let again = last.send("t", Some("fact"), json!({})).await.unwrap();
    if let Ok(first) = &sent {
        assert!(
            again.duplicate && again.event == first.event,
            "what was acknowledged is there"
        );
    }
    until("the run to succeed", || async {
        clock.advance(std::time::Duration::from_secs(1));
        last.engine.look_now();
        last.runs(again.event)
            .await
            .into_iter()
            .find(|run| run.summary.status == Status::Succeeded)
    })
    .await;
    let seen = actions.seen();
    let mut keys: Vec<&str> = seen.iter().map(|call| call.key.as_str()).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(
        keys.len(),
        3,
        "one key for each effect, write {write}: {seen:#?}"
    );
    assert!(
        seen.len() <= 4,
        "at most one effect is repeated for one kill, write {write}: {seen:#?}"
    );
    let probed = actions.effects().into_iter().find(|(key, _)| {
        seen.iter()
            .any(|call| call.key == *key && call.action == "probed")
    });
    assert_eq!(
        probed.map(|(_, times)| times),
        Some(1),
        "what can be asked for is not repeated, write {write}"
    );
    assert_eq!(last.runs(again.event).await.len(), 1);
}

#[tokio::test]
async fn a_run_killed_at_any_write_is_finished_by_the_next_process() {
    // Intake, then one append before each effect and one at the end.
    for write in 1..=6 {
        for lands in [false, true] {
            killed_at(write, lands).await;
        }
    }
}

#[tokio::test]
async fn a_stop_in_the_middle_leaves_nothing_in_doubt() {
    let rig = Rig::new().await;
    rig.react(REACTION).await;
    let mut events = Vec::new();
    for _ in 0..50 {
        events.push(rig.accepted("t").await);
    }
    let (store, clock, actions) = (rig.store.clone(), rig.clock.clone(), rig.actions.clone());
    let report = rig.stop().await;
    assert!(report.stragglers.is_empty(), "{report:?}");
    let rig = Rig::over(store, clock, actions, Config::default()).await;
    for event in events {
        let run = rig.run_with(event, Status::Succeeded).await;
        assert!(!rig.journal(run.run).await.contains(&"interrupted"));
    }
    assert!(rig.actions.effects().values().all(|times| *times == 1));
}
