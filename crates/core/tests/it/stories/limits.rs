//! How runs end that do not come to an end by themselves: on request, at their deadline, at the
//! limits of steps and iterations.

use std::time::Duration;

use conche_core::definition::{Comparison, Container, Opens, Step};
use conche_core::run::{Entry, Outcome, Report, Status};
use serde_json::json;

use super::golden;
use crate::definitions::{act, for_ever, graph, reaction, response, two_steps, when};
use crate::shell::{Shell, json as text};

const DAY: Duration = Duration::from_hours(24);
const DEADLINE: &str = "failed: the run's deadline passed at 1970-01-02T00:00:00Z";

#[test]
fn a_cancelled_run_stops_what_is_under_way_and_starts_nothing_new() {
    let mut run = Shell::with(
        response(),
        &[("left", json!(1)), ("severity", json!("low"))],
    );
    run.expect(["invoke block #1 {}", "invoke poll #1 {}"])
        .begin("block")
        .begin("poll")
        .cancel()
        .expect(["stop block", "stop poll"])
        .cancel()
        .stops()
        .expect(["cancelled: cancelled by ana"]);
    golden("cancelled", &run.text());
}

#[test]
fn an_attempt_that_ends_by_itself_while_the_run_is_cancelled_counts() {
    let mut run = Shell::with(
        response(),
        &[("left", json!(1)), ("severity", json!("low"))],
    );
    run.begin("poll").cancel().expect(["stop poll"]);
    assert_eq!(run.state.summary().status, Status::Cancelling);
    let visit = run.number("poll");
    run.report_visit(visit, Report::Output(text("0")));
    run.expect(["cancelled: cancelled by ana"]);
    assert_eq!(run.state.variables()["left"], text("0"));
}

#[test]
fn a_crash_during_cancellation_does_not_hold_it_up() {
    Shell::new(two_steps())
        .verdict("script", "look", "{}")
        .begin("look")
        .cancel()
        .crash()
        .expect(["cancelled: cancelled by ana"]);
}

#[test]
fn a_run_that_is_not_at_work_is_cancelled_at_once() {
    Shell::new(two_steps())
        .cancel()
        .expect(["cancelled: cancelled by ana"]);
    Shell::new(two_steps())
        .verdict("script", "look", "{}")
        .output("look", "{}")
        .verdict("look:script", "block", "{}")
        .uncertain("block")
        .expect(["wait"])
        .cancel()
        .expect(["cancelled: cancelled by ana"]);
}

#[test]
fn a_finished_run_accepts_nothing_but_being_reopened() {
    let mut run = Shell::new(two_steps());
    run.stop("script").expect(["succeeded"]);
    for entry in [
        Entry::CancelRequested {
            by: "ana".to_owned(),
            reason: None,
        },
        Entry::Finished {
            outcome: Outcome::Failed,
            reason: None,
        },
        Entry::Elapsed { visit: 0 },
    ] {
        assert!(run.try_append(entry).is_err());
    }
    assert_eq!(run.state.finished_at(), Some(run.now));
    assert!(run.state.summary().status.is_finished());
}

#[test]
fn the_deadline_stops_what_is_under_way() {
    Shell::new(two_steps())
        .verdict("script", "look", "{}")
        .begin("look")
        .pass(DAY)
        .expect(["stop look"])
        .stops()
        .expect([DEADLINE]);
}

#[test]
fn the_deadline_ends_a_run_that_is_parked() {
    let mut run = Shell::new(graph(
        "sleep",
        [(
            "sleep",
            Step::Delay {
                span: DAY * 2,
                next: None,
            },
        )],
    ));
    run.expect(["wait"]).pass(DAY).expect([DEADLINE]);
}

#[test]
fn the_deadline_ends_a_run_that_nobody_attends_to() {
    Shell::new(two_steps())
        .verdict("script", "look", "{}")
        .output("look", "{}")
        .verdict("look:script", "block", "{}")
        .uncertain("block")
        .expect(["wait"])
        .pass(DAY)
        .expect([DEADLINE]);
}

#[test]
fn a_run_that_had_done_everything_succeeds_even_when_the_deadline_passed_since() {
    Shell::new(two_steps())
        .stop("script")
        .pass(DAY)
        .crash()
        .expect(["succeeded"]);
}

#[test]
fn a_delay_ends_when_its_time_has_come() {
    let mut run = Shell::new(graph(
        "sleep",
        [
            (
                "sleep",
                Step::Delay {
                    span: Duration::from_secs(30),
                    next: Some("act".into()),
                },
            ),
            ("act", Step::Action(act(None))),
        ],
    ));
    run.expect(["wait until +30s"])
        .pass(Duration::from_millis(29_999))
        .crash()
        .expect(["wait until +30s"])
        .pass(Duration::from_millis(1))
        .expect(["invoke act #1 {}"]);
}

#[test]
fn a_delay_beyond_the_calendar_fails_its_step() {
    let mut run = Shell::new(graph(
        "sleep",
        [(
            "sleep",
            Step::Delay {
                span: Duration::MAX,
                next: None,
            },
        )],
    ));
    run.effects();
    assert_eq!(run.state.summary().status, Status::Failed);
}

#[test]
fn a_reaction_that_loops_for_ever_ends_at_its_limit_of_steps() {
    let mut run = Shell::new(for_ever(5));
    run.verdict("script", "again", "{}")
        .output("again", "{}")
        .verdict("again:script", "again", "{}")
        .output("again", "{}")
        .expect(["evaluate again:script data {}"])
        .verdict("again:script", "again", "{}")
        .expect(["failed: more than 5 steps were visited"]);
}

#[test]
fn a_loop_ends_at_its_limit_of_iterations() {
    let mut definition = graph(
        "loop",
        [
            (
                "loop",
                Step::Container(Container::new(Opens::While {
                    condition: when("go", Comparison::Equal, true),
                    body: "act".into(),
                })),
            ),
            ("act", Step::Action(act(None))),
        ],
    );
    definition.limits.iterations = 2;
    Shell::with(definition, &[("go", json!(true))])
        .output("act", "1")
        .output("act", "2")
        .expect(["failed: the loop 'loop' exceeded 2 iterations"]);
}

#[test]
fn the_limit_of_steps_may_be_used_up_to_the_last() {
    let mut run = Shell::new(reaction(
        "
name: r
event: e
script: x
limits: { steps: 2 }
actions: { x: { module: demo, action: keyed } }
",
    ));
    run.verdict("script", "x", "{}")
        .output("x", "{}")
        .expect(["succeeded"]);
}
