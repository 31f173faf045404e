//! `workflow_exception`: what is done when a failure is nobody's (docs/decisions/0013).

use serde_json::json;

use super::document::{
    Doc, act, bash, call, end, manual, on_success, parallel, then, when, whilst, with,
};
use super::play::Play;

fn guarded() -> Doc {
    Doc::new("it")
        .exception("clean")
        .variable("__x__", "string", "before")
        .steps([
            (
                "it",
                on_success(with(act(), json!({"out_args": ["__x__"]})), "next"),
            ),
            ("next", on_success(act(), "end")),
            ("clean", then(bash("clean __x__:value"), "clean-end")),
            ("clean-end", end()),
        ])
}

#[test]
fn a_failure_that_nothing_follows_runs_the_handler_and_the_run_still_failed() {
    let mut play = Play::of(&guarded());
    play.prints("it", "seen\n").fails("next").awaits(["clean"]);
    assert_eq!(
        play.line("clean"),
        "clean 'seen'",
        "it sees the variables as they stood"
    );
    play.done(["clean"])
        .awaits(["failed: next broke (its exception handler ran)"])
        .has("__x__", "seen");
}

#[test]
fn a_failure_in_the_handler_is_final() {
    let doc = guarded().step("clean", on_success(act(), "clean-end"));
    Play::of(&doc)
        .fails("it")
        .fails("clean")
        .awaits(["failed: it broke (and its exception handler failed: clean broke)"]);
}

#[test]
fn a_run_without_failure_never_sees_the_handler() {
    let mut play = Play::of(&guarded());
    play.done(["it", "next"]).awaits(["succeeded"]);
    assert_eq!(play.begun(), ["it", "next"]);
}

#[test]
fn a_failure_that_something_follows_does_not_run_the_handler() {
    let doc = guarded().step("it", then(act(), "next"));
    Play::of(&doc)
        .fails("it")
        .done(["next"])
        .awaits(["succeeded"]);
}

#[test]
fn the_handler_waits_for_what_is_under_way_beside_the_failure() {
    let doc = guarded().steps([
        ("it", on_success(parallel(["a", "b"]), "next")),
        ("a", on_success(act(), "a-end")),
        ("b", on_success(act(), "b2")),
        ("b2", on_success(act(), "b-end")),
        ("a-end", end()),
        ("b-end", end()),
    ]);
    let mut play = Play::of(&doc);
    play.begins("b")
        .fails("a")
        .awaits([])
        .done(["b"])
        .awaits(["clean"])
        .done(["clean"]);
    play.awaits(["failed: a broke (its exception handler ran)"]);
    assert_eq!(
        play.begun(),
        ["b", "a", "clean"],
        "and no further step of the other branch"
    );
}

#[test]
fn conditions_without_an_answer_and_loops_without_an_end_run_the_handler_too() {
    let doc = guarded().steps([
        (
            "it",
            on_success(when("__none__:value = 'x'", "inner"), "next"),
        ),
        ("inner", then(act(), "inner-end")),
        ("inner-end", end()),
    ]);
    Play::of(&doc).awaits(["clean"]).done(["clean"]).awaits([
        "failed: the condition has no answer: there is no variable `__none__` (byte 0) (its exception handler ran)",
    ]);
    let doc = guarded().steps([
        (
            "it",
            on_success(whilst("__x__:value = 'before'", "inner"), "next"),
        ),
        ("inner", then(act(), "inner-end")),
        ("inner-end", end()),
    ]);
    Play::of(&doc)
        .within(|limits| limits.iterations = 2)
        .done(["inner", "inner", "clean"])
        .awaits(["failed: the loop 'it' exceeded 2 iterations (its exception handler ran)"]);
}

#[test]
fn a_timeout_runs_the_handler() {
    let doc = guarded().step(
        "it",
        with(on_success(manual("?"), "next"), json!({"timeout": 5000})),
    );
    Play::of(&doc).awaits(["ask it", "until +5s"]).pass(5.0).done(["clean"]).awaits([
        "failed: ACTION_TIMEOUT: 'it' was not over at 1970-01-01T00:00:05Z (its exception handler ran)",
    ]);
}

#[test]
fn the_end_of_the_runs_own_time_is_no_exception() {
    Play::of(&guarded())
        .awaits(["it"])
        .pass(100_000.0)
        .awaits(["failed: the run's deadline passed at 1970-01-02T00:00:00Z"]);
}

#[test]
fn the_handler_of_a_called_playbook_is_its_own() {
    let callee = Doc::called("playbook--callee", "1", "it")
        .exception("clean")
        .steps([
            ("it", on_success(act(), "end")),
            ("clean", then(act(), "clean-end")),
            ("clean-end", end()),
        ]);
    let doc = guarded().step("it", on_success(call("playbook--callee"), "next"));
    Play::with(&doc, &[callee])
        .fails("playbook--callee@1/it")
        .awaits(["playbook--callee@1/clean"])
        .done(["playbook--callee@1/clean"])
        .awaits(["clean"])
        .done(["clean"])
        .awaits(["failed: playbook--callee@1/it broke (its exception handler ran)"]);
}

#[test]
fn a_delay_of_the_handlers_first_step_is_kept() {
    let doc = guarded().step(
        "clean",
        with(then(act(), "clean-end"), json!({"delay": 2000})),
    );
    Play::of(&doc)
        .fails("it")
        .awaits(["until +2s"])
        .pass(2.0)
        .awaits(["clean"]);
}
