//! The process is killed: what it acknowledged is there, and nothing is there by half.
//!
//! The process is this test binary once more, running the test [`child`] alone. It prints a
//! line for each acknowledgement, and the parent kills it after so many lines.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use conche_core::RunId;
use conche_core::run::RunState;
use conche_store::contract::given::{self, acceptance, at, intake, note};
use conche_store::sqlite::{SqliteConfig, SqliteStore};
use conche_store::{Append, Catalogue as _, Intake, Next, NodeId, Page, RunFilter, RunStore as _};
use tokio::task::JoinSet;

use super::{folder, open};

const FOLDER: &str = "CONCHE_TEST_FOLDER";
const FAILPOINT: &str = "CONCHE_TEST_FAILPOINT";

/// Runs of each of the child's workers; it is killed long before the last.
const RUNS: usize = 2000;

fn start(folder: &Path, failpoint: Option<&str>) -> Child {
    let program = std::env::current_exe().expect("this binary has a path");
    let mut command = Command::new(program);
    command
        .args([
            "--exact",
            "sqlite::crash::child",
            "--ignored",
            "--nocapture",
        ])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if let Some(failpoint) = failpoint {
        command.env(FAILPOINT, failpoint);
    }
    command.spawn().expect("the child starts")
}

/// Reads what a child acknowledged and kills it after so many lines; by run, the highest
/// version acknowledged.
fn acknowledged(mut child: Child, kill_after: usize) -> BTreeMap<RunId, u64> {
    let out = child.stdout.take().expect("it is a pipe");
    let mut versions = BTreeMap::new();
    let mut lines = 0;
    for line in BufReader::new(out).lines() {
        let line = line.expect("it can be read");
        // The test harness writes lines of its own, also in front of ours.
        let Some((_, said)) = line.split_once("acknowledged ") else {
            continue;
        };
        let (run, version) = said.split_once(' ').expect("a run and a version");
        let run: RunId = run.parse().expect("a run");
        let version: u64 = version.parse().expect("a version");
        let highest: &mut u64 = versions.entry(run).or_default();
        *highest = version.max(*highest);
        lines += 1;
        if lines == kill_after {
            child.kill().expect("it can be killed");
        }
    }
    child.wait().expect("it ends");
    versions
}

/// Checks a folder after a crash against what was acknowledged.
async fn check(folder: &Path, acknowledged: &BTreeMap<RunId, u64>) {
    let store = open(&SqliteConfig::new(folder));
    for (run, version) in acknowledged {
        let row = store.run(*run).await.expect("an acknowledged run is there");
        assert!(row.version >= *version, "run {run} lost an append");
    }
    let (before, limit) = (None, u32::MAX);
    let rows = store
        .runs(RunFilter::default(), Page { before, limit })
        .await;
    let rows = rows.expect("runs can be listed");
    let counts = store.counts().await.expect("runs are counted");
    assert_eq!(counts.into_values().sum::<u64>(), rows.len() as u64);
    for row in rows {
        let records = store.whole_journal(row.run).await;
        let records = records.expect("it has a journal");
        assert_eq!(records.len() as u64, row.version);
        assert!(RunState::fold(row.run, records).is_ok());
        let event = row.event.expect("it has an event");
        let event = store.event(event).await.expect("its event is there").event;
        let again = acceptance(&event.source, &event.id, at(0));
        let again = store.accept(intake(vec![again], at(0))).await;
        assert!(again.expect("it is answered")[0].duplicate);
    }
    assert_eq!(store.close().await, Ok(()));
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let folder = folder();
    let mut all = BTreeMap::new();
    for kill_after in [1, 2, 5, 17, 60, 150, 400] {
        let child = start(folder.path(), None);
        let more = acknowledged(child, kill_after);
        assert!(!more.is_empty());
        all.extend(more);
        check(folder.path(), &all).await;
    }
}

/// Kills the process at each named place, three times each.
#[cfg(feature = "failpoints")]
#[tokio::test]
async fn what_was_acknowledged_survives_a_kill_at_every_failpoint() {
    for place in [
        "store::before_commit",
        "store::after_commit",
        "store::in_checkpoint",
        "store::in_migration",
        "store::in_claim",
    ] {
        let folder = folder();
        let mut all = BTreeMap::new();
        // A migration is only run on an empty folder.
        let times = if place == "store::in_migration" { 1 } else { 3 };
        for _ in 0..times {
            // Not killed from outside, so it must not get through.
            let child = start(folder.path(), Some(place));
            all.extend(acknowledged(child, usize::MAX));
            check(folder.path(), &all).await;
        }
        assert!(all.len() < 8 * RUNS, "{place} was never reached");
        assert_eq!(all.is_empty(), place == "store::in_migration");
    }
}

/// A failed fsync ends all acknowledgements, and what came before is there.
#[cfg(feature = "failpoints")]
#[tokio::test]
async fn after_a_failed_fsync_nothing_is_acknowledged() {
    let folder = folder();
    let child = start(folder.path(), Some("poison"));
    let all = acknowledged(child, usize::MAX);
    assert_eq!(all.len(), 10, "ten before, none after");
    check(folder.path(), &all).await;
}

#[cfg(feature = "failpoints")]
fn set_failpoint() -> Option<String> {
    let place = std::env::var(FAILPOINT).ok()?;
    // Not the first time, so that there is something to lose; a migration runs only once.
    let hits = std::sync::atomic::AtomicUsize::new(match place.as_str() {
        "store::in_migration" => 1,
        "store::in_checkpoint" => 3,
        _ => 30,
    });
    if place != "poison" {
        fail::cfg_callback(place.clone(), move || {
            if hits.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) == 1 {
                std::process::abort();
            }
        })
        .expect("the failpoint is set");
    }
    Some(place)
}

#[cfg(not(feature = "failpoints"))]
fn set_failpoint() -> Option<String> {
    None
}

#[tokio::test]
#[ignore = "runs as the child of the tests above"]
async fn child() {
    let folder = std::env::var(FOLDER).expect("the parent names a folder");
    let failpoint = set_failpoint();
    let mut config = SqliteConfig::new(folder);
    config.checkpoint_pages = 20;
    let store = Arc::new(open(&config));
    #[cfg(feature = "failpoints")]
    if failpoint.as_deref() == Some("poison") {
        return poison(&store).await;
    }
    drop(failpoint);
    let node = given::node();
    let mut workers = JoinSet::new();
    for _ in 0..8 {
        workers.spawn(work(Arc::clone(&store), node));
    }
    workers.join_all().await;
}

fn say(run: RunId, version: u64) {
    // One write for the line, so that lines of several workers do not mix.
    let line = format!("acknowledged {run} {version}\n");
    std::io::stdout()
        .write_all(line.as_bytes())
        .expect("the parent listens");
}

/// Accepts, appends, parks and claims until the process dies.
async fn work(store: Arc<SqliteStore>, node: NodeId) {
    for _ in 0..RUNS {
        let mut given = acceptance("child", &uuid::Uuid::now_v7().to_string(), at(0));
        given.event.event_id = conche_core::EventId::new(uuid::Uuid::now_v7());
        let mut new = given::run_of(&given.event, at(0));
        new.run = RunId::new(uuid::Uuid::now_v7());
        let run = new.run;
        given.runs = vec![new];
        let held = Intake {
            holder: Some(node),
            ..intake(vec![given], at(0))
        };
        store.accept(held).await.expect("it is accepted");
        say(run, 1);
        for version in 1..4 {
            let last = version == 3;
            let append = Append {
                run,
                node,
                epoch: 1,
                expected: version,
                records: vec![note("child", at(version))],
                summary: given::running(),
                next: if last { Next::Park(at(5)) } else { Next::Hold },
                emit: Vec::new(),
                signals: Vec::new(),
                now: at(version),
            };
            store.append(append).await.expect("it is appended");
            say(run, version + 1);
        }
        given::claim(&*store, node, at(10)).await;
    }
}

#[cfg(feature = "failpoints")]
async fn poison(store: &Arc<SqliteStore>) {
    for id in 0..10 {
        let given = acceptance("poison", &id.to_string(), at(0));
        let (_, run) = super::accept(store, given).await;
        say(run, 1);
    }
    fail::cfg("store::before_commit", "1*return").expect("the failpoint is set");
    for id in 10..20 {
        let given = acceptance("poison", &id.to_string(), at(0));
        let run = given.runs[0].run;
        // The failpoint is spent after the first: the others are refused all the same.
        match store.accept(intake(vec![given], at(0))).await {
            Ok(_) => say(run, 1),
            Err(error) => assert!(matches!(error, conche_store::Error::Unavailable(_))),
        }
    }
    assert!(store.stats().poisoned.is_some());
    assert!(store.counts().await.is_ok(), "reading goes on");
}
