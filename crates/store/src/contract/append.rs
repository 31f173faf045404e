//! Appending: at the expected version, under the lease, as a whole or not at all.

use std::sync::Arc;

use conche_core::run::{Status, Summary};

use super::given::{self, acceptance, append, at, claim, claim_one, due_run, note};
use crate::{
    Accepted, Append, Claimed, Error, Fate, JOURNAL_BYTES_MAX, Next, NodeId, Signal, Store,
};

/// Every check of this group.
pub async fn check<F: AsyncFn() -> Arc<dyn Store>>(open: &F) {
    records_are_kept_in_order(&*open().await).await;
    a_long_journal_is_read_in_pieces(&*open().await).await;
    large_records_are_read_a_few_at_a_time_and_whole(&*open().await).await;
    another_version_is_a_conflict(&*open().await).await;
    who_does_not_hold_the_run_is_fenced(&*open().await).await;
    a_reaped_holder_is_fenced(&*open().await).await;
    a_parked_run_is_due_again_at_its_time(&*open().await).await;
    a_finished_run_is_never_due(&*open().await).await;
    an_append_without_records_only_moves_the_lease(&*open().await).await;
    the_summary_is_kept(&*open().await).await;
    emitted_events_are_accepted_once(&*open().await).await;
    a_refused_append_leaves_nothing(&*open().await).await;
    an_unknown_run_is_not_found(&*open().await).await;
}

async fn claimed(store: &dyn Store) -> (NodeId, Claimed) {
    due_run(store, at(0)).await;
    let node = given::node();
    (node, claim_one(store, node, at(0)).await)
}

async fn records_are_kept_in_order(store: &dyn Store) {
    let (node, claimed) = claimed(store).await;
    let mut records = claimed.journal.clone().expect("it has a journal");
    for texts in [&["a"][..], &["b", "c"], &["d"]] {
        let more: Vec<_> = texts.iter().map(|text| note(text, at(1))).collect();
        let append = Append {
            expected: records.len() as u64,
            records: more.clone(),
            ..append(&claimed, node, at(1))
        };
        assert_eq!(store.append(append).await, Ok(vec![]));
        records.extend(more);
    }
    for from in 0..=5 {
        let journal = store.journal(claimed.run, from).await.expect("it is there");
        let wanted = records.get(from as usize..).unwrap_or_default();
        assert_eq!((journal.from, &journal.records[..]), (from, wanted));
    }
    let row = store.run(claimed.run).await.expect("the run is there");
    assert_eq!((row.version, row.held), (5, true));
}

/// Appends notes of so many bytes in one go.
async fn append_notes(
    store: &dyn Store,
    (node, claimed): &(NodeId, Claimed),
    expected: u64,
    count: usize,
    bytes: usize,
) {
    let text = "x".repeat(bytes);
    let append = Append {
        expected,
        records: vec![note(&text, at(1)); count],
        ..append(claimed, *node, at(1))
    };
    assert_eq!(store.append(append).await, Ok(vec![]));
}

async fn a_long_journal_is_read_in_pieces(store: &dyn Store) {
    let given = claimed(store).await;
    let run = given.1.run;
    for turn in 0..4 {
        append_notes(store, &given, 1 + turn * 300, 300, 1).await;
    }
    let (mut from, mut pieces) = (0, Vec::new());
    loop {
        let piece = store.journal(run, from).await.expect("it is there");
        from += piece.records.len() as u64;
        pieces.push(piece.records.len());
        if !piece.more {
            break;
        }
    }
    assert_eq!(pieces, [500, 500, 201]);
    let whole = store.whole_journal(run).await.expect("it is there");
    assert_eq!(whole.len(), 1201);
    let past = store.journal(run, 5000).await.expect("there is nothing");
    assert_eq!((past.records.len(), past.more), (0, false));
}

async fn large_records_are_read_a_few_at_a_time_and_whole(store: &dyn Store) {
    let given = claimed(store).await;
    let run = given.1.run;
    for turn in 0..6 {
        append_notes(store, &given, 1 + turn, 1, JOURNAL_BYTES_MAX / 4).await;
    }
    let mut from = 0;
    loop {
        let piece = store.journal(run, from).await.expect("it is there");
        from += piece.records.len() as u64;
        assert!(!piece.records.is_empty(), "each piece gets further");
        if !piece.more {
            break;
        }
    }
    assert_eq!(from, 7);
    let whole = store.whole_journal(run).await.expect("it is there");
    assert_eq!(whole.len(), 7);
}

async fn another_version_is_a_conflict(store: &dyn Store) {
    let (node, claimed) = claimed(store).await;
    for expected in [0, 2] {
        let wrong = Append {
            expected,
            records: vec![note("a", at(1))],
            ..append(&claimed, node, at(1))
        };
        let (run, found) = (claimed.run, 1);
        let conflict = Error::Conflict {
            run,
            expected,
            found,
        };
        assert_eq!(store.append(wrong).await, Err(conflict));
    }
    let row = store.run(claimed.run).await.expect("the run is there");
    assert_eq!(row.version, 1);
}

async fn who_does_not_hold_the_run_is_fenced(store: &dyn Store) {
    let (node, claimed) = claimed(store).await;
    let fenced = Err(Error::Fenced(claimed.run));
    let by_other = append(&claimed, given::node(), at(1));
    assert_eq!(store.append(by_other).await, fenced);
    let stale = Append {
        epoch: claimed.epoch - 1,
        ..append(&claimed, node, at(1))
    };
    assert_eq!(store.append(stale).await, fenced);
    let park = Append {
        next: Next::Park(at(5)),
        ..append(&claimed, node, at(1))
    };
    assert_eq!(store.append(park.clone()).await, Ok(vec![]));
    assert_eq!(store.append(park).await, fenced, "it was let go");
}

async fn a_reaped_holder_is_fenced(store: &dyn Store) {
    let (node, claimed) = claimed(store).await;
    assert_eq!(store.heartbeat(node, at(10)).await, Ok(()));
    assert_eq!(store.reap(at(10)).await, Ok(1));
    let late = append(&claimed, node, at(11));
    let fenced = Err(Error::Fenced(claimed.run));
    assert_eq!(store.append(late.clone()).await, fenced);
    let other = given::node();
    let taken = claim_one(store, other, at(11)).await;
    assert_eq!((taken.run, taken.epoch), (claimed.run, claimed.epoch + 1));
    assert_eq!(store.append(late).await, fenced);
    assert_eq!(
        store.append(append(&taken, other, at(12))).await,
        Ok(vec![])
    );
}

async fn a_parked_run_is_due_again_at_its_time(store: &dyn Store) {
    let (node, claimed) = claimed(store).await;
    let park = Append {
        records: vec![note("a", at(1))],
        next: Next::Park(at(20)),
        ..append(&claimed, node, at(1))
    };
    assert_eq!(store.append(park).await, Ok(vec![]));
    let row = store.run(claimed.run).await.expect("the run is there");
    assert_eq!((row.held, row.due, row.version), (false, Some(at(20)), 2));
    assert_eq!(store.next_due().await, Ok(Some(at(20))));
    assert!(claim(store, node, at(19)).await.is_empty());
    assert_eq!(claim_one(store, node, at(20)).await.run, claimed.run);
}

async fn a_finished_run_is_never_due(store: &dyn Store) {
    let (node, claimed) = claimed(store).await;
    given::finish(store, &claimed, node, at(3)).await;
    assert_eq!(store.next_due().await, Ok(None));
    assert!(claim(store, node, at(1_000_000)).await.is_empty());
    let row = store.run(claimed.run).await.expect("the run is there");
    assert_eq!((row.held, row.due), (false, None));
    assert_eq!(row.summary, given::finished(at(3)).1);
}

async fn an_append_without_records_only_moves_the_lease(store: &dyn Store) {
    let (node, claimed) = claimed(store).await;
    assert_eq!(
        store.append(append(&claimed, node, at(1))).await,
        Ok(vec![])
    );
    let park = Append {
        next: Next::Park(at(9)),
        ..append(&claimed, node, at(1))
    };
    assert_eq!(store.append(park).await, Ok(vec![]));
    let row = store.run(claimed.run).await.expect("the run is there");
    assert_eq!((row.version, row.due), (1, Some(at(9))));
}

async fn the_summary_is_kept(store: &dyn Store) {
    let (node, claimed) = claimed(store).await;
    let summaries = [
        (Status::NeedsAttention, Some("is the host down?"), None),
        (Status::NeedsAttention, Some("is it still down?"), None),
        (Status::Cancelling, Some("cancelled by ann"), None),
        (Status::Cancelled, Some("cancelled by ann"), Some(at(4))),
        (Status::Running, None, None),
        (Status::Failed, Some("no route"), Some(at(5))),
    ];
    for (status, reason, finished_at) in summaries {
        let summary = Summary {
            status,
            reason: reason.map(str::to_owned),
            deadline: at(90_000),
            finished_at,
        };
        let append = Append {
            summary: summary.clone(),
            ..append(&claimed, node, at(1))
        };
        assert_eq!(store.append(append).await, Ok(vec![]));
        let row = store.run(claimed.run).await.expect("the run is there");
        assert_eq!(row.summary, summary);
        let counts = store.counts().await.expect("runs are counted");
        assert_eq!(counts, [(status, 1)].into());
    }
}

async fn emitted_events_are_accepted_once(store: &dyn Store) {
    let (node, claimed) = claimed(store).await;
    let known = acceptance("conche", "1", at(1));
    let new = acceptance("conche", "2", at(1));
    let run = new.runs[0].run;
    let accepted = store
        .accept(given::intake(vec![known.clone()], at(1)))
        .await;
    assert!(accepted.is_ok(), "{accepted:?}");
    let known_run = known.runs[0].run;
    let again = acceptance("conche", "1", at(1));
    let unborn = again.runs[0].run;
    let emit = Append {
        records: vec![note("a", at(2))],
        emit: vec![again, new.clone()],
        ..append(&claimed, node, at(2))
    };
    let emitted = store.append(emit).await.expect("it is appended");
    let known = known.event.event_id;
    assert_eq!(emitted[0], Accepted::before(known));
    assert_eq!(emitted[1].event, new.event.event_id);
    assert_eq!(emitted[1].fates, [Fate::Born]);
    assert!(store.event(new.event.event_id).await.is_ok());
    let row = store.run(run).await.expect("the new event has its run");
    assert_eq!((row.held, row.due), (false, Some(at(2))));
    assert!(matches!(
        store.run(unborn).await,
        Err(Error::NotFound { kind: "run", .. })
    ));
    let due = claim(store, node, at(2)).await;
    assert_eq!(given::runs(&due), [known_run, run]);
}

async fn a_refused_append_leaves_nothing(store: &dyn Store) {
    let (node, claimed) = claimed(store).await;
    let signal = Signal::Cancel {
        by: "ann".to_owned(),
        reason: None,
    };
    let id = store.signal(claimed.run, signal, None, at(1)).await;
    let id = id.expect("the signal is left");
    let emitted = acceptance("conche", "1", at(1));
    let refused = Append {
        expected: 7,
        records: vec![note("a", at(1))],
        next: Next::Finish,
        emit: vec![emitted.clone()],
        signals: vec![id],
        ..append(&claimed, node, at(1))
    };
    let conflict = store.append(refused.clone()).await;
    assert!(matches!(conflict, Err(Error::Conflict { .. })));
    // Refused for what it emits: found out last, and undone all the same.
    let mut twice = acceptance("conche", "2", at(1));
    twice.runs.push(twice.runs[0].clone());
    let exists = store
        .append(Append {
            expected: 1,
            emit: vec![emitted.clone(), twice],
            ..refused
        })
        .await;
    assert!(matches!(exists, Err(Error::Exists { .. })), "{exists:?}");
    assert!(store.event(emitted.event.event_id).await.is_err());
    let waiting = store.signals(claimed.run).await.expect("signals are read");
    assert_eq!(waiting.len(), 1);
    let row = store.run(claimed.run).await.expect("the run is there");
    assert_eq!((row.version, row.held), (1, true));
    let counts = store.counts().await.expect("runs are counted");
    assert_eq!(counts, [(Status::Running, 1)].into());
}

async fn an_unknown_run_is_not_found(store: &dyn Store) {
    let (node, claimed) = claimed(store).await;
    let unknown = Append {
        run: acceptance("x", "1", at(0)).runs[0].run,
        ..append(&claimed, node, at(1))
    };
    let refused = store.append(unknown).await;
    assert!(matches!(refused, Err(Error::NotFound { kind: "run", .. })));
}
