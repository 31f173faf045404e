//! Accepting: once for each pair of source and id, as a whole or not at all.

use std::sync::Arc;

use conche_core::run::Status;

use super::given::{self, acceptance, at, intake};
use crate::{
    Acceptance, Accepted, Append, Cursor, Error, EventFilter, Fate, Intake, Next, Page, Retention,
    RunFilter, Store,
};

/// Every check of this group.
pub async fn check<F: AsyncFn() -> Arc<dyn Store>>(open: &F) {
    what_was_accepted_can_be_read(&*open().await).await;
    a_pair_is_accepted_once(&*open().await).await;
    a_pair_twice_in_one_intake_is_a_duplicate(&*open().await).await;
    the_same_id_of_another_source_is_another_event(&*open().await).await;
    a_pair_is_new_again_after_its_window(&*open().await).await;
    an_event_that_nothing_reacts_to_is_kept(&*open().await).await;
    a_cursor_is_stored_with_its_events_or_alone(&*open().await).await;
    a_refused_intake_leaves_nothing(&*open().await).await;
    a_run_must_begin_with_its_start(&*open().await).await;
    runs_may_be_born_held(&*open().await).await;
}

const ALL: u32 = 100;

async fn rows(store: &dyn Store) -> (usize, usize) {
    let (before, limit) = (None, ALL);
    let events = store
        .events(EventFilter::default(), Page { before, limit })
        .await;
    let (before, limit) = (None, ALL);
    let runs = store
        .runs(RunFilter::default(), Page { before, limit })
        .await;
    (
        events.expect("events can be listed").len(),
        runs.expect("runs can be listed").len(),
    )
}

async fn what_was_accepted_can_be_read(store: &dyn Store) {
    let given = acceptance("github", "1", at(5));
    let new = given.runs[0].clone();
    let accepted = store.accept(intake(vec![given.clone()], at(5))).await;
    let event = given.event.event_id;
    let wanted = Accepted {
        event,
        duplicate: false,
        fates: vec![Fate::Born],
    };
    assert_eq!(accepted, Ok(vec![wanted]));

    let row = store.event(event).await.expect("the event is there");
    assert_eq!((row.event, row.received_at), (given.event, at(5)));
    let row = store.run(new.run).await.expect("the run is there");
    assert_eq!(row.run, new.run);
    assert_eq!(row.definition, given::definition());
    assert_eq!((row.name.as_str(), row.event), ("scan", Some(event)));
    assert_eq!((row.started_at, row.summary.deadline), (at(5), at(86_405)));
    assert_eq!((row.summary.status, row.version), (Status::Running, 1));
    assert_eq!((row.due, row.held), (Some(at(5)), false));
    let journal = store.journal(new.run, 0).await.expect("it has a journal");
    assert_eq!(journal.records, vec![new.first]);
}

async fn a_pair_is_accepted_once(store: &dyn Store) {
    let first = acceptance("github", "1", at(0));
    let again = acceptance("github", "1", at(1));
    let event = first.event.event_id;
    store
        .accept(intake(vec![first], at(0)))
        .await
        .expect("the first is new");
    let accepted = store.accept(intake(vec![again], at(1))).await;
    assert_eq!(accepted, Ok(vec![Accepted::before(event)]));
    assert_eq!(rows(store).await, (1, 1));
}

async fn a_pair_twice_in_one_intake_is_a_duplicate(store: &dyn Store) {
    let pairs = ["1", "2", "1"].map(|id| acceptance("github", id, at(0)));
    let events = [&pairs[0], &pairs[1], &pairs[0]].map(|of| of.event.event_id);
    let accepted = store.accept(intake(pairs.to_vec(), at(0))).await;
    let accepted = accepted.expect("they are accepted");
    assert_eq!(accepted.iter().map(|a| a.event).collect::<Vec<_>>(), events);
    let duplicates: Vec<bool> = accepted.iter().map(|a| a.duplicate).collect();
    assert_eq!(duplicates, [false, false, true]);
    assert_eq!(rows(store).await, (2, 2));
}

async fn the_same_id_of_another_source_is_another_event(store: &dyn Store) {
    let both = ["github", "gitlab"].map(|source| acceptance(source, "1", at(0)));
    let accepted = store.accept(intake(both.to_vec(), at(0))).await;
    let accepted = accepted.expect("they are accepted");
    assert!(accepted.iter().all(|accepted| !accepted.duplicate));
    assert_eq!(rows(store).await, (2, 2));
}

async fn a_pair_is_new_again_after_its_window(store: &dyn Store) {
    for (now, before, duplicate) in [
        (at(10), at(0), false),
        (at(20), at(10), true),
        (at(30), at(11), false),
    ] {
        let retention = Retention {
            events_before: at(0),
            runs_before: at(0),
            dedup_before: before,
            ended_before: before,
            limit: ALL,
        };
        store.expire(retention).await.expect("it expires");
        let accepted = store
            .accept(intake(vec![acceptance("github", "1", now)], now))
            .await
            .expect("it is accepted");
        assert_eq!(accepted[0].duplicate, duplicate, "at {now}");
    }
    assert_eq!(rows(store).await, (2, 2));
}

async fn an_event_that_nothing_reacts_to_is_kept(store: &dyn Store) {
    let quiet = Acceptance {
        runs: Vec::new(),
        ..acceptance("github", "1", at(0))
    };
    store
        .accept(intake(vec![quiet], at(0)))
        .await
        .expect("it is accepted");
    assert_eq!(rows(store).await, (1, 0));
}

async fn a_cursor_is_stored_with_its_events_or_alone(store: &dyn Store) {
    assert_eq!(store.cursor("cluster").await, Ok(None));
    let cursor = |value: &str| Cursor {
        source: "cluster".to_owned(),
        value: value.to_owned(),
    };
    let with = Intake {
        cursor: Some(cursor("17")),
        ..intake(vec![acceptance("cluster", "a", at(0))], at(0))
    };
    store.accept(with).await.expect("it is accepted");
    assert_eq!(store.cursor("cluster").await, Ok(Some("17".to_owned())));
    assert_eq!(store.set_cursor(cursor("18")).await, Ok(()));
    assert_eq!(store.cursor("cluster").await, Ok(Some("18".to_owned())));
    assert_eq!(store.cursor("other").await, Ok(None));
}

async fn a_refused_intake_leaves_nothing(store: &dyn Store) {
    let stored = acceptance("github", "1", at(0));
    let run = stored.runs[0].clone();
    store
        .accept(intake(vec![stored], at(0)))
        .await
        .expect("it is accepted");
    let good = acceptance("github", "2", at(1));
    let bad = Acceptance {
        runs: vec![run.clone()],
        ..acceptance("github", "3", at(1))
    };
    let refused = Intake {
        cursor: Some(Cursor {
            source: "github".to_owned(),
            value: "3".to_owned(),
        }),
        ..intake(vec![good.clone(), bad], at(1))
    };
    let kind = "run";
    let name = run.run.to_string();
    assert_eq!(
        store.accept(refused).await,
        Err(Error::Exists { kind, name })
    );
    assert_eq!(rows(store).await, (1, 1));
    assert_eq!(store.cursor("github").await, Ok(None));
    let accepted = store.accept(intake(vec![good], at(2))).await;
    assert!(!accepted.expect("the good one alone is accepted")[0].duplicate);
    let counts = store.counts().await.expect("runs are counted");
    assert_eq!(counts, [(Status::Running, 2)].into());
}

async fn a_run_must_begin_with_its_start(store: &dyn Store) {
    let mut wrong = acceptance("github", "1", at(0));
    wrong.runs[0].first = given::note("nobody", at(0));
    let refused = store.accept(intake(vec![wrong], at(0))).await;
    assert!(
        matches!(refused, Err(Error::Corrupt { kind: "run", .. })),
        "{refused:?}"
    );
    assert_eq!(rows(store).await, (0, 0));
}

async fn runs_may_be_born_held(store: &dyn Store) {
    let node = given::node();
    let given = acceptance("github", "1", at(0));
    let run = given.runs[0].run;
    let held = Intake {
        holder: Some(node),
        ..intake(vec![given], at(0))
    };
    store.accept(held).await.expect("it is accepted");
    let row = store.run(run).await.expect("the run is there");
    assert_eq!((row.held, row.due), (true, None));
    assert_eq!(store.next_due().await, Ok(None));
    assert!(given::claim(store, given::node(), at(100)).await.is_empty());
    let append = Append {
        run,
        node,
        epoch: 1,
        expected: 1,
        records: vec![given::note("first", at(1))],
        summary: given::running(),
        next: Next::Park(at(7)),
        emit: Vec::new(),
        signals: Vec::new(),
        now: at(1),
    };
    assert_eq!(store.append(append).await, Ok(vec![]));
    assert_eq!(store.next_due().await, Ok(Some(at(7))));
}
