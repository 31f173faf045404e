//! A canary secret is used in a request whose receiver throws it back, and is then looked for
//! in everything that the server leaves behind.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;

use crate::server::Site;

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
