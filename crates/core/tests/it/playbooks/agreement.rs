//! The durable engine and the plain interpreter agree on random playbooks; and a crash after any
//! entry changes nothing but the time that a run takes.

use std::collections::{BTreeMap, BTreeSet};

use conche_core::Json;
use conche_core::Timestamp;
use conche_core::definition::{Opens, Step};
use conche_core::run::{
    Answer, Effect, Entry, ErrorKind, Outcome, Phase, Record, Report, RunState, VisitNo,
    VisitState, answer, decide,
};
use proptest::prelude::*;
use serde_json::json;

use super::document::Doc;
use super::play::Play;
use super::random::{DEADLINE, Fate, ITERATIONS, Identity, Weather, nodes, playbook};
use super::reference::{Ending, Interpreter};
use crate::shell::{RUN, failure};

/// What happens to the process.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// It is replaced after each entry, and what was under way is known to go on.
    Replaced,
    /// It dies after the entry of this number, and with it all knowledge of what was under way.
    Dies(usize),
}

/// A run, and the work that is under way.
struct Driven {
    play: Play,
    seed: u64,
    fault: Fault,
    working: BTreeMap<VisitNo, (Timestamp, Fate)>,
    begun: Vec<String>,
    /// The earliest timer.
    wake: Option<Timestamp>,
}

impl Driven {
    fn new((doc, callees): &(Doc, Vec<Doc>), seed: u64, fault: Fault) -> Self {
        let play = Play::with(doc, callees).within(|limits| {
            limits.deadline = DEADLINE;
            limits.iterations = ITERATIONS;
        });
        let mut driven = Self {
            play,
            seed,
            fault,
            working: BTreeMap::new(),
            begun: Vec::new(),
            wake: None,
        };
        // The deadline is counted from the start, with the limits as they are now.
        let mut first = driven.play.run.journal[0].clone();
        if let Entry::Started(started) = &mut first.entry {
            started.deadline = first.at + DEADLINE;
        }
        driven.play.run.state = RunState::begin(RUN, first.clone()).expect("a start");
        driven.play.run.journal = vec![first];
        driven
    }

    fn append(&mut self, entry: Entry) {
        let run = &mut self.play.run;
        let record = Record { at: run.now, entry };
        if let Err(illegal) = run.state.apply(record.clone()) {
            panic!("{illegal}\n{record:?}\n{}", run.text());
        }
        run.journal.push(record);
        match self.fault {
            Fault::Replaced => {
                let folded = RunState::fold(RUN, run.journal.iter().cloned());
                let folded = folded.expect("a legal journal");
                assert_eq!(folded, run.state);
                run.state = folded;
            }
            Fault::Dies(at) if run.journal.len() == at => {
                run.crash();
                self.working.clear();
            }
            Fault::None | Fault::Dies(_) => {}
        }
    }

    /// Records, begins and stops what is to be, one entry at a time; says whether there was any.
    fn acts(&mut self) -> bool {
        self.wake = None;
        let run = &self.play.run;
        let effects = decide(&run.definition, &run.state, run.now);
        for effect in effects {
            match effect {
                Effect::Record(entry) => self.append(entry),
                Effect::Invoke(ref call) => {
                    let input: serde_json::Value = call.input.read().expect("a document");
                    let line = input["command"]["command"].as_str().expect("a command");
                    self.begin(call.visit, line);
                    self.append(effect.intent().expect("an intent"));
                }
                Effect::Stop { visit } => {
                    self.working.remove(&visit);
                    let evidence = "it was stopped".to_owned();
                    self.report(visit, Report::Uncertain { evidence });
                }
                Effect::WaitUntil(at) => {
                    self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
                    continue;
                }
                other => panic!("{other:?} in a playbook"),
            }
            return true;
        }
        let visits = (0..).zip(self.play.run.state.visits());
        let asked = visits.filter_map(|(number, visit)| match &visit.state {
            VisitState::Asked { question, .. } => Some((number, question.text.clone())),
            _ => None,
        });
        let asked = asked.filter(|(number, _)| !self.working.contains_key(number));
        for (number, text) in asked.collect::<Vec<_>>() {
            if self.play.is_live(number) {
                self.begin(number, &text);
            }
        }
        false
    }

    fn report(&mut self, visit: VisitNo, report: Report) {
        let run = &self.play.run;
        let entry = conche_core::run::settle(&run.definition, &run.state, visit, report, run.now);
        self.append(entry.expect("the visit exists"));
    }

    fn begin(&mut self, visit: VisitNo, line: &str) {
        let work = self.identity(visit);
        self.begun.push(format!("{work:?}: {line}"));
        let fate = Fate::of(self.seed, &work);
        let takes = std::time::Duration::from_millis(fate.takes);
        self.working
            .insert(visit, (self.play.run.now + takes, fate));
    }

    fn identity(&self, number: VisitNo) -> Identity {
        let visits = self.play.run.state.visits();
        let visit = &visits[number as usize];
        let steps = &self.play.run.definition.steps;
        let loops = visit.path.iter().filter(|turn| {
            let step = &steps[&visits[turn.of as usize].step];
            matches!(step, Step::Container(container) if matches!(container.opens, Opens::While { .. }))
        });
        let mut parts = visit.step.as_str().rsplit('/');
        let (index, step) = (
            parts.next().expect("an index"),
            parts.next().expect("a step"),
        );
        let (command, target) = index.split_once('.').expect("two indices");
        Identity {
            step: step.to_owned(),
            command: command.parse().expect("a number"),
            target: target.parse().expect("a number"),
            iterations: loops.map(|turn| turn.index).collect(),
        }
    }

    /// What is done first is done, or a timer is over.
    fn passes(&mut self) {
        let wake = self.wake;
        let first = self.working.iter().min_by_key(|(_, (at, _))| *at);
        let first = first.map(|(visit, (at, fate))| (*visit, *at, *fate));
        match (first, wake) {
            (Some((visit, at, fate)), wake) if wake.is_none_or(|wake| at <= wake) => {
                self.play.run.now = self.play.run.now.max(at);
                self.working.remove(&visit);
                self.ends(visit, fate);
            }
            (_, Some(wake)) => self.play.run.now = wake,
            (_, None) => panic!("stuck\n{}", self.play.run.text()),
        }
    }

    fn ends(&mut self, visit: VisitNo, fate: Fate) {
        let state = &self.play.run.state;
        match &state.visits()[visit as usize].state {
            VisitState::Asked { question, .. } => {
                let values = fate.gives.map(|value| Json::from(&json!(value)));
                let names = question.answers.0.keys().map(ToString::to_string);
                let answered = Answer {
                    failed: values.is_none().then(|| "not done".to_owned()),
                    values: names.zip(values).collect(),
                };
                // One that was given up takes none.
                if let Ok(entry) = answer(state, visit, answered, super::play::ana()) {
                    self.append(entry);
                }
            }
            VisitState::Performing { .. } => self.report(
                visit,
                match fate.gives {
                    Some(value) => {
                        Report::Output(Json::from(&json!({"stdout": format!("{value}\n")})))
                    }
                    None => failure(ErrorKind::Permanent, "it broke", None),
                },
            ),
            other => panic!("{other:?} is worked on\n{}", self.play.run.text()),
        }
    }

    fn drive(mut self) -> (Ending, usize) {
        for _ in 0..20_000 {
            if let Phase::Finished { outcome, .. } = self.play.run.state.phase() {
                let succeeded = *outcome == Outcome::Succeeded;
                return (self.ending(succeeded), self.play.run.journal.len());
            }
            if !self.acts() {
                self.passes();
            }
        }
        panic!("it does not end\n{}", self.play.run.text());
    }

    fn ending(&mut self, succeeded: bool) -> Ending {
        let declared = self
            .play
            .run
            .state
            .declared()
            .expect("a run of a playbook")
            .0;
        let text = |variable: &conche_core::run::Variable| {
            variable.value.as_ref().map(ToString::to_string)
        };
        let mut begun = std::mem::take(&mut self.begun);
        begun.sort();
        Ending {
            succeeded,
            variables: declared
                .iter()
                .map(|(name, variable)| (name.to_string(), text(variable).unwrap_or_default()))
                .collect(),
            begun,
        }
    }
}

fn interpreted((doc, callees): &(Doc, Vec<Doc>), seed: u64) -> Ending {
    let documents: Vec<_> = std::iter::once(doc)
        .chain(callees)
        .map(Doc::document)
        .collect();
    let by_id = documents.iter().map(|document| {
        let id = document.value()["id"].as_str().expect("an identifier");
        (id.to_owned(), document.value())
    });
    Interpreter {
        seed,
        documents: by_id.collect(),
    }
    .run("playbook--main")
}

proptest! {
    // As many cases as proptest has by default: PROPTEST_CASES says how many.
    #[test]
    fn the_engine_does_what_a_plain_reading_of_the_playbook_does(nodes in nodes(), seed in any::<u64>()) {
        let documents = playbook(&nodes, seed, Weather::Any);
        let (found, _) = Driven::new(&documents, seed, Fault::None).drive();
        prop_assert_eq!(found, interpreted(&documents, seed));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5))]

    #[test]
    fn a_process_that_is_replaced_after_every_entry_changes_nothing(nodes in nodes(), seed in any::<u64>()) {
        let documents = playbook(&nodes, seed, Weather::Any);
        let (found, _) = Driven::new(&documents, seed, Fault::Replaced).drive();
        prop_assert_eq!(found, interpreted(&documents, seed));
    }

    #[test]
    fn a_crash_after_any_entry_leads_a_playbook_to_the_same_end(nodes in nodes(), seed in any::<u64>()) {
        let documents = playbook(&nodes, seed, Weather::Calm);
        let (undisturbed, entries) = Driven::new(&documents, seed, Fault::None).drive();
        for entry in 2..entries.min(60) {
            let (mut found, _) = Driven::new(&documents, seed, Fault::Dies(entry)).drive();
            // What was under way is begun again.
            found.begun.dedup();
            prop_assert_eq!(&found, &undisturbed, "after a crash at entry {}", entry);
        }
    }
}

#[test]
fn random_playbooks_come_to_every_kind_of_end() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut ends = BTreeSet::new();
    let mut types = BTreeSet::new();
    for seed in 0..150 {
        let nodes = nodes().new_tree(&mut runner).expect("a playbook").current();
        let documents = playbook(&nodes, seed, Weather::Any);
        let mut driven = Driven::new(&documents, seed, Fault::None);
        while !matches!(driven.play.run.state.phase(), Phase::Finished { .. }) {
            if !driven.acts() {
                driven.passes();
            }
        }
        let state = &driven.play.run.state;
        ends.insert(state.summary().status.as_str());
        for record in &driven.play.run.journal {
            match &record.entry {
                Entry::Closed {
                    error: Some(error), ..
                } => {
                    types.insert(format!("{:?}", error.kind));
                }
                entry => drop(types.insert(entry.name().to_owned())),
            }
        }
        if !state.conflicts().is_empty() {
            types.insert("conflict".to_owned());
        }
    }
    assert_eq!(
        ends.into_iter().collect::<Vec<_>>(),
        ["failed", "succeeded"]
    );
    for kind in [
        "TimedOut",
        "Permanent",
        "Limit",
        "Operator",
        "interrupted",
        "asked",
        "answered",
        "delayed",
        "conflict",
    ] {
        assert!(
            types.contains(kind),
            "no random playbook has {kind}: {types:?}"
        );
    }
}
