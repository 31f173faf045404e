//! The variables of a playbook's run: which are seen from where, and what becomes of values
//! that branches assign.
//!
//! Each frame sees the scope of its container, which is that of the container's own frame with
//! the container's variables within it. Frames side by side have a copy each; when they are
//! over, what they assigned goes outward, in the order of the frames (`cacao::variable::Scope`).
//! A called playbook sees nothing of its caller but what it was given.
//!
//! A run without a scope, such as that of a reaction, pays nothing for this.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use conche_cacao::variable::scope::{Conflict, Declarations};
use conche_cacao::variable::{Name, Scope, Variable};
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::entry::{Path, Turn, VisitNo};
use crate::json::Json;

/// Variables with their types and values, in the form in which a playbook declares them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Declared(pub Declarations);

impl Declared {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Declared {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, variable) in &self.0 {
            map.serialize_entry(name.as_str(), &written(variable))?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Declared {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = BTreeMap::<String, serde_json::Value>::deserialize(deserializer)?;
        let one = |(name, declaration): (String, serde_json::Value)| {
            let name = Name::parse(&name).map_err(D::Error::custom)?;
            let variable = Variable::declared(&declaration).map_err(D::Error::custom)?;
            Ok((name, variable))
        };
        members
            .into_iter()
            .map(one)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// A variable as a playbook declares it.
pub fn written(variable: &Variable) -> serde_json::Value {
    let mut object = serde_json::Map::new();
    object.insert("type".to_owned(), variable.kind.as_str().into());
    let value = variable.value.as_ref().map(ToString::to_string);
    object.insert("value".to_owned(), value.into());
    if variable.constant {
        object.insert("constant".to_owned(), true.into());
    }
    if variable.external {
        object.insert("external".to_owned(), true.into());
    }
    object.into()
}

/// The scope of an open container, within which its frames stand.
#[derive(Debug, Clone, PartialEq)]
struct Inner {
    scope: Scope,
    /// Whether nothing of the container's own frame is seen within it.
    isolated: bool,
}

/// The scopes of one run.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Scopes {
    frames: BTreeMap<Path, Scope>,
    /// Of closed containers too: the run may be reopened within them.
    containers: BTreeMap<VisitNo, Inner>,
    conflicts: Vec<(VisitNo, Conflict)>,
}

/// What a frame sees that has no scope.
static NOTHING: std::sync::LazyLock<Scope> = std::sync::LazyLock::new(Scope::default);

impl Scopes {
    /// The scopes of a run that starts with these variables.
    pub(super) fn start(variables: Declared) -> Self {
        let mut scope = Scope::default();
        scope.enter(variables.0);
        Self {
            frames: BTreeMap::from([(Path::new(), scope)]),
            ..Self::default()
        }
    }

    /// What is seen from a frame.
    pub(super) fn of(&self, path: &[Turn]) -> &Scope {
        self.frames.get(path).unwrap_or(&NOTHING)
    }

    /// What is seen within a container, between its frames.
    pub(super) fn within(&self, container: VisitNo) -> &Scope {
        let inner = self.containers.get(&container);
        inner.map_or(&NOTHING, |inner| &inner.scope)
    }

    /// Branches that assigned different values to one variable, with the container they were of.
    pub(super) fn conflicts(&self) -> &[(VisitNo, Conflict)] {
        &self.conflicts
    }

    /// Opens frames of a container that stands at `path`. Frames that it opened before are over.
    pub(super) fn open(
        &mut self,
        container: VisitNo,
        path: &Path,
        opened: Range<u32>,
        own: Option<(Declared, bool)>,
    ) {
        if !self.frames.contains_key(path) {
            return;
        }
        if self.containers.contains_key(&container) {
            self.gather(container, path);
        }
        if let Some((variables, isolated)) = own {
            let mut scope = if isolated {
                Scope::default()
            } else {
                self.of(path).branch()
            };
            scope.enter(variables.0);
            self.containers.insert(container, Inner { scope, isolated });
        }
        let Some(inner) = self.containers.get(&container) else {
            return;
        };
        let inner = inner.scope.branch();
        for index in opened {
            let mut frame = path.clone();
            frame.push(Turn {
                of: container,
                index,
            });
            self.frames.insert(frame, inner.clone());
        }
    }

    /// Closes a container: what its frames assigned goes outward.
    pub(super) fn close(&mut self, container: VisitNo, path: &Path) {
        self.gather(container, path);
        let Some(inner) = self.containers.get(&container) else {
            return;
        };
        if inner.isolated {
            return;
        }
        let inner = inner.scope.clone();
        if let Some(outer) = self.frames.get_mut(path) {
            // One strand only: nothing to disagree with.
            drop(outer.join([inner]));
        }
    }

    /// Closes all containers, the inner ones first: what was assigned within any of them is seen
    /// at the outermost scope.
    pub(super) fn settle(&mut self) {
        self.close_within(&Path::new());
    }

    /// Closes the containers that stand in a frame.
    fn close_within(&mut self, path: &Path) {
        let level = path.len();
        let inner: BTreeSet<VisitNo> = self
            .frames
            .range(path.clone()..)
            .take_while(|(frame, _)| frame.starts_with(path))
            .filter_map(|(frame, _)| frame.get(level))
            .map(|turn| turn.of)
            .collect();
        for container in inner {
            self.close(container, path);
        }
    }

    /// Takes over what the frames of a container assigned, also in containers within that are
    /// still open, and forgets them.
    fn gather(&mut self, container: VisitNo, path: &Path) {
        let mut first = path.clone();
        first.push(Turn {
            of: container,
            index: 0,
        });
        let level = path.len();
        let own: Vec<Path> = self
            .frames
            .range(first..)
            .take_while(|(frame, _)| frame.get(level).is_some_and(|turn| turn.of == container))
            .filter(|(frame, _)| frame.len() == level + 1)
            .map(|(frame, _)| frame.clone())
            .collect();
        let mut branches = Vec::new();
        for frame in own {
            self.close_within(&frame);
            branches.extend(self.frames.remove(&frame));
        }
        if let Some(inner) = self.containers.get_mut(&container)
            && let Ok(conflicts) = inner.scope.join(branches)
        {
            let conflicts = conflicts.into_iter();
            self.conflicts
                .extend(conflicts.map(|conflict| (container, conflict)));
        }
    }

    /// Whether these values can be assigned in a frame, and why not.
    pub(super) fn check(
        &self,
        path: &[Turn],
        values: &BTreeMap<String, Json>,
    ) -> Result<(), String> {
        let mut scope = self.of(path).clone();
        assign(&mut scope, values)
    }

    /// Assigns values in a frame.
    pub(super) fn assign(
        &mut self,
        path: &[Turn],
        values: &BTreeMap<String, Json>,
    ) -> Result<(), String> {
        match self.frames.get_mut(path) {
            Some(scope) => assign(scope, values),
            None => Ok(()),
        }
    }

    /// Makes scopes for frames that are live again after the run was reopened: each sees what
    /// its container's frame sees now, and the container's own variables as they were left.
    pub(super) fn reopen<'f>(&mut self, live: impl Iterator<Item = &'f Path>) {
        let Some(top) = self.frames.remove(&Path::new()) else {
            return;
        };
        self.frames = BTreeMap::from([(Path::new(), top)]);
        let mut renewed = BTreeSet::new();
        // Outer frames come first.
        for frame in live {
            let Some((turn, around)) = frame.split_last() else {
                continue;
            };
            if renewed.insert(turn.of) {
                self.renew(turn.of, around);
            }
            let scope = self.within(turn.of).branch();
            self.frames.insert(frame.clone(), scope);
        }
    }

    fn renew(&mut self, container: VisitNo, around: &[Turn]) {
        let outer = self.of(around).branch();
        let Some(inner) = self.containers.get_mut(&container) else {
            return;
        };
        if inner.isolated {
            return;
        }
        let own = inner.scope.leave().unwrap_or_default();
        inner.scope = outer;
        inner.scope.enter(own);
    }
}

fn assign(scope: &mut Scope, values: &BTreeMap<String, Json>) -> Result<(), String> {
    for (name, value) in values {
        let value: serde_json::Value = value.read().map_err(|error| error.to_string())?;
        scope
            .assign(name, &value)
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}
