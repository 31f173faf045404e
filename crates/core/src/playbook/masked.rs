//! A playbook as it is shown: secrets that stand in it are left out.
//!
//! What is stored keeps them, since signatures are made over the whole; nobody who only looks
//! at a playbook needs them.

use conche_cacao::variable::reference::references;
use serde_json::Value;

use super::credentials::SECRET;

/// What stands in the place of a secret.
const MASK: &str = "***";

/// The document with every secret of its `authentication_info_definitions` replaced by `***`.
/// What is nothing but a reference to a variable stays: it says where the secret is from.
#[must_use]
pub fn masked(document: &Value) -> Value {
    let mut shown = document.clone();
    let infos = shown.get_mut("authentication_info_definitions");
    let infos = infos.and_then(Value::as_object_mut);
    for info in infos.into_iter().flatten().map(|(_, info)| info) {
        for property in SECRET {
            if let Some(secret) = info.get_mut(property)
                && is_literal(secret)
            {
                *secret = MASK.into();
            }
        }
    }
    shown
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
