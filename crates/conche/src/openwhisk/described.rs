//! What a manifest or a folder of functions describes, read from files.

use std::path::Path;

use conche_core::place::{Key, Place, find};
use conche_openwhisk::deploy::{Desired, Error, Reading, Written, read_folder, read_manifest};
use conche_openwhisk::model::Name;

use super::files::Folder;
use crate::failure::Failure;
use crate::input;

/// Names of a manifest in a folder, as `wskdeploy` knows them.
const MANIFESTS: [&str; 2] = ["manifest.yaml", "manifest.yml"];

/// What is to be read.
pub(super) struct Source<'a> {
    /// A manifest, a folder that has one, or a folder of functions.
    pub(super) path: &'a Path,
    /// A deployment file, for a manifest.
    pub(super) deployment: Option<&'a Path>,
    /// A package, for a folder of functions.
    pub(super) package: Option<&'a str>,
    /// Whether it gets nothing but what is in the folder: no file outside of it and no variable
    /// of the environment.
    pub(super) confined: bool,
}

impl Source<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        let value = std::env::var(name).ok();
        value.filter(|_| !self.confined)
    }
}

/// Reads what is described.
pub(super) fn read(source: &Source<'_>, namespace: &Name) -> Result<Desired, Failure> {
    let path = source.path;
    let manifest = if path.is_dir() {
        let mut names = MANIFESTS.iter().map(|name| path.join(name));
        names.find(|path| path.is_file())
    } else {
        Some(path.to_owned())
    };
    match (manifest, source.package, source.deployment) {
        (Some(manifest), None, _) => of_manifest(source, &manifest, namespace),
        (Some(_), Some(_), _) => Err(Failure::Usage(
            "--package is for a folder of functions: a manifest names its packages".to_owned(),
        )),
        (None, _, Some(_)) => Err(Failure::Usage("--deployment is for a manifest".to_owned())),
        (None, _, None) => of_folder(source, namespace),
    }
}

fn of_manifest(source: &Source<'_>, manifest: &Path, namespace: &Name) -> Result<Desired, Failure> {
    let deployment = source.deployment;
    let files = Folder::new(manifest.parent().unwrap_or(Path::new("")), source.confined);
    let reading = Reading {
        namespace,
        variables: &|name| source.variable(name),
        files: &files,
    };
    let text = input::text(manifest)?;
    let more = deployment.map(input::text).transpose()?;
    let read = read_manifest(&text, more.as_deref(), &reading);
    read.map_err(|error| match (&error, deployment, &more) {
        (
            Error::Written {
                written: Written::Deployment,
                ..
            }
            | Error::Syntax {
                written: Written::Deployment,
                ..
            },
            Some(path),
            Some(text),
        ) => placed(path, text, &error),
        _ => placed(manifest, &text, &error),
    })
}

fn of_folder(source: &Source<'_>, namespace: &Name) -> Result<Desired, Failure> {
    let package = source.package.map(Name::parse_package).transpose();
    let package = package.map_err(|error| Failure::Usage(format!("--package: {error}")))?;
    let files = Folder::new(source.path, source.confined);
    let reading = Reading {
        namespace,
        variables: &|name| source.variable(name),
        files: &files,
    };
    let read = read_folder(&reading, package.as_ref());
    read.map_err(|error| Failure::Failed(format!("{}: {error}", source.path.display())))
}

/// What is wrong with a text, with its line and column.
fn placed(path: &Path, text: &str, error: &Error) -> Failure {
    let at = match error {
        Error::Written { at, .. } => find(text, &place(&at.to_string())),
        _ => None,
    };
    let at = at.map_or_else(String::new, |(line, column)| format!("{line}:{column}:"));
    Failure::Failed(format!("{}:{at} {error}", path.display()))
}

/// The place of a pointer. What reads as a number is the number of an item.
fn place(pointer: &str) -> Place {
    let keys = pointer.split('/').skip(1);
    keys.fold(Place::top(), |place, key| {
        place.then(match key.parse() {
            Ok(index) => Key::Index(index),
            Err(_) => Key::Name(key.replace("~1", "/").replace("~0", "~")),
        })
    })
}
