//! Steps and the ways between them, read from a document whatever else is wrong with it.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::pointer::Pointer;

/// How one step leads to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way<'d> {
    /// `on_completion`.
    Completion,
    /// `on_success`.
    Success,
    /// `on_failure`.
    Failure,
    /// `on_true`: opens a branch.
    True,
    /// `on_false`: opens a branch.
    False,
    /// An element of `next_steps`: opens a branch.
    Next(usize),
    /// A member of `cases`: opens a branch.
    Case(&'d str),
}

impl Way<'_> {
    /// Whether the way opens a branch, whose end leads back to the step that opened it.
    pub const fn opens_branch(self) -> bool {
        !matches!(self, Self::Completion | Self::Success | Self::Failure)
    }

    /// Where it stands within its step.
    fn within(self, step: &Pointer) -> Pointer {
        match self {
            Self::Completion => step.then("on_completion"),
            Self::Success => step.then("on_success"),
            Self::Failure => step.then("on_failure"),
            Self::True => step.then("on_true"),
            Self::False => step.then("on_false"),
            Self::Next(index) => step.then("next_steps").then(index),
            Self::Case(case) => step.then("cases").then(case),
        }
    }
}

/// A step of a workflow.
#[derive(Debug, Clone, Copy)]
pub struct Node<'d> {
    /// Its identifier: its key in the workflow.
    pub id: &'d str,
    /// Its `type`; empty if it has none.
    pub kind: &'d str,
    /// Its properties.
    pub object: &'d Map<String, Value>,
}

impl<'d> Node<'d> {
    /// A property that is text.
    pub fn text(&self, name: &str) -> Option<&'d str> {
        self.object.get(name)?.as_str()
    }

    /// Where it stands in the document.
    pub fn pointer(&self) -> Pointer {
        Pointer::top().then("workflow").then(self.id)
    }

    /// What people call it: its name, or its identifier.
    pub fn label(&self) -> &'d str {
        self.text("name").unwrap_or(self.id)
    }
}

/// A way from a step to a step that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Edge<'d> {
    /// The number of the step that it leaves.
    pub from: usize,
    /// The number of the step that it leads to.
    pub to: usize,
    /// How.
    pub way: Way<'d>,
}

/// The steps of a workflow and the ways between them.
#[derive(Debug)]
pub struct Flow<'d> {
    nodes: Vec<Node<'d>>,
    numbers: HashMap<&'d str, usize>,
    edges: Vec<Edge<'d>>,
    /// For each step, where its edges are among all: they stand together.
    spans: Vec<(usize, usize)>,
    dangling: Vec<(usize, Way<'d>, &'d str)>,
    start: Option<usize>,
    exception: Option<usize>,
}

impl<'d> Flow<'d> {
    /// The flow of a document. What is no object or no text is left out.
    pub fn of(document: &'d Value) -> Self {
        let workflow = document.get("workflow").and_then(Value::as_object);
        let nodes: Vec<Node<'d>> = workflow
            .into_iter()
            .flatten()
            .filter_map(|(id, step)| {
                let object = step.as_object()?;
                let kind = object.get("type").and_then(Value::as_str);
                Some(Node {
                    id,
                    kind: kind.unwrap_or_default(),
                    object,
                })
            })
            .collect();
        let numbers: HashMap<&str, usize> = nodes
            .iter()
            .enumerate()
            .map(|(number, node)| (node.id, number))
            .collect();
        let named = |name: &str| {
            let id = document.get(name)?.as_str()?;
            numbers.get(id).copied()
        };
        let (start, exception) = (named("workflow_start"), named("workflow_exception"));
        let mut flow = Self {
            edges: Vec::new(),
            spans: Vec::with_capacity(nodes.len()),
            dangling: Vec::new(),
            start,
            exception,
            nodes,
            numbers,
        };
        for from in 0..flow.nodes.len() {
            let first = flow.edges.len();
            for (way, target) in ways(&flow.nodes[from]) {
                match flow.numbers.get(target) {
                    Some(&to) => flow.edges.push(Edge { from, to, way }),
                    None => flow.dangling.push((from, way, target)),
                }
            }
            flow.spans.push((first, flow.edges.len()));
        }
        flow
    }

    /// All steps, in the order of the document; their number is their place here.
    pub fn nodes(&self) -> &[Node<'d>] {
        &self.nodes
    }

    /// All ways between steps that exist.
    pub fn edges(&self) -> &[Edge<'d>] {
        &self.edges
    }

    /// The ways that leave a step.
    pub fn leaving(&self, number: usize) -> &[Edge<'d>] {
        let (first, end) = self.spans[number];
        &self.edges[first..end]
    }

    /// Ways to steps that do not exist: the step that they leave, how, and the name.
    pub fn dangling(&self) -> &[(usize, Way<'d>, &'d str)] {
        &self.dangling
    }

    /// The number of a step.
    pub fn number(&self, id: &str) -> Option<usize> {
        self.numbers.get(id).copied()
    }

    /// The step that `workflow_start` names.
    pub const fn start(&self) -> Option<usize> {
        self.start
    }

    /// The step that `workflow_exception` names.
    pub const fn exception(&self) -> Option<usize> {
        self.exception
    }

    /// Where a way stands in the document.
    pub fn place(&self, from: usize, way: Way<'_>) -> Pointer {
        way.within(&self.nodes[from].pointer())
    }
}

/// The ways that a step names, in the order in which they are best read.
fn ways<'d>(node: &Node<'d>) -> Vec<(Way<'d>, &'d str)> {
    let mut ways = Vec::new();
    let mut plain = |name, way| {
        if let Some(target) = node.text(name) {
            ways.push((way, target));
        }
    };
    plain("on_true", Way::True);
    plain("on_false", Way::False);
    let next = node.object.get("next_steps").and_then(Value::as_array);
    for (index, target) in next.into_iter().flatten().enumerate() {
        if let Some(target) = target.as_str() {
            ways.push((Way::Next(index), target));
        }
    }
    let cases = node.object.get("cases").and_then(Value::as_object);
    for (case, target) in cases.into_iter().flatten() {
        if let Some(target) = target.as_str() {
            ways.push((Way::Case(case), target));
        }
    }
    for (name, way) in [
        ("on_completion", Way::Completion),
        ("on_success", Way::Success),
        ("on_failure", Way::Failure),
    ] {
        if let Some(target) = node.text(name) {
            ways.push((way, target));
        }
    }
    ways
}
