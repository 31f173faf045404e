//! Loops and choices: `while`, `if` and `switch`.

use serde_json::{Value, json};

use super::document::{Doc, act, bash, either, end, on_success, switch, then, when, whilst, with};
use super::play::Play;

fn counting(step: Value) -> Doc {
    Doc::new("loop").variable("__n__", "integer", "3").steps([
        ("loop", step),
        (
            "body",
            on_success(
                with(bash("left __n__:value"), json!({"out_args": ["__n__"]})),
                "body-end",
            ),
        ),
        ("body-end", end()),
        ("other", then(act(), "end")),
    ])
}

#[test]
fn a_loop_asks_its_condition_before_each_iteration() {
    let mut play = Play::of(&counting(on_success(
        whilst("__n__:value > 0", "body"),
        "end",
    )));
    for left in ["2", "1", "0"] {
        play.prints("body", left);
    }
    play.awaits(["succeeded"]).has("__n__", "0");
    let none = counting(on_success(whilst("__n__:value > 3", "body"), "other"));
    Play::of(&none).awaits(["other"]);
}

#[test]
fn a_loop_that_comes_to_no_end_fails_at_its_limit() {
    let doc = counting(either(whilst("__n__:value > 0", "body"), "end", "other"));
    let mut play = Play::of(&doc).within(|limits| limits.iterations = 3);
    play.done(["body", "body", "body"]).awaits(["other"]);
    assert_eq!(
        play.error("loop"),
        Some("the loop 'loop' exceeded 3 iterations")
    );
}

#[test]
fn a_failed_iteration_ends_the_loop() {
    let doc = counting(either(whilst("__n__:value > 0", "body"), "end", "other"));
    Play::of(&doc)
        .prints("body", "2")
        .fails("body")
        .awaits(["other"])
        .has("__n__", "2");
}

#[test]
fn the_time_of_a_loop_is_that_of_all_its_iterations() {
    let step = either(whilst("__n__:value > 0", "body"), "end", "other");
    let doc = counting(with(step, json!({"timeout": 10_000})));
    let mut play = Play::of(&doc);
    play.prints("body", "2")
        .pass(6.0)
        .prints("body", "1")
        .begins("body")
        .pass(4.0);
    play.awaits(["stop body"])
        .stopped()
        .awaits(["other"])
        .has("__n__", "1");
}

#[test]
fn a_loop_whose_time_is_over_between_two_iterations_does_not_begin_another() {
    let step = either(whilst("__n__:value > 0", "body"), "end", "other");
    let doc = counting(with(step, json!({"timeout": 10_000})));
    let mut play = Play::of(&doc);
    play.begins("body")
        .pass(9.0)
        .prints("body", "2")
        .awaits(["body", "until +10s"]);
    let mut ended = Play::of(&doc);
    ended
        .begins("body")
        .pass(9.0)
        .prints("body", "0")
        .awaits(["succeeded"]);
}

#[test]
fn an_if_whose_condition_does_not_hold_takes_the_other_branch_or_none() {
    let doc = |step: Value| {
        Doc::new("if").variable("__n__", "integer", "1").steps([
            ("if", on_success(step, "after")),
            ("yes", on_success(act(), "yes-end")),
            ("no", on_success(act(), "no-end")),
            ("yes-end", end()),
            ("no-end", end()),
            ("after", then(act(), "end")),
        ])
    };
    let choice = |condition: &str| with(when(condition, "yes"), json!({"on_false": "no"}));
    Play::of(&doc(choice("__n__:value = 1")))
        .awaits(["yes"])
        .done(["yes"])
        .awaits(["after"]);
    Play::of(&doc(choice("__n__:value = 2")))
        .awaits(["no"])
        .done(["no"])
        .awaits(["after"]);
    Play::of(&doc(when("__n__:value = 2", "yes"))).awaits(["after"]);
}

#[test]
fn a_switch_takes_the_case_of_the_value_or_the_default_or_none() {
    let doc = |kind: &str, value: &str, default: bool| {
        let cases = [("1", "one"), ("two words", "two")];
        let mut step = on_success(switch("__v__:value", cases), "after");
        if default {
            step["cases"]["default"] = "other".into();
        }
        Doc::new("switch").variable("__v__", kind, value).steps([
            ("switch", step),
            ("one", then(act(), "one-end")),
            ("two", then(act(), "two-end")),
            ("other", then(act(), "other-end")),
            ("one-end", end()),
            ("two-end", end()),
            ("other-end", end()),
            ("after", then(act(), "end")),
        ])
    };
    for (kind, value, default, taken) in [
        ("string", "1", true, "one"),
        ("integer", "+1", true, "one"),
        ("string", "two words", false, "two"),
        ("string", "3", true, "other"),
        ("string", "default", true, "other"),
        ("string", "", true, "other"),
        ("string", "3", false, "after"),
    ] {
        Play::of(&doc(kind, value, default)).awaits([taken]);
    }
}

#[test]
fn a_condition_without_an_answer_fails_its_step_and_is_never_taken_for_no() {
    for step in [
        when("__u__:value = 'x'", "body"),
        whilst("__u__:value = 'x'", "body"),
        switch("__u__:value", [("x", "body"), ("default", "body")]),
    ] {
        let kind = step["type"].to_string();
        let doc =
            counting(either(step, "end", "other")).declare("__u__", json!({"type": "string"}));
        let mut play = Play::of(&doc);
        play.awaits(["other"]);
        let error = play.error("loop").expect("a failed step");
        assert!(error.contains("`__u__` has no value"), "{kind}: {error}");
    }
}

#[test]
fn conditions_read_what_results_assigned() {
    let doc = counting(on_success(
        with(
            when("__n__:value > 5 AND __n__:value != 7", "body"),
            json!({}),
        ),
        "end",
    ));
    let doc = doc.steps([
        (
            "first",
            then(with(act(), json!({"out_args": ["__n__"]})), "loop"),
        ),
        ("start", json!({"type": "start", "on_completion": "first"})),
    ]);
    Play::of(&doc).prints("first", "6\n").awaits(["body"]);
    Play::of(&doc).prints("first", "7\n").awaits(["succeeded"]);
}
