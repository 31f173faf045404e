//! A host with WinRM, as a process on a free port: it lets in by Basic and by a real NTLM
//! acceptor (pyspnego), runs scripts with `sh`, and writes down what it was asked to do.

use std::path::Path;
use std::time::Duration;

use conche_modules::{BuildContext, Error};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::peers::{Process, certificates, listens, port, python, skipped, words};
use crate::support::{action, call, context};

/// The password of `soc`, and of `CORP\anna`.
pub(super) const PASSWORD: &str = "right-Pässwörd";

pub(super) struct Windows {
    pub(super) folder: TempDir,
    pub(super) port: u16,
    how: &'static str,
    _process: Process,
}

impl Windows {
    /// Starts one that lets in by `basic`, `ntlm` or `both`; `None`, said aloud, where the
    /// packages for it are missing.
    pub(super) async fn start(how: &'static str) -> Option<Self> {
        let package = if how == "basic" { "ssl" } else { "spnego" };
        let known = std::process::Command::new(python())
            .args(["-c", &format!("import {package}")])
            .output();
        if !known.is_ok_and(|done| done.status.success()) {
            skipped(&format!("Python's {package} is not installed"));
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        certificates(folder.path());
        let users = format!(":soc:{PASSWORD}\nCORP:anna:{PASSWORD}\n");
        std::fs::write(folder.path().join("users"), users).unwrap();
        let port = port();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/winrm_server.py");
        let program = words(&[
            python().to_str().unwrap(),
            script.to_str().unwrap(),
            &port.to_string(),
            how,
        ]);
        let process = Process::start(folder.path(), &[], &program);
        listens(port).await;
        Some(Self {
            folder,
            port,
            how,
            _process: process,
        })
    }

    /// Says what goes wrong from now on; nothing for "".
    pub(super) fn fault(&self, fault: &str) {
        std::fs::write(self.folder.path().join("fault"), fault).unwrap();
    }

    /// What it did since this was asked last.
    pub(super) fn done(&self) -> Vec<Value> {
        let journal = self.folder.path().join("journal");
        let text = std::fs::read_to_string(&journal).unwrap_or_default();
        std::fs::remove_file(&journal).ok();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    pub(super) fn context(&self) -> BuildContext {
        let secrets = self.folder.path().join("secrets");
        std::fs::create_dir_all(&secrets).unwrap();
        let all = [("right", PASSWORD), ("wrong", "wrong-password")];
        context(&secrets, &all)
    }

    pub(super) fn config(&self) -> Value {
        let scheme = if self.how == "basic" { "basic" } else { "ntlm" };
        json!({ "winrm": {
            "tls": { "ca_file": self.folder.path().join("ca.pem") },
            "authentication": scheme, "poll": "1s",
        }})
    }

    /// The host as a target that `user` logs in to.
    pub(super) fn target(&self, user: &str, password: &str) -> Value {
        json!({
            "id": "net-address--1", "type": "net-address", "name": "box",
            "address": { "url": [format!("https://127.0.0.1:{}", self.port)] },
            "authentication": {
                "id": "user-auth--1", "type": "user-auth", "user": user,
                "password": { "secret": password },
            },
        })
    }

    pub(super) async fn run(&self, script: &str) -> Result<Value, Error> {
        self.run_as("soc", "right", script).await
    }

    pub(super) async fn run_as(
        &self,
        user: &str,
        password: &str,
        script: &str,
    ) -> Result<Value, Error> {
        let target = self.target(user, password);
        run(&self.config(), &self.context(), &target, (script, 10)).await
    }
}

/// Runs a script on a target within so many seconds.
pub(super) async fn run(
    config: &Value,
    cx: &BuildContext,
    target: &Value,
    (script, seconds): (&str, u64),
) -> Result<Value, Error> {
    let module = action("powershell", config.clone(), cx).unwrap();
    let input = json!({
        "command": { "type": "powershell", "command": script },
        "agent": { "id": "conche--1", "type": "conche", "name": "conche" },
        "target": target,
    });
    let mut call = call("execute", &input);
    call.timeout = Duration::from_secs(seconds);
    let output = module.invoke(&call).await;
    output.map(|output| output.read().unwrap())
}

/// How often each kind of thing was done.
pub(super) fn counted(done: &[Value]) -> Value {
    let kinds = ["create", "command", "signal", "delete"];
    kinds
        .iter()
        .map(|kind| {
            let count = done.iter().filter(|entry| entry.get(kind).is_some());
            ((*kind).to_owned(), Value::from(count.count()))
        })
        .collect()
}

/// What [`counted`] gives where one script was run, and by the host's word ended.
pub(super) fn once() -> Value {
    json!({ "create": 1, "command": 1, "signal": 0, "delete": 1 })
}
