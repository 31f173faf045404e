//! A Mosquitto that lets in who knows the password.

use std::path::Path;

use serde_json::{Value, json};
use tokio::process::Command;

use super::PASSWORD;
use crate::peers::{Process, installed, listens, port, words};

pub(super) struct Broker {
    pub(super) folder: tempfile::TempDir,
    pub(super) port: u16,
    process: Option<Process>,
}

impl Broker {
    pub(super) async fn start() -> Option<Self> {
        installed("mosquitto")?;
        let folder = tempfile::tempdir().unwrap();
        let made = Command::new(installed("mosquitto_passwd")?)
            .args(["-b", "-c", "passwords", "conche", PASSWORD])
            .current_dir(folder.path())
            .status();
        assert!(made.await.unwrap().success());
        let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
        let port = port();
        let config = format!(
            "listener {port} 127.0.0.1\nallow_anonymous false\nuser {user}\n\
             password_file passwords\nset_tcp_nodelay true\n"
        );
        std::fs::write(folder.path().join("conf"), config).unwrap();
        let mut broker = Self {
            folder,
            port,
            process: None,
        };
        broker.up().await;
        Some(broker)
    }

    pub(super) async fn up(&mut self) {
        let program = installed("mosquitto").unwrap();
        let program = words(&[program.to_str().unwrap(), "-c", "conf"]);
        self.process = Some(Process::start(self.folder.path(), &[], &program));
        listens(self.port).await;
    }

    pub(super) async fn down(&mut self) {
        self.process.take().unwrap().kill().await;
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `actions.fin` for it, with short waits.
    pub(super) fn config(&self, version: &str) -> Value {
        json!({
            "mqtt": {
                "url": format!("mqtt://127.0.0.1:{}", self.port), "version": version,
                "user": "conche", "password": { "secret": "broker" }, "packet_bytes": "64KiB",
            },
            "wait": "200ms", "ack_within": "500ms",
        })
    }
}
