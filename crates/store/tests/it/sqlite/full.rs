//! A full disk: nothing is acknowledged, reading goes on, and it passes by itself.

use conche_store::contract::given::at;
use conche_store::sqlite::SqliteConfig;
use conche_store::{Catalogue as _, Error, EventFilter, Page, Retention, RunStore as _};

use super::{folder, of_size, open};
use conche_store::contract::given::intake;

#[tokio::test]
async fn a_full_store_refuses_reads_on_and_recovers_when_there_is_space() {
    let folder = folder();
    let mut config = SqliteConfig::new(folder.path());
    config.page_limit = Some(300);
    let store = open(&config);
    let mut accepted = Vec::new();
    let refused = loop {
        let mut given = of_size(&accepted.len().to_string(), 50_000);
        given.runs.clear();
        let id = given.event.event_id;
        match store.accept(intake(vec![given], at(0))).await {
            Ok(_) => accepted.push(id),
            Err(error) => break error,
        }
        assert!(accepted.len() < 100, "it never fills up");
    };
    assert!(matches!(refused, Error::Full(_)), "{refused:?}");
    let check = store.check().await;
    assert!(matches!(check, Err(Error::Full(_))), "{check:?}");
    let (before, limit) = (None, 1000);
    let page = Page { before, limit };
    let listed = store.events(EventFilter::default(), page).await;
    let listed = listed.expect("reading goes on");
    assert_eq!(
        listed.len(),
        accepted.len(),
        "what was refused is not there"
    );

    let retention = Retention {
        events_before: at(1),
        runs_before: at(0),
        dedup_before: at(0),
        ended_before: at(0),
        limit: 5,
    };
    let expired = store
        .expire(retention)
        .await
        .expect("removing needs no space");
    assert_eq!(expired.events, 5);
    assert_eq!(store.check().await, Ok(()));
    let again = store.accept(intake(vec![of_size("again", 50_000)], at(0)));
    assert!(again.await.is_ok());
}

#[tokio::test]
async fn what_was_refused_counts_until_there_is_room_for_more_than_a_little() {
    let folder = folder();
    let mut config = SqliteConfig::new(folder.path());
    config.page_limit = Some(300);
    let store = open(&config);
    // In the way of the look for room, as a full disk would be.
    let room = folder.path().join("room");
    std::fs::create_dir(&room).expect("the folder is ours");
    assert_eq!(store.check().await, Ok(()), "nothing was refused yet");
    let large = intake(vec![of_size("large", 3_000_000)], at(0));
    let refused = store.accept(large).await;
    assert!(matches!(refused, Err(Error::Full(_))), "{refused:?}");
    let small = intake(vec![of_size("small", 10)], at(0));
    assert!(store.accept(small).await.is_ok(), "a little goes through");
    let check = store.check().await;
    assert!(check.is_err(), "that is not enough: {check:?}");
    std::fs::remove_dir(&room).expect("the folder is ours");
    assert_eq!(store.check().await, Ok(()));
    assert!(!room.exists(), "nothing is left behind");
    std::fs::create_dir(&room).expect("the folder is ours");
    assert_eq!(store.check().await, Ok(()), "it is over");
}
