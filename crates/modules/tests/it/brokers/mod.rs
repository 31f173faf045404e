//! Sources and `publish` against real brokers, each started once for its test, on free ports
//! of the loopback and in a folder of its own. A broker that is not installed is said aloud.
//!
//! What is asserted of each: nothing is acknowledged before it is stored, nothing is lost when
//! the broker or the source stops and starts again, what is delivered again is one event, and
//! what cannot be decoded holds up nothing.

mod mosquitto;
mod nats;
mod rabbitmq;

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use conche_modules::{Error, Output};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::running::{soon, until};
use crate::support::{context, source};

/// A broker's process, with all its children.
struct Process {
    child: Child,
}

impl Process {
    /// Runs a program with arguments; it ends, with all that it started, when this is dropped
    /// or when the test's process ends, whichever way.
    fn start(folder: &Path, variables: &[(&str, String)], program: &[String]) -> Self {
        let log = std::fs::File::create(folder.join("output")).unwrap();
        let mut command = std::process::Command::new("sh");
        command
            .args(["-c", r#""$@" & read _; kill -KILL 0"#, "sh"])
            .args(program)
            .current_dir(folder)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0);
        let child = Command::from(command).spawn().unwrap();
        Self { child }
    }

    /// Kills it, as a power failure would.
    async fn kill(mut self) {
        drop(self.child.stdin.take());
        soon("the broker to end", self.child.wait()).await.unwrap();
    }
}

/// The path of an installed program; `None`, said aloud, where there is none.
fn installed(program: &str) -> Option<PathBuf> {
    let places = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/usr/lib/rabbitmq/bin";
    let found = places
        .split(':')
        .rev()
        .map(|place| Path::new(place).join(program))
        .find(|path| path.exists());
    if found.is_none() {
        let line = format!("skipped: {program} is not installed\n");
        // Not by `println!`, which the test harness keeps to itself.
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    found
}

/// A port that was free a moment ago.
fn port() -> u16 {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

/// Waits until somebody listens.
async fn listens(port: u16) {
    until("the broker to listen", async || {
        TcpStream::connect(("127.0.0.1", port)).await.is_ok()
    })
    .await;
}

/// Whether a message is known not to have gone out. Just after a break it may be in doubt
/// first; it must never be said to have been taken.
fn is_known_unsent(result: &Result<Output, Error>) -> bool {
    assert!(result.is_err(), "{result:?} without a broker");
    matches!(result, Err(Error::Retry { .. }))
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn broker_settings_that_make_no_sense_or_hold_a_password_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cx = context(folder.path(), &[]);
    let amqp = |url: &str| json!({ "broker": { "urls": [url] }, "queue": "q", "event_type": "t" });
    let nats = |more: Value| {
        let mut config = json!({ "broker": { "urls": ["nats://h"] }, "event_type": "t" });
        let more = more.as_object().unwrap().clone();
        config.as_object_mut().unwrap().extend(more);
        config
    };
    let mqtt = |url: &str, topic: &str| json!({ "broker": { "url": url }, "topics": [topic], "client_id": "c", "event_type": "t" });
    let unknown = json!({ "urls": [{ "secret": "nope" }] });
    for (module, config, expected) in [
        ("amqp", amqp("amqp://u:hunter22@h/"), "holds a password"),
        ("amqp", amqp("http://h/"), "amqp://"),
        (
            "amqp",
            json!({ "broker": unknown, "queue": "q", "event_type": "t" }),
            "no secret `nope`",
        ),
        (
            "mqtt",
            mqtt("mqtt://u:hunter22@h", "a"),
            "must hold no user",
        ),
        ("mqtt", mqtt("mqtt://h", "a/#/b"), "topic filters"),
        ("nats", nats(json!({})), "`stream` and `durable`"),
        (
            "nats",
            nats(json!({ "stream": "S", "durable": "d", "lossy_subjects": ["x"] })),
            "alone",
        ),
        (
            "nats",
            nats(json!({ "lossy_subjects": ["x"], "broker": { "urls": ["nats://u:hunter22@h"] } })),
            "must hold no user",
        ),
    ] {
        let refused = source(module, config, &cx).err().unwrap();
        assert!(refused.message.contains(expected), "{refused}");
        assert!(!refused.message.contains("hunter22"), "{refused}");
    }
}
