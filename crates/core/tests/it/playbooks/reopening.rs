//! An operator has a playbook go on from a step within each type of branch, or the store is put
//! back from a copy.

use conche_core::Timestamp;
use conche_core::run::{Entry, Resolution};
use serde_json::{Value, json};

use super::document::{
    Doc, act, bash, call, commands, end, on_success, parallel, switch, when, whilst, with,
};
use super::play::Play;

fn into(step: Value, name: &str) -> Value {
    with(step, json!({"out_args": [name]}))
}

/// A step of each type around `a` and `b`, of which `a` assigns `__x__` and `b` fails.
fn around(step: Value) -> Doc {
    let of_its_own = json!({"step_variables": {"__s__": {"type": "string", "value": "first"}}});
    Doc::new("it")
        .variable("__x__", "string", "-")
        .variable("__yes__", "bool", "true")
        .steps([
            ("it", on_success(with(step, of_its_own), "after")),
            ("a", on_success(into(act(), "__x__"), "a2")),
            ("a2", on_success(into(act(), "__s__"), "b")),
            ("b", on_success(bash("b __x__:value __s__:value"), "b-end")),
            ("b-end", end()),
            ("c", on_success(act(), "c-end")),
            ("c-end", end()),
            ("after", on_success(bash("after __x__:value"), "end")),
        ])
}

#[test]
fn a_run_goes_on_from_a_step_within_every_type_of_branch_with_the_variables_as_they_stood() {
    for (kind, step) in [
        ("if", when("__yes__:value = true", "a")),
        ("switch", switch("__yes__:value", [("true", "a")])),
        ("while", whilst("__x__:value != 'out'", "a")),
        ("parallel", parallel(["a", "c"])),
    ] {
        let mut play = Play::of(&around(step));
        if kind == "parallel" {
            play.done(["c"]);
        }
        play.prints("a", "seen")
            .prints("a2", "changed")
            .fails("b")
            .awaits(["failed: b broke"]);
        play.reopens("b/0.0").run.effects();
        assert_eq!(play.line("b"), "b 'seen' 'changed'", "{kind}");
        if kind == "while" {
            play.done(["b"]);
            play.prints("a", "out").prints("a2", "x").done(["b"]);
            assert_eq!(play.line("after"), "after 'out'");
        } else {
            play.done(["b"]);
            assert_eq!(play.line("after"), "after 'seen'", "{kind}");
        }
        play.done(["after"]).awaits(["succeeded"]);
    }
}

#[test]
fn a_step_that_is_reopened_as_a_whole_has_its_first_variables_again() {
    let mut play = Play::of(&around(when("__yes__:value = true", "a")));
    play.prints("a", "seen")
        .prints("a2", "changed")
        .fails("b")
        .awaits(["failed: b broke"]);
    play.reopens("it").awaits(["a"]);
    play.prints("a", "again").prints("a2", "twice");
    assert_eq!(play.line("b"), "b 'again' 'twice'");
    play.done(["b"]).awaits(["after"]);
}

#[test]
fn a_run_goes_on_within_a_called_playbook() {
    let callee = Doc::called("playbook--callee", "1", "a")
        .declare("__in__", json!({"type": "string", "external": true}))
        .variable("__x__", "string", "-")
        .steps([
            ("a", on_success(into(act(), "__x__"), "b")),
            ("b", on_success(bash("b __x__:value __in__:value"), "end")),
        ]);
    let step = with(
        call("playbook--callee"),
        json!({"in_args": ["__in__"], "out_args": ["__x__"]}),
    );
    let doc = around(step).variable("__in__", "string", "given");
    let mut play = Play::with(&doc, &[callee]);
    let (a, b) = ("playbook--callee@1/a", "playbook--callee@1/b");
    play.prints(a, "seen")
        .fails(b)
        .awaits(["failed: playbook--callee@1/b broke"])
        .has("__x__", "-");
    play.reopens("playbook--callee@1/b/0.0");
    assert_eq!(play.line(b), "b 'seen' 'given'");
    play.done([b]).awaits(["after"]).has("__x__", "seen");
}

#[test]
fn a_branch_that_was_held_by_a_failure_goes_on_when_the_failed_one_is_reopened() {
    let doc = around(parallel(["a", "c"])).steps([
        ("c", on_success(act(), "d")),
        ("d", on_success(act(), "c-end")),
    ]);
    let mut play = Play::of(&doc);
    play.begins("c")
        .fails("a")
        .done(["c"])
        .awaits(["failed: a broke"]);
    play.reopens("a/0.0")
        .awaits(["a", "d"])
        .prints("a", "seen")
        .prints("a2", "x")
        .done(["b", "d"]);
    assert_eq!(play.line("after"), "after 'seen'");
    assert_eq!(
        play.run.keys("c/0.0").len(),
        1,
        "what was done is not done again"
    );
}

#[test]
fn a_run_goes_on_from_one_of_several_commands() {
    let line = |text: &str| json!({"type": "bash", "command": text});
    let doc = Doc::new("it").step(
        "it",
        on_success(commands([line("1"), line("2"), line("3")]), "end"),
    );
    let mut play = Play::of(&doc);
    play.done(["it"])
        .fails("it/1.0")
        .awaits(["failed: it/1.0 broke"]);
    play.reopens("it/1.0")
        .awaits(["it/1.0"])
        .done(["it/1.0", "it/2.0"])
        .awaits(["succeeded"]);
    assert_eq!(play.begun(), ["it", "it/1.0", "it/1.0", "it/2.0"]);
}

#[test]
fn a_run_goes_on_from_before_the_exception_handler() {
    let doc = around(when("__yes__:value = true", "a")).exception("c");
    let mut play = Play::of(&doc);
    play.prints("a", "seen")
        .prints("a2", "x")
        .fails("b")
        .done(["c"]);
    play.awaits(["failed: b broke (its exception handler ran)"]);
    play.reopens("b/0.0")
        .done(["b", "after"])
        .awaits(["succeeded"])
        .has("__x__", "seen");
}

#[test]
fn the_time_of_what_is_around_a_reopened_step_is_not_counted_again() {
    let step = with(when("__yes__:value = true", "a"), json!({"timeout": 5000}));
    let mut play = Play::of(&around(step));
    play.prints("a", "seen")
        .fails("a2")
        .awaits(["failed: a2 broke"])
        .pass(60.0);
    play.reopens("a2/0.0")
        .awaits(["a2"])
        .prints("a2", "x")
        .done(["b"])
        .awaits(["after"]);
}

#[test]
fn after_a_restore_a_command_that_must_not_be_repeated_is_left_to_a_person_within_its_branch() {
    let ssh = |text: &str| on_success(commands([json!({"type": "ssh", "command": text})]), "b");
    let mut play = Play::of(&around(when("__yes__:value = true", "a")).step("a", ssh("x")));
    play.run.effects();
    play.run.append(Entry::Restored {
        copied_at: Timestamp::UNIX_EPOCH,
    });
    play.awaits(["attend a"]);
    let output = conche_core::Json::from(&json!({"stdout": ""}));
    play.run.resume("a/0.0", Resolution::Succeeded { output });
    play.awaits(["b"]).done(["b"]).awaits(["after"]);
}
