//! GitLab's webhooks: `gitlab.pipeline.STATUS`, `gitlab.vulnerability.STATE`, and
//! `gitlab.KIND` for all others.
//!
//! The ids of deliveries are in headers: `webhook-id` where they are signed so, else
//! `Idempotency-Key`, which GitLab keeps over its own repeats.

use serde::Deserialize;
use serde_json::json;

use super::severity::severity;
use super::{Decoder, Delivered, FormatName, Found, Loose, Reject, first, other, read, word};

const KIND: &str = "webhook of GitLab";

pub(super) static DECODER: Decoder = Decoder {
    name: "gitlab",
    format: FormatName::Gitlab,
    several: false,
    read: decode,
};

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Hook {
    object_kind: Loose<String>,
    /// What system hooks have instead.
    event_name: Loose<String>,
    object_attributes: Loose<Attributes>,
    project: Loose<Project>,
    user: Loose<User>,
    builds: Loose<Vec<Build>>,
}

/// Those of pipelines and of vulnerabilities.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Attributes {
    status: Loose<String>,
    state: Loose<String>,
    r#ref: Loose<String>,
    sha: Loose<String>,
    source: Loose<String>,
    report_type: Loose<String>,
    severity: Loose<String>,
    title: Loose<String>,
    url: Loose<String>,
    identifiers: Loose<Vec<Named>>,
    created_at: Loose<String>,
    updated_at: Loose<String>,
    finished_at: Loose<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Project {
    path_with_namespace: Loose<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct User {
    username: Loose<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    name: Loose<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Build {
    name: Loose<String>,
    status: Loose<String>,
}

fn decode(delivered: &Delivered<'_>) -> Result<Vec<Found>, Reject> {
    let hook: Hook = read(KIND, delivered.body)?;
    let kind = first([&hook.object_kind, &hook.event_name]);
    if kind.is_empty() {
        return Err(other(KIND, "missing field `object_kind`"));
    }
    let kind = word(KIND, "kind", &kind)?;
    let about = hook.object_attributes.0;
    let state = match kind.as_str() {
        "pipeline" => word("pipeline event of GitLab", "status", &about.status.0)?,
        "vulnerability" => word("vulnerability event of GitLab", "state", &about.state.0)?,
        _ => String::new(),
    };
    let dot = if state.is_empty() { "" } else { "." };
    let failed = hook.builds.0.iter().filter(|job| job.status.0 == "failed");
    let project = hook.project.0.path_with_namespace;
    let summary = json!({
        "kind": kind,
        "state": state,
        "project": project,
        "user": hook.user.0.username,
        "ref": about.r#ref,
        "commit": about.sha,
        "source": about.source,
        "failed_jobs": failed.map(|job| job.name.0.as_str()).collect::<Vec<_>>(),
        "severity": severity(&about.severity.0),
        "report_type": about.report_type,
        "identifiers": about.identifiers.0.iter().map(|one| one.name.0.as_str()).collect::<Vec<_>>(),
        "title": about.title,
        "url": about.url,
    });
    Ok(vec![Found {
        id: None,
        event_type: format!("gitlab.{kind}{dot}{state}"),
        // A vulnerability's event does not name its project, but where it is to be seen.
        subject: first([&project, &about.url]),
        time: first([&about.finished_at, &about.updated_at, &about.created_at]),
        summary,
        raw: delivered.body.clone(),
    }])
}
