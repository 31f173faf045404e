//! Harbor's webhooks in both of its formats, `Default` and `CloudEvents`: one event whose
//! type is that of the CloudEvents, such as `harbor.artifact.pushed`.
//!
//! `Default` has no id, so that a delivery which Harbor repeats is a second event: choose
//! `CloudEvents` in Harbor, whose ids are kept over repeats. Source of names and members:
//! `src/pkg/notifier` of Harbor 2.x.

use std::collections::BTreeMap;

use conche_core::{Json, Timestamp};
use serde::Deserialize;
use serde_json::json;

use super::severity::Severities;
use super::{Decoder, Delivered, FormatName, Found, Loose, Reject, other, read, word};

const KIND: &str = "webhook of Harbor";

pub(super) static DECODER: Decoder = Decoder {
    name: "harbor",
    format: FormatName::Harbor,
    several: false,
    read: decode,
};

/// Names of the format `Default` in those of `CloudEvents`; any other is put in lower case.
const NAMES: [(&str, &str); 10] = [
    ("PUSH_ARTIFACT", "artifact.pushed"),
    ("PULL_ARTIFACT", "artifact.pulled"),
    ("DELETE_ARTIFACT", "artifact.deleted"),
    ("SCANNING_COMPLETED", "scan.completed"),
    ("SCANNING_FAILED", "scan.failed"),
    ("SCANNING_STOPPED", "scan.stopped"),
    ("QUOTA_EXCEED", "quota.exceeded"),
    ("QUOTA_WARNING", "quota.warned"),
    ("REPLICATION", "replication.status.changed"),
    ("TAG_RETENTION", "tag_retention.finished"),
];

/// What both formats are told apart by.
#[derive(Deserialize)]
struct Probe {
    #[serde(default)]
    specversion: Loose<String>,
}

#[derive(Deserialize)]
struct Classic {
    r#type: String,
    occur_at: i64,
    event_data: About,
    #[serde(default)]
    operator: Loose<String>,
}

#[derive(Deserialize)]
struct Cloud {
    r#type: String,
    id: String,
    source: String,
    data: About,
    #[serde(default)]
    time: Loose<String>,
    #[serde(default)]
    operator: Loose<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct About {
    resources: Loose<Vec<Resource>>,
    repository: Loose<Repository>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resource {
    digest: Loose<String>,
    tag: Loose<String>,
    #[serde(rename = "resource_url")]
    image: Loose<String>,
    /// By the media type of the scanner's report.
    scan_overview: Loose<BTreeMap<String, Loose<Overview>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Overview {
    scan_status: Loose<String>,
    summary: Loose<Counts>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Counts {
    fixable: Loose<u64>,
    summary: Loose<BTreeMap<String, Loose<u64>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Repository {
    namespace: Loose<String>,
    repo_full_name: Loose<String>,
}

fn decode(delivered: &Delivered<'_>) -> Result<Vec<Found>, Reject> {
    let body = delivered.body;
    let probe: Probe = read(KIND, body)?;
    let found = match probe.specversion.0.as_str() {
        "" => classic(body)?,
        "1.0" => cloud(body)?,
        _ => return Err(other(KIND, "its specversion is not 1.0")),
    };
    Ok(vec![found])
}

fn classic(body: &Json) -> Result<Found, Reject> {
    let event: Classic = read(KIND, body)?;
    let known = NAMES.iter().find(|(name, _)| *name == event.r#type);
    let name = match known {
        Some((_, name)) => (*name).to_owned(),
        None => word(KIND, "type", &event.r#type)?,
    };
    let time = Timestamp::from_second(event.occur_at).map(|time| time.to_string());
    Ok(Found {
        id: None,
        time: time.unwrap_or_default(),
        ..event.event_data.found(&name, &event.operator.0, body)
    })
}

fn cloud(body: &Json) -> Result<Found, Reject> {
    let event: Cloud = read(KIND, body)?;
    let name = event.r#type.strip_prefix("harbor.");
    let name = name.ok_or_else(|| other(KIND, "its type does not begin with `harbor.`"))?;
    let words = name.split('.').map(|part| word(KIND, "type", part));
    let name = words.collect::<Result<Vec<_>, _>>()?.join(".");
    Ok(Found {
        id: Some(format!("{} {}", event.source, event.id)),
        time: event.time.0,
        ..event.data.found(&name, &event.operator.0, body)
    })
}

impl About {
    fn found(self, name: &str, operator: &str, raw: &Json) -> Found {
        let (mut severities, mut fixable) = (Severities::default(), 0_u64);
        let mut scan_status = "";
        let resources = &self.resources.0;
        let scans = resources
            .iter()
            .flat_map(|one| one.scan_overview.0.values());
        for scan in scans {
            scan_status = &scan.0.scan_status.0;
            fixable = fixable.saturating_add(scan.0.summary.0.fixable.0);
            for (word, count) in &scan.0.summary.0.summary.0 {
                severities.add(word, count.0);
            }
        }
        let none = Resource::default();
        let resource = resources.first().unwrap_or(&none);
        let repository = self.repository.0;
        let summary = json!({
            "operator": operator,
            "project": repository.namespace,
            "repository": repository.repo_full_name,
            "tag": resource.tag,
            "digest": resource.digest,
            "image": resource.image,
            "resources": resources.len(),
            "scan_status": scan_status,
            "severities": severities,
            "highest": severities.highest(),
            "total": severities.total(),
            "fixable": fixable,
        });
        Found {
            id: None,
            event_type: format!("harbor.{name}"),
            subject: repository.repo_full_name.0,
            time: String::new(),
            summary,
            raw: raw.clone(),
        }
    }
}
