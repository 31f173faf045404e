//! The embedded OpenWhisk host as the program starts it: alone and within a server, over the
//! real store, with functions in real processes and in the sandbox.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

mod events;
mod local;

use crate::server::{PATIENCE, Site, conche, eventually};

/// The key that OpenWhisk's documentation prints for `guest`.
pub(crate) const GUEST: &str = "23bc46b1-71f6-4ed5-8c54-816aa4f8c502:\
                     123zO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP";

/// A running host. Killed when dropped.
pub(crate) struct Host {
    child: Option<Child>,
    pub(crate) address: String,
    key: String,
}

impl Host {
    /// `conche openwhisk serve --dev` over a folder.
    pub(crate) fn start(data: &Path) -> Self {
        Self::started(Self::command(data))
    }

    pub(crate) fn command(data: &Path) -> Command {
        let mut command = conche();
        command.args(["openwhisk", "serve", "--dev", "--listen", "127.0.0.1:0"]);
        command.arg("--data-dir").arg(data);
        command
    }

    pub(crate) fn started(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).ok();
            tell.send(line).ok();
        });
        let line = told.recv_timeout(PATIENCE).unwrap();
        let address = line.trim().strip_prefix("listening openwhisk=");
        Self {
            address: address.unwrap_or_else(|| panic!("{line}")).to_owned(),
            child: Some(child),
            key: GUEST.to_owned(),
        }
    }

    /// The host of a server that has been started.
    pub(crate) fn of(site: &Site) -> Self {
        let properties = site.path("conche-data/openwhisk.wskprops");
        let properties = std::fs::read_to_string(properties).unwrap();
        let property = |name: &str| {
            let line = properties.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_else(|| panic!("no {name}")).to_owned()
        };
        Self {
            child: None,
            address: property("APIHOST=http://"),
            key: property("AUTH="),
        }
    }

    /// Status and body of one request below `/api/v1/namespaces/_/`.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (body, key) = (body.to_string(), BASE64_STANDARD.encode(&self.key));
        let request = format!(
            "{method} /api/v1/namespaces/_/{path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Basic {key}\r\n\
             Content-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        let body = serde_json::from_str(body).unwrap_or_default();
        (status.unwrap_or_else(|| panic!("{answer}")), body)
    }

    pub(crate) fn put(&self, path: &str, body: &Value) {
        let (status, answer) = self.ask("PUT", path, body);
        assert_eq!(status, 200, "{answer}");
    }

    pub(crate) fn action(&self, name: &str, kind: &str, code: &str) {
        let exec = json!({ "exec": { "kind": kind, "code": code } });
        self.put(&format!("actions/{name}?overwrite=true"), &exec);
    }

    /// Status and result of a blocking invocation.
    pub(crate) fn invoke(&self, name: &str, arguments: &Value) -> (u16, Value) {
        let path = format!("actions/{name}?blocking=true&result=true");
        self.ask("POST", &path, arguments)
    }

    pub(crate) fn activations(&self, name: &str) -> Vec<Value> {
        let path = format!("activations?name={name}&docs=true");
        let (status, answer) = self.ask("GET", &path, &Value::Null);
        assert_eq!(status, 200, "{answer}");
        answer.as_array().cloned().unwrap_or_default()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let child = self.child.as_mut().unwrap();
        let status = eventually("the host ends", || child.try_wait().unwrap());
        self.child = None;
        status
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) fn has(program: &str) -> bool {
    let found = ["/usr/local/bin", "/usr/bin", "/bin"]
        .iter()
        .any(|folder| Path::new(folder).join(program).is_file());
    if !found {
        let mut out = std::io::stdout();
        writeln!(out, "skipped: there is no {program}").unwrap();
    }
    found
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn functions_in_the_sandbox_answer_at_once_later_and_with_errors() {
    let data = TempDir::new().unwrap();
    let host = Host::start(data.path());
    for (code, answer) in [
        (
            "function main(p) { return { sum: p.a + p.b } }",
            (200, json!({ "sum": 3 })),
        ),
        (
            "async function main(p) { await null; return { a: p.a } }",
            (200, json!({ "a": 1 })),
        ),
        ("exports.main = (p) => [p.b]", (200, json!([2]))),
        ("function main() {}", (200, json!({}))),
        (
            "function main() { return { error: 'no' } }",
            (502, json!({ "error": "no" })),
        ),
        (
            "function main() { return Promise.reject('later no') }",
            (502, json!({ "error": "later no" })),
        ),
        (
            "function main() { throw new Error('T') }",
            (502, json!({ "error": "An error has occurred: Error: T" })),
        ),
        (
            "function main() { var o = {}; return { o: o.o = o } }",
            (
                502,
                json!({ "error": "An error has occurred: TypeError: circular reference" }),
            ),
        ),
        (
            "function main() { return main }",
            (
                502,
                json!({ "error": "The action did not return a dictionary." }),
            ),
        ),
        (
            "function main() { return 'text' }",
            (
                502,
                json!({ "error": "The action did not return a dictionary." }),
            ),
        ),
        (
            "var other = 1",
            (
                502,
                json!({ "error": "Initialization has failed due to: Action entrypoint 'main' is not a function." }),
            ),
        ),
    ] {
        host.action("f", "quickjs:1", code);
        assert_eq!(
            host.invoke("f", &json!({ "a": 1, "b": 2 })),
            answer,
            "{code}"
        );
    }
    host.action("f", "quickjs:1", "function main( {");
    let (status, answer) = host.invoke("f", &json!({}));
    let text = answer["error"].as_str().unwrap_or_default();
    assert!(
        text.starts_with("Initialization has failed due to:"),
        "{answer}"
    );
    assert_eq!(status, 502);

    let exec = json!({ "exec": { "kind": "quickjs:1",
        "code": "function main() { console.log('hello'); console.error('oh'); for (;;); }" },
        "limits": { "timeout": 300 } });
    host.put("actions/endless", &exec);
    let (status, answer) = host.invoke("endless", &json!({}));
    let over = "The action exceeded its time limits of 300 milliseconds.";
    assert_eq!((status, &answer["error"]), (502, &json!(over)));

    host.action(
        "logs",
        "quickjs:1",
        "function main() { console.log('hello', {a: 1}); return {} }",
    );
    assert_eq!(host.invoke("logs", &json!({})).0, 200);
    let logs = eventually("the activation", || {
        host.activations("logs")
            .first()
            .map(|one| one["logs"].clone())
    });
    let line = logs[0].as_str().unwrap_or_default();
    assert!(line.ends_with(r#"stdout: hello {"a":1}"#), "{logs}");

    for more in ["", "async "] {
        let code = "function main() { return { a: 'ü'.repeat(1 << 20) } }";
        host.action("long", "quickjs:1", &format!("{more}{code}"));
        let (status, answer) = host.invoke("long", &json!({}));
        let text = answer["error"].as_str().unwrap_or_default();
        let start = "The action produced a response that exceeded the allowed length: \
                     2097160 > 1048576 bytes. The truncated response was: {\"a\":\"üüü";
        assert!(status == 502 && text.starts_with(start), "{text:.200}");
    }
}

#[test]
fn a_function_that_hangs_costs_its_own_calls_only() {
    let data = TempDir::new().unwrap();
    let host = Host::start(data.path());
    let limited = |name: &str, code: &str, timeout: u32| {
        let exec = json!({ "kind": "quickjs:1", "code": code });
        let body = json!({ "exec": exec, "limits": { "timeout": timeout } });
        host.put(&format!("actions/{name}"), &body);
    };
    limited("hangs", "function main() { for (;;); }", 3000);
    limited("quick", "function main() { return {} }", 1000);
    let (status, _) = host.ask("POST", "actions/hangs", &json!({}));
    assert_eq!(status, 202);
    // The first may come before the other began; none fails for having waited.
    eventually("a call that waited for longer than it may run", || {
        assert_eq!(host.invoke("quick", &json!({})), (200, json!({})));
        let all = host.activations("quick");
        let annotations = all.iter().filter_map(|one| one["annotations"].as_array());
        let mut waits = annotations.flatten().filter(|one| one["key"] == "waitTime");
        waits
            .find(|wait| wait["value"].as_u64() >= Some(1000))
            .map(|_| ())
    });

    // What some send to it is not held against the others.
    let code = "function main(p) { while (p.loop); return { body: 'fine' } }";
    limited("web", code, 300);
    for _ in 0..4 {
        assert_eq!(host.invoke("web", &json!({ "loop": true })).0, 502);
    }
    let fine = (200, json!({ "body": "fine" }));
    assert_eq!(host.invoke("web", &json!({})), fine);
}

#[test]
fn what_was_accepted_outlasts_a_kill_and_nothing_is_begun_twice() {
    if !has("python3") {
        return;
    }
    let data = TempDir::new().unwrap();
    let mut host = Host::start(data.path());
    host.action(
        "slow",
        "python:default",
        "import threading\ndef main(args):\n    threading.Event().wait(600)\n    return {}\n",
    );
    host.action(
        "quick",
        "quickjs:1",
        "function main(p) { return { got: p.n } }",
    );
    host.put(
        "triggers/alarm",
        &json!({ "parameters": [{ "key": "n", "value": 7 }] }),
    );
    for action in ["slow", "quick"] {
        let rule = json!({ "trigger": "/_/alarm", "action": format!("/_/{action}") });
        host.put(&format!("rules/{action}-rule"), &rule);
    }
    let (status, fired) = host.ask("POST", "triggers/alarm", &json!({}));
    assert_eq!(status, 202, "{fired}");
    let done = |host: &Host| host.activations("quick").first().cloned();
    let quick = eventually("the quick one", || done(&host));
    assert_eq!(quick["response"]["result"], json!({ "got": 7 }));
    assert!(host.activations("slow").is_empty(), "it is under way");
    host.kill();

    let host = Host::start(data.path());
    let slow = eventually("the end of what had begun", || {
        host.activations("slow").first().cloned()
    });
    assert_eq!(slow["response"]["status"], "whisk internal error", "{slow}");
    assert_eq!(host.activations("slow").len(), 1);
    assert_eq!(host.activations("quick").len(), 1, "not carried out again");
    // What was defined is there.
    assert_eq!(
        host.invoke("quick", &json!({ "n": 1 })),
        (200, json!({ "got": 1 }))
    );
}

#[test]
fn a_server_has_the_host_with_credentials_of_its_own() {
    let site = Site::new("openwhisk: { host: { listen: \"127.0.0.1:0\" } }\n");
    let server = site.start();
    let file = site.path("conche-data/openwhisk.wskprops");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut host = Host::of(&site);
    assert_ne!(host.key, GUEST);
    site.logged("functions reach this server's own API, which asks for no token");
    host.action("f", "quickjs:1", "function main(p) { return p }");
    let given = json!({ "ip": "192.0.2.1" });
    assert_eq!(host.invoke("f", &given), (200, given.clone()));
    let log = std::fs::read_to_string(site.path("log")).unwrap_or_default();
    assert!(!log.contains(&host.key), "{log}");
    GUEST.clone_into(&mut host.key);
    assert_eq!(host.invoke("f", &given).0, 401);
    drop(server);
}

#[test]
fn functions_in_node_load_from_a_folder_of_modules() {
    if !has("node") {
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let module = data.path().join("modules/greeting");
    std::fs::create_dir_all(&module).unwrap();
    std::fs::write(module.join("index.js"), "exports.text = 'hello'").unwrap();
    for folder in [data.path(), &data.path().join("modules"), &module] {
        let for_all = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder, for_all).unwrap();
    }
    let mut command = Host::command(&data.path().join("data"));
    // As people write it: from where they are.
    command
        .current_dir(data.path())
        .args(["--node-modules", "modules"]);
    let host = Host::started(command);
    let code = "const main = () => ({ text: require('greeting').text })";
    host.action("greet", "nodejs:default", code);
    assert_eq!(
        host.invoke("greet", &json!({})),
        (200, json!({ "text": "hello" }))
    );
}

#[test]
fn what_the_listener_refuses_has_the_form_of_openwhisks_errors() {
    let data = TempDir::new().unwrap();
    let host = Host::start(data.path());
    let mut stream = TcpStream::connect(&host.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!(
        "PUT /api/v1/namespaces/_/actions/large HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: 200000000\r\n\r\n",
        host.address
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 413 "), "{answer}");
    let body: Value = serde_json::from_str(body).unwrap();
    let told = ["error", "code"].map(|member| body[member].as_str().is_some());
    assert_eq!(told, [true, true], "{body}");
}

/// The example functions, what each is given and a part of what it says.
pub(crate) fn examples() -> Vec<(&'static str, Value, Value)> {
    let finding = |id: &str, severity: &str, fixed_by: &str| json!({ "id": id, "severity": severity, "fixed_by": fixed_by });
    let findings = json!([
        finding("CVE-2", "Low", ""),
        finding("CVE-1", "Critical", "1.2.4")
    ]);
    let named = |name: &str, version: &str| json!({ "name": name, "version": version });
    let before = json!({ "components": [named("a", "1"), named("b", "1"), named("d", "1")] });
    let after = json!({ "packages": [
        { "name": "a", "versionInfo": "2" }, { "name": "c", "versionInfo": "1" }, { "name": "d", "versionInfo": "1" }] });
    vec![
        (
            "indicators",
            json!({ "text": "see hxxps://evil[.]example/a, 198.51.100[.]7 and 999.1.1.1", "defang": true }),
            json!({ "urls": ["hxxps://evil[.]example/a"], "ipv4": ["198[.]51[.]100[.]7"], "count": 3 }),
        ),
        (
            "indicators",
            json!({ "text": "a.b@mail.example.org, _x.Sub.Example.com: -foo.net-, c2.example.com.1 and x..y.io" }),
            json!({ "emails": ["a.b@mail.example.org"], "count": 6,
                "domains": ["c2.example.com", "foo.net", "mail.example.org", "sub.example.com", "y.io"] }),
        ),
        // Over which a pattern might go back and forth: a minute was not enough once.
        (
            "indicators",
            json!({ "text": "a.".repeat(20_000) }),
            json!({ "domains": [], "count": 0 }),
        ),
        (
            "enrich-ip",
            json!({ "ip": "198.51.100.7", "networks": {
                "198.51.100.0/24": { "label": "scanner", "score": 80 }, "10.0.0.0/8": { "score": 99 } } }),
            json!({ "known": true, "score": 80, "labels": ["scanner"] }),
        ),
        (
            "sbom-diff",
            json!({ "before": before, "after": after }),
            json!({ "added": [named("c", "1")], "removed": [named("b", "1")],
                "changed": [{ "name": "a", "before": "1", "after": "2" }], "same": 1 }),
        ),
        (
            "score-report",
            json!({ "findings": findings }),
            json!({ "score": 90, "decision": "block", "fixable": 1 }),
        ),
        (
            "advisory",
            json!({ "title": "nginx\n1.25", "decision": "block", "score": 90, "findings": findings }),
            json!({ "subject": "[block] nginx 1.25: 2 findings, score 90",
                "text": "nginx 1.25\nDecision: block\n\n- CVE-1 (Critical): fixed by 1.2.4\n- CVE-2 (Low): no fix yet\n" }),
        ),
    ]
}

#[test]
fn the_example_functions_do_what_they_say_in_the_sandbox_and_in_node() {
    let data = TempDir::new().unwrap();
    let host = Host::start(data.path());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/functions");
    let mut kinds = vec!["quickjs:1"];
    kinds.extend(has("node").then_some("nodejs:default"));
    let told = std::fs::read_dir(&folder).unwrap().flatten();
    let told = told.filter(|file| file.path().extension().is_some_and(|end| end == "js"));
    let mut names: Vec<_> = examples().iter().map(|example| example.0).collect();
    names.dedup();
    // `to-conche` has a test of its own.
    assert_eq!(told.count(), names.len() + 1);
    for kind in kinds {
        for (name, given, wanted) in examples() {
            let code = std::fs::read_to_string(folder.join(format!("{name}.js"))).unwrap();
            host.action(name, kind, &code);
            let (status, answer) = host.invoke(name, &given);
            assert_eq!(status, 200, "{name}, {kind}: {answer}");
            for (member, value) in wanted.as_object().into_iter().flatten() {
                assert_eq!(&answer[member], value, "{name}, {kind}: {member}");
            }
            let (status, answer) = host.invoke(name, &json!({ "findings": 1 }));
            assert!(
                status == 502 || name == "advisory",
                "{name}, {kind}: {answer}"
            );
        }
    }
}
