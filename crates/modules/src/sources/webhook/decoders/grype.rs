//! Grype's JSON report (`grype -o json`): one event `grype.report`.
//!
//! A report has no id of its own: a sender that repeats it gives an `Idempotency-Key`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::severity::Severities;
use super::{Decoder, Delivered, FormatName, Found, Loose, Reject, other, read};

const KIND: &str = "JSON report of Grype";

pub(super) static DECODER: Decoder = Decoder {
    name: "grype",
    format: FormatName::Grype,
    several: false,
    read: decode,
};

#[derive(Deserialize)]
struct Report {
    matches: Vec<Match>,
    descriptor: Descriptor,
    #[serde(default)]
    source: Loose<Source>,
}

#[derive(Deserialize)]
struct Descriptor {
    name: String,
    #[serde(default)]
    timestamp: Loose<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Source {
    r#type: Loose<String>,
    /// A path, or of an image an object.
    target: Value,
}

#[derive(Deserialize)]
struct Match {
    vulnerability: Vulnerability,
}

#[derive(Deserialize)]
struct Vulnerability {
    #[serde(default)]
    severity: Loose<String>,
    #[serde(default)]
    fix: Loose<Fix>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Fix {
    state: Loose<String>,
}

fn decode(delivered: &Delivered<'_>) -> Result<Vec<Found>, Reject> {
    let report: Report = read(KIND, delivered.body)?;
    if report.descriptor.name != "grype" {
        return Err(other(KIND, "its descriptor is not that of grype"));
    }
    let (mut severities, mut fixable) = (Severities::default(), 0_u64);
    for found in &report.matches {
        severities.add(&found.vulnerability.severity.0, 1);
        fixable += u64::from(found.vulnerability.fix.0.state.0 == "fixed");
    }
    let target = &report.source.0.target;
    let artifact = target.as_str().or_else(|| target["userInput"].as_str());
    let artifact = artifact.unwrap_or_default().to_owned();
    let summary = json!({
        "artifact": artifact,
        "kind": report.source.0.r#type,
        "digest": target["repoDigests"][0].as_str().unwrap_or_default(),
        "severities": severities,
        "highest": severities.highest(),
        "total": severities.total(),
        "fixable": fixable,
    });
    Ok(vec![Found {
        id: None,
        event_type: "grype.report".to_owned(),
        subject: artifact,
        time: report.descriptor.timestamp.0,
        summary,
        raw: delivered.body.clone(),
    }])
}
