//! The document as the checks look at it: its flow, its definitions, its commands.

use serde_json::{Map, Value};

use super::limits::LEVELS_MAX;
use crate::graph::{Flow, Levels, Node};
use crate::pointer::Pointer;

/// A document with what several checks need of it.
pub(super) struct View<'d> {
    pub(super) document: &'d Value,
    pub(super) flow: Flow<'d>,
    pub(super) levels: Levels<'d>,
}

/// A command in its step.
pub(super) struct Command<'d> {
    pub(super) step: Node<'d>,
    pub(super) index: usize,
    pub(super) kind: &'d str,
    pub(super) object: &'d Map<String, Value>,
}

impl<'d> Command<'d> {
    pub(super) fn pointer(&self) -> Pointer {
        self.step.pointer().then("commands").then(self.index)
    }

    pub(super) fn text(&self, name: &str) -> Option<&'d str> {
        self.object.get(name)?.as_str()
    }
}

impl<'d> View<'d> {
    pub(super) fn of(document: &'d Value) -> Self {
        let flow = Flow::of(document);
        let levels = Levels::of(&flow);
        Self {
            document,
            flow,
            levels,
        }
    }

    /// A property of the playbook that is text.
    pub(super) fn text(&self, name: &str) -> Option<&'d str> {
        self.document.get(name)?.as_str()
    }

    /// The members of a dictionary of the playbook that are objects.
    pub(super) fn dictionary(
        &self,
        name: &'static str,
    ) -> impl Iterator<Item = (&'d str, &'d Map<String, Value>, Pointer)> + use<'d> {
        let members = self.document.get(name).and_then(Value::as_object);
        members
            .into_iter()
            .flatten()
            .filter_map(move |(id, value)| {
                let at = Pointer::top().then(name).then(id.as_str());
                Some((id.as_str(), value.as_object()?, at))
            })
    }

    /// Whether a dictionary of the playbook has a name.
    pub(super) fn defines(&self, dictionary: &str, name: &str) -> bool {
        let members = self.document.get(dictionary).and_then(Value::as_object);
        members.is_some_and(|members| members.contains_key(name))
    }

    /// All commands of all steps.
    pub(super) fn commands(&self) -> impl Iterator<Item = Command<'d>> + use<'_, 'd> {
        self.flow.nodes().iter().flat_map(|step| {
            objects(step.object, "commands").map(|(index, object)| Command {
                step: *step,
                index,
                kind: object
                    .get("type")
                    .and_then(Value::as_str)
                    .unwrap_or_default(),
                object,
            })
        })
    }

    /// The level of a step, unless it is so deep that it has been told.
    pub(super) fn shallow(&self, step: usize) -> Option<usize> {
        let home = self.levels.home(step);
        home.filter(|level| self.levels.all()[*level].depth <= LEVELS_MAX)
    }

    /// Agents and targets, each with whether it is an agent.
    pub(super) fn parties(
        &self,
    ) -> impl Iterator<Item = (&'d str, &'d Map<String, Value>, Pointer)> + use<'d> {
        self.dictionary("agent_definitions")
            .chain(self.dictionary("target_definitions"))
    }
}

/// The elements of a list that are text, with their numbers.
pub(super) fn texts<'d>(
    object: &'d Map<String, Value>,
    name: &str,
) -> impl Iterator<Item = (usize, &'d str)> + use<'d> {
    let list = object.get(name).and_then(Value::as_array);
    let items = list.into_iter().flatten().enumerate();
    items.filter_map(|(index, item)| Some((index, item.as_str()?)))
}

/// The elements of a list that are objects, with their numbers.
pub(super) fn objects<'d>(
    object: &'d Map<String, Value>,
    name: &str,
) -> impl Iterator<Item = (usize, &'d Map<String, Value>)> + use<'d> {
    let list = object.get(name).and_then(Value::as_array);
    let items = list.into_iter().flatten().enumerate();
    items.filter_map(|(index, item)| Some((index, item.as_object()?)))
}

/// Whether there is a property that says something.
pub(super) fn says(object: &Map<String, Value>, name: &str) -> bool {
    match object.get(name) {
        None | Some(Value::Null) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(_) => true,
    }
}

/// Calls for every object in the document, from the outside in.
pub(super) fn every_object<'d>(
    value: &'d Value,
    at: &Pointer,
    look: &mut impl FnMut(&'d Map<String, Value>, &Pointer),
) {
    match value {
        Value::Object(members) => {
            look(members, at);
            for (name, inner) in members {
                if matches!(inner, Value::Object(_) | Value::Array(_)) {
                    every_object(inner, &at.then(name.as_str()), look);
                }
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                if matches!(inner, Value::Object(_) | Value::Array(_)) {
                    every_object(inner, &at.then(index), look);
                }
            }
        }
        _ => {}
    }
}
