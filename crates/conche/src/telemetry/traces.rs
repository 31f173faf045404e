//! Follows the engine's tail and tells of every run that is over.
//!
//! The tail is taken only as word that a run is over; what there is to tell is read from the
//! store. So nothing is kept in memory for runs under way, a run that outlived a restart is
//! told whole, and the engine does nothing it would not do anyway. Who is too slow for the
//! engine misses runs; how many records of the tail were missed is counted.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use conche_core::EventId;
use conche_core::run::Entry;
use conche_engine::Change;
use conche_runtime::supervisor::Stop;
use conche_store::{Error, Page, RunFilter, RunRow, Store};
use opentelemetry_proto::tonic::trace::v1::Span;
use prometheus::IntCounter;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::clean::Clean;
use super::export::Inlet;
use super::runs::RunSpans;
use super::spans;

/// Runs of one event that are looked at.
const RUNS_MAX: u32 = 1000;
/// Events with several runs whose root was told lately: two runs may end at once.
const TOLD_MAX: usize = 1024;

/// Tells of runs.
pub(super) struct Follower {
    pub(super) store: Arc<dyn Store>,
    pub(super) clean: Clean,
    pub(super) inlet: Inlet<Span>,
    /// Changes that came faster than they could be told of.
    pub(super) missed: IntCounter,
    pub(super) told: Told,
}

/// Events whose root was told, the latest only.
#[derive(Default)]
pub(super) struct Told {
    known: HashSet<EventId>,
    order: VecDeque<EventId>,
}

impl Told {
    /// Whether it is news.
    fn is_news(&mut self, event: EventId) -> bool {
        if !self.known.insert(event) {
            return false;
        }
        self.order.push_back(event);
        if self.order.len() > TOLD_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

impl Follower {
    /// Follows until `stop`, and then what was sent before it.
    pub(super) async fn follow(mut self, mut tail: Receiver<Arc<Change>>, stop: Stop) {
        loop {
            let received = tokio::select! {
                received = tail.recv() => received,
                () = stop.requested() => break,
            };
            match received {
                Ok(change) => self.hear(&change).await,
                Err(RecvError::Lagged(missed)) => self.missed.inc_by(missed),
                Err(RecvError::Closed) => return,
            }
        }
        loop {
            match tail.try_recv() {
                Ok(change) => self.hear(&change).await,
                Err(TryRecvError::Lagged(missed)) => self.missed.inc_by(missed),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    async fn hear(&mut self, change: &Change) {
        let is_end = |entry: &Entry| matches!(entry, Entry::Finished { .. });
        if !change.records.iter().any(|record| is_end(&record.entry)) {
            return;
        }
        if !self.inlet.has_room() {
            // The collector is slow or away: nothing is read for nothing.
            self.missed.inc();
            return;
        }
        if let Err(error) = self.tell(change).await {
            self.missed.inc();
            tracing::debug!(run_id = %change.run, %error, "run is not traced");
        }
    }

    async fn tell(&mut self, change: &Change) -> Result<(), Error> {
        let run = self.store.run(change.run).await?;
        let mut told = RunSpans::new(&self.clean, &run);
        let mut from = 0;
        loop {
            let piece = self.store.journal(run.run, from).await?;
            let over = !piece.more || piece.records.is_empty();
            from += piece.records.len() as u64;
            piece
                .records
                .into_iter()
                .for_each(|record| told.take(record));
            if over {
                break;
            }
        }
        let is_reopened = told.is_reopened();
        for span in told.finish() {
            self.inlet.put(span);
        }
        match run.event {
            Some(event) if !is_reopened => self.tell_event(event).await,
            _ => Ok(()),
        }
    }

    /// Tells of an event where all its runs are over.
    async fn tell_event(&mut self, event: EventId) -> Result<(), Error> {
        let filter = RunFilter {
            event: Some(event),
            ..RunFilter::default()
        };
        let page = Page {
            before: None,
            limit: RUNS_MAX,
        };
        let runs = self.store.runs(filter, page).await?;
        let is_over = |run: &RunRow| run.summary.status.is_finished();
        let is_over = runs.iter().all(is_over);
        if is_over && (runs.len() == 1 || self.told.is_news(event)) {
            let row = self.store.event(event).await?;
            self.inlet.put(spans::of_event(&self.clean, &row, &runs));
        }
        Ok(())
    }
}
