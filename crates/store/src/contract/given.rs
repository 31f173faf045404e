//! Builders of events, runs and requests, with ids in the order of their making.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use conche_core::run::{Entry, Outcome, Record, Started, Status, Summary};
use conche_core::{Digest, Event, EventId, Json, RunId, Timestamp};
use uuid::{Builder, Uuid};

use crate::{Acceptance, Append, Claim, Claimed, Intake, NewRun, Next, NodeId, Store};

/// So many seconds after the beginning of 2026.
pub fn at(seconds: u64) -> Timestamp {
    Timestamp::UNIX_EPOCH + Duration::from_secs(1_767_225_600 + seconds)
}

/// A new id made at a time; later calls give higher ids for the same time.
pub fn id_at(time: Timestamp) -> Uuid {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let made = MADE.fetch_add(1, Ordering::Relaxed);
    let mut tail = [0; 10];
    tail[2..].copy_from_slice(&made.to_be_bytes());
    let millis = u64::try_from(time.as_millisecond()).unwrap_or(0);
    Builder::from_unix_timestamp_millis(millis, &tail).into_uuid()
}

/// A node.
pub fn node() -> NodeId {
    NodeId(id_at(at(0)))
}

/// An event of a source with the sender's id, made at `at(0)`.
pub fn event(source: &str, id: &str) -> Event {
    Event {
        event_id: EventId::new(id_at(at(0))),
        id: id.to_owned(),
        source: source.to_owned(),
        event_type: "test.happened".to_owned(),
        subject: Some("pod/web".to_owned()),
        time: at(0),
        data: Json::from(&serde_json::json!({ "image": "nginx:1.25", "score": 7.5 })),
        cause: None,
        depth: 0,
    }
}

/// The digest of the definition that the runs here follow.
pub fn definition() -> Digest {
    Digest::of(b"definition of the contract")
}

/// A run of that definition, triggered by an event at a time, to be given up a day later.
pub fn run_of(event: &Event, at: Timestamp) -> NewRun {
    let started = Started {
        definition: definition(),
        name: "scan".to_owned(),
        event: Some(event.event_id),
        events: Vec::new(),
        deadline: at + Duration::from_hours(24),
        variables: [("limit".to_owned(), Json::from(&serde_json::json!(3)))].into(),
        scope: None,
        budget: None,
        by: Vec::new(),
        copied_at: None,
    };
    NewRun {
        run: RunId::new(id_at(at)),
        first: Record {
            at,
            entry: Entry::Started(started),
        },
        gates: None,
    }
}

/// An event with one run of it.
pub fn acceptance(source: &str, id: &str, now: Timestamp) -> Acceptance {
    let event = event(source, id);
    let runs = vec![run_of(&event, now)];
    Acceptance { event, runs }
}

/// An intake of these, at a time.
pub fn intake(acceptances: Vec<Acceptance>, now: Timestamp) -> Intake {
    Intake {
        acceptances,
        cursor: None,
        holder: None,
        now,
    }
}

/// Accepts an event of its own with one run, due at a time.
pub async fn due_run(store: &dyn Store, now: Timestamp) -> RunId {
    let acceptance = acceptance("given", &id_at(now).to_string(), now);
    let run = acceptance.runs[0].run;
    let accepted = store.accept(intake(vec![acceptance], now)).await;
    assert!(accepted.is_ok(), "{accepted:?}");
    run
}

/// Claims all that is due at a time.
pub async fn claim(store: &dyn Store, node: NodeId, now: Timestamp) -> Vec<Claimed> {
    let limit = 1000;
    let claimed = store.claim(Claim { node, now, limit }).await;
    claimed.expect("what is due can be claimed")
}

/// Claims the only run that is due.
pub async fn claim_one(store: &dyn Store, node: NodeId, now: Timestamp) -> Claimed {
    let mut claimed = claim(store, node, now).await;
    assert_eq!(claimed.len(), 1, "{claimed:?}");
    claimed.remove(0)
}

/// The ids of claimed runs, in the order in which they came.
pub fn runs(claimed: &[Claimed]) -> Vec<RunId> {
    claimed.iter().map(|claimed| claimed.run).collect()
}

/// An append without records that keeps a claimed run as it is.
pub fn append(claimed: &Claimed, node: NodeId, now: Timestamp) -> Append {
    let journal = claimed.journal.as_ref().expect("the journal can be read");
    Append {
        run: claimed.run,
        node,
        epoch: claimed.epoch,
        expected: journal.len() as u64,
        records: Vec::new(),
        summary: running(),
        next: Next::Hold,
        emit: Vec::new(),
        signals: Vec::new(),
        now,
    }
}

/// The summary of a run that goes on; its deadline is a day after `at(0)`.
pub fn running() -> Summary {
    Summary {
        status: Status::Running,
        reason: None,
        deadline: at(86_400),
        finished_at: None,
    }
}

/// The last record of a run that ends well, and the summary after it.
pub fn finished(at: Timestamp) -> (Record, Summary) {
    let record = Record {
        at,
        entry: Entry::Finished {
            outcome: Outcome::Succeeded,
            reason: None,
        },
    };
    let summary = Summary {
        status: Status::Succeeded,
        finished_at: Some(at),
        ..running()
    };
    (record, summary)
}

/// A record that asks for the end of a run: accepted at any time, and easily told from others.
pub fn note(text: &str, at: Timestamp) -> Record {
    Record {
        at,
        entry: Entry::CancelRequested {
            by: text.to_owned(),
            reason: None,
        },
    }
}

/// Ends a claimed run well.
pub async fn finish(store: &dyn Store, claimed: &Claimed, node: NodeId, now: Timestamp) {
    let (record, summary) = finished(now);
    let append = Append {
        records: vec![record],
        summary,
        next: Next::Finish,
        ..append(claimed, node, now)
    };
    let appended = store.append(append).await;
    assert_eq!(appended, Ok(vec![]));
}
