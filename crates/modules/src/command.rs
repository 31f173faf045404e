//! What a step of a playbook asks of the module that carries out its commands.
//!
//! The engine has resolved the command before it comes here: texts are filled in and quoted,
//! base64 is decoded, agent and target are looked up. A module does one command against one
//! target and gives the result document of its type. It reads the credentials when it needs
//! them: here they are names only, since this input is journaled.

use std::collections::BTreeMap;
use std::net::IpAddr;

use conche_runtime::secrets::{Receiver, Secrets};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::action::Error;

/// The action of every module that carries out commands.
pub const EXECUTE: &str = "execute";

/// The second action of `http-api`: requests that change nothing, which may be repeated.
pub const READ: &str = "read";

/// One command for one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CommandInput {
    /// What is to be done.
    pub command: Command,
    /// Who does it.
    pub agent: Party,
    /// On what it is done; none where the command is about the agent itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Party>,
    /// The variables of the step's `in_args`, or all that it sees where it has none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, Variable>,
    /// The variables that the step wants set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub out_args: Vec<String>,
    /// Where the step stands.
    #[serde(default)]
    pub context: Context,
}

/// A command (CACAO 2.0 §5) with its references filled in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Command {
    /// Its type, e.g. `ssh`.
    #[serde(rename = "type")]
    pub kind: String,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The version of the command language.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The command: `command`, or `command_b64` decoded where that is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// `command_b64` where its bytes are no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_b64: Option<String>,
    /// Header names and values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Vec<String>>,
    /// The body: `content`, or `content_b64` decoded where that is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// `content_b64` where its bytes are no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_b64: Option<String>,
    /// Properties of types that CACAO does not know, filled in.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// An agent or target (CACAO 2.0 §7), filled in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Party {
    /// Its identifier in the playbook.
    pub id: String,
    /// Its type, e.g. `linux`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its name.
    pub name: String,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where it is on the network: lists of texts by `dname`, `ipv4`, `ipv6`, `url`, `l2mac`, `vlan`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub address: BTreeMap<String, Vec<String>>,
    /// Its port, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// Words of security-category-type-ov.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub category: Vec<String>,
    /// How to reach a person or group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<Value>,
    /// Its credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Authentication>,
    /// Its extensions and properties that CACAO does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Credentials (CACAO 2.0 §6), the secret ones by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Authentication {
    /// Its identifier in the playbook.
    pub id: String,
    /// Its type, e.g. `http-basic`, `oauth2`, `user-auth`, `private-key`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `user_id` or `username`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The word before a token in the header `Authorization`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth_header: Option<String>,
    /// The password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Credential>,
    /// The token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Credential>,
    /// The private key, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_key: Option<Credential>,
}

/// The name of a secret: a configured one (`kms_key_identifier`), or one that the engine holds
/// for a value that stands in the playbook itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Credential {
    /// What to ask [`Secrets`] for; empty where a variable carries the value.
    pub secret: String,
    /// The value itself, where a variable carries it: then it is as open as the variable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

impl Credential {
    /// The value, read now to be sent to these receivers and nobody else; refused where one of
    /// them may not get it.
    pub fn read(&self, secrets: &Secrets, to: &[Receiver]) -> Result<SecretString, Error> {
        let value = match &self.value {
            None => secrets.get_for_playbook(&self.secret, to),
            Some(value) => secrets.check_own(to).map(|()| {
                let value = SecretString::from(value.clone());
                secrets.learn_own(&value);
                value
            }),
        };
        value.map_err(|error| Error::permanent(error.to_string()))
    }
}

/// A variable as it is when the command begins.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Variable {
    /// Its type, e.g. `string`.
    #[serde(rename = "type")]
    pub kind: String,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its value as CACAO writes it; null while it is not known.
    pub value: Value,
    /// Whether its value never changes.
    pub constant: bool,
    /// Whether the caller gave its first value.
    pub external: bool,
}

/// Where a command stands, for receivers that want to know (Fins).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Context {
    /// The playbook's identifier.
    pub playbook_id: String,
    /// The step's identifier.
    pub step_id: String,
    /// The step's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_name: Option<String>,
    /// The step's `delay` in milliseconds, which is over.
    pub delay: u64,
    /// The step's `timeout` in milliseconds; 0 where it has none.
    pub timeout: u64,
    /// Which of the step's commands, from 0.
    pub command_index: u32,
    /// Which of the step's targets, from 0.
    pub target_index: u32,
}

impl CommandInput {
    /// The one that is acted on: the target, else the agent.
    pub fn acted_on(&self) -> &Party {
        self.target.as_ref().unwrap_or(&self.agent)
    }

    /// The credentials: those of the one acted on, else the agent's.
    pub fn authentication(&self) -> Option<&Authentication> {
        let own = self.acted_on().authentication.as_ref();
        own.or(self.agent.authentication.as_ref())
    }
}

impl Party {
    /// Whether it has an address that is not a loopback one: then it is not this machine.
    pub fn is_elsewhere(&self) -> bool {
        let is_here = |address: &String| {
            let parsed = address.parse::<IpAddr>();
            address == "localhost" || parsed.is_ok_and(|address| address.is_loopback())
        };
        !self.address.values().flatten().all(is_here)
    }

    /// The first address of a kind, e.g. `ipv4`.
    pub fn first(&self, kind: &str) -> Option<&str> {
        self.address.get(kind)?.first().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use conche_runtime::secrets::Host;
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_value_that_a_variable_carries_is_used_and_known_to_the_masker() {
        let secrets = Secrets::load(BTreeMap::new());
        let credential: Credential =
            serde_json::from_str(r#"{"secret":"","value":"hunter22-hunter22"}"#).expect("JSON");
        let to = |url: &str| {
            [Receiver::Host(
                Host::of(&url.parse().expect("URL")).expect("host"),
            )]
        };
        let safe = to("https://api.example.com/");
        assert!(
            credential
                .read(&secrets, &to("http://api.example.com/"))
                .is_err()
        );
        let read = credential.read(&secrets, &safe).expect("it is there");
        assert_eq!(read.expose_secret(), "hunter22-hunter22");
        let masked = secrets
            .masker()
            .mask("log in with hunter22-hunter22")
            .into_owned();
        assert!(!masked.contains("hunter22"), "{masked}");
        let named = Credential {
            secret: "nobody".to_owned(),
            value: None,
        };
        assert!(named.read(&secrets, &safe).is_err());
    }
}
