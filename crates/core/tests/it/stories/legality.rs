//! Entries that the state refuses, each with a neighbour that it accepts. A refusal changes
//! nothing, which `try_append` checks.

use std::collections::BTreeMap;

use conche_core::run::{
    Entry, ErrorKind, IdempotencyKey, Outcome, Path, Repeat, RunState, StepError, Turn, Verdict,
    VisitNo,
};
use conche_core::{Json, StepId, Timestamp};
use serde_json::json;

use crate::definitions::{fan_out, response, two_steps};
use crate::shell::{RUN, Shell};

fn entered(visit: VisitNo, path: &[(VisitNo, u32)], from: Option<VisitNo>) -> Entry {
    let path: Path = path
        .iter()
        .map(|(of, index)| Turn {
            of: *of,
            index: *index,
        })
        .collect();
    Entry::Entered {
        visit,
        step: StepId::from("x"),
        path,
        from,
    }
}

fn intended(visit: VisitNo, attempt: u32) -> Entry {
    Entry::Intended {
        visit,
        attempt,
        key: IdempotencyKey::of(RUN, &StepId::from("x"), &Path::new(), visit, 0),
        module: String::new(),
        action: String::new(),
        input: Json::null(),
        repeat: Repeat::Unsafe,
        deadline: Timestamp::UNIX_EPOCH,
    }
}

fn succeeded(visit: VisitNo, attempt: u32) -> Entry {
    Entry::Succeeded {
        visit,
        attempt,
        output: Json::null(),
        variables: BTreeMap::new(),
    }
}

fn failed(visit: VisitNo, attempt: u32) -> Entry {
    Entry::Failed {
        visit,
        attempt,
        error: StepError {
            kind: ErrorKind::Permanent,
            message: "it broke".to_owned(),
        },
        retry_at: None,
        logs: Vec::new(),
    }
}

const fn opened(visit: VisitNo, turn: u32, count: u32) -> Entry {
    Entry::Opened {
        visit,
        turn,
        count,
        scope: None,
        until: None,
    }
}

const fn closed(visit: VisitNo) -> Entry {
    Entry::Closed {
        visit,
        error: None,
        variables: BTreeMap::new(),
    }
}

fn finished() -> Entry {
    Entry::Finished {
        outcome: Outcome::Succeeded,
        reason: None,
    }
}

/// Refuses all of `illegal`, then accepts `legal`.
fn refuses(run: &mut Shell, illegal: impl IntoIterator<Item = Entry>, legal: Entry) {
    for entry in illegal {
        let what = format!("{entry:?}");
        assert!(run.try_append(entry).is_err(), "{what}\n{}", run.text());
    }
    run.append(legal);
}

#[test]
fn a_journal_begins_with_started_and_has_it_once() {
    assert!(RunState::fold(RUN, []).is_err());
    let mut run = Shell::new(two_steps());
    let started = run.journal[0].entry.clone();
    refuses(&mut run, [started], entered(0, &[], None));
    let headless = run.journal[1..].iter().cloned();
    let error = RunState::fold(RUN, headless).expect_err("no start");
    assert_eq!(
        error.to_string(),
        "a run that is not started does not accept 'entered'"
    );
}

#[test]
fn visits_are_numbered_without_gaps_and_follow_the_head_of_their_frame() {
    let mut run = Shell::new(two_steps());
    let first = [
        entered(1, &[], None),
        entered(0, &[], Some(0)),
        entered(0, &[(0, 0)], None),
        entered(u32::MAX, &[], None),
    ];
    refuses(&mut run, first, entered(0, &[], None));
    // Its head is not done yet.
    refuses(
        &mut run,
        [entered(1, &[], Some(0)), entered(1, &[], None)],
        Entry::Evaluated {
            visit: 0,
            verdict: Verdict::Stop,
            event: None,
            logs: Vec::new(),
        },
    );
    let second = [entered(1, &[], None), entered(1, &[], Some(1))];
    refuses(&mut run, second, entered(1, &[], Some(0)));
}

#[test]
fn a_frame_stands_within_the_open_container_that_its_path_names() {
    let mut run = Shell::with(fan_out(), &[("left", json!(1))]);
    run.append(entered(0, &[], None));
    refuses(&mut run, [entered(1, &[(0, 0)], None)], opened(0, 0, 1));
    refuses(
        &mut run,
        [
            entered(1, &[(0, 1)], None),
            entered(1, &[(1, 0)], None),
            entered(1, &[(7, 0), (0, 0)], None),
            entered(1, &[(0, 0), (0, 0)], None),
        ],
        entered(1, &[(0, 0)], None),
    );
    run.append(opened(1, 0, 2));
    refuses(
        &mut run,
        [
            entered(2, &[(1, 0)], None),
            entered(2, &[(0, 1), (1, 0)], None),
            entered(2, &[(0, 0), (1, 2)], None),
        ],
        entered(2, &[(0, 0), (1, 1)], None),
    );
}

#[test]
fn attempts_are_numbered_one_by_one_and_end_by_their_number() {
    let mut run = Shell::with(response(), &[("left", json!(1))]);
    run.effects();
    let visit = run.number("block");
    let early = [
        succeeded(visit, 1),
        succeeded(visit, 0),
        intended(visit, 0),
        intended(visit, 2),
        failed(visit, 0),
        failed(visit, 2),
    ];
    refuses(&mut run, early, intended(visit, 1));
    let late = [
        intended(visit, 1),
        intended(visit, 2),
        failed(visit, 2),
        succeeded(visit, 0),
        succeeded(visit, 2),
        Entry::Elapsed { visit },
        closed(visit),
    ];
    refuses(&mut run, late, succeeded(visit, 1));
    refuses(
        &mut run,
        [succeeded(visit, 1), intended(visit, 2), failed(visit, 1)],
        Entry::CancelRequested {
            by: "ana".to_owned(),
            reason: None,
        },
    );
}

#[test]
fn a_container_ends_or_goes_on_only_when_all_within_is_done() {
    let mut run = Shell::with(fan_out(), &[("left", json!(2))]);
    run.begin("a");
    let (rounds, fan) = (run.number("rounds"), run.number("fan"));
    let busy = [
        closed(fan),
        closed(rounds),
        opened(rounds, 1, 1),
        opened(fan, 2, 2),
    ];
    let a = run.number("a");
    refuses(&mut run, busy, succeeded(a, 1));
    let b = run.number("b");
    run.append(intended(b, 1));
    run.append(failed(b, 1));
    refuses(
        &mut run,
        [opened(fan, 0, 2), opened(fan, 1, 1)],
        closed(fan),
    );
    // A loop goes forwards.
    refuses(&mut run, [opened(rounds, 0, 1)], opened(rounds, 1, 1));
}

#[test]
fn a_run_does_not_finish_while_an_attempt_is_under_way() {
    let mut run = Shell::new(two_steps());
    run.verdict("script", "look", "{}").begin("look");
    let look = run.number("look");
    refuses(&mut run, [finished()], succeeded(look, 1));
    let mut run = Shell::new(two_steps());
    run.verdict("script", "look", "{}").begin("look").cancel();
    refuses(&mut run, [finished()], failed(look, 1));
    run.append(finished());
}

#[test]
fn a_cancelled_run_begins_nothing() {
    let mut run = Shell::with(response(), &[("left", json!(1))]);
    run.begin("block").cancel();
    let (block, poll, both) = (run.number("block"), run.number("poll"), run.number("both"));
    let next = run.state.visits().len() as VisitNo;
    let begun = [
        intended(poll, 1),
        entered(next, &[(both, 0)], Some(block)),
        opened(both, 2, 1),
        closed(both),
        Entry::Delayed {
            visit: poll,
            until: run.now,
        },
        Entry::Elapsed { visit: poll },
        Entry::AttentionNeeded {
            visit: block,
            reason: String::new(),
        },
    ];
    refuses(&mut run, begun, succeeded(block, 1));
}

#[test]
fn only_the_last_visit_of_a_live_frame_changes() {
    let mut run = Shell::new(two_steps());
    run.verdict("script", "look", "{}")
        .begin("look")
        .cancel()
        .stops()
        .expect(["cancelled: cancelled by ana"])
        .reopen("script");
    let look = 1;
    // Before the run was reopened, any of these would have been taken.
    let forgotten = [intended(look, 2), succeeded(look, 1), failed(look, 1)];
    refuses(
        &mut run,
        forgotten,
        Entry::Evaluated {
            visit: 0,
            verdict: Verdict::Stop,
            event: None,
            logs: Vec::new(),
        },
    );
}

#[test]
fn only_a_finished_run_is_reopened_and_only_at_a_visit_that_it_has() {
    let reopened = |visit| Entry::Reopened {
        visit,
        by: "ana".to_owned(),
        identity: None,
        deadline: Timestamp::MAX,
    };
    let mut run = Shell::new(two_steps());
    run.effects();
    refuses(&mut run, [reopened(0)], failed(0, 1));
    run.effects();
    refuses(&mut run, [reopened(1), reopened(u32::MAX)], reopened(0));
}
