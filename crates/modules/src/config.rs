//! What every module does with its configuration: read it strictly, describe it, check the
//! secrets that it names.
//!
//! No value of a secret is ever read here: a module reads it when it needs it.

use conche_runtime::secrets::Secrets;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::BuildError;

/// The name of a secret, written `{ secret: NAME }`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretName {
    /// A name under `secrets:` in the configuration.
    pub secret: String,
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
    serde_json::from_value(Value::Object(members)).map_err(|wrong| error(place, wrong.to_string()))
}

/// Names the place of a mistake.
pub(crate) fn error(place: &str, message: impl Into<String>) -> BuildError {
    BuildError {
        place: place.to_owned(),
        message: message.into(),
    }
}
