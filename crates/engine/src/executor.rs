//! Claims due runs and has each driven. The loop is a shell around `tick`.

use std::sync::Arc;
use std::time::Duration;

use conche_core::run::RunState;
use conche_core::{Definition, Event, RunId, Timestamp};
use conche_runtime::supervisor::{Stage, Stop};
use conche_store::{Claim, Claimed, Error, Signal, SignalId};
use tokio::sync::{Notify, OwnedSemaphorePermit};

use crate::Inner;
use crate::faults::{self, point};

/// Runs claimed at once at most.
const CLAIM_MAX: usize = 256;
/// While runs wait, freed places gather for so long before the next claim: one transaction
/// then takes many runs.
const GATHER: Duration = Duration::from_millis(2);
/// The store is asked at least so often, so that a jump of the wall clock or work left by
/// another node is noticed.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Between tries to load what a run needs, while the store is not available.
const LOAD_WAIT: Duration = Duration::from_secs(1);

/// A run in the hands of this node, under its lease.
pub(crate) struct Held {
    pub(crate) epoch: u64,
    pub(crate) state: RunState,
    pub(crate) definition: Arc<Definition>,
    pub(crate) event: Option<Arc<Event>>,
    pub(crate) signals: Vec<(SignalId, Signal)>,
    /// Its share of what this node may hold, given back with the run.
    pub(crate) _permit: OwnedSemaphorePermit,
}

/// A run whose definition or whose events are to be loaded yet.
struct Loading {
    epoch: u64,
    state: RunState,
    event: Option<Event>,
    signals: Vec<(SignalId, Signal)>,
}

/// A definition, and the event that a run of it works with.
type Loaded = (Arc<Definition>, Option<Event>);

impl Loading {
    fn held(self, (definition, event): Loaded, permit: OwnedSemaphorePermit) -> Held {
        Held {
            epoch: self.epoch,
            state: self.state,
            definition,
            event: event.map(Arc::new),
            signals: self.signals,
            _permit: permit,
        }
    }
}

/// Tells the executor that there may be work.
#[derive(Default)]
pub(crate) struct Wake {
    notify: Notify,
}

impl Wake {
    pub(crate) fn now(&self) {
        self.notify.notify_one();
    }
}

/// What a tick found.
struct Progress {
    /// There may be more that is due.
    more: bool,
}

pub(crate) async fn run(engine: Arc<Inner>, stop: Stop) -> Result<(), Error> {
    let mut failing = None;
    loop {
        // Fair: who waits here gets the next place that becomes free, before new runs do.
        let permit = tokio::select! {
            () = stop.requested() => return Ok(()),
            permit = engine.permits.clone().acquire_owned() => permit,
        };
        // Closed never.
        let Ok(permit) = permit else { return Ok(()) };
        let wait = match engine.tick(engine.now(), permit).await {
            Ok(Progress { more: true }) => {
                failing = None;
                Duration::ZERO
            }
            Ok(Progress { more: false }) => {
                failing = None;
                engine.until_next().await
            }
            Err(error) => {
                // The same fault again and again is one line in the log.
                if failing.as_ref() != Some(&error) {
                    tracing::error!(%error, "cannot claim runs");
                    failing = Some(error);
                }
                Duration::from_secs(1)
            }
        };
        tokio::select! {
            () = stop.requested() => return Ok(()),
            () = engine.wake.notify.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

impl Inner {
    /// Claims what is due and fits in, and has it driven.
    async fn tick(
        self: &Arc<Self>,
        now: Timestamp,
        mut permit: OwnedSemaphorePermit,
    ) -> Result<Progress, Error> {
        if self.queues.backlog() {
            tokio::time::sleep(GATHER).await;
        }
        // Half of what is free, so that new runs need not wait in the store meanwhile.
        let free = (self.permits.available_permits() / 2).min(CLAIM_MAX - 1);
        if let Ok(more) = self.permits.clone().try_acquire_many_owned(free as u32) {
            permit.merge(more);
        }
        let places = permit.num_permits();
        let claim = Claim {
            node: self.node,
            now,
            limit: places as u32,
        };
        let claimed = self.store.claim(claim).await?;
        let more = claimed.len() == places;
        if !claimed.is_empty() {
            faults::hit(point::TIMER_FIRE);
        }
        for run in claimed {
            let Some(permit) = permit.split(1) else { break };
            self.queues.leave(run.run);
            self.take_up(run, permit).await;
        }
        self.queues.set_backlog(more);
        Ok(Progress { more })
    }

    async fn until_next(&self) -> Duration {
        match self.store.next_due().await {
            Ok(Some(due)) => Duration::try_from(due.duration_since(self.now()))
                .unwrap_or_default()
                .min(LOOK_EVERY),
            Ok(None) | Err(_) => LOOK_EVERY,
        }
    }

    /// Folds a claimed run and has it driven. One that cannot be is put aside: it must
    /// neither stop the others nor come back for ever.
    async fn take_up(self: &Arc<Self>, claimed: Claimed, permit: OwnedSemaphorePermit) {
        let Claimed {
            run,
            epoch,
            journal,
            event,
            signals,
        } = claimed;
        let folded = match journal {
            Ok(records) => RunState::fold(run, records).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let state = match folded {
            Ok(state) => state,
            Err(reason) => return self.put_aside(run, epoch, &reason).await,
        };
        if state.started().event.is_some() && event.is_none() {
            let reason = "the event that triggered it is not in the store any more";
            return self.put_aside(run, epoch, reason).await;
        }
        let claimed = Loading {
            epoch,
            state,
            event,
            signals,
        };
        if !claimed.state.started().events.is_empty() {
            // Many events are read beside the other runs' start.
            let work = self.clone().load_and_drive(claimed, permit);
            return self.tasks.detach("group", Stage::Executor, work);
        }
        match self.load(&claimed).await {
            Ok(loaded) => self.spawn_drive(claimed.held(loaded, permit)),
            Err(error @ (Error::NotFound { .. } | Error::Corrupt { .. })) => {
                self.put_aside(run, epoch, &error.to_string()).await;
            }
            // The run stays ours as long as we live, so we must come back to it.
            Err(error) => {
                tracing::error!(run_id = %run, %error, "cannot load the definition of a run; trying again");
                let work = self.clone().load_and_drive(claimed, permit);
                self.tasks
                    .detach("run without definition", Stage::Executor, work);
            }
        }
    }

    /// What a run needs besides its journal.
    async fn load(&self, claimed: &Loading) -> Result<Loaded, Error> {
        let definition = self.definition(claimed.state.started().definition).await?;
        let event = self.event_of(&claimed.state, claimed.event.clone()).await?;
        Ok((definition, event))
    }

    async fn load_and_drive(self: Arc<Self>, claimed: Loading, permit: OwnedSemaphorePermit) {
        let stop = self.tasks.stop(Stage::Executor);
        while !stop.is_requested() {
            match self.load(&claimed).await {
                Ok(loaded) => return self.spawn_drive(claimed.held(loaded, permit)),
                Err(error @ (Error::NotFound { .. } | Error::Corrupt { .. })) => {
                    let (run, epoch) = (claimed.state.run(), claimed.epoch);
                    return self.put_aside(run, epoch, &error.to_string()).await;
                }
                Err(_unavailable) => tokio::time::sleep(LOAD_WAIT).await,
            }
        }
    }

    /// Takes a run out of circulation; where an operator asked for its end, it is over then.
    /// The reason may quote what could not be read: it is kept and told with secrets masked.
    pub(crate) async fn put_aside(self: &Arc<Self>, run: RunId, epoch: u64, reason: &str) {
        let reason = &*self.masker.mask(reason);
        tracing::error!(run_id = %run, reason, "run put aside: it needs attention");
        self.metrics.quarantined.inc();
        self.turns.leave_any(run);
        match self.store.quarantine(run, epoch, reason, self.now()).await {
            Ok(status) if status.is_finished() => {
                let word = status.as_str();
                self.metrics.runs_finished.with_label_values(&[word]).inc();
                return tracing::warn!(run_id = %run, "ended a run that was put aside");
            }
            Ok(_) => {}
            Err(error) => {
                return tracing::error!(run_id = %run, %error, "cannot put the run aside");
            }
        }
        if let Err(refusal) = self.announce_put_aside(run, reason).await {
            tracing::error!(run_id = %run, %refusal, "cannot emit that the run needs attention");
        }
    }

    pub(crate) fn spawn_drive(self: &Arc<Self>, held: Held) {
        let engine = self.clone();
        // Boxed, so that the large state of a drive is not moved at each step of its start.
        let work = Box::pin(async move { crate::drive::drive(&engine, held).await });
        self.tasks.detach("run", Stage::Executor, work);
    }
}
