//! An OpenSSH server of one's own, on a free port, with its own host key, for the user who runs
//! the tests; and what a playbook's step needs to log in to it.

use std::path::{Path, PathBuf};
use std::process::Command;

use conche_modules::{BuildContext, Error};
use nix::unistd::{User, geteuid};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::peers::{Process, installed, listens, port, words};
use crate::support::{action, call, context};

/// The user that runs the tests, and that the server lets in.
pub(crate) fn user() -> String {
    User::from_uid(geteuid()).unwrap().unwrap().name
}

/// Runs a program to its end and gives what it wrote.
pub(crate) fn tool(folder: &Path, program: &str, args: &[&str]) -> String {
    let mut command = Command::new(program);
    let done = command.args(args).current_dir(folder).output().unwrap();
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{program} {args:?}: {errors}");
    String::from_utf8(done.stdout).unwrap()
}

/// Makes a key pair `name` and `name.pub`; the passphrase may be empty.
pub(crate) fn make_key(folder: &Path, name: &str, kind: &str, passphrase: &str) {
    let args = ["-q", "-t", kind, "-N", passphrase, "-C", "test", "-f", name];
    tool(folder, "ssh-keygen", &args);
}

pub(crate) struct Sshd {
    pub(crate) folder: TempDir,
    pub(crate) port: u16,
    process: Option<Process>,
}

impl Sshd {
    /// Starts one that lets the key `user` in; `None`, said aloud, where there is no sshd.
    pub(crate) async fn start(more: &str) -> Option<Self> {
        installed("sshd")?;
        if geteuid().is_root() {
            std::fs::create_dir_all("/run/sshd").unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        make_key(folder.path(), "host", "ed25519", "");
        make_key(folder.path(), "user", "ed25519", "");
        let mut sshd = Self {
            port: port(),
            folder,
            process: None,
        };
        sshd.let_in(&["user"]);
        sshd.run(more).await;
        Some(sshd)
    }

    async fn run(&mut self, more: &str) {
        let place = self.path("").display().to_string();
        let config = format!(
            "Port {}\nListenAddress 127.0.0.1\nListenAddress ::1\nHostKey {place}host\n\
             AuthorizedKeysFile {place}keys\nStrictModes no\nUsePAM no\nPidFile none\n\
             PermitRootLogin yes\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\n{more}\n",
            self.port
        );
        std::fs::write(self.path("conf"), config).unwrap();
        let program = installed("sshd").unwrap();
        let program = words(&[program.to_str().unwrap(), "-D", "-e", "-f", "conf"]);
        self.process = Some(Process::start(self.folder.path(), &[], &program));
        listens(self.port).await;
    }

    /// Starts it anew with more lines of configuration.
    pub(crate) async fn restart(&mut self, more: &str) {
        self.process.take().unwrap().kill().await;
        self.run(more).await;
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Lets exactly these keys in.
    pub(crate) fn let_in(&self, names: &[&str]) {
        let keys: String = names
            .iter()
            .map(|name| self.read(&format!("{name}.pub")))
            .collect();
        std::fs::write(self.path("keys"), keys).unwrap();
    }

    /// `SHA256:…` of a key.
    pub(crate) fn fingerprint(&self, key: &str) -> String {
        let key = format!("{key}.pub");
        let line = tool(self.folder.path(), "ssh-keygen", &["-lf", &key]);
        line.split(' ').nth(1).unwrap().to_owned()
    }

    /// What `known_hosts` has for these names of the server.
    pub(crate) fn known_as(&self, names: &str) -> String {
        format!("{names} {}", self.read("host.pub"))
    }

    /// The server's names at its port.
    pub(crate) fn names(&self) -> String {
        let port = self.port;
        format!("[127.0.0.1]:{port},[::1]:{port},[localhost]:{port}")
    }

    /// A context with the key `user` as a secret, and loopback allowed.
    pub(crate) fn context(&self) -> BuildContext {
        self.context_with(&[])
    }

    /// The same with more secrets.
    pub(crate) fn context_with(&self, more: &[(&str, &str)]) -> BuildContext {
        let secrets = self.folder.path().join("secrets");
        std::fs::create_dir_all(&secrets).unwrap();
        let key = self.read("user");
        let mut all = vec![("user", key.as_str())];
        all.extend_from_slice(more);
        let mut cx = context(&secrets, &all);
        cx.egress = cx.egress.opened_to(&["::1".parse().unwrap()]).into();
        cx
    }

    /// A configuration that knows the server by `known_hosts` and logs in with the key `user`.
    pub(crate) fn config(&self) -> Value {
        std::fs::write(self.path("known"), self.known_as(&self.names())).unwrap();
        json!({ "known_hosts": self.path("known"), "keys": { user(): { "key": { "secret": "user" } } } })
    }

    /// The server as a target.
    pub(crate) fn target(&self) -> Value {
        json!({
            "id": "ssh--1", "type": "ssh", "name": "box", "port": self.port.to_string(),
            "address": { "ipv4": ["127.0.0.1"] },
            "authentication": { "id": "user-auth--1", "type": "user-auth", "user": user() },
        })
    }

    /// Runs a command on the server with the usual configuration.
    pub(crate) async fn execute(&self, command: &str) -> Result<Value, Error> {
        execute(
            &self.config(),
            &self.context(),
            &step(command, &self.target()),
        )
        .await
    }
}

/// The input of a step with one `ssh` command for one target.
pub(crate) fn step(command: &str, target: &Value) -> Value {
    json!({
        "command": { "type": "ssh", "command": command },
        "agent": { "id": "conche--1", "type": "conche", "name": "conche" },
        "target": target,
    })
}

/// Builds `ssh` and executes.
pub(crate) async fn execute(
    config: &Value,
    cx: &BuildContext,
    input: &Value,
) -> Result<Value, Error> {
    let module = action("ssh", config.clone(), cx).unwrap();
    let output = module.invoke(&call("execute", input)).await;
    output.map(|output| output.read().unwrap())
}

/// The message of a failure that the same input would meet again.
pub(crate) fn permanent(result: Result<Value, Error>) -> String {
    match result {
        Err(Error::Permanent(message)) => message,
        other => panic!("{other:?}"),
    }
}

/// The message of a failure of which nobody knows what was done.
pub(crate) fn uncertain(result: Result<Value, Error>) -> String {
    match result {
        Err(Error::Uncertain(message)) => message,
        other => panic!("{other:?}"),
    }
}

/// The message of a failure before anything was done.
pub(crate) fn retried(result: Result<Value, Error>) -> String {
    match result {
        Err(Error::Retry { message, .. }) => message,
        other => panic!("{other:?}"),
    }
}
