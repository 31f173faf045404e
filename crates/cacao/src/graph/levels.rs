//! Branches: which steps run within which.
//!
//! A branch is what can be reached from its first step by the ways that open no further
//! branch. The main flow and the handling of exceptions are levels as well. In a sound
//! workflow every step belongs to exactly one level; where two levels meet, the first that
//! was found keeps the step, and the meeting is told.

use std::collections::HashSet;

use super::flow::{Edge, Flow};

/// One level of a workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level<'d> {
    /// The way that opens it; none for the main flow and the handling of exceptions.
    pub opened_by: Option<Edge<'d>>,
    /// The level in which it is opened.
    pub parent: Option<usize>,
    /// How many levels are around it.
    pub depth: usize,
    /// Its first step.
    pub first: usize,
    /// Whether it comes to an end: in an end step, or by leading into another level, which is
    /// told as a meeting.
    pub ends: bool,
}

/// The levels of a workflow.
#[derive(Debug)]
pub struct Levels<'d> {
    all: Vec<Level<'d>>,
    home: Vec<Option<usize>>,
    meetings: Vec<(usize, Edge<'d>)>,
    shared: Vec<(usize, usize)>,
}

impl<'d> Levels<'d> {
    /// The levels of a flow, outer ones first. Linear in steps and ways.
    pub fn of(flow: &Flow<'d>) -> Self {
        let mut levels = Self {
            all: Vec::new(),
            home: vec![None; flow.nodes().len()],
            meetings: Vec::new(),
            shared: Vec::new(),
        };
        for first in [flow.start(), flow.exception()].into_iter().flatten() {
            levels.open(None, None, first);
        }
        let mut next = 0;
        while next < levels.all.len() {
            levels.fill(next, flow);
            next += 1;
        }
        levels
    }

    fn open(&mut self, opened_by: Option<Edge<'d>>, parent: Option<usize>, first: usize) {
        let depth = parent.map_or(0, |parent| self.all[parent].depth + 1);
        self.all.push(Level {
            opened_by,
            parent,
            depth,
            first,
            ends: false,
        });
    }

    /// Walks one level, and opens those that its steps open.
    fn fill(&mut self, number: usize, flow: &Flow<'d>) {
        let first = self.all[number].first;
        if let Some(other) = self.home[first] {
            self.all[number].ends = true;
            self.shared.push((number, other));
            return;
        }
        let mut waiting = vec![first];
        self.home[first] = Some(number);
        while let Some(step) = waiting.pop() {
            self.all[number].ends |= flow.nodes()[step].kind == "end";
            let mut opened = HashSet::new();
            for edge in flow.leaving(step) {
                if edge.way.opens_branch() {
                    // Two cases of a switch may lead to one branch.
                    if opened.insert(edge.to) {
                        self.open(Some(*edge), Some(number), edge.to);
                    }
                    continue;
                }
                match self.home[edge.to] {
                    None => {
                        self.home[edge.to] = Some(number);
                        waiting.push(edge.to);
                    }
                    Some(own) if own == number => {}
                    Some(_) => {
                        self.all[number].ends = true;
                        self.meetings.push((number, *edge));
                    }
                }
            }
        }
    }

    /// All levels; the first is the main flow.
    pub fn all(&self) -> &[Level<'d>] {
        &self.all
    }

    /// The level that a step belongs to; none if no way leads to it.
    pub fn home(&self, step: usize) -> Option<usize> {
        self.home[step]
    }

    /// Where a way leads from one level into a step of another: the level that is left, and
    /// the way.
    pub fn meetings(&self) -> &[(usize, Edge<'d>)] {
        &self.meetings
    }

    /// Levels whose first step belongs to another level: the two.
    pub fn shared(&self) -> &[(usize, usize)] {
        &self.shared
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn workflow(steps: &Value) -> Value {
        json!({"workflow_start": "start", "workflow": steps})
    }

    #[test]
    fn every_step_of_a_sound_workflow_has_one_level() {
        let document = workflow(&json!({
            "start": {"type": "start", "on_completion": "fork"},
            "fork": {"type": "parallel", "next_steps": ["a", "b"], "on_completion": "end"},
            "a": {"type": "action", "on_completion": "end-a"},
            "end-a": {"type": "end"},
            "b": {"type": "if-condition", "on_true": "c", "on_completion": "end-b"},
            "c": {"type": "action", "on_success": "end-c", "on_failure": "end-c"},
            "end-c": {"type": "end"},
            "end-b": {"type": "end"},
            "end": {"type": "end"},
        }));
        let flow = Flow::of(&document);
        let levels = Levels::of(&flow);
        let home = |id: &str| levels.home(flow.number(id).expect("a step"));
        assert_eq!(levels.all().len(), 4);
        assert_eq!(
            (home("start"), home("fork"), home("end")),
            (Some(0), Some(0), Some(0))
        );
        assert_eq!(home("a"), home("end-a"));
        assert_ne!(home("a"), home("b"));
        let inner = home("c").expect("a level");
        assert_eq!(levels.all()[inner].parent, home("b"));
        assert!(levels.all().iter().all(|level| level.ends));
        assert!(levels.meetings().is_empty() && levels.shared().is_empty());
    }

    #[test]
    fn branches_that_meet_are_told() {
        let document = workflow(&json!({
            "start": {"type": "start", "on_completion": "fork"},
            "fork": {"type": "parallel", "next_steps": ["a", "b"], "on_completion": "end"},
            "a": {"type": "action", "on_completion": "end"},
            "b": {"type": "action", "on_completion": "a"},
            "end": {"type": "end"},
        }));
        let flow = Flow::of(&document);
        let levels = Levels::of(&flow);
        let met: Vec<&str> = levels
            .meetings()
            .iter()
            .map(|(_, edge)| flow.nodes()[edge.to].id)
            .collect();
        assert_eq!(met, ["end", "a"]);
    }
}
