//! Random playbooks: every type of step within every other, with delays, times, variables that
//! results assign and conditions read, and every way to say what follows.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::document::{
    Doc, bash, call, commands, either, end, manual, on_success, parallel, switch, then, when,
    whilst, with,
};
use crate::world::roll;

/// Variables that every playbook declares.
const VARIABLES: usize = 3;
/// The longest time of anything, in milliseconds: so long that no two things of a run ever
/// happen at the same time by chance, where the order would be anybody's.
const LONG: u64 = 1_000_000_000;
/// Longer than any run takes.
pub(super) const DEADLINE: Duration = Duration::from_hours(1_000_000);
/// Iterations of a loop.
pub(super) const ITERATIONS: u32 = 3;

#[derive(Debug, Clone)]
enum Shape {
    Act { commands: u8, targets: u8 },
    Ask,
    If(Vec<Node>, Option<Vec<Node>>),
    Switch(Vec<Vec<Node>>, Option<Vec<Node>>),
    While(Vec<Node>),
    Parallel(Vec<Vec<Node>>),
    Call(Vec<Node>, bool),
}

/// A step and what is said of it, by the bits of a number.
#[derive(Debug, Clone)]
pub(super) struct Node(Shape, u16);

/// What a playbook may have in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Weather {
    /// Everything.
    Any,
    /// Nothing whose outcome depends on which of two things is faster.
    Calm,
}

/// Playbooks of a few steps, nested to a depth of four.
pub(super) fn nodes() -> impl Strategy<Value = Vec<Node>> {
    let leaf = prop_oneof![
        4 => (1..3u8, 0..3u8).prop_map(|(commands, targets)| Shape::Act { commands, targets }),
        1 => Just(Shape::Ask),
    ];
    let leaf = (leaf, any::<u16>()).prop_map(|(shape, said)| Node(shape, said));
    let node = leaf.prop_recursive(4, 24, 3, |inner| {
        let block = prop::collection::vec(inner, 1..3);
        let blocks = |range| prop::collection::vec(block.clone(), range);
        let other = prop::option::of(block.clone());
        let shape = prop_oneof![
            (block.clone(), other.clone()).prop_map(|(yes, no)| Shape::If(yes, no)),
            (blocks(1..3), other).prop_map(|(cases, other)| Shape::Switch(cases, other)),
            block.clone().prop_map(Shape::While),
            blocks(2..4).prop_map(Shape::Parallel),
            (block.clone(), any::<bool>()).prop_map(|(block, guard)| Shape::Call(block, guard)),
        ];
        (shape, any::<u16>()).prop_map(|(shape, said)| Node(shape, said))
    });
    prop::collection::vec(node, 1..4)
}

/// The playbook of some nodes, and those that it calls.
pub(super) fn playbook(nodes: &[Node], seed: u64, weather: Weather) -> (Doc, Vec<Doc>) {
    let mut building = Building {
        seed,
        weather,
        names: 0,
        callees: Vec::new(),
    };
    let guarded = roll(seed, "guarded").is_multiple_of(2);
    let doc = building.document("playbook--main", nodes, guarded);
    (doc, building.callees)
}

struct Building {
    seed: u64,
    weather: Weather,
    names: u32,
    callees: Vec<Doc>,
}

impl Building {
    fn document(&mut self, id: &str, nodes: &[Node], guarded: bool) -> Doc {
        let mut doc = Doc::called(id, "1", "");
        for number in 0..VARIABLES {
            let value = (roll(self.seed, (id, number)) % 4).to_string();
            let declaration = json!({"type": "integer", "value": value, "external": true});
            doc = doc.declare(&variable(number), declaration);
        }
        let first = self.block(&mut doc, nodes);
        doc = doc.step("start", json!({"type": "start", "on_completion": first}));
        if guarded {
            let handler = self.name();
            let ended = self.name();
            doc = doc.exception(&handler).step(&ended, end());
            let line = format!("handle {}:value", variable(0));
            doc = doc.step(&handler, on_success(bash(&line), &ended));
        }
        doc
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("s{}", self.names)
    }

    fn roll(&self, name: &str, of: &str) -> u64 {
        roll(self.seed, (name, of))
    }

    /// A branch with an end of its own; gives its first step.
    fn block(&mut self, doc: &mut Doc, nodes: &[Node]) -> String {
        let mut next = self.name();
        *doc = doc.clone().step(&next, end());
        for node in nodes.iter().rev() {
            next = self.node(doc, node, &next);
        }
        next
    }

    fn node(&mut self, doc: &mut Doc, Node(shape, said): &Node, next: &str) -> String {
        let name = self.name();
        let mut step = self.shape(doc, &name, shape);
        if said & 3 == 3 {
            step["delay"] = (self.roll(&name, "delay") % LONG + 1).into();
        }
        if self.weather == Weather::Any && said >> 2 & 3 == 3 {
            step["timeout"] = (self.roll(&name, "timeout") % (3 * LONG) + 1).into();
        }
        if said >> 4 & 3 == 3 {
            let own = variable(self.roll(&name, "own") as usize % VARIABLES);
            step["step_variables"] = json!({own: {"type": "integer", "value": "1"}});
        }
        let calm = self.weather == Weather::Calm && matches!(shape, Shape::Parallel(_));
        let step = match said >> 6 & 3 {
            0 => then(step, next),
            1 => {
                let rescue = self.name();
                let line = format!("rescue {}:value", variable(1));
                *doc = doc.clone().step(&rescue, on_success(bash(&line), next));
                either(step, next, &rescue)
            }
            _ if calm => then(step, next),
            _ => on_success(step, next),
        };
        *doc = doc.clone().step(&name, step);
        name
    }

    fn shape(&mut self, doc: &mut Doc, name: &str, shape: &Shape) -> Value {
        let read = variable(self.roll(name, "read") as usize % VARIABLES);
        let written = variable(self.roll(name, "written") as usize % VARIABLES);
        let limit = self.roll(name, "limit") % 4;
        match shape {
            Shape::Act {
                commands: 1,
                targets,
            } => targeted(bash(&format!("do {read}:value")), *targets, &written),
            Shape::Act { targets, .. } => {
                let line =
                    |word: &str| json!({"type": "bash", "command": format!("{word} {read}:value")});
                targeted(commands([line("one"), line("two")]), *targets, &written)
            }
            Shape::Ask => targeted(manual(&format!("ask {read}:value")), 0, &written),
            Shape::If(yes, no) => {
                let step = when(&format!("{read}:value > {limit}"), &self.block(doc, yes));
                match no {
                    Some(no) => with(step, json!({"on_false": self.block(doc, no)})),
                    None => step,
                }
            }
            Shape::Switch(cases, other) => {
                let mut step = switch(&format!("{read}:value"), []);
                for (value, block) in cases.iter().enumerate() {
                    step["cases"][value.to_string()] = self.block(doc, block).into();
                }
                if let Some(other) = other {
                    step["cases"]["default"] = self.block(doc, other).into();
                }
                step
            }
            Shape::While(block) => {
                let counter = format!("__c{name}__");
                *doc = doc.clone().variable(&counter, "integer", "1");
                let body = self.block(doc, block);
                let count = self.name();
                let counting = with(bash("count"), json!({"out_args": [counter]}));
                *doc = doc.clone().step(&count, on_success(counting, &body));
                whilst(&format!("{counter}:value > 0"), &count)
            }
            Shape::Parallel(blocks) => {
                let mut step = parallel([]);
                let branches = blocks.iter().map(|block| self.block(doc, block));
                step["next_steps"] = branches.collect();
                step
            }
            Shape::Call(block, guarded) => {
                let id = format!("playbook--{name}");
                let callee = self.document(&id, block, *guarded);
                self.callees.push(callee);
                with(call(&id), json!({"in_args": [read], "out_args": [written]}))
            }
        }
    }
}

fn targeted(step: Value, targets: u8, written: &str) -> Value {
    let step = with(step, json!({"out_args": [written]}));
    match targets {
        0 => step,
        1 => with(step, json!({"targets": ["t0"]})),
        _ => with(step, json!({"targets": ["t0", "t1"]})),
    }
}

fn variable(number: usize) -> String {
    format!("__v{number}__")
}

/// One piece of work, wherever it stands: the step, its command and target, and the iterations
/// of the loops around it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Identity {
    pub(super) step: String,
    pub(super) command: usize,
    pub(super) target: usize,
    pub(super) iterations: Vec<u32>,
}

/// What becomes of a piece of work.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fate {
    /// How long it takes, in milliseconds.
    pub(super) takes: u64,
    /// What it gives; none where it fails.
    pub(super) gives: Option<u64>,
}

impl Fate {
    pub(super) fn of(seed: u64, work: &Identity) -> Self {
        let fate = roll(seed, work);
        Self {
            takes: fate % LONG + 1,
            gives: (fate >> 40 & 7 != 0).then_some(fate >> 48 & 3),
        }
    }
}
