//! A folder of functions: each file or folder that is one is an action of its name.

use std::collections::BTreeMap;

use super::code::{ROOTS, Run, is_archive, is_program, language};
use super::marks::own_key;
use super::{Body, Desired, Entity, Error, Fault, Files, Found, Listed, Reading};
use crate::model::{ActionPut, FullyQualifiedName, KeyValues, Name, PackagePut};

/// Reads a folder of functions, for a package or for none.
///
/// A function is a file that ends in `.js`, `.py` or of another language of OpenWhisk, a `.zip`,
/// a program (which may be executed and begins as one does), or a folder with a `package.json`,
/// `index.js`, `__main__.py` or `exec`. What is none is passed over, and told; one that can't be
/// read, or has no name or that of another, is a fault beside the others.
///
/// # Errors
/// [`Error::List`]
pub fn read_folder(reading: &Reading<'_>, package: Option<&Name>) -> Result<Desired, Error> {
    let mut listed = reading.files.list().map_err(Error::List)?;
    listed.sort_by(|one, other| one.name.cmp(&other.name));
    let mut desired = Desired::default();
    if let Some(package) = package {
        let name = FullyQualifiedName::new(reading.namespace.clone(), None, package.clone());
        let put = PackagePut {
            parameters: Some(KeyValues::default()),
            annotations: Some(KeyValues::default()),
            publish: Some(false),
            ..PackagePut::default()
        };
        let body = Body::Package(put);
        desired.entities.push(Entity { name, body });
    }
    let mut files: BTreeMap<FullyQualifiedName, String> = BTreeMap::new();
    for one in listed {
        let file = one.name.clone();
        let mut fault = |action: Option<&FullyQualifiedName>, flaw: String| {
            desired.faults.push(Fault {
                file: file.clone(),
                action: action.cloned(),
                flaw,
            });
        };
        let Some(name) = function(reading.files, &one) else {
            desired.passed_over.push(one.name);
            continue;
        };
        let name = match Name::parse(name) {
            Ok(name) => FullyQualifiedName::new(reading.namespace.clone(), package.cloned(), name),
            Err(error) => {
                fault(None, error.to_string());
                continue;
            }
        };
        if let Some(other) = files.get(&name) {
            fault(Some(&name), format!("{other} is the action {name} already"));
            continue;
        }
        match action(reading.files, &one.name) {
            Ok(Some(body)) => {
                files.insert(name.clone(), one.name);
                desired.entities.push(Entity { name, body });
            }
            Ok(None) => desired.passed_over.push(one.name),
            Err(flaw) => fault(Some(&name), flaw),
        }
    }
    Ok(desired)
}

/// The name of what may be a function; none of what is none.
fn function<'n>(files: &dyn Files, listed: &'n Listed) -> Option<&'n str> {
    let path = listed.name.as_str();
    if path.starts_with('.') {
        return None;
    }
    if listed.is_folder {
        let mut roots = ROOTS.iter();
        let is_function = roots.any(|(root, _)| files.has(&format!("{path}/{root}")));
        return is_function.then_some(path);
    }
    let may_be = language(path).is_some() || is_archive(path) || listed.is_executable;
    let stem = path.rsplit_once('.').map_or(path, |(stem, _)| stem);
    may_be.then_some(stem)
}

/// The action that something is; none where it turns out to be no function.
fn action(files: &dyn Files, path: &str) -> Result<Option<Body>, String> {
    let found = files.read(path)?;
    if let Found::File(file) = &found
        && language(path).is_none()
        && !is_archive(path)
        && !is_program(file)
    {
        return Ok(None);
    }
    let put = ActionPut {
        exec: Some(Run::default().found(path, found)?),
        parameters: Some(KeyValues::default()),
        annotations: Some(own_key(KeyValues::default())),
        ..ActionPut::default()
    };
    Ok(Some(Body::Action(put)))
}
