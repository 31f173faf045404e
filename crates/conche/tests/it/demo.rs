//! The demo, as it runs where nobody looks: to its end, by itself.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::openwhisk::has;
use crate::server::conche;

#[test]
fn the_demo_goes_from_a_finding_of_clair_to_a_mail_and_loses_nothing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let binary = conche().get_program().to_owned();
    let target = Path::new(&binary).ancestors().nth(2).unwrap();
    let python = target.join("test-venv/bin/python");
    if !has("node") {
        return;
    }
    if !python.is_file() {
        let mut out = std::io::stdout();
        writeln!(out, "skipped: there is no mail server (`make peers`)").unwrap();
        return;
    }
    let data = TempDir::new().unwrap();
    let mut command = Command::new("node");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CONCHE_") {
            command.env_remove(&name);
        }
    }
    let output = command
        .current_dir(root)
        .env("DEMO_DATA", data.path().join("demo"))
        .args([
            "examples/demo/demo.mjs".as_ref(),
            &*binary,
            python.as_os_str(),
        ])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{error}");
    let image = "in registry.local/team/app:1.0";
    for part in [
        format!(
            "CVE-2099-0001 (Critical) {image}\n    score-report: 90, block → advisory → mailed"
        ),
        format!("CVE-2099-0002 (Low) {image}\n    score-report: 10, accept → nothing to mail"),
        "security@example.org  [block] registry.local/team/app:1.0: 1 finding, score 90".to_owned(),
        "40 of 40 runs finished".to_owned(),
    ] {
        assert!(told.contains(&part), "{part}:\n{told}");
    }
}
