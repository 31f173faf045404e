//! A paused run begins nothing, records what was under way, and goes on where it was.

use std::time::Duration;

use conche_core::run::{Entry, ErrorKind, Report, Resolution, Status, VisitNo};
use serde_json::json;

use super::golden;
use crate::definitions::{response, two_steps};
use crate::shell::{Shell, json as text};

const DAY: Duration = Duration::from_hours(24);

#[test]
fn what_is_under_way_ends_and_nothing_else_is_begun() {
    let mut run = Shell::with(
        response(),
        &[("left", json!(1)), ("severity", json!("low"))],
    );
    run.begin("block").pause().expect(["wait"]);
    let block = run.number("block");
    run.report_visit(block, Report::Output(text("{}")));
    run.expect(["wait"]);
    let summary = run.state.summary();
    assert_eq!(summary.status, Status::Paused);
    assert_eq!(
        summary.reason.as_deref(),
        Some("paused by ana: a closer look")
    );
    run.unpause().expect(["invoke poll #1 {}"]);
    golden("paused", &run.text());
}

#[test]
fn a_script_that_was_under_way_is_recorded_and_its_action_waits() {
    let mut run = Shell::new(two_steps());
    run.effects();
    run.pause().verdict("script", "look", "{}").expect(["wait"]);
    run.unpause().expect(["invoke look #1 {}"]);
}

#[test]
fn an_attempt_that_became_due_meanwhile_is_made_once_it_goes_on() {
    let mut run = Shell::new(two_steps());
    run.verdict("script", "look", "{}")
        .fail("look", ErrorKind::Transient)
        .pause()
        .pass(Duration::from_mins(10))
        .expect(["wait"])
        .unpause()
        .expect(["invoke look #2 {}"]);
}

#[test]
fn a_crash_does_not_end_a_pause() {
    let mut run = Shell::new(two_steps());
    run.verdict("script", "look", "{}")
        .begin("look")
        .pause()
        .crash()
        .expect(["wait"])
        .pass(Duration::from_mins(1))
        .expect(["wait"])
        .unpause()
        .expect(["invoke look #2 {}"]);
}

#[test]
fn a_decision_that_is_needed_may_be_taken_while_it_is_paused() {
    let mut run = Shell::new(two_steps());
    run.verdict("script", "look", "{}")
        .output("look", "{}")
        .verdict("look:script", "block", "{}")
        .uncertain("block")
        .expect(["wait"])
        .pause()
        .resume("block", Resolution::Repeat)
        .expect(["wait"]);
    assert_eq!(run.state.summary().status, Status::Paused);
    run.unpause().expect(["invoke block #2 {}"]);
}

#[test]
fn a_paused_run_is_cancelled_at_once_and_ends_at_its_deadline() {
    let mut run = Shell::new(two_steps());
    run.pause().cancel().expect(["cancelled: cancelled by ana"]);
    let mut run = Shell::new(two_steps());
    run.verdict("script", "look", "{}")
        .begin("look")
        .pause()
        .pass(DAY)
        .expect(["stop look"])
        .stops()
        .expect(["failed: the run's deadline passed at 1970-01-02T00:00:00Z (paused by ana: a closer look)"])
        .reopen("look")
        .expect(["invoke look #2 {}"]);
}

#[test]
fn what_begins_something_is_refused_by_a_paused_run() {
    let mut run = Shell::new(two_steps());
    run.verdict("script", "look", "{}").effects();
    let visit = run.number("look");
    let next = run.state.visits().len() as VisitNo;
    let unpaused = Entry::Unpaused {
        by: "ana".to_owned(),
    };
    assert!(run.try_append(unpaused).is_err(), "it is not paused");
    let intent = run.effects()[0].intent().expect("an action");
    run.pause();
    for entry in [
        intent,
        Entry::Entered {
            visit: next,
            step: "look".into(),
            path: Vec::new(),
            from: Some(visit),
        },
        Entry::Delayed {
            visit,
            until: run.now,
        },
        Entry::Elapsed { visit },
        Entry::Paused {
            by: "bob".to_owned(),
            reason: None,
        },
    ] {
        assert!(run.try_append(entry).is_err());
    }
}
