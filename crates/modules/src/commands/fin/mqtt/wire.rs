//! The messages of SOARCA's Fin protocol over MQTT, as they are on the wire. Pure.
//!
//! The published Python library ends a thread over a message that it does not expect: each
//! variable has all six members and a type that it knows, `timeout` is a whole number, and
//! `authentication` is `null` or of a type that it knows. Its results must never be nacked:
//! after three nacks it takes its own bookkeeping apart and dies.

use std::collections::BTreeMap;

use conche_core::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::command::{CommandInput, Variable};
use crate::commands::fin::registry::{self, AgentName, Capability, Registration, Transport};

/// The topic on which fins register; SOARCA's own.
pub(super) const CONTROL: &str = "soarca";

/// Whom fins of SOARCA expect commands from.
const SENDER: &str = "soarca-fin-capability";

/// What the library can read; any other type is sent as `string`.
const LIBRARY_TYPES: [&str; 15] = [
    "bool",
    "dictionary",
    "float",
    "hash",
    "hexstring",
    "integer",
    "ipv4-addr",
    "ipv6-addr",
    "long",
    "mac-addr",
    "md5-hash",
    "sha256-hash",
    "string",
    "uri",
    "uuid",
];

/// The longest word about progress that is kept.
const PROGRESS_BYTES_MAX: usize = 64;

/// A message that came in.
#[derive(Debug)]
pub(super) enum Incoming {
    Register(Box<Register>),
    Unregister(Unregister),
    Ack(String),
    Nack(String),
    Result(Box<Results>),
    /// How a fin says that it is.
    Status(String),
    /// Only the controller sends such messages: ours come back, since we read what we write.
    Ours,
}

/// A message makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub(super) struct Undecodable {
    /// What to answer, where the message can be named.
    pub(super) message_id: Option<String>,
    pub(super) reason: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Register {
    pub(super) message_id: String,
    pub(super) fin_id: String,
    fin_name: Option<String>,
    name: Option<String>,
    #[serde(rename = "Name")]
    capital_name: Option<String>,
    protocol_version: Option<String>,
    capabilities: Vec<Offered>,
}

#[derive(Debug, Deserialize)]
struct Offered {
    capability_id: String,
    name: Option<String>,
    version: Option<String>,
    #[serde(default)]
    step: Value,
    #[serde(default)]
    agent: Value,
}

#[derive(Debug, Deserialize)]
pub(super) struct Unregister {
    pub(super) message_id: String,
    pub(super) capability_id: Option<String>,
    pub(super) fin_id: Option<String>,
    #[serde(default)]
    pub(super) all: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Results {
    pub(super) message_id: String,
    pub(super) result: Outcome,
}

#[derive(Debug, Deserialize)]
pub(super) struct Outcome {
    /// `success`; any other word is a failure.
    pub(super) state: String,
    pub(super) context: Ids,
    #[serde(default)]
    pub(super) variables: Option<BTreeMap<String, Set>>,
}

/// What a result says of the command that it is of.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Ids {
    pub(super) execution_id: String,
    pub(super) step_id: String,
    /// Ours, where the fin gave the context back as it got it.
    #[serde(default)]
    pub(super) generated_on: Option<String>,
}

/// A variable that a fin sets; only its value counts.
#[derive(Debug, Deserialize)]
pub(super) struct Set {
    #[serde(default)]
    pub(super) value: Value,
}

/// Reads a message.
pub(super) fn decode(bytes: &[u8]) -> Result<Incoming, Undecodable> {
    let unnamed = |reason: String| Undecodable {
        message_id: None,
        reason,
    };
    let value: Value = serde_json::from_slice(bytes).map_err(|error| unnamed(error.to_string()))?;
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let message_id = text("message_id");
    let wrong = |reason: String| Undecodable {
        message_id: message_id.clone(),
        reason,
    };
    let kind = text("type").ok_or_else(|| wrong("it has no type".to_owned()))?;
    let id = || {
        message_id
            .clone()
            .ok_or_else(|| unnamed("it has no message_id".to_owned()))
    };
    let unread = |error: serde_json::Error| wrong(error.to_string());
    Ok(match kind.as_str() {
        "register" => Incoming::Register(Deserialize::deserialize(value).map_err(unread)?),
        "unregister" => Incoming::Unregister(Deserialize::deserialize(value).map_err(unread)?),
        "ack" => Incoming::Ack(id()?),
        "nack" => Incoming::Nack(id()?),
        "result" => Incoming::Result(Deserialize::deserialize(value).map_err(unread)?),
        "status" => {
            let mut progress = text("progress").unwrap_or_default();
            progress.retain(|char| !char.is_control());
            if progress.len() > PROGRESS_BYTES_MAX {
                return Err(wrong("its progress is too long".to_owned()));
            }
            Incoming::Status(progress)
        }
        "command" | "pause" | "resume" | "stop" | "progress" => Incoming::Ours,
        other => {
            let other: String = other.chars().take(40).collect();
            return Err(wrong(format!("there are no messages of type {other:?}")));
        }
    })
}

impl Register {
    /// As the registry keeps it.
    pub(super) fn registration(self, now: Timestamp) -> Registration {
        let name = self.fin_name.or(self.name).or(self.capital_name);
        Registration {
            fin_id: self.fin_id,
            name,
            protocol_version: self.protocol_version,
            transport: Transport::Mqtt,
            capabilities: self.capabilities.into_iter().map(capability).collect(),
            registered_at: now,
            last_seen: now,
            token_digest: None,
        }
    }
}

fn capability(offered: Offered) -> Capability {
    Capability {
        id: offered.capability_id,
        name: offered.name,
        version: offered.version,
        agents: agents(&offered.agent),
        examples: registry::examples(
            Some(offered.step)
                .filter(|step| !step.is_null())
                .into_iter()
                .collect(),
        ),
        ..Capability::default()
    }
}

/// A map of agents by their ids, as the library writes it, or a single one.
fn agents(agent: &Value) -> Vec<AgentName> {
    let one = |value: &Value| AgentName::deserialize(value).ok();
    match (one(agent), agent.as_object()) {
        (Some(one), _) => vec![one],
        (None, Some(map)) => map.values().filter_map(one).collect(),
        (None, None) => Vec::new(),
    }
}

pub(super) fn ack(message_id: &str) -> Value {
    json!({ "type": "ack", "message_id": message_id })
}

pub(super) fn nack(message_id: &str) -> Value {
    json!({ "type": "nack", "message_id": message_id })
}

/// `pause`, `resume`, `stop` or `progress`.
pub(super) fn order(kind: &str, message_id: &str, capability: &str) -> Value {
    json!({ "type": kind, "message_id": message_id, "capability_id": capability })
}

pub(super) fn unregister(message_id: &str, capability: Option<&str>, fin: Option<&str>) -> Value {
    json!({
        "type": "unregister", "message_id": message_id, "capability_id": capability,
        "fin_id": fin, "all": false,
    })
}

/// What a command says of itself beside the command.
pub(super) struct Envelope<'a> {
    pub(super) message_id: &'a str,
    pub(super) execution_id: &'a str,
    pub(super) generated_on: &'a str,
    /// Whole seconds.
    pub(super) timeout: u64,
    pub(super) authentication: Value,
}

/// The command for a fin.
pub(super) fn command(input: &CommandInput, text: &str, envelope: Envelope<'_>) -> Value {
    let context = &input.context;
    json!({
        "type": "command",
        "message_id": envelope.message_id,
        "command": {
            "command": text,
            "authentication": envelope.authentication,
            "context": {
                "completed_on": null,
                "generated_on": envelope.generated_on,
                "timeout": envelope.timeout,
                "delay": context.delay,
                "step_id": context.step_id,
                "playbook_id": context.playbook_id,
                "execution_id": envelope.execution_id,
            },
            "variables": variables(&input.variables),
        },
        "meta": { "timestamp": envelope.generated_on, "sender_id": SENDER },
    })
}

fn variables(all: &BTreeMap<String, Variable>) -> Map<String, Value> {
    let all = all.iter().map(|(name, variable)| {
        let kind = match variable.kind.as_str() {
            known if LIBRARY_TYPES.contains(&known) => known,
            _ => "string",
        };
        let value = json!({
            "type": kind,
            "name": name,
            "description": variable.description.as_deref().unwrap_or_default(),
            "value": text(&variable.value),
            "constant": variable.constant,
            "external": variable.external,
        });
        (name.clone(), value)
    });
    all.collect()
}

/// A value as the text that CACAO writes.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
