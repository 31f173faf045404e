//! The program as the first process of a container.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::openwhisk::{Host, has};
use crate::server::{conche, eventually};

/// A command that is the first process of a room of its own; none, visibly, where that can't be.
fn first(command: &Command) -> Option<Command> {
    let mut room = Command::new("unshare");
    room.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
    let works = room.arg("true").stderr(Stdio::null()).status();
    if !works.is_ok_and(|status| status.success()) {
        let mut out = std::io::stdout();
        writeln!(out, "skipped: no process can be a first one here").unwrap();
        return None;
    }
    let mut room = Command::new("unshare");
    room.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
    room.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => room.env(name, value),
            None => room.env_remove(name),
        };
    }
    Some(room)
}

/// The fields of `/proc/PID/stat` from the state on.
fn stat(pid: u32) -> Option<(char, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((state, fields.next()?.parse().ok()?))
}

fn children(parent: u32) -> Vec<(u32, char)> {
    let all = Path::new("/proc").read_dir().unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let children = pids.filter_map(|pid| {
        let (state, of) = stat(pid)?;
        (of == parent).then_some((pid, state))
    });
    children.collect()
}

#[test]
fn what_functions_leave_is_buried_by_the_first_process() {
    let data = tempfile::tempdir().unwrap();
    let Some(room) = first(&Host::command(data.path())) else {
        return;
    };
    if !has("python3") {
        return println!("skipped: no python");
    }
    let mut host = Host::started(room);
    let orphans = "import os
def main(args):
    for _ in range(20):
        child = os.fork()
        if child == 0:
            if os.fork() == 0: os._exit(0)
            os._exit(0)
        os.waitpid(child, 0)
    return {}";
    host.action("orphans", "python:default", orphans);
    assert_eq!(host.invoke("orphans", &json!({})), (200, json!({})));
    let [(first, _)] = children(host.pid())[..] else {
        panic!("one process is the first");
    };
    let [(server, _)] = children(first)[..] else {
        panic!("{:?}", children(first));
    };
    eventually("all are buried", || {
        let of_both = [children(first), children(server)].concat();
        (!of_both.iter().any(|(_, state)| *state == 'Z')).then_some(())
    });
    // What stops a container reaches the server, and its end is the end of all.
    let told = Command::new("kill").arg(first.to_string()).status();
    assert!(told.unwrap().success());
    assert_eq!(host.ended().code(), Some(0));
}

#[test]
fn the_first_process_ends_as_the_program_does() {
    let mut command = conche();
    command.arg0("conche").args(["validate", "/no/such/file"]);
    let Some(mut room) = first(&command) else {
        return;
    };
    let (alone, within) = (command.output().unwrap(), room.output().unwrap());
    assert_ne!(alone.status.code(), Some(0));
    assert_eq!(within.status.code(), alone.status.code());
    assert_eq!(within.stderr, alone.stderr);
}
