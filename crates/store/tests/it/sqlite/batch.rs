//! Group commit: many requests with one fsync, and none hurt by another.

use std::sync::Arc;
use std::time::Duration;

use conche_store::contract::given::{acceptance, at, intake};
use conche_store::sqlite::{SqliteConfig, SqliteStore};
use conche_store::{Acceptance, Accepted, Catalogue as _, Error, RunStore as _};
use tokio::task::JoinSet;

use super::{accept, folder, of_size, open};

/// Accepts all of these at once; the answers in the order given.
async fn at_once(
    store: &Arc<SqliteStore>,
    given: Vec<Acceptance>,
) -> Vec<Result<Vec<Accepted>, Error>> {
    let mut asked = JoinSet::new();
    for (index, acceptance) in given.into_iter().enumerate() {
        let store = Arc::clone(store);
        asked.spawn(async move {
            let accepted = store.accept(intake(vec![acceptance], at(0))).await;
            (index, accepted)
        });
    }
    let mut answers = asked.join_all().await;
    answers.sort_by_key(|(index, _)| *index);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// A store whose commits take so long that requests gather.
fn slow(config: &mut SqliteConfig) -> Arc<SqliteStore> {
    config.commit_delay = Some(Duration::from_millis(20));
    Arc::new(open(config))
}

#[tokio::test]
async fn one_commit_carries_many_requests() {
    let folder = folder();
    let store = slow(&mut SqliteConfig::new(folder.path()));
    let given = (0..200).map(|id| acceptance("github", &id.to_string(), at(0)));
    let answers = at_once(&store, given.collect()).await;
    assert!(answers.iter().all(Result::is_ok));
    let stats = store.stats();
    assert_eq!(stats.requests, 200);
    assert!(stats.commits <= 20, "{} commits", stats.commits);
    assert_eq!(stats.redone, 0);
    let counts = store.counts().await.expect("runs are counted");
    assert_eq!(counts.into_values().sum::<u64>(), 200);
}

#[tokio::test]
async fn a_batch_of_one_commits_each_request() {
    let folder = folder();
    let mut config = SqliteConfig::new(folder.path());
    config.batch_max = 1;
    let store = Arc::new(open(&config));
    let given = (0..20).map(|id| acceptance("github", &id.to_string(), at(0)));
    at_once(&store, given.collect()).await;
    assert_eq!(store.stats().commits, 20);
}

#[tokio::test]
async fn a_refused_request_does_not_hurt_its_batch() {
    let folder = folder();
    let store = slow(&mut SqliteConfig::new(folder.path()));
    let first = acceptance("github", "first", at(0));
    let run = first.runs.clone();
    accept(&store, first).await;
    let mut given: Vec<_> = (0..50)
        .map(|id| acceptance("github", &id.to_string(), at(0)))
        .collect();
    given[25].runs = run;
    let answers = at_once(&store, given).await;
    for (index, answer) in answers.iter().enumerate() {
        assert_eq!(answer.is_ok(), index != 25, "{index}: {answer:?}");
    }
    let stats = store.stats();
    assert!(stats.redone >= 1, "it was refused after it had written");
    let counts = store.counts().await.expect("runs are counted");
    assert_eq!(counts.into_values().sum::<u64>(), 50, "counted once each");
}

#[tokio::test]
async fn a_request_that_sqlite_fails_does_not_hurt_its_batch() {
    let folder = folder();
    let mut config = SqliteConfig::new(folder.path());
    config.page_limit = Some(200);
    let store = slow(&mut config);
    let mut given: Vec<_> = (0..20).map(|id| of_size(&id.to_string(), 100)).collect();
    // Larger than all the pages there may be.
    given[7] = of_size("large", 4 << 20);
    let answers = at_once(&store, given).await;
    for (index, answer) in answers.iter().enumerate() {
        match index {
            7 => assert!(matches!(answer, Err(Error::Full(_))), "{answer:?}"),
            _ => assert!(answer.is_ok(), "{index}: {answer:?}"),
        }
    }
    assert!(store.stats().redone >= 1);
}

#[tokio::test]
async fn the_log_stays_small_while_much_is_written() {
    let folder = folder();
    let mut config = SqliteConfig::new(folder.path());
    config.checkpoint_pages = 100;
    config.wal_max = 2 << 20;
    let store = Arc::new(open(&config));
    let mut largest = 0;
    for round in 0..60 {
        let given = (0..20).map(|id| of_size(&format!("{round}-{id}"), 20_000));
        let answers = at_once(&store, given.collect()).await;
        assert!(answers.iter().all(Result::is_ok));
        largest = largest.max(store.stats().wal_bytes);
    }
    // 24 MB of bodies went through it.
    let stats = store.stats();
    assert!(stats.checkpoints > 0 && stats.last_checkpoint.is_some());
    assert!(largest < 8 << 20, "the log grew to {largest} bytes");
}

#[tokio::test]
async fn a_long_log_that_a_killed_process_left_is_moved_at_the_next_start() {
    let folders = [folder(), folder()];
    let [first, next] = folders.each_ref().map(tempfile::TempDir::path);
    let mut config = SqliteConfig::new(first);
    config.checkpoint_pages = u32::MAX;
    let store = Arc::new(open(&config));
    let given = (0..40).map(|id| of_size(&id.to_string(), 100_000));
    let answers = at_once(&store, given.collect()).await;
    assert!(answers.iter().all(Result::is_ok));
    assert!(store.stats().wal_bytes > 4 << 20);
    // What a kill would leave, without the end of this store.
    for file in ["conche.db", "conche.db-wal"] {
        std::fs::copy(first.join(file), next.join(file)).expect("it is copied");
    }
    let mut config = SqliteConfig::new(next);
    config.checkpoint_pages = 100;
    let store = open(&config);
    let log = store.stats().wal_bytes;
    assert!(log < 100 << 10, "{log} bytes are left");
    let counts = store.counts().await.expect("runs are counted");
    assert_eq!(counts.into_values().sum::<u64>(), 40);
}
