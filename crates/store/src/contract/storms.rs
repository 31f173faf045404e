//! Storm control: exact in the transaction of intake, and never by a delivery more than once.

use std::sync::Arc;
use std::time::Duration;

use conche_core::run::{Entry, Record, Started};
use conche_core::storm::{Control, Gates, Gather, Key, Watch};
use conche_core::{EventId, RunId};

use super::given::{self, at, intake};
use crate::{
    Acceptance, Append, DefinitionText, Error, Fate, Next, NodeId, Note, Retention, Store,
};

/// Every check of this group.
pub async fn check<F: AsyncFn() -> Arc<dyn Store>>(open: &F) {
    repeats_within_the_window_are_suppressed(&*open().await).await;
    a_delivery_that_is_repeated_counts_once(&*open().await).await;
    only_what_runs_counts(&*open().await).await;
    a_debounced_run_is_born_once_with_the_last_event(&*open().await).await;
    a_group_runs_with_all_its_events(&*open().await).await;
    a_full_group_is_due_at_once(&*open().await).await;
    events_after_the_time_of_a_group_belong_to_the_next(&*open().await).await;
    what_waits_is_kept_with_all_that_it_needs(&*open().await).await;
    a_reaction_has_no_more_keys_than_it_may(&*open().await).await;
    what_is_over_is_forgotten(&*open().await).await;
    emitted_events_are_under_control_too(&*open().await).await;
}

const TEN: Duration = Duration::from_secs(10);

fn dedup(key: &str) -> Gates {
    Gates {
        watches: vec![(Watch::Dedup { window: TEN }, Key::new(key))],
        gather: None,
        keys_max: 100,
    }
}

fn gathered(gather: Gather, key: &str) -> Gates {
    Gates {
        watches: Vec::new(),
        gather: Some((gather, Key::new(key))),
        keys_max: 100,
    }
}

fn group(key: &str, max: u32) -> Gates {
    gathered(Gather::Group { window: TEN, max }, key)
}

fn debounce(key: &str) -> Gates {
    let (wait, max_wait) = (TEN, TEN * 3);
    gathered(Gather::Debounce { wait, max_wait }, key)
}

/// An event with one run behind gates.
fn controlled(id: &str, second: u64, gates: Gates) -> Acceptance {
    let mut acceptance = given::acceptance("ids", id, at(second));
    acceptance.runs[0].gates = Some(gates);
    acceptance
}

/// Accepts one event and gives what became of it.
async fn send(store: &dyn Store, id: &str, second: u64, gates: Gates) -> (EventId, RunId, Fate) {
    let sent = controlled(id, second, gates);
    let (event, run) = (sent.event.event_id, sent.runs[0].run);
    let accepted = store.accept(intake(vec![sent], at(second))).await;
    let accepted = accepted.expect("it is accepted").remove(0);
    assert!(!accepted.duplicate);
    (event, run, accepted.fates[0])
}

fn suppressed(by: Control, until: u64) -> Fate {
    let until = at(until);
    Fate::Suppressed { by, until }
}

fn waits(by: Control, with: RunId, until: u64, first: bool) -> Fate {
    let until = at(until);
    Fate::Waits {
        by,
        with,
        until,
        first,
    }
}

/// Claims the only run that is due and gives with what it began.
async fn begun(store: &dyn Store, node: NodeId, second: u64) -> (RunId, Started) {
    let claimed = given::claim_one(store, node, at(second)).await;
    let Ok([Record { at: born, entry }]) = claimed.journal.as_deref() else {
        panic!("{claimed:?}")
    };
    assert_eq!(*born, at(second), "it is born when it is taken up");
    let Entry::Started(started) = entry else {
        panic!("{claimed:?}")
    };
    assert_eq!(claimed.event.map(|event| event.event_id), started.event);
    (claimed.run, started.clone())
}

async fn repeats_within_the_window_are_suppressed(store: &dyn Store) {
    let (_, first, fate) = send(store, "1", 0, dedup("a")).await;
    assert_eq!(fate, Fate::Born);
    assert!(store.run(first).await.is_ok());
    let (event, run, fate) = send(store, "2", 9, dedup("a")).await;
    assert_eq!(fate, suppressed(Control::Dedup, 10));
    assert!(matches!(store.run(run).await, Err(Error::NotFound { .. })));
    let row = store.event(event).await.expect("the event is kept");
    let reaction = "scan".to_owned();
    assert_eq!(row.notes, [Note { reaction, fate }]);
    assert_eq!(send(store, "3", 9, dedup("b")).await.2, Fate::Born);
    assert_eq!(send(store, "4", 10, dedup("a")).await.2, Fate::Born);

    let three = ["5", "6", "7"].map(|id| controlled(id, 30, dedup("a")));
    let accepted = store.accept(intake(three.to_vec(), at(30))).await;
    let fates: Vec<Fate> = accepted
        .expect("they are accepted")
        .into_iter()
        .flat_map(|accepted| accepted.fates)
        .collect();
    let repeat = suppressed(Control::Dedup, 40);
    assert_eq!(fates, [Fate::Born, repeat, repeat]);
}

async fn a_delivery_that_is_repeated_counts_once(store: &dyn Store) {
    let throttle = || Gates {
        watches: vec![(Watch::Throttle { limit: 2, per: TEN }, Key::new(""))],
        gather: None,
        keys_max: 100,
    };
    assert_eq!(send(store, "1", 0, throttle()).await.2, Fate::Born);
    for second in 1..5 {
        let again = controlled("1", second, throttle());
        let accepted = store.accept(intake(vec![again], at(second))).await;
        let accepted = accepted.expect("it is accepted").remove(0);
        assert!(accepted.duplicate && accepted.fates.is_empty());
    }
    assert_eq!(send(store, "2", 5, throttle()).await.2, Fate::Born);
    let third = send(store, "3", 6, throttle()).await.2;
    assert_eq!(third, suppressed(Control::Throttle, 10));
    assert_eq!(send(store, "4", 10, throttle()).await.2, Fate::Born);

    let (_, with, _) = send(store, "5", 20, group("a", 3)).await;
    for _ in 0..5 {
        let again = controlled("5", 21, group("a", 3));
        store
            .accept(intake(vec![again], at(21)))
            .await
            .expect("it is accepted");
    }
    let (_, _, fate) = send(store, "6", 22, group("a", 3)).await;
    assert_eq!(fate, waits(Control::Group, with, 30, false));
}

/// What one control suppresses does not count for another.
async fn only_what_runs_counts(store: &dyn Store) {
    let both = |key: &str| Gates {
        watches: vec![
            (Watch::Dedup { window: TEN }, Key::new(key)),
            (Watch::Throttle { limit: 1, per: TEN }, Key::new("")),
        ],
        gather: None,
        keys_max: 100,
    };
    assert_eq!(send(store, "1", 0, both("a")).await.2, Fate::Born);
    let other = send(store, "2", 5, both("b")).await.2;
    assert_eq!(other, suppressed(Control::Throttle, 10));
    // Had it counted, the dedup would suppress this one until 15.
    assert_eq!(send(store, "3", 10, both("b")).await.2, Fate::Born);
}

async fn a_debounced_run_is_born_once_with_the_last_event(store: &dyn Store) {
    let node = given::node();
    let (_, run, fate) = send(store, "1", 0, debounce("a")).await;
    assert_eq!(fate, waits(Control::Debounce, run, 10, true));
    assert_eq!(store.next_due().await, Ok(Some(at(10))));
    let (last, _, fate) = send(store, "2", 6, debounce("a")).await;
    assert_eq!(fate, waits(Control::Debounce, run, 16, false));
    assert_eq!(store.next_due().await, Ok(Some(at(16))));
    assert!(given::claim(store, node, at(15)).await.is_empty());
    let (born, started) = begun(store, node, 17).await;
    assert_eq!((born, started.event), (run, Some(last)));
    assert!(started.events.is_empty());
    assert_eq!(started.deadline, at(17 + 86_400));
    assert_eq!(store.next_due().await, Ok(None));
    assert!(given::claim(store, node, at(1000)).await.is_empty());
}

async fn a_group_runs_with_all_its_events(store: &dyn Store) {
    let node = given::node();
    let mut events = Vec::new();
    let mut runs = Vec::new();
    for (id, second) in [("1", 0), ("2", 4), ("3", 9)] {
        let (event, run, _) = send(store, id, second, group("a", 100)).await;
        events.push(event);
        runs.push(run);
    }
    let (_, other, _) = send(store, "4", 9, group("b", 100)).await;
    let (born, started) = begun(store, node, 10).await;
    assert_eq!((born, &started.events), (runs[0], &events));
    assert_eq!(started.event, events.last().copied());
    assert_eq!(begun(store, node, 19).await.0, other);
}

async fn a_full_group_is_due_at_once(store: &dyn Store) {
    let node = given::node();
    let (_, run, _) = send(store, "1", 0, group("a", 2)).await;
    let (_, _, fate) = send(store, "2", 3, group("a", 2)).await;
    assert_eq!(fate, waits(Control::Group, run, 3, false));
    let (_, next, fate) = send(store, "3", 3, group("a", 2)).await;
    assert_eq!(fate, waits(Control::Group, next, 13, true));
    let (born, started) = begun(store, node, 3).await;
    assert_eq!((born, started.events.len()), (run, 2));
}

async fn events_after_the_time_of_a_group_belong_to_the_next(store: &dyn Store) {
    let (first, run, _) = send(store, "1", 0, group("a", 100)).await;
    let (_, next, fate) = send(store, "2", 10, group("a", 100)).await;
    assert_eq!(fate, waits(Control::Group, next, 20, true));
    let (born, started) = begun(store, given::node(), 10).await;
    assert_eq!((born, started.events), (run, vec![first]));
}

fn everything_before(second: u64) -> Retention {
    Retention {
        events_before: at(second),
        runs_before: at(second),
        dedup_before: at(second),
        ended_before: at(second),
        limit: 1000,
    }
}

async fn what_waits_is_kept_with_all_that_it_needs(store: &dyn Store) {
    let texts = ["{}", r#"{"v":2}"#].map(|text| DefinitionText {
        digest: conche_core::Digest::of(text.as_bytes()),
        kind: "reaction".to_owned(),
        name: "scan".to_owned(),
        text: text.to_owned(),
    });
    for text in &texts {
        store.put_definition(text.clone()).await.expect("it is put");
    }
    let mut waiting = Vec::new();
    for (id, gates) in [
        ("1", group("a", 9)),
        ("2", group("a", 9)),
        ("3", debounce("b")),
    ] {
        let mut sent = controlled(id, 0, gates);
        if let Entry::Started(started) = &mut sent.runs[0].first.entry {
            started.definition = texts[0].digest;
        }
        waiting.push(sent.event.event_id);
        store
            .accept(intake(vec![sent], at(0)))
            .await
            .expect("it is accepted");
    }
    store
        .expire(everything_before(100))
        .await
        .expect("it expires");
    for event in &waiting {
        assert!(store.event(*event).await.is_ok(), "a run waits with it");
    }
    assert!(store.definition(texts[0].digest).await.is_ok());

    let node = given::node();
    let claimed = given::claim(store, node, at(100)).await;
    assert_eq!(claimed.len(), 2);
    store
        .expire(everything_before(100))
        .await
        .expect("it expires");
    for event in &waiting {
        assert!(store.event(*event).await.is_ok(), "a run works on it");
    }
    for claimed in &claimed {
        given::finish(store, claimed, node, at(101)).await;
    }
    store
        .expire(everything_before(200))
        .await
        .expect("it expires");
    let left = store.event(waiting[0]).await;
    assert!(matches!(left, Err(Error::NotFound { .. })), "{left:?}");
    store
        .expire(everything_before(200))
        .await
        .expect("it expires");
    let left = store.definition(texts[0].digest).await;
    assert!(matches!(left, Err(Error::NotFound { .. })), "{left:?}");
}

async fn a_reaction_has_no_more_keys_than_it_may(store: &dyn Store) {
    let small = |gates: Gates| Gates {
        keys_max: 2,
        ..gates
    };
    for (id, key) in [("1", "a"), ("2", "b")] {
        let (_, _, fate) = send(store, id, 0, small(dedup(key))).await;
        assert_eq!(fate, Fate::Born);
    }
    let by = Control::Dedup;
    for id in ["3", "4"] {
        let (event, run, fate) = send(store, id, 5, small(dedup("c"))).await;
        assert_eq!(fate, Fate::Uncontrolled { by }, "it runs all the same");
        assert!(store.run(run).await.is_ok());
        let row = store.event(event).await.expect("the event is kept");
        assert_eq!(row.notes[0].fate, fate);
    }
    let by = Control::Group;
    let (_, run, fate) = send(store, "5", 5, small(group("c", 9))).await;
    assert_eq!(fate, Fate::Uncontrolled { by });
    assert!(store.run(run).await.is_ok());
    let known = send(store, "6", 5, small(dedup("a"))).await.2;
    assert_eq!(known, suppressed(Control::Dedup, 10));
    // What is over makes room, without anybody tidying up.
    for id in ["7", "8"] {
        let (_, _, fate) = send(store, id, 10, small(dedup(id))).await;
        assert_eq!(fate, Fate::Born);
    }
    let (_, _, fate) = send(store, "9", 10, small(dedup("9"))).await;
    assert!(matches!(fate, Fate::Uncontrolled { .. }), "{fate:?}");
}

async fn what_is_over_is_forgotten(store: &dyn Store) {
    for (id, second) in [("1", 0), ("2", 5)] {
        send(store, id, second, dedup(id)).await;
    }
    send(store, "3", 0, group("a", 9)).await;
    let ended = |second| Retention {
        ended_before: at(second),
        ..everything_before(0)
    };
    let expired = store.expire(ended(10)).await.expect("it expires");
    assert_eq!(expired.ended, 1);
    let expired = store.expire(ended(99)).await.expect("it expires");
    assert_eq!(expired.ended, 1, "what waits is not over");
    assert_eq!(given::claim(store, given::node(), at(99)).await.len(), 3);
}

async fn emitted_events_are_under_control_too(store: &dyn Store) {
    let node = given::node();
    given::due_run(store, at(0)).await;
    let claimed = given::claim_one(store, node, at(0)).await;
    let emit = ["1", "2"].map(|id| controlled(id, 1, dedup("a")));
    let emitted = Append {
        emit: emit.to_vec(),
        next: Next::Finish,
        ..given::append(&claimed, node, at(1))
    };
    let answers = store.append(emitted).await.expect("it is appended");
    let fates: Vec<Fate> = answers.into_iter().flat_map(|one| one.fates).collect();
    assert_eq!(fates, [Fate::Born, suppressed(Control::Dedup, 11)]);
    assert_eq!(given::claim(store, node, at(1)).await.len(), 1);
}
