//! Forgetting: what is old, and never what is still needed.

use std::sync::Arc;

use conche_core::run::Status;
use conche_core::{RunId, Timestamp};

use super::given::{self, at, claim_one, due_run};
use crate::{
    Append, DefinitionText, Error, EventFilter, Expired, Next, Page, ReactionRow, Retention,
    Signal, Store,
};
use conche_core::Digest;

/// Every check of this group.
pub async fn check<F: AsyncFn() -> Arc<dyn Store>>(open: &F) {
    finished_runs_go_with_their_journals(&*open().await).await;
    unfinished_runs_and_their_events_stay(&*open().await).await;
    a_run_about_to_be_reopened_stays(&*open().await).await;
    a_run_that_was_ended_while_put_aside_goes(&*open().await).await;
    no_more_than_the_limit_goes_at_once(&*open().await).await;
    events_runs_and_pairs_go_on_schedules_of_their_own(&*open().await).await;
    definitions_stay_while_they_are_needed(&*open().await).await;
}

fn retention(seconds: u64) -> Retention {
    Retention {
        events_before: at(seconds),
        runs_before: at(seconds),
        dedup_before: at(seconds),
        ended_before: at(seconds),
        limit: 100,
    }
}

async fn expire(store: &dyn Store, retention: Retention) -> Expired {
    store.expire(retention).await.expect("it expires")
}

/// A run that began and ended at a time.
async fn finished_run(store: &dyn Store, now: Timestamp) -> RunId {
    let node = given::node();
    due_run(store, now).await;
    let claimed = claim_one(store, node, now).await;
    given::finish(store, &claimed, node, now).await;
    claimed.run
}

async fn finished_runs_go_with_their_journals(store: &dyn Store) {
    let old = finished_run(store, at(10)).await;
    let young = finished_run(store, at(20)).await;
    let expired = expire(store, retention(20)).await;
    assert_eq!((expired.runs, expired.events, expired.dedup), (1, 1, 1));
    for gone in [
        store.run(old).await.err(),
        store.journal(old, 0).await.err(),
    ] {
        assert!(matches!(gone, Some(Error::NotFound { .. })), "{gone:?}");
    }
    assert_eq!(store.signals(old).await, Ok(Vec::new()));
    assert!(store.run(young).await.is_ok());
    let counts = store.counts().await.expect("runs are counted");
    assert_eq!(counts.into_values().sum::<u64>(), 1);
    assert_eq!(expire(store, retention(20)).await, Expired::default());
}

async fn unfinished_runs_and_their_events_stay(store: &dyn Store) {
    let node = given::node();
    let due = due_run(store, at(10)).await;
    let held = claim_one(store, node, at(10)).await.run;
    assert_eq!(due, held);
    due_run(store, at(11)).await;
    let parked = claim_one(store, node, at(11)).await;
    let park = Append {
        next: Next::Park(at(1000)),
        ..given::append(&parked, node, at(11))
    };
    assert_eq!(store.append(park).await, Ok(vec![]));
    due_run(store, at(12)).await;
    let bad = claim_one(store, node, at(12)).await;
    let reason = "unreadable";
    let quarantined = store.quarantine(bad.run, bad.epoch, reason, at(50)).await;
    assert_eq!(quarantined, Ok(Status::NeedsAttention));
    let waiting = due_run(store, at(13)).await;
    let expired = expire(store, retention(500)).await;
    assert_eq!((expired.runs, expired.events), (0, 0));
    for run in [held, parked.run, bad.run, waiting] {
        let row = store.run(run).await.expect("the run stays");
        let event = row.event.expect("it has an event");
        assert!(store.event(event).await.is_ok(), "its event stays");
    }
}

async fn a_run_that_was_ended_while_put_aside_goes(store: &dyn Store) {
    let run = due_run(store, at(10)).await;
    let node = given::node();
    let claimed = claim_one(store, node, at(10)).await;
    let cancel = Signal::Cancel {
        by: "ann".to_owned(),
        reason: None,
    };
    assert!(store.signal(run, cancel, None, at(11)).await.is_ok());
    let ended = store
        .quarantine(run, claimed.epoch, "unreadable", at(20))
        .await;
    assert_eq!(ended, Ok(Status::Cancelled));
    let expired = expire(store, retention(20)).await;
    assert_eq!((expired.runs, expired.events), (0, 1), "it needs no event");
    assert_eq!(expire(store, retention(21)).await.runs, 1);
}

async fn a_run_about_to_be_reopened_stays(store: &dyn Store) {
    let run = finished_run(store, at(10)).await;
    let by = "ann".to_owned();
    let retry = Signal::Retry {
        visit: 0,
        by,
        identity: None,
    };
    let left = store.signal(run, retry, None, at(15));
    assert!(left.await.is_ok());
    let expired = expire(store, retention(500)).await;
    assert_eq!((expired.runs, expired.events), (0, 0));
    let claimed = claim_one(store, given::node(), at(15)).await;
    assert!(claimed.event.is_some());
    let expired = expire(store, retention(500)).await;
    assert_eq!((expired.runs, expired.events), (0, 0), "while it is held");
}

async fn no_more_than_the_limit_goes_at_once(store: &dyn Store) {
    for seconds in 0..5 {
        finished_run(store, at(seconds)).await;
    }
    let two = Retention {
        limit: 2,
        ..retention(500)
    };
    for left in [2, 2, 1, 0] {
        let expired = expire(store, two).await;
        let counts = (expired.runs, expired.events, expired.dedup);
        assert_eq!(counts, (left, left, left));
    }
}

async fn events_runs_and_pairs_go_on_schedules_of_their_own(store: &dyn Store) {
    let run = finished_run(store, at(10)).await;
    let events = Retention {
        runs_before: at(0),
        dedup_before: at(0),
        ended_before: at(0),
        ..retention(500)
    };
    let expired = expire(store, events).await;
    let wanted = Expired {
        events: 1,
        ..Expired::default()
    };
    assert_eq!(expired, wanted);
    assert!(store.run(run).await.is_ok(), "a run outlives its event");
    let by = "ann".to_owned();
    let retry = Signal::Retry {
        visit: 0,
        by,
        identity: None,
    };
    let left = store.signal(run, retry, None, at(15));
    assert!(left.await.is_ok());
    let claimed = claim_one(store, given::node(), at(15)).await;
    assert_eq!(claimed.event, None);
    assert!(claimed.journal.is_ok());
    let (before, limit) = (None, 10);
    let left = store
        .events(EventFilter::default(), Page { before, limit })
        .await;
    assert_eq!(left, Ok(Vec::new()));
}

fn text(name: &str, text: &str) -> DefinitionText {
    DefinitionText {
        digest: Digest::of(text.as_bytes()),
        kind: "reaction".to_owned(),
        name: name.to_owned(),
        text: text.to_owned(),
    }
}

async fn definitions_stay_while_they_are_needed(store: &dyn Store) {
    let of_run = "definition of the contract";
    assert_eq!(text("scan", of_run).digest, given::definition());
    let versions = [
        text("scan", of_run),
        text("scan", "of a reaction"),
        text("scan", "of nobody"),
        text("scan", "current"),
        text("other", "current of another"),
    ];
    for version in &versions {
        assert_eq!(store.put_definition(version.clone()).await, Ok(()));
    }
    let reaction = ReactionRow {
        name: "scan".to_owned(),
        text: "of a reaction".to_owned(),
        updated_at: at(0),
    };
    assert_eq!(store.put_reaction(reaction).await, Ok(()));
    let run = due_run(store, at(10)).await;
    let is_there = async |index: usize| store.definition(versions[index].digest).await.is_ok();
    let there = async || {
        [
            is_there(0).await,
            is_there(1).await,
            is_there(2).await,
            is_there(3).await,
            is_there(4).await,
        ]
    };
    assert_eq!(expire(store, retention(500)).await.definitions, 1);
    assert_eq!(there().await, [true, true, false, true, true]);

    let node = given::node();
    let claimed = claim_one(store, node, at(10)).await;
    assert_eq!(claimed.run, run);
    given::finish(store, &claimed, node, at(11)).await;
    assert_eq!(store.delete_reaction("scan").await, Ok(true));
    let expired = expire(store, retention(500)).await;
    assert_eq!((expired.runs, expired.definitions), (1, 2));
    assert_eq!(there().await, [false, false, false, true, true]);

    // An older version put again is the current one again.
    assert_eq!(store.put_definition(text("scan", "x")).await, Ok(()));
    assert_eq!(store.put_definition(versions[3].clone()).await, Ok(()));
    assert_eq!(expire(store, retention(500)).await.definitions, 1);
    assert!(is_there(3).await);
}
