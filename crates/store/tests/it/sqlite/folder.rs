//! The data folder: who may read it, who holds it, and what is found in it again.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use conche_core::run::Status;
use conche_store::contract::given::{self, acceptance, at, intake};
use conche_store::sqlite::{FORMAT, SqliteConfig, SqliteStore};
use conche_store::{Catalogue as _, Cursor, DefinitionText, Error, RunStore as _, Signal};

use super::{accept, database, folder, open};

#[tokio::test]
async fn a_restart_waits_for_no_lease() {
    let folder = folder();
    let config = SqliteConfig::new(folder.path());
    let store = open(&config);
    let (_, run) = accept(&store, acceptance("github", "1", at(0))).await;
    let node = given::node();
    assert_eq!(store.heartbeat(node, at(1_000_000)).await, Ok(()));
    assert_eq!(given::claim_one(&store, node, at(0)).await.run, run);
    assert_eq!(store.close().await, Ok(()));

    let store = open(&config);
    let next = given::node();
    assert_eq!(store.heartbeat(next, at(30)).await, Ok(()));
    assert_eq!(
        store.reap(at(1)).await,
        Ok(1),
        "whoever held it cannot live"
    );
    assert_eq!(given::claim_one(&store, next, at(1)).await.run, run);
}

#[tokio::test]
async fn everything_is_there_after_reopening() {
    let folder = folder();
    let config = SqliteConfig::new(folder.path());
    let store = open(&config);
    let given = acceptance("github", "1", at(0));
    let (event, run) = accept(&store, given.clone()).await;
    let (_, done) = accept(&store, acceptance("github", "2", at(0))).await;
    let node = given::node();
    for claimed in given::claim(&store, node, at(0)).await {
        if claimed.run == done {
            given::finish(&store, &claimed, node, at(1)).await;
        }
    }
    let by = "ann".to_owned();
    let signal = Signal::Cancel { by, reason: None };
    let left = store.signal(run, signal.clone(), None, at(1)).await;
    let left = left.expect("the signal is left");
    let text = "definition of the contract".to_owned();
    let definition = DefinitionText {
        digest: given::definition(),
        kind: "reaction".to_owned(),
        name: "scan".to_owned(),
        text,
    };
    assert_eq!(store.put_definition(definition.clone()).await, Ok(()));
    let cursor = Cursor {
        source: "cluster".to_owned(),
        value: "17".to_owned(),
    };
    assert_eq!(store.set_cursor(cursor).await, Ok(()));
    assert_eq!(store.close().await, Ok(()));

    let store = open(&config);
    let row = store.event(event).await.expect("the event is there");
    assert_eq!(row.event, given.event);
    let row = store.run(run).await.expect("the run is there");
    assert!(row.held, "a lease outlives its node until it is reaped");
    let journal = store.journal(done, 0).await.expect("it has a journal");
    assert_eq!(journal.records.len(), 2);
    assert_eq!(store.signals(run).await, Ok(vec![(left, signal)]));
    assert_eq!(store.definition(definition.digest).await, Ok(definition));
    assert_eq!(store.cursor("cluster").await, Ok(Some("17".to_owned())));
    let counts = [(Status::Running, 1), (Status::Succeeded, 1)].into();
    assert_eq!(store.counts().await, Ok(counts));
    let again = store.accept(intake(vec![acceptance("github", "1", at(2))], at(2)));
    assert!(again.await.expect("it is answered")[0].duplicate);
    assert_eq!(store.reap(at(2)).await, Ok(1));
    assert_eq!(given::claim_one(&store, node, at(2)).await.epoch, 2);
}

#[tokio::test]
async fn a_held_folder_is_refused_until_it_is_closed() {
    let folder = folder();
    let config = SqliteConfig::new(folder.path());
    let store = open(&config);
    let locked = Error::Locked(folder.path().display().to_string());
    assert_eq!(SqliteStore::open(&config).err(), Some(locked));
    assert_eq!(store.close().await, Ok(()));
    assert!(SqliteStore::open(&config).is_ok());
}

#[tokio::test]
async fn only_the_owner_may_read_the_folder() {
    let above = folder();
    let dir = above.path().join("a/data");
    let store = open(&SqliteConfig::new(&dir));
    accept(&store, acceptance("github", "1", at(0))).await;
    let mode = |path: &Path| {
        let data = std::fs::metadata(path).expect("it is there");
        data.permissions().mode() & 0o777
    };
    assert_eq!(mode(&dir), 0o700);
    for entry in std::fs::read_dir(&dir).expect("it can be read") {
        let path = entry.expect("it can be read").path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[tokio::test]
async fn a_newer_format_is_refused_and_left_as_it_is() {
    let folder = folder();
    let config = SqliteConfig::new(folder.path());
    let store = open(&config);
    accept(&store, acceptance("github", "1", at(0))).await;
    assert_eq!(store.close().await, Ok(()));
    let newer = FORMAT + 1;
    let connection = database(&folder);
    connection
        .pragma_update(None, "user_version", newer)
        .expect("it can be set");
    drop(connection);
    let path = folder.path().join("conche.db");
    let before = std::fs::read(&path).expect("it can be read");
    let error = SqliteStore::open(&config).expect_err("it is refused");
    let (found, known) = (newer, FORMAT);
    assert_eq!(error, Error::TooNew { found, known });
    assert_eq!(std::fs::read(&path).expect("it can be read"), before);
}

#[tokio::test]
async fn the_pragmas_are_those_that_durability_needs() {
    let folder = folder();
    let store = open(&SqliteConfig::new(folder.path()));
    let connection = database(&folder);
    let text = |name| -> String {
        connection
            .pragma_query_value(None, name, |row| row.get(0))
            .expect("it can be asked")
    };
    assert_eq!(text("journal_mode"), "wal");
    let number = |name| -> i64 {
        connection
            .pragma_query_value(None, name, |row| row.get(0))
            .expect("it can be asked")
    };
    assert_eq!(number("page_size"), 8192);
    assert_eq!(number("user_version"), i64::from(FORMAT));
    drop(store);
}

#[tokio::test]
async fn a_database_of_another_kind_is_refused() {
    let folder = folder();
    let noise = "this is no database ".repeat(100);
    std::fs::write(folder.path().join("conche.db"), noise).expect("it is written");
    let error = SqliteStore::open(&SqliteConfig::new(folder.path())).expect_err("it is refused");
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
}

#[tokio::test]
async fn a_look_at_a_journal_of_large_records_ends_early() {
    let folder = folder();
    let store = open(&SqliteConfig::new(folder.path()));
    given::due_run(&store, at(0)).await;
    let node = given::node();
    let claimed = given::claim_one(&store, node, at(0)).await;
    let text = "x".repeat(conche_store::JOURNAL_BYTES_MAX / 2);
    for expected in 1..=4 {
        let append = conche_store::Append {
            expected,
            records: vec![given::note(&text, at(1))],
            ..given::append(&claimed, node, at(1))
        };
        assert_eq!(store.append(append).await, Ok(vec![]));
    }
    let first = store.journal(claimed.run, 0).await.expect("it is there");
    assert_eq!((first.records.len(), first.more), (3, true));
    let rest = store.journal(claimed.run, 3).await.expect("it is there");
    assert_eq!((rest.records.len(), rest.more), (2, false));
}
