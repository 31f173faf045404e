//! A playbook as it is shown: secrets that stand in it are left out.
//!
//! What is stored keeps them, since signatures are made over the whole; nobody who only looks
//! at a playbook needs them.

use std::collections::BTreeSet;

use conche_cacao::variable::reference::references;
use serde_json::{Map, Value};

use super::credentials::SECRET;

/// What stands in the place of a secret.
const MASK: &str = "***";
/// Fields of HTTP that show who asks.
const HEADERS: [&str; 7] = [
    "api-key",
    "authorization",
    "cookie",
    "proxy-authorization",
    "x-api-key",
    "x-auth-token",
    "x-api-token",
];

/// The document with every secret of its `authentication_info_definitions` replaced by `***`, as
/// are values that variables of credentials have from the start, and header fields that show who
/// asks. What is nothing but a reference to a variable stays: it says where the secret is from.
#[must_use]
pub fn masked(document: &Value) -> Value {
    let mut shown = document.clone();
    let mut names = BTreeSet::new();
    for info in objects(&mut shown, "authentication_info_definitions") {
        for property in SECRET {
            if let Some(secret) = info.get_mut(property) {
                let used = secret.as_str().into_iter();
                let used = used.flat_map(|text| references(text, &|_| false));
                names.extend(used.map(|used| used.name.to_owned()));
                if is_literal(secret) {
                    *secret = MASK.into();
                }
            }
        }
    }
    variables(shown.get_mut("playbook_variables"), &names);
    for step in objects(&mut shown, "workflow") {
        variables(step.get_mut("step_variables"), &names);
        let commands = step.get_mut("commands").and_then(Value::as_array_mut);
        for command in commands.into_iter().flatten() {
            headers(command.get_mut("headers"));
        }
    }
    shown
}

/// The objects of a dictionary of the document.
fn objects<'d>(
    document: &'d mut Value,
    dictionary: &str,
) -> impl Iterator<Item = &'d mut Map<String, Value>> {
    let members = document.get_mut(dictionary).and_then(Value::as_object_mut);
    members
        .into_iter()
        .flatten()
        .filter_map(|(_, member)| member.as_object_mut())
}

/// Masks the values of variables that credentials are made of.
fn variables(declared: Option<&mut Value>, secret: &BTreeSet<String>) {
    let declared = declared.and_then(Value::as_object_mut);
    for (name, variable) in declared.into_iter().flatten() {
        if let Some(value) = variable.get_mut("value")
            && secret.contains(name)
            && is_literal(value)
        {
            *value = MASK.into();
        }
    }
}

fn headers(fields: Option<&mut Value>) {
    let fields = fields.and_then(Value::as_object_mut);
    for (name, values) in fields.into_iter().flatten() {
        if !HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
            continue;
        }
        for value in values.as_array_mut().into_iter().flatten() {
            let says_where = value
                .as_str()
                .is_some_and(|text| references(text, &|_| false).next().is_some());
            if !says_where && is_literal(value) {
                *value = MASK.into();
            }
        }
    }
}

fn is_literal(secret: &Value) -> bool {
    match secret {
        Value::Null => false,
        Value::String(text) if text.is_empty() => false,
        Value::String(text) => !is_reference(text),
        _ => true,
    }
}

/// Whether a text is one reference and nothing else.
fn is_reference(text: &str) -> bool {
    references(text, &|_| false)
        .next()
        .is_some_and(|found| found.at == 0 && found.end() == text.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_of_variables_of_credentials_and_header_fields_are_masked() {
        let document = json!({
            "playbook_variables": {
                "__pw__": { "type": "string", "value": "hunter2" },
                "__host__": { "type": "string", "value": "web-1" },
            },
            "authentication_info_definitions": {
                "a": { "type": "user-auth", "password": "__pw__:value" },
            },
            "workflow": { "s": {
                "step_variables": { "__pw__": { "type": "string", "value": "hunter3" } },
                "commands": [{ "type": "http-api", "headers": {
                    "Authorization": ["Bearer hunter4"],
                    "X-Api-Key": ["__host__:value", "hunter5"],
                    "Accept": ["text/plain"],
                } }],
            } },
        });
        let shown = masked(&document);
        assert!(!shown.to_string().contains("hunter"), "{shown}");
        assert_eq!(shown["playbook_variables"]["__host__"]["value"], "web-1");
        let headers = &shown["workflow"]["s"]["commands"][0]["headers"];
        assert_eq!(headers["X-Api-Key"][0], "__host__:value");
        assert_eq!(headers["Accept"][0], "text/plain");
    }

    #[test]
    fn secrets_are_masked_and_references_stay() {
        let document = json!({
            "name": "p",
            "authentication_info_definitions": {
                "a": { "type": "user-auth", "username": "soc", "password": "hunter2" },
                "b": { "type": "oauth2", "token": "__token__:value" },
                "c": { "type": "oauth2", "token": "Bearer __token__:value" },
                "d": { "type": "private-key", "private_key": "-----BEGIN", "kms": true },
                "e": { "type": "user-auth", "password": ["hunter2"] },
                "f": "hunter2",
            },
        });
        let shown = masked(&document);
        let infos = &shown["authentication_info_definitions"];
        assert_eq!(shown["name"], "p");
        assert_eq!(infos["a"]["username"], "soc");
        assert_eq!(infos["b"]["token"], "__token__:value");
        for (id, property) in [
            ("a", "password"),
            ("c", "token"),
            ("d", "private_key"),
            ("e", "password"),
        ] {
            assert_eq!(infos[id][property], MASK, "{id}");
        }
    }
}
