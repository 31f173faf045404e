//! From what a well-known sender posts, through the example reactions, to what is done.

use serde_json::Value;

use crate::server::Site;

const SOURCES: &str = "sources:
  - { id: alerts, module: webhook, path: /alertmanager, format: alertmanager, auth: none }
  - { id: scans, module: webhook, path: /trivy, format: trivy, auth: none }
";

/// A payload that the tests of the decoders have.
fn payload(name: &str) -> Value {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../modules/tests/it/samples/senders"
    );
    let text = std::fs::read_to_string(format!("{folder}/{name}.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn site() -> Site {
    let site = Site::new(SOURCES);
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/reactions");
    for name in [
        "alert-fires.yaml",
        "vulnerable-image.yaml",
        "tell-team.yaml",
    ] {
        let text = std::fs::read_to_string(format!("{examples}/{name}")).unwrap();
        site.write(&format!("reactions/{name}"), &text);
    }
    site
}

#[test]
fn an_alert_that_fires_is_told_to_the_team_and_one_that_is_over_is_not() {
    let server = site().start();
    let body = payload("alertmanager").to_string();
    for _delivery in 0..2 {
        assert_eq!(server.post("/alertmanager", &body), 202);
    }
    let told = server.run_with("tell-team", "succeeded");
    let said = &told["steps"][1]["input"]["message"];
    assert_eq!(said, "web-1:9100: DiskFull: A disk is full");
    let runs = server.ask(&["runs", "list"]);
    assert_eq!(runs["runs"].as_array().unwrap().len(), 2, "{runs}");
}

#[test]
fn a_report_with_something_critical_is_told_and_one_without_is_not() {
    let server = site().start();
    let mut harmless = payload("trivy");
    harmless["ReportID"] = "harmless".into();
    harmless["Results"] = Value::Null;
    assert_eq!(server.post("/trivy", &harmless.to_string()), 202);
    assert_eq!(server.post("/trivy", &payload("trivy").to_string()), 202);
    let told = server.run_with("tell-team", "succeeded");
    let said = &told["steps"][1]["input"]["message"];
    assert_eq!(
        said,
        "registry.example.com/team/app:1.0: update for CVE-2024-2961 in libc6"
    );
    assert_eq!(server.post("/trivy", "{}"), 422);
    let runs = server.ask(&["runs", "list"]);
    assert_eq!(runs["runs"].as_array().unwrap().len(), 2, "{runs}");
}
