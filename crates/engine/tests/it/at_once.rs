//! How many runs of a playbook are under way at once, and how many attempts at one target.

use std::collections::BTreeMap;
use std::sync::Arc;

use conche_cacao::Document;
use conche_core::RunId;
use conche_core::playbook::Program;
use conche_core::run::{Answer, Status};
use conche_engine::{AtOnce, Config, Safety, Start};
use conche_modules::Action;
use conche_store::Store;
use conche_store::memory::MemoryStore;
use conche_testkit::playbooks::{asking, playbook};
use conche_testkit::{BASH_MODULE, Behaviour, Rig, SimClock, TestActions, until};
use serde_json::{Value, json};

fn one_at_once() -> Safety {
    Safety {
        at_once: AtOnce {
            runs_per_playbook: 1,
            playbooks: BTreeMap::new(),
        },
        ..Safety::default()
    }
}

fn one_attempt() -> Safety {
    Safety {
        attempts_per_target: 1,
        ..Safety::default()
    }
}

async fn rig(store: Arc<dyn Store>, clock: SimClock, safety: Safety) -> Rig {
    let actions = TestActions::default();
    let bash: Arc<dyn Action> = Arc::new(actions.clone());
    let modules = BTreeMap::from([("bash".to_owned(), (bash, &BASH_MODULE, 0))]);
    Rig::safely(store, clock, actions, (Config::default(), safety), modules).await
}

fn program(number: u8, step: &Value, host: &str) -> Program {
    let mut document = playbook(number, 1, step);
    for agent in document["agent_definitions"]
        .as_object_mut()
        .unwrap()
        .values_mut()
    {
        *agent = json!({"type": "linux", "name": "box", "address": {"dname": [host]}});
    }
    Program::new(&Document::of(document), &[]).unwrap()
}

async fn begun(rig: &Rig, program: &Program) -> RunId {
    let begun = rig.engine.start_playbook(program, Start::default()).await;
    begun.unwrap().run
}

async fn is(rig: &Rig, run: RunId, status: Status) {
    until(&format!("{run} to be {status}"), || async {
        // Who waits in a line looks again after a while.
        rig.clock.advance(std::time::Duration::from_secs(1));
        rig.engine.look_now();
        let row = rig.store.run(run).await.ok()?;
        (row.summary.status == status).then_some(())
    })
    .await;
}

async fn waits(rig: &Rig, run: RunId, what: &str) {
    until(&format!("{run} to wait for {what}"), || async {
        rig.engine
            .waits_for(run)
            .filter(|found| found.contains(what))
    })
    .await;
}

async fn answered(rig: &Rig, run: RunId) {
    let yes = Answer::default();
    rig.engine.answer(run, None, yes, "ana").await.unwrap();
    is(rig, run, Status::Succeeded).await;
}

#[tokio::test]
async fn a_run_waits_until_those_before_it_have_ended_also_over_a_restart() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let first = rig(store.clone(), SimClock::default(), one_at_once()).await;
    let asks = program(1, &asking(), "web-1");
    let one = begun(&first, &asks).await;
    is(&first, one, Status::AwaitingAnswer).await;
    let two = begun(&first, &asks).await;
    waits(&first, two, "its turn: 1 other").await;
    let three = begun(&first, &asks).await;
    waits(&first, three, "its turn: 2 other").await;
    let other = begun(&first, &program(2, &asking(), "web-1")).await;
    is(&first, other, Status::AwaitingAnswer).await;
    assert_eq!(first.journal(two).await, ["started"]);
    let clock = first.clock.clone();
    first.stop().await;
    // It asks again when its time has come.
    clock.advance(std::time::Duration::from_mins(1));
    let second = rig(store, clock, one_at_once()).await;
    waits(&second, two, "its turn: 1 other").await;
    answered(&second, one).await;
    is(&second, two, Status::AwaitingAnswer).await;
    assert_eq!(second.journal(three).await, ["started"], "one at once");
    second.engine.cancel(two, "ana", None).await.unwrap();
    is(&second, three, Status::AwaitingAnswer).await;
}

#[tokio::test]
async fn a_run_that_waits_for_its_turn_is_paused_and_cancelled() {
    let rig = rig(
        Arc::new(MemoryStore::new()),
        SimClock::default(),
        one_at_once(),
    )
    .await;
    let asks = program(1, &asking(), "web-1");
    let one = begun(&rig, &asks).await;
    is(&rig, one, Status::AwaitingAnswer).await;
    let two = begun(&rig, &asks).await;
    waits(&rig, two, "its turn").await;
    rig.engine.pause(two, "ana", None).await.unwrap();
    is(&rig, two, Status::Paused).await;
    answered(&rig, one).await;
    rig.engine.unpause(two, "ana").await.unwrap();
    is(&rig, two, Status::AwaitingAnswer).await;
    let three = begun(&rig, &asks).await;
    waits(&rig, three, "its turn").await;
    rig.engine.cancel(three, "ana", None).await.unwrap();
    is(&rig, three, Status::Cancelled).await;
}

#[tokio::test]
async fn an_attempt_waits_for_its_target_before_it_is_intended() {
    let rig = rig(
        Arc::new(MemoryStore::new()),
        SimClock::default(),
        one_attempt(),
    )
    .await;
    let work = json!({
        "type": "action", "name": "Work",
        "agent": "individual--00000000-0000-4000-8000-000000000005",
        "commands": [{"type": "bash", "command": "work"}],
    });
    rig.actions.plan("execute", [Behaviour::Hang]);
    let one = begun(&rig, &program(1, &work, "web-1")).await;
    rig.actions.called(1).await;
    let two = begun(&rig, &program(2, &work, "WEB-1")).await;
    waits(&rig, two, "other attempts at `web-1`").await;
    let journal = rig.journal(two).await;
    assert!(!journal.contains(&"intended"), "{journal:?}");
    let elsewhere = begun(&rig, &program(3, &work, "web-2")).await;
    is(&rig, elsewhere, Status::Succeeded).await;
    rig.engine.cancel(one, "ana", None).await.unwrap();
    is(&rig, one, Status::Cancelled).await;
    is(&rig, two, Status::Succeeded).await;
    assert_eq!(rig.engine.waits_for(two), None);
    assert_eq!(rig.engine.in_line(), 0);
}
