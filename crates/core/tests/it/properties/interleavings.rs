//! Random definitions under random hands: attempts overlap, answers come late or never, the
//! process dies, time jumps, people cancel, resume and reopen. Whatever happens, the journal
//! stays legal, the run is never stuck, and it ends when answers keep coming.

use std::collections::BTreeMap;

use std::time::Duration;

use conche_core::Json;
use conche_core::definition::Step;
use conche_core::run::{
    Effect, Entry, ErrorKind, IdempotencyKey, Outcome, Phase, Report, Resolution, RunState,
    VisitNo, VisitState, decide, settle,
};
use proptest::prelude::*;

use crate::playbooks;
use crate::shell::{RUN, Shell, failure, stored};
use crate::world::{Case, cases, output, roll, scripted};

pub(super) fn begin(case: &Case) -> Shell {
    if let Some(scope) = &case.scope {
        return Shell::scoped(case.definition.clone(), scope.clone());
    }
    let variables: Vec<_> = case
        .variables
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    Shell::with(case.definition.clone(), &variables)
}

/// An answer to an effect of an action, any sort of it.
fn answer(roll: u64, probe: bool) -> Report {
    let evidence = "lost".to_owned();
    match (roll % 10, probe) {
        (0..=4, _) => output(roll / 10),
        (5, _) => failure(ErrorKind::Permanent, "refused", None),
        (6, _) => failure(ErrorKind::TimedOut, "too late", None),
        (7, false) => failure(ErrorKind::Transient, "busy", Some(Duration::from_secs(3))),
        (7, true) => Report::NotHappened,
        (_, false) => Report::Uncertain { evidence },
        (_, true) => Report::ProbeFailed { evidence },
    }
}

/// Performs one effect and records what came of it; an invocation may be left under way.
fn perform(run: &mut Shell, effect: &Effect, roll: u64) {
    match effect {
        Effect::Record(entry) => run.append(entry.clone()),
        Effect::Evaluate { visit, .. } => {
            let step = &run.definition.steps[&run.state.visits()[*visit as usize].step];
            let Step::Script(step) = step else {
                panic!("{effect:?} of {step:?}")
            };
            let report = scripted(step, roll / 2);
            run.report_visit(*visit, report);
        }
        Effect::Invoke(call) => {
            run.append(effect.intent().expect("an invocation has an intent"));
            if roll.is_multiple_of(2) {
                run.report_visit(call.visit, answer(roll / 2, false));
            }
        }
        Effect::Query { visit, .. } => run.report_visit(*visit, Report::Found(BTreeMap::new())),
        Effect::Probe(call) => run.report_visit(call.visit, answer(roll, true)),
        Effect::Stop { visit } => {
            let evidence = "stopped".to_owned();
            run.report_visit(*visit, Report::Uncertain { evidence });
        }
        // Mostly somebody comes before the deadline does, else few runs would get far.
        Effect::WaitUntil(at) if *at == run.state.deadline() && !roll.is_multiple_of(8) => {
            answer_one(run, roll / 8);
            attend(run, roll / 8);
        }
        Effect::WaitUntil(at) => run.now = run.now.max(*at),
    }
}

/// Something that somebody outside the machine does, or that befalls it.
fn intervene(run: &mut Shell, roll: u64) {
    let visits = run.state.visits().len() as u64;
    let some_visit = (visits > 0).then(|| (roll / 16 % visits) as VisitNo);
    match (roll % 16, some_visit) {
        (0..=5, _) => answer_one(run, roll / 16),
        (6..=7, _) => {
            run.crash();
        }
        (8..=9, _) => run.now += Duration::from_secs(roll / 16 % 400),
        (10, _) if (roll / 16).is_multiple_of(4) => {
            let by = "ana".to_owned();
            // Refused by a finished run.
            let _late = run.try_append(Entry::CancelRequested { by, reason: None });
        }
        (10, _) => {
            let (by, reason) = ("ana".to_owned(), None);
            // One of the two is refused, and both by a run that is over.
            let pause = Entry::Paused {
                by: by.clone(),
                reason,
            };
            if run.try_append(pause).is_err() {
                let _over = run.try_append(Entry::Unpaused { by });
            }
        }
        (11..=13, Some(_)) => attend(run, roll / 16),
        // A report that nobody waits for: refused, or taken for one that somebody does.
        (14, Some(visit)) => {
            let report = answer(roll / 32, false);
            let entry = settle(&run.definition, &run.state, visit, report, run.now);
            let _stale = run.try_append(entry.expect("the visit exists"));
        }
        (15, Some(visit)) if (roll / 16).is_multiple_of(4) => {
            let by = "ana".to_owned();
            let deadline = run.now + Duration::from_hours(1);
            // Refused by a run that is not finished, and for a forgotten visit.
            let _early = run.try_append(Entry::Reopened {
                visit,
                by,
                identity: None,
                deadline,
            });
        }
        _ => {}
    }
}

/// One of the attempts under way comes to an end.
fn answer_one(run: &mut Shell, roll: u64) {
    let under_way: Vec<VisitNo> = run.state.performing().collect();
    if let Some(visit) = under_way.get(roll as usize % under_way.len().max(1)) {
        run.report_visit(*visit, answer(roll / 32, false));
    }
}

/// A person decides about everything that needs attention.
fn attend(run: &mut Shell, roll: u64) {
    let waiting: Vec<String> = run
        .state
        .visits()
        .iter()
        .filter(|visit| matches!(visit.state, VisitState::Attention { .. }) && !visit.forgotten)
        .map(|visit| visit.step.to_string())
        .collect();
    if !matches!(run.state.phase(), Phase::Running | Phase::Paused { .. }) {
        return;
    }
    for step in waiting {
        let resolution = match roll % 3 {
            0 => Resolution::Repeat,
            1 => Resolution::Succeeded {
                output: Json::from(&serde_json::json!(0)),
            },
            _ => Resolution::Failed {
                reason: "given up".to_owned(),
            },
        };
        run.resume(&step, resolution);
    }
}

/// What holds in every state, also in those that only damage leads to.
pub(super) fn holds_together(state: &RunState) {
    let visits = state.visits();
    for visit in visits {
        for (level, turn) in visit.path.iter().enumerate() {
            let around = &visits[turn.of as usize];
            assert_eq!(around.path, visit.path[..level], "{visit:?}");
        }
    }
    let under_way = visits
        .iter()
        .filter(|visit| matches!(visit.state, VisitState::Performing { .. }));
    let known = state.performing().count();
    assert_eq!(known, under_way.count(), "an attempt under way was lost");
    let finished = matches!(state.phase(), Phase::Finished { .. });
    assert!(
        !finished || known == 0,
        "finished with an attempt under way"
    );
}

/// What holds in every state that the machine came to.
fn check(run: &Shell) {
    holds_together(&run.state);
    let effects = decide(&run.definition, &run.state, run.now);
    let finished = matches!(run.state.phase(), Phase::Finished { .. });
    assert_eq!(effects.is_empty(), finished, "stuck\n{}", run.text());
    for effect in &effects {
        if let Effect::WaitUntil(at) = effect {
            assert!(*at <= run.state.deadline() && *at > run.now, "{effect:?}");
        }
    }
    if matches!(run.state.phase(), Phase::Paused { .. }) {
        let begins = |effect: &&Effect| {
            !matches!(
                effect,
                Effect::WaitUntil(_) | Effect::Stop { .. } | Effect::Record(Entry::Finished { .. })
            )
        };
        assert_eq!(effects.iter().find(begins), None, "{}", run.text());
    }
    let limits = run.definition.limits;
    let width = run.definition.steps.len();
    assert!(run.state.visits().len() <= limits.steps as usize + width);
    for visit in run.state.visits() {
        if let Step::Action(action) = &run.definition.steps[&visit.step] {
            let budget = action.policy.retry.attempts;
            assert!(visit.tries <= budget, "{visit:?}\n{}", run.text());
        }
    }
}

/// Answers everything until the run is over.
fn to_the_end(run: &mut Shell, seed: u64) {
    for round in 0..20_000u64 {
        if matches!(run.state.phase(), Phase::Finished { .. }) {
            return;
        }
        let effects = run.effects();
        for visit in run.state.performing().collect::<Vec<_>>() {
            run.report_visit(visit, answer(roll(seed, (round, visit)), false));
        }
        let mut due = effects
            .iter()
            .filter(|effect| !matches!(effect, Effect::WaitUntil(_) | Effect::Stop { .. }));
        if let Some(effect) = due.next() {
            perform(run, effect, roll(seed, round));
        } else if run
            .state
            .visits()
            .iter()
            .any(|visit| matches!(visit.state, VisitState::Attention { .. }))
        {
            attend(run, 2);
            if let Some(at) = run.wake() {
                run.now = run.now.max(at);
            }
        } else if let Some(at) = run.wake() {
            run.now = run.now.max(at);
        }
    }
    panic!("it does not end\n{}", run.text());
}

/// The journal of `run` and every part of it from the start folds to what it folded to.
fn folds(run: &Shell) {
    let mut state = RunState::begin(RUN, run.journal[0].clone()).expect("a start");
    for (number, record) in run.journal.iter().enumerate().skip(1) {
        stored(record);
        state.apply(record.clone()).expect("a legal entry");
        if number % 16 == 0 {
            let prefix = run.journal[..=number].iter().cloned();
            let folded = RunState::fold(RUN, prefix).expect("a legal prefix");
            assert_eq!(folded, state);
        }
    }
    assert_eq!(state, run.state);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn whatever_happens_the_journal_is_legal_and_the_run_ends(
        case in prop_oneof![2 => cases(), 1 => playbooks::cases()],
        rolls in prop::collection::vec(any::<u64>(), 0..150),
        seed in any::<u64>(),
    ) {
        let mut run = begin(&case);
        for roll in rolls {
            let effects = decide(&run.definition, &run.state, run.now);
            if roll % 4 == 3 {
                intervene(&mut run, roll / 4);
            } else if let Some(Effect::Record(_)) = effects.first() {
                run.effects();
            } else if !effects.is_empty() {
                let effect = &effects[(roll / 4) as usize % effects.len()];
                perform(&mut run, effect, roll / 64);
            }
            check(&run);
        }
        let cancelled = matches!(run.state.phase(), Phase::Cancelling { .. });
        to_the_end(&mut run, seed);
        check(&run);
        folds(&run);
        if cancelled {
            let ended = matches!(
                run.state.phase(),
                Phase::Finished { outcome: Outcome::Cancelled, .. }
            );
            prop_assert!(ended, "{}", run.text());
        }
    }

    #[test]
    fn an_effect_has_one_key_and_a_key_one_effect(
        case in prop_oneof![2 => cases(), 1 => playbooks::cases()],
        rolls in prop::collection::vec(any::<u64>(), 0..100),
    ) {
        let mut run = begin(&case);
        for roll in rolls {
            let effects = run.effects();
            if roll % 4 == 3 {
                intervene(&mut run, roll / 4);
            } else if !effects.is_empty() {
                let effect = &effects[(roll / 4) as usize % effects.len()];
                perform(&mut run, effect, roll / 64);
            }
        }
        let mut reruns = std::collections::BTreeMap::<VisitNo, u32>::new();
        let mut keys = std::collections::BTreeMap::new();
        for record in &run.journal {
            match &record.entry {
                Entry::Reopened { visit, .. } => *reruns.entry(*visit).or_default() += 1,
                Entry::Intended { visit, key, .. } => {
                    let effect = (*visit, reruns.get(visit).copied().unwrap_or_default());
                    let known = keys.entry(effect).or_insert_with(|| key.clone());
                    prop_assert_eq!(known, key);
                }
                _ => {}
            }
        }
        let different: std::collections::BTreeSet<_> = keys.values().map(IdempotencyKey::as_str).collect();
        prop_assert_eq!(different.len(), keys.len());
    }
}
