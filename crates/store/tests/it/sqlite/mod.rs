//! The store on disk.

use std::sync::{Arc, Mutex};

use conche_store::sqlite::{SqliteConfig, SqliteStore};
use conche_store::{Store, contract};
use tempfile::TempDir;

/// A folder for one test.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder can be made")
}

/// The store of a folder.
pub(crate) fn open(config: &SqliteConfig) -> SqliteStore {
    SqliteStore::open(config).expect("the store opens")
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
