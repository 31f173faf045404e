//! Steps that a second person approves before they are done (docs/decisions/0023).

use conche_core::definition::Defaults;
use conche_core::playbook::{FOUR_EYES, FourEyes, Lowered, lower};
use conche_core::run::{
    Answer, AnswerError, Entry, Person, Question, Status, VisitState, answer, approval_of,
};
use conche_core::{Definition, Json};
use serde_json::{Value, json};

use super::document::{Doc, act, commands, either, manual, on_success, then, whilst, with};
use super::play::{Modules, Play, refused};
use crate::shell::Shell;

fn marked(step: Value) -> Value {
    with(
        step,
        json!({"step_extensions": {FOUR_EYES: {"type": "four-eyes"}}}),
    )
}

fn person(name: &str, identity: Option<&str>) -> Person {
    Person {
        name: name.to_owned(),
        identity: identity.map(str::to_owned),
    }
}

fn lowered(doc: &Doc, policy: &FourEyes) -> Lowered {
    let program = doc.program(&[]);
    let lowered = lower(&program, &Modules::default(), &Defaults::default(), policy);
    lowered.expect("a playbook that can be run")
}

/// A run that these people had started.
fn started_by(doc: &Doc, by: &[Person]) -> Play {
    let Lowered {
        definition,
        variables,
        ..
    } = lowered(doc, &FourEyes::default());
    let mut play = Play {
        run: Shell::scoped(definition, variables),
    };
    let Entry::Started(started) = &mut play.run.journal[0].entry else {
        panic!("it was started");
    };
    started.by = by.to_vec();
    play.run.crash_to_journal();
    play
}

fn question(play: &mut Play, step: &str) -> Question {
    play.run.effects();
    match &play.run.visit(step).state {
        VisitState::Asked { question, .. } => question.clone(),
        other => panic!("{other:?}"),
    }
}

fn says(play: &mut Play, by: Person, failed: Option<&str>) -> Result<(), AnswerError> {
    play.run.effects();
    let visits = play.run.state.live_visits();
    let asked = visits
        .iter()
        .find(|(_, visit)| matches!(visit.state, VisitState::Asked { .. }));
    let visit = asked.expect("a question").0;
    let given = Answer {
        failed: failed.map(str::to_owned),
        ..Answer::default()
    };
    let entry = answer(&play.run.state, visit, given, by)?;
    play.run.append(entry);
    Ok(())
}

fn approved(play: &mut Play) -> &mut Play {
    says(play, person("bob", Some("token:2")), None).expect("he may");
    play
}

#[test]
fn a_step_that_is_marked_asks_before_its_first_command_and_shows_what_it_would_do() {
    let line = |text: &str| json!({"type": "bash", "command": text});
    let step = marked(commands([line("stop __host__:value"), line("sync")]));
    let doc = Doc::new("it").variable("__host__", "string", "web-1").step(
        "it",
        on_success(with(step, json!({"name": "Stop it"})), "end"),
    );
    let mut play = Play::of(&doc);
    play.awaits(["ask it/approval"]);
    let asked = question(&mut play, "it/approval");
    assert!(
        asked.text.starts_with("May `Stop it` be done? bash on "),
        "{}",
        asked.text
    );
    assert!(
        asked.text.contains("stop 'web-1'; bash on "),
        "{}",
        asked.text
    );
    let plan: Vec<Value> = asked.plan.iter().map(|part| part.read().unwrap()).collect();
    assert_eq!(plan.len(), 2);
    assert_eq!(plan[0]["command"]["command"], "stop 'web-1'");
    assert_eq!(play.run.state.summary().status, Status::AwaitingAnswer);
    approved(&mut play).awaits(["it"]).done(["it", "it/1.0"]);
    play.awaits(["succeeded"]);
}

#[test]
fn credentials_are_not_in_what_is_shown() {
    let http = json!({
        "type": "http-api", "command": "DELETE /x HTTP/1.1",
        "headers": {"Authorization": ["Bearer hunter2"], "X-Api-Key": ["hunter2"], "Accept": ["*/*"]},
    });
    let step = with(
        marked(commands([http])),
        json!({"targets": ["host--secret"]}),
    );
    let doc = Doc::new("it")
        .variable("__pw__", "string", "hunter2")
        .step("it", on_success(step, "end"))
        .set(
            "target_definitions",
            json!({"host--secret": {
                "type": "net-address", "name": "host", "address": {"dname": ["web-1.example"]},
                "authentication_info": "user-auth--a",
            }}),
        )
        .set(
            "authentication_info_definitions",
            json!({"user-auth--a": {
                "type": "user-auth", "username": "soc", "password": "__pw__:value",
            }}),
        );
    let mut play = Play::of(&doc);
    let asked = question(&mut play, "it/approval");
    let text = serde_json::to_string(&asked).unwrap();
    assert!(!text.contains("hunter2"), "{text}");
    assert!(
        text.contains("web-1.example") && text.contains("soc"),
        "{text}"
    );
    let plan: Value = asked.plan[0].read().unwrap();
    assert_eq!(plan["command"]["headers"]["Accept"], json!(["*/*"]));
}

#[test]
fn who_had_the_run_started_cannot_approve_it_by_any_name_or_token() {
    let doc = Doc::new("it").step("it", on_success(marked(act()), "end"));
    let ana = person("ana", Some("token:1"));
    let mut play = started_by(&doc, std::slice::from_ref(&ana));
    let same = AnswerError::SamePerson {
        name: "ana".to_owned(),
    };
    assert_eq!(says(&mut play, ana.clone(), None), Err(same.clone()));
    let renamed = person("eve", Some("token:1"));
    let refused = says(&mut play, renamed, None);
    assert!(
        matches!(refused, Err(AnswerError::SamePerson { .. })),
        "{refused:?}"
    );
    let other_token = person("ana", Some("token:9"));
    assert_eq!(says(&mut play, other_token, None), Err(same));
    let nobody = says(&mut play, person("local", None), None);
    assert_eq!(nobody, Err(AnswerError::Unknown));
    play.awaits(["ask it/approval"]);
    approved(&mut play).awaits(["it"]);

    let mut play = started_by(&doc, &[person("local", None)]);
    let bob = says(&mut play, person("bob", Some("token:2")), None);
    assert_eq!(bob, Err(AnswerError::StarterUnknown));
}

#[test]
fn a_refusal_is_the_failure_of_the_step_with_who_and_why() {
    let doc = Doc::new("it").steps([
        ("it", either(marked(act()), "end", "late")),
        ("late", then(act(), "end")),
    ]);
    let mut play = Play::of(&doc);
    // Who started it may call it off, too.
    says(&mut play, person("ana", None), Some("not on a Friday")).expect("anybody may");
    play.awaits(["late"]);
    let error = play.error("it/approval");
    assert_eq!(error, Some("ana refused it: not on a Friday"));
    let doc = Doc::new("it").step("it", on_success(marked(act()), "end"));
    let mut play = Play::of(&doc);
    says(&mut play, person("bob", Some("token:2")), Some("no")).expect("he may");
    play.awaits(["failed: bob refused it: no"]);
    assert_eq!(play.begun(), Vec::<String>::new());
}

#[test]
fn an_approval_that_nobody_gives_in_time_is_the_failure_of_the_step() {
    let doc = Doc::new("around")
        .variable("__yes__", "bool", "true")
        .steps([
            (
                "around",
                with(
                    either(whilst("__yes__:value = true", "it"), "end", "late"),
                    json!({"timeout": 60_000}),
                ),
            ),
            ("it", on_success(marked(act()), "end")),
            ("late", then(act(), "end")),
        ]);
    let mut play = Play::of(&doc);
    play.awaits(["ask it/approval", "until +60s"]);
    play.pass(60.0).awaits(["late"]);
    let doc = Doc::new("it").step("it", on_success(marked(act()), "end"));
    let mut play = Play::of(&doc);
    play.awaits(["ask it/approval"]).pass(86_400.0);
    play.awaits(["failed: the run's deadline passed at 1970-01-02T00:00:00Z"]);
}

#[test]
fn the_time_of_the_step_is_counted_from_its_approval() {
    let step = with(marked(act()), json!({"delay": 1000, "timeout": 5000}));
    let mut play = Play::of(&Doc::new("it").step("it", on_success(step, "end")));
    play.awaits(["until +1s"]).pass(1.0);
    play.awaits(["ask it/approval"]).pass(100.0);
    approved(&mut play);
    assert_eq!(play.invocation("it").deadline.as_second(), 106);
}

#[test]
fn a_loop_asks_in_every_iteration() {
    let doc = Doc::new("around")
        .variable("__yes__", "bool", "true")
        .steps([
            ("around", then(whilst("__yes__:value = true", "it"), "end")),
            ("it", on_success(marked(act()), "it-end")),
            ("it-end", super::document::end()),
        ]);
    let mut play = Play::of(&doc);
    for _ in 0..2 {
        play.awaits(["ask it/approval"]);
        approved(&mut play).done(["it"]);
    }
    play.awaits(["ask it/approval"]);
}

#[test]
fn what_changed_since_it_was_approved_is_not_done() {
    let line = |text: &str| json!({"type": "bash", "command": text});
    let step = with(
        marked(commands([line("find it"), line("stop __host__:value")])),
        json!({"out_args": ["__host__"]}),
    );
    let known = Doc::new("it")
        .variable("__host__", "string", "web-1")
        .step("it", on_success(step.clone(), "end"));
    let mut play = Play::of(&known);
    play.awaits(["ask it/approval"]);
    approved(&mut play).prints("it", "db-1");
    let reason = play.wanted().remove(0);
    assert!(
        reason.starts_with("failed: 'it/1.0' would not do what a second person approved"),
        "{reason}"
    );
    let mut play = Play::of(&known);
    approved(&mut play).prints("it", "web-1");
    play.awaits(["it/1.0"]);
}

#[test]
fn an_approval_lapses_when_the_run_is_retried() {
    let doc = Doc::new("it").step("it", on_success(marked(act()), "end"));
    let mut play = Play::of(&doc);
    approved(&mut play).fails("it");
    play.awaits(["failed: it broke"]);
    let command = play.run.number("it/0.0");
    let (definition, approval) = (play.run.definition.clone(), play.run.number("it/approval"));
    for behind in [command, play.run.number("it")] {
        let found = approval_of(&definition, &play.run.state, behind);
        assert_eq!(found, Some(approval));
    }
    assert_eq!(approval_of(&definition, &play.run.state, approval), None);
    // Whoever goes behind it all the same gets nowhere.
    play.reopens("it/0.0");
    let reason = play.wanted().remove(0);
    assert!(reason.contains("start again from its approval"), "{reason}");
    play.reopens("it/approval").awaits(["ask it/approval"]);
    // Who retries it had it started.
    let ana = says(&mut play, person("ana", Some("token:1")), None);
    assert!(ana.is_err(), "{ana:?}");
}

fn policy(commands: &[&str], activities: &[&str], playbooks: &[&str]) -> FourEyes {
    let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    FourEyes {
        commands: set(commands),
        activities: set(activities),
        playbooks: set(playbooks),
    }
}

fn under(doc: &Doc, policy: &FourEyes) -> Play {
    let Lowered {
        definition,
        variables,
        ..
    } = lowered(doc, policy);
    Play {
        run: Shell::scoped(definition, variables),
    }
}

#[test]
fn a_policy_means_commands_activities_and_playbooks() {
    let bash = json!({"type": "bash", "command": "x", "playbook_activity": "isolate-device"});
    let doc = Doc::new("it").step("it", on_success(commands([bash]), "end"));
    let id = doc.program(&[]).root().id.clone();
    for (policy, asks) in [
        (policy(&[], &[], &[]), false),
        (policy(&["bash"], &[], &[]), true),
        (policy(&["ssh"], &[], &[]), false),
        (policy(&[], &["isolate-device"], &[]), true),
        (policy(&[], &["scan-system"], &[]), false),
        (policy(&[], &[], &[&id]), true),
    ] {
        let expected = if asks { "ask it/approval" } else { "it" };
        under(&doc, &policy).awaits([expected]);
    }
    // A question is not approved, it is one.
    let doc = Doc::new("it").step("it", on_success(manual("?"), "end"));
    under(&doc, &policy(&[], &[], &[&id])).awaits(["ask it"]);
}

#[test]
fn a_change_of_the_policy_holds_for_runs_under_way() {
    let doc = Doc::new("first").steps([
        ("first", on_success(act(), "second")),
        ("second", on_success(act(), "end")),
    ]);
    let strict = policy(&["bash"], &[], &[]);
    let with_policy = |play: &mut Play, policy: &FourEyes| -> Definition {
        std::mem::replace(&mut play.run.definition, lowered(&doc, policy).definition)
    };
    let mut play = under(&doc, &FourEyes::default());
    play.awaits(["first"]);
    with_policy(&mut play, &strict);
    let reason = play.wanted().remove(0);
    assert!(
        reason.contains("a second person approved, or nobody did"),
        "{reason}"
    );
    // What was asked is waited for also where it would not be asked any more.
    let mut play = under(&doc, &strict);
    play.awaits(["ask first/approval"]);
    with_policy(&mut play, &FourEyes::default());
    play.awaits(["ask first/approval"]);
    approved(&mut play).done(["first"]).awaits(["second"]);
}

#[test]
fn a_mark_that_means_nothing_is_refused() {
    let wrong = with(
        act(),
        json!({"step_extensions": {FOUR_EYES: {"type": "four-eyes", "people": 3}}}),
    );
    for (step, message) in [
        (wrong, "and nothing else"),
        (marked(manual("?")), "only asks people"),
        (
            marked(whilst("__yes__:value = true", "it")),
            "with commands",
        ),
    ] {
        let doc = Doc::new("it")
            .variable("__yes__", "bool", "true")
            .step("it", on_success(step, "end"));
        let refusals = refused(&doc.program(&[]), &Modules::default());
        assert!(refusals[0].message.contains(message), "{refusals:?}");
        assert_eq!(
            refusals[0].pointer.to_string().rsplit('/').next(),
            Some("step_extensions")
        );
    }
}

#[test]
fn the_plan_is_the_same_text_after_a_crash() {
    let doc = Doc::new("it").step("it", on_success(marked(act()), "end"));
    let mut play = Play::of(&doc);
    let before: Vec<Json> = question(&mut play, "it/approval").plan;
    play.run.crash();
    approved(&mut play);
    play.run.crash();
    assert!(!before.is_empty());
    play.awaits(["it"]);
}
