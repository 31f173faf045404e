//! `delay` and `timeout`, on every type of step (docs/decisions/0016).

use serde_json::{Value, json};

use super::document::{
    Doc, act, call, commands, either, end, manual, on_success, parallel, switch, then, when,
    whilst, with,
};
use super::play::Play;

/// Every type of step around `inner`, ended by `inner`'s success.
fn types() -> [Value; 7] {
    [
        act(),
        manual("?"),
        parallel(["inner", "beside"]),
        when("__yes__:value = true", "inner"),
        whilst("__yes__:value = true", "inner"),
        switch("__yes__:value", [("true", "inner")]),
        call("playbook--callee"),
    ]
}

fn doc(step: Value) -> (Doc, Vec<Doc>) {
    let doc = Doc::new("it").variable("__yes__", "bool", "true").steps([
        ("it", step),
        ("inner", on_success(manual("inner?"), "inner-end")),
        ("inner-end", end()),
        ("beside", on_success(manual("beside?"), "beside-end")),
        ("beside-end", end()),
        ("late", then(act(), "end")),
    ]);
    let callee = Doc::called("playbook--callee", "1", "inner")
        .step("inner", on_success(manual("inner?"), "end"));
    (doc, vec![callee])
}

#[test]
fn every_type_of_step_waits_for_its_delay_first() {
    for step in types() {
        let (doc, callees) = doc(then(with(step.clone(), json!({"delay": 2500})), "end"));
        let mut play = Play::with(&doc, &callees);
        play.awaits(["until +2.5s"])
            .pass(2.4)
            .awaits(["until +2.5s"])
            .pass(0.1);
        assert_ne!(play.wanted(), ["until +2.5s"], "{step}");
        assert_ne!(play.wanted(), Vec::<String>::new(), "{step}");
    }
}

#[test]
fn every_type_of_step_fails_when_its_time_is_over_and_its_delay_does_not_count() {
    for step in types() {
        let kind = step["type"].to_string();
        let step = with(step, json!({"delay": 1000, "timeout": 5000}));
        let (doc, callees) = doc(either(step, "end", "late"));
        let mut play = Play::with(&doc, &callees);
        play.awaits(["until +1s"]).pass(1.0).run.effects();
        let wake = play.run.wake().map(conche_core::Timestamp::as_second);
        assert_eq!(wake, Some(6), "{kind}");
        play.pass(5.0).awaits(["late"]);
        let error = play.error("it").expect("it failed");
        assert!(error.starts_with("ACTION_TIMEOUT: 'it'"), "{kind}: {error}");
    }
}

#[test]
fn start_and_end_have_a_delay_too() {
    let doc = Doc::new("it").steps([
        (
            "start",
            json!({"type": "start", "on_completion": "it", "delay": 1000}),
        ),
        ("it", then(act(), "end")),
        ("end", json!({"type": "end", "delay": 3000})),
    ]);
    Play::of(&doc)
        .awaits(["until +1s"])
        .pass(1.0)
        .done(["it"])
        .awaits(["until +4s"])
        .pass(3.0)
        .awaits(["succeeded"]);
}

#[test]
fn a_time_of_zero_is_none() {
    let doc = Doc::new("it").step(
        "it",
        then(with(manual("?"), json!({"timeout": 0, "delay": 0})), "end"),
    );
    Play::of(&doc).awaits(["ask it"]);
}

#[test]
fn the_time_of_an_action_is_that_of_all_its_commands() {
    let line = |text: &str| json!({"type": "bash", "command": text});
    let step = with(commands([line("1"), line("2")]), json!({"timeout": 10_000}));
    let doc = Doc::new("it").step("it", on_success(step, "end"));
    let mut play = Play::of(&doc);
    play.begins("it").pass(6.0).done(["it"]);
    assert_eq!(play.invocation("it/1.0").deadline.as_second(), 10);
    play.begins("it/1.0")
        .pass(4.0)
        .awaits(["stop it/1.0"])
        .stopped();
    play.awaits(["failed: ACTION_TIMEOUT: 'it' was not over at 1970-01-01T00:00:10Z"]);
}

#[test]
fn an_attempt_and_a_question_have_no_longer_than_what_is_around_them() {
    let doc = Doc::new("around")
        .variable("__yes__", "bool", "true")
        .steps([
            (
                "around",
                with(
                    on_success(parallel(["a", "b"]), "end"),
                    json!({"timeout": 5000}),
                ),
            ),
            (
                "a",
                with(on_success(act(), "a-end"), json!({"timeout": 60_000})),
            ),
            (
                "b",
                with(on_success(manual("?"), "b-end"), json!({"timeout": 60_000})),
            ),
            ("a-end", end()),
            ("b-end", end()),
        ]);
    let mut play = Play::of(&doc);
    assert_eq!(play.invocation("a").deadline.as_second(), 5);
    play.awaits(["a", "ask b", "until +5s"]);
}

#[test]
fn retries_end_with_the_time_of_the_step() {
    let step = with(on_success(act(), "end"), json!({"timeout": 1500}));
    let mut play = Play::of(&Doc::new("it").step("it", step));
    for _ in 0..2 {
        let busy = crate::shell::failure(conche_core::run::ErrorKind::Transient, "busy", None);
        play.report("it", busy);
        let wake = play.run.wake().expect("it waits");
        play.run.now = wake;
    }
    play.awaits(["failed: ACTION_TIMEOUT: 'it' was not over at 1970-01-01T00:00:01.5Z"]);
}

#[test]
fn what_was_all_done_in_time_is_done_also_where_that_is_noticed_late() {
    let step = with(either(act(), "end", "late"), json!({"timeout": 5000}));
    let doc = Doc::new("it").steps([("it", step), ("late", then(act(), "end"))]);
    let mut play = Play::of(&doc);
    play.done(["it"]).pass(60.0);
    play.run.crash();
    play.awaits(["succeeded"]);
}

#[test]
fn an_effect_that_nobody_knows_of_does_not_hold_up_a_step_whose_time_is_over() {
    let ssh =
        json!({"type": "action", "agent": "box", "commands": [{"type": "ssh", "command": "x"}]});
    let step = with(either(ssh, "end", "late"), json!({"timeout": 5000}));
    let doc = Doc::new("it").steps([("it", step), ("late", then(act(), "end"))]);
    let mut play = Play::of(&doc);
    play.run.effects();
    play.run.uncertain("it/0.0");
    play.awaits(["attend it", "until +5s"])
        .pass(5.0)
        .awaits(["late"]);
}

#[test]
fn an_inner_time_that_is_over_first_is_the_inner_steps_failure() {
    let doc = Doc::new("outer")
        .variable("__yes__", "bool", "true")
        .steps([
            (
                "outer",
                with(
                    either(when("__yes__:value = true", "inner"), "end", "late"),
                    json!({"timeout": 10_000}),
                ),
            ),
            (
                "inner",
                with(
                    either(manual("?"), "inner-end", "rescue"),
                    json!({"timeout": 4000}),
                ),
            ),
            ("rescue", then(manual("rescue?"), "inner-end")),
            ("inner-end", end()),
            ("late", then(act(), "end")),
        ]);
    let mut play = Play::of(&doc);
    play.awaits(["ask inner", "until +4s"]).pass(4.0);
    play.awaits(["ask rescue", "until +10s"])
        .pass(6.0)
        .awaits(["late"]);
    let error = play.error("outer").expect("it failed");
    assert!(error.starts_with("ACTION_TIMEOUT: 'outer'"), "{error}");
}

#[test]
fn a_value_that_was_assigned_before_the_time_was_over_is_kept() {
    let doc = Doc::new("outer").variable("__x__", "string", "-").steps([
        (
            "outer",
            with(
                either(when("__x__:value = '-'", "middle"), "end", "late"),
                json!({"timeout": 9000}),
            ),
        ),
        (
            "middle",
            on_success(when("__x__:value = '-'", "first"), "middle-end"),
        ),
        (
            "first",
            on_success(with(act(), json!({"out_args": ["__x__"]})), "second"),
        ),
        ("second", on_success(manual("?"), "second-end")),
        ("second-end", end()),
        ("middle-end", end()),
        ("late", then(act(), "end")),
    ]);
    let mut play = Play::of(&doc);
    play.prints("first", "seen")
        .awaits(["ask second", "until +9s"])
        .pass(9.0);
    play.awaits(["late"]).has("__x__", "seen");
}
