//! A real server process: started, spoken to, stopped and killed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Nobody waits longer for anything here.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// The binary under test, deaf to the environment of whoever runs the tests.
pub(crate) fn conche() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conche"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CONCHE_") || text.starts_with("OTEL_") {
            command.env_remove(&name);
        }
    }
    command.env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// Runs a command to its end with a text as its input.
pub(crate) fn with_input(mut command: Command, input: &str) -> Output {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

/// Waits until `look` finds something.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what} did not come about");
        // Only so as not to take the processor from those that are waited for.
        std::thread::park_timeout(LOOK_EVERY);
    }
}

/// A folder with a configuration, reactions and data.
pub(crate) struct Site {
    dir: TempDir,
}

impl Site {
    /// A site of which both listeners take free ports.
    pub(crate) fn new(config: &str) -> Self {
        let site = Self {
            dir: TempDir::new().unwrap(),
        };
        let ports = "api: { listen: \"127.0.0.1:0\" }\nwebhooks: { listen: \"127.0.0.1:0\" }\n";
        site.write("conche.yaml", &format!("{ports}{config}"));
        std::fs::create_dir(site.path("reactions")).unwrap();
        site
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file whole, as a careful editor does.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let new = self.path("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.path(name)).unwrap();
    }

    /// A command within the site.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = conche();
        command.current_dir(self.dir.path()).args(arguments);
        command
    }

    /// Starts the server and waits until it says where it listens.
    pub(crate) fn start(&self) -> Server {
        self.start_with(|command| command)
    }

    /// Starts the server with a few changes to its command.
    pub(crate) fn start_with(&self, change: impl FnOnce(&mut Command) -> &mut Command) -> Server {
        let mut command = self.command(&["serve"]);
        change(&mut command);
        Server::start(command, &self.path("log"))
    }

    /// Waits until the server's log has this text.
    pub(crate) fn logged(&self, text: &str) {
        eventually(text, || {
            let log = std::fs::read_to_string(self.path("log")).ok()?;
            log.contains(text).then_some(())
        });
    }
}

/// A running server. Killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) api: String,
    pub(crate) webhooks: String,
    pub(crate) metrics: String,
    /// The listener of the source `reviews`, where there is one.
    pub(crate) reviews: String,
    /// The listener of the SOARCA-compatible API, where there is one.
    pub(crate) soarca: String,
}

impl Server {
    pub(crate) fn start(mut command: Command, log: &Path) -> Self {
        let log_file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(log)
            .unwrap();
        let command = command.stdout(Stdio::piped()).stderr(log_file);
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).ok();
            tell.send(line).ok();
        });
        let line = told.recv_timeout(PATIENCE).unwrap_or_default();
        let address = |name: &str| {
            let word = line
                .split_whitespace()
                .find_map(|word| word.strip_prefix(name));
            word.map(str::to_owned).unwrap_or_default()
        };
        let server = Self {
            api: address("api="),
            webhooks: address("webhooks="),
            metrics: address("metrics="),
            reviews: address("reviews="),
            soarca: address("soarca="),
            child,
        };
        let log = std::fs::read_to_string(log).unwrap_or_default();
        assert!(
            line.starts_with("listening api=127.0.0.1:"),
            "{line:?}\n{log}"
        );
        server
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A client verb against this server.
    pub(crate) fn client(&self, arguments: &[&str]) -> Command {
        let mut command = conche();
        command
            .env("CONCHE_SERVER", format!("http://{}", self.api))
            .args(arguments);
        command
    }

    /// The answer of a client verb as JSON.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Value {
        let output = self
            .client(arguments)
            .args(["-o", "json"])
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Posts JSON to a webhook; gives the status.
    pub(crate) fn post(&self, path: &str, body: &str) -> u16 {
        let mut stream = TcpStream::connect(&self.webhooks).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (host, length) = (&self.webhooks, body.len());
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// The newest run of a reaction once it has this status.
    pub(crate) fn run_with(&self, reaction: &str, status: &str) -> Value {
        eventually(&format!("a run of {reaction} that is {status}"), || {
            let page = self.ask(&["runs", "list", "--reaction", reaction, "--status", status]);
            let run = page["runs"].get(0)?["run_id"].as_str()?.to_owned();
            Some(self.ask(&["runs", "show", &run]))
        })
    }

    /// Sends a signal, named as `kill` knows it.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill")
            .args(["-s", name, &pid])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// How it ended, where it has.
    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for the end.
    pub(crate) fn ended(mut self) -> ExitStatus {
        eventually("the end of the server", || self.child.try_wait().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
