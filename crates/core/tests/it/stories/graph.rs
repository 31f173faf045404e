//! Containers: branches side by side, choices, loops, delays, and ways out of failure.

use std::time::Duration;

use conche_core::definition::{Comparison, Container, Input, Opens, Step};
use conche_core::run::ErrorKind;
use serde_json::json;

use super::golden;
use crate::definitions::{act, act_into, fan_out, graph, response, when};
use crate::shell::{Shell, failure};

fn respond(severity: &str) -> Shell {
    let variables = [("left", json!(2)), ("severity", json!(severity))];
    Shell::with(response(), &variables)
}

#[test]
fn branches_run_side_by_side_and_join_before_the_next_step() {
    let mut run = respond("high");
    run.expect(["invoke block #1 {}", "invoke poll #1 {}"])
        .begin("block")
        .begin("poll")
        .expect(["wait"])
        .output("poll", "1")
        .expect(["wait", "wait until +10s"])
        .output("block", "{}")
        .expect(["wait until +10s"])
        .wakes_after(10.0..=10.0)
        .expect(["invoke poll #1 {}"])
        .output("poll", "0")
        .wakes_after(10.0..=10.0)
        .expect(["invoke note #1 {}"])
        .output("note", "{}")
        .expect(["invoke page #1 {}"])
        .output("page", "{}")
        .expect(["invoke close #1 {}"])
        .output("close", "{}")
        .expect(["succeeded"]);
    golden("response", &run.text());
}

#[test]
fn a_loop_whose_condition_does_not_hold_runs_nothing() {
    let variables = [("left", json!(0)), ("severity", json!("high"))];
    Shell::with(response(), &variables).expect(["invoke block #1 {}", "invoke note #1 {}"]);
}

#[test]
fn a_choice_takes_the_first_case_that_holds_or_the_otherwise() {
    for (severity, step) in [("high", "page"), ("low", "mail"), ("none", "log")] {
        let mut run = Shell::with(
            response(),
            &[("left", json!(0)), ("severity", json!(severity))],
        );
        run.output("block", "{}").output("note", "{}");
        let expected = format!("invoke {step} #1 {{}}");
        run.expect([expected.as_str()])
            .output(step, "{}")
            .expect(["invoke close #1 {}"]);
    }
}

#[test]
fn a_choice_without_a_case_that_holds_is_passed_over() {
    let choice = |next: Option<&str>| {
        Step::Container(
            Container::new(Opens::If {
                cases: vec![(when("x", Comparison::Equal, 1), "act".into())],
                otherwise: None,
            })
            .then(next.map(Into::into)),
        )
    };
    let steps = [("choice", choice(None)), ("act", Step::Action(act(None)))];
    Shell::with(graph("choice", steps.clone()), &[("x", json!(2))]).expect(["succeeded"]);
    Shell::with(graph("choice", steps), &[("x", json!(1))]).expect(["invoke act #1 {}"]);
}

#[test]
fn a_condition_on_a_variable_that_is_not_set_fails_the_run_and_is_not_taken_for_no() {
    Shell::with(response(), &[("severity", json!("high"))])
        .output("block", "{}")
        .expect(["failed: the variable 'left' is not set"]);
    Shell::with(response(), &[("left", json!(0))])
        .output("block", "{}")
        .output("note", "{}")
        .expect(["failed: the variable 'severity' is not set"]);
}

#[test]
fn a_failed_action_goes_on_where_its_definition_says() {
    let mut run = respond("high");
    run.fail("block", ErrorKind::Permanent)
        .expect(["invoke isolate #1 {}", "invoke poll #1 {}"])
        .output("isolate", "{}")
        .output("poll", "0")
        .wakes_after(10.0..=10.0)
        .output("note", "{}")
        .expect(["invoke page #1 {}"]);
}

#[test]
fn a_branch_that_fails_lets_the_others_end_before_the_run_fails() {
    let mut run = respond("high");
    run.fail("block", ErrorKind::Permanent)
        .fail("isolate", ErrorKind::Permanent)
        .expect(["invoke poll #1 {}"])
        .output("poll", "0")
        .wakes_after(10.0..=10.0)
        .expect(["invoke note #1 {}"])
        .output("note", "{}")
        .expect(["failed: it broke"]);
    golden("branch-fails", &run.text());
}

#[test]
fn where_several_branches_fail_the_first_in_order_of_writing_gives_the_reason() {
    let broken = |message: &str| failure(ErrorKind::Permanent, message, None);
    Shell::with(fan_out(), &[("left", json!(1))])
        .report("b", broken("b broke"))
        .report("a", broken("a broke later"))
        .expect(["failed: a broke later"]);
}

#[test]
fn branches_within_a_loop_join_in_every_iteration() {
    let mut run = Shell::with(fan_out(), &[("left", json!(2))]);
    for left in ["1", "0"] {
        run.expect(["invoke a #1 {}", "invoke b #1 {}"])
            .output("b", "{}")
            .expect(["invoke a #1 {}"])
            .output("a", "{}")
            .expect(["invoke count #1 {}"])
            .output("count", left);
    }
    run.expect(["invoke done #1 {}"])
        .output("done", "{}")
        .expect(["succeeded"]);
    let (a, b) = (run.keys("a"), run.keys("b"));
    let mut keys = [a, b].concat();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 4, "every effect of the loop has its own key");
    golden("fan-out", &run.text());
}

#[test]
fn branches_need_attention_one_by_one_while_others_go_on() {
    let mut run = Shell::with(fan_out(), &[("left", json!(1))]);
    run.begin("a")
        .uncertain("b")
        .expect(["wait"])
        .output("a", "{}")
        .expect(["wait"])
        .resume("b", conche_core::run::Resolution::Repeat)
        .expect(["invoke b #2 {}"])
        .output("b", "{}")
        .expect(["invoke count #1 {}"]);
}

#[test]
fn an_action_may_take_all_variables_as_its_input() {
    let mut action = act(None);
    action.input = Input::Variables;
    let steps = [
        ("first", Step::Action(act_into("b", Some("second")))),
        ("second", Step::Action(action)),
    ];
    Shell::with(graph("inputs", steps), &[("a", json!("x"))])
        .output("first", "2")
        .expect([r#"invoke second #1 {"a":"x","b":2}"#]);
}

#[test]
fn an_action_that_wants_a_verdict_and_has_none_fails() {
    let mut action = act(None);
    action.input = Input::Verdict;
    Shell::new(graph("inputs", [("act", Step::Action(action))]))
        .expect(["failed: 'act' was not reached by a script's verdict"]);
}

#[test]
fn a_step_that_does_not_exist_fails_the_run_by_name() {
    Shell::new(graph("gap", [("act", Step::Action(act(Some("gone"))))]))
        .output("act", "{}")
        .expect(["failed: the definition has no step 'gone'"]);
}

#[test]
fn a_parallel_step_without_branches_is_passed_over() {
    let empty = Step::Container(
        Container::new(Opens::Parallel {
            branches: Vec::new(),
            fail_fast: false,
        })
        .then(Some("act".into())),
    );
    let steps = [("fan", empty), ("act", Step::Action(act(None)))];
    Shell::new(graph("empty", steps)).expect(["invoke act #1 {}"]);
}

#[test]
fn timers_of_several_branches_wake_the_run_for_the_earliest() {
    let delay = |seconds| Step::Delay {
        span: Duration::from_secs(seconds),
        next: None,
    };
    let steps = [
        (
            "both",
            Step::Container(Container::new(Opens::Parallel {
                branches: vec!["long".into(), "short".into()],
                fail_fast: false,
            })),
        ),
        ("long", delay(60)),
        ("short", delay(5)),
    ];
    let mut run = Shell::new(graph("timers", steps));
    run.expect(["wait until +60s", "wait until +5s"])
        .wakes_after(5.0..=5.0)
        .wakes_after(55.0..=55.0)
        .expect(["succeeded"]);
}
