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
