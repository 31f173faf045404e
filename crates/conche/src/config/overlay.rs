//! The environment, laid over the file: `CONCHE_API__LISTEN=127.0.0.1:0`.
//!
//! Keys are joined by two underscores, so that a variable of one word after the prefix is
//! never taken for a setting by accident (Kubernetes sets `CONCHE_SERVICE_HOST` and the like
//! by itself); the one exception is `CONCHE_DATA_DIR`. A value is read as YAML, so that
//! lists and numbers can be written; elements of lists are named by number from 0. Keys
//! are in lower case, so a key that has capitals can be set in the file only.

use serde_json::{Map, Value};

use super::fault::{Error, Fault};
use super::place::Place;
use super::strangers::{self, Stranger};
use super::{Authored, yaml};

/// What our variables begin with.
pub(super) const PREFIX: &str = "CONCHE_";
/// The one setting without a section.
pub(super) const DATA_DIR: &str = "DATA_DIR";

/// Environment variables, given as an argument so that tests need not set any.
pub(crate) type Variables = Vec<(String, String)>;

/// The environment of this process; what is not text can be no setting of ours.
pub(crate) fn environment() -> Variables {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Looks at the variables that are no settings: warnings about those that nobody knows, and an
/// error for one that is a setting but for an underscore.
pub(super) fn strangers(variables: &Variables) -> Result<Vec<String>, Error> {
    let mut warnings = Vec::new();
    for (name, _) in variables.iter().filter(|(name, _)| keys(name).is_none()) {
        match strangers::look(name) {
            None => {}
            Some(Stranger::Meant(meant)) => {
                let message = format!("is not a setting; did you mean `{meant}`?");
                let fault = Fault::new(Place::top(), message);
                return Err(Error::one(Some(std::path::Path::new(name)), fault));
            }
            Some(Stranger::Unknown(near)) => {
                let near = near.map(|near| format!("; did you mean `{near}`?"));
                let near = near.unwrap_or_default();
                warnings.push(format!("the variable {name} is not known{near}"));
            }
        }
    }
    Ok(warnings)
}

/// Lays the variables that are settings over what the file says.
pub(super) fn apply(
    authored: Authored,
    text: &str,
    variables: Variables,
) -> Result<Authored, Error> {
    let mut settings: Vec<(String, Vec<String>, String)> = variables
        .into_iter()
        .filter_map(|(name, value)| {
            let keys = keys(&name)?;
            Some((name, keys, value))
        })
        .collect();
    if settings.is_empty() {
        return Ok(authored);
    }
    // Shorter paths first, so that a whole section can be set and then refined.
    settings.sort();
    let mut base: Value = yaml::parse(text).map_err(|fault| Error::one(None, fault))?;
    let mut overlaid = authored;
    for (name, keys, value) in settings {
        (base, overlaid) = set(&base, &keys, &value)
            .map_err(|fault| Error::one(Some(std::path::Path::new(&name)), fault))?;
    }
    Ok(overlaid)
}

/// The path that a variable sets; `None` where it is no setting.
fn keys(name: &str) -> Option<Vec<String>> {
    let rest = name.strip_prefix(PREFIX)?;
    let is_setting = rest == DATA_DIR || rest.contains("__");
    is_setting.then(|| rest.split("__").map(str::to_lowercase).collect())
}

/// Sets one value: as YAML, and where that does not fit as plain text.
fn set(base: &Value, keys: &[String], value: &str) -> Result<(Value, Authored), Fault> {
    let attempt = |value: Value| {
        let mut tree = base.clone();
        put(&mut tree, keys, value)?;
        let authored = serde_json::from_value(tree.clone())
            .map_err(|error| Fault::from_message(&Place::top(), &error.to_string()))?;
        Ok((tree, authored))
    };
    let plain = || Value::String(value.to_owned());
    let read = yaml::parse(value).unwrap_or_else(|_| plain());
    attempt(read).or_else(|fault| attempt(plain()).map_err(|_| fault))
}

fn put(tree: &mut Value, keys: &[String], value: Value) -> Result<(), Fault> {
    let Some((key, rest)) = keys.split_first() else {
        *tree = value;
        return Ok(());
    };
    if let Value::Array(items) = tree {
        let count = items.len();
        let item = key
            .parse()
            .ok()
            .and_then(|index: usize| items.get_mut(index));
        let item = item.ok_or_else(|| {
            let message = format!("`{key}` is not the number of one of the {count} elements");
            Fault::new(Place::top(), message)
        })?;
        return put(item, rest, value);
    }
    if !tree.is_object() {
        *tree = Value::Object(Map::new());
    }
    match tree {
        Value::Object(members) => put(members.entry(key).or_insert(Value::Null), rest, value),
        _ => Ok(()),
    }
}
