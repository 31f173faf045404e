//! A question that nobody answers is told of again, once for each span, by whichever process.

use std::sync::Arc;
use std::time::Duration;

use conche_cacao::Document;
use conche_core::RunId;
use conche_core::playbook::Program;
use conche_core::run::{Answer, Status};
use conche_engine::{Config, Start};
use conche_store::memory::MemoryStore;
use conche_store::{EventFilter, Page, Store};
use conche_testkit::playbooks::{asking, playbook};
use conche_testkit::{Rig, SimClock, TestActions, until};
use serde_json::Value;

const HOUR: Duration = Duration::from_hours(1);

fn config() -> Config {
    Config {
        remind_every: Some(HOUR),
        ..Config::default()
    }
}

/// What was told of questions so far, oldest first.
async fn told(rig: &Rig) -> Vec<Value> {
    let filter = EventFilter {
        event_type: Some("conche.run.awaiting_answer".to_owned()),
        ..EventFilter::default()
    };
    let page = Page {
        before: None,
        limit: 100,
    };
    let mut events = rig.store.events(filter, page).await.unwrap();
    events.reverse();
    let data = events.iter().map(|row| row.event.data.read().unwrap());
    data.collect()
}

async fn is(rig: &Rig, run: RunId, status: Status) {
    until(&format!("the run to be {status}"), || async {
        let row = rig.store.run(run).await.ok()?;
        (row.summary.status == status && !row.held).then_some(())
    })
    .await;
}

async fn told_times(rig: &Rig, times: usize) -> Vec<Value> {
    until(&format!("{times} words"), || async {
        let told = told(rig).await;
        assert!(told.len() <= times, "{told:#?}");
        (told.len() == times).then_some(told)
    })
    .await
}

#[tokio::test]
async fn a_question_is_told_of_again_every_span_and_by_no_process_twice() {
    let (clock, actions) = (SimClock::default(), TestActions::default());
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let rig = Rig::over(store.clone(), clock.clone(), actions.clone(), config()).await;
    let program = Program::new(&Document::of(playbook(1, 1, &asking())), &[]).unwrap();
    let begun = rig.engine.start_playbook(&program, Start::default()).await;
    let run = begun.unwrap().run;
    let first = told_times(&rig, 1).await;
    assert_eq!(first[0]["reminder"], Value::Null);
    rig.skip_to_wake_up(run).await;
    let second = told_times(&rig, 2).await;
    let said = |key: &str| second[1][key].clone();
    assert_eq!((said("reminder"), said("visit")), (1.into(), 2.into()));
    assert_eq!(said("waited_seconds"), 3600);
    assert_eq!(said("reason"), "Is the host isolated?");
    assert!(said("until").is_string() && said("asked_at").is_string());
    rig.stop().await;
    // Another process looks at the run at the same time.
    let rig = Rig::over(store, clock.clone(), actions, config()).await;
    rig.engine.pause(run, "ana", None).await.unwrap();
    is(&rig, run, Status::Paused).await;
    assert_eq!(told(&rig).await.len(), 2);
    // A pause answers nothing. What was missed is told once.
    clock.advance(HOUR * 3);
    rig.engine.look_now();
    let third = told_times(&rig, 3).await;
    assert_eq!(third[2]["reminder"], 4);
    rig.engine.unpause(run, "ana").await.unwrap();
    is(&rig, run, Status::AwaitingAnswer).await;
    let yes = Answer::default();
    rig.engine.answer(run, None, yes, "ana").await.unwrap();
    is(&rig, run, Status::Succeeded).await;
    assert_eq!(told(&rig).await.len(), 3);
}

#[tokio::test]
async fn nothing_is_told_again_unless_it_is_wanted() {
    let rig = Rig::new().await;
    let program = Program::new(&Document::of(playbook(1, 1, &asking())), &[]).unwrap();
    let begun = rig.engine.start_playbook(&program, Start::default()).await;
    let run = begun.unwrap().run;
    told_times(&rig, 1).await;
    let row = until("the run to be parked", || async {
        rig.store.run(run).await.ok().filter(|row| !row.held)
    })
    .await;
    assert_eq!(row.due, Some(row.summary.deadline));
}
