//! Long runs stay cheap: folding and deciding cost the same for the ten-thousandth step as for
//! the first. A quadratic cost would take minutes here, not the seconds allowed.

use std::time::{Duration, Instant};

use conche_core::Json;
use conche_core::definition::{Comparison, Container, Opens, Step};
use conche_core::run::{Effect, Record, Report, RunState, Verdict, decide, settle};
use serde_json::json;

use crate::definitions::{act, act_into, for_ever, graph, when};
use crate::shell::{RUN, Shell, verdict_report};

/// Generous, since tests share the machine; typical is a tenth of it.
const ALLOWED: Duration = Duration::from_secs(5);

/// Drives a run to its end in one breath, every effect answered at once.
fn drive(run: &mut Shell, answer: impl Fn(&Effect) -> Option<Report>) {
    loop {
        let effects = decide(&run.definition, &run.state, run.now);
        if effects.is_empty() {
            return;
        }
        for effect in effects {
            let mut entries = Vec::from_iter(effect.intent());
            let visit = match &effect {
                Effect::Evaluate { visit, .. } => Some(*visit),
                Effect::Invoke(call) => Some(call.visit),
                Effect::Record(entry) => {
                    entries.push(entry.clone());
                    None
                }
                _ => None,
            };
            append(run, entries);
            if let (Some(visit), Some(report)) = (visit, answer(&effect)) {
                let entry = settle(&run.definition, &run.state, visit, report, run.now);
                append(run, vec![entry.expect("the visit exists")]);
            }
        }
    }
}

fn append(run: &mut Shell, entries: Vec<conche_core::run::Entry>) {
    for entry in entries {
        let record = Record { at: run.now, entry };
        run.state.apply(record.clone()).expect("a legal entry");
        run.journal.push(record);
    }
}

#[test]
fn a_reaction_of_ten_thousand_steps_folds_and_decides_in_time() {
    let mut run = Shell::new(for_ever(10_000));
    let start = Instant::now();
    drive(&mut run, |effect| {
        Some(match effect {
            Effect::Evaluate { .. } => verdict_report(Verdict::Next {
                action: "again".to_owned(),
                data: Json::empty_object(),
            }),
            _ => Report::Output(Json::empty_object()),
        })
    });
    let driven = start.elapsed();
    assert_eq!(run.state.visits().len(), 10_001);
    let start = Instant::now();
    let folded = RunState::fold(RUN, run.journal).expect("a legal journal");
    let took = (driven, start.elapsed());
    assert_eq!(folded, run.state);
    println!("driven in {:?}, folded in {:?}", took.0, took.1);
    assert!(took.0 < ALLOWED && took.1 < ALLOWED, "{took:?}");
}

#[test]
fn a_loop_of_branches_folds_and_decides_in_time() {
    let fan: Vec<String> = (0..50).map(|branch| format!("b{branch}")).collect();
    let mut definition = graph(
        "wide",
        [
            (
                "loop",
                Step::Container(Container::new(Opens::While {
                    condition: when("go", Comparison::Equal, true),
                    body: "count".into(),
                })),
            ),
            ("count", Step::Action(act_into("go", Some("fan")))),
            (
                "fan",
                Step::Container(Container::new(Opens::Parallel {
                    branches: fan.iter().map(Into::into).collect(),
                    fail_fast: false,
                })),
            ),
        ],
    );
    for branch in &fan {
        let step = Step::Action(act(None));
        definition.steps.insert(branch.into(), step);
    }
    let mut run = Shell::with(definition, &[("go", json!(true))]);
    let start = Instant::now();
    drive(&mut run, |_| Some(Report::Output(Json::from(&json!(true)))));
    let driven = start.elapsed();
    println!("driven in {driven:?}");
    assert!(run.state.visits().len() > 9_000);
    assert!(driven < ALLOWED, "{driven:?}");
}
