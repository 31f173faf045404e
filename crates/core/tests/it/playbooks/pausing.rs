//! What a pause does to the times and questions of a playbook (docs/decisions/0022).

use std::time::Duration;

use conche_core::run::Status;
use serde_json::json;

use super::document::{Doc, act, either, end, manual, on_success, parallel, then, with};
use super::play::Play;

/// What the run waits for, in seconds since its start.
fn wake(play: &mut Play) -> Option<i64> {
    play.run.effects();
    play.run.wake().map(conche_core::Timestamp::as_second)
}

#[test]
fn the_times_of_steps_stand_still_while_a_run_is_paused() {
    let step = with(either(manual("?"), "end", "late"), json!({"timeout": 5000}));
    let doc = Doc::new("it").steps([("it", step), ("late", then(act(), "end"))]);
    let mut play = Play::of(&doc);
    play.awaits(["ask it", "until +5s"]).pass(2.0);
    play.run.pause();
    play.pass(60.0);
    assert_eq!(wake(&mut play), Some(86_400), "only the run's own end");
    play.run.unpause();
    assert_eq!(wake(&mut play), Some(65), "three seconds are left");
    play.pass(2.9).awaits(["ask it", "until +65s"]);
    play.pass(0.1).awaits(["late"]);
}

#[test]
fn a_delay_goes_on_with_what_was_left_of_it() {
    let step = then(with(act(), json!({"delay": 10_000})), "end");
    let mut play = Play::of(&Doc::new("it").step("it", step));
    play.awaits(["until +10s"]).pass(4.0);
    play.run.pause();
    play.pass(100.0).run.unpause();
    play.awaits(["until +110s"]).pass(6.0).awaits(["it"]);
}

#[test]
fn the_deadline_of_the_run_does_not_stand_still() {
    let step = then(with(manual("?"), json!({"timeout": 3_600_000})), "end");
    let mut play = Play::of(&Doc::new("it").step("it", step));
    play.awaits(["ask it", "until +3600s"]);
    play.run.pause();
    play.pass(86_000.0).run.unpause();
    assert_eq!(wake(&mut play), Some(86_400), "not beyond the run's end");
    play.run.pause();
    play.pass(400.0).awaits([
        "failed: the run's deadline passed at 1970-01-02T00:00:00Z (paused by ana: a closer look)",
    ]);
}

#[test]
fn a_question_may_be_answered_while_the_run_is_paused() {
    let doc = Doc::new("it").variable("__ok__", "bool", "false").steps([
        (
            "it",
            on_success(with(manual("?"), json!({"out_args": ["__ok__"]})), "next"),
        ),
        ("next", then(act(), "end")),
    ]);
    let mut play = Play::of(&doc);
    play.awaits(["ask it"]).run.pause();
    play.answers("it", json!({"__ok__": "true"}));
    play.has("__ok__", "true");
    assert_eq!(play.run.state.summary().status, Status::Paused);
    assert_eq!(play.run.wake(), Some(play.run.state.deadline()));
    play.run.unpause();
    play.awaits(["next"]);
}

#[test]
fn no_branch_is_begun_while_a_run_is_paused() {
    let doc = Doc::new("both").steps([
        ("both", on_success(parallel(["a", "b"]), "end")),
        ("a", on_success(act(), "a2")),
        ("a2", on_success(act(), "a-end")),
        ("b", on_success(act(), "b-end")),
        ("a-end", end()),
        ("b-end", end()),
    ]);
    let mut play = Play::of(&doc);
    play.begins("a").run.pause();
    let visit = play.run.number("a/0.0");
    let done = conche_core::run::Report::Output(conche_core::Json::from(&json!({"exit_code": 0})));
    play.run.report_visit(visit, done);
    play.run.pass(Duration::from_secs(1)).expect(["wait"]);
    assert_eq!(play.begun(), ["a"]);
    play.run.crash().unpause();
    play.awaits(["a2", "b"]);
}
