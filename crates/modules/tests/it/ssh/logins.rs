//! Who logs in, and by what.

use std::path::Path;

use conche_modules::{BuildContext, Error};
use conche_runtime::secrets::{PlaybookGrant, PlaybookGrants};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::server::{Sshd, execute, make_key, permanent, step, tool, user};
use crate::peers::{Process, listens, port, python, skipped, words};
use crate::running::until;
use crate::support::context;

#[tokio::test]
async fn keys_of_every_kind_log_in_and_a_passphrase_opens_them() {
    let Some(sshd) = Sshd::start("").await else {
        return;
    };
    let config = json!({ "known_hosts": sshd.config()["known_hosts"] });
    for (kind, passphrase) in [
        ("ed25519", ""),
        ("ecdsa", ""),
        ("rsa", ""),
        ("ed25519", "open sesame"),
    ] {
        let name = format!("{kind}{}", passphrase.len());
        make_key(sshd.folder.path(), &name, kind, passphrase);
        sshd.let_in(&[&name]);
        let cx = sshd.context_with(&[("own", &sshd.read(&name)), ("words", passphrase)]);
        let mut target = sshd.target();
        target["authentication"] = json!({
            "id": "private-key--1", "type": "private-key", "user": user(), "private_key": { "secret": "own" },
        });
        if !passphrase.is_empty() {
            let locked = permanent(execute(&config, &cx, &step("id", &target)).await);
            assert!(locked.contains("needs a passphrase"), "{locked}");
            target["authentication"]["password"] = json!({ "secret": "words" });
        }
        let done = execute(&config, &cx, &step("echo in", &target)).await;
        assert_eq!(done.unwrap()["stdout"], "in\n", "{name}");
    }
}

#[tokio::test]
async fn a_configured_key_with_its_passphrase_stands_in_where_the_playbook_has_none() {
    let Some(sshd) = Sshd::start("").await else {
        return;
    };
    make_key(sshd.folder.path(), "own", "ed25519", "open sesame");
    sshd.let_in(&["own"]);
    let cx = sshd.context_with(&[("own", &sshd.read("own")), ("words", "open sesame")]);
    let key = json!({ "key": { "secret": "own" }, "passphrase": { "secret": "words" } });
    let config = json!({
        "known_hosts": sshd.config()["known_hosts"], "user": user(), "keys": { user(): key },
    });
    let mut target = sshd.target();
    target.as_object_mut().unwrap().remove("authentication");
    let done = execute(&config, &cx, &step("id -un", &target)).await;
    assert_eq!(done.unwrap()["stdout"], format!("{}\n", user()));
}

#[tokio::test]
async fn an_agent_signs_for_the_login() {
    let Some(sshd) = Sshd::start("").await else {
        return;
    };
    let socket = sshd.path("agent");
    let text = socket.to_str().unwrap();
    let program = words(&["ssh-agent", "-D", "-a", text]);
    let folder = tempfile::tempdir().unwrap();
    let _agent = Process::start(folder.path(), &[], &program);
    until("the agent to listen", async || socket.exists()).await;
    let config = json!({ "known_hosts": sshd.config()["known_hosts"], "agent": text });
    let empty = permanent(execute(&config, &sshd.context(), &step("id", &sshd.target())).await);
    assert!(empty.contains("no key to offer"), "{empty}");
    let add = format!("SSH_AUTH_SOCK='{text}' ssh-add -q user");
    tool(sshd.folder.path(), "sh", &["-c", &add]);
    let done = execute(&config, &sshd.context(), &step("echo in", &sshd.target())).await;
    assert_eq!(done.unwrap()["stdout"], "in\n");
}

#[tokio::test]
async fn a_key_that_the_host_does_not_know_is_refused_for_good() {
    let Some(sshd) = Sshd::start("").await else {
        return;
    };
    make_key(sshd.folder.path(), "other", "ed25519", "");
    sshd.let_in(&["other"]);
    let message = permanent(sshd.execute("id").await);
    let expected = format!(
        "the host refused `{}` (tried: key; it takes: publickey)",
        user()
    );
    assert!(message.contains(&expected), "{message}");
}

#[tokio::test]
async fn without_credentials_nothing_is_connected_to() {
    let Some(sshd) = Sshd::start("").await else {
        return;
    };
    let config = json!({ "known_hosts": sshd.config()["known_hosts"] });
    let message = permanent(execute(&config, &sshd.context(), &step("id", &sshd.target())).await);
    assert!(message.contains("there are no credentials"), "{message}");
    let mut target = sshd.target();
    target["authentication"]["password"] = json!({ "secret": "nowhere" });
    let message = permanent(execute(&config, &sshd.context(), &step("id", &target)).await);
    assert!(message.contains("no secret `nowhere`"), "{message}");
    target.as_object_mut().unwrap().remove("authentication");
    let message = permanent(execute(&config, &sshd.context(), &step("id", &target)).await);
    assert!(message.contains("nobody is named to log in"), "{message}");
}

#[tokio::test]
async fn a_secret_has_to_be_for_every_address_of_the_host() {
    let folder = tempfile::tempdir().unwrap();
    let cx = context(folder.path(), &[("right", "right-password")]);
    let target = json!({
        "id": "ssh--1", "type": "ssh", "name": "box",
        "address": { "dname": ["fw.example.com"], "ipv4": ["192.0.2.1"] },
        "authentication": { "type": "user-auth", "user": "soc", "password": { "secret": "right" } },
    });
    let grant = |hosts: &[&str]| PlaybookGrant {
        hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
        ..PlaybookGrant::default()
    };
    for (hosts, refused) in [
        (&["fw.example.com"][..], "is not for 192.0.2.1"),
        (&["192.0.2.1:22"], "is not for fw.example.com"),
        (
            &["192.0.2.1:2222", "fw.example.com"],
            "is not for 192.0.2.1",
        ),
    ] {
        cx.secrets.grant_to_playbooks(PlaybookGrants {
            secrets: [("right".to_owned(), grant(hosts))].into(),
            plain_http: Vec::new(),
        });
        let message = permanent(execute(&json!({}), &cx, &step("id", &target)).await);
        assert!(message.contains(refused), "{message}");
    }
}

/// AsyncSSH, which takes the password `right-password` of `soc`.
pub(super) struct Asking {
    folder: TempDir,
    port: u16,
    _process: Process,
}

impl Asking {
    pub(super) async fn start(how: &str) -> Option<Self> {
        let known = std::process::Command::new(python())
            .args(["-c", "import asyncssh"])
            .output();
        if !known.is_ok_and(|done| done.status.success()) {
            skipped("asyncssh is not installed");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        make_key(folder.path(), "host", "ed25519", "");
        let port = port();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/ssh_server.py");
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
            _process: process,
        })
    }

    pub(super) fn context(&self) -> BuildContext {
        let secrets = self.folder.path().join("secrets");
        std::fs::create_dir_all(&secrets).unwrap();
        let all = [("right", "right-password"), ("wrong", "wrong-password")];
        context(&secrets, &all)
    }

    /// What it wrote.
    pub(super) fn output(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("output")).unwrap()
    }

    pub(super) fn config(&self) -> Value {
        let key = std::fs::read_to_string(self.folder.path().join("host.pub")).unwrap();
        json!({ "host_keys": { format!("[127.0.0.1]:{}", self.port): [key] } })
    }

    /// The server as a target that `soc` logs in to with one of the two passwords.
    pub(super) fn target(&self, password: &str) -> Value {
        json!({
            "id": "ssh--1", "type": "ssh", "name": "box", "port": self.port.to_string(),
            "address": { "ipv4": ["127.0.0.1"] },
            "authentication": { "type": "user-auth", "user": "soc", "password": { "secret": password } },
        })
    }

    async fn execute(&self, password: &str) -> Result<Value, Error> {
        let input = step("whoami", &self.target(password));
        execute(&self.config(), &self.context(), &input).await
    }
}

#[tokio::test]
async fn a_password_logs_in_by_either_way_of_asking_and_a_wrong_one_is_never_shown() {
    for how in ["password", "questions"] {
        let Some(server) = Asking::start(how).await else {
            return;
        };
        let done = server.execute("right").await.unwrap();
        // The server tells the password back.
        assert_eq!(done["stdout"], "whoami as soc with ***right***\n", "{how}");
        let message = permanent(server.execute("wrong").await);
        assert!(message.contains("the host refused `soc`"), "{message}");
        assert!(!message.contains("wrong-password"), "{message}");
    }
}

#[tokio::test]
async fn a_host_that_asks_for_more_than_a_password_gets_none() {
    let Some(server) = Asking::start("code").await else {
        return;
    };
    let message = permanent(server.execute("right").await);
    assert!(message.contains("for more than a password"), "{message}");
}
