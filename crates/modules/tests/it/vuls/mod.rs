//! `vuls` against stand-ins that keep what they were called with: a program, a Docker engine on
//! a Unix socket and a vuls server; and against a real engine where there is one.

mod engine;
mod program;
mod server;

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{action, context};

/// What `vuls report` leaves of an instance.
fn report() -> Value {
    json!({
        "jsonVersion": 4, "serverName": "server", "family": "debian", "release": "12", "errors": [],
        "scannedCves": {
            "CVE-2026-0001": {
                "cveID": "CVE-2026-0001",
                "affectedPackages": [{ "name": "openssl", "fixedIn": "3.0.1" }],
                "cveContents": { "nvd": [{ "cvss3Score": 9.8, "cvss3Severity": "CRITICAL" }] },
            },
            "CVE-2026-0002": { "affectedPackages": [{ "name": "bash", "notFixedYet": true }] },
        },
    })
}

/// What a scan of that instance returns.
fn expected() -> Value {
    json!({
        "result": report().to_string(), "report": report(), "omitted": [],
        "summary": {
            "critical": 1, "high": 0, "medium": 0, "low": 0, "unknown": 1,
            "cves": [
                { "id": "CVE-2026-0001", "severity": "critical", "score": 9.8, "packages": ["openssl"], "fixed": true },
                { "id": "CVE-2026-0002", "severity": "unknown", "score": null, "packages": ["bash"], "fixed": false },
            ],
        },
    })
}

/// What CSF's reactions sent: a port as a number, which CSF refused, and a deep scan, which it
/// did not make.
fn asked() -> Value {
    json!({ "host": "10.0.0.7", "user": "scan", "port": 2222, "deep_scan": true })
}

fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn settings_that_make_no_sense_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let cx = context(folder.path(), &[]);
    for (config, expected) in [
        (json!({}), "exactly one of"),
        (
            json!({ "program": "/v", "server": "http://h" }),
            "exactly one of",
        ),
        (json!({ "program": "vuls" }), "absolute path"),
        (
            json!({ "program": "/v", "ssh_key_path": "/a\"b" }),
            "absolute path",
        ),
        (
            json!({ "docker_endpoint": "tcp://h:2375" }),
            "must be a socket",
        ),
        (
            json!({ "docker_endpoint": "unix:///s", "db_path": "/a:b" }),
            "no bind can have",
        ),
        (json!({ "server": "h" }), "`server`"),
        (json!({ "program": "/v", "deep": true }), "unknown field"),
    ] {
        let refused = action("vuls", config, &cx).err().unwrap();
        assert!(refused.message.contains(expected), "{refused}");
    }
}
