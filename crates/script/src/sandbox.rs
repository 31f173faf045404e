//! The handle that the rest of the program holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::config::{Config, Limits};
use crate::error::Error;
use crate::pool::{Done, Errand, Pool, Work};
use crate::quarantine::Quarantined;
use crate::script::{Digest, Evaluated, Evaluation, Script};

/// A pool of confined worker processes that evaluate scripts and jq filters.
///
/// Dropping it kills the workers; [`Sandbox::stop`] lets them finish.
pub struct Sandbox {
    pool: Arc<Pool>,
    limits: Limits,
    wait: Duration,
    slots: JoinSet<()>,
}

/// Counters since the start, and the workers alive now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// Calls that a worker answered.
    pub calls: u64,
    /// Workers lost to a script.
    pub lost: u64,
    /// Workers started, the first ones included.
    pub started: u64,
    /// Calls that wait for a worker.
    pub waiting: usize,
    /// Workers that run a call.
    pub busy: usize,
    /// Process ids of the workers.
    pub pids: Vec<u32>,
}

impl Sandbox {
    /// Starts the workers and waits until all of them are confined.
    ///
    /// Must be called within a tokio runtime with I/O and time enabled.
    pub async fn start(mut config: Config) -> Result<Self, Error> {
        config.workers = config.workers.max(1);
        let pool = Arc::new(Pool::new(&config));
        let mut slots = JoinSet::new();
        for slot in 0..config.workers {
            let process = pool.start(slot).await?;
            slots.spawn(Arc::clone(&pool).serve(slot, process));
        }
        Ok(Self {
            pool,
            limits: config.limits,
            wait: config.wait,
            slots,
        })
    }

    /// Runs a script on an event.
    pub async fn evaluate(&self, evaluation: Evaluation) -> Result<Evaluated, Error> {
        let limits = evaluation.limits.map_or(self.limits, |limits| Limits {
            memory: limits.memory.min(self.limits.memory),
            ..limits
        });
        let (script, name) = (evaluation.script.digest(), evaluation.script.name().into());
        match self
            .call(script, name, Work::Evaluate(evaluation), limits)
            .await?
        {
            Done::Evaluated(evaluated) => Ok(evaluated),
            Done::Sound | Done::Values(_) => Err(mixed_up()),
        }
    }

    /// Looks for syntax errors without running anything. A find is an
    /// [`Error::Script`] with its position.
    pub async fn check(&self, source: &str) -> Result<(), Error> {
        let script = Script::new("check", source);
        let work = Work::Check {
            source: source.into(),
        };
        match self
            .call(script.digest(), "check".into(), work, self.limits)
            .await?
        {
            Done::Sound => Ok(()),
            Done::Evaluated(_) | Done::Values(_) => Err(mixed_up()),
        }
    }

    /// Applies a jq filter to a JSON text and returns all that it yields.
    pub async fn jq(
        &self,
        filter: &str,
        input: &str,
        limits: Option<Limits>,
    ) -> Result<Vec<Box<RawValue>>, Error> {
        let work = Work::Jq {
            filter: filter.into(),
            input: input.into(),
        };
        let limits = limits.unwrap_or(self.limits);
        match self
            .call(Digest::of_filter(filter), "jq".into(), work, limits)
            .await?
        {
            Done::Values(values) => Ok(values),
            Done::Evaluated(_) | Done::Sound => Err(mixed_up()),
        }
    }

    async fn call(
        &self,
        script: Digest,
        name: Arc<str>,
        work: Work,
        limits: Limits,
    ) -> Result<Done, Error> {
        let (reply, mut answer) = oneshot::channel();
        let started = Arc::new(AtomicBool::new(false));
        let begun = Arc::clone(&started);
        self.pool.push(Errand {
            script,
            name,
            work,
            limits,
            started,
            reply,
        });
        tokio::select! {
            biased;
            done = &mut answer => return done.unwrap_or(Err(Error::Stopped)),
            () = tokio::time::sleep(self.wait) => {}
        }
        if begun.load(Ordering::Relaxed) {
            // A worker has it, so it ends by its own deadline.
            return answer.await.unwrap_or(Err(Error::Stopped));
        }
        Err(Error::Busy {
            waiting: self.pool.waiting(),
        })
    }

    /// The scripts that are not run for now.
    pub fn quarantined(&self) -> Vec<Quarantined> {
        self.pool.quarantined()
    }

    /// Lets a script run again; false if it had no strikes.
    pub fn release(&self, script: Digest) -> bool {
        self.pool.release(script)
    }

    /// Counters and process ids.
    pub fn stats(&self) -> Stats {
        Stats {
            calls: self.pool.calls.load(Ordering::Relaxed),
            lost: self.pool.lost.load(Ordering::Relaxed),
            started: self.pool.started.load(Ordering::Relaxed),
            waiting: self.pool.waiting(),
            busy: self.pool.busy(),
            pids: self.pool.pids(),
        }
    }

    /// Takes no more calls, serves those waiting for up to `grace`, then ends
    /// the workers. Calls still unanswered then fail with [`Error::Stopped`].
    pub async fn stop(mut self, grace: Duration) {
        self.pool.close();
        let finished = async { while self.slots.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, finished).await.is_err() {
            self.slots.shutdown().await;
        }
    }
}

/// The kind of an answer is checked against its request when it is read, so a
/// mixed-up one comes from a worker that was taken over.
fn mixed_up() -> Error {
    Error::Crashed {
        reason: "it answered another kind of question".to_owned(),
    }
}
