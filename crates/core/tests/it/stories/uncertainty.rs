//! What happens when nobody knows whether an attempt took effect: the answer was lost, the
//! process died, or the attempt was stopped.

use std::time::Duration;

use conche_core::definition::{Definition, Step};
use conche_core::run::{Entry, ErrorKind, Report, Resolution, Status};

use super::golden;
use crate::definitions::{act_into, graph, reaction, two_steps};
use crate::shell::{Shell, json};

/// script → one action of this class.
fn one(action: &str) -> Definition {
    reaction(&format!(
        "
name: one
event: e
script: x
actions: {{ x: {{ module: demo, action: {action}, retry: {{ attempts: 2 }} }} }}
"
    ))
}

#[test]
fn an_idempotent_or_keyed_action_is_repeated_with_the_same_key() {
    for class in ["idempotent", "keyed"] {
        let mut run = Shell::new(one(class));
        run.verdict("script", "x", "{}")
            .uncertain("x")
            .wakes_after(0.8..=1.0)
            .expect(["invoke x #2 {}"])
            .output("x", "{}")
            .expect(["succeeded"]);
        let keys = run.keys("x");
        assert_eq!((keys.len(), keys[0]), (2, keys[1]));
    }
}

#[test]
fn an_attempt_of_unknown_effect_that_may_not_be_repeated_again_is_left_to_a_person() {
    Shell::new(one("keyed"))
        .verdict("script", "x", "{}")
        .uncertain("x")
        .wakes_after(0.8..=1.0)
        .uncertain("x")
        .expect(["wait"])
        .resume("x", Resolution::Repeat)
        .expect(["invoke x #3 {}"]);
}

#[test]
fn an_unsafe_action_of_unknown_effect_needs_attention() {
    let mut run = Shell::new(one("unsafe"));
    run.verdict("script", "x", "{}")
        .uncertain("x")
        .expect(["wait"]);
    let summary = run.state.summary();
    assert_eq!(summary.status, Status::NeedsAttention);
    assert_eq!(
        summary.reason.as_deref(),
        Some("it is unknown whether attempt 1 of 'x' took effect: no answer came")
    );
}

#[test]
fn a_person_may_have_it_repeated_with_the_same_key() {
    let mut run = Shell::new(one("unsafe"));
    run.verdict("script", "x", "{}")
        .uncertain("x")
        .expect(["wait"])
        .crash()
        .resume("x", Resolution::Repeat)
        .expect(["invoke x #2 {}"])
        .output("x", "{}")
        .expect(["succeeded"]);
    let keys = run.keys("x");
    assert_eq!((keys.len(), keys[0]), (2, keys[1]));
    golden("attention", &run.text());
}

#[test]
fn a_repeat_that_a_person_asked_for_has_a_whole_budget_of_attempts() {
    Shell::new(one("unsafe"))
        .verdict("script", "x", "{}")
        .uncertain("x")
        .expect(["wait"])
        .resume("x", Resolution::Repeat)
        .fail("x", ErrorKind::Transient)
        .wakes_after(0.8..=1.0)
        .fail("x", ErrorKind::Transient)
        .expect(["failed: it broke"]);
}

#[test]
fn a_person_may_say_that_it_happened_or_that_it_did_not() {
    Shell::new(one("unsafe"))
        .verdict("script", "x", "{}")
        .uncertain("x")
        .expect(["wait"])
        .resume("x", Resolution::Succeeded { output: json("1") })
        .expect(["succeeded"]);
    Shell::new(one("unsafe"))
        .verdict("script", "x", "{}")
        .uncertain("x")
        .expect(["wait"])
        .resume(
            "x",
            Resolution::Failed {
                reason: "the host is gone".to_owned(),
            },
        )
        .expect(["failed: the host is gone"]);
}

#[test]
fn an_output_given_by_a_person_sets_the_steps_variable_too() {
    let mut action = act_into("score", None);
    action.policy.on_uncertain = conche_core::run::OnUncertain::Attention;
    let mut run = Shell::new(graph("assign", [("ask", Step::Action(action))]));
    run.uncertain("ask")
        .expect(["wait"])
        .resume("ask", Resolution::Succeeded { output: json("7") })
        .expect(["succeeded"]);
    assert_eq!(run.state.variables()["score"], json("7"));
}

#[test]
fn what_needs_no_attention_cannot_be_resumed() {
    let mut run = Shell::new(one("unsafe"));
    run.verdict("script", "x", "{}").begin("x");
    let visit = run.number("x");
    for (visit, state) in [
        (visit, "performing at its visit of 'x'"),
        (9, "without visit 9"),
    ] {
        let by = String::new();
        let error =
            conche_core::run::resume(&run.definition, &run.state, visit, Resolution::Repeat, by);
        assert_eq!(error.expect_err("refused").state, state);
    }
}

#[test]
fn a_probe_that_finds_the_effect_gives_the_output_without_a_second_attempt() {
    let mut run = Shell::new(one("probe"));
    run.verdict("script", "x", "{}")
        .uncertain("x")
        .expect(["probe x #1"])
        .crash()
        .expect(["probe x #1"])
        .output("x", r#"{"found":true}"#)
        .expect(["succeeded"]);
    assert_eq!(run.keys("x").len(), 1);
}

#[test]
fn a_probe_that_finds_nothing_leads_to_another_attempt_within_the_budget() {
    let mut run = Shell::new(one("probe"));
    run.verdict("script", "x", "{}")
        .uncertain("x")
        .report("x", Report::NotHappened)
        .wakes_after(0.8..=1.0)
        .expect(["invoke x #2 {}"])
        .uncertain("x")
        .expect(["probe x #2"])
        .report("x", Report::NotHappened)
        .expect(["failed: attempt 2 had no effect"]);
    let keys = run.keys("x");
    assert_eq!((keys.len(), keys[0]), (2, keys[1]));
}

#[test]
fn what_can_be_probed_is_probed_at_once_even_where_a_repeat_was_asked_for() {
    let mut run = Shell::new(reaction(
        "
name: one
event: e
script: x
actions: { x: { module: demo, action: probe, on_uncertain: repeat } }
",
    ));
    run.verdict("script", "x", "{}")
        .uncertain("x")
        .expect(["probe x #1"]);
    let last = run.journal.last().map(|record| &record.entry);
    let Some(Entry::Interrupted { retry_at, .. }) = last else {
        panic!("{last:?}")
    };
    assert_eq!(*retry_at, None, "the journal promises no repeat");
}

#[test]
fn a_probe_that_cannot_tell_leaves_it_to_a_person() {
    let evidence = "the receiver keeps no record".to_owned();
    let mut run = Shell::new(one("probe"));
    run.verdict("script", "x", "{}")
        .uncertain("x")
        .report("x", Report::ProbeFailed { evidence })
        .expect(["wait"]);
    assert_eq!(run.state.summary().status, Status::NeedsAttention);
}

#[test]
fn a_crash_before_the_intent_is_recorded_loses_nothing() {
    let mut run = Shell::new(two_steps());
    run.verdict("script", "look", "{}")
        .expect(["invoke look #1 {}"])
        .crash()
        .expect(["invoke look #1 {}"]);
    assert!(run.keys("look").is_empty());
}

#[test]
fn a_crash_while_performing_makes_the_attempt_uncertain() {
    let mut run = Shell::new(two_steps());
    run.verdict("script", "look", "{}")
        .begin("look")
        .crash()
        .wakes_after(0.8..=1.0)
        .expect(["invoke look #2 {}"])
        .output("look", "{}")
        .verdict("look:script", "block", "{}")
        .begin("block")
        .crash()
        .expect(["wait"]);
    assert_eq!(run.state.summary().status, Status::NeedsAttention);
    golden("crashes", &run.text());
}

#[test]
fn an_answer_that_comes_while_the_effect_is_unknown_settles_it() {
    let mut run = Shell::new(one("keyed"));
    run.verdict("script", "x", "{}").uncertain("x");
    let visit = run.number("x");
    run.report_visit(visit, Report::Output(json("{}")));
    run.expect(["succeeded"]);
}

#[test]
fn an_answer_to_an_earlier_attempt_is_refused() {
    let mut run = Shell::new(one("keyed"));
    run.verdict("script", "x", "{}")
        .fail("x", ErrorKind::Transient)
        .pass(Duration::from_secs(1))
        .begin("x");
    let late = conche_core::run::Entry::Succeeded {
        visit: run.number("x"),
        attempt: 1,
        output: json("{}"),
        variables: std::collections::BTreeMap::new(),
    };
    let error = run.try_append(late).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "a run that is performing at its visit of 'x' does not accept 'succeeded'"
    );
}

/// The store is put back from a copy that was taken an hour before.
fn restored(run: &mut Shell) -> &mut Shell {
    let copied_at = run.now;
    run.now += Duration::from_hours(1);
    run.append(Entry::Restored { copied_at });
    run
}

#[test]
fn after_a_restore_what_may_be_repeated_is_done_and_what_can_be_asked_is_asked() {
    for (class, effect) in [
        ("idempotent", "invoke x #1 {}"),
        ("keyed", "invoke x #1 {}"),
        ("probe", "probe x #1"),
    ] {
        let mut run = Shell::new(one(class));
        restored(run.verdict("script", "x", "{}")).expect([effect]);
    }
}

#[test]
fn a_probe_after_a_restore_that_finds_nothing_has_the_action_done_once() {
    let mut run = Shell::new(one("probe"));
    restored(run.verdict("script", "x", "{}")).expect(["probe x #1"]);
    run.report("x", Report::NotHappened)
        .wakes_after(0.8..=1.0)
        .expect(["invoke x #2 {}"])
        .output("x", "{}")
        .expect(["succeeded"]);
}

#[test]
fn after_a_restore_an_unsafe_action_is_left_to_a_person_before_it_is_done() {
    let mut run = Shell::new(one("unsafe"));
    restored(run.verdict("script", "x", "{}")).expect(["wait"]);
    let summary = run.state.summary();
    assert_eq!(summary.status, Status::NeedsAttention);
    assert_eq!(
        summary.reason.as_deref(),
        Some(
            "it is unknown whether attempt 1 of 'x' took effect: the run was restored from a copy of 1970-01-01T00:00:00Z, and it may have been done since"
        )
    );
    run.resume("x", Resolution::Repeat)
        .expect(["invoke x #2 {}"])
        .output("x", "{}")
        .expect(["succeeded"]);
}

#[test]
fn every_unsafe_action_after_a_restore_is_asked_about_once() {
    let mut run = Shell::new(reaction(
        "
name: two
event: e
script: x
actions:
  x: { module: demo, action: unsafe, script: y }
  y: { module: demo, action: unsafe }
",
    ));
    let said = || Resolution::Succeeded { output: json("1") };
    restored(run.verdict("script", "x", "{}")).expect(["wait"]);
    run.resume("x", said()).verdict("x:script", "y", "{}");
    run.expect(["wait"])
        .resume("y", said())
        .expect(["succeeded"]);
}

#[test]
fn a_person_who_answered_before_the_copy_is_asked_again_after_it() {
    let mut run = Shell::new(one("unsafe"));
    run.verdict("script", "x", "{}")
        .uncertain("x")
        .expect(["wait"])
        .resume("x", Resolution::Repeat);
    restored(&mut run).expect(["wait"]);
    assert_eq!(run.state.summary().status, Status::NeedsAttention);
}

#[test]
fn an_operator_who_has_a_restored_run_go_on_from_a_step_is_not_asked() {
    let mut run = Shell::new(one("unsafe"));
    restored(run.verdict("script", "x", "{}")).expect(["wait"]);
    let reason = "the host is gone".to_owned();
    run.resume("x", Resolution::Failed { reason })
        .expect(["failed: the host is gone"])
        .reopen("x")
        .expect(["invoke x #2 {}"]);
}

#[test]
fn only_a_restored_run_may_doubt_what_it_has_not_begun() {
    let mut run = Shell::new(one("unsafe"));
    run.verdict("script", "x", "{}");
    let visit = {
        run.effects();
        run.number("x")
    };
    let doubt = Entry::Interrupted {
        visit,
        attempt: 1,
        evidence: String::new(),
        retry_at: None,
    };
    assert!(run.try_append(doubt).is_err());
}
