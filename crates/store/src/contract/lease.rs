//! Leases: whose runs are free when a node is gone, and what is out of circulation.

use std::sync::Arc;

use conche_core::run::Status;

use super::given::{self, append, at, claim, claim_one, due_run};
use crate::{Error, Signal, Store};

/// Every check of this group.
pub async fn check<F: AsyncFn() -> Arc<dyn Store>>(open: &F) {
    the_runs_of_a_dead_node_are_due_at_once(&*open().await).await;
    a_living_node_keeps_its_runs(&*open().await).await;
    a_node_that_never_said_so_is_dead(&*open().await).await;
    reaping_leaves_unheld_runs_alone(&*open().await).await;
    a_quarantined_run_needs_attention_and_is_never_due(&*open().await).await;
    quarantine_needs_the_lease(&*open().await).await;
    a_signal_brings_a_quarantined_run_back(&*open().await).await;
    a_cancel_ends_a_run_that_is_put_aside(&*open().await).await;
    other_words_mean_nothing_to_a_run_that_is_put_aside(&*open().await).await;
}

async fn the_runs_of_a_dead_node_are_due_at_once(store: &dyn Store) {
    let (dead, alive) = (given::node(), given::node());
    assert_eq!(store.heartbeat(dead, at(10)).await, Ok(()));
    assert_eq!(store.heartbeat(alive, at(30)).await, Ok(()));
    let lost = [due_run(store, at(0)).await, due_run(store, at(0)).await];
    assert_eq!(claim(store, dead, at(1)).await.len(), 2);
    due_run(store, at(0)).await;
    let kept = claim_one(store, alive, at(1)).await;
    assert_eq!(store.reap(at(9)).await, Ok(0), "its time is not over");
    assert_eq!(store.reap(at(20)).await, Ok(2));
    assert_eq!(store.reap(at(20)).await, Ok(0), "once is enough");
    assert_eq!(store.next_due().await, Ok(Some(at(20))));
    assert_eq!(given::runs(&claim(store, alive, at(20)).await), lost);
    assert_eq!(store.append(append(&kept, alive, at(20))).await, Ok(vec![]));
}

async fn a_living_node_keeps_its_runs(store: &dyn Store) {
    let node = given::node();
    due_run(store, at(0)).await;
    assert_eq!(store.heartbeat(node, at(10)).await, Ok(()));
    let claimed = claim_one(store, node, at(1)).await;
    assert_eq!(store.heartbeat(node, at(40)).await, Ok(()));
    assert_eq!(store.reap(at(20)).await, Ok(0));
    assert_eq!(
        store.append(append(&claimed, node, at(20))).await,
        Ok(vec![])
    );
    assert_eq!(
        store.reap(at(40)).await,
        Ok(1),
        "alive until then, not then"
    );
}

async fn a_node_that_never_said_so_is_dead(store: &dyn Store) {
    due_run(store, at(0)).await;
    claim_one(store, given::node(), at(0)).await;
    assert_eq!(store.reap(at(0)).await, Ok(1));
}

async fn reaping_leaves_unheld_runs_alone(store: &dyn Store) {
    let node = given::node();
    due_run(store, at(50)).await;
    due_run(store, at(0)).await;
    let claimed = claim_one(store, node, at(0)).await;
    given::finish(store, &claimed, node, at(1)).await;
    assert_eq!(store.reap(at(10)).await, Ok(0));
    assert_eq!(store.next_due().await, Ok(Some(at(50))));
}

async fn a_quarantined_run_needs_attention_and_is_never_due(store: &dyn Store) {
    let run = due_run(store, at(0)).await;
    let node = given::node();
    let claimed = claim_one(store, node, at(0)).await;
    let reason = "its journal cannot be folded";
    let done = store.quarantine(run, claimed.epoch, reason, at(50)).await;
    assert_eq!(done, Ok(Status::NeedsAttention));
    let row = store.run(run).await.expect("the run is there");
    assert_eq!(row.summary.status, Status::NeedsAttention);
    assert_eq!(row.summary.reason.as_deref(), Some(reason));
    assert_eq!((row.held, row.due), (false, None));
    assert!(claim(store, node, at(1_000_000)).await.is_empty());
    let counts = store.counts().await.expect("runs are counted");
    assert_eq!(counts, [(Status::NeedsAttention, 1)].into());
}

async fn quarantine_needs_the_lease(store: &dyn Store) {
    let run = due_run(store, at(0)).await;
    let fenced = Err(Error::Fenced(run));
    assert_eq!(store.quarantine(run, 0, "unheld", at(50)).await, fenced);
    let claimed = claim_one(store, given::node(), at(0)).await;
    let later = claimed.epoch + 1;
    assert_eq!(
        store.quarantine(run, later, "another", at(50)).await,
        fenced
    );
    let row = store.run(run).await.expect("the run is there");
    assert_eq!(row.summary.status, Status::Running);
    let unknown = given::acceptance("x", "1", at(0)).runs[0].run;
    let refused = store.quarantine(unknown, 1, "unknown", at(50)).await;
    assert!(matches!(refused, Err(Error::NotFound { kind: "run", .. })));
}

async fn a_signal_brings_a_quarantined_run_back(store: &dyn Store) {
    let run = due_run(store, at(0)).await;
    let node = given::node();
    let claimed = claim_one(store, node, at(0)).await;
    let done = store
        .quarantine(run, claimed.epoch, "unreadable", at(50))
        .await;
    assert_eq!(done, Ok(Status::NeedsAttention));
    let signal = Signal::Cancel {
        by: "ann".to_owned(),
        reason: Some("it was repaired".to_owned()),
    };
    assert!(store.signal(run, signal, None, at(5)).await.is_ok());
    assert_eq!(claim_one(store, node, at(5)).await.run, run);
}

fn cancel(by: &str) -> Signal {
    Signal::Cancel {
        by: by.to_owned(),
        reason: None,
    }
}

async fn a_cancel_ends_a_run_that_is_put_aside(store: &dyn Store) {
    let run = due_run(store, at(0)).await;
    let node = given::node();
    let claimed = claim_one(store, node, at(0)).await;
    assert!(store.signal(run, cancel("ann"), None, at(1)).await.is_ok());
    let ended = store.quarantine(run, claimed.epoch, "unreadable", at(9));
    assert_eq!(ended.await, Ok(Status::Cancelled));
    let row = store.run(run).await.expect("the run is there");
    let reason = "cancelled by ann; it was put aside: unreadable";
    assert_eq!(row.summary.status, Status::Cancelled);
    assert_eq!(row.summary.reason.as_deref(), Some(reason));
    assert_eq!(row.summary.finished_at, Some(at(9)));
    assert!(!row.is_put_aside() && row.due.is_none() && !row.held);
    assert_eq!(store.signals(run).await, Ok(Vec::new()));
    assert!(claim(store, node, at(1_000_000)).await.is_empty());
    let counts = store.counts().await.expect("runs are counted");
    assert_eq!(counts.get(&Status::Cancelled), Some(&1));
}

async fn other_words_mean_nothing_to_a_run_that_is_put_aside(store: &dyn Store) {
    let run = due_run(store, at(0)).await;
    let claimed = claim_one(store, given::node(), at(0)).await;
    let by = "ann".to_owned();
    let retry = Signal::Retry {
        visit: 0,
        by,
        identity: None,
    };
    assert!(store.signal(run, retry, None, at(1)).await.is_ok());
    let done = store.quarantine(run, claimed.epoch, "unreadable", at(9));
    assert_eq!(done.await, Ok(Status::NeedsAttention));
    assert_eq!(store.signals(run).await, Ok(Vec::new()));
    let row = store.run(run).await.expect("the run is there");
    assert!(row.is_put_aside(), "{row:?}");
}
