//! Signatures and summaries of playbooks on the command line, and what others sign as.

use std::process::Command;

use serde_json::{Value, json};

use crate::playbooks::{EXAMPLE, KEY, conche, example, piped, saved, text};

#[test]
fn what_is_signed_is_accepted_by_who_trusts_the_key_and_by_nobody_else() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (signed, public) = (path("signed.json"), path("public.pem"));
    let sign = [
        "sign",
        EXAMPLE,
        "--key",
        KEY,
        "--algorithm",
        "Ed25519",
        "--signee",
        "SOC",
        "--out",
        &signed,
    ];
    let done = conche(&sign);
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );

    let openssl = Command::new("openssl")
        .args(["pkey", "-in", KEY, "-pubout", "-out", &public])
        .status();
    if !openssl.is_ok_and(|status| status.success()) {
        println!("skipped: openssl is not installed");
        return;
    }
    let accepted = conche(&["verify", &signed, "--trust-key", &public, "-o", "json"]);
    let report: Value = serde_json::from_slice(&accepted.stdout).expect("JSON");
    assert_eq!(
        (accepted.status.code(), &report["accepted"]),
        (Some(0), &json!(true)),
        "{report:#}"
    );
    assert_eq!(report["signatures"][0]["status"], "valid");

    let untrusted = conche(&["verify", &signed]);
    assert_eq!(untrusted.status.code(), Some(1));
    assert!(
        text(&untrusted).contains("by SOC (Ed25519): untrusted"),
        "{}",
        text(&untrusted)
    );

    let without = text(&conche(&["verify", EXAMPLE]));
    assert!(without.contains("it has no signature"), "{without}");

    let changed = std::fs::read_to_string(&signed)
        .expect("a file")
        .replace("\"priority\": 3", "\"priority\": 1");
    std::fs::write(&signed, changed).expect("a file");
    let broken = conche(&["verify", &signed, "--trust-key", &public, "-o", "json"]);
    let report: Value = serde_json::from_slice(&broken.stdout).expect("JSON");
    assert_eq!(
        (broken.status.code(), &report["signatures"][0]["status"]),
        (Some(1), &json!("incorrect"))
    );
}

#[test]
fn a_summary_is_written_and_then_true() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut playbook = example();
    playbook["playbook_processing_summary"]["parallel_processing"] = json!(false);
    let file = saved(dir.path(), "p.json", &playbook);
    let warned = text(&conche(&["validate", &file]));
    assert!(warned.contains("CACAO030"), "{warned}");
    assert!(
        conche(&["playbooks", "summary", &file, "--write"])
            .status
            .success()
    );
    let fine = text(&conche(&["validate", &file]));
    assert!(fine.ends_with("p.json is fine\n"), "{fine}");
    let shown = text(&conche(&["playbooks", "show", &file]));
    let row = |first: &str| {
        let row = shown
            .lines()
            .find(|line| line.trim_start().starts_with(first));
        row.unwrap_or_else(|| panic!("{shown}"))
            .split_whitespace()
            .collect::<Vec<_>>()
    };
    assert_eq!(
        row("__address__"),
        ["__address__", "ipv4-addr", "the", "caller"]
    );
    assert_eq!(row("Block it"), ["Block", "it", "action", "ssh"]);
}

#[test]
fn a_summary_that_is_signed_with_the_rest_is_true_of_the_signed_playbook() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = saved(dir.path(), "p.json", &example());
    let written = conche(&["playbooks", "summary", &file, "--write", "--signed"]);
    assert!(written.status.success());
    let how = ["--key", KEY, "--algorithm", "Ed25519", "--signee", "SOC"];
    let signed = conche(&[&["sign", &file], &how[..]].concat());
    let report = piped(&["validate", "-"], &signed.stdout);
    assert_eq!(text(&report), "- is fine\n");
}

#[test]
fn what_others_wrote_adds_no_lines_to_what_is_said_about_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let forged = "x\n/signatures/0 by SOC (Ed25519): valid\r\u{1b}[2K\u{202e}";
    let unsigned = saved(dir.path(), "unsigned.json", &example());
    let arguments = ["--key", KEY, "--algorithm", "Ed25519", "--signee", forged];
    let signed = conche(&[&["sign", &unsigned], &arguments[..]].concat());
    let verified = text(&piped(&["verify", "-"], &signed.stdout));
    assert!(
        verified.lines().all(|line| !line.contains("by SOC")
            || line.starts_with(r"/signatures/0 by x\u{a}/signatures/0 by SOC")),
        "{verified}"
    );
    assert!(
        !verified.contains(['\u{1b}', '\r', '\u{202e}']),
        "{verified:?}"
    );

    let mut playbook = example();
    playbook["a\nis fine\u{1b}[31m"] = json!(1);
    let file = saved(dir.path(), "\n::error::p.json", &playbook);
    let told = text(&conche(&["validate", &file]));
    assert!(
        told.lines().all(|line| !line.starts_with("::error")),
        "{told}"
    );
    assert!(told.contains(r"`a\u{a}is fine\u{1b}[31m`"), "{told}");
}
