//! Which variables a step sees: those of the playbook, of the steps that opened the branches
//! it is in, and its own. Inner ones hide outer ones of the same name.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::limits::LEVELS_MAX;
use super::view::View;
use crate::pointer::Pointer;

/// A variable as it was declared.
#[derive(Clone)]
pub(super) struct Declared<'d> {
    pub(super) object: &'d Map<String, Value>,
    /// Whether it is one of the playbook's.
    pub(super) global: bool,
}

/// The declarations of a document.
pub(super) struct Scopes<'v, 'd> {
    view: &'v View<'d>,
    globals: HashMap<&'d str, Declared<'d>>,
    own: Vec<HashMap<&'d str, Declared<'d>>>,
}

impl<'v, 'd> Scopes<'v, 'd> {
    pub(super) fn of(view: &'v View<'d>) -> Self {
        let declared = |members: Option<&'d Value>, global: bool| {
            let members = members.and_then(Value::as_object).into_iter().flatten();
            let objects = members.filter_map(move |(name, variable)| {
                let object = variable.as_object()?;
                Some((name.as_str(), Declared { object, global }))
            });
            objects.collect::<HashMap<_, _>>()
        };
        let own = view
            .flow
            .nodes()
            .iter()
            .map(|node| declared(node.object.get("step_variables"), false));
        Self {
            view,
            globals: declared(view.document.get("playbook_variables"), true),
            own: own.collect(),
        }
    }

    /// The variable that a step means by a name.
    pub(super) fn find(&self, step: usize, name: &str) -> Option<&Declared<'d>> {
        let mut at = Some(step);
        // What is deeper has been told as such, and is not looked for.
        for _ in 0..=LEVELS_MAX {
            let Some(step) = at else { break };
            if let Some(found) = self.own[step].get(name) {
                return Some(found);
            }
            let level = self
                .view
                .levels
                .home(step)
                .map(|level| self.view.levels.all()[level]);
            at = level
                .and_then(|level| level.opened_by)
                .map(|edge| edge.from);
        }
        self.globals.get(name)
    }

    /// The document that they are of.
    pub(super) const fn view(&self) -> &'v View<'d> {
        self.view
    }

    /// The variables of the playbook.
    pub(super) const fn globals(&self) -> &HashMap<&'d str, Declared<'d>> {
        &self.globals
    }

    /// Every declaration with its place and whether it is the playbook's.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'d str, &'d Value, Pointer, bool)> {
        let members = |value: Option<&'d Value>, at: Pointer, global: bool| {
            let members = value.and_then(Value::as_object).into_iter().flatten();
            members.map(move |(name, variable)| {
                (name.as_str(), variable, at.then(name.as_str()), global)
            })
        };
        let top = Pointer::top().then("playbook_variables");
        let globals = members(self.view.document.get("playbook_variables"), top, true);
        let steps = self.view.flow.nodes().iter().flat_map(move |node| {
            members(
                node.object.get("step_variables"),
                node.pointer().then("step_variables"),
                false,
            )
        });
        globals.chain(steps)
    }
}
