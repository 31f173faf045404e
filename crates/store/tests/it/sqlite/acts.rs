//! The record of acts on disk: damage to it is found, also while a server has the folder open.

use conche_store::audit::{Broken, Chain, Mark};
use conche_store::contract::given::at;
use conche_store::contract::ledger::act;
use conche_store::sqlite::{ActsReader, SqliteConfig};
use conche_store::{Change, Error, Ledger as _, ReactionRow, RunStore as _};
use tempfile::TempDir;

use super::{database, folder, open};

/// What is done behind the store's back to a record of five rows, and the first row that is
/// then broken.
const DAMAGES: [(&str, u64); 8] = [
    (
        "UPDATE acts SET text = replace(text, 'ann', 'bob') WHERE seq = 3",
        3,
    ),
    ("UPDATE acts SET hash = zeroblob(32) WHERE seq = 2", 2),
    ("DELETE FROM acts WHERE seq = 4", 4),
    ("DELETE FROM acts WHERE seq = 1", 1),
    ("DELETE FROM acts WHERE seq = 5", 5),
    (
        "UPDATE acts SET seq = 9 WHERE seq = 2; UPDATE acts SET seq = 2 WHERE seq = 3;
         UPDATE acts SET seq = 3 WHERE seq = 9",
        2,
    ),
    // What retention would do, but that no row tells of it.
    (
        "UPDATE marks SET seq = 2, hash = (SELECT hash FROM acts WHERE seq = 2)
         WHERE kind = 'checkpoint'; DELETE FROM acts WHERE seq <= 2",
        2,
    ),
    // A row added past the store.
    (
        "INSERT INTO acts SELECT 6, at, text, hash FROM acts WHERE seq = 5",
        6,
    ),
];

/// The head of a folder's record, or what is broken.
fn verify(folder: &TempDir) -> Result<Mark, Broken> {
    let reader = ActsReader::open(folder.path()).expect("it opens");
    let mut piece = reader.piece(0).expect("it can be read");
    let mut chain = Chain::new(piece.checkpoint);
    while let Some(last) = piece.rows.last() {
        let after = last.seq;
        piece.rows.iter().try_for_each(|row| chain.check(row))?;
        piece = reader.piece(after).expect("it can be read");
    }
    chain.end(piece.head)
}

async fn recorded() -> TempDir {
    let folder = folder();
    let store = open(&SqliteConfig::new(folder.path()));
    for seconds in 1..=5 {
        let done = store.record(act("t", seconds)).await;
        assert_eq!(done, Ok(seconds));
    }
    assert_eq!(store.close().await, Ok(()));
    folder
}

#[tokio::test]
async fn rows_changed_removed_or_moved_are_found() {
    let folder = recorded().await;
    assert_eq!(verify(&folder).map(|head| head.seq), Ok(5));
    let untouched = std::fs::read(folder.path().join("conche.db")).expect("it is read");
    for (sql, seq) in DAMAGES {
        let connection = database(&folder);
        connection.execute_batch(sql).expect("it is damaged");
        drop(connection);
        let found = verify(&folder).map_err(|broken| broken.seq);
        assert_eq!(found, Err(seq), "{sql}");
        std::fs::write(folder.path().join("conche.db"), &untouched).expect("it is mended");
        std::fs::remove_file(folder.path().join("conche.db-wal")).ok();
        std::fs::remove_file(folder.path().join("conche.db-shm")).ok();
    }
    assert_eq!(verify(&folder).map(|head| head.seq), Ok(5));
}

#[tokio::test]
async fn retention_removes_no_row_that_was_changed_or_made_to_look_old() {
    for (sql, before, removed, broken) in [
        // Not sealed, so it says nothing.
        ("UPDATE acts SET at = 0", at(1), 0, None),
        (
            "UPDATE acts SET text = replace(text, 'ann', 'bob') WHERE seq = 2",
            at(4),
            1,
            Some(2),
        ),
        ("DELETE FROM acts WHERE seq = 1", at(4), 0, Some(1)),
        // Rows before the first are none.
        (
            "INSERT INTO acts SELECT -seq, 0, text, hash FROM acts",
            at(4),
            3,
            None,
        ),
    ] {
        let folder = recorded().await;
        database(&folder).execute_batch(sql).expect("it is damaged");
        let store = open(&SqliteConfig::new(folder.path()));
        assert_eq!(
            store.expire_acts(before, 10, at(9)).await,
            Ok(removed),
            "{sql}"
        );
        let found = verify(&folder).err().map(|broken| broken.seq);
        assert_eq!(found, broken, "{sql}");
    }
}

#[tokio::test]
async fn the_record_is_read_while_the_store_is_open() {
    let folder = recorded().await;
    let store = open(&SqliteConfig::new(folder.path()));
    assert_eq!(store.record(act("on", 6)).await, Ok(6));
    let reader = ActsReader::open(folder.path()).expect("it opens");
    assert_eq!(reader.piece(0).map(|piece| piece.head.seq), Ok(6));
    // What comes meanwhile is not in it.
    assert_eq!(store.record(act("later", 7)).await, Ok(7));
    let piece = reader.piece(4).expect("it can be read");
    let numbers: Vec<u64> = piece.rows.iter().map(|row| row.seq).collect();
    assert_eq!((numbers, piece.head.seq), (vec![5, 6], 6));
    assert_eq!(verify(&folder).map(|head| head.seq), Ok(7));
}

#[tokio::test]
async fn a_folder_without_a_store_is_not_made_one() {
    let folder = folder();
    assert!(ActsReader::open(folder.path()).is_err());
    assert_eq!(
        std::fs::read_dir(folder.path()).map(Iterator::count).ok(),
        Some(0)
    );
}

#[tokio::test]
async fn a_change_whose_act_cannot_be_recorded_does_not_happen() {
    let folder = recorded().await;
    database(&folder)
        .execute_batch("DELETE FROM marks WHERE kind = 'head'")
        .expect("it is damaged");
    let store = open(&SqliteConfig::new(folder.path()));
    let put = Change::PutReaction(ReactionRow {
        name: "r".to_owned(),
        text: "1".to_owned(),
        updated_at: at(0),
    });
    let refused = store.change(put, act("r", 7)).await;
    assert!(matches!(refused, Err(Error::Corrupt { .. })), "{refused:?}");
    let reactions = conche_store::Catalogue::reactions(&store).await;
    assert_eq!(reactions, Ok(Vec::new()));
}
