//! Falco's alerts (`http_output` with `json_output: true`) and those that falcosidekick
//! passes on: one event `falco.alert`.
//!
//! Falco itself gives an alert no id and sends it once; falcosidekick adds `uuid`.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Decoder, Delivered, FormatName, Found, Loose, Reject, other, read};

const KIND: &str = "alert of Falco";

/// Falco's priorities from the worst on; a priority's place is its `level`.
const PRIORITIES: [&str; 8] = [
    "emergency",
    "alert",
    "critical",
    "error",
    "warning",
    "notice",
    "informational",
    "debug",
];

pub(super) static DECODER: Decoder = Decoder {
    name: "falco",
    format: FormatName::Falco,
    several: false,
    read: decode,
};

#[derive(Deserialize)]
struct Alert {
    rule: String,
    priority: String,
    time: String,
    #[serde(default)]
    uuid: Loose<String>,
    #[serde(default)]
    output: Loose<String>,
    #[serde(default)]
    hostname: Loose<String>,
    #[serde(default)]
    source: Loose<String>,
    #[serde(default)]
    tags: Loose<Vec<String>>,
    #[serde(default)]
    output_fields: Loose<Map<String, Value>>,
}

fn decode(delivered: &Delivered<'_>) -> Result<Vec<Found>, Reject> {
    let alert: Alert = read(KIND, delivered.body)?;
    let priority = match alert.priority.to_ascii_lowercase() {
        short if short == "info" => "informational".to_owned(),
        priority => priority,
    };
    let level = PRIORITIES.iter().position(|known| *known == priority);
    let level = level.ok_or_else(|| other(KIND, "its priority is none of Falco's"))?;
    // Names with dots are awkward to ask for in a filter.
    let field = |name: &str| alert.output_fields.0.get(name).and_then(Value::as_str);
    let field = |name: &str| field(name).unwrap_or_default();
    let summary = json!({
        "rule": alert.rule,
        "priority": priority,
        "level": level,
        "output": alert.output,
        "source": alert.source,
        "hostname": alert.hostname,
        "tags": alert.tags,
        "container_id": field("container.id"),
        "container": field("container.name"),
        "image": field("container.image.repository"),
        "namespace": field("k8s.ns.name"),
        "pod": field("k8s.pod.name"),
        "user": field("user.name"),
        "command": field("proc.cmdline"),
    });
    Ok(vec![Found {
        id: Some(alert.uuid.0).filter(|id| !id.is_empty()),
        event_type: "falco.alert".to_owned(),
        subject: alert.rule,
        time: alert.time,
        summary,
        raw: delivered.body.clone(),
    }])
}
