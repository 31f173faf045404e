//! The example playbooks: every one is run by the binary against a service that keeps what it
//! is sent. `served` has them started on a server by their reactions.

use std::fs;
use std::path::Path;
use std::process::Command;

use nix::unistd::{User, geteuid};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::conche;

mod served;
pub(crate) mod services;

use services::Services;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/playbooks");

/// The value that every secret of the examples has here.
const SECRET: &str = "kept-5b1e9c";
/// `Authorization` with it as a password of the user `soc`.
const BASIC: &str = "Basic c29jOmtlcHQtNWIxZTlj";

/// A configuration with what the examples need. `quarantine` is a program in `dir` that writes
/// down how it was called.
fn config(dir: &Path) -> String {
    let bin = dir.join("bin");
    fs::create_dir(&bin).unwrap();
    let list = dir.join("list");
    let program = format!("#!/bin/sh\necho \"$1 $2\" >> '{}'\n", list.display());
    fs::write(dir.join("quarantine"), program).unwrap();
    // Copied by another process: one that is open for writing here can't be executed.
    let copied = Command::new("install")
        .args(["-m", "755"])
        .args([dir.join("quarantine"), bin.join("quarantine")])
        .status()
        .unwrap();
    assert!(copied.success());
    let user = User::from_uid(geteuid()).unwrap().unwrap().name;
    let names = [
        "cluster_token",
        "deploy_token",
        "edr_token",
        "filter_token",
        "identity_password",
        "mail_token",
        "service_token",
        "tickets_password",
    ];
    let secrets = names.map(|name| format!("{name}: {{ env: EXAMPLE_SECRET }}"));
    let grants = names.map(|name| format!("{name}: {{ hosts: [127.0.0.1] }}"));
    format!(
        "egress: {{ allow: [127.0.0.0/8] }}
secrets: {{ {} }}
playbooks: {{ secrets: {{ {} }} }}
actions:
  bash:
    user: {user}
    env: {{ PATH: \"{}:/usr/bin:/bin\" }}
    allow: [ {{ pattern: \"quarantine (add|remove) '[A-Za-z0-9.-]{{1,253}}'\" }} ]
",
        secrets.join(", "),
        grants.join(", "),
        bin.display()
    )
}

/// How the run of an example ended.
struct Ended {
    code: Option<i32>,
    run: Value,
    /// What the program `quarantine` was called with.
    quarantined: String,
}

/// Runs an example with these variables and what is asked for.
fn run(services: &Services, example: &str, values: &[&str], answers: &[&str]) -> Ended {
    run_with(services, example, (values, answers), &[])
}

/// The same with more of the command line.
fn run_with(
    services: &Services,
    example: &str,
    (values, answers): (&[&str], &[&str]),
    more: &[&str],
) -> Ended {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("conche.yaml");
    fs::write(&file, config(dir.path())).unwrap();
    let mut command = conche();
    command
        .env("EXAMPLE_SECRET", SECRET)
        .arg("run")
        .arg(format!("{EXAMPLES}/{example}.json"))
        .args(["-o", "json"])
        .arg("--config")
        .arg(&file)
        .args(more);
    for value in values {
        command
            .arg("--var")
            .arg(value.replace("URL", &services.url));
    }
    for answer in answers {
        command.arg("--answer").arg(answer);
    }
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    let run = serde_json::from_slice(&output.stdout);
    let run: Value = run.unwrap_or_else(|_| panic!("{example}: {error}"));
    let mut told = output.stdout.windows(SECRET.len());
    assert!(!told.any(|text| text == SECRET.as_bytes()));
    Ended {
        code: output.status.code(),
        run,
        quarantined: fs::read_to_string(dir.path().join("list")).unwrap_or_default(),
    }
}

/// The same, where it succeeds.
fn succeeds(services: &Services, example: &str, values: &[&str], answers: &[&str]) -> Ended {
    let ended = run(services, example, values, answers);
    assert_eq!(ended.code, Some(0), "{example}: {}", ended.run);
    assert_eq!(ended.run["status"], "succeeded");
    ended
}

/// The same, where it fails and the people on call are paged.
fn fails(services: &Services, example: &str, values: &[&str], answers: &[&str]) {
    let ended = run(services, example, values, answers);
    assert_eq!(ended.code, Some(1), "{example}: {}", ended.run);
    assert_eq!(ended.run["status"], "failed");
    let pages = services.lines();
    let pages = pages.iter().filter(|line| *line == "POST /v1/pages");
    assert!(pages.count() > 0, "{example}: {:?}", services.lines());
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let services = Services::start();
    let given = (&HOST[..], &["approved=true"][..]);
    let real = run(&services, "isolate-host", given.0, given.1);
    let received = services.received().len();
    // With what really came of each command, it would do what was done.
    let done = real.run["steps"].as_array().unwrap();
    let results = done.iter().filter(|step| step["action"].is_string());
    let results = results.map(|step| {
        let id = step["step_id"].as_str().unwrap();
        format!("--outcome={id}={}", step["output"])
    });
    let results: Vec<String> = results.collect();
    let mut more = vec!["--dry-run"];
    more.extend(results.iter().map(String::as_str));
    let dry = run_with(&services, "isolate-host", given, &more);
    assert_eq!((dry.code, real.code), (Some(0), Some(0)), "{}", dry.run);
    assert_eq!(dry.quarantined, "", "nothing was done");
    assert_ne!(real.quarantined, "");
    assert!(dry.run["dry_run"] == true && dry.run["status"] == "succeeded");
    let would = dry.run["would"].as_array().unwrap();
    let scripts = |steps: &[Value]| -> Vec<Value> {
        let bash = steps.iter().filter(|step| step["action"] == "bash.execute");
        bash.map(|step| step["input"]["command"]["command"].clone())
            .collect()
    };
    assert_eq!(scripts(would), scripts(done), "with the very arguments");
    let asked = would.iter().filter(|step| step["asks"].is_string()).count();
    assert_eq!(asked, 1);

    // What comes after a failure can be looked at as well.
    let step = would
        .iter()
        .find(|step| step["action"] == "bash.execute")
        .unwrap();
    let outcome = format!("{}=failed", step["step_id"].as_str().unwrap());
    let more = ["--dry-run", "--outcome", &outcome];
    let failing = run_with(&services, "isolate-host", given, &more);
    assert_ne!(failing.run["would"], dry.run["would"]);
    assert_eq!(services.received().len(), received, "nothing was sent");

    let unasked = run_with(&services, "isolate-host", (&HOST, &[]), &["--dry-run"]);
    assert_eq!(unasked.code, Some(1));
    assert_eq!(unasked.run["status"], "awaiting_answer");
}

const MAIL: [&str; 3] = ["mail_url=URL", "oncall_url=URL", "message_id=m-1"];

#[test]
fn a_reported_mail_is_dealt_with_as_the_analyst_says() {
    for (verdict, path) in [
        ("phishing", "quarantine"),
        ("spam", "junk"),
        ("harmless", "release"),
        // None of the three: nothing is let through by a slip of the pen.
        ("Phishing", "hold"),
    ] {
        let services = Services::start();
        let answer = format!("verdict={verdict}");
        let ended = succeeds(&services, "phishing-triage", &MAIL, &[&answer]);
        let done = services.one(&format!("POST /v1/messages/m-1/{path}"));
        assert_eq!(done.body["reason"], verdict);
        assert_eq!(done.authorization, format!("Bearer {SECRET}"));
        assert_eq!(services.received().len(), 2);
        let variables = &ended.run["variables"];
        assert_eq!(variables["__known__"], "true");
        assert_eq!(variables["__sender__"], "it@exarnple.com");
        assert_eq!(variables["__verdict__"], verdict);
    }
}

#[test]
fn a_mail_that_can_not_be_quarantined_is_paged() {
    let services = Services::refusing("/quarantine");
    fails(&services, "phishing-triage", &MAIL, &["verdict=phishing"]);
}

const ROLLOUT: [&str; 4] = [
    "deploy_url=URL",
    "oncall_url=URL",
    "image=registry.example.com/shop/web:1.2",
    "vulnerability=CVE-2099-0001",
];

#[test]
fn a_rollout_is_denied_and_paused_at_once() {
    let services = Services::start();
    let ended = succeeds(&services, "stop-image-rollout", &ROLLOUT, &[]);
    let denied = services.one("POST /v1/denied-images");
    let expected =
        json!({ "image": "registry.example.com/shop/web:1.2", "reason": "CVE-2099-0001" });
    assert_eq!(denied.body, expected);
    services.one("POST /v1/rollouts/pause");
    let found = services.one("GET /v1/rollouts?");
    let query = "?image=registry.example.com%2Fshop%2Fweb%3A1.2&state=running";
    assert!(found.line.ends_with(query), "{}", found.line);
    services.one("POST /v1/notices");
    assert_eq!(ended.run["variables"]["__rollouts__"], "2");
    assert_eq!(ended.run["variables"]["__paused__"], "shop/web, shop/api");
}

#[test]
fn a_rollout_that_can_not_be_paused_freezes_all_and_one_that_is_not_denied_is_paged() {
    let services = Services::refusing("/pause");
    succeeds(&services, "stop-image-rollout", &ROLLOUT, &[]);
    services.one("POST /v1/freeze");
    let services = Services::refusing("/denied-images");
    fails(&services, "stop-image-rollout", &ROLLOUT, &[]);
}

const HOST: [&str; 5] = [
    "edr_url=URL",
    "tickets_url=URL",
    "oncall_url=URL",
    "host=node-1",
    "reason=a shell",
];

#[test]
fn a_host_is_isolated_where_that_was_approved() {
    let services = Services::start();
    let ended = succeeds(&services, "isolate-host", &HOST, &["approved=true"]);
    assert_eq!(ended.quarantined, "add node-1\n");
    assert_eq!(ended.run["variables"]["__state__"], "isolated");
    let ticket = services.one("POST /v1/tickets");
    assert_eq!(
        ticket.body,
        json!({ "title": "node-1 is isolated", "text": "a shell" })
    );

    let services = Services::start();
    let ended = succeeds(&services, "isolate-host", &HOST, &["approved=false"]);
    assert_eq!(ended.quarantined, "");
    assert_eq!(services.lines(), ["POST /v1/tickets"]);
}

#[test]
fn the_isolation_of_a_host_is_undone_where_its_agent_is_lost() {
    let services = Services::refusing("/agent");
    let ended = succeeds(&services, "isolate-host", &HOST, &["approved=true"]);
    assert_eq!(ended.quarantined, "add node-1\nremove node-1\n");
    let ticket = services.one("POST /v1/tickets");
    assert_eq!(ticket.body["title"], "node-1 could not be isolated");
}

const FILTER: [&str; 3] = ["filter_url=URL", "tickets_url=URL", "oncall_url=URL"];

#[test]
fn an_address_is_denied_by_openc2_unless_it_is_ours_or_a_network() {
    let services = Services::start();
    let strange = [&FILTER[..], &["address=203.0.113.9"]].concat();
    let ended = succeeds(&services, "block-address-openc2", &strange, &[]);
    let sent = services.one("POST /.well-known/openc2");
    assert_eq!(sent.body["action"], "deny");
    assert_eq!(sent.body["target"], json!({ "ipv4_net": "203.0.113.9" }));
    assert_eq!(sent.authorization, format!("Bearer {SECRET}"));
    assert_eq!(services.received().len(), 1);
    assert_eq!(ended.run["variables"]["__rule__"], "1234");

    for address in ["address=10.1.2.3", "address=0.0.0.0/0"] {
        let services = Services::start();
        let values = [&FILTER[..], &[address]].concat();
        succeeds(&services, "block-address-openc2", &values, &[]);
        assert_eq!(services.lines(), ["POST /v1/tickets"]);
    }
}

#[test]
fn an_address_that_the_filter_refuses_becomes_a_ticket() {
    let services = Services::refusing("/openc2");
    let strange = [&FILTER[..], &["address=203.0.113.9"]].concat();
    succeeds(&services, "block-address-openc2", &strange, &[]);
    let ticket = services.one("POST /v1/tickets");
    assert_eq!(ticket.body["title"], "Block 203.0.113.9 by hand");
}

const LEAK: [&str; 6] = [
    "identity_url=URL",
    "forge_url=URL",
    "registry_url=URL",
    "oncall_url=URL",
    "user=alice",
    "found_at=a paste",
];

#[test]
fn an_account_is_locked_its_sessions_ended_and_its_tokens_revoked_everywhere() {
    let services = Services::start();
    let ended = succeeds(&services, "credential-leak", &LEAK, &[]);
    let expected = [
        "POST /v1/users/alice/lock",
        "POST /v1/users/alice/sessions/end",
        "POST /v1/users/alice/sessions/end",
        "DELETE /v1/tokens?user=alice",
        "DELETE /v1/tokens?user=alice",
        "POST /v1/users/alice/password-reset",
        "POST /v1/users/alice/notices",
    ];
    assert_eq!(services.lines(), expected);
    let received = services.received();
    assert_eq!(received[0].authorization, BASIC);
    assert_eq!(received[3].authorization, format!("Bearer {SECRET}"));
    assert_eq!(ended.run["variables"]["__sessions__"], "0");
}

#[test]
fn an_account_whose_tokens_can_not_be_revoked_is_paged() {
    let services = Services::refusing("/tokens");
    fails(&services, "credential-leak", &LEAK, &[]);
}

const FINDING: [&str; 6] = [
    "cluster_url=URL",
    "tickets_url=URL",
    "oncall_url=URL",
    "image=registry.example.com/shop/web@sha256:ab",
    "vulnerability=CVE-2099-0001",
    "severity=High",
];

#[test]
fn a_finding_becomes_a_ticket_by_another_playbook() {
    let services = Services::start();
    let ended = succeeds(&services, "clair-ticket", &FINDING, &[]);
    let ticket = services.one("POST /v1/tickets");
    let expected =
        json!({ "title": "CVE-2099-0001 (High)", "text": "Affected: shop/web, shop/api" });
    assert_eq!(ticket.body, expected);
    assert_eq!(ticket.authorization, BASIC);
    assert_eq!(ended.run["variables"]["__ticket__"], "SOC-17");

    let services = Services::refusing("/tickets");
    fails(&services, "clair-ticket", &FINDING, &[]);
}

#[test]
fn the_playbook_that_opens_tickets_runs_by_itself_too() {
    let services = Services::start();
    let values = [
        "tickets_url=URL",
        "oncall_url=URL",
        "vulnerability=CVE-2099-0001",
        "severity=High",
        "workloads=shop/web",
    ];
    let ended = succeeds(&services, "open-ticket", &values, &[]);
    assert_eq!(ended.run["variables"]["__ticket__"], "SOC-17");
}

#[test]
fn every_example_is_valid_to_the_letter_and_the_configuration_is_in_order() {
    let output = conche()
        .args(["validate", EXAMPLES, "--profile", "strict", "-o", "json"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{told}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = conche()
        .current_dir(root)
        .args([
            "config",
            "check",
            "--config",
            "examples/config/playbooks.yaml",
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}
