//! What vuls found: its report checked, and counted by severity. Pure.
//!
//! A report of a host that vuls could not look at is a failure, never a host without
//! vulnerabilities; so is one that `report` has not been through.

use std::collections::BTreeMap;

use conche_core::Json;
use conche_core::json::Limits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::action::Error;

/// The most vulnerabilities that the summary names.
const NAMED_MAX: usize = 1000;

/// A report may nest this deep; vuls' own have about ten levels.
const DEPTH: usize = 64;

/// What a scan returns.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Scanned {
    /// The report as a text of JSON, as CSF gave it; empty where it is too large to be kept.
    result: String,
    /// The report; null where it is too large to be kept.
    #[schemars(with = "Option<Value>")]
    report: Option<Json>,
    /// What it comes to.
    summary: Summary,
    /// Which of `result` and `report` were too large to be kept.
    omitted: Vec<&'static str>,
}

/// Vulnerabilities by severity.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub(super) struct Summary {
    /// With a score of at least 9.
    critical: usize,
    /// From 7.
    high: usize,
    /// From 4.
    medium: usize,
    /// Below 4.
    low: usize,
    /// Without a score.
    unknown: usize,
    /// The worst first, at most 1000.
    cves: Vec<Cve>,
}

/// One vulnerability.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
struct Cve {
    id: String,
    /// `critical`, `high`, `medium`, `low` or `unknown`.
    severity: &'static str,
    /// The highest CVSS score that any source gives; null without one.
    score: Option<f64>,
    /// The packages that it affects.
    packages: Vec<String>,
    /// Whether each of them has a version without it.
    fixed: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    #[serde(default)]
    errors: Option<Vec<String>>,
    #[serde(default)]
    scanned_cves: Option<BTreeMap<String, Found>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    #[serde(default)]
    affected_packages: Option<Vec<Affected>>,
    #[serde(default)]
    cve_contents: Option<BTreeMap<String, Contents>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Affected {
    #[serde(default)]
    name: String,
    #[serde(default)]
    not_fixed_yet: bool,
}

/// One today; in CSF's days the only one without a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Contents {
    Many(Vec<Scores>),
    One(Scores),
}

#[derive(Deserialize, Default)]
struct Scores {
    #[serde(default, rename = "cvss2Score")]
    cvss2: f64,
    #[serde(default, rename = "cvss3Score")]
    cvss3: f64,
    #[serde(default, rename = "cvss40Score")]
    cvss4: f64,
    #[serde(default, rename = "cvss3Severity")]
    severity: String,
}

/// Reads a report and counts; `limits` say what the whole result may measure.
pub(super) fn scanned(bytes: &[u8], limits: Limits) -> Result<Scanned, Error> {
    let wrong = |error: &dyn std::fmt::Display| {
        Error::permanent(format!("the report of vuls can't be read: {error}"))
    };
    let read = Limits {
        bytes: usize::MAX,
        depth: DEPTH,
    };
    let json = Json::parse(bytes, read).map_err(|error| wrong(&error))?;
    let report: Report = json.read().map_err(|error| wrong(&error))?;
    let errors = report.errors.unwrap_or_default();
    if !errors.is_empty() {
        let told: String = errors.join("; ").chars().take(500).collect();
        return Err(Error::retry(format!("vuls could not scan: {told}")));
    }
    let found = report.scanned_cves.ok_or_else(|| {
        Error::permanent("the report of vuls has no `scannedCves`: was it only scanned?")
    })?;
    Ok(within(json, summary(found), limits))
}

/// Leaves out what makes the result too large, the text first since the object says the same.
fn within(json: Json, summary: Summary, limits: Limits) -> Scanned {
    // In JSON a text of JSON grows by its quotes; the rest is for the summary.
    let length = json.as_str().len();
    let quotes = json
        .as_str()
        .bytes()
        .filter(|byte| matches!(byte, b'"' | b'\\'))
        .count();
    let rest = serde_json::to_string(&summary).map_or(0, |text| text.len()) + 1024;
    let is_kept = length + rest <= limits.bytes && json.depth() < limits.depth;
    let is_text_kept = rest + length + quotes + if is_kept { length } else { 0 } <= limits.bytes;
    let mut omitted = Vec::new();
    if !is_text_kept {
        omitted.push("result");
    }
    if !is_kept {
        omitted.push("report");
    }
    Scanned {
        result: if is_text_kept {
            json.as_str().to_owned()
        } else {
            String::new()
        },
        report: is_kept.then_some(json),
        summary,
        omitted,
    }
}

fn summary(found: BTreeMap<String, Found>) -> Summary {
    let mut cves: Vec<_> = found
        .into_iter()
        .map(|(id, found)| cve(id, found))
        .collect();
    let score = |cve: &Cve| cve.score.unwrap_or(-1.0);
    // Stable: of those with one score, in the order of their ids.
    cves.sort_by(|a, b| score(b).total_cmp(&score(a)));
    let count = |severity| cves.iter().filter(|cve| cve.severity == severity).count();
    Summary {
        critical: count("critical"),
        high: count("high"),
        medium: count("medium"),
        low: count("low"),
        unknown: count("unknown"),
        cves: {
            cves.truncate(NAMED_MAX);
            cves
        },
    }
}

fn cve(id: String, found: Found) -> Cve {
    let contents = found.cve_contents.unwrap_or_default();
    let all: Vec<Scores> = contents
        .into_values()
        .flat_map(|contents| match contents {
            Contents::Many(many) => many,
            Contents::One(one) => vec![one],
        })
        .collect();
    let score = |scores: &Scores| scores.cvss4.max(scores.cvss3).max(scores.cvss2);
    let score = all.iter().map(score).fold(0.0, f64::max);
    let packages = found.affected_packages.unwrap_or_default();
    Cve {
        id,
        severity: match score {
            9.0.. => "critical",
            7.0.. => "high",
            4.0.. => "medium",
            score if score > 0.0 => "low",
            _ => word(&all),
        },
        score: (score > 0.0).then_some(score),
        fixed: !packages.is_empty() && !packages.iter().any(|package| package.not_fixed_yet),
        packages: packages.into_iter().map(|package| package.name).collect(),
    }
}

/// The worst word of sources that give no score.
fn word(all: &[Scores]) -> &'static str {
    let said = |word: &str| {
        all.iter()
            .any(|scores| scores.severity.eq_ignore_ascii_case(word))
    };
    match () {
        () if said("critical") => "critical",
        () if said("high") || said("important") => "high",
        () if said("medium") || said("moderate") => "medium",
        () if said("low") || said("negligible") => "low",
        () => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report() -> Value {
        let scores = |v2: f64, v3: f64| json!({ "cvss2Score": v2, "cvss3Score": v3 });
        json!({ "serverName": "server", "errors": [], "scannedCves": {
            "CVE-1": { "cveContents": { "nvd": [scores(5.0, 9.8)], "debian": [scores(0.0, 0.0)] },
                       "affectedPackages": [{ "name": "openssl" }, { "name": "libssl3" }] },
            "CVE-2": { "cveContents": { "nvd": scores(7.5, 0.0) },
                       "affectedPackages": [{ "name": "bash", "notFixedYet": true }] },
            "CVE-3": { "cveContents": { "redhat": [{ "cvss3Severity": "Moderate" }] } },
            "CVE-4": { "cveContents": { "nvd": [scores(0.0, 3.9)] } },
            "CVE-5": {},
        } })
    }

    fn of(report: &Value, bytes: usize) -> Result<Scanned, Error> {
        scanned(report.to_string().as_bytes(), Limits { bytes, depth: 64 })
    }

    #[test]
    fn vulnerabilities_are_counted_by_their_highest_score() {
        let scanned = of(&report(), 1 << 20).unwrap();
        let summary = serde_json::to_value(&scanned.summary).unwrap();
        for severity in ["critical", "high", "medium", "low", "unknown"] {
            assert_eq!(summary[severity], 1, "{severity}");
        }
        let first = json!({ "id": "CVE-1", "severity": "critical", "score": 9.8,
                            "packages": ["openssl", "libssl3"], "fixed": true });
        assert_eq!(summary["cves"][0], first);
        assert_eq!(summary["cves"][1]["fixed"], false);
        assert_eq!(scanned.result, report().to_string());
        assert!(scanned.report.is_some() && scanned.omitted.is_empty());
    }

    #[test]
    fn what_is_too_large_is_left_out_and_said() {
        let mut large = report();
        large["packages"] = "x".repeat(50_000).into();
        for (bytes, omitted) in [
            (200_000, vec![]),
            (80_000, vec!["result"]),
            (20_000, vec!["result", "report"]),
        ] {
            let scanned = of(&large, bytes).unwrap();
            assert_eq!(scanned.omitted, omitted);
            assert_eq!(scanned.summary.critical, 1);
            assert!(serde_json::to_string(&scanned).unwrap().len() <= bytes);
        }
    }

    #[test]
    fn a_scan_that_failed_is_no_instance_without_vulnerabilities() {
        let mut failed = report();
        failed["errors"] = json!(["no route to host"]);
        let error = of(&failed, 1 << 20).unwrap_err();
        assert!(matches!(&error, Error::Retry { message, .. } if message.contains("no route")));
        for text in [
            "",
            "{",
            "[]",
            r#"{"serverName":"server"}"#,
            r#"{"scannedCves":[]}"#,
        ] {
            let limits = Limits {
                bytes: 1 << 20,
                depth: 64,
            };
            let error = scanned(text.as_bytes(), limits).unwrap_err();
            assert!(matches!(error, Error::Permanent(_)), "{text}");
        }
    }
}
