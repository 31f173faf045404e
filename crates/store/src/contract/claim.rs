//! Claiming: what is due, once, with all that is needed to go on.

use std::sync::Arc;

use super::given::{self, acceptance, append, at, claim, due_run, intake, runs};
use crate::{Append, Claim, Next, Signal, Store};

/// Every check of this group.
pub async fn check<F: AsyncFn() -> Arc<dyn Store>>(open: &F) {
    due_runs_come_earliest_first_and_no_more_than_asked(&*open().await).await;
    nothing_is_claimed_before_it_is_due(&*open().await).await;
    each_claim_has_a_higher_epoch(&*open().await).await;
    a_claim_carries_journal_event_and_signals(&*open().await).await;
    two_claimers_never_get_the_same_run(&*open().await).await;
}

async fn due_runs_come_earliest_first_and_no_more_than_asked(store: &dyn Store) {
    let mut expected = Vec::new();
    for seconds in [30, 10, 20] {
        expected.push((seconds, due_run(store, at(seconds)).await));
    }
    expected.sort_unstable();
    let expected: Vec<_> = expected.into_iter().map(|(_, run)| run).collect();
    let (node, now, limit) = (given::node(), at(60), 2);
    let first = store.claim(Claim { node, now, limit }).await;
    assert_eq!(runs(&first.expect("two are claimed")), expected[..2]);
    let rest = claim(store, node, now).await;
    assert_eq!(runs(&rest), expected[2..]);
    assert!(claim(store, node, now).await.is_empty());
}

async fn nothing_is_claimed_before_it_is_due(store: &dyn Store) {
    let run = due_run(store, at(10)).await;
    let node = given::node();
    assert!(claim(store, node, at(9)).await.is_empty());
    assert_eq!(store.next_due().await, Ok(Some(at(10))));
    assert_eq!(runs(&claim(store, node, at(10)).await), [run]);
    assert_eq!(store.next_due().await, Ok(None));
    let row = store.run(run).await.expect("the run is there");
    assert_eq!((row.held, row.due), (true, None));
}

async fn each_claim_has_a_higher_epoch(store: &dyn Store) {
    due_run(store, at(0)).await;
    let node = given::node();
    let mut last = 0;
    for round in 1..4 {
        let claimed = given::claim_one(store, node, at(round)).await;
        assert!(claimed.epoch > last, "{} after {last}", claimed.epoch);
        last = claimed.epoch;
        let park = Append {
            next: Next::Park(at(round)),
            ..append(&claimed, node, at(round))
        };
        assert_eq!(store.append(park).await, Ok(vec![]));
    }
}

async fn a_claim_carries_journal_event_and_signals(store: &dyn Store) {
    let given = acceptance("github", "1", at(0));
    let (event, new) = (given.event.clone(), given.runs[0].clone());
    store
        .accept(intake(vec![given], at(0)))
        .await
        .expect("it is accepted");
    let signal = Signal::Retry {
        visit: 2,
        by: "ann".to_owned(),
        identity: None,
    };
    let id = store.signal(new.run, signal.clone(), None, at(1)).await;
    let id = id.expect("the signal is left");
    let claimed = given::claim_one(store, given::node(), at(1)).await;
    assert_eq!(claimed.run, new.run);
    assert_eq!(claimed.journal, Ok(vec![new.first]));
    assert_eq!(claimed.event, Some(event));
    assert_eq!(claimed.signals, vec![(id, signal)]);
}

async fn two_claimers_never_get_the_same_run(store: &dyn Store) {
    const RUNS: usize = 60;
    for _ in 0..RUNS {
        due_run(store, at(0)).await;
    }
    let take = async |node| {
        let (now, limit) = (at(1), 3);
        let mut taken = Vec::new();
        loop {
            let more = store.claim(Claim { node, now, limit }).await;
            let more = more.expect("it can be claimed");
            if more.is_empty() {
                return taken;
            }
            taken.extend(runs(&more));
            tokio::task::yield_now().await;
        }
    };
    let (mut all, other) = tokio::join!(take(given::node()), take(given::node()));
    all.extend(other);
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), RUNS);
}
