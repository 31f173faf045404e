//! What must not be stored of a notification: tokens, passwords and the like, which older
//! releases and a few services put into them.
//!
//! A member is known by its name alone, at any depth; what it holds is never looked at. The
//! name stays, so that one sees that something was there.

use serde_json::{Map, Value};

/// What stands for a masked value.
const MASKED: &str = "***";

/// Ends of names, without `_`, `-` and `.` and in small letters, whose values are not stored.
const ENDS: [&str; 12] = [
    "adminpass",
    "authkey",
    "credential",
    "credentials",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "secret",
    "servicecatalog",
    "token",
    "userdata",
];

/// Masks in place. What is null, true or false, or empty tells nothing and stays.
pub(super) fn mask(members: &mut Map<String, Value>) {
    for (name, value) in members {
        if !is_sensitive(name) {
            mask_within(value);
        } else if !tells_nothing(value) {
            *value = MASKED.into();
        }
    }
}

fn mask_within(value: &mut Value) {
    match value {
        Value::Object(members) => mask(members),
        Value::Array(items) => items.iter_mut().for_each(mask_within),
        _ => {}
    }
}

fn tells_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Number(_) => false,
    }
}

fn is_sensitive(name: &str) -> bool {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    let plain: String = letters.map(|letter| letter.to_ascii_lowercase()).collect();
    ENDS.iter().any(|end| plain.ends_with(end))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tokens_and_passwords_are_masked_at_any_depth_and_nothing_else_is() {
        let mut value = json!({
            "_context_auth_token": "gAAAA", "_context_service_catalog": [{ "endpoints": [] }],
            "_context_user_id": "u", "key_name": "k", "admin_pass": "p", "x-auth-token": "t",
            "nested": [{ "args": { "adminPass": "p", "new_password": 7, "uuid": "i" } }, { "token": "t" }],
            "a": { "client_secret": { "b": 1 }, "userData": "c2V0" },
            "secret": null, "auth_token": "", "credentials": [], "is_password": false,
        });
        mask(value.as_object_mut().unwrap());
        let expected = json!({
            "_context_auth_token": "***", "_context_service_catalog": "***",
            "_context_user_id": "u", "key_name": "k", "admin_pass": "***", "x-auth-token": "***",
            "nested": [{ "args": { "adminPass": "***", "new_password": "***", "uuid": "i" } }, { "token": "***" }],
            "a": { "client_secret": "***", "userData": "***" },
            "secret": null, "auth_token": "", "credentials": [], "is_password": false,
        });
        assert_eq!(value, expected);
    }
}
