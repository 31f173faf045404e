//! The packages of `whisk.system` that come with the host: actions in Rust, published for
//! everyone, that no language has to be installed for. They are read like other packages and
//! can't be changed.

mod alarms;
mod gateway;
mod words;

use conche_openwhisk::model::{
    Action, ActionLimits, EntityPath, Exec, KeyValue, KeyValues, Name, Package, Version,
};
use serde_json::{Map, Value, json};

pub(crate) use self::alarms::is_alarm;
pub(crate) use self::gateway::answer as gateway;
use crate::users::SYSTEM;

/// The `kind` of these actions.
pub(crate) const KIND: &str = "native:1";

/// What the native actions are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Native {
    /// A word of the package `utils`.
    Word(words::Word),
    /// A feed of the package `alarms`.
    Alarm(alarms::Feed),
}

/// A package with its actions.
struct Shelf {
    name: &'static str,
    description: &'static str,
    actions: fn() -> Vec<(&'static str, Native, &'static str)>,
}

const SHELVES: [Shelf; 2] = [
    Shelf {
        name: "alarms",
        description: "Triggers by the clock",
        actions: alarms::actions,
    },
    Shelf {
        name: "utils",
        description: "Building blocks that format and assemble data",
        actions: words::actions,
    },
];

/// A package of these.
pub(crate) fn package(name: &str) -> Option<Package> {
    let shelf = SHELVES.iter().find(|shelf| shelf.name == name)?;
    Some(Package {
        namespace: EntityPath::of(Name::parse(SYSTEM).ok()?),
        name: Name::parse(shelf.name).ok()?,
        version: Version::default(),
        publish: true,
        parameters: KeyValues::default(),
        annotations: KeyValues(vec![KeyValue::new("description", shelf.description)]),
        binding: conche_openwhisk::model::BindingField::none(),
        updated: Some(0),
        actions: None,
        feeds: None,
        other: Map::new(),
    })
}

/// The packages.
pub(crate) fn packages() -> Vec<Package> {
    let names = SHELVES.iter().map(|shelf| shelf.name);
    names.filter_map(package).collect()
}

/// An action of a package of these.
pub(crate) fn find(package: &str, name: &str) -> Option<Native> {
    let shelf = SHELVES.iter().find(|shelf| shelf.name == package)?;
    let actions = (shelf.actions)();
    let found = actions.into_iter().find(|(known, _, _)| *known == name)?;
    Some(found.1)
}

/// The actions of a package of these.
pub(crate) fn actions(package: &str, path: &EntityPath) -> Vec<Action> {
    let shelf = SHELVES.iter().find(|shelf| shelf.name == package);
    let actions = shelf.map(|shelf| (shelf.actions)()).unwrap_or_default();
    actions
        .iter()
        .map(|(_, native, _)| native.action(path))
        .collect()
}

impl Native {
    fn about(self) -> (&'static str, &'static str) {
        let all = SHELVES.iter().flat_map(|shelf| (shelf.actions)());
        let mut own = all.filter(|(_, native, _)| *native == self);
        own.next()
            .map_or(("", ""), |(name, _, description)| (name, description))
    }

    /// How it is shown.
    pub(crate) fn action(self, path: &EntityPath) -> Action {
        let (name, description) = self.about();
        let mut annotations = vec![
            KeyValue::new("exec", KIND),
            KeyValue::new("provide-api-key", false),
            KeyValue::new("description", description),
        ];
        if matches!(self, Self::Alarm(_)) {
            annotations.push(KeyValue::new("feed", true));
        }
        Action {
            namespace: path.clone(),
            // The names of the lists here are names, as a test checks.
            name: Name::parse(name).unwrap_or_else(|_| Name::own_namespace()),
            version: Version::default(),
            publish: false,
            updated: Some(0),
            exec: Exec::code(KIND, "").without_code(),
            parameters: KeyValues::default(),
            annotations: KeyValues(annotations),
            limits: ActionLimits {
                timeout: Some(60_000),
                memory: Some(256),
                logs: Some(10),
                concurrency: Some(1),
                ..ActionLimits::default()
            },
            other: Map::new(),
        }
    }
}

/// `{"error": …}` of an action that refuses its input.
fn refused(text: impl Into<String>) -> Value {
    json!({ "error": text.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_is_found_by_its_name_in_its_package() {
        for package in packages() {
            let path = EntityPath {
                namespace: package.namespace.namespace.clone(),
                package: Some(package.name.clone()),
            };
            let actions = actions(package.name.as_str(), &path);
            assert!(!actions.is_empty());
            for action in actions {
                let found = find(package.name.as_str(), action.name.as_str());
                assert_eq!(found.map(|found| found.action(&path)), Some(action));
            }
        }
        assert_eq!(find("utils", "nothing"), None);
        assert_eq!(package("nothing"), None);
    }
}
