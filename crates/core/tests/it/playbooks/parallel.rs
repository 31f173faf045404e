//! Branches side by side: the join, and what a failure of one does to the others
//! (docs/decisions/0014, 0015).

use serde_json::json;

use super::document::{
    Doc, act, bash, either, end, manual, on_success, parallel, then, when, with,
};
use super::play::Play;

/// Two branches of two steps each.
fn pair(fork: serde_json::Value) -> Doc {
    Doc::new("fork")
        .variable("__x__", "string", "-")
        .variable("__y__", "string", "-")
        .steps([
            ("fork", fork),
            (
                "a",
                on_success(with(act(), json!({"out_args": ["__x__"]})), "a2"),
            ),
            (
                "a2",
                on_success(
                    with(bash("say __x__:value"), json!({"out_args": ["__y__"]})),
                    "a-end",
                ),
            ),
            (
                "b",
                on_success(
                    with(bash("say __x__:value"), json!({"out_args": ["__x__"]})),
                    "b2",
                ),
            ),
            ("b2", on_success(bash("say __x__:value"), "b-end")),
            ("a-end", end()),
            ("b-end", end()),
            ("after", then(bash("say __x__:value"), "end")),
        ])
}

fn failing() -> Doc {
    pair(on_success(parallel(["a", "b"]), "after"))
}

fn going_on() -> Doc {
    pair(then(parallel(["a", "b"]), "after"))
}

#[test]
fn the_step_after_waits_for_all_branches() {
    let mut play = Play::of(&failing());
    play.awaits(["a", "b"])
        .done(["b", "b2"])
        .awaits(["a"])
        .done(["a", "a2"])
        .awaits(["after"]);
    play.done(["after"]).awaits(["succeeded"]);
}

#[test]
fn branches_do_not_see_what_others_assign_and_are_merged_in_the_order_of_writing() {
    for order in [["a", "b", "a2", "b2"], ["b", "b2", "a", "a2"]] {
        let mut play = Play::of(&failing());
        for step in order {
            if step == "b" {
                assert_eq!(play.line("b"), "say '-'", "{order:?}");
            }
            play.prints(step, step);
        }
        assert_eq!(play.line("after"), "say 'b'", "{order:?}");
        play.has("__y__", "a2");
        let conflicts = play.run.state.conflicts();
        assert_eq!(conflicts.len(), 1, "{conflicts:?}");
        assert_eq!(conflicts[0].1.name.as_str(), "__x__");
        assert_eq!(conflicts[0].1.branches, [0, 1]);
    }
}

#[test]
fn branches_that_agree_are_no_conflict() {
    let mut play = Play::of(&failing());
    play.prints("a", "same")
        .prints("b", "same")
        .done(["a2", "b2"])
        .awaits(["after"]);
    assert_eq!(play.run.state.conflicts(), []);
    play.has("__x__", "same");
}

#[test]
fn after_a_failure_that_nothing_follows_no_further_step_is_begun_beside_it() {
    let mut play = Play::of(&failing());
    play.begins("b").fails("a").awaits([]).prints("b", "late");
    play.awaits(["failed: a broke"]).has("__x__", "late");
    assert_eq!(play.begun(), ["b", "a"]);
}

#[test]
fn a_step_that_has_begun_is_brought_to_its_end_with_all_its_commands() {
    let line = |text: &str| json!({"type": "bash", "command": text});
    let two = json!({"type": "action", "agent": "box", "commands": [line("1"), line("2")], "on_success": "b2"});
    let mut play = Play::of(&failing().step("b", two));
    play.begins("b")
        .fails("a")
        .done(["b"])
        .awaits(["b/1.0"])
        .done(["b/1.0"]);
    play.awaits(["failed: a broke"]);
}

#[test]
fn a_question_that_was_asked_is_waited_for_beside_a_failure() {
    let mut play = Play::of(&failing().step("b", on_success(manual("?"), "b2")));
    play.fails("a")
        .awaits(["ask b"])
        .answers("b", json!({}))
        .awaits(["failed: a broke"]);
}

#[test]
fn a_delay_is_cut_short_by_a_failure_beside_it() {
    let slow = with(on_success(act(), "b2"), json!({"delay": 60_000}));
    let mut play = Play::of(&failing().step("b", slow));
    play.awaits(["a", "until +60s"])
        .fails("a")
        .awaits(["failed: a broke"]);
}

#[test]
fn a_failure_that_something_follows_leaves_the_other_branches_alone() {
    let mut play = Play::of(&going_on());
    play.fails("a")
        .awaits(["b"])
        .done(["b"])
        .awaits(["b2"])
        .done(["b2"])
        .awaits(["after"]);
    assert_eq!(play.error("fork"), Some("a broke"));
    let rescue = pair(either(parallel(["a", "b"]), "end", "after"));
    Play::of(&rescue)
        .fails("a")
        .done(["b", "b2"])
        .awaits(["after"]);
}

#[test]
fn a_failure_that_its_own_branch_makes_good_stops_nobody() {
    let doc = failing().step("a", either(act(), "a-end", "a-end"));
    Play::of(&doc)
        .fails("a")
        .done(["b", "b2"])
        .awaits(["after"]);
}

#[test]
fn the_first_failed_branch_in_the_order_of_writing_gives_the_reason() {
    Play::of(&failing())
        .begins("a")
        .fails("b")
        .fails("a")
        .awaits(["failed: a broke"]);
}

#[test]
fn no_branch_is_begun_within_branches_beside_a_failure() {
    let doc = failing().steps([
        ("b", on_success(when("__x__:value = '-'", "in"), "b2")),
        (
            "in",
            on_success(with(act(), json!({"out_args": ["__x__"]})), "in2"),
        ),
        ("in2", on_success(act(), "in-end")),
        ("in-end", end()),
    ]);
    let mut play = Play::of(&doc);
    play.begins("in")
        .fails("a")
        .awaits([])
        .prints("in", "deep")
        .awaits(["failed: a broke"]);
    play.has("__x__", "deep");
}

#[test]
fn a_step_whose_time_is_over_beside_a_failure_is_given_up() {
    let doc = failing().steps([
        (
            "b",
            with(
                on_success(when("__x__:value = '-'", "in"), "b2"),
                json!({"timeout": 9000}),
            ),
        ),
        ("in", on_success(manual("?"), "in-end")),
        ("in-end", end()),
    ]);
    Play::of(&doc)
        .fails("a")
        .awaits(["ask in", "until +9s"])
        .pass(9.0)
        .awaits(["failed: a broke"]);
}

#[test]
fn what_is_under_way_beside_a_failure_is_stopped_when_the_time_around_it_is_over() {
    let doc = failing().steps([
        (
            "b",
            with(
                on_success(when("__x__:value = '-'", "in"), "b2"),
                json!({"timeout": 9000}),
            ),
        ),
        ("in", on_success(act(), "in-end")),
        ("in-end", end()),
    ]);
    Play::of(&doc)
        .begins("in")
        .fails("a")
        .awaits(["until +9s"])
        .pass(9.0)
        .awaits(["stop in"])
        .stopped()
        .awaits(["failed: a broke"]);
}

#[test]
fn three_branches_are_joined_in_their_order_whatever_the_order_of_their_ends() {
    let mut doc = Doc::new("fork")
        .variable("__x__", "string", "-")
        .step("fork", on_success(parallel(["b0", "b1", "b2"]), "end"));
    for branch in ["b0", "b1", "b2"] {
        let ended = format!("{branch}-end");
        doc = doc.step(
            branch,
            on_success(with(act(), json!({"out_args": ["__x__"]})), &ended),
        );
        doc = doc.step(&ended, end());
    }
    for order in [["b0", "b1", "b2"], ["b2", "b1", "b0"], ["b1", "b2", "b0"]] {
        let mut play = Play::of(&doc);
        for step in order {
            play.prints(step, step);
        }
        play.awaits(["succeeded"]).has("__x__", "b2");
    }
}
