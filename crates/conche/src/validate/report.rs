//! Findings in the forms that other programs read: SARIF 2.1.0 for code scanning, JUnit for
//! CI servers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use conche_cacao::check::codes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::{Finding, Severity, by_file};

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
    let mut location = json!({"artifactLocation": {"uri": uri(Path::new(&finding.file))}});
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

/// What stands for itself in the path of a URI (RFC 3986 §3.3).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A path as a reference: a colon in a name must not make a scheme of what is before it.
fn uri(path: &Path) -> String {
    let path = utf8_percent_encode(&path.to_string_lossy(), PLAIN).to_string();
    let root = if path.starts_with('/') { "file://" } else { "" };
    root.to_owned() + &path
}

/// Findings as JUnit: a case for each file, failed by its errors.
pub(super) fn junit(findings: &[Finding], files: &[PathBuf]) -> String {
    let by_file = by_file(findings);
    let of = |file: &PathBuf| {
        let found = by_file.get(&*file.display().to_string());
        found.map_or(&[][..], Vec::as_slice)
    };
    let is_wrong = |file: &&PathBuf| of(file).iter().any(|finding| finding.is_error());
    let failures = files.iter().filter(is_wrong).count();
    let cases: String = files.iter().map(|file| case(file, of(file))).collect();
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

/// Text of XML 1.0, which has no control characters at all, and not all others.
fn escaped(text: &str) -> String {
    let allowed = |char: &char| match char {
        '\n' | '\t' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        char => !char.is_control(),
    };
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
