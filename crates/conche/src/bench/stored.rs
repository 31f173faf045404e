//! Events and runs put into a store directly, without an engine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use conche_core::json::Limits;
use conche_core::run::{Entry, Outcome, Record, RunState, Started};
use conche_core::{Digest, Event, EventId, Json, RunId, Timestamp};
use conche_store::sqlite::SqliteStore;
use conche_store::{Acceptance, Append, Intake, NewRun, Next, NodeId, RunStore as _};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::Error;

/// Runs put into a store in one transaction.
const BATCH: u64 = 500;
/// Appends under way at once.
const UNDER_WAY: usize = 512;
/// When runs that wait are due: after every benchmark.
const FAR: Duration = Duration::from_hours(30 * 24);

/// How ids are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ids {
    /// In the order of time, as ours.
    Ordered,
    /// At random, the `n`th.
    Random(u64),
}

impl Ids {
    fn make(self, which: &str) -> Uuid {
        let Self::Random(n) = self else {
            return Uuid::now_v7();
        };
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&Digest::of(format!("{which} {n}").as_bytes()).as_bytes()[..16]);
        Uuid::from_bytes(bytes)
    }
}

/// An event with one run.
pub(crate) fn acceptance(data: &Json, ids: Ids, now: Timestamp) -> Acceptance {
    let event_id = EventId::new(ids.make("event"));
    let event = Event {
        event_id,
        id: event_id.to_string(),
        source: "bench".to_owned(),
        event_type: "bench.stored".to_owned(),
        subject: None,
        time: now,
        data: data.clone(),
        cause: None,
        depth: 0,
    };
    let started = Started {
        definition: Digest::of(b"bench"),
        name: "bench".to_owned(),
        event: Some(event_id),
        events: Vec::new(),
        deadline: now + FAR * 2,
        variables: BTreeMap::default(),
        scope: None,
        budget: None,
        by: Vec::new(),
        copied_at: None,
    };
    let first = Record {
        at: now,
        entry: Entry::Started(started),
    };
    Acceptance {
        event,
        runs: vec![NewRun {
            run: RunId::new(ids.make("run")),
            first,
            gates: None,
        }],
    }
}

/// Reads an event's data.
pub(crate) fn data(text: &str) -> Result<Json, Error> {
    Json::parse(text.as_bytes(), Limits::default()).map_err(|cause| Error::of("an event", cause))
}

/// The append that ends a new run, or lets it wait for longer than any benchmark.
pub(crate) fn release(
    node: NodeId,
    born: &NewRun,
    epoch: u64,
    waits: bool,
) -> Result<Append, Error> {
    let now = born.first.at;
    let failed = |cause: conche_core::run::Illegal| Error::of("a run", cause);
    let mut state = RunState::begin(born.run, born.first.clone()).map_err(failed)?;
    let mut records = Vec::new();
    if !waits {
        let entry = Entry::Finished {
            outcome: Outcome::Succeeded,
            reason: None,
        };
        let record = Record { at: now, entry };
        state.apply(record.clone()).map_err(failed)?;
        records.push(record);
    }
    Ok(Append {
        run: born.run,
        node,
        epoch,
        expected: 1,
        records,
        summary: state.summary(),
        next: if waits {
            Next::Park(now + FAR)
        } else {
            Next::Finish
        },
        emit: Vec::new(),
        signals: Vec::new(),
        now,
    })
}

/// Fills a store with so many runs: where some wait, one of ten does; all others have finished.
pub(crate) async fn fill(
    store: &Arc<SqliteStore>,
    count: u64,
    some_wait: bool,
) -> Result<(), Error> {
    let failed = |cause: conche_store::Error| Error::of("filling the store", cause);
    let node = NodeId(Uuid::now_v7());
    let data = data(&super::stand::small_event(1))?;
    let mut appends = JoinSet::new();
    for from in (0..count).step_by(BATCH as usize) {
        let now = Timestamp::now();
        let of_batch = BATCH.min(count - from);
        let acceptances: Vec<_> = (0..of_batch)
            .map(|_| acceptance(&data, Ids::Ordered, now))
            .collect();
        let born: Vec<_> = acceptances
            .iter()
            .flat_map(|one| one.runs.clone())
            .collect();
        let intake = Intake {
            acceptances,
            cursor: None,
            holder: Some(node),
            now,
        };
        store.accept(intake).await.map_err(failed)?;
        for (at, run) in born.iter().enumerate() {
            let (store, append) = (
                store.clone(),
                release(node, run, 1, some_wait && at % 10 == 0)?,
            );
            appends.spawn(async move { store.append(append).await });
            if appends.len() >= UNDER_WAY
                && let Some(done) = appends.join_next().await
            {
                done.map_err(|cause| Error::of("filling the store", cause))?
                    .map_err(failed)?;
            }
        }
    }
    while let Some(done) = appends.join_next().await {
        done.map_err(|cause| Error::of("filling the store", cause))?
            .map_err(failed)?;
    }
    Ok(())
}
