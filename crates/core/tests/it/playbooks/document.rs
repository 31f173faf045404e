//! Small CACAO documents, built in code. Identifiers are short words: whether they are well
//! formed is for the checks of `conche-cacao`, and none of the engine's business.

use conche_cacao::Document;
use conche_core::playbook::Program;
use serde_json::{Map, Value, json};

/// A document in the making: `start`, the steps, and an `end`.
#[derive(Debug, Clone)]
pub(super) struct Doc(Value);

impl Doc {
    /// A playbook that starts with this step.
    pub(super) fn new(first: &str) -> Self {
        Self::called("playbook--main", "2026-01-01T00:00:00.000Z", first)
    }

    /// A version of a playbook that starts with this step.
    pub(super) fn called(id: &str, modified: &str, first: &str) -> Self {
        let linux =
            |name: &str| json!({"type": "linux", "name": name, "address": {"dname": [name]}});
        let person = json!({"type": "individual", "name": "ana"});
        Self(json!({
            "type": "playbook", "spec_version": "cacao-2.0", "id": id, "name": id,
            "created_by": "identity--us", "created": "2026-01-01T00:00:00.000Z", "modified": modified,
            "workflow_start": "start", "playbook_variables": {},
            "workflow": {"start": {"type": "start", "on_completion": first}, "end": {"type": "end"}},
            "agent_definitions": {"box": linux("box"), "ana": person},
            "target_definitions": {"t0": linux("t0"), "t1": linux("t1")},
        }))
    }

    pub(super) fn step(mut self, name: &str, step: Value) -> Self {
        self.0["workflow"][name] = step;
        self
    }

    /// Several steps of one kind.
    pub(super) fn steps<const N: usize>(mut self, steps: [(&str, Value); N]) -> Self {
        for (name, step) in steps {
            self = self.step(name, step);
        }
        self
    }

    pub(super) fn variable(self, name: &str, kind: &str, value: impl Into<Value>) -> Self {
        self.declare(name, json!({"type": kind, "value": value.into()}))
    }

    pub(super) fn declare(mut self, name: &str, declaration: Value) -> Self {
        self.0["playbook_variables"][name] = declaration;
        self
    }

    pub(super) fn exception(self, handler: &str) -> Self {
        self.set("workflow_exception", handler)
    }

    pub(super) fn set(mut self, property: &str, value: impl Into<Value>) -> Self {
        self.0[property] = value.into();
        self
    }

    /// A member of an object of the document.
    pub(super) fn put(mut self, property: &str, name: &str, value: Value) -> Self {
        self.0[property][name] = value;
        self
    }

    pub(super) fn document(&self) -> Document {
        Document::of(self.0.clone())
    }

    pub(super) fn program(&self, callees: &[Self]) -> Program {
        let callees: Vec<Document> = callees.iter().map(Self::document).collect();
        Program::new(&self.document(), &callees).expect("a program")
    }
}

/// A step with more properties, or others.
pub(super) fn with(mut step: Value, more: Value) -> Value {
    let members = step.as_object_mut().expect("a step");
    let more: Map<String, Value> = serde_json::from_value(more).expect("an object");
    members.extend(more);
    step
}

/// What follows, whatever the outcome.
pub(super) fn then(step: Value, next: &str) -> Value {
    with(step, json!({"on_completion": next}))
}

/// What follows when it succeeded.
pub(super) fn on_success(step: Value, next: &str) -> Value {
    with(step, json!({"on_success": next}))
}

/// What follows when it succeeded and when it failed.
pub(super) fn either(step: Value, next: &str, failed: &str) -> Value {
    with(step, json!({"on_success": next, "on_failure": failed}))
}

/// An action with one command, nothing said about what follows.
pub(super) fn act() -> Value {
    commands([json!({"type": "bash", "command": "work"})])
}

/// An action with these commands.
pub(super) fn commands<const N: usize>(commands: [Value; N]) -> Value {
    json!({"type": "action", "agent": "box", "commands": commands.to_vec()})
}

/// An action that runs a line of shell.
pub(super) fn bash(line: &str) -> Value {
    commands([json!({"type": "bash", "command": line})])
}

/// An action that asks a person.
pub(super) fn manual(text: &str) -> Value {
    json!({"type": "action", "agent": "ana", "commands": [{"type": "manual", "command": text}]})
}

pub(super) fn end() -> Value {
    json!({"type": "end"})
}

pub(super) fn parallel<const N: usize>(branches: [&str; N]) -> Value {
    json!({"type": "parallel", "next_steps": branches.to_vec()})
}

pub(super) fn when(condition: &str, on_true: &str) -> Value {
    json!({"type": "if-condition", "condition": condition, "on_true": on_true})
}

pub(super) fn whilst(condition: &str, on_true: &str) -> Value {
    json!({"type": "while-condition", "condition": condition, "on_true": on_true})
}

pub(super) fn switch<const N: usize>(on: &str, cases: [(&str, &str); N]) -> Value {
    let cases: Map<String, Value> = cases
        .into_iter()
        .map(|(value, step)| (value.to_owned(), step.into()))
        .collect();
    json!({"type": "switch-condition", "switch": on, "cases": cases})
}

/// A call of another playbook.
pub(super) fn call(playbook: &str) -> Value {
    json!({"type": "playbook-action", "playbook_id": playbook})
}
