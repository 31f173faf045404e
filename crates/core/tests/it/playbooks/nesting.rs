//! Each type of step that opens branches within each other, to success and to failure.

use serde_json::{Value, json};

use super::document::{
    Doc, act, call, either, end, on_success, parallel, switch, then, when, whilst, with,
};
use super::play::Play;

const KINDS: [&str; 6] = ["if", "else", "while", "switch", "parallel", "call"];

/// A step of this kind around the step `body`. Loops go round twice.
fn around(kind: &str, body: &str, beside: &str) -> Value {
    match kind {
        "if" => when("__yes__:value = true", body),
        "else" => with(
            when("__yes__:value = false", beside),
            json!({"on_false": body}),
        ),
        "while" => whilst("__n__:value < 2", body),
        "switch" => switch("__yes__:value", [("true", body), ("default", beside)]),
        "parallel" => parallel([body, beside]),
        _ => with(call("playbook--callee"), json!({"out_args": ["__n__"]})),
    }
}

/// `outer` around `inner` around the action `work`, then `after`; `rescue` after a failure of
/// `outer`. A call is of a playbook that has all that is within it.
fn nested(outer: &str, inner: &str) -> (Doc, Vec<Doc>) {
    let inside = |doc: Doc, first: bool| {
        let doc = doc
            .variable("__yes__", "bool", "true")
            .variable("__n__", "integer", "0");
        let doc = doc.steps([
            ("beside", on_success(act(), "beside-end")),
            ("beside-end", end()),
            ("besides", on_success(act(), "besides-end")),
            ("besides-end", end()),
            // A loop around it counts after each iteration.
            ("work", on_success(act(), "count")),
            (
                "count",
                on_success(with(act(), json!({"out_args": ["__n__"]})), "work-end"),
            ),
            ("work-end", end()),
        ]);
        let doc = doc.step(
            "inner",
            on_success(around(inner, "work", "beside"), "inner-end"),
        );
        let doc = doc.step("inner-end", end());
        if first {
            doc
        } else {
            doc.step("inner", on_success(around(inner, "work", "beside"), "end"))
        }
    };
    let main = inside(Doc::new("outer"), true).steps([
        (
            "outer",
            either(around(outer, "inner", "besides"), "after", "rescue"),
        ),
        ("after", then(act(), "end")),
        ("rescue", then(act(), "end")),
    ]);
    let mut callees = Vec::new();
    if outer == "call" {
        callees.push(inside(Doc::called("playbook--callee", "1", "inner"), false));
    } else if inner == "call" {
        callees.push(inside(Doc::called("playbook--callee", "1", "work"), false));
    }
    (main, callees)
}

/// Performs all that is wanted, `work` failing or not, until something else than the steps
/// within is wanted; gives that.
fn perform(mut play: Play, fails: bool) -> (Play, String) {
    let mut rounds = 0;
    loop {
        rounds += 1;
        assert!(rounds < 50, "it does not end\n{}", play.run.text());
        let wanted = play.wanted();
        let Some(first) = wanted.first() else {
            panic!("nothing is wanted\n{}", play.run.text());
        };
        let name = first.rsplit('/').next().unwrap_or_default().to_owned();
        match name.as_str() {
            "work" if fails => drop(play.fails(first)),
            "count" => {
                let counted = play
                    .begun()
                    .iter()
                    .filter(|step| step.ends_with("count"))
                    .count()
                    + 1;
                play.prints(first, &counted.to_string());
            }
            "work" | "beside" | "besides" => drop(play.done([first.as_str()])),
            _ => return (play, first.clone()),
        }
    }
}

#[test]
fn every_type_of_branch_within_every_other_goes_on_after_success_and_fails_after_failure() {
    for outer in KINDS {
        for inner in KINDS {
            if (outer, inner) == ("call", "call") {
                // A playbook that calls itself: see `calls`.
                continue;
            }
            let (doc, callees) = nested(outer, inner);
            let (mut play, next) = perform(Play::with(&doc, &callees), false);
            assert_eq!(next, "after", "{inner} in {outer}\n{}", play.run.text());
            play.done(["after"]).awaits(["succeeded"]);

            let (mut play, next) = perform(Play::with(&doc, &callees), true);
            assert_eq!(next, "rescue", "{inner} in {outer}\n{}", play.run.text());
            assert!(play.error("outer").is_some_and(
                |error| error.contains("work/0.0 broke") || error.contains("work broke")
            ));
            play.done(["rescue"]).awaits(["succeeded"]);
        }
    }
}

#[test]
fn a_time_around_every_type_of_branch_is_kept() {
    for outer in KINDS {
        let (doc, callees) = nested(outer, "if");
        let step = either(around(outer, "inner", "besides"), "after", "rescue");
        let doc = doc.step("outer", with(step, json!({"timeout": 7000})));
        let mut play = Play::with(&doc, &callees);
        play.run.effects();
        play.pass(7.0).awaits(["rescue"]);
        let error = play.error("outer").expect("it failed");
        assert!(
            error.starts_with("ACTION_TIMEOUT: 'outer'"),
            "{outer}: {error}"
        );
    }
}
