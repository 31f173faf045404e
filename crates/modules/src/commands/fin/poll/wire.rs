//! The objects of the HTTP Fin API, as they are on the wire. Pure.
//!
//! Ids are given under the older and the newer names (`execution_id` and `run_id`), since both
//! are in use. Members that are not known are passed over: newer fins may send more.

use std::collections::BTreeMap;

use conche_core::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::command::{CommandInput, Party, Variable};
use crate::commands::fin::registry::{self, Capability, Registration};

#[derive(Debug, Deserialize)]
pub(super) struct Register {
    #[serde(default)]
    pub(super) registration_token: String,
    pub(super) display_name: Option<String>,
    pub(super) protocol_version: Option<String>,
    #[serde(default)]
    pub(super) capabilities: Vec<Offered>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Offered {
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    description: Option<String>,
    version: Option<String>,
    #[serde(default)]
    step_examples: Vec<Value>,
}

#[derive(Debug, Serialize)]
pub(super) struct Registered {
    pub(super) fin_id: String,
    pub(super) fin_token: String,
    pub(super) poll_interval_seconds: u64,
    pub(super) long_poll_timeout_seconds: u64,
    pub(super) job_lease_seconds: u64,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    /// How much more the fin can do; without it one thing.
    pub(super) concurrency_available: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Ping {
    pub(super) progress: Option<String>,
}

/// What came of a command.
#[derive(Debug, Deserialize)]
pub(super) struct Reported {
    pub(super) state: String,
    #[serde(default)]
    variables: Option<BTreeMap<String, Set>>,
    #[serde(default)]
    pub(super) error: Option<String>,
    #[serde(default)]
    pub(super) target_results: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Set {
    #[serde(default)]
    value: Value,
}

impl From<Offered> for Capability {
    fn from(offered: Offered) -> Self {
        Self {
            id: offered.kind,
            description: offered.description,
            version: offered.version,
            examples: registry::examples(offered.step_examples),
            ..Self::default()
        }
    }
}

impl Reported {
    pub(super) fn is_success(&self) -> bool {
        self.state == "success"
    }

    pub(super) fn values(&mut self) -> Map<String, Value> {
        let all = self.variables.take().unwrap_or_default().into_iter();
        all.map(|(name, set)| (name, set.value)).collect()
    }
}

/// A registration as an administrator sees it.
pub(super) fn listed(fin: &Registration, stale: bool) -> Value {
    let capabilities: Vec<Value> = fin
        .capabilities
        .iter()
        .map(|one| {
            let mut listed = json!({ "type": one.id });
            let texts = [
                ("description", &one.description),
                ("version", &one.version),
                ("name", &one.name),
            ];
            for (name, text) in texts {
                if let Some(text) = text {
                    listed[name] = json!(text);
                }
            }
            if !one.examples.is_empty() {
                listed["step_examples"] = json!(one.examples);
            }
            listed
        })
        .collect();
    json!({
        "fin_id": fin.fin_id,
        "display_name": fin.name.clone().unwrap_or_default(),
        "protocol_version": fin.protocol_version.clone().unwrap_or_default(),
        "transport": fin.transport,
        "capabilities": capabilities,
        "registered_at": fin.registered_at,
        "last_seen": fin.last_seen,
        "stale": stale,
    })
}

/// What identifies a command for the fin that fetches it.
pub(super) struct Ids<'a> {
    pub(super) id: uuid::Uuid,
    pub(super) run: &'a str,
    pub(super) capability: &'a str,
}

/// A command on offer, without credentials. It is one command and at most one target: each is
/// an attempt of its own, with its own outcome.
pub(super) fn content(input: &CommandInput, ids: &Ids<'_>) -> Value {
    let context = &input.context;
    let targets: Vec<Value> = input
        .target
        .iter()
        .map(|target| json!({ "target": bare(target) }))
        .collect();
    let id = ids.id.to_string();
    json!({
        "job_id": id,
        "run_id": ids.run,
        "execution_id": ids.run,
        "playbook_id": context.playbook_id,
        "step_id": context.step_id,
        "step_run_id": id,
        "step_execution_id": id,
        "capability_type": ids.capability,
        "step": {
            "name": context.step_name.clone().unwrap_or_default(),
            "description": input.command.description.clone().unwrap_or_default(),
            "timeout": context.timeout,
            "delay": context.delay,
        },
        "commands": [input.command],
        "targets": targets,
        "variables": variables(&input.variables),
    })
}

/// A target without the names of our secrets.
fn bare(target: &Party) -> Party {
    Party {
        authentication: None,
        ..target.clone()
    }
}

fn variables(all: &BTreeMap<String, Variable>) -> Map<String, Value> {
    let all = all.iter().map(|(name, variable)| {
        let value = json!({
            "type": variable.kind,
            "name": name,
            "description": variable.description.clone().unwrap_or_default(),
            "value": variable.value,
            "constant": variable.constant,
            "external": variable.external,
        });
        (name.clone(), value)
    });
    all.collect()
}

/// Whole seconds of a setting.
pub(super) fn seconds(span: conche_runtime::units::Span) -> u64 {
    span.duration().as_secs()
}

/// An error as SOARCA writes it.
pub(super) fn error(status: http::StatusCode, message: &str, route: &str, cause: &str) -> Value {
    json!({
        "downstream-call": cause,
        "message": message,
        "original-call": route,
        "status": status.as_u16().to_string(),
    })
}

/// The registration of a fin that polls.
pub(super) fn registration(
    asked: Register,
    fin_id: String,
    digest: String,
    now: Timestamp,
) -> Registration {
    Registration {
        fin_id,
        name: asked.display_name,
        protocol_version: asked.protocol_version,
        transport: registry::Transport::Http,
        capabilities: asked
            .capabilities
            .into_iter()
            .map(Capability::from)
            .collect(),
        registered_at: now,
        last_seen: now,
        token_digest: Some(digest),
    }
}
