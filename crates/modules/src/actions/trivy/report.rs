//! What Trivy reports, cut down to what a reaction decides by.
//!
//! Source: Trivy's JSON report, schema 2. Members that are not there are empty; a report
//! without the schema's number is none.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clients::clair::vulnerability::{Severity, Vulnerability};

/// What a scan returns.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Findings {
    /// What was scanned.
    pub(super) artifact: String,
    /// `container_image`, `filesystem`, `cyclonedx` or another of Trivy's words.
    pub(super) kind: String,
    /// Vulnerabilities, in the words of `klar`.
    pub(super) vulns: Vec<Vulnerability>,
    /// What is set up badly.
    pub(super) misconfigurations: Vec<Misconfiguration>,
    /// Secrets that lie about; never the secrets themselves.
    pub(super) secrets: Vec<Leak>,
    /// All findings by severity, also those that were left out.
    pub(super) summary: BTreeMap<String, usize>,
    /// How many vulnerabilities can be mended by a newer package.
    pub(super) fixable: usize,
    /// Whether findings were left out, see `max_findings`.
    pub(super) truncated: bool,
    /// Trivy's own report, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) report: Option<Value>,
}

/// Something set up badly.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Misconfiguration {
    id: String,
    title: String,
    severity: Severity,
    /// The file.
    target: String,
    message: String,
    resolution: String,
    link: String,
}

/// A secret that lies about.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Leak {
    rule: String,
    category: String,
    title: String,
    severity: Severity,
    /// The file.
    target: String,
    /// Where in it.
    line: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Report {
    schema_version: u32,
    #[serde(default)]
    artifact_name: String,
    #[serde(default)]
    artifact_type: String,
    #[serde(default)]
    results: Option<Vec<Group>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Group {
    target: String,
    r#type: String,
    vulnerabilities: Option<Vec<Value>>,
    misconfigurations: Option<Vec<Value>>,
    secrets: Option<Vec<Value>>,
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn severity(value: &Value) -> Severity {
    Severity::of(value["Severity"].as_str().unwrap_or_default())
}

/// Reads a report; the message says what is wrong with it.
pub(super) fn read(bytes: &[u8], most: usize) -> Result<Findings, String> {
    let report: Report = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if report.schema_version != 2 {
        return Err(format!(
            "it has schema {}; 2 is known",
            report.schema_version
        ));
    }
    let mut found = Findings {
        artifact: report.artifact_name,
        kind: report.artifact_type,
        vulns: Vec::new(),
        misconfigurations: Vec::new(),
        secrets: Vec::new(),
        summary: BTreeMap::new(),
        fixable: 0,
        truncated: false,
        report: None,
    };
    for group in report.results.into_iter().flatten() {
        let of = |list: &Option<Vec<Value>>| list.clone().unwrap_or_default();
        found.vulns.extend(
            of(&group.vulnerabilities)
                .iter()
                .map(|value| vulnerability(&group, value)),
        );
        let failed = of(&group.misconfigurations)
            .into_iter()
            .filter(|value| value["Status"] != "PASS");
        found
            .misconfigurations
            .extend(failed.map(|value| misconfiguration(&group, &value)));
        found
            .secrets
            .extend(of(&group.secrets).iter().map(|value| leak(&group, value)));
    }
    let all = found.vulns.iter().map(|found| found.severity);
    let all = all.chain(found.misconfigurations.iter().map(|found| found.severity));
    for severity in all.chain(found.secrets.iter().map(|found| found.severity)) {
        *found.summary.entry(format!("{severity:?}")).or_default() += 1;
    }
    found.fixable = found
        .vulns
        .iter()
        .filter(|found| !found.fixed_by.is_empty())
        .count();
    found.truncated = cut(&mut found.vulns, most, |found| found.severity)
        | cut(&mut found.misconfigurations, most, |found| found.severity)
        | cut(&mut found.secrets, most, |found| found.severity);
    Ok(found)
}

/// The worst first, and no more than so many; whether there were more.
fn cut<T>(all: &mut Vec<T>, most: usize, severity: impl Fn(&T) -> Severity) -> bool {
    all.sort_by_key(|found| std::cmp::Reverse(severity(found)));
    let more = all.len() > most;
    all.truncate(most);
    more
}

fn vulnerability(group: &Group, value: &Value) -> Vulnerability {
    Vulnerability {
        name: text(value, "VulnerabilityID"),
        namespace_name: group.r#type.clone(),
        description: text(value, "Title"),
        link: text(value, "PrimaryURL"),
        severity: severity(value),
        metadata: json!({ "Target": group.target, "Status": value["Status"], "PURL": value.pointer("/PkgIdentifier/PURL") }),
        fixed_by: text(value, "FixedVersion"),
        fixed_in: Vec::new(),
        feature_name: text(value, "PkgName"),
        feature_version: text(value, "InstalledVersion"),
    }
}

fn misconfiguration(group: &Group, value: &Value) -> Misconfiguration {
    Misconfiguration {
        id: text(value, "ID"),
        title: text(value, "Title"),
        severity: severity(value),
        target: group.target.clone(),
        message: text(value, "Message"),
        resolution: text(value, "Resolution"),
        link: text(value, "PrimaryURL"),
    }
}

fn leak(group: &Group, value: &Value) -> Leak {
    Leak {
        rule: text(value, "RuleID"),
        category: text(value, "Category"),
        title: text(value, "Title"),
        severity: severity(value),
        target: group.target.clone(),
        line: value["StartLine"].as_u64().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"{"SchemaVersion":2,"ArtifactName":"alpine:3","ArtifactType":"container_image","Results":[
        {"Target":"alpine:3 (alpine 3.19)","Class":"os-pkgs","Type":"alpine","Vulnerabilities":[
            {"VulnerabilityID":"CVE-2024-1","PkgName":"musl","InstalledVersion":"1.2","Severity":"LOW","Title":"t","PrimaryURL":"https://x"},
            {"VulnerabilityID":"CVE-2024-2","PkgName":"openssl","InstalledVersion":"3.1","FixedVersion":"3.2","Severity":"CRITICAL"}]},
        {"Target":"Dockerfile","Class":"config","Type":"dockerfile","Misconfigurations":[
            {"ID":"DS002","Title":"root","Status":"FAIL","Severity":"HIGH"},{"ID":"DS001","Status":"PASS","Severity":"LOW"}]},
        {"Target":"id_rsa","Class":"secret","Secrets":[{"RuleID":"private-key","Severity":"HIGH","StartLine":1,"Match":"-----BEGIN"}]},
        {"Target":"empty"}]}"#;

    #[test]
    fn findings_are_told_worst_first_and_without_the_secrets_themselves() {
        let found = read(REPORT.as_bytes(), 10).unwrap();
        let names: Vec<_> = found.vulns.iter().map(|found| &*found.name).collect();
        assert_eq!(names, ["CVE-2024-2", "CVE-2024-1"]);
        assert_eq!(
            (
                found.misconfigurations.len(),
                found.secrets.len(),
                found.fixable
            ),
            (1, 1, 1)
        );
        assert_eq!(found.summary["High"], 2);
        assert!(!found.truncated);
        let text = serde_json::to_string(&found).unwrap();
        assert!(
            !text.contains("-----BEGIN") && text.contains("\"FeatureName\":\"openssl\""),
            "{text}"
        );
        let cut = read(REPORT.as_bytes(), 1).unwrap();
        assert_eq!(
            (cut.vulns.len(), cut.summary["Low"], cut.truncated),
            (1, 1, true)
        );
    }

    #[test]
    fn what_is_no_report_is_refused() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"SchemaVersion":1}"#,
            r#"{"SchemaVersion":2,"Results":7}"#,
        ] {
            assert!(read(text.as_bytes(), 10).is_err(), "{text}");
        }
        assert!(
            read(br#"{"SchemaVersion":2,"Results":null}"#, 10)
                .unwrap()
                .vulns
                .is_empty()
        );
    }
}
