//! Wazuh's alerts, as the integrator hands them to a script that posts them: one event
//! `wazuh.alert`.
//!
//! An alert's id is unique for one manager only, so the manager's name stands before it.

use serde::Deserialize;
use serde_json::json;

use super::{Decoder, Delivered, FormatName, Found, Loose, Reject, first, read};

const KIND: &str = "alert of Wazuh";

pub(super) static DECODER: Decoder = Decoder {
    name: "wazuh",
    format: FormatName::Wazuh,
    several: false,
    read: decode,
};

#[derive(Deserialize)]
struct Alert {
    rule: Rule,
    agent: Agent,
    timestamp: String,
    #[serde(default)]
    id: Loose<String>,
    #[serde(default)]
    manager: Loose<Named>,
    #[serde(default)]
    data: Loose<Data>,
    #[serde(default)]
    location: Loose<String>,
}

#[derive(Deserialize)]
struct Rule {
    level: u64,
    id: RuleId,
    #[serde(default)]
    description: Loose<String>,
    #[serde(default)]
    groups: Loose<Vec<String>>,
    #[serde(default)]
    mitre: Loose<Mitre>,
}

/// A text; a number in alerts of the first versions.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected the id of a rule")]
enum RuleId {
    Text(String),
    Number(u64),
}

#[derive(Deserialize)]
struct Agent {
    name: String,
    #[serde(default)]
    id: Loose<String>,
    #[serde(default)]
    ip: Loose<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    name: Loose<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Mitre {
    id: Loose<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Data {
    srcip: Loose<String>,
    dstuser: Loose<String>,
    srcuser: Loose<String>,
}

fn decode(delivered: &Delivered<'_>) -> Result<Vec<Found>, Reject> {
    let alert: Alert = read(KIND, delivered.body)?;
    let manager = alert.manager.0.name.0;
    let id = alert.id.0;
    let summary = json!({
        "level": alert.rule.level,
        "rule_id": match alert.rule.id {
            RuleId::Text(text) => text,
            RuleId::Number(number) => number.to_string(),
        },
        "description": alert.rule.description,
        "groups": alert.rule.groups,
        "mitre": alert.rule.mitre.0.id,
        "agent": alert.agent.name,
        "agent_id": alert.agent.id,
        "agent_ip": alert.agent.ip,
        "manager": manager,
        "source_ip": alert.data.0.srcip,
        "user": first([&alert.data.0.dstuser, &alert.data.0.srcuser]),
        "location": alert.location,
    });
    Ok(vec![Found {
        id: (!id.is_empty()).then(|| format!("{manager} {id}").trim_start().to_owned()),
        event_type: "wazuh.alert".to_owned(),
        subject: alert.agent.name,
        time: alert.timestamp,
        summary,
        raw: delivered.body.clone(),
    }])
}
