//! The store on disk.

mod acts;
mod backup;
mod batch;
mod corrupt;
mod crash;
mod folder;
mod full;
mod functions;
mod power;
mod samples;

use std::io::Write as _;
use std::sync::{Arc, Mutex};

use conche_core::{EventId, RunId};
use conche_store::contract::given::{acceptance, at, intake};
use conche_store::sqlite::{SqliteConfig, SqliteStore};
use conche_store::{Acceptance, RunStore as _, Store, contract};
use tempfile::TempDir;

/// Whether `CONCHE_TORTURE=long` asks for the long form of tests.
pub(crate) fn is_long() -> bool {
    std::env::var("CONCHE_TORTURE").is_ok_and(|form| form == "long")
}

/// Prints figures, also where the test harness keeps a test's output to itself.
pub(crate) fn tell(figures: &str) {
    writeln!(std::io::stdout(), "{figures}").expect("standard output is open");
}

/// A folder for one test.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder can be made")
}

/// The store of a folder.
pub(crate) fn open(config: &SqliteConfig) -> SqliteStore {
    SqliteStore::open(config).expect("the store opens")
}

/// The database of a folder, past the store.
pub(crate) fn database(folder: &TempDir) -> rusqlite::Connection {
    let path = folder.path().join("conche.db");
    rusqlite::Connection::open(path).expect("the database opens")
}

/// An event of so many bytes, with one run.
pub(crate) fn of_size(id: &str, bytes: usize) -> Acceptance {
    let mut acceptance = acceptance("size", id, at(0));
    acceptance.event.data = conche_core::Json::from(&serde_json::json!("x".repeat(bytes)));
    acceptance
}

/// Accepts one event with its run.
pub(crate) async fn accept(store: &SqliteStore, given: Acceptance) -> (EventId, RunId) {
    let ids = (given.event.event_id, given.runs[0].run);
    let accepted = store.accept(intake(vec![given], at(0))).await;
    assert!(accepted.is_ok(), "{accepted:?}");
    ids
}

#[tokio::test]
async fn sqlite_keeps_the_contract() {
    let folders = Mutex::new(Vec::new());
    contract::check(async || {
        let folder = folder();
        let store = open(&SqliteConfig::new(folder.path()));
        folders.lock().expect("no check panicked").push(folder);
        Arc::new(store) as Arc<dyn Store>
    })
    .await;
}

#[tokio::test]
async fn sqlite_keeps_the_contract_without_group_commit() {
    let folders = Mutex::new(Vec::new());
    contract::check(async || {
        let folder = folder();
        let mut config = SqliteConfig::new(folder.path());
        config.batch_max = 1;
        let store = open(&config);
        folders.lock().expect("no check panicked").push(folder);
        Arc::new(store) as Arc<dyn Store>
    })
    .await;
}
