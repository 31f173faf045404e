//! Random definitions and a world that answers for their actions and scripts: what it answers
//! depends on a seed and on the effect asked for, so that a run can be repeated exactly.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use conche_core::definition::{
    ActionStep, Comparison, Container, Definition, Input, Isolation, Limits, Opens, Results,
    Script, ScriptStep, Step,
};
use conche_core::run::{Declared, ErrorKind, OnUncertain, Policy, Repeat, Report, Retry, Verdict};
use conche_core::{Digest, Json, StepId};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::definitions::{act, when};
use crate::shell::{failure, verdict_report};

/// A piece of a definition, to be given names.
#[derive(Debug, Clone)]
enum Shape {
    Act { class: u8, fallback: bool },
    Delay(u8),
    Parallel(Vec<Vec<Shape>>),
    Switch(Vec<Vec<Shape>>, Option<Vec<Shape>>),
    Loop(Vec<Shape>),
}

/// A definition and the variables that its runs start with.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) definition: Definition,
    pub(crate) variables: Vec<(String, Value)>,
    /// The variables of a playbook.
    pub(crate) scope: Option<Declared>,
}

/// Nested containers, or a reaction whose scripts may lead anywhere, also round and round.
pub(crate) fn cases() -> impl Strategy<Value = Case> {
    prop_oneof![2 => nested(), 1 => reactions()]
}

pub(crate) fn nested() -> impl Strategy<Value = Case> {
    let leaf = prop_oneof![
        4 => (any::<u8>(), any::<bool>())
            .prop_map(|(class, fallback)| Shape::Act { class, fallback }),
        1 => (0..60u8).prop_map(Shape::Delay),
    ];
    let shape = leaf.prop_recursive(3, 16, 3, |inner| {
        let block = prop::collection::vec(inner, 1..3);
        prop_oneof![
            prop::collection::vec(block.clone(), 0..4).prop_map(Shape::Parallel),
            (
                prop::collection::vec(block.clone(), 0..3),
                prop::option::of(block.clone())
            )
                .prop_map(|(cases, otherwise)| Shape::Switch(cases, otherwise)),
            block.prop_map(Shape::Loop),
        ]
    });
    prop::collection::vec(shape, 1..4).prop_map(|shapes| Builder::default().build(&shapes))
}

fn reactions() -> impl Strategy<Value = Case> {
    prop::collection::vec((any::<u8>(), any::<bool>()), 0..5).prop_map(|actions| {
        let branches: BTreeMap<String, StepId> = (0..actions.len())
            .map(|number| (format!("a{number}"), StepId::from(&format!("a{number}"))))
            .collect();
        let script = || {
            Step::Script(ScriptStep {
                lists: std::sync::Arc::default(),
                script: std::sync::Arc::new(Script::new("")),
                isolation: Isolation::Warm,
                branches: branches.clone(),
            })
        };
        let mut steps = BTreeMap::from([(StepId::from("script"), script())]);
        for (number, (class, goes_on)) in actions.into_iter().enumerate() {
            let next = format!("a{number}:script");
            let mut action = classed(class, goes_on.then_some(next.as_str()));
            action.input = Input::Verdict;
            steps.insert(StepId::from(&format!("a{number}")), Step::Action(action));
            steps.insert(StepId::from(&next), script());
        }
        Case {
            definition: Definition {
                digest: Digest::of(b"reaction"),
                name: "reaction".to_owned(),
                start: "script".into(),
                steps,
                limits: Limits {
                    steps: 30,
                    ..Limits::default()
                },
            },
            variables: Vec::new(),
            scope: None,
        }
    })
}

fn classed(class: u8, next: Option<&str>) -> ActionStep {
    let repeat = [
        Repeat::Idempotent,
        Repeat::Keyed,
        Repeat::Probe,
        Repeat::Unsafe,
    ];
    let on_uncertain = [OnUncertain::Repeat, OnUncertain::Attention];
    ActionStep {
        policy: Policy {
            repeat: repeat[usize::from(class % 4)],
            on_uncertain: on_uncertain[usize::from(class / 4 % 2)],
            retry: Retry {
                attempts: u32::from(class / 8 % 4) + 1,
                ..Retry::default()
            },
            timeout: Duration::from_mins(1),
        },
        ..act(next)
    }
}

#[derive(Default)]
struct Builder {
    steps: BTreeMap<StepId, Step>,
    variables: Vec<(String, Value)>,
}

impl Builder {
    fn build(mut self, shapes: &[Shape]) -> Case {
        let start = self.block(shapes, None).expect("at least one shape");
        Case {
            definition: Definition {
                digest: Digest::of(b"nested"),
                name: "nested".to_owned(),
                start,
                steps: self.steps,
                limits: Limits {
                    iterations: 3,
                    ..Limits::default()
                },
            },
            variables: self.variables,
            scope: None,
        }
    }

    /// Builds a sequence from its end; gives its first step.
    fn block(&mut self, shapes: &[Shape], mut next: Option<StepId>) -> Option<StepId> {
        for shape in shapes.iter().rev() {
            next = Some(self.shape(shape, next));
        }
        next
    }

    fn branches(&mut self, blocks: &[Vec<Shape>]) -> Vec<StepId> {
        let blocks = blocks.iter();
        blocks.filter_map(|block| self.block(block, None)).collect()
    }

    fn shape(&mut self, shape: &Shape, next: Option<StepId>) -> StepId {
        let step = match shape {
            Shape::Act { class, fallback } => {
                let mut action = classed(*class, None);
                action.next.clone_from(&next);
                if *fallback {
                    let other = ActionStep { next, ..act(None) };
                    action.on_failure = Some(self.add("fallback", Step::Action(other)));
                }
                Step::Action(action)
            }
            Shape::Delay(seconds) => Step::Delay {
                span: Duration::from_secs((*seconds).into()),
                next,
            },
            Shape::Parallel(blocks) => Step::Container(
                Container::new(Opens::Parallel {
                    branches: self.branches(blocks),
                    fail_fast: false,
                })
                .then(next),
            ),
            Shape::Switch(blocks, otherwise) => {
                let variable = self.variable(json!(1));
                let otherwise = otherwise.as_ref();
                Step::Container(
                    Container::new(Opens::If {
                        cases: (0..)
                            .zip(self.branches(blocks))
                            .map(|(value, first)| {
                                (when(&variable, Comparison::Equal, value), first)
                            })
                            .collect(),
                        otherwise: otherwise.and_then(|block| self.block(block, None)),
                    })
                    .then(next),
                )
            }
            Shape::Loop(block) => {
                let variable = self.variable(json!(1));
                let body = self.block(block, None);
                let mut count = act(None);
                count.next = body;
                count.results = Results::Variable(variable.clone());
                Step::Container(
                    Container::new(Opens::While {
                        condition: when(&variable, Comparison::Greater, 0),
                        body: self.add("count", Step::Action(count)),
                    })
                    .then(next),
                )
            }
        };
        self.add("step", step)
    }

    /// A variable that only one step reads, so that branches cannot race for it.
    fn variable(&mut self, value: Value) -> String {
        let name = format!("v{}", self.variables.len());
        self.variables.push((name.clone(), value));
        name
    }

    fn add(&mut self, kind: &str, step: Step) -> StepId {
        let name = StepId::from(&format!("{kind}{}", self.steps.len()));
        self.steps.insert(name.clone(), step);
        name
    }
}

/// A number that depends on its arguments only.
pub(crate) fn roll(seed: u64, of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    (seed, of).hash(&mut hasher);
    hasher.finish()
}

/// What a script decides: to go on with an action, to stop, or something that fails.
pub(crate) fn scripted(step: &ScriptStep, roll: u64) -> Report {
    let action = step
        .branches
        .keys()
        .nth(roll as usize % (step.branches.len() + 1));
    match (action, roll / 8 % 16) {
        (_, 0) => failure(ErrorKind::Script, "the script threw", None),
        (_, 1) => verdict_report(Verdict::Next {
            action: "no such action".to_owned(),
            data: Json::empty_object(),
        }),
        (None, _) => verdict_report(Verdict::Stop),
        (Some(action), _) => verdict_report(Verdict::Next {
            action: action.clone(),
            data: Json::empty_object(),
        }),
    }
}

/// An output that also serves as a variable for conditions: 0, 1 or 2.
pub(crate) fn output(roll: u64) -> Report {
    Report::Output(Json::from(&json!(roll % 3)))
}
