//! Many triggers at once at the SOARCA-compatible API: SOARCA answers such with 408 and runs
//! them all the same; here each is answered in time, and done once.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::example_playbooks::services::Services;
use crate::server::{PATIENCE, Site, eventually};

const CLIENTS: usize = 20;
const TRIGGERS: usize = 25;
/// A client of SOARCA gives up after so long.
const IN_TIME: Duration = Duration::from_secs(10);

const ID: &str = "playbook--5b6a8a5e-7f43-4c57-9d0a-3c3f7a1c9b10";

/// A playbook that tells the service of a number.
fn playbook(service: &str, number: usize) -> Value {
    let (start, tell, end, agent) = (
        "start--20000000-0000-4000-8000-000000000001",
        "action--20000000-0000-4000-8000-000000000002",
        "end--20000000-0000-4000-8000-000000000003",
        "http-api--20000000-0000-4000-8000-000000000004",
    );
    json!({
        "type": "playbook", "spec_version": "cacao-2.0", "id": ID, "name": "Tell",
        "created_by": "identity--20000000-0000-4000-8000-000000000005",
        "created": "2026-03-01T08:00:00.000Z", "modified": "2026-03-01T08:00:00.000Z",
        "playbook_variables": {
            "__n__": {"type": "integer", "external": true, "value": number.to_string()},
        },
        "workflow_start": start,
        "workflow": {
            start: {"type": "start", "on_completion": tell},
            tell: {
                "type": "action", "agent": agent, "on_success": end,
                "commands": [{"type": "http-api", "command": "POST /hits/__n__:value HTTP/1.1"}],
            },
            end: {"type": "end"},
        },
        "agent_definitions": {
            agent: {"type": "http-api", "name": "hits", "address": {"url": [service]}},
        },
    })
}

/// A request, and its answer's status and body.
fn call(address: &str, request: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    let head = format!(
        "{request} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream
        .write_all(format!("{head}{body}").as_bytes())
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

/// One client's triggers, one after another: of the kept playbook, and of one that is sent
/// along. Gives the runs, and the longest time until an answer.
fn triggers(address: &str, service: &str, client: usize) -> (Vec<String>, Duration) {
    let (mut runs, mut longest) = (Vec::new(), Duration::ZERO);
    for number in (client * TRIGGERS..).take(TRIGGERS) {
        let (request, body) = if number % 2 == 0 {
            let value = json!({"__n__": {"type": "integer", "value": number.to_string()}});
            (format!("POST /trigger/playbook/{ID}"), value)
        } else {
            let sent = playbook(service, number);
            ("POST /trigger/playbook".to_owned(), sent)
        };
        let begin = Instant::now();
        let (status, answer) = call(address, &request, &body.to_string());
        longest = longest.max(begin.elapsed());
        assert_eq!(status, 200, "{answer}");
        runs.push(answer["execution_id"].as_str().unwrap().to_owned());
    }
    (runs, longest)
}

#[test]
fn every_trigger_of_many_clients_is_answered_in_time_and_done_once() {
    let services = Services::start();
    let listeners = "soarca: { listen: \"127.0.0.1:0\" }\negress: { allow: [127.0.0.0/8] }\n";
    let site = Site::new(listeners);
    let server = site.start();
    let kept = playbook(&services.url, 0).to_string();
    assert_eq!(call(&server.soarca, "POST /playbook/", &kept).0, 201);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (address, service) = (server.soarca.clone(), services.url.clone());
            std::thread::spawn(move || triggers(&address, &service, client))
        })
        .collect();
    let mut runs = Vec::new();
    for client in clients {
        let (begun, longest) = client.join().unwrap();
        assert!(longest < IN_TIME, "one was answered after {longest:?}");
        runs.extend(begun);
    }
    for run in &runs {
        eventually("the end of a run", || {
            let (_, report) = call(&server.soarca, &format!("GET /reporter/{run}"), "");
            let status = report["status"].as_str().unwrap_or_default().to_owned();
            assert!(
                ["ongoing", "successfully_executed"].contains(&&*status),
                "{report}"
            );
            (status == "successfully_executed").then_some(())
        });
    }
    runs.sort_unstable();
    runs.dedup();
    assert_eq!(runs.len(), CLIENTS * TRIGGERS, "each has a run of its own");
    let mut hits: BTreeMap<String, usize> = BTreeMap::new();
    for line in services.lines() {
        *hits.entry(line).or_default() += 1;
    }
    let once = (0..CLIENTS * TRIGGERS).map(|number| (format!("POST /hits/{number}"), 1));
    assert_eq!(hits, once.collect::<BTreeMap<_, _>>());
}
