//! The parts of a package in a manifest: what each says, and the entity that it is to be.

use std::collections::BTreeSet;

use serde_json::Value;

use super::code::Run;
use super::inputs::inputs;
use super::manifest::{Overrides, PACKAGE};
use super::marks::{described, limits, own_key, web};
use super::tree::{Fields, Node};
use super::{Body, Entity, Error, Feed, Reading, Rule};
use crate::model::{
    ActionPut, Binding, BindingField, Exec, FullyQualifiedName, KeyValues, Name, PackagePut,
    RESERVED_PACKAGE, TriggerPut,
};

/// What a package may have. `version` and `license` are for readers of the manifest only: a
/// host counts versions itself and keeps no licence.
const OF_PACKAGE: [&str; 11] = [
    "version",
    "license",
    "description",
    "public",
    "inputs",
    "annotations",
    "dependencies",
    "actions",
    "sequences",
    "triggers",
    "rules",
];

/// What an action may have; `outputs` are for readers only.
const OF_ACTION: [&str; 18] = [
    "version",
    "description",
    "function",
    "code",
    "runtime",
    "main",
    "docker",
    "native",
    "conductor",
    "feed",
    "inputs",
    "outputs",
    "annotations",
    "limits",
    "web",
    "web-export",
    "raw-http",
    "final",
];

const OF_SEQUENCE: [&str; 8] = [
    "version",
    "description",
    "actions",
    "annotations",
    "web",
    "web-export",
    "raw-http",
    "final",
];

/// Reads packages into entities.
pub(super) struct Reader<'a> {
    reading: &'a Reading<'a>,
    overrides: Overrides<'a>,
    names: BTreeSet<FullyQualifiedName>,
    entities: Vec<Entity>,
}

/// The package that is being read.
struct Package<'n> {
    written: &'n str,
    name: Option<Name>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(reading: &'a Reading<'a>, overrides: Overrides<'a>) -> Self {
        Self {
            reading,
            overrides,
            names: BTreeSet::new(),
            entities: Vec::new(),
        }
    }

    /// All entities.
    pub(super) fn finish(self) -> Result<Vec<Entity>, Error> {
        match self.overrides.left_over() {
            Some(error) => Err(error),
            None => Ok(self.entities),
        }
    }

    /// A package with all that is in it and beside it.
    pub(super) fn package(&mut self, written: &str, node: Node<'_>) -> Result<(), Error> {
        let place = node.clone();
        let fields = node.fields(&OF_PACKAGE)?;
        let name = match written {
            RESERVED_PACKAGE => None,
            name => {
                Some(Name::parse_package(name).map_err(|error| place.wrong(error.to_string()))?)
            }
        };
        let package = Package { written, name };
        self.head(&package, &place, &fields)?;
        for (name, node) in fields.entries("dependencies")? {
            self.dependency(&name, node)?;
        }
        for (name, node) in fields.entries("actions")? {
            self.action(&package, &name, node)?;
        }
        for (name, node) in fields.entries("sequences")? {
            self.sequence(&package, &name, node)?;
        }
        for (name, node) in fields.entries("triggers")? {
            self.trigger(&package, &name, node)?;
        }
        for (name, node) in fields.entries("rules")? {
            self.rule(&package, &name, node)?;
        }
        Ok(())
    }

    /// The package itself; `default` is none.
    fn head(
        &mut self,
        package: &Package<'_>,
        at: &Node<'_>,
        fields: &Fields<'_>,
    ) -> Result<(), Error> {
        let mut inputs = inputs(fields.entries("inputs")?)?;
        let mut annotations = described(fields)?;
        let said = self.overrides.take(package.written, PACKAGE, "");
        said.over(&mut inputs, &mut annotations);
        let public = fields.flag("public")?;
        let Some(name) = &package.name else {
            if inputs.is_empty() && annotations.is_empty() && public.is_none() {
                return Ok(());
            }
            return Err(at.wrong("`default` is no package: it has no inputs or annotations"));
        };
        let put = PackagePut {
            binding: None,
            parameters: Some(KeyValues::of(&inputs)),
            annotations: Some(KeyValues::of(&annotations)),
            publish: Some(public.unwrap_or(false)),
            ..PackagePut::default()
        };
        self.put(at, self.named(None, name.clone()), Body::Package(put))
    }

    /// A binding of another package.
    fn dependency(&mut self, name: &str, node: Node<'_>) -> Result<(), Error> {
        let at = node.clone();
        let fields = node.fields(&[
            "location",
            "version",
            "description",
            "inputs",
            "annotations",
        ])?;
        let location = fields.text("location")?;
        let location = location.ok_or_else(|| at.wrong("it needs a `location`"))?;
        let other =
            "a package of a host belongs here, such as /whisk.system/utils; others are not fetched";
        let provider = match FullyQualifiedName::parse_in_body(&location) {
            Ok(FullyQualifiedName {
                namespace,
                package: None,
                name,
            }) if !location.contains("://") => {
                let namespace = if namespace.is_own_namespace() {
                    self.reading.namespace.clone()
                } else {
                    namespace
                };
                Binding { namespace, name }
            }
            _ => return Err(at.wrong(format!("`{location}`: {other}"))),
        };
        let put = PackagePut {
            binding: Some(BindingField::To(provider)),
            parameters: Some(KeyValues::of(&inputs(fields.entries("inputs")?)?)),
            annotations: Some(KeyValues::of(&described(&fields)?)),
            publish: Some(false),
            ..PackagePut::default()
        };
        let parsed = Name::parse_package(name).map_err(|error| at.wrong(error.to_string()))?;
        self.put(&at, self.named(None, parsed), Body::Package(put))
    }

    fn action(&mut self, package: &Package<'_>, name: &str, node: Node<'_>) -> Result<(), Error> {
        let at = node.clone();
        let fields = node.fields(&OF_ACTION)?;
        fields.entries("outputs")?;
        let mut inputs = inputs(fields.entries("inputs")?)?;
        let mut annotations = described(&fields)?;
        let said = self.overrides.take(package.written, "actions", name);
        said.over(&mut inputs, &mut annotations);
        web(&at, &fields, &mut annotations)?;
        for mark in ["conductor", "feed"] {
            if fields.flag(mark)? == Some(true) {
                annotations.insert(mark.to_owned(), true.into());
            }
        }
        let put = ActionPut {
            exec: Some(self.exec(&at, &fields)?),
            parameters: Some(KeyValues::of(&inputs)),
            annotations: Some(own_key(KeyValues::of(&annotations))),
            limits: fields.get("limits").map(limits).transpose()?,
            ..ActionPut::default()
        };
        let name = self.in_package(package, &at, name)?;
        self.put(&at, name, Body::Action(put))
    }

    fn exec(&self, at: &Node<'_>, fields: &Fields<'_>) -> Result<Exec, Error> {
        let run = Run {
            runtime: fields.text("runtime")?,
            main: fields.text("main")?,
            image: fields.text("docker")?,
        };
        let run = match fields.flag("native")? {
            Some(true) => run.native(),
            _ => run,
        };
        match (fields.get("function"), fields.get("code")) {
            (Some(node), None) => {
                let path = node.text()?;
                let made = match self.reading.files.read(&path) {
                    Ok(found) => run.found(&path, found),
                    Err(error) => Err(error),
                };
                made.map_err(|flaw| node.wrong(format!("`{path}`: {flaw}")))
            }
            (None, Some(node)) => {
                let made = run.inline(node.raw_text()?);
                made.map_err(|flaw| node.wrong(flaw))
            }
            (None, None) if run.image.is_some() => Ok(run.bare()),
            (None, None) => {
                Err(at.wrong("it needs a `function`, a file; or `code`, the text itself"))
            }
            (Some(_), Some(_)) => {
                Err(at.wrong("it has a `function` and `code`: one of them counts"))
            }
        }
    }

    fn sequence(&mut self, package: &Package<'_>, name: &str, node: Node<'_>) -> Result<(), Error> {
        let at = node.clone();
        let fields = node.fields(&OF_SEQUENCE)?;
        let list = fields.get("actions");
        let list = list.ok_or_else(|| at.wrong("it needs `actions`"))?;
        let names: Vec<String> = match list.resolved()? {
            Value::String(text) => text.split(',').map(|name| name.trim().to_owned()).collect(),
            Value::Array(items) => {
                let items = items.into_iter().map(|item| match item {
                    Value::String(name) => Ok(name),
                    _ => Err(list.wrong("names of actions belong here")),
                });
                items.collect::<Result<_, _>>()?
            }
            _ => return Err(list.wrong("names of actions belong here, with commas between them")),
        };
        let mut components = Vec::with_capacity(names.len());
        for name in names {
            components.push(self.action_named(package, &list, &name)?.to_string());
        }
        let mut annotations = described(&fields)?;
        web(&at, &fields, &mut annotations)?;
        let put = ActionPut {
            exec: Some(Exec::sequence(components)),
            annotations: Some(own_key(KeyValues::of(&annotations))),
            ..ActionPut::default()
        };
        let name = self.in_package(package, &at, name)?;
        self.put(&at, name, Body::Action(put))
    }

    fn trigger(&mut self, package: &Package<'_>, name: &str, node: Node<'_>) -> Result<(), Error> {
        let at = node.clone();
        let fields = node.fields(&["version", "description", "feed", "inputs", "annotations"])?;
        let mut inputs = inputs(fields.entries("inputs")?)?;
        let mut annotations = described(&fields)?;
        let said = self.overrides.take(package.written, "triggers", name);
        said.over(&mut inputs, &mut annotations);
        let feed = match fields.get("feed") {
            None => None,
            Some(node) => {
                let action = self.resolved(&node, &node.text()?)?;
                annotations.insert("feed".to_owned(), action.to_string().into());
                // What a trigger with a feed is given is for the feed.
                let inputs = std::mem::take(&mut inputs);
                Some(Feed { action, inputs })
            }
        };
        let put = TriggerPut {
            parameters: Some(KeyValues::of(&inputs)),
            annotations: Some(KeyValues::of(&annotations)),
            ..TriggerPut::default()
        };
        let name = Name::parse(name).map_err(|error| at.wrong(error.to_string()))?;
        self.put(&at, self.named(None, name), Body::Trigger(put, feed))
    }

    fn rule(&mut self, package: &Package<'_>, name: &str, node: Node<'_>) -> Result<(), Error> {
        let at = node.clone();
        let fields = node.fields(&["description", "trigger", "action", "rule", "annotations"])?;
        if let Some(rule) = fields.get("rule")
            && !matches!(rule.value, Value::Bool(true))
            && rule.value.as_str() != Some("true")
        {
            return Err(rule.wrong("only `true` is known here"));
        }
        let needed = |key: &'static str| {
            let node = fields.get(key);
            node.ok_or_else(|| at.wrong(format!("it needs `{key}`")))
        };
        let (trigger, action) = (needed("trigger")?, needed("action")?);
        let rule = Rule {
            trigger: self.resolved(&trigger, &trigger.text()?)?,
            action: self.action_named(package, &action, &action.text()?)?,
            annotations: KeyValues::of(&described(&fields)?),
        };
        let name = Name::parse(name).map_err(|error| at.wrong(error.to_string()))?;
        self.put(&at, self.named(None, name), Body::Rule(rule))
    }

    /// An action by the name that a part of a package has for it: one that is but a name is in
    /// the same package.
    fn action_named(
        &self,
        package: &Package<'_>,
        at: &Node<'_>,
        text: &str,
    ) -> Result<FullyQualifiedName, Error> {
        let text = text.trim();
        if text.contains('/') {
            return self.resolved(at, text);
        }
        self.in_package(package, at, text)
    }

    fn resolved(&self, at: &Node<'_>, text: &str) -> Result<FullyQualifiedName, Error> {
        let name = FullyQualifiedName::parse(text.trim());
        let name = name.map_err(|error| at.wrong(format!("`{text}`: {error}")))?;
        Ok(name.resolve(self.reading.namespace))
    }

    fn in_package(
        &self,
        package: &Package<'_>,
        at: &Node<'_>,
        name: &str,
    ) -> Result<FullyQualifiedName, Error> {
        let parsed = Name::parse(name).map_err(|error| at.wrong(format!("`{name}`: {error}")))?;
        Ok(self.named(package.name.clone(), parsed))
    }

    fn named(&self, package: Option<Name>, name: Name) -> FullyQualifiedName {
        FullyQualifiedName::new(self.reading.namespace.clone(), package, name)
    }

    fn put(&mut self, at: &Node<'_>, name: FullyQualifiedName, body: Body) -> Result<(), Error> {
        if !self.names.insert(name.clone()) {
            return Err(at.wrong(format!("there is another `{name}` already")));
        }
        self.entities.push(Entity { name, body });
        Ok(())
    }
}
