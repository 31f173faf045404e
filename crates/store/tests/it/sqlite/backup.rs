//! Copies: taken from under a store at work, whole or not there, put back only where nothing is.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use conche_core::run::{Entry, Resolution, Status};
use conche_core::storm::{Gates, Gather, Key};
use conche_store::contract::given::{self, acceptance, at};
use conche_store::sqlite::{SqliteConfig, backup, examine, restore};
use conche_store::{Catalogue as _, Error, RunStore as _, Signal};

use super::{accept, folder, open};

#[tokio::test]
async fn a_copy_of_a_store_at_work_is_the_store_of_one_moment() {
    let (folder, elsewhere) = (folder(), folder());
    let config = SqliteConfig::new(folder.path());
    let store = open(&config);
    let (_, done) = accept(&store, acceptance("github", "1", at(0))).await;
    let node = given::node();
    assert_eq!(store.heartbeat(node, at(100)).await, Ok(()));
    let claimed = given::claim_one(&store, node, at(0)).await;
    given::finish(&store, &claimed, node, at(1)).await;
    let (_, held) = accept(&store, acceptance("github", "2", at(0))).await;
    given::claim_one(&store, node, at(0)).await;

    let file = elsewhere.path().join("copy");
    let copy = backup(folder.path(), &file, at(2)).expect("a copy is written");
    assert_eq!((copy.events, copy.runs, copy.unfinished), (2, 2, 1));
    assert_eq!(examine(&file), Ok(copy.clone()));
    let mode = std::fs::metadata(&file)
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    // What comes after is not in it, and the store it was taken from goes on.
    let (_, later) = accept(&store, acceptance("github", "3", at(2))).await;

    let restored = elsewhere.path().join("data");
    assert_eq!(restore(&file, &restored, None, at(3)), Ok(copy));
    let second = open(&SqliteConfig::new(&restored));
    assert_eq!(
        second.run(done).await.expect("it is there").summary.status,
        Status::Succeeded
    );
    assert!(second.run(later).await.is_err());
    let next = given::node();
    assert_eq!(second.heartbeat(next, at(200)).await, Ok(()));
    assert_eq!(
        second.reap(at(4)).await,
        Ok(1),
        "its holder is in another world"
    );
    let again = given::claim_one(&second, next, at(4)).await;
    assert_eq!(again.run, held);
    let last = again
        .journal
        .expect("it is readable")
        .pop()
        .expect("entries");
    let copied_at = at(2);
    assert_eq!(
        (last.at, last.entry),
        (at(3), Entry::Restored { copied_at })
    );
    let untouched = second.whole_journal(done).await.expect("it is there");
    assert_eq!(Ok(untouched), store.whole_journal(done).await);
    assert!(
        again.epoch > claimed.epoch + 1,
        "fenced off from its holder"
    );
}

#[tokio::test]
async fn runs_that_had_not_ended_can_be_cancelled_as_they_are_restored() {
    let (folder, elsewhere) = (folder(), folder());
    let store = open(&SqliteConfig::new(folder.path()));
    let (_, run) = accept(&store, acceptance("github", "1", at(0))).await;
    let file = elsewhere.path().join("copy");
    backup(folder.path(), &file, at(2)).expect("a copy is written");
    let restored = elsewhere.path().join("data");
    restore(&file, &restored, Some("ann"), at(3)).expect("it is put back");
    let second = open(&SqliteConfig::new(&restored));
    let node = given::node();
    assert_eq!(second.heartbeat(node, at(200)).await, Ok(()));
    let claimed = given::claim_one(&second, node, at(4)).await;
    assert_eq!(claimed.run, run);
    let waiting = format!("{:?}", claimed.signals);
    assert!(
        waiting.contains("Cancel") && waiting.contains("ann"),
        "{waiting}"
    );
}

#[tokio::test]
async fn nothing_that_is_there_is_overwritten_and_no_half_copy_is_left() {
    let (folder, elsewhere) = (folder(), folder());
    let store = open(&SqliteConfig::new(folder.path()));
    accept(&store, acceptance("github", "1", at(0))).await;
    let file = elsewhere.path().join("copy");
    backup(folder.path(), &file, at(2)).expect("a copy is written");
    let refused = |result: Result<_, Error>| result.expect_err("it is refused").to_string();
    assert!(refused(backup(folder.path(), &file, at(2))).contains("already"));
    assert!(
        refused(backup(elsewhere.path(), &elsewhere.path().join("x"), at(2))).contains("no store")
    );
    let locked = refused(restore(&file, folder.path(), None, at(1)));
    assert!(locked.contains("another process holds"), "{locked}");
    assert_eq!(store.close().await, Ok(()));
    assert!(refused(restore(&file, folder.path(), None, at(1))).contains("already"));

    let text = elsewhere.path().join("text");
    std::fs::write(
        &text,
        "no database at all, but long enough to be looked at".repeat(20),
    )
    .expect("it is there");
    let torn = elsewhere.path().join("torn");
    let whole = std::fs::read(&file).expect("it is there");
    std::fs::write(&torn, &whole[..whole.len() / 2]).expect("it is there");
    let empty = elsewhere.path().join("empty");
    std::fs::write(&empty, "").expect("it is there");
    // A pipe or a device would be waited for.
    let device = Path::new("/dev/zero").to_owned();
    for wrong in [&text, &torn, &empty, &device] {
        let data = elsewhere.path().join("data");
        let refused = restore(wrong, &data, None, at(1)).expect_err("it is no copy");
        let file = wrong.display().to_string();
        assert!(refused.to_string().contains(&file), "{refused}");
        assert!(!data.join("conche.db").exists(), "{}", wrong.display());
    }
    assert!(parts(elsewhere.path()).is_empty());
}

#[tokio::test]
async fn a_copy_with_a_trigger_or_another_table_in_it_is_not_put_back() {
    let (folder, elsewhere) = (folder(), folder());
    let store = open(&SqliteConfig::new(folder.path()));
    accept(&store, acceptance("github", "1", at(0))).await;
    let whole = elsewhere.path().join("copy");
    backup(folder.path(), &whole, at(2)).expect("a copy is written");
    for (name, sql) in [
        (
            "trigger",
            "CREATE TRIGGER t AFTER INSERT ON acts BEGIN DELETE FROM acts; END",
        ),
        ("view", "CREATE VIEW v AS SELECT * FROM events"),
        ("table", "CREATE TABLE t (x)"),
        ("column", "ALTER TABLE events ADD COLUMN x INTEGER"),
        ("less", "DROP TABLE tokens"),
    ] {
        let file = elsewhere.path().join(name);
        std::fs::copy(&whole, &file).expect("it is there");
        let changed = rusqlite::Connection::open(&file).expect("it is a database");
        changed.execute_batch(sql).expect("it is changed");
        drop(changed);
        let data = elsewhere.path().join("data");
        let refused = restore(&file, &data, None, at(3)).expect_err("it is not ours");
        assert!(refused.to_string().contains("its tables"), "{refused}");
        assert!(!data.join("conche.db").exists(), "{name}");
    }
}

fn parts(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir)
        .expect("it is there")
        .map(|entry| entry.expect("it is there").path());
    entries
        .filter(|path| path.to_string_lossy().ends_with(".part"))
        .collect()
}

#[tokio::test]
async fn what_an_operator_asked_for_before_a_copy_is_not_done_again_after_it() {
    let (folder, elsewhere) = (folder(), folder());
    let store = open(&SqliteConfig::new(folder.path()));
    let (_, resumed) = accept(&store, acceptance("github", "1", at(0))).await;
    let (_, cancelled) = accept(&store, acceptance("github", "2", at(0))).await;
    let by = || "ann".to_owned();
    let (visit, resolution) = (0, Resolution::Repeat);
    let resume = Signal::Resume {
        visit,
        resolution,
        by: by(),
    };
    let cancel = Signal::Cancel {
        by: by(),
        reason: None,
    };
    for (run, signal) in [(resumed, resume), (cancelled, cancel)] {
        let signalled = store.signal(run, signal, None, at(1)).await;
        signalled.expect("it is kept");
    }
    let file = elsewhere.path().join("copy");
    backup(folder.path(), &file, at(2)).expect("a copy is written");
    let restored = elsewhere.path().join("data");
    restore(&file, &restored, None, at(3)).expect("it is put back");
    let second = open(&SqliteConfig::new(&restored));
    for (run, expected) in [(resumed, 0), (cancelled, 1)] {
        let signals = second.signals(run).await.expect("they are read");
        assert_eq!(signals.len(), expected, "{signals:?}");
    }
}

#[tokio::test]
async fn a_run_that_waits_for_events_is_born_in_doubt_after_a_restore() {
    let (folder, elsewhere) = (folder(), folder());
    let store = open(&SqliteConfig::new(folder.path()));
    let gather = |id: &str, now: u64| {
        let mut acceptance = acceptance("ids", id, at(now));
        let window = std::time::Duration::from_secs(10);
        acceptance.runs[0].gates = Some(Gates {
            watches: Vec::new(),
            gather: Some((Gather::Group { window, max: 100 }, Key::new("k"))),
            keys_max: 100,
        });
        given::intake(vec![acceptance], at(now))
    };
    store.accept(gather("1", 0)).await.expect("it is accepted");
    let file = elsewhere.path().join("copy");
    backup(folder.path(), &file, at(2)).expect("a copy is written");
    let restored = elsewhere.path().join("data");
    restore(&file, &restored, None, at(3)).expect("it is put back");
    let second = open(&SqliteConfig::new(&restored));
    second.accept(gather("2", 4)).await.expect("it is accepted");
    let node = given::node();
    assert_eq!(second.heartbeat(node, at(200)).await, Ok(()));
    let claimed = given::claim_one(&second, node, at(10)).await;
    let first = claimed.journal.expect("it is readable").remove(0);
    let Entry::Started(started) = first.entry else {
        panic!("{first:?}")
    };
    assert_eq!((started.events.len(), started.copied_at), (2, Some(at(2))));
}
