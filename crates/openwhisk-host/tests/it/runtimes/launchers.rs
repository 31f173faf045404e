//! The launchers by themselves, asked in an order that the host never asks in.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use conche_openwhisk_host::runtimes::{CAGE_ARGUMENT, Programs};
use serde_json::{Value, json};

struct Talk {
    child: Child,
    answers: BufReader<UnixStream>,
}

impl Talk {
    fn start(program: &Path, launcher: &str) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/runtimes/launchers");
        let plan = json!({
            "program": program,
            "args": [folder.join(launcher)],
            "cwd": "/",
            "host": std::process::id(),
            "requests_on_stdin": false,
            "user": null,
            "limits": {
                "data": 1_u64 << 30, "file": 0, "descriptors": 100, "processes": u64::MAX
            },
            "readable": ["/"],
            "writable": [],
            "network": false,
        });
        let child = Command::new(env!("CARGO_BIN_EXE_conche-function-cage"))
            .args([CAGE_ARGUMENT, &plan.to_string()])
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The environment: a length, and an object.
        (&ours).write_all(b"\x02\0\0\0{}").unwrap();
        Self {
            child,
            answers: BufReader::new(ours),
        }
    }

    fn ask(&mut self, request: &Value) -> String {
        let line = format!("{request}\n");
        self.answers.get_mut().write_all(line.as_bytes()).unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        answer.trim_end().to_owned()
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn init(code: &str) -> Value {
    json!({ "init": { "main": "main", "code": code, "dir": null, "env": {} } })
}

fn run() -> Value {
    json!({ "value": {} })
}

#[test]
fn node_takes_one_start_and_no_call_before_it_or_after_a_throw() {
    let Some(node) = Programs::installed().node.into_iter().next() else {
        return println!("skipped: no node");
    };
    let mut talk = Talk::start(&node, "node.js");
    assert_eq!(talk.ask(&run()), r#"!{"error":"System not initialized."}"#);
    let code = "const main = ({ t }) => { throw new Error('T') }";
    assert_eq!(talk.ask(&init(code)), r#"{"ok":true}"#);
    let twice = r#"!{"error":"Cannot initialize the action more than once."}"#;
    assert_eq!(talk.ask(&init(code)), twice);
    assert_eq!(
        talk.ask(&run()),
        r#"!{"error":"An error has occurred: Error: T"}"#
    );
    let stopped = r#"!{"error":"System not ready, status is stopped."}"#;
    assert_eq!(talk.ask(&run()), stopped);
}

#[test]
fn python_takes_one_start_and_no_call_before_it() {
    let Some(python) = Programs::installed().python.into_iter().next() else {
        return println!("skipped: no python");
    };
    let mut talk = Talk::start(&python, "python.py");
    assert_eq!(talk.ask(&run()), r#"!{"error": "no action defined yet"}"#);
    let code = "def main(args): return {'a': 1}";
    assert_eq!(talk.ask(&init(code)), r#"{"ok": true}"#);
    let twice = r#"!{"error": "Cannot initialize the action more than once."}"#;
    assert_eq!(talk.ask(&init(code)), twice);
    assert_eq!(talk.ask(&run()), r#"{"a": 1}"#);
}

#[test]
fn a_cage_that_can_not_be_built_starts_nothing_and_says_why() {
    let cage = env!("CARGO_BIN_EXE_conche-function-cage");
    for arguments in [
        &[][..],
        &["--other"],
        &[CAGE_ARGUMENT],
        &[CAGE_ARGUMENT, "{}"],
    ] {
        let ended = Command::new(cage).args(arguments).output().unwrap();
        assert_eq!(ended.status.code(), Some(70), "{arguments:?}");
        assert!(!ended.stderr.is_empty() && ended.stdout.is_empty());
    }
    let mut talk = Talk::start(Path::new("/no/such/program"), "node.js");
    let answer = talk.ask(&run());
    assert!(
        answer.starts_with("?cannot execute /no/such/program: "),
        "{answer}"
    );
}
