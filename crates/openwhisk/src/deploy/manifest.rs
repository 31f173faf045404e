//! A manifest of `wskdeploy` with its deployment file: `packages`, alone or under `project`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::inputs::{annotations, inputs};
use super::parts::Reader;
use super::tree::{Fields, Node};
use super::{Desired, Error, Reading, Written, order};

/// Reads a manifest. The deployment file's inputs and annotations come before the manifest's.
///
/// # Errors
/// [`Error`], with the place of what is wrong.
pub fn read_manifest(
    manifest: &str,
    deployment: Option<&str>,
    reading: &Reading<'_>,
) -> Result<Desired, Error> {
    let tree = parse(manifest, Written::Manifest)?;
    let deployed = deployment.map(|text| parse(text, Written::Deployment));
    let deployed = deployed.transpose()?;
    let overrides = match &deployed {
        None => Overrides::default(),
        Some(tree) => {
            let node = Node::top(tree, Written::Deployment, reading.variables);
            Overrides::read(node)?
        }
    };
    let node = Node::top(&tree, Written::Manifest, reading.variables);
    let (project, packages) = packages(node)?;
    let mut reader = Reader::new(reading, overrides);
    for (name, package) in packages {
        reader.package(&name, package)?;
    }
    let entities = reader.finish()?;
    Ok(Desired {
        project,
        entities: order::ordered(entities)?,
        ..Desired::default()
    })
}

fn parse(text: &str, written: Written) -> Result<Value, Error> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| Error::Syntax {
        written,
        message: error.to_string(),
    })
}

type Named<'a> = Vec<(String, Node<'a>)>;

/// The name of the project, and the packages.
fn packages(node: Node<'_>) -> Result<(Option<String>, Named<'_>), Error> {
    let top = node.fields(&["project", "packages"])?;
    let Some(node) = top.get("project") else {
        return Ok((None, listed(&top)?));
    };
    if top.get("packages").is_some() {
        return Err(top.wrong("`packages` stands here and there is a `project`: move it there"));
    }
    let project = node.fields(&["name", "description", "version", "license", "packages"])?;
    Ok((project.text("name")?, listed(&project)?))
}

fn listed<'a>(fields: &Fields<'a>) -> Result<Named<'a>, Error> {
    match fields.entries("packages")? {
        none if none.is_empty() => Err(fields.wrong("there are no `packages`")),
        packages => Ok(packages),
    }
}

/// What a deployment file says, by package, section and name.
#[derive(Default)]
pub(super) struct Overrides<'a> {
    left: BTreeMap<(String, &'static str, String), (Node<'a>, Override)>,
}

/// The inputs and annotations that come before those of a manifest.
#[derive(Default)]
pub(super) struct Override {
    inputs: Map<String, Value>,
    annotations: Map<String, Value>,
}

/// The section of a package itself.
pub(super) const PACKAGE: &str = "packages";

impl<'a> Overrides<'a> {
    fn read(node: Node<'a>) -> Result<Self, Error> {
        let mut overrides = Self::default();
        for (package, node) in packages(node)?.1 {
            let place = node.clone();
            let fields = node.fields(&["inputs", "annotations", "actions", "triggers"])?;
            let own = Override::of(&fields)?;
            if !own.is_empty() {
                overrides.put((package.clone(), PACKAGE, String::new()), place, own);
            }
            for section in ["actions", "triggers"] {
                for (name, node) in fields.entries(section)? {
                    let said = Override::of(&node.clone().fields(&["inputs", "annotations"])?)?;
                    overrides.put((package.clone(), section, name), node, said);
                }
            }
        }
        Ok(overrides)
    }

    fn put(&mut self, key: (String, &'static str, String), at: Node<'a>, said: Override) {
        self.left.insert(key, (at, said));
    }

    /// What is said of an entity, once.
    pub(super) fn take(&mut self, package: &str, section: &'static str, name: &str) -> Override {
        let key = (package.to_owned(), section, name.to_owned());
        self.left
            .remove(&key)
            .map(|(_, said)| said)
            .unwrap_or_default()
    }

    /// That something is said of what is not in the manifest.
    pub(super) fn left_over(self) -> Option<Error> {
        let (at, _) = self.left.into_values().next()?;
        Some(at.wrong("the manifest has no such entity"))
    }
}

impl Override {
    fn of(fields: &Fields<'_>) -> Result<Self, Error> {
        Ok(Self {
            inputs: inputs(fields.entries("inputs")?)?,
            annotations: annotations(fields.entries("annotations")?)?,
        })
    }

    fn is_empty(&self) -> bool {
        self.inputs.is_empty() && self.annotations.is_empty()
    }

    /// Lays it over what a manifest says.
    pub(super) fn over(
        self,
        inputs: &mut Map<String, Value>,
        annotations: &mut Map<String, Value>,
    ) {
        inputs.extend(self.inputs);
        annotations.extend(self.annotations);
    }
}
