//! Playbooks on the engine: started once, asked about, answered, and gone on with by another
//! process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use conche_cacao::Document;
use conche_core::Json;
use conche_core::playbook::Program;
use conche_core::run::{Answer, Entry, OnUncertain, Repeat, Status};
use conche_engine::{Config, PROTECTED, PlaybookBegun, STOPPED, SignalError, Start, StartError};
use conche_modules::{Action, ActionModule, ActionSpec, Call, Error};
use conche_testkit::{Rig, SimClock, TestActions, until};
use serde_json::{Value, json};

const START: &str = "start--6cf8f26c-7b23-4f3c-8a3f-93be1f35a9ab";
const END: &str = "end--20000000-0000-4000-8000-00000000000e";
const ASK: &str = "action--20000000-0000-4000-8000-000000000001";
const MIDDLE: &str = "playbook--5b6a8a5e-7f43-4c57-9d0a-3c3f7a1c9b12";
const AGENT: &str = "individual--10000000-0000-4000-8000-000000000001";

/// A playbook that asks whether a host is ours, with a command of this type.
fn playbook(kind: &str) -> Program {
    let document = json!({
        "type": "playbook", "spec_version": "cacao-2.0", "name": "Ours?",
        "id": "playbook--5b6a8a5e-7f43-4c57-9d0a-3c3f7a1c9b10",
        "created_by": "identity--9d1f1d1c-6a2e-4b69-8f0e-3f6a2b7c8d90",
        "created": "2026-03-01T08:00:00.000Z", "modified": "2026-03-01T08:00:00.000Z",
        "playbook_variables": {
            "__host__": {"type": "string", "external": true},
            "__ok__": {"type": "bool"},
        },
        "workflow_start": START,
        "workflow": {
            START: {"type": "start", "on_completion": ASK},
            ASK: {
                "type": "action", "agent": AGENT, "on_success": END, "out_args": ["__ok__"],
                "commands": [{"type": kind, "command": "Is __host__:value ours?"}],
            },
            END: {"type": "end"},
        },
        "agent_definitions": {AGENT: {"type": "individual", "name": "SOC"}},
    });
    Program::new(&Document::of(document), &[]).expect("a playbook")
}

fn start(host: &str, key: Option<&str>) -> Start {
    Start {
        variables: BTreeMap::from([("__host__".to_owned(), Json::from(&json!(host)))]),
        key: key.map(str::to_owned),
        by: Some("ana".to_owned()),
        person: None,
    }
}

async fn begin(rig: &Rig, key: Option<&str>) -> PlaybookBegun {
    let program = playbook("manual");
    let begun = rig.engine.start_playbook(&program, start("web-1", key));
    begun.await.expect("it is started")
}

async fn is(rig: &Rig, begun: &PlaybookBegun, status: Status) {
    until(&format!("the run to be {status}"), || async {
        let row = rig.store.run(begun.run).await.ok()?;
        (row.summary.status == status).then_some(())
    })
    .await;
}

fn answer(value: Value) -> Answer {
    Answer {
        values: BTreeMap::from([("__ok__".to_owned(), Json::from(&value))]),
        failed: None,
    }
}

#[tokio::test]
async fn what_is_asked_is_answered_and_the_run_goes_on() {
    let rig = Rig::new().await;
    let begun = begin(&rig, None).await;
    is(&rig, &begun, Status::AwaitingAnswer).await;
    let row = rig.store.run(begun.run).await.unwrap();
    assert_eq!(row.summary.reason.as_deref(), Some("Is web-1 ours?"));
    let wrong = rig
        .engine
        .answer(begun.run, None, answer(json!("perhaps")), "ana")
        .await;
    assert!(matches!(wrong, Err(SignalError::Answer(_))), "{wrong:?}");
    let empty = rig
        .engine
        .answer(begun.run, None, answer(json!("")), "ana")
        .await;
    assert!(matches!(empty, Err(SignalError::Answer(_))), "{empty:?}");
    let null = rig
        .engine
        .answer(begun.run, None, answer(Value::Null), "ana")
        .await;
    assert!(matches!(null, Err(SignalError::Answer(_))), "{null:?}");
    let nothing = rig
        .engine
        .answer(begun.run, None, Answer::default(), "ana")
        .await;
    let nothing = nothing.expect_err("a value is asked for").to_string();
    assert!(nothing.contains("`__ok__`"), "{nothing}");
    let other = Answer {
        values: BTreeMap::from([("__host__".to_owned(), Json::from(&json!("x")))]),
        failed: None,
    };
    let wrong = rig.engine.answer(begun.run, None, other, "ana").await;
    assert!(matches!(wrong, Err(SignalError::Answer(_))), "{wrong:?}");
    rig.engine
        .answer(begun.run, None, answer(json!("true")), "ana")
        .await
        .unwrap();
    is(&rig, &begun, Status::Succeeded).await;
    let late = rig
        .engine
        .answer(begun.run, None, answer(json!("true")), "bob")
        .await;
    assert!(matches!(late, Err(SignalError::NotNow(_))), "{late:?}");
}

#[tokio::test]
async fn an_answer_to_one_question_is_never_taken_for_one_to_the_next() {
    let rig = Rig::new().await;
    let mut twice = document(&playbook("manual"));
    let next = json!({"type": "manual", "command": "Approve wiping __host__:value?"});
    let commands = twice["workflow"][ASK]["commands"].as_array_mut();
    commands.expect("commands").push(next);
    let program = Program::new(&Document::of(twice), &[]).expect("a playbook");
    let begun = rig.engine.start_playbook(&program, start("web-1", None));
    let begun = begun.await.unwrap();
    is(&rig, &begun, Status::AwaitingAnswer).await;
    // Two people see the first question, and answer it at the same time.
    let yes = |visit| {
        rig.engine
            .answer(begun.run, visit, answer(json!("true")), "ana")
    };
    let both = tokio::join!(yes(None), yes(None));
    assert!(both.0.is_ok() != both.1.is_ok(), "{both:?}");
    until("the second question", || async {
        let row = rig.store.run(begun.run).await.ok()?;
        (row.summary.reason.as_deref() == Some("Approve wiping web-1?")).then_some(())
    })
    .await;
    let unclear = yes(None).await.unwrap_err().to_string();
    assert!(unclear.contains("turned to people 2 times"), "{unclear}");
    let records = rig.store.whole_journal(begun.run).await.unwrap();
    let asked = records.iter().filter_map(|record| match record.entry {
        Entry::Asked { visit, .. } => Some(visit),
        _ => None,
    });
    let asked: Vec<u32> = asked.collect();
    assert!(
        unclear.ends_with(&format!("visit {}", asked[1])),
        "{unclear}"
    );
    assert!(yes(Some(asked[0])).await.is_err(), "it is answered");
    yes(Some(asked[1])).await.unwrap();
    is(&rig, &begun, Status::Succeeded).await;
}

#[tokio::test]
async fn a_question_of_a_paused_run_is_answered_and_the_run_stays_paused() {
    let rig = Rig::new().await;
    let begun = begin(&rig, None).await;
    is(&rig, &begun, Status::AwaitingAnswer).await;
    rig.engine.pause(begun.run, "bob", None).await.unwrap();
    is(&rig, &begun, Status::Paused).await;
    let given = answer(json!("true"));
    rig.engine
        .answer(begun.run, None, given, "ana")
        .await
        .unwrap();
    until("the answer to be recorded", || async {
        rig.journal(begun.run)
            .await
            .contains(&"answered")
            .then_some(())
    })
    .await;
    is(&rig, &begun, Status::Paused).await;
    rig.engine.unpause(begun.run, "bob").await.unwrap();
    is(&rig, &begun, Status::Succeeded).await;
}

#[tokio::test]
async fn an_answer_that_it_failed_fails_the_step() {
    let rig = Rig::new().await;
    let begun = begin(&rig, None).await;
    is(&rig, &begun, Status::AwaitingAnswer).await;
    let failed = Answer {
        values: BTreeMap::new(),
        failed: Some("nobody knows it".to_owned()),
    };
    rig.engine
        .answer(begun.run, None, failed, "ana")
        .await
        .unwrap();
    is(&rig, &begun, Status::Failed).await;
    let row = rig.store.run(begun.run).await.unwrap();
    assert_eq!(row.summary.reason.as_deref(), Some("nobody knows it"));
}

#[tokio::test]
async fn the_same_key_starts_one_run() {
    let rig = Rig::new().await;
    let first = begin(&rig, Some("alert-7")).await;
    let second = begin(&rig, Some("alert-7")).await;
    assert_eq!((second.run, second.duplicate), (first.run, true));
    let third = begin(&rig, Some("alert-8")).await;
    assert_ne!(third.run, first.run);
    let program = playbook("manual");
    let other = rig
        .engine
        .start_playbook(&program, start("web-2", Some("alert-7")))
        .await;
    assert!(matches!(other, Err(StartError::OtherStart)), "{other:?}");
}

#[tokio::test]
async fn a_question_outlives_the_process_that_asked_it() {
    let (clock, actions) = (SimClock::default(), TestActions::default());
    let rig = Rig::new().await;
    let begun = begin(&rig, None).await;
    is(&rig, &begun, Status::AwaitingAnswer).await;
    let store = rig.store.clone();
    rig.stop().await;
    let rig = Rig::over(store, clock, actions, Config::default()).await;
    rig.engine
        .answer(begun.run, None, answer(json!("true")), "bob")
        .await
        .unwrap();
    is(&rig, &begun, Status::Succeeded).await;
}

#[tokio::test]
async fn a_value_that_nobody_can_read_is_refused() {
    let rig = Rig::new().await;
    for text in [
        "\"\\ud800\"",
        "1e400",
        "{\"name\": \"web-1\"}",
        "[\"web-1\"]",
    ] {
        let value = Json::parse(text.as_bytes(), conche_core::json::Limits::default());
        let start = Start {
            variables: BTreeMap::from([("__host__".to_owned(), value.expect("JSON as text"))]),
            ..Start::default()
        };
        let begun = rig.engine.start_playbook(&playbook("manual"), start).await;
        assert!(
            matches!(begun, Err(StartError::Unreadable { .. })),
            "{text}: {begun:?}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_carried_out_is_refused_before_anything_is_done() {
    let rig = Rig::new().await;
    let begun = rig
        .engine
        .start_playbook(&playbook("ssh"), start("web-1", None))
        .await;
    let Err(StartError::Refused(refusals)) = begun else {
        panic!("it was started: {begun:?}");
    };
    let pointer = refusals[0].pointer.to_string();
    assert_eq!(pointer, format!("/workflow/{ASK}/commands/0"));
    let nothing = rig
        .engine
        .start_playbook(&playbook("manual"), Start::default())
        .await;
    assert!(
        matches!(nothing, Err(StartError::Variables(_))),
        "{nothing:?}"
    );
    let runs = rig.store.counts().await.unwrap();
    assert!(runs.values().all(|count| *count == 0), "{runs:?}");
}

/// An executor of `bash` commands that counts.
struct Counting(Arc<AtomicU32>);

#[async_trait]
impl Action for Counting {
    async fn invoke(&self, _: &Call) -> Result<Json, Error> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Json::from(
            &json!({"stdout": "true", "stderr": "", "exit_code": 0}),
        ))
    }
}

static BASH: ActionModule = ActionModule {
    name: "bash",
    summary: "Counts.",
    actions: &[ActionSpec {
        name: "execute",
        summary: "Counts.",
        input: &|| json!({}),
        output: &|| json!({}),
        repeat: Repeat::Unsafe,
        on_uncertain: OnUncertain::Attention,
    }],
    config: &|| json!({}),
    build: &|_, _| Ok(Arc::new(Counting(Arc::default()))),
};

/// A rig with an executor of `bash` commands, and how often it was asked.
async fn counting() -> (Rig, Arc<AtomicU32>) {
    let count = Arc::new(AtomicU32::new(0));
    let action: Arc<dyn Action> = Arc::new(Counting(count.clone()));
    let modules = BTreeMap::from([("bash".to_owned(), (action, &BASH, 0))]);
    let store = Arc::new(conche_store::memory::MemoryStore::new());
    let rig = Rig::with_modules(
        store,
        SimClock::default(),
        TestActions::default(),
        Config::default(),
        modules,
    );
    (rig.await, count)
}

/// The document of a playbook.
fn document(program: &Program) -> Value {
    let mut text: Value = serde_json::from_str(program.text()).expect("JSON");
    text["playbook"].take()
}

/// The same playbook with an address for its agent.
fn addressed() -> Program {
    let mut document = document(&playbook("bash"));
    document["agent_definitions"][AGENT] = json!({
        "type": "linux", "name": "DC", "address": {"dname": ["dc01.corp.example"]},
    });
    Program::new(&Document::of(document), &[]).expect("a playbook")
}

async fn put(rig: &Rig, list: &str, key: &str) {
    let value = Json::from(&json!("ana says so"));
    let put = rig.engine.put_entry(list, key, value, None).await;
    put.expect("it is put");
}

/// The same within a playbook that calls one that calls it.
fn called_by_one_that_is_called() -> Program {
    let ids = ["playbook--5b6a8a5e-7f43-4c57-9d0a-3c3f7a1c9b11", MIDDLE];
    let innermost = document(&addressed());
    let calls = |callee: &Value, id: &str| {
        let mut caller = document(&playbook("manual"));
        caller["id"] = id.into();
        caller["workflow"][ASK] = json!({
            "type": "playbook-action", "playbook_id": callee["id"], "on_success": END,
            "in_args": ["__host__"],
        });
        caller
    };
    let middle = calls(&innermost, ids[1]);
    let outermost = calls(&middle, ids[0]);
    let others = [Document::of(middle), Document::of(innermost)];
    Program::new(&Document::of(outermost), &others).expect("a playbook")
}

/// Starts a playbook while the effects of this definition are stopped, and goes on.
async fn waits_while_stopped(program: &Program, key: &str) {
    let (rig, count) = counting().await;
    put(&rig, STOPPED, key).await;
    let begun = rig
        .engine
        .start_playbook(program, start("web-1", None))
        .await
        .unwrap();
    until("the run to wait", || async {
        let row = rig.store.run(begun.run).await.ok()?;
        (!row.held && row.due.is_some()).then_some(())
    })
    .await;
    assert_eq!(count.load(Ordering::Relaxed), 0, "{key}");
    rig.engine
        .remove_entry(STOPPED, key)
        .await
        .expect("it is removed");
    rig.skip_to_wake_up(begun.run).await;
    is(&rig, &begun, Status::Succeeded).await;
    assert_eq!(count.load(Ordering::Relaxed), 1, "{key}");
}

#[tokio::test]
async fn while_effects_are_stopped_no_action_begins() {
    for key in ["all", addressed().root().id.as_str()] {
        waits_while_stopped(&addressed(), key).await;
    }
}

#[tokio::test]
async fn a_playbook_that_is_stopped_does_nothing_within_another_either() {
    for key in [MIDDLE, addressed().root().id.as_str()] {
        waits_while_stopped(&called_by_one_that_is_called(), key).await;
    }
}

#[tokio::test]
async fn a_protected_target_is_never_acted_on() {
    let (rig, count) = counting().await;
    put(&rig, PROTECTED, "*.corp.example").await;
    let begun = rig
        .engine
        .start_playbook(&addressed(), start("web-1", None))
        .await
        .unwrap();
    is(&rig, &begun, Status::Failed).await;
    let reason = rig
        .store
        .run(begun.run)
        .await
        .unwrap()
        .summary
        .reason
        .unwrap();
    assert!(
        reason.contains("`dc01.corp.example` stands in the list `protected_targets`"),
        "{reason}"
    );
    assert_eq!(count.load(Ordering::Relaxed), 0);
}
