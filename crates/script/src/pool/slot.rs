//! The pool: one slot per worker process. A slot is a task that keeps its
//! process alive, takes turns from the queue and blames the right script when
//! the process is lost. The other slots never wait for it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::{debug, info, warn};

use super::errand::Errand;
use super::process::{Ended, Process};
use super::queue::{Batch, Queue};
use crate::config::{Clock, Config, WorkerCommand};
use crate::error::Error;
use crate::protocol::Setup;
use crate::quarantine::{Quarantine, Quarantined};
use crate::script::Digest;

/// Wall time of calls after which a worker is replaced, so that it never comes
/// near the CPU limit that ends forgotten ones.
const WORN_AFTER: Duration = Duration::from_mins(1);
/// Realm lives after which a worker is replaced, whatever it has leaked.
const REALM_LIVES: u64 = 100;
/// The first and the longest pause between attempts to start a worker.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// What all slots share.
pub(crate) struct Pool {
    queue: Queue,
    quarantine: Mutex<Quarantine>,
    clock: Clock,
    command: WorkerCommand,
    setup: Setup,
    worn_calls: u64,
    pids: Mutex<Vec<Option<u32>>>,
    /// Slots whose last attempt to start a worker failed, and how.
    broken: AtomicUsize,
    breakage: Mutex<String>,
    warned: std::sync::Once,
    pub(crate) calls: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) started: AtomicU64,
}

impl Pool {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            queue: Queue::new(config.queue, config.workers),
            quarantine: Mutex::new(Quarantine::new(config.quarantine)),
            clock: Arc::clone(&config.clock),
            command: config.worker.clone(),
            setup: Setup {
                memory: config.limits.memory,
                recycle_after: config.recycle_after,
            },
            worn_calls: u64::from(config.recycle_after)
                .saturating_mul(REALM_LIVES)
                .max(1),
            pids: Mutex::new(vec![None; config.workers]),
            broken: AtomicUsize::new(0),
            breakage: Mutex::default(),
            warned: std::sync::Once::new(),
            calls: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            started: AtomicU64::new(0),
        }
    }

    /// Queues a call; it is answered at once where it can't be run.
    pub(crate) fn push(&self, errand: Errand) {
        if let Err(error) = self.admit(errand.script) {
            return errand.finish(Err(error));
        }
        if let Some(errand) = self.queue.push(errand) {
            let stopped = self.queue.is_closed();
            let waiting = self.queue.waiting();
            errand.finish(Err(if stopped {
                Error::Stopped
            } else {
                Error::Busy { waiting }
            }));
        }
    }

    fn admit(&self, script: Digest) -> Result<(), Error> {
        if let Some(found) = lock(&self.quarantine).check(script, (self.clock)()) {
            return Err(Error::Quarantined {
                script,
                strikes: found.strikes,
                remaining: found.remaining,
            });
        }
        if self.broken.load(Ordering::Relaxed) == lock(&self.pids).len() {
            return Err(Error::Unavailable {
                reason: lock(&self.breakage).clone(),
            });
        }
        Ok(())
    }

    pub(crate) fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    pub(crate) fn busy(&self) -> usize {
        self.queue.held()
    }

    pub(crate) fn quarantined(&self) -> Vec<Quarantined> {
        lock(&self.quarantine).list((self.clock)())
    }

    pub(crate) fn release(&self, script: Digest) -> bool {
        lock(&self.quarantine).release(script)
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        lock(&self.pids).iter().flatten().copied().collect()
    }

    pub(crate) fn close(&self) {
        self.queue.close();
    }

    /// Starts the process of a slot.
    pub(crate) async fn start(&self, slot: usize) -> Result<Process, Error> {
        let started = Process::start(&self.command, &self.setup).await;
        let (process, missing) = started.map_err(|error| Error::Unavailable {
            reason: format!("{}: {error}", self.command.program.display()),
        })?;
        self.warned.call_once(|| {
            for missing in &missing {
                warn!(
                    missing,
                    "script workers run without one of their protections"
                );
            }
        });
        self.started.fetch_add(1, Ordering::Relaxed);
        lock(&self.pids)[slot] = process.id();
        debug!(slot, pid = process.id(), "script worker started");
        Ok(process)
    }

    /// Serves the queue until it is closed and empty.
    pub(crate) async fn serve(self: Arc<Self>, slot: usize, mut process: Process) {
        let is_suspect = |script| lock(&self.quarantine).is_suspect(script, (self.clock)());
        while let Some(mut batch) = self.queue.next(is_suspect).await {
            if process.is_unfit() {
                // Not the doing of these calls.
                warn!(slot, "script worker was lost while idle");
                self.queue.give_back(batch, None);
                match self.replace(slot).await {
                    Some(started) => process = started,
                    None => return,
                }
                continue;
            }
            let (calls, spent) = (process.calls, process.spent);
            let ended = process.run(&mut batch.errands).await;
            let answered = process.calls - calls;
            self.calls.fetch_add(answered, Ordering::Relaxed);
            let cost = u32::try_from(answered)
                .ok()
                .filter(|&count| count > 0)
                .map(|count| process.spent.saturating_sub(spent) / count);
            let worn = process.spent >= WORN_AFTER || process.calls >= self.worn_calls;
            let lost = self.settle(ended, &mut batch, process.struck);
            self.queue.give_back(batch, cost);
            if lost || worn {
                if !lost {
                    process.dismiss().await;
                }
                match self.replace(slot).await {
                    Some(started) => process = started,
                    None => return,
                }
            }
        }
        process.dismiss().await;
        lock(&self.pids)[slot] = None;
    }

    /// Answers the call that cost the worker, counts it, and sets the script
    /// aside where it has done so too often. True if the worker is gone.
    fn settle(&self, ended: Ended, batch: &mut Batch, struck: bool) -> bool {
        let Ended::Lost { error } = ended else {
            return false;
        };
        self.lost.fetch_add(1, Ordering::Relaxed);
        let strike = struck || error.as_ref().is_some_and(Error::is_strike);
        let culprit = error.and_then(|error| Some((batch.errands.pop_front()?, error)));
        if strike {
            info!(script = %batch.script, name = %batch.name, "script cost its worker");
            lock(&self.quarantine).strike(batch.script, &batch.name, (self.clock)());
        }
        if let Some((errand, error)) = culprit {
            errand.finish(Err(error));
        }
        if self.admit(batch.script).is_err() {
            warn!(script = %batch.script, name = %batch.name, "script is in quarantine");
            let left = batch
                .errands
                .drain(..)
                .chain(self.queue.drain(batch.script));
            for errand in left {
                let error = self.admit(errand.script).err().unwrap_or(Error::Stopped);
                errand.finish(Err(error));
            }
        }
        true
    }

    /// Starts a new process, however long that takes; none when the pool
    /// closes meanwhile.
    async fn replace(&self, slot: usize) -> Option<Process> {
        lock(&self.pids)[slot] = None;
        let mut pause = RETRY.0;
        let mut failed = false;
        loop {
            match self.start(slot).await {
                Ok(process) => {
                    if failed {
                        self.broken.fetch_sub(1, Ordering::Relaxed);
                    }
                    return Some(process);
                }
                Err(error) => {
                    if !failed {
                        warn!(slot, %error, "script worker cannot be replaced");
                        self.broken.fetch_add(1, Ordering::Relaxed);
                        failed = true;
                    }
                    *lock(&self.breakage) = error.to_string();
                    if self.queue.is_closed() {
                        return None;
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RETRY.1);
                }
            }
        }
    }
}

/// Locks, whatever a panic elsewhere has done: every value under these locks
/// is whole between statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
