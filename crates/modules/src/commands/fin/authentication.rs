//! The credentials of what a command acts on, as they go to a fin.
//!
//! Their values are read when the command is sent or queued and go to the fin alone: they are
//! in no error, no log line and nothing that is journaled.

use conche_runtime::secrets::{Receiver, Secrets};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value, json};

use crate::action::Error;
use crate::command::{Authentication, Credential};

/// What the published Python library reads; any other type ends its thread.
const LIBRARY_TYPES: [&str; 3] = ["http-basic", "oauth2", "user-auth"];

/// Credentials with their values.
pub(super) struct Unsealed {
    id: String,
    kind: String,
    user: Option<String>,
    oauth_header: Option<String>,
    secret: Vec<(&'static str, SecretString)>,
}

impl Unsealed {
    /// Reads the values, for this fin.
    pub(super) fn read(
        known: &Authentication,
        secrets: &Secrets,
        fin: Receiver,
    ) -> Result<Self, Error> {
        let to = [fin];
        let mut secret = Vec::new();
        let mut read = |name, credential: &Option<Credential>| -> Result<(), Error> {
            if let Some(credential) = credential {
                secret.push((name, credential.read(secrets, &to)?));
            }
            Ok(())
        };
        read("password", &known.password)?;
        read("token", &known.token)?;
        read("private_key", &known.private_key)?;
        Ok(Self {
            id: known.id.clone(),
            kind: known.kind.clone(),
            user: known.user.clone(),
            oauth_header: known.oauth_header.clone(),
            secret,
        })
    }

    /// As a CACAO authentication-information object.
    pub(super) fn to_json(&self) -> Value {
        let mut members = Map::new();
        members.insert("id".to_owned(), json!(self.id));
        members.insert("type".to_owned(), json!(self.kind));
        if let Some(user) = &self.user {
            let name = if self.kind == "http-basic" {
                "user_id"
            } else {
                "username"
            };
            members.insert(name.to_owned(), json!(user));
        }
        if let Some(header) = &self.oauth_header {
            members.insert("oauth_header".to_owned(), json!(header));
        }
        for (name, value) in &self.secret {
            members.insert((*name).to_owned(), json!(value.expose_secret()));
        }
        members.insert("kms".to_owned(), json!(false));
        Value::Object(members)
    }

    /// The same for an MQTT fin: `null` where its library does not know the type.
    pub(super) fn to_library(&self) -> Value {
        if LIBRARY_TYPES.contains(&self.kind.as_str()) {
            self.to_json()
        } else {
            Value::Null
        }
    }
}
