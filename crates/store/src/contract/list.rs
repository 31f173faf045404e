//! Lists: newest first, each row once, whatever is added meanwhile.

use std::sync::Arc;

use conche_core::run::Status;
use conche_core::{Event, EventId, RunId, Timestamp};

use super::given::{self, at, claim_one, due_run, intake};
use crate::{Acceptance, Error, EventFilter, Page, RunFilter, Store};

/// Every check of this group.
pub async fn check<F: AsyncFn() -> Arc<dyn Store>>(open: &F) {
    pages_of_runs_hold_under_inserts(&*open().await).await;
    pages_of_events_hold_under_inserts(&*open().await).await;
    runs_are_filtered(&*open().await).await;
    events_are_filtered(&*open().await).await;
    what_is_not_there_is_not_found(&*open().await).await;
    every_run_is_counted_once(&*open().await).await;
    a_store_in_order_can_be_written(&*open().await).await;
}

async fn runs(store: &dyn Store, filter: &RunFilter, page: Page<RunId>) -> Vec<RunId> {
    let rows = store.runs(filter.clone(), page).await;
    let rows = rows.expect("runs can be listed");
    rows.into_iter().map(|row| row.run).collect()
}

async fn events(store: &dyn Store, filter: &EventFilter, page: Page<EventId>) -> Vec<EventId> {
    let rows = store.events(filter.clone(), page).await;
    let rows = rows.expect("events can be listed");
    rows.into_iter().map(|row| row.event.event_id).collect()
}

const fn first<K>(limit: u32) -> Page<K> {
    let before = None;
    Page { before, limit }
}

async fn pages_of_runs_hold_under_inserts(store: &dyn Store) {
    let mut expected = Vec::new();
    for seconds in 0..7 {
        expected.push(due_run(store, at(seconds)).await);
    }
    expected.reverse();
    let filter = RunFilter::default();
    let mut seen = Vec::new();
    let mut page = first(3);
    loop {
        let more = runs(store, &filter, page).await;
        let Some(last) = more.last() else { break };
        page.before = Some(*last);
        seen.extend(more);
        due_run(store, at(100)).await;
    }
    assert_eq!(seen, expected);
    assert_eq!(runs(store, &filter, first(0)).await, []);
}

async fn pages_of_events_hold_under_inserts(store: &dyn Store) {
    let mut expected = Vec::new();
    for id in 0..7 {
        expected.push(accept(store, "github", "push", at(id)).await);
    }
    expected.reverse();
    let filter = EventFilter::default();
    let mut seen = Vec::new();
    let mut page = first(3);
    loop {
        let more = events(store, &filter, page).await;
        let Some(last) = more.last() else { break };
        page.before = Some(*last);
        seen.extend(more);
        accept(store, "github", "push", at(100)).await;
    }
    assert_eq!(seen, expected);
}

/// Accepts an event without runs at a time, with an id made then.
async fn accept(store: &dyn Store, source: &str, event_type: &str, now: Timestamp) -> EventId {
    let event_id = EventId::new(given::id_at(now));
    let event = Event {
        event_id,
        event_type: event_type.to_owned(),
        ..given::event(source, &event_id.to_string())
    };
    let runs = Vec::new();
    let accepted = store
        .accept(intake(vec![Acceptance { event, runs }], now))
        .await;
    assert!(accepted.is_ok(), "{accepted:?}");
    event_id
}

async fn runs_are_filtered(store: &dyn Store) {
    let node = given::node();
    let (mut done, mut waiting) = (Vec::new(), Vec::new());
    for seconds in 0..6 {
        let run = due_run(store, at(seconds)).await;
        if seconds % 2 == 0 {
            let claimed = claim_one(store, node, at(seconds)).await;
            given::finish(store, &claimed, node, at(seconds)).await;
            done.insert(0, run);
        } else {
            let claimed = claim_one(store, node, at(seconds)).await;
            let reason = "unreadable";
            let hold = store.quarantine(run, claimed.epoch, reason, at(50)).await;
            assert_eq!(hold, Ok(Status::NeedsAttention));
            waiting.insert(0, run);
        }
    }
    let row = store.run(done[0]).await.expect("the run is there");
    let by = |status, name: Option<&str>, event| RunFilter {
        status,
        name: name.map(str::to_owned),
        event,
    };
    let (good, bad) = (Some(Status::Succeeded), Some(Status::NeedsAttention));
    let cases = [
        (by(good, None, None), done.clone()),
        (by(bad, None, None), waiting.clone()),
        (by(Some(Status::Failed), None, None), vec![]),
        (by(good, Some("scan"), None), done.clone()),
        (by(bad, Some("scan"), None), waiting.clone()),
        (by(bad, Some("other"), None), vec![]),
        (by(None, Some("other"), None), vec![]),
        (by(None, None, row.event), vec![done[0]]),
        (by(good, Some("scan"), row.event), vec![done[0]]),
        (by(bad, None, row.event), vec![]),
    ];
    for (filter, expected) in cases {
        assert_eq!(
            runs(store, &filter, first(10)).await,
            expected,
            "{filter:?}"
        );
        let before = expected.first().copied();
        if before.is_some() {
            let (limit, rest) = (1, &expected[1..expected.len().min(2)]);
            assert_eq!(runs(store, &filter, Page { before, limit }).await, rest);
        }
    }
    let named = runs(store, &by(None, Some("scan"), None), first(10)).await;
    assert_eq!(named.len(), 6);
}

async fn events_are_filtered(store: &dyn Store) {
    const HOUR: u64 = 3600;
    let mut made = Vec::new();
    for (hour, source, event_type) in [
        (0, "github", "push"),
        (5, "github", "tag"),
        (10, "gitlab", "push"),
        (15, "github", "push"),
    ] {
        made.push(accept(store, source, event_type, at(hour * HOUR)).await);
    }
    let by = |event_type: Option<&str>, source: Option<&str>, hour: Option<u64>| EventFilter {
        event_type: event_type.map(str::to_owned),
        source: source.map(str::to_owned),
        since: hour.map(|hour| at(hour * HOUR)),
    };
    let cases = [
        (by(None, None, None), vec![3, 2, 1, 0]),
        (by(Some("push"), None, None), vec![3, 2, 0]),
        (by(None, Some("github"), None), vec![3, 1, 0]),
        (by(Some("push"), Some("github"), None), vec![3, 0]),
        (by(None, None, Some(5)), vec![3, 2, 1]),
        (by(Some("push"), None, Some(6)), vec![3, 2]),
        (by(Some("push"), Some("github"), Some(6)), vec![3]),
        (by(None, None, Some(16)), vec![]),
        (by(Some("none"), None, None), vec![]),
    ];
    for (filter, expected) in cases {
        let expected: Vec<EventId> = expected.into_iter().map(|index| made[index]).collect();
        let found = events(store, &filter, first(10)).await;
        assert_eq!(found, expected, "{filter:?}");
        if let Some(newest) = found.first() {
            let rest = Page {
                before: Some(*newest),
                limit: 10,
            };
            assert_eq!(events(store, &filter, rest).await, expected[1..]);
        }
    }
}

async fn what_is_not_there_is_not_found(store: &dyn Store) {
    let ghost = given::acceptance("x", "1", at(0));
    let (event, run) = (ghost.event.event_id, ghost.runs[0].run);
    let not_found = |kind, name: String| Error::NotFound { kind, name };
    let wanted = Err(not_found("event", event.to_string()));
    assert_eq!(store.event(event).await, wanted);
    let wanted = not_found("run", run.to_string());
    assert_eq!(store.run(run).await, Err(wanted.clone()));
    assert_eq!(store.journal(run, 0).await, Err(wanted));
    let digest = given::definition();
    let wanted = Err(not_found("definition", digest.to_string()));
    assert_eq!(store.definition(digest).await, wanted);
}

async fn every_run_is_counted_once(store: &dyn Store) {
    assert_eq!(store.counts().await, Ok([].into()));
    let node = given::node();
    for seconds in 0..5 {
        due_run(store, at(seconds)).await;
    }
    for claimed in given::claim(store, node, at(2)).await {
        given::finish(store, &claimed, node, at(3)).await;
    }
    let wanted = [(Status::Running, 2), (Status::Succeeded, 3)].into();
    assert_eq!(store.counts().await, Ok(wanted));
}

async fn a_store_in_order_can_be_written(store: &dyn Store) {
    assert_eq!(store.check().await, Ok(()));
}
