//! `playbook-action`: another playbook within this one, in the caller's journal
//! (docs/decisions/0019).

use serde_json::json;

use super::document::{Doc, act, bash, call, either, on_success, then, when, with};
use super::play::{Modules, Play, refused};

const ID: &str = "playbook--callee";

/// A callee that says what it was given, and assigns what it returns.
fn callee(modified: &str, word: &str) -> Doc {
    Doc::called(ID, modified, "say")
        .declare(
            "__in__",
            json!({"type": "string", "external": true, "value": "own"}),
        )
        .variable("__out__", "string", "-")
        .variable("__inner__", "string", "inner")
        .step(
            "say",
            on_success(
                with(
                    bash(&format!("{word} __in__:value")),
                    json!({"out_args": ["__out__"]}),
                ),
                "end",
            ),
        )
}

fn caller(step: serde_json::Value) -> Doc {
    Doc::new("it")
        .variable("__in__", "string", "given")
        .variable("__out__", "string", "before")
        .variable("__secret__", "string", "hush")
        .steps([
            ("it", either(step, "after", "bad")),
            ("after", then(act(), "end")),
            ("bad", then(act(), "end")),
        ])
}

fn full() -> serde_json::Value {
    with(
        call(ID),
        json!({"in_args": ["__in__"], "out_args": ["__out__"]}),
    )
}

#[test]
fn a_called_playbook_gets_its_in_args_and_gives_back_its_out_args() {
    let mut play = Play::with(&caller(full()), &[callee("1", "say")]);
    assert_eq!(play.line("playbook--callee@1/say"), "say 'given'");
    play.prints("playbook--callee@1/say", "found")
        .awaits(["after"])
        .has("__out__", "found");
}

#[test]
fn without_in_args_its_own_values_hold_and_without_out_args_nothing_comes_back() {
    let mut play = Play::with(&caller(call(ID)), &[callee("1", "say")]);
    assert_eq!(play.line("playbook--callee@1/say"), "say 'own'");
    play.prints("playbook--callee@1/say", "found")
        .awaits(["after"])
        .has("__out__", "before");
}

#[test]
fn it_sees_nothing_else_of_its_caller() {
    let step = on_success(bash("say __secret__:value"), "end");
    let mut play = Play::with(&caller(full()), &[callee("1", "say").step("say", step)]);
    play.awaits(["bad"]);
    let error = play.error("it").expect("it failed");
    assert!(
        error.contains("there is no variable `__secret__`"),
        "{error}"
    );
}

#[test]
fn a_failed_playbook_gives_nothing_back() {
    let doc = callee("1", "say").steps([
        (
            "say",
            on_success(with(act(), json!({"out_args": ["__out__"]})), "then"),
        ),
        ("then", on_success(act(), "end")),
    ]);
    let mut play = Play::with(&caller(full()), &[doc]);
    play.prints("playbook--callee@1/say", "half")
        .fails("playbook--callee@1/then");
    play.awaits(["bad"]).has("__out__", "before");
}

#[test]
fn the_latest_version_is_called_unless_one_is_named() {
    let old = callee("2026-01-01T00:00:00.000Z", "old");
    let new = callee("2026-03-01T00:00:00.000Z", "new");
    let both = [new.clone(), old.clone()];
    let mut play = Play::with(&caller(full()), &both);
    assert_eq!(
        play.line("playbook--callee@2026-03-01T00:00:00.000Z/say"),
        "new 'given'"
    );
    let pinned = with(
        full(),
        json!({"playbook_version": "2026-01-01T00:00:00.000Z"}),
    );
    let mut play = Play::with(&caller(pinned), &both);
    assert_eq!(
        play.line("playbook--callee@2026-01-01T00:00:00.000Z/say"),
        "old 'given'"
    );
    let other_form = with(full(), json!({"playbook_version": "2026-01-01T00:00:00Z"}));
    let mut play = Play::with(&caller(other_form), &both);
    assert_eq!(
        play.line("playbook--callee@2026-01-01T00:00:00.000Z/say"),
        "old 'given'"
    );
}

#[test]
fn a_program_keeps_the_versions_that_it_was_made_with() {
    let program = caller(full()).program(&[callee("1", "say")]);
    let again = conche_core::playbook::Program::parse(program.text()).expect("a stored program");
    assert_eq!(again, program);
    let other = caller(full()).program(&[callee("2", "say")]);
    assert_ne!(
        other.digest(),
        program.digest(),
        "another callee makes another program"
    );
}

#[test]
fn values_are_handed_over_as_text_and_read_by_the_receivers_type() {
    let typed = callee("1", "say").declare("__in__", json!({"type": "integer", "external": true}));
    let doc = caller(full())
        .variable("__in__", "string", "42")
        .variable("__out__", "integer", "0");
    let mut play = Play::with(&doc, std::slice::from_ref(&typed));
    assert_eq!(play.line("playbook--callee@1/say"), "say '42'");
    play.prints("playbook--callee@1/say", "7")
        .awaits(["after"])
        .has("__out__", "7");

    let mut wrong = Play::with(&doc, std::slice::from_ref(&typed));
    wrong
        .prints("playbook--callee@1/say", "no number")
        .awaits(["bad"])
        .has("__out__", "0");
    let error = wrong.error("it").expect("it failed").to_owned();
    assert!(
        error.starts_with("what the playbook returned cannot be kept"),
        "{error}"
    );

    let mut unfit = Play::with(&doc.variable("__in__", "string", "x"), &[typed]);
    unfit.awaits(["bad"]);
    let error = unfit.error("it").expect("it failed");
    assert!(
        error.starts_with("`__in__` cannot be handed over"),
        "{error}"
    );
}

#[test]
fn a_value_that_is_needed_and_not_given_is_refused_before_anything_is_done() {
    let needs = callee("1", "say").declare("__in__", json!({"type": "string", "external": true}));
    let refusals = refused(
        &caller(call(ID)).program(std::slice::from_ref(&needs)),
        &Modules::default(),
    );
    assert_eq!(
        refusals[0].to_string(),
        "playbook--main/workflow/it/in_args: the playbook that is called must be given `__in__`"
    );
    let unknown = caller(full()).declare("__in__", json!({"type": "string"}));
    let mut play = Play::with(&unknown, &[needs]);
    play.awaits(["bad"]);
    assert_eq!(
        play.error("it"),
        Some("the playbook must be given a value for `__in__`")
    );
}

#[test]
fn arguments_that_the_callee_does_not_have_or_does_not_take_are_refused() {
    let step = with(
        call(ID),
        json!({"in_args": ["__inner__", "__none__"], "out_args": ["__nor__"]}),
    );
    let refusals = refused(
        &caller(step).program(&[callee("1", "say")]),
        &Modules::default(),
    );
    let words: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    assert_eq!(
        words,
        [
            "playbook--main/workflow/it/in_args: `__inner__` is not external in the playbook that is called: it cannot be given",
            "playbook--main/workflow/it/in_args: the playbook that is called has no variable `__none__`",
            "playbook--main/workflow/it/out_args: the playbook that is called has no variable `__nor__`",
        ]
    );
}

#[test]
fn variables_of_the_calling_step_are_handed_over_and_end_with_it() {
    let step = with(
        full(),
        json!({"step_variables": {
            "__in__": {"type": "string", "value": "of the step"},
            "__out__": {"type": "string"},
        }}),
    );
    let mut play = Play::with(&caller(step), &[callee("1", "say")]);
    assert_eq!(play.line("playbook--callee@1/say"), "say 'of the step'");
    play.prints("playbook--callee@1/say", "x")
        .awaits(["after"])
        .has("__out__", "before");
}

#[test]
fn a_playbook_may_call_itself_as_deep_as_is_allowed() {
    let doc = Doc::called(ID, "1", "ask")
        .declare(
            "__n__",
            json!({"type": "integer", "external": true, "value": "0"}),
        )
        .steps([
            ("ask", on_success(when("__n__:value < 3", "count"), "end")),
            (
                "count",
                on_success(with(act(), json!({"out_args": ["__n__"]})), "again"),
            ),
            (
                "again",
                on_success(
                    with(
                        call(ID),
                        json!({"in_args": ["__n__"], "out_args": ["__n__"]}),
                    ),
                    "stop",
                ),
            ),
            ("stop", json!({"type": "end"})),
        ]);
    let mut play = Play::of(&doc);
    play.prints("count", "1");
    for left in ["2", "3"] {
        play.prints("playbook--callee@1/count", left);
    }
    play.awaits(["succeeded"]).has("__n__", "3");

    let mut deep = Play::of(&doc).within(|limits| limits.calls = 2);
    deep.prints("count", "0")
        .prints("playbook--callee@1/count", "0");
    deep.prints("playbook--callee@1/count", "0");
    deep.awaits(["failed: more than 2 playbooks call each other, one within the other"]);
}

#[test]
fn a_playbook_that_is_called_twice_begins_anew_each_time() {
    let doc = caller(full()).steps([
        ("it", on_success(full(), "again")),
        ("again", on_success(full(), "after")),
    ]);
    let mut play = Play::with(&doc, &[callee("1", "say")]);
    let name = "playbook--callee@1/say";
    play.prints(name, "one")
        .prints(name, "two")
        .awaits(["after"])
        .has("__out__", "two");
    let keys = play.run.keys("playbook--callee@1/say/0.0");
    assert_eq!(keys.len(), 2);
    assert_ne!(keys[0], keys[1]);
}
