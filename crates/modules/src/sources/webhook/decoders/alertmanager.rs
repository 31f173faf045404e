//! Notifications of Alertmanager, version 4 of its webhook: one event for each alert
//! (`alertmanager.alert.firing`, `….resolved`) or one for each group.
//!
//! An alert is told from another by its fingerprint and the time at which it began. So what
//! Alertmanager repeats at each `repeat_interval`, or sends from two servers, is one event,
//! as long as ids are remembered (`retention.dedup`).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use conche_core::Json;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::super::decode::check_count;
use super::{Decoder, Delivered, FormatName, Found, Loose, Reject, other, read};

const KIND: &str = "notification of Alertmanager";

/// An event for each alert.
pub(super) static ALERTS: Decoder = Decoder {
    name: "alertmanager",
    format: FormatName::Alertmanager,
    several: true,
    read: |delivered| Notice::read(delivered)?.alerts(),
};

/// An event for each group.
pub(super) static GROUPS: Decoder = Decoder {
    name: "alertmanager_groups",
    format: FormatName::AlertmanagerGroups,
    several: false,
    read: |delivered| Ok(vec![Notice::read(delivered)?.group(delivered.body)?]),
};

type Texts = BTreeMap<String, String>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Notice {
    version: String,
    group_key: String,
    status: Status,
    receiver: String,
    alerts: Vec<Json>,
    #[serde(default)]
    truncated_alerts: Loose<u64>,
    #[serde(default)]
    group_labels: Loose<Texts>,
    #[serde(default)]
    common_labels: Loose<Texts>,
    #[serde(default)]
    common_annotations: Loose<Texts>,
    #[serde(default, rename = "externalURL")]
    external_url: Loose<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    status: Status,
    labels: Texts,
    fingerprint: String,
    starts_at: String,
    #[serde(default)]
    ends_at: Loose<String>,
    #[serde(default)]
    annotations: Loose<Texts>,
    #[serde(default, rename = "generatorURL")]
    generator_url: Loose<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Firing,
    Resolved,
}

impl Status {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

fn text<'a>(texts: &'a Texts, name: &str) -> &'a str {
    texts.get(name).map_or("", String::as_str)
}

impl Alert {
    fn read(raw: &Json) -> Result<Self, Reject> {
        read("alert of Alertmanager", raw)
    }

    fn id(&self) -> String {
        let status = self.status.as_str();
        format!("{} {} {status}", self.fingerprint, self.starts_at)
    }
}

impl Notice {
    fn read(delivered: &Delivered<'_>) -> Result<Self, Reject> {
        let notice: Self = read(KIND, delivered.body)?;
        if notice.version != "4" {
            return Err(other(KIND, "its version is not 4"));
        }
        if notice.alerts.is_empty() {
            return Err(other(KIND, "it has no alerts"));
        }
        check_count("alerts", notice.alerts.len())?;
        Ok(notice)
    }

    fn alerts(self) -> Result<Vec<Found>, Reject> {
        let found = self.alerts.iter().map(|raw| {
            let alert = Alert::read(raw)?;
            let status = alert.status.as_str();
            let (labels, annotations) = (&alert.labels, &alert.annotations.0);
            let summary = json!({
                "status": status,
                "alertname": text(labels, "alertname"),
                "severity": text(labels, "severity"),
                "instance": text(labels, "instance"),
                "summary": text(annotations, "summary"),
                "description": text(annotations, "description"),
                "receiver": self.receiver,
                "group": self.group_labels,
                "external_url": self.external_url,
                "generator_url": alert.generator_url,
                "truncated": self.truncated_alerts,
            });
            Ok(Found {
                id: Some(alert.id()),
                event_type: format!("alertmanager.alert.{status}"),
                subject: text(labels, "alertname").to_owned(),
                time: match alert.status {
                    Status::Firing => alert.starts_at,
                    Status::Resolved => alert.ends_at.0,
                },
                summary,
                raw: raw.clone(),
            })
        });
        found.collect()
    }

    fn group(self, raw: &Json) -> Result<Found, Reject> {
        let alerts: Vec<Alert> = self
            .alerts
            .iter()
            .map(Alert::read)
            .collect::<Result<_, _>>()?;
        let is_firing = |alert: &&Alert| alert.status == Status::Firing;
        let firing = alerts.iter().filter(is_firing).count();
        let status = self.status.as_str();
        let labels = &self.common_labels.0;
        let summary = json!({
            "status": status,
            "alertname": text(labels, "alertname"),
            "severity": text(labels, "severity"),
            "summary": text(&self.common_annotations.0, "summary"),
            "receiver": self.receiver,
            "group": self.group_labels,
            "external_url": self.external_url,
            "firing": firing,
            "resolved": alerts.len() - firing,
            "truncated": self.truncated_alerts,
        });
        Ok(Found {
            id: Some(self.group_id(&alerts)),
            event_type: format!("alertmanager.group.{status}"),
            subject: text(labels, "alertname").to_owned(),
            time: String::new(),
            summary,
            raw: raw.clone(),
        })
    }

    /// A group is the same while its alerts are. Its key can be longer than an id may be.
    fn group_id(&self, alerts: &[Alert]) -> String {
        let mut ids: Vec<String> = alerts.iter().map(Alert::id).collect();
        ids.sort();
        let mut digest = Sha256::new();
        digest.update(format!("{}\n{}", self.group_key, ids.join("\n")));
        let digest = digest.finalize();
        digest.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").ok();
            text
        })
    }
}
