//! The systemd unit: a whole server with its script workers under the unit's own filter of
//! system calls, by `deploy/as-filtered`. Where that filter cannot be made a line says
//! `skipped:`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use crate::server::{Server, Site, conche};

const CONFIG: &str = "data_dir: data
reactions: { dir: reactions }
sources: [{ id: s, module: webhook, path: /s, event_type: pushed, auth: none }]
";

const REACTION: &str = "name: unit
event: pushed
script: nextAction = 'call'
actions: { call: { module: dummy, action: dummy_action, script: 'var seen = result' } }
";

fn deploy(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../deploy")
        .join(name)
}

/// A command under the unit's filter.
fn filtered(program: &str) -> Command {
    let mut command = Command::new(deploy("as-filtered"));
    for (name, value) in conche().get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.arg(deploy("conche.service")).arg(program);
    command
}

/// Not by `println!`, which the test harness keeps to itself.
fn tell(text: &str) {
    writeln!(std::io::stdout(), "{text}").expect("standard output is open");
}

#[test]
fn a_server_and_its_script_workers_run_under_the_units_filter() {
    let probe = filtered("/bin/true").output();
    if !probe.as_ref().is_ok_and(|output| output.status.success()) {
        return tell(&format!(
            "skipped: the unit's filter cannot be made here: {probe:?}"
        ));
    }
    // What the filter is there for: without the privilege it has nothing to give either.
    let refused = filtered("/bin/chown").args(["0:0", "/dev/null"]).output();
    let error = String::from_utf8(refused.unwrap().stderr).unwrap();
    assert!(error.contains("Operation not permitted"), "{error}");

    let site = Site::new(CONFIG);
    site.write("reactions/unit.yaml", REACTION);
    let mut command = filtered(env!("CARGO_BIN_EXE_conche"));
    command.arg("serve").current_dir(site.path(""));
    let server = Server::start(command, &site.path("log"));
    assert_eq!(server.post("/s", "{}"), 202);
    server.run_with("unit", "succeeded");
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let filters = status
        .lines()
        .find_map(|line| line.strip_prefix("Seccomp_filters:"));
    tell(&format!(
        "the unit's filter: a server under {} filter of system calls took an event and ran its scripts in their workers",
        filters.unwrap_or("?").trim()
    ));
}
