//! Damaged rows and pages: told, kept apart, and never a panic.

use conche_core::run::Status;
use conche_store::contract::given::{self, acceptance, at};
use conche_store::sqlite::{SqliteConfig, SqliteStore};
use conche_store::{
    Catalogue as _, DefinitionText, Error, EventFilter, Page, RunFilter, RunStore as _,
};

use super::{accept, database, folder, is_long, open, tell};

/// What is done to a row, and of which kind the error is.
const DAMAGES: [(&str, &str); 7] = [
    (
        "UPDATE journal SET records = '[{]' WHERE run = ?1",
        "journal",
    ),
    ("UPDATE journal SET format = 99 WHERE run = ?1", "journal"),
    (
        "UPDATE journal SET from_version = 4 WHERE run = ?1",
        "journal",
    ),
    (
        "UPDATE journal SET records = '[]' WHERE run = ?1",
        "journal",
    ),
    ("DELETE FROM journal WHERE run = ?1", "journal"),
    (
        "UPDATE events SET data = '{' WHERE event_id = (SELECT event_id FROM runs WHERE run = ?1)",
        "event",
    ),
    (
        "INSERT INTO signals (run, signal) VALUES (?1, '{\"shout\":1}')",
        "signal",
    ),
];

#[tokio::test]
async fn a_damaged_row_is_the_error_of_its_run_alone() {
    let folder = folder();
    let config = SqliteConfig::new(folder.path());
    let store = open(&config);
    let mut runs = Vec::new();
    for id in 0..=DAMAGES.len() {
        runs.push(
            accept(&store, acceptance("x", &id.to_string(), at(0)))
                .await
                .1,
        );
    }
    assert_eq!(store.close().await, Ok(()));
    let connection = database(&folder);
    for ((sql, _), run) in DAMAGES.iter().zip(&runs) {
        let changed = connection.execute(sql, [run.uuid().into_bytes()]);
        assert_eq!(changed, Ok(1), "{sql}");
    }
    drop(connection);

    let store = open(&config);
    let node = given::node();
    let claimed = given::claim(&store, node, at(1)).await;
    assert_eq!(given::runs(&claimed), runs);
    for (claimed, (sql, wanted)) in claimed.iter().zip(DAMAGES) {
        match &claimed.journal {
            Err(Error::Corrupt { kind, .. }) => assert_eq!(*kind, wanted, "{sql}"),
            other => panic!("{sql}: {other:?}"),
        }
        let done = store
            .quarantine(claimed.run, claimed.epoch, "damaged", at(50))
            .await;
        assert_eq!(done, Ok(Status::NeedsAttention));
    }
    let last = claimed.last().expect("there is one that is whole");
    assert!(last.journal.is_ok() && last.event.is_some());
    given::finish(&store, last, node, at(2)).await;
    assert!(given::claim(&store, node, at(1000)).await.is_empty());
    tell(&format!(
        "torture R13: {} kinds of damaged rows, each put aside alone",
        DAMAGES.len()
    ));
}

#[tokio::test]
async fn a_run_of_an_unknown_status_or_key_does_not_stop_the_others() {
    let folder = folder();
    let config = SqliteConfig::new(folder.path());
    let store = open(&config);
    let (_, bad) = accept(&store, acceptance("x", "1", at(0))).await;
    let (_, worse) = accept(&store, acceptance("x", "2", at(0))).await;
    let (_, good) = accept(&store, acceptance("x", "3", at(0))).await;
    assert_eq!(store.close().await, Ok(()));
    let connection = database(&folder);
    let changes = [
        ("UPDATE runs SET status = 'dreaming' WHERE run = ?1", bad),
        ("UPDATE runs SET run = x'07' WHERE run = ?1", worse),
    ];
    for (sql, run) in changes {
        let changed = connection.execute(sql, [run.uuid().into_bytes()]);
        assert_eq!(changed, Ok(1));
    }
    drop(connection);

    let store = open(&config);
    let row = store.run(bad).await;
    assert!(matches!(row, Err(Error::Corrupt { kind: "run", .. })));
    let (before, limit) = (None, 10);
    let listed = store
        .runs(RunFilter::default(), Page { before, limit })
        .await;
    let listed = listed.expect("the others are listed");
    assert_eq!(listed.iter().map(|row| row.run).collect::<Vec<_>>(), [good]);
    let claimed = given::claim(&store, given::node(), at(0)).await;
    assert_eq!(given::runs(&claimed), [bad, good]);
    let done = store
        .quarantine(bad, 1, "its status is unknown", at(50))
        .await;
    assert_eq!(done, Ok(Status::NeedsAttention));
    let row = store.run(bad).await.expect("it can be read again");
    assert_eq!(row.summary.status, Status::NeedsAttention);
}

#[tokio::test]
async fn a_changed_definition_is_not_used() {
    let folder = folder();
    let config = SqliteConfig::new(folder.path());
    let store = open(&config);
    let definition = DefinitionText {
        digest: given::definition(),
        kind: "reaction".to_owned(),
        name: "scan".to_owned(),
        text: "definition of the contract".to_owned(),
    };
    let digest = definition.digest;
    assert_eq!(store.put_definition(definition).await, Ok(()));
    assert_eq!(store.close().await, Ok(()));
    let changed = database(&folder).execute("UPDATE definitions SET text = 'rm -rf'", []);
    assert_eq!(changed, Ok(1));
    let read = open(&config).definition(digest).await;
    assert!(matches!(
        read,
        Err(Error::Corrupt {
            kind: "definition",
            ..
        })
    ));
}

/// Asks for everything; errors are fine, panics are not. Whether all was well.
async fn ask_for_everything(store: &SqliteStore) -> bool {
    let (before, limit) = (None, 1000);
    let events = store
        .events(EventFilter::default(), Page { before, limit })
        .await;
    let (before, limit) = (None, 1000);
    let runs = store
        .runs(RunFilter::default(), Page { before, limit })
        .await;
    let mut well = events.as_ref().is_ok_and(|events| events.len() == 30);
    well &= runs.as_ref().is_ok_and(|runs| runs.len() == 30);
    for run in runs.unwrap_or_default() {
        well &= store.journal(run.run, 0).await.is_ok();
    }
    let (node, now) = (given::node(), at(0));
    let limit = 100;
    let claim = conche_store::Claim { node, now, limit };
    let claimed = store.claim(claim).await.unwrap_or_default();
    well &= claimed.len() == 30 && claimed.iter().all(|claimed| claimed.journal.is_ok());
    let given = acceptance("y", &given::id_at(at(0)).to_string(), at(0));
    well & store
        .accept(given::intake(vec![given], at(0)))
        .await
        .is_ok()
}

#[tokio::test]
async fn flipped_bits_never_make_it_panic() {
    let original = folder();
    let store = open(&SqliteConfig::new(original.path()));
    for id in 0..30 {
        accept(&store, acceptance("x", &id.to_string(), at(0))).await;
    }
    assert!(store.close().await.is_ok());
    let bytes = std::fs::read(original.path().join("conche.db")).expect("it can be read");
    let (mut refused, mut hurt) = (0, 0);
    let copies = if is_long() { 1_000 } else { 60 };
    for seed in 0..copies {
        let mut damaged = bytes.clone();
        for flip in 1..=8 {
            // Spread over the file; the first hundred bytes are spared for most.
            let at = (seed * 7_919 + flip * 104_729 + 100) % damaged.len();
            damaged[at] ^= 1 << (flip % 8);
        }
        let copy = folder();
        std::fs::write(copy.path().join("conche.db"), damaged).expect("it is written");
        match SqliteStore::open(&SqliteConfig::new(copy.path())) {
            Ok(store) => {
                hurt += usize::from(!ask_for_everything(&store).await);
                assert_eq!(store.close().await, Ok(()));
            }
            Err(Error::Corrupt { .. } | Error::Unavailable(_)) => refused += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(
        refused + hurt > 0,
        "no flip did any harm: the test is blind"
    );
    tell(&format!(
        "torture R13: {copies} copies of a database with 8 flipped bits each: {refused} refused, {hurt} answered with errors, {} unharmed, 0 panics",
        copies - refused - hurt
    ));
}

#[tokio::test]
async fn damage_is_told_after_an_unclean_end() {
    let folder = folder();
    let config = SqliteConfig::new(folder.path());
    let store = open(&config);
    accept(&store, acceptance("x", "1", at(0))).await;
    assert_eq!(store.close().await, Ok(()));
    let connection = database(&folder);
    // An index that misses a row: what only a check of the whole finds.
    connection
        .execute_batch(
            "UPDATE meta SET value = 0 WHERE key = 'clean';
             PRAGMA writable_schema = ON;
             UPDATE sqlite_schema SET rootpage =
                 (SELECT rootpage FROM sqlite_schema WHERE name = 'signals_by_run')
             WHERE name = 'events_by_receipt';",
        )
        .expect("it is damaged");
    drop(connection);
    let store = open(&config);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while store.stats().damage.is_none() {
        assert!(std::time::Instant::now() < deadline, "nothing was told");
        tokio::task::yield_now().await;
    }
}
