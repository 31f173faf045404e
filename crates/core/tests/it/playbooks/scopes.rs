//! Which variable a name means, and for how long (docs/decisions/0015 for branches).

use serde_json::{Value, json};

use super::document::{
    Doc, act, bash, either, end, on_success, parallel, then, when, whilst, with,
};
use super::play::Play;

fn own(step: Value, name: &str, value: &str) -> Value {
    with(
        step,
        json!({"step_variables": {name: {"type": "string", "value": value}}}),
    )
}

fn into(step: Value, name: &str) -> Value {
    with(step, json!({"out_args": [name]}))
}

#[test]
fn a_variable_of_a_step_is_seen_in_it_only() {
    let doc = Doc::new("a").steps([
        (
            "a",
            on_success(own(bash("say __x__:value"), "__x__", "own"), "b"),
        ),
        ("b", on_success(bash("say __x__:value"), "end")),
    ]);
    let mut play = Play::of(&doc);
    assert_eq!(play.line("a"), "say 'own'");
    play.done(["a"]).awaits([
        "failed: /workflow/b/commands/0: `command`: there is no variable `__x__` (byte 4)",
    ]);
}

#[test]
fn an_inner_variable_hides_an_outer_one_and_takes_what_is_assigned() {
    let doc = Doc::new("a").variable("__x__", "string", "outer").steps([
        (
            "a",
            on_success(
                own(into(bash("say __x__:value"), "__x__"), "__x__", "inner"),
                "b",
            ),
        ),
        ("b", on_success(bash("say __x__:value"), "end")),
    ]);
    let mut play = Play::of(&doc);
    assert_eq!(play.line("a"), "say 'inner'");
    play.prints("a", "new");
    assert_eq!(play.line("b"), "say 'outer'");
}

#[test]
fn a_later_command_of_a_step_sees_what_an_earlier_one_assigned_to_its_variable() {
    let line = |text: &str| json!({"type": "bash", "command": text});
    let step = json!({"type": "action", "agent": "box", "commands": [line("first"), line("say __x__:value")], "out_args": ["__x__"]});
    let doc = Doc::new("a").step("a", on_success(own(step, "__x__", "-"), "end"));
    let mut play = Play::of(&doc);
    play.prints("a", "one\n");
    assert_eq!(play.line("a/1.0"), "say 'one'");
}

#[test]
fn variables_of_a_step_are_seen_in_its_branches_and_conditions() {
    for (kind, step) in [
        ("if", when("__x__:value = 'own'", "in")),
        ("while", whilst("__x__:value = 'own'", "in")),
        (
            "switch",
            super::document::switch("__x__:value", [("own", "in")]),
        ),
        ("parallel", parallel(["in", "beside"])),
    ] {
        let doc = Doc::new("it").steps([
            ("it", on_success(own(step, "__x__", "own"), "end")),
            (
                "in",
                on_success(into(bash("say __x__:value"), "__x__"), "in2"),
            ),
            ("in2", on_success(bash("say __x__:value"), "in-end")),
            ("in-end", end()),
            ("beside", on_success(bash("say __x__:value"), "beside-end")),
            ("beside-end", end()),
        ]);
        let mut play = Play::of(&doc);
        assert_eq!(play.line("in"), "say 'own'", "{kind}");
        play.prints("in", "new");
        assert_eq!(play.line("in2"), "say 'new'", "{kind}");
        if kind == "parallel" {
            assert_eq!(play.line("beside"), "say 'own'");
            play.done(["beside"]);
        }
        play.done(["in2"]).awaits(["succeeded"]);
    }
}

#[test]
fn a_loop_keeps_its_variables_across_iterations_and_its_body_does_not() {
    let doc = Doc::new("loop").variable("__n__", "integer", "0").steps([
        (
            "loop",
            on_success(
                own(whilst("__n__:value < 2", "a"), "__x__", "first"),
                "again",
            ),
        ),
        (
            "a",
            on_success(
                own(
                    into(bash("say __x__:value __y__:value"), "__x__"),
                    "__y__",
                    "fresh",
                ),
                "b",
            ),
        ),
        ("b", on_success(into(act(), "__n__"), "b-end")),
        ("b-end", end()),
        ("again", on_success(bash("say __x__:value"), "end")),
    ]);
    let mut play = Play::of(&doc);
    assert_eq!(play.line("a"), "say 'first' 'fresh'");
    play.prints("a", "second").prints("b", "1");
    assert_eq!(play.line("a"), "say 'second' 'fresh'");
    play.prints("a", "third").prints("b", "2");
    play.awaits([
        "failed: /workflow/again/commands/0: `command`: there is no variable `__x__` (byte 4)",
    ]);
}

#[test]
fn a_step_that_is_visited_again_has_its_first_values_again() {
    let doc = Doc::new("loop").variable("__n__", "integer", "0").steps([
        ("loop", on_success(whilst("__n__:value < 2", "if"), "end")),
        (
            "if",
            on_success(own(when("__n__:value < 9", "a"), "__x__", "first"), "b"),
        ),
        (
            "a",
            on_success(into(bash("say __x__:value"), "__x__"), "a-end"),
        ),
        ("a-end", end()),
        ("b", on_success(into(act(), "__n__"), "b-end")),
        ("b-end", end()),
    ]);
    let mut play = Play::of(&doc);
    for left in ["1", "2"] {
        assert_eq!(play.line("a"), "say 'first'");
        play.prints("a", "changed").prints("b", left);
    }
    play.awaits(["succeeded"]);
}

#[test]
fn a_constant_is_never_assigned_to() {
    let doc = Doc::new("a")
        .declare(
            "__x__",
            json!({"type": "string", "value": "fixed", "constant": true}),
        )
        .step("a", on_success(into(act(), "__x__"), "end"));
    Play::of(&doc)
        .prints("a", "other")
        .awaits(["failed: it was done, but its result cannot be kept: `__x__` is a constant and cannot be assigned to"])
        .has("__x__", "fixed");
}

#[test]
fn a_result_of_the_wrong_type_fails_its_step_and_changes_nothing() {
    let doc = Doc::new("a")
        .variable("__x__", "integer", "1")
        .step("a", on_success(into(act(), "__x__"), "end"));
    let mut play = Play::of(&doc);
    play.prints("a", "many").has("__x__", "1");
    let error = play.error("a/0.0").expect("it failed");
    assert!(error.contains("`__x__` cannot hold this"), "{error}");
}

#[test]
fn what_a_failed_branch_assigned_before_is_kept() {
    let doc = Doc::new("if").variable("__x__", "string", "-").steps([
        ("if", either(when("__x__:value = '-'", "a"), "end", "after")),
        ("a", on_success(into(act(), "__x__"), "b")),
        ("b", on_success(act(), "b-end")),
        ("b-end", end()),
        ("after", then(bash("say __x__:value"), "end")),
    ]);
    let mut play = Play::of(&doc);
    play.prints("a", "seen").fails("b");
    assert_eq!(play.line("after"), "say 'seen'");
}

#[test]
fn a_run_that_is_cut_off_keeps_what_its_open_branches_assigned() {
    let doc = Doc::new("if")
        .exception("clean")
        .variable("__x__", "string", "-")
        .steps([
            ("if", on_success(when("__x__:value = '-'", "a"), "end")),
            ("a", on_success(into(act(), "__x__"), "b")),
            ("b", on_success(act(), "b-end")),
            ("b-end", end()),
            ("clean", then(act(), "clean-end")),
            ("clean-end", end()),
        ]);
    let mut play = Play::of(&doc);
    play.prints("a", "seen").awaits(["b"]).has("__x__", "seen");
    play.cancelled()
        .awaits(["cancelled: cancelled by ana"])
        .has("__x__", "seen");
    play.reopens("b/0.0").awaits(["b"]).has("__x__", "seen");
    play.done(["b"]).awaits(["succeeded"]).has("__x__", "seen");
}
