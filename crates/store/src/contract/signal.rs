//! Signals: never lost, whatever the run is doing.

use std::sync::Arc;

use super::given::{self, append, at, claim, claim_one, due_run};
use crate::{Append, Claimed, Error, Next, NodeId, Signal, SignalId, Store};

/// Every check of this group.
pub async fn check<F: AsyncFn() -> Arc<dyn Store>>(open: &F) {
    a_parked_run_is_due_at_once(&*open().await).await;
    a_run_due_earlier_stays_so(&*open().await).await;
    a_finished_run_is_due_at_once(&*open().await).await;
    a_held_run_is_due_when_it_is_let_go(&*open().await).await;
    what_was_dealt_with_is_gone_and_the_rest_waits(&*open().await).await;
    signals_of_other_runs_are_left_alone(&*open().await).await;
    an_unknown_run_is_not_found(&*open().await).await;
    a_signal_that_races_with_parking_is_not_lost(&*open().await).await;
    of_signals_at_one_version_the_first_is_taken(&*open().await).await;
    a_signal_at_another_version_is_refused(&*open().await).await;
}

fn cancel(by: &str) -> Signal {
    Signal::Cancel {
        by: by.to_owned(),
        reason: None,
    }
}

async fn leave(store: &dyn Store, claimed: &Claimed, by: &str, now: u64) -> SignalId {
    let left = store.signal(claimed.run, cancel(by), None, at(now)).await;
    left.expect("the signal is left")
}

/// A run parked until `at(1000)`.
async fn parked(store: &dyn Store, node: NodeId) -> Claimed {
    due_run(store, at(0)).await;
    let claimed = claim_one(store, node, at(0)).await;
    let park = Append {
        next: Next::Park(at(1000)),
        ..append(&claimed, node, at(0))
    };
    assert_eq!(store.append(park).await, Ok(vec![]));
    claimed
}

/// A signal that acts on the run as it is at a version.
fn retry() -> Signal {
    Signal::Retry {
        visit: 0,
        by: "ann".to_owned(),
        identity: None,
    }
}

async fn of_signals_at_one_version_the_first_is_taken(store: &dyn Store) {
    let node = given::node();
    let run = parked(store, node).await.run;
    assert!(store.signal(run, retry(), Some(1), at(5)).await.is_ok());
    let second = store.signal(run, retry(), Some(1), at(5)).await;
    assert!(matches!(second, Err(Error::Conflict { .. })), "{second:?}");
    assert_eq!(store.signals(run).await.map(|all| all.len()), Ok(1));
    // A signal without a version is taken whatever waits.
    let cancelled = store.signal(run, cancel("ann"), None, at(5)).await;
    assert!(cancelled.is_ok(), "{cancelled:?}");
}

async fn a_signal_at_another_version_is_refused(store: &dyn Store) {
    let node = given::node();
    let run = parked(store, node).await.run;
    let (expected, found) = (2, 1);
    let refused = store.signal(run, retry(), Some(expected), at(5)).await;
    let conflict = Error::Conflict {
        run,
        expected,
        found,
    };
    assert_eq!(refused, Err(conflict));
    assert_eq!(store.signals(run).await, Ok(Vec::new()));
    let due = store.run(run).await.map(|row| row.due);
    assert_eq!(due, Ok(Some(at(1000))), "it is not made due either");
}

async fn a_parked_run_is_due_at_once(store: &dyn Store) {
    let node = given::node();
    let parked = parked(store, node).await;
    let id = leave(store, &parked, "ann", 5).await;
    assert_eq!(store.next_due().await, Ok(Some(at(5))));
    let claimed = claim_one(store, node, at(5)).await;
    assert_eq!(claimed.signals, vec![(id, cancel("ann"))]);
}

async fn a_run_due_earlier_stays_so(store: &dyn Store) {
    let run = due_run(store, at(3)).await;
    let left = store.signal(run, cancel("ann"), None, at(5)).await;
    assert!(left.is_ok());
    assert_eq!(store.next_due().await, Ok(Some(at(3))));
}

async fn a_finished_run_is_due_at_once(store: &dyn Store) {
    let node = given::node();
    due_run(store, at(0)).await;
    let claimed = claim_one(store, node, at(0)).await;
    given::finish(store, &claimed, node, at(1)).await;
    leave(store, &claimed, "ann", 5).await;
    let again = claim_one(store, node, at(5)).await;
    assert_eq!(again.run, claimed.run);
    assert_eq!(again.signals.len(), 1);
}

async fn a_held_run_is_due_when_it_is_let_go(store: &dyn Store) {
    let node = given::node();
    for next in [Next::Park(at(1000)), Next::Finish] {
        let run = due_run(store, at(0)).await;
        let claimed = claim_one(store, node, at(0)).await;
        leave(store, &claimed, "ann", 5).await;
        assert_eq!(store.next_due().await, Ok(None), "a held run is not due");
        let release = Append {
            next,
            ..append(&claimed, node, at(6))
        };
        assert_eq!(store.append(release).await, Ok(vec![]));
        assert_eq!(store.next_due().await, Ok(Some(at(6))), "{next:?}");
        let again = claim_one(store, node, at(6)).await;
        assert_eq!((again.run, again.signals.len()), (run, 1));
    }
}

async fn what_was_dealt_with_is_gone_and_the_rest_waits(store: &dyn Store) {
    let node = given::node();
    let parked = parked(store, node).await;
    let first = leave(store, &parked, "ann", 5).await;
    let second = leave(store, &parked, "bob", 6).await;
    assert!(first < second);
    let claimed = claim_one(store, node, at(6)).await;
    let ids: Vec<_> = claimed.signals.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, [first, second]);
    for (dealt, due) in [(first, Some(at(7))), (second, None)] {
        let held = Append {
            signals: vec![dealt],
            next: if due.is_none() {
                Next::Finish
            } else {
                Next::Hold
            },
            ..append(&claimed, node, at(7))
        };
        assert_eq!(store.append(held).await, Ok(vec![]));
        let waiting = store.signals(parked.run).await.expect("signals are read");
        assert_eq!(waiting.is_empty(), due.is_none());
    }
    assert_eq!(store.next_due().await, Ok(None));
}

async fn signals_of_other_runs_are_left_alone(store: &dyn Store) {
    let node = given::node();
    let (one, other) = (parked(store, node).await, parked(store, node).await);
    leave(store, &one, "ann", 5).await;
    let of_other = leave(store, &other, "bob", 5).await;
    for claimed in claim(store, node, at(5)).await {
        if claimed.run == one.run {
            let wrong = Append {
                signals: vec![of_other],
                ..append(&claimed, node, at(6))
            };
            assert_eq!(store.append(wrong).await, Ok(vec![]));
        }
    }
    let waiting = store.signals(other.run).await.expect("signals are read");
    assert_eq!(waiting, vec![(of_other, cancel("bob"))]);
}

async fn an_unknown_run_is_not_found(store: &dyn Store) {
    let unknown = given::acceptance("x", "1", at(0)).runs[0].run;
    let refused = store.signal(unknown, cancel("ann"), None, at(0)).await;
    assert!(matches!(refused, Err(Error::NotFound { kind: "run", .. })));
    assert_eq!(store.signals(unknown).await, Ok(Vec::new()));
}

async fn a_signal_that_races_with_parking_is_not_lost(store: &dyn Store) {
    let node = given::node();
    for round in 0..50 {
        let now = round * 10;
        let run = due_run(store, at(now)).await;
        let claimed = claim_one(store, node, at(now)).await;
        let park = Append {
            next: Next::Park(at(1_000_000)),
            ..append(&claimed, node, at(now + 1))
        };
        let signal = store.signal(run, cancel("ann"), None, at(now + 1));
        let (parked, left) = if round % 2 == 0 {
            tokio::join!(store.append(park), signal)
        } else {
            let (left, parked) = tokio::join!(signal, store.append(park));
            (parked, left)
        };
        assert_eq!(parked, Ok(vec![]));
        let id = left.expect("the signal is left");
        let again = claim_one(store, node, at(now + 1)).await;
        assert_eq!(again.signals, vec![(id, cancel("ann"))]);
        given::finish(store, &again, node, at(now + 2)).await;
        // Not dealt with, so the run is due again; deal with it now.
        let last = claim_one(store, node, at(now + 2)).await;
        let (_, summary) = given::finished(at(now + 2));
        let end = Append {
            signals: vec![id],
            summary,
            next: Next::Finish,
            ..append(&last, node, at(now + 3))
        };
        assert_eq!(store.append(end).await, Ok(vec![]));
    }
}
