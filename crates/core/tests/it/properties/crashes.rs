//! A crash at any point changes nothing but the time that a run takes: the process dies, another
//! folds the journal, and idempotent actions are repeated where needed.

use std::collections::{BTreeMap, BTreeSet};

use conche_core::definition::{Definition, Step};
use conche_core::run::{
    Effect, Entry, ErrorKind, OnUncertain, Outcome, Phase, Repeat, Report, VisitNo,
};
use conche_core::{Json, StepId};
use proptest::prelude::*;

use super::interleavings::begin;
use crate::shell::{Shell, failure};
use crate::world::{Case, cases, output, roll, scripted};

/// One piece of work wherever it stands in a journal: the step, the branches and iterations
/// around it, and how often it was visited there before. Visits are numbered in the order in
/// which branches happen to go on, so their numbers will not do.
type Identity = (StepId, Vec<u32>, usize);

/// The outside: remembers how often each piece of work was done, and under which keys.
#[derive(Default)]
struct World {
    seed: u64,
    tries: BTreeMap<Identity, u64>,
    keys: BTreeSet<String>,
}

impl World {
    /// Fails a few times, then for good or not, by the seed.
    fn invoke(&mut self, identity: &Identity, key: &str) -> Report {
        self.keys.insert(key.to_owned());
        let tries = self.tries.entry(identity.clone()).or_default();
        *tries += 1;
        let fate = roll(self.seed, identity);
        if *tries <= fate % 3 {
            failure(ErrorKind::Transient, "busy", None)
        } else if (fate / 3).is_multiple_of(8) {
            failure(ErrorKind::Permanent, "refused", None)
        } else {
            output(fate / 24)
        }
    }
}

/// How a run ended, as far as a crash must not change it.
#[derive(Debug, PartialEq)]
struct Ending {
    outcome: Outcome,
    reason: Option<String>,
    variables: BTreeMap<String, Json>,
    done: BTreeSet<Identity>,
}

/// One run that may crash at one of its points.
struct Driven {
    run: Shell,
    world: World,
    /// Points passed: places between two commits or effects, where a crash may come.
    points: usize,
    crash_at: Option<usize>,
}

impl Driven {
    fn new(case: &Case, seed: u64, crash_at: Option<usize>) -> Self {
        let world = World {
            seed,
            ..World::default()
        };
        Self {
            run: begin(case),
            world,
            points: 0,
            crash_at,
        }
    }

    /// Passes a point; says whether the process died there.
    fn dies(&mut self) -> bool {
        let dies = self.crash_at == Some(self.points);
        self.points += 1;
        if dies {
            self.run.crash();
        }
        dies
    }

    fn drive(mut self) -> (Ending, usize) {
        for _ in 0..5_000 {
            let effects = self.run.effects();
            if let Phase::Finished { outcome, reason } = self.run.state.phase().clone() {
                let points = self.points;
                return (self.ending(outcome, reason), points);
            }
            if self.dies() {
                continue;
            }
            let work = effects
                .iter()
                .find(|effect| !matches!(effect, Effect::WaitUntil(_)));
            match work {
                Some(effect) => self.perform(effect),
                None => self.run.now = self.run.wake().expect("work or a wait"),
            }
        }
        panic!("it does not end\n{}", self.run.text());
    }

    fn perform(&mut self, effect: &Effect) {
        let (visit, report) = match effect {
            Effect::Evaluate { visit, .. } => {
                let identity = identity(&self.run, *visit);
                let report = match &self.run.definition.steps[&identity.0] {
                    Step::Script(step) => scripted(step, roll(self.world.seed, &identity)),
                    other => panic!("{effect:?} of {other:?}"),
                };
                (*visit, report)
            }
            Effect::Invoke(call) => {
                self.run.append(effect.intent().expect("an intent"));
                if self.dies() {
                    return;
                }
                let identity = identity(&self.run, call.visit);
                (call.visit, self.world.invoke(&identity, call.key.as_str()))
            }
            other => panic!("{other:?} in a run of idempotent actions"),
        };
        if !self.dies() {
            self.run.report_visit(visit, report);
        }
    }

    fn ending(self, outcome: Outcome, reason: Option<String>) -> Ending {
        for record in &self.run.journal {
            if let Entry::Intended { key, .. } = &record.entry {
                let performed = self.world.keys.contains(key.as_str());
                assert!(performed, "{key} was intended only\n{}", self.run.text());
            }
        }
        Ending {
            outcome,
            reason,
            variables: self.run.state.variables().clone(),
            done: self.world.tries.into_keys().collect(),
        }
    }
}

fn identity(run: &Shell, visit: VisitNo) -> Identity {
    let visits = run.state.visits();
    let at = &visits[visit as usize];
    let before = visits[..visit as usize]
        .iter()
        .filter(|other| other.step == at.step && other.path == at.path);
    let mut around: Vec<u32> = at.path.iter().map(|turn| turn.index).collect();
    // The same container visited again, in a reaction that goes round, is another place.
    around.extend(at.path.iter().map(|turn| {
        let step = &visits[turn.of as usize].step;
        visits[..turn.of as usize]
            .iter()
            .filter(|other| other.step == *step)
            .count() as u32
    }));
    (at.step.clone(), around, before.count())
}

fn idempotent(mut definition: Definition) -> Definition {
    for step in definition.steps.values_mut() {
        if let Step::Action(action) = step {
            action.policy.repeat = Repeat::Idempotent;
            action.policy.on_uncertain = OnUncertain::Repeat;
            // Enough for the failures of the world and one crash.
            action.policy.retry.attempts = 5;
        }
    }
    definition
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_crash_at_any_point_leads_to_the_same_end(case in cases(), seed in any::<u64>()) {
        let case = Case { definition: idempotent(case.definition), ..case };
        let (undisturbed, points) = Driven::new(&case, seed, None).drive();
        for point in 0..points.min(120) {
            let (ending, _) = Driven::new(&case, seed, Some(point)).drive();
            prop_assert_eq!(&ending, &undisturbed, "after a crash at point {}", point);
        }
    }
}
