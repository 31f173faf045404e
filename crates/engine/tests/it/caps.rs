//! Caps on the targets that playbooks act on, over restarts and with many runs at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use conche_cacao::Document;
use conche_core::playbook::Program;
use conche_core::run::{OnUncertain, Repeat, Resolution, Status};
use conche_core::{Json, RunId};
use conche_engine::{ACTED_ON, Cap, Caps, Config, Safety, Start};
use conche_modules::{Action, ActionModule, ActionSpec, Call, Error};
use conche_runtime::units::Span;
use conche_store::Store;
use conche_store::memory::MemoryStore;
use conche_testkit::{Rig, SimClock, TestActions, until};
use serde_json::{Value, json};

const ID: &str = "playbook--5b6a8a5e-7f43-4c57-9d0a-3c3f7a1c9b10";

/// A playbook that does something to `__host__` by a command of this type.
fn playbook(kind: &str) -> Program {
    let agent = "linux--10000000-0000-4000-8000-000000000001";
    let (start, act, end) = (
        "start--6cf8f26c-7b23-4f3c-8a3f-93be1f35a9ab",
        "action--20000000-0000-4000-8000-000000000001",
        "end--20000000-0000-4000-8000-00000000000e",
    );
    let document = json!({
        "type": "playbook", "spec_version": "cacao-2.0", "name": "Act", "id": ID,
        "created_by": "identity--9d1f1d1c-6a2e-4b69-8f0e-3f6a2b7c8d90",
        "created": "2026-03-01T08:00:00.000Z", "modified": "2026-03-01T08:00:00.000Z",
        "playbook_variables": {"__host__": {"type": "string", "external": true}},
        "workflow_start": start,
        "workflow": {
            start: {"type": "start", "on_completion": act},
            act: {
                "type": "action", "agent": agent, "on_success": end,
                "commands": [{"type": kind, "command": "act"}],
            },
            end: {"type": "end"},
        },
        "agent_definitions": {
            agent: {"type": "linux", "name": "box", "address": {"dname": ["__host__:value"]}},
        },
    });
    Program::new(&Document::of(document), &[]).expect("a playbook")
}

/// An executor that counts.
struct Counting(Arc<AtomicU32>);

#[async_trait]
impl Action for Counting {
    async fn invoke(&self, _: &Call) -> Result<Json, Error> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Json::from(
            &json!({"stdout": "", "stderr": "", "exit_code": 0}),
        ))
    }
}

const fn spec(repeat: Repeat) -> ActionSpec {
    ActionSpec {
        name: "execute",
        summary: "Counts.",
        input: &|| json!({}),
        output: &|| json!({}),
        repeat,
        on_uncertain: OnUncertain::Repeat,
    }
}

const fn module(name: &'static str, actions: &'static [ActionSpec]) -> ActionModule {
    ActionModule {
        name,
        summary: "Counts.",
        actions,
        config: &|| json!({}),
        build: &|_, _| Ok(Arc::new(Counting(Arc::default()))),
    }
}

/// What changes something, though it may be repeated by its key, and what only reads.
static CHANGES: ActionModule = module("bash", &[spec(Repeat::Keyed)]);
static READS: ActionModule = module("elastic", &[spec(Repeat::Idempotent)]);

struct Capped {
    rig: Rig,
    count: Arc<AtomicU32>,
}

impl Capped {
    /// An engine over a store; all playbooks, and this one, may act on so many targets.
    async fn over(store: Arc<dyn Store>, clock: SimClock, all: u32, one: Option<u32>) -> Self {
        let cap = |most| Cap {
            most,
            within: Span::from_secs(3600),
        };
        let caps = Caps {
            all: Some(cap(all)),
            playbooks: one
                .map(|most| (ID.to_owned(), cap(most)))
                .into_iter()
                .collect(),
        };
        let safety = Safety {
            caps,
            ..Safety::default()
        };
        let count = Arc::new(AtomicU32::new(0));
        let action = || -> Arc<dyn Action> { Arc::new(Counting(count.clone())) };
        let modules = BTreeMap::from([
            ("bash".to_owned(), (action(), &CHANGES, 0)),
            ("elastic".to_owned(), (action(), &READS, 0)),
        ]);
        let rails = (Config::default(), safety);
        let rig = Rig::safely(store, clock, TestActions::default(), rails, modules).await;
        Self { rig, count }
    }

    async fn new(all: u32, one: Option<u32>) -> Self {
        Self::over(Arc::new(MemoryStore::new()), SimClock::default(), all, one).await
    }

    async fn begin(&self, kind: &str, host: &str) -> RunId {
        let host = Json::from(&Value::from(host));
        let start = Start {
            variables: BTreeMap::from([("__host__".to_owned(), host)]),
            ..Start::default()
        };
        let begun = self.rig.engine.start_playbook(&playbook(kind), start).await;
        begun.expect("it is started").run
    }

    /// How a run ends, or whom it waits for, and why.
    async fn ends(&self, run: RunId) -> (Status, String) {
        until("the run to end or to need attention", || async {
            let summary = self.rig.store.run(run).await.ok()?.summary;
            let over = summary.status.is_finished() || summary.status.waits_for_a_person();
            over.then(|| (summary.status, summary.reason.unwrap_or_default()))
        })
        .await
    }

    async fn acts_on(&self, host: &str) -> (Status, String) {
        let run = self.begin("bash", host).await;
        self.ends(run).await
    }

    fn done(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn beyond_the_cap_nothing_is_done_and_a_person_decides() {
    let capped = Capped::new(2, None).await;
    for host in ["web-1", "web-2", "WEB-1."] {
        assert_eq!(capped.acts_on(host).await.0, Status::Succeeded, "{host}");
    }
    let run = capped.begin("bash", "web-3").await;
    let (status, reason) = capped.ends(run).await;
    assert_eq!((status, capped.done()), (Status::NeedsAttention, 3));
    let words = "nothing was done to `web-3`: it would be target 3 within 1h, and `safety.targets` allows 2 (acted on: web-1, web-2)";
    assert!(reason.contains(words), "{reason}");

    // An operator may say that it is meant, once there is room.
    let engine = &capped.rig.engine;
    engine
        .remove_entry(ACTED_ON, "web-1")
        .await
        .expect("it is removed");
    let repeat = engine.resume(run, None, Resolution::Repeat, "ana").await;
    repeat.expect("the run is resumed");
    until("the run to succeed", || async {
        let row = capped.rig.store.run(run).await.ok()?;
        (row.summary.status == Status::Succeeded).then_some(())
    })
    .await;
    assert_eq!(capped.done(), 4);
}

#[tokio::test]
async fn what_only_reads_is_not_counted() {
    let capped = Capped::new(0, None).await;
    let run = capped.begin("elastic", "web-1").await;
    assert_eq!(capped.ends(run).await.0, Status::Succeeded);
    assert_eq!(capped.acts_on("web-1").await.0, Status::NeedsAttention);
    assert_eq!(capped.done(), 1);
}

#[tokio::test]
async fn a_playbook_has_a_cap_of_its_own_beside_that_of_all() {
    let capped = Capped::new(5, Some(1)).await;
    assert_eq!(capped.acts_on("web-1").await.0, Status::Succeeded);
    let (status, reason) = capped.acts_on("web-2").await;
    assert_eq!(status, Status::NeedsAttention);
    assert!(
        reason.contains(&format!("`safety.playbooks.{ID}` allows 1")),
        "{reason}"
    );
    // What was not done is in no count.
    let lists = capped.rig.engine.lists();
    assert_eq!(lists.get(ACTED_ON), Some(&1), "{lists:?}");
}

#[tokio::test]
async fn the_count_outlives_the_process_and_ends_with_the_window() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let clock = SimClock::default();
    let capped = Capped::over(store.clone(), clock.clone(), 1, None).await;
    assert_eq!(capped.acts_on("web-1").await.0, Status::Succeeded);
    capped.rig.stop().await;
    let capped = Capped::over(store, clock.clone(), 1, None).await;
    assert_eq!(capped.acts_on("web-2").await.0, Status::NeedsAttention);
    clock.advance(std::time::Duration::from_secs(3601));
    assert_eq!(capped.acts_on("web-2").await.0, Status::Succeeded);
}

#[tokio::test]
async fn runs_at_the_same_time_share_the_places_and_take_no_more() {
    let capped = Capped::new(3, None).await;
    let mut runs = Vec::new();
    for number in 0..12 {
        runs.push(capped.begin("bash", &format!("web-{number}")).await);
    }
    let mut succeeded = 0;
    for run in runs {
        let (status, _) = capped.ends(run).await;
        succeeded += u32::from(status == Status::Succeeded);
    }
    assert_eq!((succeeded, capped.done()), (3, 3));
}
