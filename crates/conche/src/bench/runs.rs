//! Runs of one playbook, of which there may be many: started, and awaited. One reader of the
//! engine's tail tells whoever waits when a run has come to rest, so that nobody asks the store
//! again and again.
//!
//! The tail drops changes where its reader is slow. What was dropped is looked up in the store
//! at once: no wait may be in vain, and none longer for it than the look takes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use conche_core::RunId;
use conche_core::playbook::Program;
use conche_core::run::{Answer, Status};
use conche_engine::{Change, Engine, Start};
use conche_store::Catalogue as _;
use conche_store::sqlite::SqliteStore;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::Error;
use super::stand::Stand;

/// A run comes to rest within this time.
const LIMIT: Duration = Duration::from_mins(2);

/// Starts runs of one playbook and tells when they come to rest.
pub(crate) struct Runs {
    engine: Engine,
    store: Arc<SqliteStore>,
    program: Program,
    seen: Arc<Seen>,
    /// Aborted when dropped.
    _reader: JoinSet<()>,
}

#[derive(Default)]
struct Seen {
    runs: Mutex<HashMap<RunId, Rest>>,
    /// Whether changes were ever dropped.
    dropped: AtomicBool,
}

/// A run that rests, or somebody who waits for that.
enum Rest {
    Come(Status),
    Awaited(oneshot::Sender<Status>),
}

impl Runs {
    /// Begins to watch; runs that came to rest before are not known.
    pub(crate) fn of(stand: &Stand, program: Program) -> Arc<Self> {
        let (seen, store) = (Arc::<Seen>::default(), stand.store.clone());
        let mut reader = JoinSet::new();
        reader.spawn(read(stand.engine.tail(), seen.clone(), store.clone()));
        Arc::new(Self {
            engine: stand.engine.clone(),
            store,
            program,
            seen,
            _reader: reader,
        })
    }

    /// Starts one; durable when the future ends.
    pub(crate) async fn start(&self) -> Result<RunId, Error> {
        let begun = self
            .engine
            .start_playbook(&self.program, Start::default())
            .await;
        begun
            .map(|begun| begun.run)
            .map_err(|cause| Error::of("the start", cause))
    }

    /// Starts one and waits until it has this status.
    pub(crate) async fn one(&self, wanted: Status) -> Result<RunId, Error> {
        let run = self.start().await?;
        self.until(run, wanted).await?;
        Ok(run)
    }

    /// Answers what a run asks, and waits until it has succeeded.
    pub(crate) async fn answer(&self, run: RunId) -> Result<(), Error> {
        let answered = self
            .engine
            .answer(run, None, Answer::default(), "bench")
            .await;
        answered.map_err(|cause| Error::of("an answer", cause))?;
        self.until(run, Status::Succeeded).await
    }

    /// Waits until a run has this status; an error where it comes to rest with another one.
    pub(crate) async fn until(&self, run: RunId, wanted: Status) -> Result<(), Error> {
        let status = match self.wait(run) {
            Ok(status) => status,
            Err(told) => {
                if self.seen.dropped.load(Ordering::Relaxed) {
                    look(&self.seen, &self.store, run).await;
                }
                let told = tokio::time::timeout(LIMIT, told).await;
                let told = told.map_err(|_elapsed| Error::of("a run", "it does not end"))?;
                told.map_err(|cause| Error::of("a run", cause))?
            }
        };
        if status == wanted {
            return Ok(());
        }
        Err(Error::of("a run", format!("it is {status}, not {wanted}")))
    }

    /// The status of a run that rests, else what tells of it.
    fn wait(&self, run: RunId) -> Result<Status, oneshot::Receiver<Status>> {
        let mut runs = self.seen.runs();
        if let Some(Rest::Come(status)) = runs.remove(&run) {
            return Ok(status);
        }
        let (tell, told) = oneshot::channel();
        runs.insert(run, Rest::Awaited(tell));
        Err(told)
    }
}

impl Seen {
    fn runs(&self) -> MutexGuard<'_, HashMap<RunId, Rest>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, run: RunId, status: Status) {
        if !status.is_finished() && status != Status::AwaitingAnswer {
            return;
        }
        let mut runs = self.runs();
        match runs.remove(&run) {
            // Whoever gave up is told nothing.
            Some(Rest::Awaited(tell)) => drop(tell.send(status)),
            _ => drop(runs.insert(run, Rest::Come(status))),
        }
    }

    fn awaited(&self) -> Vec<RunId> {
        let runs = self.runs();
        let awaited = runs
            .iter()
            .filter(|(_, rest)| matches!(rest, Rest::Awaited(_)));
        awaited.map(|(run, _)| *run).collect()
    }
}

async fn read(mut changes: Receiver<Arc<Change>>, seen: Arc<Seen>, store: Arc<SqliteStore>) {
    loop {
        match changes.recv().await {
            Ok(change) => seen.note(change.run, change.summary.status),
            Err(RecvError::Lagged(_)) => {
                seen.dropped.store(true, Ordering::Relaxed);
                for run in seen.awaited() {
                    look(&seen, &store, run).await;
                }
            }
            Err(RecvError::Closed) => return,
        }
    }
}

/// Notes what the store knows of a run; one that can't be read is waited for.
async fn look(seen: &Seen, store: &SqliteStore, run: RunId) {
    if let Ok(row) = store.run(run).await {
        seen.note(run, row.summary.status);
    }
}
