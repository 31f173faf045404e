//! From an event to the end of its runs.

use conche_core::run::{Entry, Status};
use conche_testkit::{Behaviour, Rig};
use serde_json::json;

const TWO_STEPS: &str = "
name: two-steps
event: t
script: |
  log first
  next one
actions:
  one: {module: test, action: keyed, script: 'next two'}
  two: {module: test, action: idempotent}
";

#[tokio::test]
async fn an_event_runs_script_action_script_action_and_is_recorded() {
    let rig = Rig::new().await;
    rig.react(TWO_STEPS).await;
    rig.actions
        .plan("keyed", [Behaviour::Succeed(json!({"found": 7}))]);
    let event = rig.accepted("t").await;
    let run = rig.run_with(event, Status::Succeeded).await;
    assert_eq!(
        rig.journal(run.run).await,
        [
            "started",
            "entered",
            "evaluated",
            "entered",
            "intended",
            "succeeded",
            "entered",
            "evaluated",
            "entered",
            "intended",
            "succeeded",
            "finished"
        ]
    );
    let seen = rig.actions.seen();
    assert_eq!(
        seen[0].input.as_str(),
        r#"{"event":{"n":1},"actionData":{}}"#
    );
    assert_eq!(
        seen[1].input.as_str(),
        r#"{"event":{"n":1},"actionData":{"found":7}}"#
    );
    assert_ne!(seen[0].key, seen[1].key);
    let journal = conche_store::Catalogue::journal(&*rig.store, run.run, 0)
        .await
        .unwrap();
    let logs = journal
        .records
        .iter()
        .find_map(|record| match &record.entry {
            Entry::Evaluated { logs, .. } => Some(logs.clone()),
            _ => None,
        });
    assert_eq!(logs.unwrap()[0].text, "first");
}

#[tokio::test]
async fn the_same_fact_again_starts_nothing() {
    let rig = Rig::new().await;
    rig.react(TWO_STEPS).await;
    let first = rig.send("t", Some("id-1"), json!({})).await.unwrap();
    rig.run_with(first.event, Status::Succeeded).await;
    let again = rig
        .send("t", Some("id-1"), json!({"other": true}))
        .await
        .unwrap();
    assert!(again.duplicate);
    assert_eq!(again.event, first.event);
    assert_eq!(rig.runs(first.event).await.len(), 1);
    assert_eq!(rig.actions.seen().len(), 2);
}

#[tokio::test]
async fn every_matching_reaction_runs_and_no_other() {
    let rig = Rig::new().await;
    for (name, when) in [
        ("a", ""),
        ("b", "when: event.data.n == 1"),
        ("c", "when: event.data.n == 2"),
    ] {
        rig.react(&format!(
            "name: {name}\nevents: [t, u]\nscript: stop\n{when}\n"
        ))
        .await;
    }
    rig.react("name: d\nevent: other\nscript: stop\n").await;
    let event = rig.accepted("u").await;
    let mut names: Vec<String> = Vec::new();
    for name in ["a", "b"] {
        let run = rig.run_with(event, Status::Succeeded).await;
        assert!(!run.name.is_empty(), "{name}");
    }
    names.extend(rig.runs(event).await.into_iter().map(|run| run.name));
    names.sort();
    assert_eq!(names, ["a", "b"]);
}

#[tokio::test]
async fn a_changed_event_is_seen_by_later_scripts_of_the_same_run_only() {
    let rig = Rig::new().await;
    rig.react("name: changer\nevent: t\nscript: 'change {\"n\":2} next one'\nactions:\n  one: {module: test, action: keyed, script: next two}\n  two: {module: test, action: idempotent}\n").await;
    let event = rig.accepted("t").await;
    rig.run_with(event, Status::Succeeded).await;
    let seen = rig.actions.seen();
    assert!(
        seen[1].input.as_str().contains(r#""event":{"n":2}"#),
        "{:?}",
        seen[1]
    );
    assert_eq!(
        rig.store.event(event).await.unwrap().event.data.as_str(),
        r#"{"n":1}"#
    );
}

#[tokio::test]
async fn failures_end_the_run_with_their_reason_and_are_events_themselves() {
    let rig = Rig::new().await;
    rig.react("name: alarm\nevent: conche.run.failed\nscript: next tell\nactions: {tell: {module: test, action: idempotent}}\n").await;
    rig.react("name: bad\nevent: t\nscript: fail boom\n").await;
    let event = rig.accepted("t").await;
    let run = rig.run_with(event, Status::Failed).await;
    assert_eq!(run.summary.reason.as_deref(), Some("boom"));
    rig.actions.called(1).await;
    let told = rig.actions.seen().remove(0).input;
    let told: serde_json::Value = told.read().unwrap();
    assert_eq!(told["event"]["run_id"], json!(run.run));
    assert_eq!(told["event"]["reason"], "boom");
    assert_eq!(told["event"]["definition"], "bad");
}

#[tokio::test]
async fn an_action_or_module_that_does_not_exist_fails_the_run_and_names_what_there_is() {
    let rig = Rig::new().await;
    for (name, script, action, part) in [
        (
            "a",
            "next nowhere",
            "{module: test, action: keyed}",
            "'nowhere', which is not defined (defined: one)",
        ),
        (
            "b",
            "next one",
            "{module: nope, action: keyed}",
            "there is no module 'nope' (there are: test)",
        ),
        (
            "c",
            "next one",
            "{module: test, action: nope}",
            "has no action 'nope' (it has: idempotent, keyed, probed, unsafe)",
        ),
    ] {
        rig.react(&format!(
            "name: {name}\nevent: {name}\nscript: {script}\nactions: {{one: {action}}}\n"
        ))
        .await;
        let event = rig.accepted(name).await;
        let run = rig.run_with(event, Status::Failed).await;
        let reason = run.summary.reason.unwrap();
        assert!(reason.contains(part), "{reason}");
    }
}

#[tokio::test]
async fn a_run_keeps_the_version_it_began_with() {
    let rig = Rig::new().await;
    let version = |data: &str| {
        format!(
            "name: r\nevent: t\nscript: next one {{}}\nactions:\n  one: {{module: test, action: keyed, script: 'next two {data}'}}\n  two: {{module: test, action: idempotent}}\n"
        )
    };
    rig.react(&version(r#"{"v":1}"#)).await;
    rig.actions.plan("keyed", [Behaviour::Retry("later")]);
    let event = rig.accepted("t").await;
    rig.actions.called(1).await;
    rig.react(&version(r#"{"v":2}"#)).await;
    let run = rig.runs(event).await.remove(0).run;
    rig.skip_to_wake_up(run).await;
    rig.run_with(event, Status::Succeeded).await;
    assert_eq!(
        rig.actions.seen().pop().unwrap().input.as_str(),
        r#"{"v":1}"#
    );
    let event = rig.accepted("t").await;
    rig.run_with(event, Status::Succeeded).await;
    assert_eq!(
        rig.actions.seen().pop().unwrap().input.as_str(),
        r#"{"v":2}"#
    );
}

#[tokio::test]
async fn event_types_of_our_own_cannot_be_forged() {
    let rig = Rig::new().await;
    let refusal = rig
        .send("conche.run.failed", None, json!({}))
        .await
        .unwrap_err();
    assert!(refusal.to_string().contains("reserved"), "{refusal}");
    assert!(rig.send("", None, json!({})).await.is_err());
}
