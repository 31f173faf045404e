//! Requests that wait for a run's answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use conche_core::run::{OnUncertain, Repeat, Status};
use conche_core::{EventId, Json};
use conche_engine::Config;
use conche_modules::{
    Action, ActionModule, ActionSpec, Answer, BuildContext, BuildError, Call, Consulted, Error,
    Intake, NewEvent, Output,
};
use conche_store::memory::MemoryStore;
use conche_testkit::{Behaviour, Rig, SimClock, TestActions};
use serde_json::json;

/// Answers with the `body` of its input, as the real `respond` does, which is tested with the
/// modules.
struct Reply;

fn any() -> serde_json::Value {
    json!({})
}

#[expect(clippy::unnecessary_wraps, reason = "the signature is the list's")]
fn build(_: serde_json::Value, _: &BuildContext) -> Result<Arc<dyn Action>, BuildError> {
    Ok(Arc::new(Reply))
}

static REPLY: ActionModule = ActionModule {
    name: "respond",
    summary: "Answers.",
    actions: &[ActionSpec {
        name: "respond",
        summary: "Answers.",
        input: &any,
        output: &any,
        repeat: Repeat::Idempotent,
        on_uncertain: OnUncertain::Repeat,
    }],
    config: &any,
    build: &build,
};

#[async_trait]
impl Action for Reply {
    async fn invoke(&self, call: &Call) -> Result<Output, Error> {
        let answer = Answer {
            status: 201,
            headers: vec![("x-a".to_owned(), "b".to_owned())],
            body: Json::from(&call.input.read::<serde_json::Value>().unwrap()["body"]),
        };
        Ok(Json::from(
            &json!({"delivered": call.host.respond(call, answer)}),
        ))
    }
}

async fn rig() -> Rig {
    let modules = BTreeMap::from([(
        "respond".to_owned(),
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
    rig.react("name: r\nevent: t\nscript: 'next say {\"body\":{\"a\":1}}'\nactions:\n  say: {module: respond, action: respond, script: 'next again {\"body\":{\"a\":2}}'}\n  again: {module: respond, action: respond}\n").await;
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

const SAYS: &str = "name: r\nevent: t\nscript: 'next say {\"status\":201,\"headers\":{\"x-a\":\"b\"},\"body\":{\"a\":1}}'\nactions: {say: {module: respond, action: respond, script: 'next again {\"body\":2}'}, again: {module: respond, action: respond}}\n";

#[tokio::test]
async fn a_question_asked_twice_is_one_event_and_gets_the_same_answer() {
    let rig = rig().await;
    rig.react(SAYS).await;
    let ask = || rig.engine.ask("tests", question(Some("q")), MINUTE);
    let (first, again) = (ask().await.unwrap(), ask().await.unwrap());
    assert_eq!(first.receipt.event, again.receipt.event);
    assert!(!first.receipt.duplicate && again.receipt.duplicate);
    let (first, again) = (first.answer.unwrap(), again.answer.unwrap());
    assert_eq!(first.body.as_str(), r#"{"a":1}"#);
    assert_eq!(again.body, first.body);
    rig.run_with(again_event(&rig).await, Status::Succeeded)
        .await;
    // Now only the journal knows; status and headers are the recorded ones.
    let recorded = ask().await.unwrap().answer.unwrap();
    assert_eq!((recorded.status, &recorded.body), (201, &first.body));
    assert_eq!(recorded.headers, [("x-a".to_owned(), "b".to_owned())]);
    assert_eq!(rig.runs(again_event(&rig).await).await.len(), 1);
}

/// The event of the question `q`.
async fn again_event(rig: &Rig) -> EventId {
    let question = rig.send("t", Some("q"), json!({})).await.unwrap();
    assert!(question.duplicate);
    question.event
}

#[tokio::test]
async fn who_asks_again_meanwhile_waits_for_the_same_answer() {
    let rig = rig().await;
    rig.react("name: r\nevent: t\nscript: next wait {}\nactions: {wait: {module: test, action: keyed, script: 'next say {\"body\":7}'}, say: {module: respond, action: respond}}\n").await;
    rig.actions.plan("keyed", [Behaviour::Retry("busy")]);
    let ask = || rig.engine.ask("tests", question(Some("q")), MINUTE);
    let release = async {
        rig.actions.called(1).await;
        let run = rig.runs(again_event(&rig).await).await.remove(0).run;
        rig.skip_to_wake_up(run).await;
    };
    let (first, again, ()) = tokio::join!(ask(), ask(), release);
    for asked in [first.unwrap(), again.unwrap()] {
        assert_eq!(asked.answer.unwrap().body.as_str(), "7");
    }
}

#[tokio::test]
async fn who_asks_again_where_nobody_answered_is_let_go_at_once() {
    let rig = rig().await;
    rig.react("name: r\nevent: t\nscript: stop\n").await;
    for _ in 0..2 {
        let asked = rig.engine.ask("tests", question(Some("q")), MINUTE).await;
        assert_eq!(asked.unwrap().answer, None);
    }
}

/// A reaction that answers this after `wait`, where it waits.
fn sayer(name: &str, says: &str, waits: bool) -> String {
    let say = format!("'next say {{\"body\":\"{says}\"}}'");
    let wait = "wait: {module: test, action: keyed, script: ";
    let actions = "say: {module: respond, action: respond}";
    if waits {
        format!(
            "name: {name}\nevent: t\nscript: next wait {{}}\nactions: {{{wait}{say}}}, {actions}}}\n"
        )
    } else {
        format!("name: {name}\nevent: t\nscript: {say}\nactions: {{{actions}}}\n")
    }
}

async fn consult(rig: &Rig) -> Consulted {
    let settles = |answer: &Answer| answer.body.as_str() == "\"no\"";
    let question = question(Some("q"));
    let consulted = rig.engine.consult("tests", question, MINUTE, &settles);
    consulted.await.unwrap()
}

fn said(consulted: &Consulted) -> Vec<&str> {
    let answers = consulted.answers.iter();
    let mut said: Vec<&str> = answers.map(|answer| answer.body.as_str()).collect();
    said.sort_unstable();
    said
}

#[tokio::test]
async fn who_consults_the_runs_of_an_event_hears_them_all_however_quick_one_is() {
    let rig = rig().await;
    rig.react(&sayer("quick", "yes", false)).await;
    rig.react(&sayer("slow", "no", true)).await;
    rig.actions.plan("keyed", [Behaviour::Retry("busy")]);
    let release = async {
        rig.actions.called(1).await;
        let runs = rig.runs(again_event(&rig).await).await;
        let slow = runs.iter().find(|run| run.name == "slow").unwrap();
        rig.skip_to_wake_up(slow.run).await;
    };
    let (first, ()) = tokio::join!(consult(&rig), release);
    assert!(!first.receipt.duplicate);
    assert!(said(&first).contains(&"\"no\""), "{first:?}");
    // Whoever asks the same again hears the same, and a reaction that was not asked is silent.
    rig.react(&sayer("new", "yes", false)).await;
    let again = consult(&rig).await;
    assert!(again.receipt.duplicate);
    assert!(said(&again).contains(&"\"no\""), "{again:?}");
    assert_eq!(again.silent, 1);
}

#[tokio::test]
async fn a_reaction_that_says_nothing_is_known_to_be_silent_and_one_filtered_out_is_not_asked() {
    let rig = rig().await;
    rig.react(&sayer("a", "yes", false)).await;
    rig.react("name: b\nevent: t\nscript: stop\n").await;
    rig.react("name: c\nevent: t\nscript: fail no\n").await;
    rig.react("name: d\nevent: t\nwhen: 'false'\nscript: stop\n")
        .await;
    rig.react("name: e\nevent: t\nwhen: event.type\nscript: stop\n")
        .await;
    let first = consult(&rig).await;
    assert_eq!(said(&first), ["\"yes\""]);
    assert_eq!((first.silent, first.open), (3, 0));
    let again = consult(&rig).await;
    assert!(again.receipt.duplicate);
    assert_eq!((said(&again), again.silent), (said(&first), 3));
}
