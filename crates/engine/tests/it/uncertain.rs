//! What is repeated, with which key, and what is left to a person.

use conche_core::Json;
use conche_core::run::{Resolution, Status};
use conche_testkit::{Behaviour, Rig};
use serde_json::json;

async fn rig_with(action: &str, more: &str) -> Rig {
    let rig = Rig::new().await;
    rig.react(&format!(
        "name: r\nevent: t\nscript: next one {{}}\nactions:\n  one: {{module: test, action: {action}, script: next two{more}}}\n  two: {{module: test, action: idempotent}}\n"
    ))
    .await;
    rig
}

#[tokio::test]
async fn a_transient_failure_is_tried_again_with_the_same_key() {
    let rig = rig_with("unsafe", "").await;
    rig.actions.plan(
        "unsafe",
        [Behaviour::Retry("busy"), Behaviour::Retry("busy")],
    );
    let event = rig.accepted("t").await;
    for calls in 1..=2 {
        rig.actions.called(calls).await;
        let run = rig.runs(event).await.remove(0).run;
        rig.skip_to_wake_up(run).await;
    }
    rig.run_with(event, Status::Succeeded).await;
    let seen = rig.actions.seen();
    assert_eq!(
        seen.iter().map(|call| call.attempt).collect::<Vec<_>>(),
        [1, 2, 3, 1]
    );
    assert!(seen[..3].iter().all(|call| call.key == seen[0].key));
}

#[tokio::test]
async fn a_permanent_failure_and_a_spent_budget_end_the_run() {
    let rig = rig_with("keyed", ", retry: {attempts: 2}").await;
    rig.actions
        .plan("keyed", [Behaviour::Refuse("no such host")]);
    let event = rig.accepted("t").await;
    let run = rig.run_with(event, Status::Failed).await;
    assert_eq!(run.summary.reason.as_deref(), Some("no such host"));
    rig.actions.plan(
        "keyed",
        [Behaviour::Retry("busy"), Behaviour::Retry("busy still")],
    );
    let event = rig.accepted("t").await;
    rig.actions.called(2).await;
    let run = rig.runs(event).await.remove(0).run;
    rig.skip_to_wake_up(run).await;
    let run = rig.run_with(event, Status::Failed).await;
    assert_eq!(run.summary.reason.as_deref(), Some("busy still"));
}

#[tokio::test]
async fn a_lost_answer_is_repeated_where_a_repeat_is_harmless() {
    for action in ["idempotent", "keyed"] {
        let rig = rig_with(action, "").await;
        rig.actions.plan(action, [Behaviour::LoseAnswer]);
        let event = rig.accepted("t").await;
        rig.actions.called(1).await;
        let run = rig.runs(event).await.remove(0).run;
        rig.skip_to_wake_up(run).await;
        rig.run_with(event, Status::Succeeded).await;
        let seen = rig.actions.seen();
        assert_eq!(seen[0].key, seen[1].key);
    }
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_where_it_can_be() {
    let rig = rig_with("probed", "").await;
    rig.actions.plan("probed", [Behaviour::LoseAnswer]);
    let event = rig.accepted("t").await;
    rig.run_with(event, Status::Succeeded).await;
    assert_eq!(rig.actions.seen().len(), 2, "the effect was not repeated");
    rig.actions.plan("probed", [Behaviour::LoseRequest]);
    let event = rig.accepted("t").await;
    rig.actions.called(3).await;
    let run = rig.runs(event).await.remove(0).run;
    rig.skip_to_wake_up(run).await;
    rig.run_with(event, Status::Succeeded).await;
    assert!(rig.actions.effects().values().all(|times| *times == 1));
}

#[tokio::test]
async fn an_unsafe_action_whose_answer_is_lost_waits_for_a_person() {
    for (resolution, status, calls) in [
        (Resolution::Repeat, Status::Succeeded, 3),
        (
            Resolution::Succeeded {
                output: Json::from(&json!({"by": "hand"})),
            },
            Status::Succeeded,
            2,
        ),
        (
            Resolution::Failed {
                reason: "it never arrived".to_owned(),
            },
            Status::Failed,
            1,
        ),
    ] {
        let rig = rig_with("unsafe", "").await;
        rig.actions.plan("unsafe", [Behaviour::LoseAnswer]);
        let event = rig.accepted("t").await;
        let run = rig.run_with(event, Status::NeedsAttention).await;
        let reason = run.summary.reason.unwrap();
        assert!(
            reason.contains("attempt 1 of 'one'") && reason.contains("the answer was lost"),
            "{reason}"
        );
        rig.engine
            .resume(run.run, None, resolution, "ann")
            .await
            .unwrap();
        rig.run_with(event, status).await;
        assert_eq!(rig.actions.seen().len(), calls);
        assert!(
            rig.engine
                .resume(run.run, None, Resolution::Repeat, "ann")
                .await
                .is_err()
        );
    }
}

#[tokio::test]
async fn a_word_about_one_attempt_is_never_taken_for_one_about_the_next() {
    let rig = rig_with("unsafe", "").await;
    rig.actions
        .plan("unsafe", [Behaviour::LoseAnswer, Behaviour::LoseAnswer]);
    let event = rig.accepted("t").await;
    let run = rig.run_with(event, Status::NeedsAttention).await.run;
    let resume = |visit| rig.engine.resume(run, visit, Resolution::Repeat, "ann");
    resume(None).await.unwrap();
    rig.actions.called(2).await;
    rig.run_with(event, Status::NeedsAttention).await;
    let unclear = resume(None).await.unwrap_err().to_string();
    assert!(
        unclear.contains("turned to people 2 times") && unclear.contains("visit 1"),
        "{unclear}"
    );
    resume(Some(1)).await.unwrap();
    rig.run_with(event, Status::Succeeded).await;
}

#[tokio::test]
async fn a_definition_may_say_that_a_repeat_is_wanted() {
    let rig = rig_with("unsafe", ", on_uncertain: repeat").await;
    rig.actions.plan("unsafe", [Behaviour::LoseAnswer]);
    let event = rig.accepted("t").await;
    rig.actions.called(1).await;
    let run = rig.runs(event).await.remove(0).run;
    rig.skip_to_wake_up(run).await;
    rig.run_with(event, Status::Succeeded).await;
}

#[tokio::test]
async fn a_module_that_panics_leaves_its_effect_in_doubt_and_the_engine_alive() {
    let rig = rig_with("unsafe", "").await;
    rig.actions.plan("unsafe", [Behaviour::Panic]);
    let event = rig.accepted("t").await;
    let run = rig.run_with(event, Status::NeedsAttention).await;
    assert!(run.summary.reason.unwrap().contains("panicked"));
    let event = rig.accepted("t").await;
    rig.run_with(event, Status::Succeeded).await;
}

#[tokio::test]
async fn needing_attention_is_an_event() {
    let rig = rig_with("unsafe", "").await;
    rig.react("name: pager\nevent: conche.run.needs_attention\nscript: next page\nactions: {page: {module: test, action: keyed}}\n").await;
    rig.actions.plan("unsafe", [Behaviour::LoseAnswer]);
    rig.accepted("t").await;
    rig.actions.called(2).await;
    let paged: serde_json::Value = rig.actions.seen().pop().unwrap().input.read().unwrap();
    assert_eq!(paged["event"]["definition"], "r");
}
