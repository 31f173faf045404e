//! Databases of every format that was released: each is brought to the current one and
//! every journal in it folds.
//!
//! A sample is SQL text, so that a change of one is seen in review. The sample of the
//! current format is written by `cargo test -p conche-store write_the_sample -- --ignored`,
//! once, before that format is released.

use std::collections::BTreeSet;

use conche_core::run::{RunState, Status};
use conche_store::contract::ledger;
use conche_store::sqlite::{FORMAT, SqliteConfig};
use conche_store::{Catalogue as _, EventFilter, Ledger as _, Page, RunFilter, RunStore as _};

use super::{database, folder, open};

mod stories;
mod text;

/// Formats and their samples.
const SAMPLES: [(u32, &str); 5] = [
    (1, include_str!("../samples/v1.sql")),
    (2, include_str!("../samples/v2.sql")),
    (3, include_str!("../samples/v3.sql")),
    (4, include_str!("../samples/v4.sql")),
    (5, include_str!("../samples/v5.sql")),
];

/// Formats and the way back to them from the one that follows, by which the torture test of
/// upgrades makes stores of each.
const BACK: [(u32, &str); 4] = [
    (4, include_str!("../samples/back_to_4.sql")),
    (3, include_str!("../samples/back_to_3.sql")),
    (2, include_str!("../samples/back_to_2.sql")),
    (1, include_str!("../samples/back_to_1.sql")),
];

/// Every entry of journal format 1.
const ENTRIES: [&str; 16] = [
    "started",
    "entered",
    "evaluated",
    "opened",
    "closed",
    "delayed",
    "elapsed",
    "intended",
    "succeeded",
    "failed",
    "interrupted",
    "attention_needed",
    "resumed",
    "cancel_requested",
    "finished",
    "reopened",
];

#[test]
fn every_format_has_a_sample() {
    let formats: Vec<u32> = SAMPLES.iter().map(|(format, _)| *format).collect();
    assert_eq!(formats, (1..=FORMAT).collect::<Vec<_>>());
}

#[test]
fn a_store_that_is_brought_back_is_as_one_of_the_older_format() {
    let folder_of_newest = folder();
    let current = database(&folder_of_newest);
    let newest = SAMPLES[SAMPLES.len() - 1].1;
    current.execute_batch(newest).expect("the sample loads");
    for (format, back) in BACK {
        current.execute_batch(back).expect("it is brought back");
        let sample = SAMPLES[format as usize - 1].1;
        let fresh = folder();
        let older = database(&fresh);
        older.execute_batch(sample).expect("the sample loads");
        for kind in ["table", "index"] {
            let [ours, theirs] = [&current, &older].map(|one| text::schema(one, kind));
            assert_eq!(ours, theirs, "format {format}");
        }
    }
}

#[tokio::test]
async fn every_sample_is_migrated_and_its_journals_fold() {
    for (format, sql) in SAMPLES {
        let folder = folder();
        let connection = database(&folder);
        connection.execute_batch(sql).expect("the sample loads");
        drop(connection);
        let store = open(&SqliteConfig::new(folder.path()));
        let (before, limit) = (None, 100);
        let runs = store
            .runs(RunFilter::default(), Page { before, limit })
            .await
            .expect("runs can be listed");
        let (mut statuses, mut entries) = (BTreeSet::new(), BTreeSet::new());
        for row in &runs {
            let journal = store.journal(row.run, 0).await;
            let records = journal.expect("the journal can be read").records;
            entries.extend(records.iter().map(|record| record.entry.name()));
            let state = RunState::fold(row.run, records).expect("the journal folds");
            assert_eq!(state.summary(), row.summary, "format {format}");
            assert_eq!(state.version(), row.version);
            let definition = store.definition(row.definition).await;
            assert_eq!(definition.expect("it is there").name, row.name);
            statuses.insert(row.summary.status);
        }
        // Questions came with format 4.
        let (mut every, mut all) = (BTreeSet::from(Status::ALL), BTreeSet::from(ENTRIES));
        // Pauses came later, and changed no table.
        every.remove(&Status::Paused);
        if format < 4 {
            every.remove(&Status::AwaitingAnswer);
        } else {
            all.extend(["asked", "answered"]);
        }
        assert_eq!(statuses, every);
        assert_eq!(entries, all);
        let counts = store.counts().await.expect("runs are counted");
        assert_eq!(counts.into_values().sum::<u64>(), runs.len() as u64);
        let (before, limit) = (None, 100);
        let events = store
            .events(EventFilter::default(), Page { before, limit })
            .await;
        assert!(!events.expect("events can be listed").is_empty());
        assert_eq!(store.reactions().await.expect("they are read").len(), 1);
        assert!(store.cursor("cluster").await.expect("it is read").is_some());
        // Playbooks came with format 4: two versions of one.
        let playbooks = if format < 4 { 0 } else { 2 };
        assert_eq!(
            store.playbooks().await.expect("they are read").len(),
            playbooks
        );
        // What the OpenWhisk host keeps came with format 5: one activation to be done.
        let open = store.functions().unfinished(10).await;
        let wanted = usize::from(format >= 5);
        assert_eq!(open.expect("they are read").len(), wanted);
        let mut signals = 0;
        for row in &runs {
            signals += store.signals(row.run).await.expect("they are read").len();
        }
        assert_eq!(signals, 3, "one of each kind");
        // Tokens and acts came with format 2: a checkpoint, an act and what retention wrote.
        let (tokens, head) = if format < 2 { (0, 0) } else { (2, 3) };
        assert_eq!(store.tokens().await.expect("they are read").len(), tokens);
        assert_eq!(ledger::verify(&store).await.map(|head| head.seq), Ok(head));
    }
}

#[tokio::test]
#[ignore = "writes the sample of the current format"]
async fn write_the_sample() {
    let folder = folder();
    let store = open(&SqliteConfig::new(folder.path()));
    stories::tell(&store).await;
    assert_eq!(store.close().await, Ok(()));
    let sql = text::dump(&database(&folder)).expect("it can be written as text");
    let path = format!("tests/it/samples/v{FORMAT}.sql");
    std::fs::write(path, sql).expect("it is written");
}
