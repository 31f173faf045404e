//! A two-step reaction, script → action → script → action: what goes well, what a script may
//! decide, and how failed attempts are made again.

use std::time::Duration;

use conche_core::run::{ErrorKind, Report, Retry, Verdict, VisitState};

use super::golden;
use crate::definitions::{reaction, two_steps};
use crate::shell::{Shell, failure, json};

#[test]
fn scripts_and_actions_take_turns_to_the_end() {
    let mut run = Shell::new(two_steps());
    run.expect(["evaluate script"])
        .verdict("script", "look", r#"{"ip":"10.0.0.1"}"#)
        .expect([r#"invoke look #1 {"ip":"10.0.0.1"}"#])
        .begin("look")
        .expect(["wait"])
        .pass(Duration::from_secs(2))
        .output("look", r#"{"score":9}"#)
        .expect([r#"evaluate look:script data {"score":9}"#])
        .verdict("look:script", "block", r#"{"ip":"10.0.0.1"}"#)
        .expect([r#"invoke block #1 {"ip":"10.0.0.1"}"#])
        .output("block", "{}")
        .expect(["succeeded"]);
    golden("two-steps", &run.text());
}

#[test]
fn a_script_that_stops_ends_the_run_well() {
    let mut run = Shell::new(two_steps());
    run.expect(["evaluate script"])
        .stop("script")
        .expect(["succeeded"]);
    let mut run = Shell::new(two_steps());
    run.verdict("script", "look", "{}")
        .output("look", "null")
        .expect(["evaluate look:script data null"])
        .stop("look:script")
        .expect(["succeeded"]);
}

#[test]
fn an_action_that_no_reaction_defines_fails_the_run_and_names_those_that_are() {
    Shell::new(two_steps())
        .verdict("script", "lock", "{}")
        .expect([
            "failed: the script asked for the action 'lock', which is not defined \
                  (defined: block, look)",
        ]);
}

#[test]
fn a_script_that_throws_fails_the_run_and_is_not_run_again() {
    let mut run = Shell::new(two_steps());
    run.fail("script", ErrorKind::Script)
        .expect(["failed: it broke"]);
    assert_eq!(run.visit("script").attempts, 1);
}

#[test]
fn a_script_that_found_no_worker_is_run_again_later() {
    Shell::new(two_steps())
        .fail("script", ErrorKind::Transient)
        .wakes_after(0.8..=1.0)
        .expect(["evaluate script"])
        .stop("script")
        .expect(["succeeded"]);
}

#[test]
fn a_script_that_never_finds_a_worker_fails_the_run_after_the_default_budget() {
    let mut run = Shell::new(two_steps());
    for _ in 1..Retry::default().attempts {
        run.fail("script", ErrorKind::Transient)
            .wakes_after(0.8..=16.0);
    }
    run.expect(["evaluate script"])
        .fail("script", ErrorKind::Transient)
        .expect(["failed: it broke"]);
}

#[test]
fn later_scripts_see_the_event_as_earlier_ones_left_it_even_as_null() {
    for event in [r#"{"seen":true}"#, "null"] {
        let mut run = Shell::new(two_steps());
        run.report(
            "script",
            Report::Verdict {
                verdict: Verdict::Next {
                    action: "look".to_owned(),
                    data: json("{}"),
                },
                event: Some(json(event)),
                logs: Vec::new(),
            },
        )
        .crash()
        .output("look", "1");
        let expected = format!("evaluate look:script event {event} data 1");
        run.expect([expected.as_str()]);
    }
}

#[test]
fn a_transient_failure_is_tried_again_with_the_same_key_until_it_goes_well() {
    let mut run = Shell::new(two_steps());
    run.verdict("script", "look", "{}")
        .fail("look", ErrorKind::Transient)
        .wakes_after(0.8..=1.0)
        .expect(["invoke look #2 {}"])
        .fail("look", ErrorKind::TimedOut)
        .wakes_after(1.6..=2.0)
        .expect(["invoke look #3 {}"])
        .output("look", "{}")
        .expect(["evaluate look:script data {}"])
        .stop("look:script")
        .expect(["succeeded"]);
    let keys = run.keys("look");
    assert_eq!(keys.len(), 3);
    assert!(keys.iter().all(|key| *key == keys[0]));
    golden("retries", &run.text());
}

#[test]
fn the_last_attempt_of_the_budget_fails_the_run() {
    Shell::new(two_steps())
        .verdict("script", "look", "{}")
        .fail("look", ErrorKind::Transient)
        .wakes_after(0.8..=1.0)
        .fail("look", ErrorKind::Transient)
        .wakes_after(1.6..=2.0)
        .fail("look", ErrorKind::Transient)
        .expect(["failed: it broke"]);
}

#[test]
fn a_permanent_failure_is_never_tried_again() {
    let mut run = Shell::new(two_steps());
    run.verdict("script", "look", "{}")
        .fail("look", ErrorKind::Permanent)
        .expect(["failed: it broke"]);
    assert_eq!(run.keys("look").len(), 1);
}

#[test]
fn a_receiver_that_asks_for_a_longer_wait_gets_it() {
    let later = |wait| failure(ErrorKind::Transient, "busy", Some(wait));
    Shell::new(two_steps())
        .verdict("script", "look", "{}")
        .report("look", later(Duration::from_secs(90)))
        .wakes_after(90.0..=90.0)
        .report("look", later(Duration::from_millis(1)))
        .wakes_after(1.6..=2.0)
        .expect(["invoke look #3 {}"]);
}

#[test]
fn a_receiver_that_asks_for_ages_cannot_hold_the_run_beyond_its_deadline() {
    Shell::new(two_steps())
        .verdict("script", "look", "{}")
        .report(
            "look",
            failure(ErrorKind::Transient, "busy", Some(Duration::MAX)),
        )
        .expect(["wait"])
        .pass(Duration::from_hours(24))
        .expect(["failed: the run's deadline passed at 1970-01-02T00:00:00Z"]);
}

#[test]
fn an_action_that_no_module_offers_is_left_to_its_performer_to_refuse() {
    let mut run = Shell::new(reaction(
        "
name: r
event: e
script: x
actions: { x: { module: demo, action: gone } }
",
    ));
    run.verdict("script", "x", "{}")
        .expect(["invoke x #1 {}"])
        .fail("x", ErrorKind::NoSuchAction)
        .expect(["failed: it broke"]);
}

#[test]
fn a_step_may_be_named_like_the_script_of_another() {
    let mut run = Shell::new(reaction(
        "
name: r
event: e
script: x
actions:
  script: { module: demo, action: keyed, script: y }
  'script:script': { module: demo, action: keyed }
",
    ));
    run.expect(["evaluate script'"])
        .verdict("script'", "script", "{}")
        .output("script", "1")
        .expect(["evaluate script:script' data 1"])
        .verdict("script:script'", "script:script", "{}")
        .expect(["invoke script:script #1 {}"])
        .output("script:script", "2")
        .expect(["succeeded"]);
}

#[test]
fn a_timeout_ends_an_attempt_but_never_after_the_run() {
    let attempt_ends = |deadline: &str| {
        let mut run = Shell::new(reaction(&format!(
            "
name: r
event: e
script: x
limits: {{ deadline: {deadline} }}
actions: {{ x: {{ module: demo, action: keyed, timeout: 5m }} }}
"
        )));
        run.verdict("script", "x", "{}");
        match &run.effects()[..] {
            [conche_core::run::Effect::Invoke(call)] => call.deadline.as_second(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(attempt_ends("1h"), 300);
    assert_eq!(attempt_ends("1m"), 60);
}

#[test]
fn a_budget_of_attempts_is_the_reactions_own_or_the_default() {
    let mut run = Shell::new(reaction(
        "
name: r
event: e
script: x
actions: { x: { module: demo, action: keyed } }
",
    ));
    run.verdict("script", "x", "{}");
    for _ in 1..Retry::default().attempts {
        run.fail("x", ErrorKind::Transient);
        assert!(matches!(run.visit("x").state, VisitState::BackingOff(_)));
        run.wakes_after(0.0..=300.0);
    }
    run.fail("x", ErrorKind::Transient)
        .expect(["failed: it broke"]);
}
