//! Runs that other runs start by a reaction's name.

use std::sync::Arc;

use async_trait::async_trait;
use conche_core::run::{OnUncertain, Repeat, Status};
use conche_core::{Json, RunId};
use conche_engine::Config;
use conche_modules::{
    Action, ActionModule, ActionSpec, BuildContext, BuildError, Call, Error, NewEvent, Output,
};
use conche_store::memory::MemoryStore;
use conche_store::{EventFilter, Page, RunFilter};
use conche_testkit::{Rig, SimClock, TestActions, until};
use serde_json::json;

/// Starts a reaction, or emits; the real modules are tested with the modules.
struct Starter;

fn any() -> serde_json::Value {
    json!({})
}

#[expect(clippy::unnecessary_wraps, reason = "the signature is the list's")]
fn build(_: serde_json::Value, _: &BuildContext) -> Result<Arc<dyn Action>, BuildError> {
    Ok(Arc::new(Starter))
}

const fn spec(name: &'static str) -> ActionSpec {
    ActionSpec {
        name,
        summary: "Starts a run.",
        input: &any,
        output: &any,
        repeat: Repeat::Keyed,
        on_uncertain: OnUncertain::Repeat,
    }
}

static STARTER: ActionModule = ActionModule {
    name: "starter",
    summary: "Starts runs.",
    actions: &[spec("run"), spec("emit")],
    config: &any,
    build: &build,
};

#[async_trait]
impl Action for Starter {
    async fn invoke(&self, call: &Call) -> Result<Output, Error> {
        if call.action == "emit" {
            let event = NewEvent {
                id: None,
                event_type: "made".to_owned(),
                subject: None,
                time: None,
                data: Json::null(),
            };
            call.host.emit(call, event).await?;
            return Ok(Json::empty_object());
        }
        let input: serde_json::Value = call.input.read().unwrap();
        let name = input["reaction"].as_str().unwrap();
        let data = Json::from(&input["data"]);
        let begun = call.host.run_reaction(call, name, data.clone()).await?;
        // A repeat with the same key.
        assert_eq!(call.host.run_reaction(call, name, data).await?, begun);
        Ok(Json::from(&json!({ "run": begun.run })))
    }
}

async fn rig(config: Config) -> Rig {
    let action = || Arc::new(Starter) as Arc<dyn Action>;
    Rig::with_modules(
        Arc::new(MemoryStore::new()),
        SimClock::default(),
        TestActions::default(),
        config,
        [
            ("run_reaction".to_owned(), (action(), &STARTER, 0)),
            ("emit".to_owned(), (action(), &STARTER, 0)),
        ]
        .into(),
    )
    .await
}

/// A reaction of the type `t` whose script starts `name`.
fn starts(name: &str) -> String {
    format!(
        "name: parent\nevent: t\nscript: 'next one {{\"reaction\":\"{name}\",\"data\":{{\"n\":1}}}}'\nactions: {{one: {{module: run_reaction, action: run}}}}\n"
    )
}

async fn runs_of(rig: &Rig, name: &str) -> Vec<conche_store::RunRow> {
    let filter = RunFilter {
        name: Some(name.to_owned()),
        ..RunFilter::default()
    };
    let (before, limit) = (None, 100);
    rig.store
        .runs(filter, Page { before, limit })
        .await
        .unwrap()
}

#[tokio::test]
async fn a_reaction_is_run_once_by_its_name_whatever_its_trigger() {
    let rig = rig(Config::default()).await;
    rig.react(&starts("child")).await;
    rig.react("name: child\nevent: never\nwhen: 'false'\nscript: stop\n")
        .await;
    rig.react("name: other\nevent: conche.run.requested\nscript: stop\n")
        .await;
    let event = rig.accepted("t").await;
    let parent = rig.run_with(event, Status::Succeeded).await;
    let child = until("the child to end", || async {
        let runs = runs_of(&rig, "child").await;
        runs.into_iter()
            .find(|run| run.summary.status == Status::Succeeded)
    })
    .await;
    assert_eq!(runs_of(&rig, "child").await.len(), 1);
    assert!(runs_of(&rig, "other").await.is_empty());
    let journal = rig.store.whole_journal(parent.run).await.unwrap();
    let told = serde_json::to_string(&journal).unwrap();
    let id: RunId = child.run;
    assert!(
        told.contains(&id.to_string()),
        "the parent knows its child: {told}"
    );
    let requested = EventFilter {
        event_type: Some("conche.run.requested".to_owned()),
        ..EventFilter::default()
    };
    let (before, limit) = (None, 10);
    let events = rig
        .store
        .events(requested, Page { before, limit })
        .await
        .unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].event.data.as_str(), r#"{"n":1}"#);
    assert_eq!(
        (events[0].event.cause, events[0].event.depth),
        (Some(parent.run), 1)
    );
}

#[tokio::test]
async fn a_reaction_that_is_not_there_fails_the_run_that_wants_it() {
    let rig = rig(Config::default()).await;
    rig.react(&starts("nobody")).await;
    let event = rig.accepted("t").await;
    let run = rig.run_with(event, Status::Failed).await;
    let reason = run.summary.reason.unwrap();
    assert!(reason.contains("there is no reaction 'nobody'"), "{reason}");
}

#[tokio::test]
async fn a_reaction_that_starts_itself_comes_to_an_end() {
    let config = Config {
        emit_depth: 3,
        ..Config::default()
    };
    let rig = rig(config).await;
    rig.react(&starts("parent")).await;
    let event = rig.accepted("t").await;
    rig.run_with(event, Status::Succeeded).await;
    let last = until("a run that may not go on", || async {
        let runs = runs_of(&rig, "parent").await;
        runs.into_iter()
            .find(|run| run.summary.status == Status::Failed)
    })
    .await;
    assert!(last.summary.reason.unwrap().contains("deep already"));
    assert_eq!(runs_of(&rig, "parent").await.len(), 4);
}

#[tokio::test]
async fn runs_started_and_events_emitted_count_together() {
    let config = Config {
        emits_per_run: 3,
        ..Config::default()
    };
    let rig = rig(config).await;
    rig.react("name: child\nevent: never\nscript: stop\n").await;
    rig.react("name: parent\nevent: t\nscript: 'next a {}'\nactions:\n  a: {module: emit, action: emit, script: 'next b {\"reaction\":\"child\"}'}\n  b: {module: run_reaction, action: run, script: 'next a {}'}\n").await;
    let event = rig.accepted("t").await;
    let run = rig.run_with(event, Status::Failed).await;
    let reason = run.summary.reason.unwrap();
    assert!(reason.contains("emitted 3 events"), "{reason}");
    assert_eq!(runs_of(&rig, "child").await.len(), 1);
}
