//! Events that runs emit: how many, one by one and all together.

use std::sync::Arc;

use async_trait::async_trait;
use conche_core::Json;
use conche_core::run::{OnUncertain, Repeat, Status};
use conche_engine::Config;
use conche_modules::{
    Action, ActionModule, ActionSpec, BuildContext, BuildError, Call, Error, NewEvent, Output,
};
use conche_store::memory::MemoryStore;
use conche_store::{EventFilter, Page};
use conche_testkit::{Rig, SimClock, TestActions, until};
use serde_json::json;

/// Emits an event of the type `u`; the real `emit` is tested with the modules.
struct Emitter;

fn any() -> serde_json::Value {
    json!({})
}

#[expect(clippy::unnecessary_wraps, reason = "the signature is the list's")]
fn build(_: serde_json::Value, _: &BuildContext) -> Result<Arc<dyn Action>, BuildError> {
    Ok(Arc::new(Emitter))
}

static EMITTER: ActionModule = ActionModule {
    name: "emitter",
    summary: "Emits.",
    actions: &[ActionSpec {
        name: "emit",
        summary: "Emits.",
        input: &any,
        output: &any,
        repeat: Repeat::Keyed,
        on_uncertain: OnUncertain::Repeat,
    }],
    config: &any,
    build: &build,
};

#[async_trait]
impl Action for Emitter {
    async fn invoke(&self, call: &Call) -> Result<Output, Error> {
        let event = NewEvent {
            id: None,
            event_type: "u".to_owned(),
            subject: None,
            time: None,
            data: Json::empty_object(),
        };
        call.host.emit(call, event).await?;
        Ok(Json::empty_object())
    }
}

/// A rig with a reaction that emits events of the type `u` until it may not.
async fn rig(config: Config, events: &str) -> Rig {
    let action: Arc<dyn Action> = Arc::new(Emitter);
    let rig = Rig::with_modules(
        Arc::new(MemoryStore::new()),
        SimClock::default(),
        TestActions::default(),
        config,
        [("emitter".to_owned(), (action, &EMITTER, 0))].into(),
    )
    .await;
    rig.react(&format!("name: r\nevents: {events}\nscript: next one {{}}\nactions: {{one: {{module: emitter, action: emit, script: 'next one {{}}'}}}}\n")).await;
    rig
}

/// How many events of the type `u` there are.
async fn emitted(rig: &Rig) -> usize {
    let filter = EventFilter {
        event_type: Some("u".to_owned()),
        ..EventFilter::default()
    };
    let (before, limit) = (None, 1000);
    let page = Page { before, limit };
    rig.store.events(filter, page).await.unwrap().len()
}

#[tokio::test]
async fn a_run_emits_no_more_events_than_it_may_and_says_so() {
    let config = Config {
        emits_per_run: 5,
        ..Config::default()
    };
    let rig = rig(config, "[t]").await;
    let event = rig.accepted("t").await;
    let run = rig.run_with(event, Status::Failed).await;
    let reason = run.summary.reason.unwrap();
    assert!(reason.contains("emitted 5 events"), "{reason}");
    assert!(reason.contains("limits.emits_per_run"), "{reason}");
    assert_eq!(emitted(&rig).await, 5);
    // A person who has it go on gets it no further events.
    rig.engine.retry(run.run, None, "ann").await.unwrap();
    until("it to fail again", || async {
        let row = rig.store.run(run.run).await.ok()?;
        (row.version > run.version && row.summary.status == Status::Failed).then_some(())
    })
    .await;
    assert_eq!(emitted(&rig).await, 5);
}

#[tokio::test]
async fn the_events_that_stem_from_one_event_are_bounded_together() {
    let config = Config {
        emits_per_event: 400,
        ..Config::default()
    };
    let rig = rig(config, "[t, u]").await;
    let event = rig.accepted("t").await;
    let run = rig.run_with(event, Status::Failed).await;
    let reason = run.summary.reason.unwrap();
    assert!(reason.contains("limits.emits_per_event"), "{reason}");
    until("every run to be over", || async {
        let counts = rig.store.counts().await.ok()?;
        counts
            .keys()
            .all(|status| status.is_finished())
            .then_some(())
    })
    .await;
    let emitted = emitted(&rig).await;
    // Its own 13: a half of 400 in parts of one in 2, 6, 12 … 182. And theirs.
    assert!((14..=400).contains(&emitted), "{emitted}");
}
