//! What every module does with its configuration: read it strictly, describe it, check the
//! secrets that it names.
//!
//! No value of a secret is ever read here: a module reads it when it needs it.

use std::fmt;

use conche_core::words;
use conche_runtime::secrets::Secrets;
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::BuildError;

/// The name of a secret, written `{ secret: NAME }`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretName {
    /// A name under `secrets:` in the configuration.
    pub secret: String,
}

/// As [`SecretName`] is written. A text in its place is taken for the value of a secret: the
/// message about it must not repeat it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    secret: String,
}

struct Expected;

impl<'de> Visitor<'de> for Expected {
    type Value = SecretName;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a section")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SecretName, A::Error> {
        let Written { secret } = Written::deserialize(MapAccessDeserializer::new(map))?;
        Ok(SecretName { secret })
    }

    fn visit_str<E: serde::de::Error>(self, _value: &str) -> Result<SecretName, E> {
        Err(E::custom(
            "must be `{ secret: NAME }`: the value itself belongs under `secrets:`, where NAME says \
             in which variable or file it is",
        ))
    }
}

impl<'de> Deserialize<'de> for SecretName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Expected)
    }
}

impl SecretName {
    /// Checks that the secret is configured; its value may come later.
    pub(crate) fn check(&self, place: &str, secrets: &Secrets) -> Result<(), BuildError> {
        if secrets.names().any(|name| name == self.secret) {
            return Ok(());
        }
        Err(error(
            place,
            format!(
                "there is no secret `{}`: add it under `secrets:`",
                self.secret
            ),
        ))
    }
}

/// JSON Schema of `T`.
pub(crate) fn schema<T: JsonSchema>() -> Value {
    schemars::schema_for!(T).to_value()
}

/// Reads a module's configuration. `null` stands for an empty section. `id` and `module`
/// chose this module and are no part of its own configuration.
pub(crate) fn read<T: DeserializeOwned>(place: &str, config: Value) -> Result<T, BuildError> {
    let mut members = match config {
        Value::Null => serde_json::Map::new(),
        Value::Object(members) => members,
        _ => return Err(error(place, "must be an object of settings")),
    };
    members.remove("id");
    members.remove("module");
    serde_path_to_error::deserialize(Value::Object(members)).map_err(|wrong| {
        let (path, message) = (wrong.path().to_string(), wrong.inner().to_string());
        // Other messages name the key or the word that they are about.
        let is_nameless = !message.starts_with("unknown ") && !message.starts_with("missing");
        match &*path {
            key if is_nameless && key != "." => {
                error(place, format!("`{key}`: {}", words::plain(&message)))
            }
            _ => error(place, message),
        }
    })
}

/// Names the place of a mistake.
pub(crate) fn error(place: &str, message: impl Into<String>) -> BuildError {
    BuildError {
        place: place.to_owned(),
        message: message.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        #[serde(default)]
        registries: BTreeMap<String, Registry>,
        #[serde(default)]
        timeout: Option<String>,
    }

    #[derive(Debug, Deserialize)]
    struct Registry {
        password: SecretName,
    }

    #[test]
    fn what_is_wrong_is_named_by_its_key_and_a_value_for_a_secret_is_not_repeated() {
        let wrong = |config| read::<Settings>("actions.x", config).unwrap_err().message;
        let message = wrong(json!({ "registries": { "r": { "password": "hunter2" } } }));
        assert!(message.starts_with("`registries.r.password`: must be `{ secret: NAME }`"));
        assert!(!message.contains("hunter2"), "{message}");
        let message = wrong(json!({ "timeout": 5 }));
        assert_eq!(message, "`timeout`: must be a text, not the number 5");
        let message = wrong(json!({ "tmeout": "5s" }));
        assert!(message.starts_with("unknown field `tmeout`"), "{message}");
        let right = json!({ "registries": { "r": { "password": { "secret": "hub" } } } });
        let settings = read::<Settings>("actions.x", right).unwrap();
        assert_eq!(settings.registries["r"].password.secret, "hub");
        assert_eq!(settings.timeout, None);
    }
}
