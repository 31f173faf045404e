//! The example playbooks on a server: started by events, answered by people.

use std::fs;

use serde_json::{Value, json};

use super::services::Services;
use super::{EXAMPLES, SECRET, config};
use crate::openwhisk::Host;
use crate::server::{Server, Site, eventually};

/// The names of all hosts in the examples, in `example.com`.
const HOSTS: [&str; 10] = [
    "cluster", "deploy", "edr", "filter", "git", "identity", "mail", "oncall", "registry",
    "tickets",
];

/// A site with the examples, of which the addresses are those of the services.
fn site(services: &Services) -> Site {
    let site = Site::new("");
    let more = "openwhisk: { host: { listen: \"127.0.0.1:0\" } }
sources:
  - { id: wazuh, module: webhook, path: /wazuh, format: wazuh, auth: none }
  - { id: reports, module: webhook, path: /reports, event_type: mail.reported, auth: none }
  - { id: leaks, module: webhook, path: /leaks, event_type: credential.leaked, auth: none }
  - { id: findings, module: webhook, path: /findings, event_type: new_vuln, auth: none }
  - { id: falco, module: webhook, path: /falco, format: falco, auth: none }
  - { id: trivy, module: webhook, path: /trivy, format: trivy, auth: none }
";
    let listeners = fs::read_to_string(site.path("conche.yaml")).unwrap();
    let config = config(&site.path("")).replace("playbooks: {", "playbooks: { dir: playbooks,");
    site.write("conche.yaml", &format!("{listeners}{config}{more}"));
    fs::create_dir(site.path("playbooks")).unwrap();
    for (from, to) in [("", "playbooks"), ("/reactions", "reactions")] {
        for entry in fs::read_dir(format!("{EXAMPLES}{from}")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            // It calls a playbook that is not among the examples.
            if !path.is_file() || name == "README.md" || name == "block-address.json" {
                continue;
            }
            let mut text = fs::read_to_string(&path).unwrap();
            for host in HOSTS {
                text = text.replace(&format!("https://{host}.example.com"), &services.url);
            }
            site.write(&format!("{to}/{name}"), &text);
        }
    }
    site
}

fn start(site: &Site) -> Server {
    site.start_with(|command| command.env("EXAMPLE_SECRET", SECRET))
}

/// A payload that the tests of the decoders have.
fn payload(name: &str) -> String {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../modules/tests/it/samples/senders"
    );
    fs::read_to_string(format!("{folder}/{name}.json")).unwrap()
}

#[test]
fn events_start_the_examples_by_their_reactions() {
    let services = Services::start();
    let site = site(&services);
    let server = start(&site);
    let none = Value::Array(Vec::new());
    assert_eq!(server.ask(&["playbooks", "list"])["faults"], none);
    let reactions = server.ask(&["reactions", "list"]);
    assert_eq!(reactions["faults"], none);

    assert_eq!(server.post("/wazuh", &payload("wazuh")), 202);
    assert_eq!(server.post("/trivy", &payload("trivy")), 202);
    let host = Host::of(&site);
    for name in ["score-report", "advisory"] {
        let code = fs::read_to_string(format!("{EXAMPLES}/../functions/{name}.js")).unwrap();
        host.action(name, "quickjs:1", &code);
    }

    let leak = r#"{"user":"alice","found_at":"a paste"}"#;
    assert_eq!(server.post("/leaks", leak), 202);
    let finding = json!({
        "new": {
            "vulnerability": { "name": "CVE-2099-0001", "severity": "Critical", "fixedBy": "3.0.9" },
            "ancestries": [{ "index": 1, "name": "registry.example.com/team/app@sha256:ab" }],
        },
        "old": null,
    });
    assert_eq!(server.post("/findings", &finding.to_string()), 202);
    // The last request of each.
    for line in [
        "POST /.well-known/openc2",
        "POST /v1/notices",
        "POST /v1/users/alice/notices",
        "POST /v1/tickets",
        "POST /v1/mails",
    ] {
        eventually(line, || {
            let lines = services.lines();
            lines.iter().any(|sent| sent == line).then_some(())
        });
    }
    let denied = services.one("POST /v1/denied-images");
    let expected =
        json!({ "image": "registry.example.com/team/app:1.0", "reason": "CVE-2023-45853" });
    assert_eq!(denied.body, expected);
    let sent = services.one("POST /.well-known/openc2");
    assert_eq!(sent.body["target"]["ipv4_net"], "203.0.113.9");
    let sent = services.one("POST /v1/mails");
    let expected = json!({
        "subject": "[block] registry.example.com/team/app@sha256:ab: 1 finding, score 90",
        "text": "registry.example.com/team/app@sha256:ab\nDecision: block\n\n- CVE-2099-0001 (Critical): fixed by 3.0.9\n",
    });
    assert_eq!(sent.body, expected);
    assert_eq!(sent.authorization, format!("Bearer {SECRET}"));
}

#[test]
fn people_answer_what_an_example_asks_on_a_server() {
    let services = Services::start();
    let site = site(&services);
    let server = start(&site);
    let alert = payload("falco").replace("\"Notice\"", "\"Critical\"");
    assert_eq!(server.post("/falco", &alert), 202);
    assert_eq!(server.post("/reports", r#"{"message_id":"m-1"}"#), 202);
    let asked = eventually("two questions", || {
        let asked = server.ask(&["approvals", "list"])["approvals"].clone();
        (asked.as_array()?.len() == 2).then_some(asked)
    });
    for question in asked.as_array().unwrap() {
        let is_mail = question["question"]["answers"]["__verdict__"].is_object();
        let answer = if is_mail {
            "verdict=spam"
        } else {
            "approved=true"
        };
        let run = question["run_id"].as_str().unwrap();
        let told = server
            .client(&["approvals", "answer", run, "--var", answer])
            .output()
            .unwrap();
        assert!(told.status.success(), "{told:?}");
        eventually("the end", || {
            let shown = server.ask(&["runs", "show", run]);
            (shown["status"] == "succeeded").then_some(())
        });
    }
    services.one("POST /v1/messages/m-1/junk");
    let ticket = services.one("POST /v1/tickets");
    assert_eq!(ticket.body["title"], "node-1 is isolated");
    let list = fs::read_to_string(site.path("list")).unwrap();
    assert_eq!(list, "add node-1\n");
}
