//! With SOARCA's published Python library, as it is.

use std::path::Path;

use conche_modules::fins::Transport;
use serde_json::{Value, json};
use tokio::process::Command;

use super::broker::Broker;
use super::{LOGIN, PASSWORD, Served, call_of, failed, input, retried};
use crate::peers::{Process, python, skipped, words};
use crate::running::{Log, soon, until};

/// Whether the library is there; said aloud where it is not.
async fn library() -> Option<()> {
    let import = ["-c", "import soarca_fin_python_library.soarca_fin"];
    let found = Command::new(python()).args(import).output().await;
    let there = found.is_ok_and(|found| found.status.success());
    if !there {
        skipped("soarca-fin-library is not installed (scripts/peers)");
    }
    there.then_some(())
}

/// A fin's process, which logs to a folder of its own.
struct Fin {
    process: Process,
    _folder: tempfile::TempDir,
}

impl Fin {
    fn start(broker: &Broker, fin_id: &str, capabilities: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fin/fin.py");
        let (python, port) = (python(), broker.port.to_string());
        let mut program = words(&[
            python.to_str().unwrap(),
            script.to_str().unwrap(),
            &port,
            "conche",
            PASSWORD,
            fin_id,
        ]);
        program.extend(words(capabilities));
        Self {
            process: Process::start(folder.path(), &[], &program),
            _folder: folder,
        }
    }
}

async fn registered(served: &Served, capabilities: usize) {
    until("the fin to register", async || {
        let all = served.fins.list();
        let found: usize = all.iter().map(|fin| fin.capabilities.len()).sum();
        found == capabilities
    })
    .await;
}

/// The settings, with time for Python to begin a command.
fn patient(broker: &Broker, version: &str) -> Value {
    let mut config = broker.config(version);
    config["ack_within"] = "2s".into();
    config
}

/// Waits until the log tells of this many connections: the library registers when it starts,
/// and then not for half a minute.
async fn connected(log: &Log, times: usize) {
    let waiting = until("the connection", async || {
        log.text().matches("connected to the broker").count() >= times
    });
    let connected = tokio::time::timeout(std::time::Duration::from_secs(25), waiting).await;
    assert!(connected.is_ok(), "{}", log.text());
}

#[tokio::test]
async fn a_fin_of_the_published_library_carries_out_commands() {
    let (Some(broker), Some(())) = (Broker::start().await, library().await) else {
        return;
    };
    for version in ["3.1.1", "5"] {
        let (one, two) = (format!("one-{version}"), format!("two-{version}"));
        let log = Log::new();
        let served = Served::start(broker.folder(), &patient(&broker, version));
        connected(&log, 1).await;
        let fin = Fin::start(&broker, &format!("fin-{version}"), &[&one, &two]);
        registered(&served, 2).await;
        let listed = served.fins.list().remove(0);
        assert_eq!(listed.transport, Transport::Mqtt);
        assert_eq!(listed.capabilities[0].name, Some(format!("the {one}")));

        what_it_says_and_sets_comes_back(&served, &one).await;
        it_gets_the_credentials_and_they_go_nowhere_else(&served, &one).await;
        assert!(!log.text().contains(LOGIN), "{}", log.text());
        a_failure_is_a_failure(&served, &one).await;
        commands_at_the_same_time_are_not_mixed_up(&served, (&one, &two)).await;

        served.fins.remove(&listed.fin_id).await.unwrap();
        let gone = call_of(&input("soarca-fin", &one, "say x"), 5);
        assert!(failed(served.carry_out(&gone).await).contains("known are: none"));
        fin.process.kill().await;
        served.stop().await;
    }
}

async fn what_it_says_and_sets_comes_back(served: &Served, capability: &str) {
    for (kind, name) in [
        ("soarca", capability.to_owned()),
        ("soarca-fin", format!("soarca-fin-{capability}")),
        ("soarca-fin", format!("the {capability}")),
    ] {
        let said = call_of(&input(kind, &name, "say hello"), 10);
        let done = served.carry_out(&said).await.unwrap();
        let expected = json!({ "__said__": "hello", "__word__": "word", "__timeout__": "5" });
        assert_eq!(done, json!({ "variables": expected }), "{kind} {name}");
    }
    // The step has 5 s: two of them are no matter, and less time left is told as less.
    let slow = call_of(&input("soarca", capability, "sleep 2"), 10);
    assert!(served.carry_out(&slow).await.is_ok());
    let short = call_of(&input("soarca", capability, "say x"), 3);
    let done = served.carry_out(&short).await.unwrap();
    assert_eq!(done["variables"]["__timeout__"], "3");
}

async fn it_gets_the_credentials_and_they_go_nowhere_else(served: &Served, capability: &str) {
    let login = |kind: &str| {
        let mut input = input("soarca", capability, "login");
        let known = json!({ "id": "auth--1", "type": kind, "user": "deploy", "password": { "secret": "target" } });
        input["target"] = json!({ "type": "linux", "name": "t", "authentication": known });
        input
    };
    let done = served.carry_out(&call_of(&login("http-basic"), 10)).await;
    let variables = done.unwrap()["variables"].clone();
    assert_eq!(variables["__user__"], "deploy");
    assert_eq!(variables["__length__"], LOGIN.len().to_string());
    assert_eq!(variables["__leak__"], "***target***");
    // A type that the library does not know would end its thread.
    let done = served.carry_out(&call_of(&login("private-key"), 10)).await;
    assert_eq!(done.unwrap()["variables"]["__user__"], "nobody");
}

async fn a_failure_is_a_failure(served: &Served, capability: &str) {
    let failing = call_of(&input("soarca", capability, "fail"), 10);
    let message = failed(served.carry_out(&failing).await);
    assert!(message.contains("reports `failure`"), "{message}");
    assert!(message.contains(r#""__timeout__":"5""#), "{message}");
    let unknown = call_of(&input("soarca-fin", "nobody", "say x"), 10);
    let message = failed(served.carry_out(&unknown).await);
    assert!(
        message.contains(&format!("{capability} (the {capability})")),
        "{message}"
    );
}

async fn commands_at_the_same_time_are_not_mixed_up(served: &Served, both: (&str, &str)) {
    let said = |capability: &str, word: &str| call_of(&input("soarca", capability, word), 20);
    // The library does the commands of one capability one after the other, and says that it
    // has the second only then: longer than it may be silent while it has nothing to do.
    let calls = [
        said(both.0, "sleep 3"),
        said(both.0, "say b"),
        said(both.1, "say c"),
        said(both.1, "say d"),
    ];
    let all = calls.iter().map(|call| served.carry_out(call));
    let done = soon("all commands", futures_util::future::join_all(all)).await;
    let words: Vec<Value> = done
        .into_iter()
        .map(|done| done.unwrap()["variables"]["__said__"].clone())
        .collect();
    assert_eq!(json!(words), json!([null, "b", "c", "d"]));
}

#[tokio::test]
async fn fins_broker_and_conche_may_start_anew_in_any_order() {
    let (Some(mut broker), Some(())) = (Broker::start().await, library().await) else {
        return;
    };
    let (config, log) = (patient(&broker, "5"), Log::new());
    let served = Served::start(broker.folder(), &config);
    connected(&log, 1).await;
    let mut fin = Fin::start(&broker, "fin", &["cap"]);
    registered(&served, 1).await;
    let say = || call_of(&input("soarca", "cap", "say x"), 10);
    assert!(served.carry_out(&say()).await.is_ok());

    // The fin: it registers again under the same id, which SOARCA refuses.
    let before = served.fins.list()[0].registered_at;
    fin.process.kill().await;
    fin = Fin::start(&broker, "fin", &["cap"]);
    until("the fin to register again", async || {
        served.fins.list()[0].registered_at > before
    })
    .await;
    assert!(served.carry_out(&say()).await.is_ok());

    // The broker: nothing is sent while it is away. The library does not subscribe again.
    broker.down().await;
    let short = call_of(&input("soarca", "cap", "say x"), 1);
    until("the break to be noticed", async || {
        let result = served.carry_out(&short).await;
        assert!(result.is_err());
        matches!(result, Err(conche_modules::Error::Retry { .. }))
    })
    .await;
    broker.up().await;
    connected(&log, 2).await;
    fin.process.kill().await;
    let before = served.fins.list()[0].registered_at;
    fin = Fin::start(&broker, "fin", &["cap"]);
    until("the fin to register after the break", async || {
        served.fins.list()[0].registered_at > before
    })
    .await;
    assert!(served.carry_out(&say()).await.is_ok());

    // Conche: the fin has registered once and knows nothing of it.
    served.stop().await;
    let served = Served::start(broker.folder(), &config);
    until("Conche to know the fin", async || {
        served.fins.list().len() == 1
    })
    .await;
    assert!(served.carry_out(&say()).await.is_ok());
    fin.process.kill().await;
    served.stop().await;
}

#[tokio::test]
async fn a_wrong_password_of_the_broker_is_told_and_put_right_without_a_restart() {
    let (Some(broker), Some(())) = (Broker::start().await, library().await) else {
        return;
    };
    let log = Log::new();
    let secret = broker.folder().join("broker");
    let served = Served::start_with(broker.folder(), &patient(&broker, "5"), "hunter33-hunter33");
    until("the refusal to be told twice", async || {
        log.text().matches("is tried again").count() >= 2
    })
    .await;
    let say = |seconds| call_of(&input("soarca", "cap", "say x"), seconds);
    let missing = failed(served.carry_out(&say(2)).await);
    assert!(missing.contains("known are: none"), "{missing}");

    std::fs::write(&secret, PASSWORD).unwrap();
    connected(&log, 1).await;
    let fin = Fin::start(&broker, "fin", &["cap"]);
    registered(&served, 1).await;
    assert!(served.carry_out(&say(10)).await.is_ok());
    fin.process.kill().await;
    served.stop().await;

    // One that is remembered and cannot be reached: nothing was sent, and why is told.
    let served = Served::start_with(broker.folder(), &patient(&broker, "5"), "hunter33-hunter33");
    until("Conche to know the fin", async || {
        served.fins.list().len() == 1
    })
    .await;
    let reason = retried(served.carry_out(&say(1)).await);
    assert!(reason.contains("the broker of the fins"), "{reason}");
    assert!(
        reason.contains("BadUserNamePassword") || reason.contains("NotAuthorized"),
        "{reason}"
    );
    served.stop().await;
    let text = log.text();
    assert!(!text.contains("hunter"), "{text}");
}
