//! The server as its users meet it: events by webhook, reactions from files, signals.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::server::{PATIENCE, Site, conche, eventually};

const HOOK: &str = "sources:\n  - { id: hook, module: webhook, path: /hook, event_type: hook.fired, auth: none }\n";

const REACTION: &str = r#"name: hello
event: hook.fired
script: |
  console.log("saw", event.n);
  nextAction = "say";
  result = { dummy_string: "n=" + event.n };
actions:
  say: { module: dummy, action: dummy_action, script: "console.log(actionData.dummykey)" }
"#;

#[test]
fn a_webhook_starts_a_run_that_scripts_and_actions_carry_out() {
    let site = Site::new(HOOK);
    site.write("reactions/hello.yaml", REACTION);
    let server = site.start();
    assert_eq!(server.post("/hook", r#"{"n":5}"#), 202);
    let run = server.run_with("hello", "succeeded");
    assert_eq!(run["steps"][0]["console"][0]["text"], "saw 5");
    assert_eq!(run["steps"][1]["input"]["dummy_string"], "n=5");
    assert_eq!(run["steps"][1]["attempts"], 1);
    assert_eq!(run["steps"][2]["console"][0]["text"], "dummyvalue");
    let log = std::fs::read_to_string(site.path("log")).unwrap();
    assert!(log.contains(run["run_id"].as_str().unwrap()), "{log}");
}

#[test]
fn the_data_folder_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::new("");
    let _server = site.start();
    let mode = std::fs::metadata(site.path("conche-data"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_changed_reaction_is_in_force_soon_and_a_bad_one_leaves_the_last_good_one() {
    let site = Site::new(HOOK);
    site.write("reactions/hello.yaml", REACTION);
    let server = site.start();
    let digest = |name: &str| {
        let info = server.ask(&["reactions", "show", name]);
        info["digest"].as_str().unwrap().to_owned()
    };
    let first = digest("hello");
    site.write("reactions/hello.yaml", &REACTION.replace("saw", "noticed"));
    let second = eventually("the new version", || {
        Some(digest("hello")).filter(|now| *now != first)
    });
    site.write("reactions/hello.yaml", "name: hello\nevnt: x\n");
    site.logged("reaction file refused");
    assert_eq!(digest("hello"), second);
    assert_eq!(server.post("/hook", r#"{"n":1}"#), 202);
    let run = server.run_with("hello", "succeeded");
    assert_eq!(run["steps"][0]["console"][0]["text"], "noticed 1");
}

#[test]
fn sigterm_ends_the_server_in_order() {
    let site = Site::new(HOOK);
    site.write("reactions/hello.yaml", REACTION);
    let server = site.start();
    for n in 0..20 {
        assert_eq!(server.post("/hook", &format!("{{\"n\":{n}}}")), 202);
    }
    server.signal("TERM");
    let began = Instant::now();
    assert_eq!(server.ended().code(), Some(0));
    assert!(
        began.elapsed() < Duration::from_secs(25),
        "{:?}",
        began.elapsed()
    );
    // What was acknowledged is there, and is finished.
    let server = site.start();
    eventually("the end of all runs", || {
        let page = server.ask(&["runs", "list", "--status", "succeeded"]);
        (page["runs"].as_array()?.len() == 20).then_some(())
    });
}

#[test]
fn a_server_that_is_killed_finishes_its_runs_after_the_next_start() {
    let site = Site::new(HOOK);
    site.write("reactions/hello.yaml", REACTION);
    let server = site.start();
    for n in 0..20 {
        assert_eq!(server.post("/hook", &format!("{{\"n\":{n}}}")), 202);
    }
    server.signal("KILL");
    assert_eq!(server.ended().code(), None);
    let server = site.start();
    eventually("the end of all runs", || {
        let page = server.ask(&["runs", "list"]);
        let runs = page["runs"].as_array()?;
        let done = runs.iter().all(|run| run["status"] == "succeeded");
        (runs.len() == 20 && done).then_some(())
    });
}

#[test]
fn script_workers_end_with_a_server_that_is_killed() {
    let site = Site::new("limits: { script_workers: 2 }\n");
    let server = site.start();
    let workers = children(server.pid());
    assert_eq!(workers.len(), 2);
    server.signal("KILL");
    server.ended();
    eventually("the end of the workers", || {
        let alive = workers.iter().any(|pid| is_worker(*pid));
        (!alive).then_some(())
    });
}

fn children(parent: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{parent}/task")).unwrap();
    let lists =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace()
                .map(|pid| pid.parse().unwrap())
                .collect::<Vec<u32>>()
        })
        .collect()
}

fn is_worker(pid: u32) -> bool {
    let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.contains("--script-worker")
}

#[test]
fn a_token_is_asked_for_where_the_configuration_says_so() {
    let site = Site::new("");
    site.write("token", "opensesame\n");
    let config = "secrets: { admin: { file: token } }\napi: { listen: \"127.0.0.1:0\", auth: token, token: { secret: admin } }\nwebhooks: { listen: null }\n";
    site.write("conche.yaml", config);
    let server = site.start();
    let list = |token: Option<&str>| {
        let mut command = server.client(&["runs", "list"]);
        if let Some(token) = token {
            command.env("CONCHE_TOKEN", token);
        }
        command.output().unwrap()
    };
    assert!(list(Some("opensesame")).status.success());
    for wrong in [None, Some("wrong")] {
        let refused = list(wrong);
        assert_eq!(refused.status.code(), Some(1));
        let error = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(error.contains("401"), "{error}");
    }
    let file = site.path("token");
    let by_file = server
        .client(&["runs", "list", "--token-file"])
        .arg(file)
        .output()
        .unwrap();
    assert!(by_file.status.success());
}

#[test]
fn a_listener_open_to_the_network_needs_its_owners_word() {
    let site = Site::new("");
    site.write(
        "conche.yaml",
        "api: { listen: \"0.0.0.0:0\" }\nwebhooks: { listen: null }\n",
    );
    let refused = site.command(&["serve"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(error.contains("allow_unauthenticated: true"), "{error}");
    assert!(!site.path("conche-data").exists());
    let mut allowed = site.command(&["serve", "--allow-unauthenticated"]);
    let mut child = allowed
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let stdout = child.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.starts_with("listening api=0.0.0.0:"), "{line}");
}

#[test]
fn two_servers_never_share_a_data_folder() {
    let site = Site::new("");
    let _server = site.start();
    let second = site.command(&["serve"]).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let error = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(error.contains("another process holds"), "{error}");
}

#[test]
fn two_webhooks_of_one_path_are_refused_before_anything_starts() {
    let site = Site::new(
        "sources:\n  - { id: a, module: webhook, path: /x, event_type: a, auth: none }\n  - { id: b, module: webhook, path: /x, event_type: b, auth: none }\n",
    );
    for verb in [&["serve"][..], &["config", "check"]] {
        let refused = site.command(verb).output().unwrap();
        assert_eq!(refused.status.code(), Some(1));
        let error = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(error.contains("conche.yaml:5:"), "{error}");
        assert!(
            error.contains("the source `a` has the path /x already"),
            "{error}"
        );
    }
    assert!(!site.path("conche-data").exists());
}

#[test]
fn a_client_without_a_server_says_where_it_looked() {
    let output = conche()
        .args(["runs", "list", "--server", "http://127.0.0.1:9"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        error.contains("http://127.0.0.1:9/") && error.contains("--server"),
        "{error}"
    );
}

#[test]
fn a_second_signal_ends_a_server_that_still_drains() {
    let site = Site::new(HOOK);
    let mut server = site.start();
    // A delivery whose body never comes: it is waited for.
    let mut stream = TcpStream::connect(&server.webhooks).unwrap();
    let head = format!(
        "POST /hook HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n",
        server.webhooks
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100");
    server.signal("INT");
    site.logged("stopping");
    let began = Instant::now();
    let code = eventually("the end at once", || {
        server.signal("INT");
        server.has_ended()
    });
    assert_eq!(code.code(), Some(130));
    // Those of the first second were one word.
    assert!(
        began.elapsed() > Duration::from_millis(900),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn a_doubled_signal_still_ends_the_server_in_order() {
    let site = Site::new(HOOK);
    let server = site.start();
    server.signal("INT");
    server.signal("INT");
    assert_eq!(server.ended().code(), Some(0));
    site.logged("stopped=");
}

#[test]
fn a_secret_that_is_not_set_is_told_at_the_start_with_who_needs_it() {
    let site = Site::new(
        "secrets: { hook: { env: NOT_SET_ANYWHERE } }\nsources: [{ id: s, module: webhook, path: /s, event_type: s, auth: { bearer: { secret: hook } } }]\n",
    );
    let _server = site.start();
    site.logged("NOT_SET_ANYWHERE is not set needed_by=\"sources[0].auth.bearer\"");
}

#[test]
fn the_service_manager_is_told_of_readiness_and_of_the_end() {
    let site = Site::new("");
    let path = site.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let told = || {
        let mut state = [0; 64];
        let length = socket.recv(&mut state).unwrap();
        String::from_utf8_lossy(&state[..length]).into_owned()
    };
    let server = site.start_with(|command| command.env("NOTIFY_SOCKET", &path));
    assert_eq!(told(), "READY=1");
    server.signal("TERM");
    assert_eq!(told(), "STOPPING=1");
    assert_eq!(server.ended().code(), Some(0));
}

#[test]
fn the_log_is_json_where_that_is_asked_for() {
    let site = Site::new(HOOK);
    site.write("reactions/hello.yaml", REACTION);
    let server = site.start_with(|command| command.env("CONCHE_LOG_FORMAT", "json"));
    assert_eq!(server.post("/hook", "{}"), 202);
    let run = server.run_with("hello", "succeeded");
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0));
    let log = std::fs::read_to_string(site.path("log")).unwrap();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let about = lines.iter().filter(|line| line["run_id"] == run["run_id"]);
    assert!(about.count() > 0, "{log}");
}
