//! Requests that wait for a run's answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use conche_core::Json;
use conche_core::run::{OnUncertain, Repeat};
use conche_engine::Config;
use conche_modules::{
    Action, ActionModule, ActionSpec, Answer, BuildContext, BuildError, Call, Error, Intake,
    NewEvent, Output,
};
use conche_store::memory::MemoryStore;
use conche_testkit::{Behaviour, Rig, SimClock, TestActions};
use serde_json::json;

/// Answers with its input; the real `respond` is tested with the modules.
struct Reply;

fn any() -> serde_json::Value {
    json!({})
}

#[expect(clippy::unnecessary_wraps, reason = "the signature is the list's")]
fn build(_: serde_json::Value, _: &BuildContext) -> Result<Arc<dyn Action>, BuildError> {
    Ok(Arc::new(Reply))
}

static REPLY: ActionModule = ActionModule {
    name: "reply",
    summary: "Answers.",
    actions: &[ActionSpec {
        name: "reply",
        summary: "Answers.",
        input: any,
        output: any,
        repeat: Repeat::Idempotent,
        on_uncertain: OnUncertain::Repeat,
    }],
    config: any,
    build,
};

#[async_trait]
impl Action for Reply {
    async fn invoke(&self, call: &Call) -> Result<Output, Error> {
        let answer = Answer {
            status: 200,
            headers: Vec::new(),
            body: call.input.clone(),
        };
        Ok(Json::from(
            &json!({"delivered": call.host.respond(call, answer)}),
        ))
    }
}

async fn rig() -> Rig {
    let modules = BTreeMap::from([(
        "reply".to_owned(),
        (Arc::new(Reply) as Arc<dyn Action>, &REPLY, 0),
    )]);
    Rig::with_modules(
        Arc::new(MemoryStore::new()),
        SimClock::default(),
        TestActions::default(),
        Config::default(),
        modules,
    )
    .await
}

fn question(id: Option<&str>) -> NewEvent {
    NewEvent {
        id: id.map(str::to_owned),
        event_type: "t".to_owned(),
        subject: None,
        time: None,
        data: Json::empty_object(),
    }
}

const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn the_first_answer_reaches_the_one_who_asked() {
    let rig = rig().await;
    rig.react("name: r\nevent: t\nscript: 'next say {\"a\":1}'\nactions:\n  say: {module: reply, action: reply, script: 'next again {\"a\":2}'}\n  again: {module: reply, action: reply}\n").await;
    let asked = rig
        .engine
        .ask("tests", question(None), MINUTE)
        .await
        .unwrap();
    assert_eq!(asked.answer.unwrap().body.as_str(), r#"{"a":1}"#);
}

#[tokio::test]
async fn one_who_asks_is_let_go_at_once_when_nobody_will_answer() {
    let rig = rig().await;
    let asked = rig
        .engine
        .ask("tests", question(None), MINUTE)
        .await
        .unwrap();
    assert_eq!(asked.answer, None, "no reaction");
    rig.react("name: a\nevent: t\nscript: stop\n").await;
    rig.react("name: b\nevent: t\nscript: fail no\n").await;
    let asked = rig
        .engine
        .ask("tests", question(None), MINUTE)
        .await
        .unwrap();
    assert_eq!(asked.answer, None, "all runs ended without an answer");
}

#[tokio::test(start_paused = true)]
async fn one_who_asks_is_let_go_at_the_time_given() {
    let rig = rig().await;
    rig.react(
        "name: r\nevent: t\nscript: next wait {}\nactions: {wait: {module: test, action: keyed}}\n",
    )
    .await;
    rig.actions.plan("keyed", [Behaviour::Hang]);
    let asked = rig
        .engine
        .ask("tests", question(None), Duration::from_secs(3))
        .await
        .unwrap();
    assert_eq!(asked.answer, None);
}

#[tokio::test]
async fn a_question_asked_twice_is_one_event() {
    let rig = rig().await;
    rig.react("name: r\nevent: t\nscript: 'next say {}'\nactions: {say: {module: reply, action: reply}}\n").await;
    let first = rig
        .engine
        .ask("tests", question(Some("q")), MINUTE)
        .await
        .unwrap();
    let again = rig
        .engine
        .ask("tests", question(Some("q")), MINUTE)
        .await
        .unwrap();
    assert!(first.answer.is_some() && again.answer.is_none() && again.receipt.duplicate);
    assert_eq!(first.receipt.event, again.receipt.event);
}
