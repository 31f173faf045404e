//! A canary secret is used in a request whose receiver throws it back, and is then looked for
//! in everything that the server leaves behind.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;

use conche_testkit::playbooks::{asking, playbook, playbook_id};
use serde_json::{Value, json};

use crate::server::{Server, Site, eventually};

const CANARY: &str = "canary-7f3a9c1e5b";
/// Base64 of the canary, as a receiver may throw it back.
const ENCODED: &str = "Y2FuYXJ5LTdmM2E5YzFlNWI=";

/// Answers one request with all that it was sent, and the canary encoded besides.
fn echo(listener: &TcpListener) -> String {
    let (mut stream, _) = listener.accept().unwrap();
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "the request ends early");
        request.extend_from_slice(&piece[..read]);
    }
    let request = String::from_utf8(request).unwrap();
    let body = format!("you sent: {request} and {ENCODED}");
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream
        .write_all(format!("{head}{body}").as_bytes())
        .unwrap();
    request
}

fn files(below: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
}

#[test]
fn a_secret_is_in_no_event_journal_log_or_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let site = Site::new(
        "secrets: { canary: { env: CANARY_VALUE } }
egress: { allow: [127.0.0.1] }
actions: { http: { secrets: { canary: { hosts: ['127.0.0.1'], plain_http: true } } } }
sources: [{ id: s, module: webhook, path: /s, event_type: s, auth: none }]
data_dir: data
reactions: { dir: reactions }
",
    );
    site.write(
        "reactions/r.yaml",
        &format!(
            "name: r
event: s
script: |
  nextAction = 'call';
  result = {{ url: 'http://{address}/', method: 'GET', auth: {{ bearer: {{ secret: 'canary' }} }} }};
actions:
  call:
    module: http
    action: get
    script: console.log(JSON.stringify(actionData), JSON.stringify(event))
"
        ),
    );
    let server = site.start_with(|command| {
        command
            .env("CANARY_VALUE", CANARY)
            .env("CONCHE_LOG", "trace")
    });
    assert_eq!(server.post("/s", "{}"), 202);
    let request = echo(&listener);
    assert!(
        request.contains(CANARY),
        "the receiver does get it: {request}"
    );
    let run = server.run_with("r", "succeeded").to_string();
    assert!(run.contains("you sent"), "the answer was recorded: {run}");
    let mut found = vec![("the run".to_owned(), run.into_bytes())];
    let mut client = server.client(&["reactions", "list", "-o", "json"]);
    found.push(("the reactions".to_owned(), client.output().unwrap().stdout));
    server.signal("TERM");
    server.ended();
    files(&site.path("data"), &mut found);
    found.push(("the log".to_owned(), fs::read(site.path("log")).unwrap()));
    for (name, bytes) in found {
        let text = String::from_utf8_lossy(&bytes);
        for value in [CANARY, ENCODED] {
            assert!(!text.contains(value), "{name} holds the secret");
        }
    }
}

/// A playbook that asks for one half of a token, has the other from its caller, and shows both
/// to a service.
fn of_two_halves(address: &str) -> Value {
    let id = |kind: &str, last: u8| format!("{kind}--00000000-0000-4000-8000-00000000000{last}");
    let (ask, call, end) = (id("action", 2), id("action", 8), id("end", 3));
    let mut value = playbook(1, 1, &asking());
    value["workflow"][&ask]["out_args"] = json!(["__answered__"]);
    value["workflow"][&ask]["on_success"] = json!(call);
    value["workflow"][&call] = json!({
        "type": "action", "name": "Call", "agent": id("individual", 5), "targets": [id("http-api", 6)],
        "commands": [{ "type": "http-api", "command": "GET / HTTP/1.1" }], "on_success": end,
    });
    value["playbook_variables"] = json!({
        "__given__": { "type": "string", "external": true },
        "__answered__": { "type": "string" },
    });
    value["authentication_info_definitions"] = json!({
        id("oauth2", 7): { "type": "oauth2", "oauth_header": "Bearer", "token": "__given__:value.__answered__:value" },
    });
    value["target_definitions"] = json!({
        id("http-api", 6): {
            "type": "http-api", "name": "service", "authentication_info": id("oauth2", 7),
            "address": { "url": [format!("http://{address}")] },
        },
    });
    value
}

#[test]
fn what_feeds_credentials_is_sealed_wherever_it_is_stored_and_survives_a_kill() {
    let (given, answered) = ("given-5e1b77a0c4", "answered-91c0d2e6f8");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let site = Site::new("egress: { allow: [127.0.0.1] }\ndata_dir: data\n");
    site.write("p.json", &of_two_halves(&address).to_string());
    let start = || site.start_with(|command| command.env("CONCHE_LOG", "trace"));
    let server = start();
    server.ask(&["playbooks", "put", site.path("p.json").to_str().unwrap()]);
    let given_so = format!("given={given}");
    let start_one = [
        "playbooks",
        "run",
        &playbook_id(1),
        "--key",
        "k",
        "--var",
        &given_so,
    ];
    let run = server.ask(&start_one)["run_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let asked = |server: &Server| {
        eventually("the question", || {
            let asked = server.ask(&["approvals", "list"]);
            asked["approvals"].get(0).cloned()
        })
    };
    let mut found = vec![(
        "the question".to_owned(),
        asked(&server).to_string().into_bytes(),
    )];
    server.signal("KILL");
    server.ended();
    let server = start();
    asked(&server);
    assert_eq!(
        server.ask(&start_one)["run_id"],
        *run,
        "the same start is known again"
    );
    let answered_so = format!("answered={answered}");
    let answer = server.client(&["approvals", "answer", &run, "--var", &answered_so]);
    assert!({ answer }.status().unwrap().success());
    let request = echo(&listener);
    assert!(
        request.contains(&format!("Bearer {given}.{answered}")),
        "{request}"
    );
    let shown = eventually("the end", || {
        let shown = server.ask(&["runs", "show", &run]);
        (shown["status"] == "succeeded").then_some(shown)
    });
    assert!(shown.to_string().contains("{sealed:"), "{shown}");
    for arguments in [
        &["runs", "show", &run][..],
        &["events", "list"],
        &["audit", "list"],
    ] {
        let told = server
            .client(&[arguments, &["-o", "json"]].concat())
            .output()
            .unwrap();
        found.push((arguments.join(" "), told.stdout));
    }
    server.signal("TERM");
    server.ended();
    files(&site.path("data"), &mut found);
    found.push(("the log".to_owned(), fs::read(site.path("log")).unwrap()));
    for (name, bytes) in found {
        let text = String::from_utf8_lossy(&bytes);
        for value in [given, answered] {
            assert!(!text.contains(value), "{name} holds `{value}`");
        }
    }
}

/// A playbook that asks a service for something, with a token from its caller where it is to.
fn that_calls(number: u8, address: &str, path: &str, with_token: bool) -> Value {
    let id = |kind: &str, last: u8| format!("{kind}--00000000-0000-4000-8000-00000000000{last}");
    let mut value = playbook(
        number,
        1,
        &json!({
            "type": "action", "name": "Call", "agent": id("individual", 5), "targets": [id("http-api", 6)],
            "commands": [{ "type": "http-api", "command": format!("GET {path} HTTP/1.1") }],
        }),
    );
    let mut target = json!({
        "type": "http-api", "name": "service", "address": { "url": [format!("http://{address}")] },
    });
    if with_token {
        value["playbook_variables"] =
            json!({ "__token__": { "type": "string", "external": true } });
        value["authentication_info_definitions"] = json!({
            id("oauth2", 7): { "type": "oauth2", "oauth_header": "Bearer", "token": "__token__:value" },
        });
        target["authentication_info"] = json!(id("oauth2", 7));
    }
    value["target_definitions"] = json!({ id("http-api", 6): target });
    value
}

#[test]
fn what_one_run_was_given_as_a_secret_changes_nothing_that_another_reads() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let site = Site::new("egress: { allow: [127.0.0.1] }\ndata_dir: data\n");
    site.write(
        "1.json",
        &that_calls(1, &address, "/clean", true).to_string(),
    );
    site.write(
        "2.json",
        &that_calls(2, &address, "/clean", false).to_string(),
    );
    let server = site.start();
    for file in ["1.json", "2.json"] {
        server.ask(&["playbooks", "put", site.path(file).to_str().unwrap()]);
    }
    let run = |arguments: &[&str]| {
        let run = server.ask(&[&["playbooks", "run"], arguments].concat());
        let run = run["run_id"].as_str().unwrap().to_owned();
        let request = echo(&listener);
        let shown = eventually("the end", || {
            let shown = server.ask(&["runs", "show", &run]);
            (shown["status"] == "succeeded").then(|| shown.to_string())
        });
        (request, shown)
    };
    let (request, shown) = run(&[&playbook_id(1), "--var", "token=clean"]);
    assert!(request.contains("Bearer clean"), "{request}");
    assert!(!shown.contains("Bearer clean"), "{shown}");
    let (_request, shown) = run(&[&playbook_id(2)]);
    assert!(shown.contains("you sent: GET /clean HTTP/1.1"), "{shown}");
    let long = format!("token={}", "x".repeat((16 << 10) + 1));
    let refused = server.client(&["playbooks", "run", &playbook_id(1), "--var", &long]);
    let refused = { refused }.output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("16 KiB"), "{said}");
}
