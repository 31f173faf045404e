//! What is to be done so that a host has what is described: a pure function of both.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::{Body, Desired, Entity, differences};
use crate::model::{Action, Exec, FullyQualifiedName, KeyValue, KeyValues, Package, Rule, Trigger};

/// The annotation that says which project an entity was deployed with, where it is kept in step
/// with one.
pub const MANAGED: &str = "conche-project";

/// A kind of entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Packages and bindings.
    Package,
    /// Actions and sequences.
    Action,
    /// Triggers.
    Trigger,
    /// Rules.
    Rule,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Package => "package",
            Self::Action => "action",
            Self::Trigger => "trigger",
            Self::Rule => "rule",
        })
    }
}

impl Body {
    /// Of which kind it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Package(_) => Kind::Package,
            Self::Action(_) => Kind::Action,
            Self::Trigger(..) => Kind::Trigger,
            Self::Rule(_) => Kind::Rule,
        }
    }
}

/// An entity as a host has it.
#[derive(Debug, Clone, PartialEq)]
pub enum Current {
    /// A package or a binding.
    Package(Package),
    /// An action or a sequence.
    Action(Action),
    /// A trigger.
    Trigger(Trigger),
    /// A rule.
    Rule(Rule),
}

impl Current {
    /// Its name.
    pub fn name(&self) -> FullyQualifiedName {
        let (path, name) = match self {
            Self::Package(it) => (&it.namespace, &it.name),
            Self::Action(it) => (&it.namespace, &it.name),
            Self::Trigger(it) => (&it.namespace, &it.name),
            Self::Rule(it) => (&it.namespace, &it.name),
        };
        path.entity(name.clone())
    }

    /// Of which kind it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Package(_) => Kind::Package,
            Self::Action(_) => Kind::Action,
            Self::Trigger(_) => Kind::Trigger,
            Self::Rule(_) => Kind::Rule,
        }
    }

    fn annotations(&self) -> &KeyValues {
        match self {
            Self::Package(it) => &it.annotations,
            Self::Action(it) => &it.annotations,
            Self::Trigger(it) => &it.annotations,
            Self::Rule(it) => &it.annotations,
        }
    }

    /// Where it stands among what is removed: what needs others comes first.
    fn removal(&self) -> u8 {
        match self {
            Self::Rule(_) => 0,
            Self::Trigger(_) => 1,
            Self::Action(action) if matches!(action.exec, Exec::Sequence(_)) => 2,
            Self::Action(_) => 3,
            Self::Package(package) if package.binding.provider().is_some() => 4,
            Self::Package(_) => 5,
        }
    }
}

/// What a host has, as far as it was looked at.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Live(BTreeMap<(Kind, FullyQualifiedName), Current>);

impl Extend<Current> for Live {
    fn extend<T: IntoIterator<Item = Current>>(&mut self, found: T) {
        let found = found.into_iter();
        self.0
            .extend(found.map(|one| ((one.kind(), one.name()), one)));
    }
}

impl Live {
    /// An entity.
    pub fn get(&self, kind: Kind, name: &FullyQualifiedName) -> Option<&Current> {
        self.0.get(&(kind, name.clone()))
    }

    /// A package.
    pub fn package(&self, name: &FullyQualifiedName) -> Option<&Package> {
        match self.get(Kind::Package, name) {
            Some(Current::Package(package)) => Some(package),
            _ => None,
        }
    }
}

/// What is to be done with an entity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "change")]
pub enum Change {
    /// It is made.
    Create,
    /// It is written anew, because of these of its parts.
    Update {
        /// Which parts differ.
        parts: Vec<&'static str>,
    },
    /// Nothing: it is as it is to be.
    Unchanged,
    /// It is removed.
    Remove,
    /// It would be removed, and is not.
    Keep {
        /// Why not.
        why: String,
    },
}

/// One entity of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: FullyQualifiedName,
    /// What is to be done with it.
    #[serde(flatten)]
    pub change: Change,
}

impl fmt::Display for Step {
    /// One line without its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, more) = match &self.change {
            Change::Create => ("create", String::new()),
            Change::Update { parts } => ("update", format!(" ({})", parts.join(", "))),
            Change::Unchanged => ("unchanged", String::new()),
            Change::Remove => ("remove", String::new()),
            Change::Keep { why } => ("keep", format!(" ({why})")),
        };
        write!(f, "{word:9} {:7} {}{more}", self.kind, self.name)
    }
}

/// What is to be done, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Plan {
    /// Each entity once.
    pub steps: Vec<Step>,
}

impl Plan {
    /// So that everything that is described is there. What a host has of `project` beside it is
    /// removed.
    pub fn deploy(desired: &Desired, live: &Live, project: Option<&str>) -> Self {
        let step = |entity: &Entity| {
            let kind = entity.body.kind();
            let change = match live.get(kind, &entity.name) {
                None => Change::Create,
                Some(current) => match differences::of(entity, current, live) {
                    same if same.is_empty() => Change::Unchanged,
                    parts => Change::Update { parts },
                },
            };
            Step {
                kind,
                name: entity.name.clone(),
                change,
            }
        };
        let mut steps: Vec<Step> = desired.entities.iter().map(step).collect();
        if let Some(project) = project {
            let kept = |current: &&Current| !desired.has(current);
            let of_project = |current: &&Current| {
                let managed = current.annotations().get(MANAGED);
                managed.and_then(|name| name.as_str()) == Some(project)
            };
            steps.extend(removal(live.0.values().filter(kept).filter(of_project)));
        }
        Self { steps }
    }

    /// So that nothing of what is described is there any more. A package that has more in it
    /// stays.
    pub fn undeploy(desired: &Desired, live: &Live) -> Self {
        let steps = removal(live.0.values().filter(|current| desired.has(current)));
        Self { steps }
    }

    /// Whether there is something to do.
    pub fn changes(&self) -> bool {
        let idle = |step: &Step| matches!(step.change, Change::Unchanged | Change::Keep { .. });
        !self.steps.iter().all(idle)
    }
}

/// What is removed, first what needs others.
fn removal<'a>(removed: impl Iterator<Item = &'a Current>) -> Vec<Step> {
    let mut removed: Vec<&Current> = removed.collect();
    removed.sort_by_key(|current| current.removal());
    let names: BTreeSet<FullyQualifiedName> = removed.iter().map(|one| one.name()).collect();
    let step = |current: &Current| Step {
        kind: current.kind(),
        name: current.name(),
        change: match current {
            Current::Package(package) => left_in(package, &names),
            _ => Change::Remove,
        },
    };
    removed.into_iter().map(step).collect()
}

/// Whether a package can go once `removed` is gone.
fn left_in(package: &Package, removed: &BTreeSet<FullyQualifiedName>) -> Change {
    if package.binding.provider().is_some() {
        return Change::Remove;
    }
    let members = package.actions.iter().chain(&package.feeds).flatten();
    let left: Vec<&str> = members
        .filter(|member| {
            let within = Some(package.name.clone());
            let namespace = package.namespace.namespace.clone();
            !removed.contains(&FullyQualifiedName::new(
                namespace,
                within,
                member.name.clone(),
            ))
        })
        .map(|member| member.name.as_str())
        .collect();
    if left.is_empty() {
        return Change::Remove;
    }
    Change::Keep {
        why: format!("it has more: {}", left.join(", ")),
    }
}

impl Desired {
    /// The same, each entity marked as one of a project.
    #[must_use]
    pub fn managed(mut self, project: &str) -> Self {
        for entity in &mut self.entities {
            let annotations = match &mut entity.body {
                Body::Package(put) => put.annotations.get_or_insert_default(),
                Body::Action(put) => put.annotations.get_or_insert_default(),
                Body::Trigger(put, _) => put.annotations.get_or_insert_default(),
                Body::Rule(rule) => &mut rule.annotations,
            };
            annotations.set(KeyValue::new(MANAGED, project));
        }
        self
    }

    /// What is described of this name.
    pub fn entity(&self, kind: Kind, name: &FullyQualifiedName) -> Option<&Entity> {
        let mut entities = self.entities.iter();
        entities.find(|one| one.body.kind() == kind && one.name == *name)
    }

    fn has(&self, current: &Current) -> bool {
        self.entity(current.kind(), &current.name()).is_some()
    }
}
