//! Functions as targets of playbooks and reactions: on the server's own host, which is `local`
//! without any configuration, and on one in another process; servers are killed while functions
//! are under way, and no function is begun twice.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use conche_testkit::playbooks::{playbook, playbook_id};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Host, has};
use crate::server::{PATIENCE, Server, Site, eventually};

const HOST: &str = "openwhisk: { host: { listen: \"127.0.0.1:0\" } }\n";
const SOURCE: &str =
    "sources: [{ id: in, module: webhook, path: /in, event_type: asked, auth: none }]\n";

/// A function that writes into the ledger, and does not end before the gate is open.
const SLOW: &str = r#"
import threading, urllib.request
def ask(url, data=None):
    return urllib.request.urlopen(url, data).read()
def main(args):
    ask(args["url"] + "/ledger", b"{}")
    while ask(args["url"] + "/gate") != b"open":
        threading.Event().wait(0.05)
    return {"score": 7}
"#;

/// What functions write into, and the gate that they wait at.
struct Ledger {
    url: String,
    entries: Arc<AtomicUsize>,
    is_open: Arc<AtomicBool>,
}

impl Ledger {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ledger = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            entries: Arc::default(),
            is_open: Arc::default(),
        };
        let (entries, is_open) = (ledger.entries.clone(), ledger.is_open.clone());
        // Ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(stream, &entries, &is_open);
            }
        });
        ledger
    }

    fn entries(&self) -> usize {
        self.entries.load(Ordering::SeqCst)
    }

    fn begun(&self) {
        eventually("an entry", || (self.entries() > 0).then_some(()));
    }
}

/// Answers one request. One that ends early is none.
fn answer(mut stream: TcpStream, entries: &AtomicUsize, is_open: &AtomicBool) -> Option<()> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut head = BufReader::new(stream.try_clone().ok()?).lines();
    let line = head.next()?.ok()?;
    let rest = head
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty());
    rest.for_each(drop);
    let body = if line.starts_with("POST") {
        entries.fetch_add(1, Ordering::SeqCst);
        "kept"
    } else if is_open.load(Ordering::SeqCst) {
        "open"
    } else {
        "shut"
    };
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).ok()
}

/// A playbook whose one step is this command of an agent that has a name and no address.
fn calling(agent: &str, command: &Value) -> Value {
    let id = "security-category--00000000-0000-4000-8000-000000000006";
    let step = json!({ "type": "action", "agent": id, "commands": [command],
        "out_args": ["__score__"] });
    let mut playbook = playbook(1, 1, &step);
    playbook["agent_definitions"] = json!({ id: { "type": "security-category", "name": agent,
        "category": ["orchestrator"] } });
    playbook["playbook_variables"] = json!({ "__score__": { "type": "integer", "value": "0" },
        "__url__": { "type": "uri", "external": true, "value": "" } });
    playbook
}

/// Invokes `slow` with the ledger's address, with these members more.
fn slowly(more: &Value) -> Value {
    let mut command = json!({ "type": "openwhisk", "command": "invoke slow",
        "params": { "url": "__url__:value" }, "poll": { "interval_ms": 20 } });
    for (name, value) in more.as_object().unwrap() {
        command[name] = value.clone();
    }
    command
}

fn serve_playbook(site: &Site, playbook: &Value) {
    std::fs::create_dir(site.path("playbooks")).unwrap();
    site.write("playbooks/p.json", &playbook.to_string());
}

/// Starts the playbook; gives its run.
fn begin(server: &Server, ledger: &Ledger) -> String {
    let url = format!("url={}", ledger.url);
    let begun = server.ask(&["playbooks", "run", &playbook_id(1), "--var", &url]);
    begun["run_id"].as_str().unwrap().to_owned()
}

/// The run as it is once it has this status.
fn ended(server: &Server, run: &str, status: &str) -> Value {
    eventually(status, || {
        let shown = server.ask(&["runs", "show", run]);
        (shown["status"] == status).then_some(shown)
    })
}

/// Waits until it is durable which activation is waited for.
fn is_kept(server: &Server) {
    eventually("the activation", || {
        let kept = server.ask(&["lists", "show", "openwhisk.activations"]);
        kept.to_string().contains("\"activation\"").then_some(())
    });
}

#[test]
fn playbooks_and_reactions_call_functions_of_the_server_without_configuration() {
    let site = Site::new(&format!("{HOST}{SOURCE}"));
    let command = json!({ "type": "openwhisk", "command": "invoke /_/score",
        "params": { "a": 4 }, "outputs": { "__score__": { "from": "/response/result/score" } } });
    serve_playbook(&site, &calling("local", &command));
    site.write(
        "reactions/ask.yaml",
        "name: ask\nevent: asked\nscript: |\n  nextAction = 'call'; result = { host: 'local', action: 'score', params: event };\n\
         actions:\n  call:\n    module: openwhisk\n    action: invoke\n    script: |\n      nextAction = 'fire'; result = { trigger: 'quiet', payload: actionData.response.result };\n  fire: { module: openwhisk, action: fire }\n",
    );
    let server = site.start();
    let host = Host::of(&site);
    host.action(
        "score",
        "quickjs:1",
        "function main(p) { return { score: p.a * 2 } }",
    );
    host.put("triggers/quiet", &json!({}));
    assert_eq!(server.post("/in", r#"{"a":21}"#), 202);
    let run = server.run_with("ask", "succeeded").to_string();
    assert!(
        run.contains(r#""score":42"#) && run.contains("no_active_rule"),
        "{run}"
    );
    let begun = server.ask(&["playbooks", "run", &playbook_id(1)]);
    let run = ended(&server, begun["run_id"].as_str().unwrap(), "succeeded");
    assert_eq!(run["variables"]["__score__"], "8");
    let log = std::fs::read_to_string(site.path("log")).unwrap_or_default();
    assert!(!log.contains(&host.key), "{log}");
}

#[test]
fn without_a_server_local_is_refused_with_what_to_do() {
    let site = Site::new(HOST);
    let command = json!({ "type": "openwhisk", "command": "invoke /_/score" });
    site.write("p.json", &calling("local", &command).to_string());
    let told = |arguments: &[&str]| {
        let output = site.command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let error = told(&["run", "p.json", "--config", "conche.yaml"]);
    assert!(error.contains("conche playbooks run"), "{error}");
    let error = told(&["run", "p.json"]);
    assert!(error.contains("openwhisk.host.listen"), "{error}");
    site.write(
        "conche.yaml",
        "openwhisk:\n  hosts:\n    local: { url: \"https://ow.example.com\" }\n",
    );
    let error = told(&["config", "check", "--config", "conche.yaml"]);
    assert!(error.contains("openwhisk.hosts.local"), "{error}");
}

#[test]
fn a_server_that_is_killed_with_its_functions_ends_their_runs_and_begins_nothing_twice() {
    if !has("python3") {
        return;
    }
    for mode in ["wait", "poll"] {
        let ledger = Ledger::start();
        let site = Site::new(HOST);
        serve_playbook(&site, &calling("local", &slowly(&json!({ "mode": mode }))));
        let mut server = site.start();
        Host::of(&site).action("slow", "python:default", SLOW);
        let run = begin(&server, &ledger);
        ledger.begun();
        if mode == "poll" {
            is_kept(&server);
        }
        server.signal("KILL");
        eventually("its end", || server.has_ended());
        ledger.is_open.store(true, Ordering::SeqCst);

        // The host's record says what became of it: nobody is asked.
        let server = site.start();
        let run = ended(&server, &run, "failed").to_string();
        assert!(run.contains("internal_error"), "{mode}: {run}");
        assert_eq!(ledger.entries(), 1, "{mode}");
    }
}

#[test]
fn a_server_that_is_killed_takes_up_what_another_host_carries_out() {
    if !has("python3") {
        return;
    }
    let keyed = json!({ "mode": "wait", "idempotency": { "param": "once" } });
    for (more, status) in [
        (json!({ "mode": "poll" }), "succeeded"),
        (keyed, "succeeded"),
        (json!({ "mode": "wait" }), "needs_attention"),
    ] {
        let (ledger, data) = (Ledger::start(), TempDir::new().unwrap());
        let host = Host::start(data.path());
        host.action("slow", "python:default", SLOW);
        let site = Site::new(&format!(
            "openwhisk: {{ hosts: {{ prod: {{ url: \"http://{}\", auth: {{ secret: ow }} }} }} }}\n\
             secrets: {{ ow: {{ file: key }} }}\negress: {{ allow: [127.0.0.0/8] }}\n",
            host.address
        ));
        site.write("key", &host.key);
        serve_playbook(&site, &calling("prod", &slowly(&more)));
        let mut server = site.start();
        let run = begin(&server, &ledger);
        ledger.begun();
        if more["mode"] == "poll" {
            is_kept(&server);
        }
        server.signal("KILL");
        eventually("its end", || server.has_ended());
        let server = site.start();
        ledger.is_open.store(true, Ordering::SeqCst);
        let run = ended(&server, &run, status);
        if status == "succeeded" {
            assert_eq!(run["variables"]["__score__"], "7", "{more}: {run}");
        }
        assert_eq!(ledger.entries(), 1, "{more}");
    }
}
