//! Trivy's JSON report (`trivy image --format json`), schema 2: one event `trivy.report`.
//!
//! Secrets that Trivy found are counted; `raw` has them as Trivy masked them.

use serde::Deserialize;
use serde_json::json;

use super::severity::Severities;
use super::{Decoder, Delivered, FormatName, Found, Loose, Reject, other, read};

const KIND: &str = "JSON report of Trivy";

pub(super) static DECODER: Decoder = Decoder {
    name: "trivy",
    format: FormatName::Trivy,
    several: false,
    read: decode,
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Report {
    schema_version: u64,
    artifact_name: String,
    #[serde(default)]
    artifact_type: Loose<String>,
    #[serde(default, rename = "ReportID")]
    id: Loose<String>,
    #[serde(default)]
    created_at: Loose<String>,
    #[serde(default)]
    metadata: Loose<Metadata>,
    #[serde(default)]
    results: Loose<Vec<Target>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Metadata {
    repo_digests: Loose<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Target {
    vulnerabilities: Loose<Vec<Vulnerability>>,
    misconfigurations: Loose<Vec<Misconfiguration>>,
    secrets: Loose<Vec<Secret>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Vulnerability {
    severity: Loose<String>,
    fixed_version: Loose<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Misconfiguration {
    status: Loose<String>,
}

#[derive(Default, Deserialize)]
struct Secret {}

fn decode(delivered: &Delivered<'_>) -> Result<Vec<Found>, Reject> {
    let report: Report = read(KIND, delivered.body)?;
    if report.schema_version != 2 {
        return Err(other(KIND, "its SchemaVersion is not 2"));
    }
    let (mut severities, mut fixable, mut misconfigurations, mut secrets) =
        (Severities::default(), 0_u64, 0, 0);
    for target in &report.results.0 {
        for found in &target.vulnerabilities.0 {
            severities.add(&found.severity.0, 1);
            fixable += u64::from(!found.fixed_version.0.is_empty());
        }
        // Checks that passed are in the report where it was asked for them.
        let failed = target.misconfigurations.0.iter();
        misconfigurations += failed.filter(|check| check.status.0 != "PASS").count();
        secrets += target.secrets.0.len();
    }
    let summary = json!({
        "artifact": report.artifact_name,
        "kind": report.artifact_type,
        "digest": report.metadata.0.repo_digests.0.first().map_or("", String::as_str),
        "severities": severities,
        "highest": severities.highest(),
        "total": severities.total(),
        "fixable": fixable,
        "misconfigurations": misconfigurations,
        "secrets": secrets,
    });
    Ok(vec![Found {
        id: Some(report.id.0).filter(|id| !id.is_empty()),
        event_type: "trivy.report".to_owned(),
        subject: report.artifact_name,
        time: report.created_at.0,
        summary,
        raw: delivered.body.clone(),
    }])
}
