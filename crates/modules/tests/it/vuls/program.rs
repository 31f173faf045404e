//! vuls as a program of this machine.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use conche_modules::Error;
use serde_json::{Value, json};

use super::{asked, expected, lines, report};
use crate::running::until;
use crate::support::{action, call, context, invoke};

/// A stand-in that keeps its arguments and the configuration, and does as a line of shell says.
fn program(folder: &Path, does: &str) -> Value {
    let place = folder.display();
    let script = format!(
        r#"#!/bin/sh
echo "$*" >> {place}/called
env | sed 's/=.*//' > {place}/variables
for word; do case $word in
  -config=*) cp "${{word#-config=}}" {place}/config.toml ;;
  -results-dir=*) results=${{word#-results-dir=}} ;;
esac; done
{does}
"#
    );
    let path = folder.join("vuls");
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(folder.join("report.json"), report().to_string()).unwrap();
    json!({
        "program": path, "ssh_key_path": "/keys/id", "known_hosts_path": "/keys/known_hosts",
        "tables": { "vuls2": { "Path": "/db/vuls.db", "SkipUpdate": true } },
    })
}

/// As vuls does: a scan leaves packages, the report adds what is wrong with them.
fn as_vuls_does(folder: &Path) -> String {
    let place = folder.display();
    format!(
        "day=$results/2026-01-02T03-04-05+0000; mkdir -p $day; case $1 in\n\
         scan) echo '{{}}' > $day/server.json ;;\n\
         report) [ -f $day/server.json ] && cp {place}/report.json $day/server.json ;; esac"
    )
}

async fn scan(folder: &Path, config: Value, input: Value) -> Result<Value, Error> {
    let vuls = action("vuls", config, &context(folder, &[])).unwrap();
    invoke(&vuls, "scan_instance", input).await
}

#[tokio::test]
async fn csf_bug_15_an_instance_is_scanned_and_reported_as_it_was_asked() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let config = program(folder, &as_vuls_does(folder));
    let scanned = scan(folder, config, asked()).await.unwrap();
    assert_eq!(scanned, expected());

    let called = lines(&folder.join("called"));
    let words: Vec<Vec<&str>> = called
        .iter()
        .map(|line| line.split(' ').collect())
        .collect();
    assert_eq!(
        (words.len(), words[0][0], words[1][0]),
        (2, "scan", "report")
    );
    assert_eq!(words[0].last(), Some(&"server"));
    assert!(called[1].ends_with("-format-json -to-localfile -quiet -no-progress"));
    let config: Value =
        toml::from_str(&std::fs::read_to_string(folder.join("config.toml")).unwrap()).unwrap();
    let server = &config["servers"]["server"];
    let sent = json!({
        "host": "10.0.0.7", "user": "scan", "port": "2222", "scanMode": ["deep"],
        "keyPath": "/keys/id", "sshConfigPath": server["sshConfigPath"],
    });
    assert_eq!(*server, sent);
    assert_eq!(config["vuls2"]["Path"], "/db/vuls.db");
    // The folder of the scan is gone, and nothing of our environment was shown.
    let work = Path::new(server["sshConfigPath"].as_str().unwrap());
    assert!(work.is_absolute() && !work.parent().unwrap().exists());
    let shown = lines(&folder.join("variables"));
    assert!(
        !shown.iter().any(|name| name.starts_with("CARGO")),
        "{shown:?}"
    );
}

#[tokio::test]
async fn what_looks_like_an_option_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (name, value) in [
        ("host", json!("-oProxyCommand=id")),
        ("host", json!("h\"\n[servers.other]")),
        ("user", json!("-l")),
        ("port", json!("22 -F/x")),
        ("mode", json!("offline")),
        ("extra", json!(1)),
    ] {
        let config = program(folder, "");
        let mut input = json!({ "host": "h", "user": "u" });
        input[name] = value;
        let refused = scan(folder, config, input).await.unwrap_err();
        assert!(matches!(refused, Error::Permanent(_)), "{name}: {refused}");
    }
    assert!(lines(&folder.join("called")).is_empty());
}

#[tokio::test]
async fn a_scan_that_fails_is_told_and_never_taken_for_a_sound_instance() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let failing = json!({ "errors": ["ssh: no route to host"], "scannedCves": {} });
    let left = format!("mkdir -p $results/d; echo '{failing}' > $results/d/server.json");
    for (does, is_retried, expected) in [
        ("echo no route >&2; exit 1", true, "exit code 1: no route"),
        (
            "echo flag provided but not defined >&2; exit 2",
            false,
            "exit code 2: flag",
        ),
        ("kill -9 $$", true, "signal"),
        ("exit 0", false, "left no report"),
        (left.as_str(), true, "no route to host"),
    ] {
        let config = program(folder, does);
        let failed = scan(folder, config, asked()).await.unwrap_err();
        let retried = matches!(failed, Error::Retry { .. });
        assert_eq!(retried, is_retried, "{failed}");
        assert!(failed.to_string().contains(expected), "{failed}");
    }
    let absent = json!({ "program": "/nothing/here" });
    let absent = scan(folder, absent, asked()).await.unwrap_err();
    assert!(matches!(absent, Error::Permanent(message) if message.contains("can't be started")));
}

#[tokio::test]
async fn at_the_end_of_its_time_a_scan_is_killed_with_all_that_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let pid = folder.join("pid");
    let does = format!("sleep 600 & echo $! > {}; wait", pid.display());
    let vuls = action("vuls", program(folder, &does), &context(folder, &[])).unwrap();
    let mut call = call("scan_instance", &asked());
    call.timeout = Duration::from_secs(4);
    let begun = Instant::now();
    let killed = vuls.invoke(&call).await.unwrap_err();
    assert!(matches!(killed, Error::Retry { message, .. } if message.contains("was killed")));
    assert!(begun.elapsed() < Duration::from_secs(20));
    let pid = lines(&pid).remove(0);
    until("the child to be gone", async || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z")
    })
    .await;
}
