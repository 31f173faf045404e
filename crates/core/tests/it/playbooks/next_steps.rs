//! What follows a step, for each outcome and each way in which CACAO lets an author say it
//! (docs/decisions/0012).

use serde_json::{Value, json};

use super::document::{
    Doc, act, call, either, end, manual, on_success, parallel, switch, then, when, whilst, with,
};
use super::play::{Modules, Play, refused};

/// How a step may come out.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Outcome {
    Success,
    Failure,
    Timeout,
}

const OUTCOMES: [Outcome; 3] = [Outcome::Success, Outcome::Failure, Outcome::Timeout];

/// What an author may say of what follows.
#[derive(Debug, Clone, Copy)]
enum Said {
    Completion,
    Success,
    Both,
}

/// Every type of step that can fail, each so that the work of `inner` decides its outcome and
/// all of it has a time of ten seconds.
fn types() -> [(&'static str, Value); 7] {
    [
        ("action", act()),
        ("manual", manual("please")),
        ("if-condition", when("__yes__:value = true", "inner")),
        ("while-condition", whilst("__yes__:value = true", "inner")),
        (
            "switch-condition",
            switch("__yes__:value", [("true", "inner")]),
        ),
        ("parallel", parallel(["inner", "beside"])),
        ("playbook-action", call("playbook--callee")),
    ]
}

fn said(step: Value, said: Said) -> Value {
    let step = with(step, json!({"timeout": 10_000}));
    match said {
        Said::Completion => then(step, "good"),
        Said::Success => on_success(step, "good"),
        Said::Both => either(step, "good", "bad"),
    }
}

/// A playbook with this step, and the one that it may call. The work within a step that opens
/// branches has nothing that follows its failure, so that it is the branch's.
fn documents(step: Value) -> (Doc, Doc) {
    let inner = with(act(), json!({"out_args": ["__yes__"]}));
    let doc = Doc::new("it").variable("__yes__", "bool", "true").steps([
        ("it", step),
        ("inner", on_success(inner, "inner-end")),
        ("beside", then(act(), "beside-end")),
        ("inner-end", end()),
        ("beside-end", end()),
        ("good", then(act(), "end")),
        ("bad", then(act(), "end")),
    ]);
    let callee = Doc::called("playbook--callee", "2026-01-01T00:00:00.000Z", "inner")
        .step("inner", on_success(act(), "end"));
    (doc, callee)
}

/// The step of this type brought to an outcome.
fn bring(kind: &str, step: Value, outcome: Outcome) -> Play {
    let (doc, callee) = documents(step);
    let mut play = Play::with(&doc, &[callee]);
    let inner = match kind {
        "action" | "manual" => "it".to_owned(),
        "playbook-action" => "playbook--callee@2026-01-01T00:00:00.000Z/inner".to_owned(),
        _ => "inner".to_owned(),
    };
    if kind == "parallel" {
        play.done(["beside"]);
    }
    match (kind, outcome) {
        ("manual", Outcome::Success) => drop(play.answers("it", json!({}))),
        ("manual", Outcome::Failure) => drop(play.refuses("it")),
        ("manual", Outcome::Timeout) => drop(play.awaits(["ask it", "until +10s"]).pass(10.0)),
        (_, Outcome::Success) => drop(play.prints(&inner, "false\n")),
        (_, Outcome::Failure) => drop(play.fails(&inner)),
        (_, Outcome::Timeout) => {
            play.begins(&inner).pass(10.0);
            play.stopped();
        }
    }
    play
}

#[test]
fn every_type_of_step_goes_on_as_the_table_says() {
    for (kind, step) in types() {
        for outcome in OUTCOMES {
            for (way, good, bad) in [
                (Said::Completion, "good", Some("good")),
                (Said::Success, "good", None),
                (Said::Both, "good", Some("bad")),
            ] {
                let mut play = bring(kind, said(step.clone(), way), outcome);
                let case = format!("{kind} {outcome:?} {way:?}");
                println!("{case}");
                match (outcome == Outcome::Success, bad) {
                    (true, _) => drop(play.awaits([good])),
                    (false, Some(bad)) => drop(play.awaits([bad])),
                    (false, None) => {
                        play.run.effects();
                        let reason = play.run.state.summary().reason.expect("a failed run");
                        let expected = match outcome {
                            Outcome::Timeout => "ACTION_TIMEOUT: 'it",
                            _ => "",
                        };
                        assert!(reason.starts_with(expected), "{case}: {reason}");
                    }
                }
                if let (false, Some(bad)) = (outcome == Outcome::Success, bad) {
                    assert!(
                        play.error("it").is_some(),
                        "{case}: it is recorded as failed"
                    );
                    play.done([bad]).awaits(["succeeded"]);
                }
            }
        }
    }
}

#[test]
fn a_timeout_names_the_step_and_the_word_that_cacao_wants() {
    let step = either(with(act(), json!({"timeout": 1500})), "end", "end");
    let mut play = Play::of(&Doc::new("it").step("it", step));
    play.begins("it").pass(1.5).awaits(["stop it"]).stopped();
    play.awaits(["succeeded"]);
    assert_eq!(
        play.error("it"),
        Some("ACTION_TIMEOUT: 'it' was not over at 1970-01-01T00:00:01.5Z")
    );
}

#[test]
fn a_failure_that_nothing_follows_fails_each_step_around_it_until_one_says_what_follows() {
    let doc = Doc::new("outer")
        .variable("__yes__", "bool", "true")
        .steps([
            (
                "outer",
                either(when("__yes__:value = true", "middle"), "end", "rescue"),
            ),
            (
                "middle",
                on_success(when("__yes__:value = true", "inner"), "never"),
            ),
            ("inner", on_success(act(), "inner-end")),
            ("inner-end", end()),
            ("never", then(act(), "middle-end")),
            ("middle-end", end()),
            ("rescue", then(act(), "end")),
        ]);
    let mut play = Play::of(&doc);
    play.fails("inner").awaits(["rescue"]);
    assert_eq!(play.error("middle"), Some("inner broke"));
    assert_eq!(play.error("outer"), Some("inner broke"));
    play.done(["rescue"]).awaits(["succeeded"]);
}

#[test]
fn a_failure_that_nothing_follows_at_all_fails_the_run() {
    Play::of(&Doc::new("it").step("it", on_success(act(), "end")))
        .fails("it")
        .awaits(["failed: it broke"]);
}

#[test]
fn completion_goes_on_after_a_failure_and_the_run_succeeds() {
    let doc = Doc::new("it").steps([("it", then(act(), "after")), ("after", then(act(), "end"))]);
    let mut play = Play::of(&doc);
    play.fails("it").awaits(["after"]).done(["after"]);
    play.awaits(["succeeded"]);
    assert_eq!(play.error("it"), Some("it broke"));
}

#[test]
fn a_cancelled_run_goes_nowhere_from_any_type_of_step() {
    for (kind, step) in types() {
        for delay in [0, 1000] {
            let step = with(said(step.clone(), Said::Both), json!({"delay": delay}));
            let (doc, callee) = documents(step);
            let mut play = Play::with(&doc, &[callee]);
            play.run.effects();
            play.cancelled()
                .awaits(["cancelled: cancelled by ana"])
                .pass(100.0);
            play.awaits(["cancelled: cancelled by ana"]);
            assert_eq!(play.begun(), Vec::<String>::new(), "{kind}");
        }
    }
}

#[test]
fn what_is_under_way_when_a_run_is_cancelled_is_stopped_first() {
    let doc = Doc::new("both").steps([
        ("both", then(parallel(["a", "b"]), "end")),
        ("a", either(act(), "a-end", "a-end")),
        ("b", either(manual("?"), "b-end", "b-end")),
        ("a-end", end()),
        ("b-end", end()),
    ]);
    Play::of(&doc)
        .begins("a")
        .awaits(["ask b"])
        .cancelled()
        .awaits(["stop a"])
        .stopped()
        .awaits(["cancelled: cancelled by ana"]);
}

#[test]
fn what_says_too_little_or_too_much_of_what_follows_is_refused() {
    for (kind, step) in types() {
        for (more, property) in [
            (json!({}), "on_success"),
            (json!({"on_failure": "end"}), "on_success"),
            (
                json!({"on_completion": "end", "on_success": "end"}),
                "on_completion",
            ),
            (
                json!({"on_completion": "end", "on_failure": "end"}),
                "on_completion",
            ),
        ] {
            let doc = Doc::new("it").variable("__yes__", "bool", "true").steps([
                ("it", with(step.clone(), more)),
                ("inner", then(act(), "end")),
                ("beside", then(act(), "end")),
            ]);
            let callee = Doc::called("playbook--callee", "1", "end");
            let refusals = refused(&doc.program(&[callee]), &Modules::default());
            let pointers: Vec<String> = refusals
                .iter()
                .map(|refusal| refusal.pointer.to_string())
                .collect();
            assert_eq!(pointers, [format!("/workflow/it/{property}")], "{kind}");
        }
    }
}

#[test]
fn the_end_of_a_branch_leads_back_to_the_step_that_opened_it() {
    let doc = Doc::new("if").variable("__yes__", "bool", "true").steps([
        ("if", then(when("__yes__:value = true", "inner"), "after")),
        ("inner", then(act(), "inner-end")),
        ("inner-end", end()),
        ("after", then(act(), "end")),
    ]);
    Play::of(&doc)
        .done(["inner"])
        .awaits(["after"])
        .done(["after"])
        .awaits(["succeeded"]);
}
