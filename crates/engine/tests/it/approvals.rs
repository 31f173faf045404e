//! Who had a run started is known through all that they bring about, and over the death of the
//! process.

use std::collections::BTreeMap;
use std::sync::Arc;

use conche_cacao::Document;
use conche_core::playbook::Program;
use conche_core::run::{Answer, Entry, Person, Status};
use conche_core::{Json, RunId};
use conche_engine::{By, Config, SignalError, Start};
use conche_modules::{Action, Batch, NewEvent};
use conche_store::memory::MemoryStore;
use conche_store::{Page, RunFilter, Store};
use conche_testkit::playbooks::{destructive, playbook};
use conche_testkit::{BASH_MODULE, Rig, SimClock, TestActions, until};

fn ann() -> Person {
    Person {
        name: "ann".to_owned(),
        identity: Some("token:1".to_owned()),
    }
}

fn by(name: &str, identity: &str) -> By {
    By::from(name).known_as(Some(identity.to_owned()))
}

async fn rig(store: Arc<dyn Store>, actions: &TestActions) -> Rig {
    let bash: Arc<dyn Action> = Arc::new(actions.clone());
    let modules = BTreeMap::from([("bash".to_owned(), (bash, &BASH_MODULE, 0))]);
    let (clock, config) = (SimClock::default(), Config::default());
    Rig::with_modules(store, clock, actions.clone(), config, modules).await
}

async fn is(rig: &Rig, run: RunId, status: Status) {
    until(&format!("the run to be {status}"), || async {
        let row = rig.store.run(run).await.ok()?;
        (row.summary.status == status).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_step_waits_for_somebody_else_over_the_death_of_the_process() {
    let (store, actions) = (Arc::new(MemoryStore::new()), TestActions::default());
    let first = rig(store.clone(), &actions).await;
    let program = Program::new(&Document::of(playbook(1, 1, &destructive())), &[]).unwrap();
    let start = Start {
        person: Some(ann()),
        ..Start::default()
    };
    let run = first
        .engine
        .start_playbook(&program, start)
        .await
        .unwrap()
        .run;
    is(&first, run, Status::AwaitingAnswer).await;
    let yes = Answer::default;
    let own = first.engine.answer(run, None, yes(), by("ann", "token:1"));
    let refused = own.await.unwrap_err();
    assert!(matches!(refused, SignalError::Answer(_)), "{refused}");
    first.stop().await;
    let second = rig(store, &actions).await;
    let own = second.engine.answer(run, None, yes(), by("eve", "token:1"));
    assert!(own.await.is_err(), "the new process knows who started it");
    assert!(actions.seen().is_empty());
    let bob = second.engine.answer(run, None, yes(), by("bob", "token:2"));
    bob.await.unwrap();
    is(&second, run, Status::Succeeded).await;
    assert_eq!(actions.seen().len(), 1);
    let behind = second.engine.retry(run, Some(3), by("ann", "token:1"));
    let behind = behind.await.unwrap_err();
    assert!(behind.to_string().contains("its approval"), "{behind}");
}

#[tokio::test]
async fn what_an_event_brings_about_was_started_by_who_sent_it() {
    let rig = Rig::new().await;
    rig.react("name: first\nevent: t\nscript: fail no\n").await;
    rig.react("name: second\nevent: conche.run.failed\nscript: stop\n")
        .await;
    let event = NewEvent {
        id: None,
        event_type: "t".to_owned(),
        subject: None,
        time: None,
        data: Json::empty_object(),
    };
    let batch = Batch {
        source: "api".to_owned(),
        events: vec![event],
        cursor: None,
    };
    rig.engine.accept_from(batch, ann()).await.unwrap();
    let filter = || RunFilter {
        name: Some("second".to_owned()),
        ..RunFilter::default()
    };
    let page = Page {
        before: None,
        limit: 1,
    };
    let run = until("the run that follows", || async {
        rig.store.runs(filter(), page).await.ok()?.pop()
    })
    .await;
    let records = rig.store.whole_journal(run.run).await.unwrap();
    let Entry::Started(started) = &records[0].entry else {
        panic!("{records:?}");
    };
    assert_eq!(started.by, [ann()]);
}
