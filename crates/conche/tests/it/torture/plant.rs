//! A server to be killed: the real binary with a configuration of its own.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Where and when the process kills itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct KillAt {
    /// Name of a failpoint.
    pub(super) point: &'static str,
    /// How often it is passed before.
    pub(super) after: u64,
}

/// Nobody waits longer for runs to end than this.
const PATIENCE: Duration = Duration::from_mins(5);

/// The folders and addresses of one server over several lives.
pub(super) struct Plant {
    dir: TempDir,
    client: reqwest::Client,
    child: Option<Child>,
    api: String,
    webhooks: String,
}

/// Two requests for each event, each keyed, with scripts before both.
const REACTION: &str = r#"
name: torture
event: torture
script: |
  nextAction = "first";
  result = { url: event.receiver, method: "POST", body: event.n + " first" };
actions:
  first:
    module: http
    action: request_keyed
    script: |
      nextAction = "second";
      result = { url: event.receiver, method: "POST", body: event.n + " second" };
    retry: { attempts: 50, initial: 10ms, max: 50ms }
  second:
    module: http
    action: request_keyed
    retry: { attempts: 50, initial: 10ms, max: 50ms }
"#;

/// The program to be tortured.
pub(super) fn program() -> PathBuf {
    std::env::var_os("CONCHE_TORTURE_PROGRAM")
        .map_or_else(|| env!("CARGO_BIN_EXE_conche").into(), PathBuf::from)
}

impl Plant {
    /// With everything in a folder of its own.
    pub(super) fn new() -> Self {
        Self::limited("{}")
    }

    /// With its data somewhere else.
    pub(super) fn on(data: &Path) -> Self {
        Self::with(tempfile::tempdir().expect("a temporary folder"), data, "{}")
    }

    /// With limits of its webhooks' listener, in YAML.
    pub(super) fn limited(limits: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let data = dir.path().join("data");
        Self::with(dir, &data, limits)
    }

    /// `limits` are those of the webhooks' listener, in YAML.
    fn with(dir: TempDir, data: &Path, limits: &str) -> Self {
        conche_runtime::tls::install_crypto_provider();
        fs::create_dir(dir.path().join("reactions")).expect("a folder");
        fs::write(dir.path().join("reactions/torture.yaml"), REACTION).expect("a file");
        fs::write(
            dir.path().join("conche.yaml"),
            config(dir.path(), data, limits),
        )
        .expect("a file");
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(20))
            .build()
            .expect("a client");
        Self {
            dir,
            client,
            child: None,
            api: String::new(),
            webhooks: String::new(),
        }
    }

    /// Has these reactions instead, by their files' names.
    pub(super) fn react(&self, reactions: &[(&str, &str)]) {
        let folder = self.dir.path().join("reactions");
        fs::remove_file(folder.join("torture.yaml")).expect("the usual one");
        for (name, text) in reactions {
            fs::write(folder.join(name), text).expect("a file");
        }
    }

    /// Starts the server and waits until it listens. `false` where it died before.
    pub(super) fn start(&mut self, kill: Option<KillAt>) -> bool {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join("log"))
            .expect("a log");
        let mut command = Command::new(program());
        command
            .args(["serve", "--config"])
            .arg(self.dir.path().join("conche.yaml"))
            .env("CONCHE_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        if let Some(KillAt { point, after }) = kill {
            command.env("CONCHE_KILL_AT", format!("{point}={after}"));
        }
        let mut child = command.spawn().expect("the server starts");
        let stdout = child.stdout.take().expect("its output");
        let mut line = String::new();
        // The pipe ends with the process, so this ends too.
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("readable output");
        self.child = Some(child);
        for part in line.split_whitespace() {
            match part.split_once('=') {
                Some(("api", address)) => self.api = format!("http://{address}"),
                Some(("webhooks", address)) => self.webhooks = format!("http://{address}"),
                _ => {}
            }
        }
        let listening = line.starts_with("listening");
        if !listening && let Some(child) = &mut self.child {
            // Its output ended, so it is about to end itself.
            child.wait().expect("the end of the server");
        }
        listening
    }

    /// `kill -9`, if it is still there.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may be dead already.
            drop(child.kill());
            child.wait().expect("the end of the server");
        }
    }

    /// Whether the process ended.
    pub(super) fn is_dead(&mut self) -> bool {
        self.child
            .as_mut()
            .is_none_or(|child| matches!(child.try_wait(), Ok(Some(_))))
    }

    /// Sends event number `n`. `true` when it was acknowledged.
    pub(super) async fn send(&self, n: u64, receiver: SocketAddr) -> bool {
        match self.deliver(n, receiver, 0).await {
            Ok(answer) => answer.status() == 202,
            Err(_dead) => false,
        }
    }

    /// Sends event number `n` with so many more bytes.
    pub(super) async fn deliver(
        &self,
        n: u64,
        receiver: SocketAddr,
        padding: usize,
    ) -> reqwest::Result<reqwest::Response> {
        let event = json!({
            "n": n,
            "receiver": format!("http://{receiver}/effect"),
            "padding": "x".repeat(padding),
        });
        self.post(event.to_string().into_bytes())
            .header("idempotency-key", n.to_string())
            .send()
            .await
    }

    /// Sends anything to the source.
    pub(super) fn post(&self, body: Vec<u8>) -> reqwest::RequestBuilder {
        self.client
            .post(format!("{}/torture", self.webhooks))
            .header("content-type", "application/json")
            .body(body)
    }

    /// Where events are sent.
    pub(super) fn webhooks(&self) -> SocketAddr {
        let address = self.webhooks.trim_start_matches("http://");
        address.parse().expect("a server that was started")
    }

    /// The configuration that it runs by.
    pub(super) fn config(&self) -> PathBuf {
        self.dir.path().join("conche.yaml")
    }

    /// The process, while it is alive.
    pub(super) fn pid(&self) -> u32 {
        self.child.as_ref().expect("a server that was started").id()
    }

    /// Asks the API.
    pub(super) async fn get(&self, path: &str) -> reqwest::Result<reqwest::Response> {
        self.client.get(format!("{}{path}", self.api)).send().await
    }

    /// Tells the API something; the status of its answer.
    pub(super) async fn tell(&self, path: &str, body: &Value) -> reqwest::Result<u16> {
        let request = self.client.post(format!("{}{path}", self.api));
        let request = request.header("content-type", "application/json");
        let answer = request.body(body.to_string()).send().await?;
        Ok(answer.status().as_u16())
    }

    /// Waits until no run is left running, then demands that all succeeded.
    pub(super) async fn settle(&self) {
        let end = Instant::now() + PATIENCE;
        loop {
            let running = self.runs("running").await.expect("the server answers");
            let Some(first) = running.first() else { break };
            assert!(
                Instant::now() < end,
                "{} runs are stuck: {first}\n{}",
                running.len(),
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await; // poll
        }
        for status in ["failed", "needs_attention", "cancelled"] {
            let runs = self.runs(status).await.expect("the server answers");
            assert!(
                runs.is_empty(),
                "{} runs are {status}: {:?}",
                runs.len(),
                runs.first()
            );
        }
    }

    /// The runs with a status; `None` while the server does not answer.
    pub(super) async fn runs(&self, status: &str) -> Option<Vec<Value>> {
        let mut found = Vec::new();
        let mut before = String::new();
        loop {
            let path = format!("/api/v1/runs?status={status}&limit=500{before}");
            let answer = self.get(&path).await.ok()?;
            let page: Value = serde_json::from_str(&answer.text().await.ok()?).ok()?;
            found.extend(page["runs"].as_array()?.iter().cloned());
            match page["next"].as_str() {
                Some(next) => before = format!("&before={next}"),
                None => return Some(found),
            }
        }
    }

    /// The last lines of the server's log, for a failed test.
    pub(super) fn log(&self) -> String {
        let text = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Plant {
    fn drop(&mut self) {
        self.kill();
    }
}

fn config(dir: &Path, data: &Path, limits: &str) -> String {
    let (dir, data) = (dir.display(), data.display());
    format!(
        "data_dir: {data}
api: {{ listen: '127.0.0.1:0' }}
webhooks: {{ listen: '127.0.0.1:0', limits: {limits} }}
reactions: {{ dir: {dir}/reactions }}
egress: {{ allow: [127.0.0.1] }}
sources:
  - {{ id: torture, module: webhook, path: /torture, event_type: torture, auth: none }}
"
    )
}
