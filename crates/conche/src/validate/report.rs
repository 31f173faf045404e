//! Findings in the forms that other programs read: SARIF 2.1.0 for code scanning, JUnit for
//! CI servers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use conche_cacao::check::codes;
use serde_json::{Value, json};

use super::{Finding, Severity};

/// Findings as SARIF 2.1.0 (OASIS).
pub(super) fn sarif(findings: &[Finding]) -> Value {
    let mut rules: BTreeMap<&str, Value> = BTreeMap::new();
    for finding in findings {
        let about = codes::ALL.iter().find(|check| check.code == finding.code);
        let rule = about.map_or_else(
            || json!({"id": finding.code}),
            |check| json!({"id": check.code, "name": check.name, "shortDescription": {"text": check.about}}),
        );
        rules.insert(finding.code, rule);
    }
    let results: Vec<Value> = findings.iter().map(result).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "conche",
                "version": crate::VERSION,
                "rules": rules.into_values().collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn result(finding: &Finding) -> Value {
    let level = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let uri = finding.file.replace('\\', "/").replace(' ', "%20");
    let mut location = json!({"artifactLocation": {"uri": uri}});
    if let (Some(line), Some(column)) = (finding.line, finding.column) {
        location["region"] = json!({"startLine": line, "startColumn": column.max(1)});
    }
    let help = finding.help.as_deref().map(|help| format!("; {help}"));
    json!({
        "ruleId": finding.code,
        "level": level,
        "message": {"text": finding.message.clone() + &help.unwrap_or_default()},
        "locations": [{
            "physicalLocation": location,
            "logicalLocations": [{"fullyQualifiedName": finding.pointer}],
        }],
    })
}

/// Findings as JUnit: a case for each file, failed by its errors.
pub(super) fn junit(findings: &[Finding], files: &[PathBuf]) -> String {
    let of = |file: &PathBuf| {
        let name = file.display().to_string();
        findings.iter().filter(move |finding| finding.file == name)
    };
    let is_wrong = |file: &&PathBuf| of(file).any(Finding::is_error);
    let failures = files.iter().filter(is_wrong).count();
    let cases: String = files
        .iter()
        .map(|file| case(file, &of(file).collect::<Vec<_>>()))
        .collect();
    let all = files.len();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"conche validate\" tests=\"{all}\" failures=\"{failures}\">\n{cases}</testsuite>\n</testsuites>"
    )
}

fn case(file: &Path, findings: &[&Finding]) -> String {
    let name = escaped(&file.display().to_string());
    let lines = |wanted: bool| {
        let findings = findings
            .iter()
            .filter(|finding| finding.is_error() == wanted);
        findings
            .map(|finding| escaped(&finding.plain()) + "\n")
            .collect::<String>()
    };
    let (errors, warnings) = (lines(true), lines(false));
    let first = findings.iter().find(|finding| finding.is_error());
    let failure = first.map_or_else(String::new, |first| {
        let message = escaped(&first.message);
        format!("<failure message=\"{message}\">{errors}</failure>\n")
    });
    let out = if warnings.is_empty() {
        String::new()
    } else {
        format!("<system-out>{warnings}</system-out>\n")
    };
    format!("<testcase classname=\"validate\" name=\"{name}\">\n{failure}{out}</testcase>\n")
}

/// Text of XML 1.0, which has no control characters at all.
fn escaped(text: &str) -> String {
    let allowed = |char: &char| !char.is_control() || matches!(char, '\n' | '\t');
    text.chars()
        .filter(allowed)
        .fold(String::new(), |mut escaped, char| {
            match char {
                '&' => escaped += "&amp;",
                '<' => escaped += "&lt;",
                '>' => escaped += "&gt;",
                '"' => escaped += "&quot;",
                other => escaped.push(other),
            }
            escaped
        })
}
