//! What the host says of itself, and of a namespace.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use conche_openwhisk::model::{ApiInfo, HostInfo, NamespaceLimits, Other, Runtime};
use serde_json::Value;

use super::{Caller, Here};
use crate::host::Inner;
use crate::refusal::Refusal;
use crate::users::{namespace, own};

const MIB: u64 = 1 << 20;

/// `GET /`, which needs no credentials.
pub(super) async fn host(State(host): Here) -> Json<HostInfo> {
    let mut runtimes: BTreeMap<String, Vec<Runtime>> = BTreeMap::new();
    for kind in host.runtimes.kinds() {
        runtimes.entry(kind.family).or_default().push(Runtime {
            kind: kind.kind,
            image: None,
            default: kind.default,
            deprecated: false,
            attached: true,
            require_main: false,
            other: Other::new(),
        });
    }
    Json(HostInfo {
        description: Some("Conche, compatible with OpenWhisk".to_owned()),
        support: Some(BTreeMap::new()),
        api_paths: vec!["/api/v1".to_owned()],
        limits: limits_of(&host),
        runtimes,
        other: Other::new(),
    })
}

fn limits_of(host: &Inner) -> BTreeMap<String, Value> {
    let (ranges, throttles) = (host.settings.actions.ranges(), &host.settings.throttles);
    // Clients in Go read these three into 16 bits.
    let small = |limit: u64| limit.min(u16::MAX.into());
    [
        (
            "actions_per_minute",
            small(throttles.invocations_per_minute),
        ),
        ("triggers_per_minute", small(throttles.fires_per_minute)),
        (
            "concurrent_actions",
            small(throttles.concurrent_invocations),
        ),
        (
            "sequence_length",
            host.settings.actions.sequence_length as u64,
        ),
        ("default_min_action_duration", ranges.timeout.min),
        ("default_max_action_duration", ranges.timeout.max),
        ("default_min_action_memory", ranges.memory.min * MIB),
        ("default_max_action_memory", ranges.memory.max * MIB),
        ("default_min_action_logs", ranges.logs.min * MIB),
        ("default_max_action_logs", ranges.logs.max * MIB),
        ("min_action_duration", ranges.timeout.min),
        ("max_action_duration", ranges.timeout.max),
        ("min_action_memory", ranges.memory.min * MIB),
        ("max_action_memory", ranges.memory.max * MIB),
        ("min_action_logs", ranges.logs.min * MIB),
        ("max_action_logs", ranges.logs.max * MIB),
    ]
    .map(|(name, limit)| (name.to_owned(), limit.into()))
    .into()
}

/// `GET /ping`.
pub(super) async fn ping() -> &'static str {
    "pong"
}

/// `GET /api/v1`, which needs no credentials.
pub(super) async fn api() -> Json<ApiInfo> {
    let paths = [("ui", "/docs"), ("api-docs", "/api-docs")];
    let paths = paths.map(|(name, path)| (name.to_owned(), path.to_owned()));
    Json(ApiInfo {
        description: Some("OpenWhisk API".to_owned()),
        api_version: Some("1.0.0".to_owned()),
        api_version_path: Some("v1".to_owned()),
        build: Some(env!("CARGO_PKG_VERSION").to_owned()),
        buildno: Some(env!("CARGO_PKG_VERSION").to_owned()),
        swagger_paths: Some(paths.into()),
        other: Other::new(),
    })
}

/// `GET /namespaces`: the caller's, which is always one.
pub(super) async fn namespaces(caller: Caller) -> Json<[String; 1]> {
    Json([caller.who.namespace.clone()])
}

/// `GET /namespaces/{ns}/limits`.
pub(super) async fn limits(
    State(host): Here,
    caller: Caller,
    Path(word): Path<String>,
) -> Result<Json<NamespaceLimits>, Refusal> {
    let namespace = namespace(&word, &caller.who)?;
    own(&caller.who, &namespace, "limits")?;
    let (ranges, throttles) = (host.settings.actions.ranges(), &host.settings.throttles);
    Ok(Json(NamespaceLimits {
        invocations_per_minute: Some(throttles.invocations_per_minute),
        concurrent_invocations: Some(throttles.concurrent_invocations),
        fires_per_minute: Some(throttles.fires_per_minute),
        min_action_memory: Some(ranges.memory.min),
        max_action_memory: Some(ranges.memory.max),
        min_action_logs: Some(ranges.logs.min),
        max_action_logs: Some(ranges.logs.max),
        min_action_timeout: Some(ranges.timeout.min),
        max_action_timeout: Some(ranges.timeout.max),
        min_action_concurrency: Some(ranges.concurrency.min),
        max_action_concurrency: Some(ranges.concurrency.max),
        max_parameter_size: Some(format!("{} B", host.settings.sizes.parameters.bytes())),
        ..NamespaceLimits::default()
    }))
}
