//! `trivy`: the real program where it is installed, and programs that fail as programs do.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use conche_modules::{Action, Error};
use serde_json::{Value, json};

use crate::running::{soon, until};
use crate::support::{action, context, invoke};

const REPORT: &str = r#"{"SchemaVersion":2,"ArtifactName":"a","ArtifactType":"container_image","Results":[{"Target":"t","Type":"debian","Vulnerabilities":[{"VulnerabilityID":"CVE-1","PkgName":"p","InstalledVersion":"1","FixedVersion":"2","Severity":"HIGH"}]}]}"#;

struct Site {
    folder: tempfile::TempDir,
    program: PathBuf,
}

impl Site {
    /// With a program of these lines of shell.
    fn new(lines: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        std::fs::write(&program, format!("#!/bin/sh\n{lines}\n")).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::write(folder.path().join("report"), REPORT).unwrap();
        std::fs::create_dir(folder.path().join("scanned")).unwrap();
        Self { folder, program }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn module(&self, more: Value) -> Arc<dyn Action> {
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid())
            .unwrap()
            .unwrap();
        let mut config = json!({
            "program": self.program, "cache_dir": self.path("cache"), "paths": [self.path("scanned")], "user": user.name,
            "env": { "HERE": self.folder.path(), "PASSWORD": { "secret": "registry" }, "PATH": "/usr/bin:/bin" }, "token": { "secret": "token" },
        });
        config
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let cx = context(
            self.folder.path(),
            &[("registry", "hunter22"), ("token", "t0k3n-of-trivy")],
        );
        action("trivy", config, &cx).unwrap()
    }
}

#[tokio::test]
async fn what_a_run_gives_stands_behind_the_options_and_secrets_go_by_the_environment() {
    let site =
        Site::new(r#"printf '%s\n' "$@" > "$HERE/args"; env > "$HERE/env"; cat "$HERE/report""#);
    let trivy = site.module(json!({ "server": "https://trivy.example.com", "offline": true }));
    let input = json!({ "image": "Registry.example.com:5000/a", "platform": "linux/arm64", "scanners": ["vuln", "secret"], "severity": ["HIGH"], "ignore_unfixed": true });
    let result = invoke(&trivy, "image", input).await.unwrap();
    assert_eq!(
        (&result["vulns"][0]["Name"], &result["vulns"][0]["Severity"]),
        (&json!("CVE-1"), &json!("High"))
    );
    assert_eq!(
        (&result["fixable"], result.get("report")),
        (&json!(1), None)
    );
    let read = |name: &str| std::fs::read_to_string(site.path(name)).unwrap();
    let args: Vec<String> = read("args").lines().map(str::to_owned).collect();
    assert_eq!(args[0], "image");
    assert_eq!(
        args[args.len() - 4..],
        [
            "--platform",
            "linux/arm64",
            "--",
            "registry.example.com:5000/a:latest"
        ]
    );
    for expected in [
        "--scanners=vuln,secret",
        "--severity=HIGH",
        "--ignore-unfixed",
        "--server=https://trivy.example.com",
        "--offline-scan",
    ] {
        assert!(
            args.iter().any(|arg| arg == expected),
            "{expected}: {args:?}"
        );
    }
    let env = read("env");
    assert!(env.contains("TRIVY_TOKEN=t0k3n-of-trivy") && env.contains("PASSWORD=hunter22"));
    assert!(
        !read("args").contains("hunter22")
            && !read("args").contains("t0k3n")
            && !env.contains("CARGO")
    );
    // A bill of materials is given by a file that is gone afterwards.
    let sbom = json!({ "sbom": { "bomFormat": "CycloneDX" }, "report": true });
    let result = invoke(&trivy, "sbom", sbom).await.unwrap();
    assert_eq!(result["report"]["ArtifactName"], "a");
    let file = read("args").lines().last().unwrap().to_owned();
    assert!(
        file.starts_with('/') && !Path::new(&file).exists(),
        "{file}"
    );
}

#[tokio::test]
async fn options_other_paths_and_other_words_are_refused_before_anything_is_started() {
    let site = Site::new(r#"touch "$HERE/started"; cat "$HERE/report""#);
    let trivy = site.module(json!({}));
    std::os::unix::fs::symlink("/etc", site.folder.path().join("scanned/link")).unwrap();
    let scanned = site.path("scanned");
    for (action, input) in [
        ("image", json!({ "image": "--help" })),
        ("image", json!({ "image": "a;id" })),
        ("image", json!({ "image": "a", "platform": "--x/y" })),
        (
            "image",
            json!({ "image": "a", "scanners": ["--config=/x"] }),
        ),
        ("image", json!({ "image": "a", "severity": "HIGH" })),
        ("fs", json!({ "path": "/etc" })),
        ("fs", json!({ "path": "--help" })),
        ("fs", json!({ "path": "scanned" })),
        ("fs", json!({ "path": format!("{scanned}/../../../etc") })),
        ("fs", json!({ "path": format!("{scanned}/link") })),
        ("fs", json!({ "path": format!("{scanned}/none") })),
        ("sbom", json!({ "path": "/etc/passwd" })),
        ("sbom", json!({})),
        ("sbom", json!({ "path": scanned, "sbom": {} })),
        ("server", json!({})),
    ] {
        let refused = invoke(&trivy, action, input.clone()).await;
        assert!(
            matches!(refused, Err(Error::Permanent(_))),
            "{action} {input}: {refused:?}"
        );
    }
    assert!(!Path::new(&site.path("started")).exists());
    invoke(&trivy, "fs", json!({ "path": scanned }))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_scan_that_fails_says_why_and_whether_to_repeat_it() {
    for (lines, config, is_final, expected) in [
        ("echo nonsense", json!({}), true, "can't be read"),
        ("echo '{}'", json!({}), true, "can't be read"),
        (
            "echo 'DB is being updated by hunter22' >&2; exit 1",
            json!({}),
            false,
            "exit code 1: DB is being updated by ***",
        ),
        (
            "echo 'MANIFEST_UNKNOWN: unknown' >&2; exit 1",
            json!({}),
            true,
            "MANIFEST_UNKNOWN",
        ),
        ("kill -9 $$", json!({}), false, "signal 9"),
        (
            r#"cat "$HERE/report""#,
            json!({ "max_report": "64B" }),
            true,
            "more than 64B",
        ),
        (
            "exit 0",
            json!({ "program": "/nonexistent/trivy" }),
            true,
            "can't be started",
        ),
    ] {
        let site = Site::new(lines);
        let failed = invoke(&site.module(config), "image", json!({ "image": "a" }))
            .await
            .unwrap_err();
        assert_eq!(
            matches!(failed, Error::Permanent(_)),
            is_final,
            "{lines}: {failed}"
        );
        assert!(
            failed.to_string().contains(expected) && !failed.to_string().contains("hunter22"),
            "{failed}"
        );
    }
}

#[tokio::test]
async fn a_scan_that_takes_too_long_is_killed_with_all_that_it_started() {
    let site = Site::new(r#"sleep 300 & echo $! > "$HERE/pid"; sleep 300"#);
    let trivy = site.module(json!({ "timeout": "500ms" }));
    let failed = soon(
        "the scan to be killed",
        invoke(&trivy, "image", json!({ "image": "a" })),
    )
    .await;
    assert!(
        matches!(&failed, Err(Error::Retry { message, .. }) if message.contains("killed")),
        "{failed:?}"
    );
    let pid = std::fs::read_to_string(site.path("pid")).unwrap();
    let line = format!("/proc/{}/cmdline", pid.trim());
    until("its child to be gone", async || {
        std::fs::read(&line).map_or(true, |line| line.is_empty())
    })
    .await;
}

#[tokio::test]
async fn the_real_program_finds_secrets_and_what_is_set_up_badly_without_a_network() {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-venv/bin/trivy");
    let Ok(program) = std::fs::canonicalize(&place) else {
        // Not by `println!`, which the test harness keeps to itself.
        std::io::stderr()
            .write_all(b"skipped: trivy is not installed\n")
            .unwrap();
        return;
    };
    let site = Site {
        program,
        ..Site::new("")
    };
    let key = format!("aws_access_key_id = AKIA{}\n", "QWERTYUIOPASDFGH");
    std::fs::write(site.path("scanned/credentials"), key).unwrap();
    std::fs::write(
        site.path("scanned/Dockerfile"),
        "FROM debian\nUSER root\nRUN sudo ls\n",
    )
    .unwrap();
    let trivy = site.module(json!({ "offline": true, "token": null }));
    let input = json!({ "path": site.path("scanned"), "scanners": ["secret", "misconfig"] });
    let result = soon("the scan", invoke(&trivy, "fs", input)).await.unwrap();
    assert_eq!(result["kind"], "filesystem");
    assert_eq!(result["secrets"][0]["target"], "credentials", "{result}");
    let found = result["misconfigurations"].as_array().unwrap();
    assert!(
        found.iter().any(|found| found["target"] == "Dockerfile"),
        "{result}"
    );
    assert!(!result.to_string().contains("QWERTYUIOP"), "{result}");
    // There is no image of that name, and it may be a matter of the network.
    let failed = invoke(&trivy, "image", json!({ "image": "127.0.0.1:1/a" })).await;
    assert!(failed.is_err(), "{failed:?}");
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cx = context(folder.path(), &[]);
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid())
        .unwrap()
        .unwrap()
        .name;
    for (more, expected) in [
        (json!({ "program": "trivy" }), "absolute"),
        (json!({ "paths": ["."] }), "absolute"),
        (json!({ "server": "trivy" }), "`server`"),
        (json!({ "token": { "secret": "nope" } }), "nope"),
        (json!({ "user": "no-such-user" }), "no-such-user"),
    ] {
        let mut config =
            json!({ "program": "/usr/bin/trivy", "cache_dir": "/var/cache", "user": user });
        config
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let refused = action("trivy", config, &cx)
            .err()
            .unwrap_or_else(|| panic!("{more}"));
        assert!(refused.message.contains(expected), "{refused}");
    }
}
