//! R14: runs in flight while the program is replaced by a newer one. Stores of every older
//! format are brought to this one and killed within that; their runs end as those of a copy
//! that was never of another format. A store of a newer program is refused and left alone.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{StatusCode, Uri};
use serde_json::{Value, json};

use super::plant::{KillAt, Plant, program};
use super::{count, tell};

/// Older formats, each with the way to it from the one after it.
const BACK: [(u32, &str); 4] = [
    (
        4,
        include_str!("../../../../store/tests/it/samples/back_to_4.sql"),
    ),
    (
        3,
        include_str!("../../../../store/tests/it/samples/back_to_3.sql"),
    ),
    (
        2,
        include_str!("../../../../store/tests/it/samples/back_to_2.sql"),
    ),
    (
        1,
        include_str!("../../../../store/tests/it/samples/back_to_1.sql"),
    ),
];

/// Where a step of a migration can be interrupted.
const POINTS: [&str; 3] = [
    "store::in_migration",
    "store::before_migration_commit",
    "store::after_migration_commit",
];

/// What the runs wait for when the process is killed: a person, the time of a retry, nothing
/// (they are cancelled), the child that they made, an effect under way, others of their kind.
const KINDS: [&str; 6] = ["attention", "retry", "cancel", "emit", "effect", "narrow"];

/// Nobody waits longer for runs.
const PATIENCE: Duration = Duration::from_mins(5);

const WORK: &str = r#"
name: work
event: torture
when: event.data.kind != "narrow"
script: |
  nextAction = event.kind;
  result = event.kind === "emit" ? { type: "chained", data: event }
    : { url: event.receiver + "/" + event.kind, method: "POST", body: "" + event.n };
actions:
  effect: { module: http, action: request_keyed, script: THEN }
  retry: { module: http, action: request_keyed, script: THEN, retry: { attempts: 50, initial: 8s, max: 8s } }
  attention: { module: http, action: request, timeout: 300ms, script: THEN }
  cancel: { module: http, action: request_keyed, script: THEN }
  emit: { module: emit, action: emit, script: THEN }
  last: { module: http, action: request_keyed }
"#;

const CHAINED: &str = r#"
name: chained
event: chained
script: |
  nextAction = "effect";
  result = { url: event.receiver + "/chained", method: "POST", body: "" + event.n };
actions:
  effect: { module: http, action: request_keyed }
"#;

const NARROW: &str = r#"
name: narrow
event: torture
when: event.data.kind == "narrow"
limits: { concurrency: 2 }
script: |
  nextAction = "effect";
  result = { url: event.receiver + "/narrow", method: "POST", body: "" + event.n };
actions:
  effect: { module: http, action: request_keyed, script: THEN }
  last: { module: http, action: request_keyed }
"#;

/// What follows every first action.
const THEN: &str = "'nextAction = \"last\"; result = { url: event.receiver + \"/last\", method: \"POST\", body: \"\" + event.n }'";

/// Answers nobody until it is opened, but puts off those who come for `retry`.
#[derive(Clone, Default)]
struct Gate {
    is_open: Arc<AtomicBool>,
    asked: Arc<Mutex<HashMap<String, usize>>>,
}

impl Gate {
    async fn start(&self) -> SocketAddr {
        let gate = self.clone();
        let router = Router::new().fallback(move |uri: Uri| gate.clone().answer(uri));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("an address");
        #[expect(
            clippy::disallowed_methods,
            reason = "a test's own server ends with the test"
        )]
        drop(tokio::spawn(
            async move { axum::serve(listener, router).await },
        ));
        address
    }

    async fn answer(self, uri: Uri) -> StatusCode {
        self.count(uri.path());
        match uri.path() {
            _ if self.is_open.load(Ordering::SeqCst) => StatusCode::OK,
            "/retry" => StatusCode::SERVICE_UNAVAILABLE,
            _ => std::future::pending().await,
        }
    }

    fn count(&self, path: &str) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        *asked.entry(path.to_owned()).or_default() += 1;
    }

    fn asked(&self, path: &str) -> usize {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.get(path).copied().unwrap_or(0)
    }
}

/// Waits until something is so.
async fn until(what: &str, plant: &Plant, is_so: impl AsyncFn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(
            Instant::now() < end,
            "{what} did not come about\n{}",
            plant.log()
        );
        tokio::time::sleep(Duration::from_millis(50)).await; // poll
    }
}

async fn with_status(plant: &Plant, status: &str) -> Vec<Value> {
    plant.runs(status).await.expect("the server answers")
}

/// A plant over a folder with the reactions of this test.
fn plant(data: &Path) -> Plant {
    let plant = Plant::on(data);
    let [work, narrow] = [WORK, NARROW].map(|text| text.replace("THEN", THEN));
    plant.react(&[
        ("work.yaml", &work),
        ("narrow.yaml", &narrow),
        ("chained.yaml", CHAINED),
    ]);
    plant
}

/// Sends so many events of each kind and kills the server when all their runs wait; how many
/// runs there are of each status.
async fn take_off(
    data: &Path,
    gate: &Gate,
    receiver: SocketAddr,
    each: usize,
) -> BTreeMap<String, usize> {
    let mut plant = plant(data);
    assert!(plant.start(None), "{}", plant.log());
    let few = each.min(20);
    for kind in KINDS {
        for n in 0..each {
            let event = json!({ "kind": kind, "n": n, "receiver": format!("http://{receiver}") });
            let sent = plant.post(event.to_string().into_bytes()).send().await;
            assert_eq!(sent.expect("an answer").status(), 202);
        }
        let path = format!("/{kind}");
        match kind {
            "attention" => {
                let all = async || with_status(&plant, "needs_attention").await.len() == each;
                until("attention for all", &plant, all).await;
            }
            "cancel" => {
                until("an action under way", &plant, async || {
                    gate.asked(&path) == each
                })
                .await;
                cancel(&plant, each).await;
            }
            "retry" => until("a retry", &plant, async || gate.asked(&path) >= each).await,
            "emit" => until("a child", &plant, async || gate.asked("/chained") >= few).await,
            "narrow" => until("one of few", &plant, async || gate.asked(&path) == 2).await,
            _ => until("an effect", &plant, async || gate.asked(&path) >= few).await,
        }
    }
    let mut counts = BTreeMap::new();
    for status in ["running", "needs_attention", "cancelled"] {
        counts.insert(status.to_owned(), with_status(&plant, status).await.len());
    }
    assert_eq!(counts["needs_attention"], each);
    plant.kill();
    counts
}

/// Cancels those runs whose action is `cancel`.
async fn cancel(plant: &Plant, each: usize) {
    let mut told = 0;
    for run in with_status(plant, "running").await {
        let id = run["run_id"].as_str().expect("an id");
        let answer = plant.get(&format!("/api/v1/runs/{id}")).await;
        let text = answer.expect("an answer").text().await.expect("a text");
        if text.contains("/cancel\"") {
            let path = format!("/api/v1/runs/{id}/cancel");
            let status = plant.tell(&path, &json!({ "reason": "tested" })).await;
            assert!(status.is_ok_and(|status| status < 300));
            told += 1;
        }
    }
    assert_eq!(told, each, "of the runs to cancel");
}

/// Has every run end, a person deciding where one is needed; what became of each.
async fn land(plant: &Plant) -> BTreeMap<String, Value> {
    for run in with_status(plant, "needs_attention").await {
        let id = run["run_id"].as_str().expect("an id");
        let path = format!("/api/v1/runs/{id}/resume");
        let status = plant.tell(&path, &json!({ "resolution": "repeat" })).await;
        assert!(
            status.is_ok_and(|status| status < 300),
            "{id} is not resumed"
        );
    }
    until("the end of all runs", plant, async || {
        let mut open = 0;
        for status in ["running", "needs_attention", "cancelling"] {
            open += with_status(plant, status).await.len();
        }
        open == 0
    })
    .await;
    let mut ends = BTreeMap::new();
    for status in ["succeeded", "failed", "cancelled"] {
        for run in with_status(plant, status).await {
            let id = run["run_id"].as_str().expect("an id").to_owned();
            let answer = plant.get(&format!("/api/v1/runs/{id}/journal")).await;
            let text = answer.expect("an answer").text().await.expect("a text");
            let mut journal: Value = serde_json::from_str(&text).expect("it is JSON");
            without_times(&mut journal);
            let digest = &run["digest"];
            ends.insert(
                id,
                json!({ "status": status, "digest": digest, "journal": journal }),
            );
        }
    }
    ends
}

/// Takes away what differs between two lives of one run: when something happened.
fn without_times(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| !["at", "retry_at", "deadline", "headers"].contains(&&**name));
            members.values_mut().for_each(without_times);
        }
        Value::Array(items) => items.iter_mut().for_each(without_times),
        _ => {}
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
        }
    }
}

fn database(data: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(data.join("conche.db")).expect("the database opens")
}

fn format_of(data: &Path) -> u32 {
    let read = database(data).pragma_query_value(None, "user_version", |row| row.get(0));
    read.expect("a format")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_in_flight_end_after_an_upgrade_as_they_would_have_without() {
    let each = count("FLIGHT", 96, 1_000) as usize / KINDS.len();
    let (gate, folder) = (Gate::default(), tempfile::tempdir().expect("a folder"));
    let receiver = gate.start().await;
    let (origin, control) = (folder.path().join("origin"), folder.path().join("control"));
    let waiting = take_off(&origin, &gate, receiver, each).await;
    copy(&origin, &control);
    let newest = format_of(&origin);
    gate.is_open.store(true, Ordering::SeqCst);
    let mut never = plant(&control);
    assert!(never.start(None), "{}", never.log());
    let expected = land(&never).await;
    never.kill();
    assert!(
        expected.len() >= each * KINDS.len(),
        "{} runs",
        expected.len()
    );

    let (mut kills, mut before) = (0, newest);
    for (format, back) in BACK {
        assert_eq!(
            before,
            format + 1,
            "the way back has a step for each format"
        );
        database(&origin)
            .execute_batch(back)
            .expect("the older format");
        let data = folder.path().join(format!("from-{format}"));
        copy(&origin, &data);
        let mut plant = plant(&data);
        for point in POINTS {
            // The file is taken back after each, so that every point is met on the way.
            for after in 0..newest - format {
                fs::remove_dir_all(&data).expect("it is removed");
                copy(&origin, &data);
                let after_so_many = u64::from(after);
                assert!(
                    !plant.start(Some(KillAt {
                        point,
                        after: after_so_many
                    })),
                    "not killed at {point}"
                );
                let done = after + u32::from(point.ends_with("after_migration_commit"));
                assert_eq!(format_of(&data), format + done, "{point} {after}");
                kills += 1;
            }
        }
        // The last one killed goes on.
        assert!(plant.start(None), "{}", plant.log());
        assert_eq!(format_of(&data), newest);
        let ends = land(&plant).await;
        plant.kill();
        assert_eq!(ends.len(), expected.len(), "runs from format {format}");
        for (run, end) in &ends {
            assert_eq!(
                Some(end),
                expected.get(run),
                "run {run} from format {format}"
            );
        }
        before = format;
    }
    tell(&format!(
        "torture R14: {} runs when the process was killed ({waiting:?}); stores of {} older formats, {kills} kills within their migration; all {} runs of each ended with the journal, status and version of the definition that they have without an upgrade",
        waiting.values().sum::<usize>(),
        BACK.len(),
        expected.len(),
    ));
}

#[test]
fn a_store_of_a_newer_program_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let mut plant = plant(&data);
    assert!(plant.start(None), "{}", plant.log());
    plant.kill();
    let newer = format_of(&data) + 1;
    let bump = format!("PRAGMA user_version = {newer}; PRAGMA wal_checkpoint(TRUNCATE)");
    database(&data)
        .execute_batch(&bump)
        .expect("a newer format");
    let before = fs::read(data.join("conche.db")).expect("the database");
    let output = std::process::Command::new(program())
        .args(["serve", "--config"])
        .arg(plant.config())
        .output()
        .expect("conche runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    let words = format!(
        "has format {newer}, this program knows formats up to {}: use a newer program",
        newer - 1
    );
    assert!(error.contains(&words), "{error}");
    assert_eq!(
        fs::read(data.join("conche.db")).expect("the database"),
        before
    );
    tell(&format!(
        "torture R14: a store of format {newer} is refused: {}",
        error.trim().lines().last().unwrap_or_default()
    ));
}
