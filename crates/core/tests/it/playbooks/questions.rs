//! Manual commands: what is asked, and which answers are taken (docs/decisions/0020).

use conche_core::run::{AnswerError, Status, VisitState};
use serde_json::{Value, json};

use super::document::{Doc, act, bash, either, manual, then, with};
use super::play::Play;

fn doc(more: Value) -> Doc {
    Doc::new("it")
        .variable("__host__", "string", "db1")
        .variable("__n__", "integer", "0")
        .variable("__b__", "bool", "false")
        .steps([
            (
                "it",
                either(with(manual("Unplug __host__:value"), more), "good", "bad"),
            ),
            ("good", then(bash("n __n__:value"), "end")),
            ("bad", then(act(), "end")),
        ])
}

fn answering() -> Doc {
    doc(json!({"out_args": ["__n__", "__b__"]}))
}

#[test]
fn a_question_has_its_text_who_is_asked_and_what_is_to_be_answered() {
    let mut play = Play::of(&doc(json!({"out_args": ["__n__"], "targets": ["t0"]})));
    play.awaits(["ask it"]);
    let VisitState::Asked { question, until } = &play.run.visit("it/0.0").state else {
        panic!("nobody is asked");
    };
    assert_eq!(question.text, "Unplug db1");
    let parties: Value = question.parties.read().expect("a document");
    assert_eq!(parties["agent"]["name"], "ana");
    assert_eq!(parties["target"]["id"], "t0");
    assert_eq!(
        serde_json::to_value(&question.answers).expect("a document"),
        json!({"__n__": {"type": "integer", "value": "0"}})
    );
    assert_eq!(
        *until,
        play.run.state.deadline(),
        "as long as the run may take"
    );
    let summary = play.run.state.summary();
    assert_eq!(
        (summary.status, summary.reason.as_deref()),
        (Status::AwaitingAnswer, Some("Unplug db1"))
    );
}

#[test]
fn an_answer_sets_its_variables_by_their_types() {
    let mut play = Play::of(&answering());
    play.answers("it", json!({"__n__": "12", "__b__": true}))
        .has("__n__", "12")
        .has("__b__", "true");
    assert_eq!(play.line("good"), "n '12'");
}

#[test]
fn an_answer_of_the_wrong_type_is_not_taken_and_the_question_stays() {
    let mut play = Play::of(&answering());
    let error = play
        .try_answer("it", json!({"__n__": "many", "__b__": true}))
        .expect_err("no number");
    assert!(matches!(error, AnswerError::Value(_)), "{error}");
    play.awaits(["ask it"]).has("__n__", "0");
}

#[test]
fn an_answer_that_was_not_asked_for_is_not_taken() {
    let mut play = Play::of(&answering());
    let error = play
        .try_answer("it", json!({"__host__": "x"}))
        .expect_err("not asked for");
    assert_eq!(error.to_string(), "`__host__` is not asked for");
}

#[test]
fn an_answer_without_a_value_that_is_asked_for_is_not_taken() {
    let mut play = Play::of(&answering());
    for (given, named) in [
        (json!({}), "`__b__`, `__n__`"),
        (json!({"__n__": 1}), "`__b__`"),
    ] {
        let error = play
            .try_answer("it", given)
            .expect_err("a value is missing");
        let words = format!("a value is asked for {named} too");
        assert!(error.to_string().starts_with(&words), "{error}");
    }
    play.refuses("it").awaits(["bad"]);
}

#[test]
fn a_question_is_answered_once() {
    let mut play = Play::of(&answering());
    let both = json!({"__n__": 1, "__b__": true});
    play.answers("it", both.clone());
    let error = play.try_answer("it", both).expect_err("answered already");
    assert!(matches!(error, AnswerError::NotAsked { .. }), "{error}");
}

#[test]
fn what_a_person_did_not_do_is_a_failed_step() {
    Play::of(&answering()).refuses("it").awaits(["bad"]);
    let mut play = Play::of(&doc(json!({})));
    play.refuses("it");
    assert_eq!(play.error("it/0.0"), Some("it was not done"));
}

#[test]
fn a_question_that_nobody_answers_in_time_is_a_failed_step() {
    let mut play = Play::of(&doc(json!({"timeout": 60_000})));
    play.awaits(["ask it", "until +60s"])
        .pass(60.0)
        .awaits(["bad"]);
    let error = play.try_answer("it", json!({})).expect_err("too late");
    assert!(matches!(error, AnswerError::NotAsked { .. }), "{error}");
}

#[test]
fn an_answer_just_before_the_end_of_the_time_counts_also_where_it_is_noticed_after() {
    let mut play = Play::of(&doc(json!({"timeout": 60_000})));
    play.awaits(["ask it", "until +60s"])
        .pass(59.9)
        .answers("it", json!({}));
    play.pass(1.0).awaits(["good"]);
}

#[test]
fn a_question_survives_the_death_of_the_process() {
    let mut play = Play::of(&answering());
    play.awaits(["ask it"]);
    play.run.crash();
    play.awaits(["ask it"])
        .answers("it", json!({"__n__": 1, "__b__": true}))
        .awaits(["good"]);
}

#[test]
fn each_manual_command_of_a_step_is_a_question_of_its_own() {
    let ask = |text: &str| json!({"type": "manual", "command": text});
    let step = json!({"type": "action", "agent": "ana", "commands": [ask("first"), ask("second")]});
    let mut play = Play::of(&doc(json!({})).step("it", either(step, "good", "bad")));
    play.awaits(["ask it"])
        .answers("it", json!({}))
        .awaits(["ask it/1.0"]);
    play.answers("it/1.0", json!({})).awaits(["good"]);
}

#[test]
fn a_question_without_text_shows_its_description() {
    let step = json!({"type": "action", "agent": "ana", "commands": [{"type": "manual", "description": "Call __host__:value"}]});
    let mut play = Play::of(&doc(json!({})).step("it", either(step, "good", "bad")));
    play.awaits(["ask it"]);
    assert_eq!(play.run.state.summary().reason.as_deref(), Some("Call db1"));
}

#[test]
fn a_question_that_cannot_be_asked_fails_its_step() {
    let mut play = Play::of(&doc(json!({"out_args": ["__none__"]})));
    play.awaits(["bad"]);
    assert_eq!(
        play.error("it/0.0"),
        Some("/workflow/it/commands/0: there is no variable `__none__`")
    );
}
