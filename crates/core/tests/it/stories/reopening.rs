//! An operator has a finished run go on from one of its steps.

use std::time::Duration;

use conche_core::definition::{Comparison, Container, Opens, Step};
use conche_core::run::{ErrorKind, Resolution, Status};
use serde_json::json;

use super::golden;
use crate::definitions::{act, act_once, fan_out, graph, response, two_steps, when};
use crate::shell::{Shell, is_done};

/// Both branches of a fan-out in its first iteration; `b` failed, so the loop and the run did.
fn failed_in_branch() -> Shell {
    let mut run = Shell::with(fan_out(), &[("left", json!(2))]);
    run.output("a", "{}")
        .fail("b", ErrorKind::Permanent)
        .expect(["failed: it broke"]);
    run
}

#[test]
fn a_run_goes_on_from_the_step_that_failed_with_a_new_key() {
    let mut run = Shell::new(two_steps());
    run.verdict("script", "look", "{}")
        .fail("look", ErrorKind::Permanent)
        .expect(["failed: it broke"])
        .pass(Duration::from_hours(30))
        .reopen("look")
        .expect(["invoke look #2 {}"])
        .output("look", "{}")
        .expect(["evaluate look:script data {}"])
        .stop("look:script")
        .expect(["succeeded"]);
    let keys = run.keys("look");
    assert_eq!(keys.len(), 2);
    assert_ne!(keys[0], keys[1]);
    assert_eq!(run.state.rerun(), 1);
    golden("reopened", &run.text());
}

#[test]
fn a_reopened_step_has_its_whole_budget_of_attempts_again() {
    let mut run = Shell::new(two_steps());
    run.verdict("script", "look", "{}");
    for _ in 0..3 {
        run.fail("look", ErrorKind::Transient)
            .pass(Duration::from_secs(5));
    }
    run.expect(["failed: it broke"]).reopen("look");
    for _ in 0..2 {
        run.fail("look", ErrorKind::Transient)
            .wakes_after(0.8..=2.0);
    }
    run.output("look", "{}")
        .expect(["evaluate look:script data {}"]);
    let keys = run.keys("look");
    assert!(keys[..3].iter().all(|key| *key == keys[0]));
    assert!(keys[3..].iter().all(|key| *key == keys[3]));
    assert_ne!(keys[0], keys[3]);
}

#[test]
fn a_run_may_go_back_beyond_the_step_that_failed() {
    let mut run = Shell::new(two_steps());
    run.verdict("script", "look", "{}")
        .output("look", "1")
        .fail("look:script", ErrorKind::Script)
        .expect(["failed: it broke"])
        .reopen("script")
        .expect(["evaluate script"])
        .verdict("script", "look", "{}")
        .expect(["invoke look #1 {}"])
        .output("look", "2")
        .expect(["evaluate look:script data 2"]);
    let forgotten: Vec<bool> = run
        .state
        .visits()
        .iter()
        .map(|visit| visit.forgotten)
        .collect();
    assert_eq!(forgotten, [false, true, true, false, false]);
    let keys = run.keys("look");
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn a_forgotten_visit_cannot_be_reopened() {
    let mut run = Shell::new(two_steps());
    run.verdict("script", "look", "{}")
        .fail("look", ErrorKind::Permanent)
        .expect(["failed: it broke"])
        .reopen("script")
        .stop("script")
        .expect(["succeeded"]);
    let reopened = conche_core::run::Entry::Reopened {
        visit: 1,
        by: "ana".to_owned(),
        identity: None,
        deadline: run.now,
    };
    assert!(run.try_append(reopened).is_err());
}

#[test]
fn a_branch_goes_on_alone_and_joins_what_the_others_had_done() {
    let mut run = failed_in_branch();
    run.reopen("b")
        .expect(["invoke b #2 {}"])
        .output("b", "{}")
        .expect(["invoke count #1 {}"])
        .output("count", "0")
        .expect(["invoke done #1 {}"]);
    assert_eq!(run.keys("a").len(), 1, "the other branch is not run again");
    assert!(is_done(run.visit("rounds")));
    golden("reopened-branch", &run.text());
}

#[test]
fn branches_that_both_failed_are_reopened_one_after_the_other() {
    let mut run = Shell::with(fan_out(), &[("left", json!(1))]);
    run.fail("a", ErrorKind::Permanent)
        .fail("b", ErrorKind::Permanent)
        .expect(["failed: it broke"])
        .reopen("a")
        .expect(["invoke a #2 {}"])
        .output("a", "{}")
        .expect(["failed: it broke"])
        .reopen("b")
        .expect(["invoke b #2 {}"])
        .output("b", "{}")
        .expect(["invoke count #1 {}"]);
}

#[test]
fn what_came_after_a_container_is_forgotten_when_a_branch_of_it_is_reopened() {
    let mut run = Shell::with(fan_out(), &[("left", json!(1))]);
    run.output("a", "{}")
        .output("b", "{}")
        .output("count", "0")
        .fail("done", ErrorKind::Permanent)
        .expect(["failed: it broke"])
        .reopen("b")
        .expect(["invoke b #2 {}"])
        .output("b", "{}")
        .expect(["invoke count #1 {}"])
        .output("count", "0")
        .expect(["invoke done #1 {}"])
        .output("done", "{}")
        .expect(["succeeded"]);
    assert_eq!(run.keys("a").len(), 1);
}

#[test]
fn a_loop_goes_on_from_the_iteration_that_failed() {
    let mut run = Shell::with(
        response(),
        &[("left", json!(2)), ("severity", json!("low"))],
    );
    run.output("block", "{}")
        .output("poll", "1")
        .wakes_after(10.0..=10.0)
        .fail("poll", ErrorKind::Permanent)
        .expect(["failed: it broke"])
        .reopen("poll")
        .expect(["invoke poll #2 {}"])
        .output("poll", "0")
        .wakes_after(10.0..=10.0)
        .expect(["invoke note #1 {}"]);
    golden("reopened-iteration", &run.text());
}

#[test]
fn a_loop_may_go_back_to_an_earlier_iteration() {
    let mut run = Shell::with(fan_out(), &[("left", json!(2))]);
    let first = {
        run.output("a", "{}").output("b", "{}");
        run.number("b")
    };
    run.output("count", "1")
        .output("a", "{}")
        .fail("b", ErrorKind::Permanent)
        .expect(["failed: it broke"])
        .reopen_visit(first)
        .expect(["invoke b #2 {}"])
        .output("b", "{}")
        .expect(["invoke count #1 {}"])
        .output("count", "1")
        .expect(["invoke a #1 {}", "invoke b #1 {}"]);
}

#[test]
fn a_container_is_reopened_as_a_whole() {
    let mut run = failed_in_branch();
    run.reopen("fan")
        .expect(["invoke a #1 {}", "invoke b #1 {}"])
        .output("a", "{}")
        .output("b", "{}")
        .output("count", "0")
        .expect(["invoke done #1 {}"]);
    let keys = run.keys("a");
    assert_ne!(keys[0], keys[1]);
    let mut run = failed_in_branch();
    run.reopen("rounds")
        .expect(["invoke a #1 {}", "invoke b #1 {}"])
        .crash()
        .expect(["invoke a #1 {}", "invoke b #1 {}"]);
}

#[test]
fn what_was_open_when_a_run_was_cancelled_stays_forgotten_after_two_reopenings() {
    let mut definition = fan_out();
    definition.start = "first".into();
    definition
        .steps
        .insert("first".into(), Step::Action(act(Some("rounds"))));
    let mut run = Shell::with(definition, &[("left", json!(1))]);
    run.output("first", "{}")
        .output("a", "{}")
        .expect(["invoke b #1 {}"])
        .cancel()
        .expect(["cancelled: cancelled by ana"])
        .reopen("first")
        .fail("first", ErrorKind::Permanent)
        .expect(["failed: it broke"])
        .reopen("first")
        .expect(["invoke first #3 {}"]);
}

#[test]
fn a_cancelled_run_goes_on_where_it_stood() {
    let mut run = Shell::new(two_steps());
    run.verdict("script", "look", "{}")
        .begin("look")
        .cancel()
        .stops()
        .expect(["cancelled: cancelled by ana"])
        .reopen("look")
        .expect(["invoke look #2 {}"]);
    assert_eq!(run.state.summary().status, Status::Running);
    assert_eq!(run.state.finished_at(), None);
}

#[test]
fn a_branch_left_uncertain_keeps_its_key_when_another_is_reopened() {
    let steps = [
        (
            "both",
            Step::Container(Container::new(Opens::Parallel {
                branches: vec!["a".into(), "b".into()],
                fail_fast: false,
            })),
        ),
        ("a", Step::Action(act(None))),
        ("b", Step::Action(act_once(None))),
    ];
    let mut run = Shell::new(graph("pair", steps));
    run.fail("a", ErrorKind::Permanent)
        .uncertain("b")
        .expect(["wait"])
        .cancel()
        .expect(["cancelled: cancelled by ana"])
        .reopen("a")
        .expect(["invoke a #2 {}", "wait"])
        .resume("b", Resolution::Repeat)
        .expect(["invoke a #2 {}", "invoke b #2 {}"])
        .begin("a")
        .begin("b");
    let (a, b) = (run.keys("a"), run.keys("b"));
    assert_ne!(a[0], a[1], "an operator wants it done again");
    assert_eq!(b[0], b[1], "a repeat of the same effect");
}

#[test]
fn a_choice_that_is_reopened_chooses_again() {
    let steps = [
        (
            "set",
            Step::Action(crate::definitions::act_into("x", Some("choice"))),
        ),
        (
            "choice",
            Step::Container(Container::new(Opens::If {
                cases: vec![(when("x", Comparison::Equal, 1), "one".into())],
                otherwise: Some("other".into()),
            })),
        ),
        ("one", Step::Action(act(None))),
        ("other", Step::Action(act(None))),
    ];
    let mut run = Shell::new(graph("choice", steps));
    run.output("set", "1")
        .fail("one", ErrorKind::Permanent)
        .expect(["failed: it broke"])
        .reopen("set")
        .output("set", "2")
        .expect(["invoke other #1 {}"])
        .fail("other", ErrorKind::Permanent)
        .expect(["failed: it broke"])
        .reopen("choice")
        .expect(["invoke other #1 {}"])
        .output("other", "{}")
        .expect(["succeeded"]);
}
