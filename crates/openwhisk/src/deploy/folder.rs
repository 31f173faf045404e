//! A folder of functions: each file or folder that is one is an action of its name.

use std::collections::BTreeMap;

use super::code::{ROOTS, Run, is_archive, is_program, language};
use super::marks::own_key;
use super::{Body, Desired, Entity, Error, Files, Found, Listed, Reading};
use crate::model::{ActionPut, FullyQualifiedName, KeyValues, Name, PackagePut};

/// Reads a folder of functions, for a package or for none.
///
/// A function is a file that ends in `.js`, `.py` or of another language of OpenWhisk, a `.zip`,
/// a program (which may be executed and begins as one does), or a folder with a `package.json`,
/// `index.js`, `__main__.py` or `exec`. What is none is passed over, and told.
///
/// # Errors
/// [`Error::Folder`]: a file that can't be read, a name that is none, two functions of one name.
pub fn read_folder(reading: &Reading<'_>, package: Option<&Name>) -> Result<Desired, Error> {
    let mut listed = reading.files.list().map_err(|flaw| wrong(".", flaw))?;
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
        let Some((name, found)) = function(reading.files, &one)? else {
            desired.passed_over.push(one.name);
            continue;
        };
        let parsed = Name::parse(&name).map_err(|error| wrong(&one.name, error.to_string()))?;
        let name = FullyQualifiedName::new(reading.namespace.clone(), package.cloned(), parsed);
        if let Some(other) = files.insert(name.clone(), one.name.clone()) {
            return Err(wrong(
                &one.name,
                format!("{other} is the action {name} already"),
            ));
        }
        let exec = Run::default().found(&one.name, found);
        let put = ActionPut {
            exec: Some(exec.map_err(|flaw| wrong(&one.name, flaw))?),
            parameters: Some(KeyValues::default()),
            annotations: Some(own_key(KeyValues::default())),
            ..ActionPut::default()
        };
        let body = Body::Action(put);
        desired.entities.push(Entity { name, body });
    }
    Ok(desired)
}

/// The name and content of a function; none where it is none.
fn function(files: &dyn Files, listed: &Listed) -> Result<Option<(String, Found)>, Error> {
    let path = listed.name.as_str();
    if path.starts_with('.') {
        return Ok(None);
    }
    let read = || files.read(path).map_err(|flaw| wrong(path, flaw));
    if listed.is_folder {
        let is_function = ROOTS
            .iter()
            .any(|(root, _)| files.has(&format!("{path}/{root}")));
        let found = is_function.then(read).transpose()?;
        return Ok(found.map(|found| (path.to_owned(), found)));
    }
    let stem = path.rsplit_once('.').map_or(path, |(stem, _)| stem);
    if language(path).is_some() || is_archive(path) {
        return Ok(Some((stem.to_owned(), read()?)));
    }
    if !listed.is_executable {
        return Ok(None);
    }
    let program = match read()? {
        Found::File(file) if is_program(&file) => Some(Found::File(file)),
        _ => None,
    };
    Ok(program.map(|found| (stem.to_owned(), found)))
}

fn wrong(name: &str, flaw: impl Into<String>) -> Error {
    Error::Folder {
        name: name.to_owned(),
        flaw: flaw.into(),
    }
}
