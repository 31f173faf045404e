//! What a host says of itself and of a namespace.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Other;

/// The answer to `GET /`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HostInfo {
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where people find help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub support: Option<BTreeMap<String, String>>,
    /// The API's paths: `/api/v1`.
    #[serde(default)]
    pub api_paths: Vec<String>,
    /// Limits by name: durations in milliseconds, memory and logs in bytes.
    #[serde(default)]
    pub limits: BTreeMap<String, Value>,
    /// Runtimes by family.
    #[serde(default)]
    pub runtimes: BTreeMap<String, Vec<Runtime>>,
    /// Properties that are not known here.
    #[serde(flatten)]
    pub other: Other,
}

/// A runtime for code.
#[expect(clippy::struct_excessive_bools, reason = "it is the wire form")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Runtime {
    /// Its kind: `family:version`.
    pub kind: String,
    /// Its image, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Value>,
    /// Whether `family:default` means it.
    #[serde(default)]
    pub default: bool,
    /// Whether actions of this kind can't be changed or invoked any more.
    #[serde(default)]
    pub deprecated: bool,
    /// Whether code is stored as an attachment.
    #[serde(default)]
    pub attached: bool,
    /// Whether actions must name their entry point.
    #[serde(default)]
    pub require_main: bool,
    /// Properties that are not known here.
    #[serde(flatten)]
    pub other: Other,
}

/// The answer to `GET /api/v1`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ApiInfo {
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `1.0.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// `v1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version_path: Option<String>,
    /// When it was built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// Which build it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buildno: Option<String>,
    /// Where its description is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swagger_paths: Option<BTreeMap<String, String>>,
    /// Properties that are not known here.
    #[serde(flatten)]
    pub other: Other,
}

/// The answer to `GET …/limits`. What is not set is not there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NamespaceLimits {
    /// Invocations in a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invocations_per_minute: Option<u64>,
    /// Invocations at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrent_invocations: Option<u64>,
    /// Firings in a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fires_per_minute: Option<u64>,
    /// The only kinds that its actions may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_kinds: Option<Vec<String>>,
    /// Whether activations are stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store_activations: Option<bool>,
    /// The least memory of an action in MB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_action_memory: Option<u64>,
    /// The most memory of an action in MB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_action_memory: Option<u64>,
    /// The shortest log of an action in MB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_action_logs: Option<u64>,
    /// The longest log of an action in MB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_action_logs: Option<u64>,
    /// The shortest timeout of an action in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_action_timeout: Option<u64>,
    /// The longest timeout of an action in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_action_timeout: Option<u64>,
    /// The least concurrency of an action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_action_concurrency: Option<u64>,
    /// The most concurrency of an action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_action_concurrency: Option<u64>,
    /// The largest parameters, such as `1048576 B`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_parameter_size: Option<String>,
    /// The most containers of an action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_action_instances: Option<u64>,
    /// Properties that are not known here.
    #[serde(flatten)]
    pub other: Other,
}
