//! The only place where tasks start.
//!
//! Every task has a name, a [`Stage`] that says when it is stopped, an
//! [`OnFailure`] that says what its failure means, and an owner that waits for
//! it. A panic is caught and is that task's failure, nothing else's. Stopping
//! goes stage by stage in the order of [`Stage::ORDER`], which is written
//! once; what doesn't stop in its time is aborted and named in the [`Report`].
//!
//! No task may outlive its supervisor's [`shutdown`](Supervisor::shutdown),
//! and no loop may hide logic from its tests: see [`ticker`].

mod failure;
mod registry;
mod stop;

use std::{borrow::Cow, future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior},
};

pub use self::{
    failure::{Backoff, BoxError, Cause, Failure, OnFailure},
    stop::{Grace, Report, Stage, Stop, Straggler},
};
use self::{
    failure::{chain, message},
    registry::Registry,
};

/// How long aborted tasks get to notice. A task that blocks its thread never
/// does; it is left behind and named.
const ABORT_WAIT: Duration = Duration::from_millis(200);

/// Owns all tasks of the process. `main` holds it; everyone else gets [`Tasks`].
#[derive(Debug)]
pub struct Supervisor {
    tasks: Tasks,
    failure: watch::Receiver<Option<Failure>>,
}

impl Supervisor {
    /// A supervisor without tasks.
    pub fn new() -> Self {
        let (sender, failure) = watch::channel(None);
        let inner = Inner {
            registry: Registry::default(),
            stops: Default::default(),
            failure: sender,
        };
        Self {
            tasks: Tasks(Arc::new(inner)),
            failure,
        }
    }

    /// The handle that starts tasks.
    pub fn tasks(&self) -> Tasks {
        self.tasks.clone()
    }

    /// Resolves when a task with [`OnFailure::Shutdown`] has failed, with the
    /// first such failure.
    pub async fn failed(&self) -> Failure {
        let mut failure = self.failure.clone();
        loop {
            if let Some(failure) = failure.borrow_and_update().clone() {
                return failure;
            }
            // The sender lives as long as `self.tasks`, so this can't be an error.
            if failure.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Stops stage after stage and waits, never longer than `grace` and a
    /// fraction of a second for each stage that had to be aborted.
    ///
    /// A task started in a stage that is already stopped is dropped.
    pub async fn shutdown(self, grace: Grace) -> Report {
        let inner = &self.tasks.0;
        let end = Instant::now() + grace.total;
        let mut report = Report {
            stopped: 0,
            stragglers: Vec::new(),
        };
        for stage in Stage::ORDER {
            let before = inner.registry.alive(stage);
            tracing::debug!(%stage, tasks = before, "stopping");
            inner.stops[stage as usize].request();
            let limit = end.min(Instant::now() + grace.per_stage);
            // Running into the limit is what the stragglers below are about.
            drop(tokio::time::timeout_at(limit, inner.registry.emptied(stage)).await);
            let aborted = inner.registry.close_and_abort(stage);
            report.stopped += before.saturating_sub(aborted.len());
            if aborted.is_empty() {
                continue;
            }
            drop(tokio::time::timeout(ABORT_WAIT, inner.registry.emptied(stage)).await);
            for task in aborted {
                tracing::warn!(%stage, task = %task, "task did not stop in time and was aborted");
                let task = task.into_owned();
                report.stragglers.push(Straggler { stage, task });
            }
        }
        report
    }
}

impl Default for Supervisor {
    fn default() -> Self {
        Self::new()
    }
}

/// Starts tasks. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tasks(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    stops: [Stop; 5],
    failure: watch::Sender<Option<Failure>>,
}

impl Tasks {
    /// Starts a long-lived task.
    ///
    /// `start` makes its future, again at each restart. `Ok` means that the
    /// task is done; an error or a panic is handled by `on_failure`.
    pub fn spawn<N, F, Fut, E>(&self, name: N, stage: Stage, on_failure: OnFailure, start: F)
    where
        N: Into<Cow<'static, str>>,
        F: FnMut(Stop) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError> + 'static,
    {
        let name = name.into();
        let kept = Kept {
            name: name.clone(),
            stage,
            on_failure,
            stop: self.stop(stage),
            inner: Arc::clone(&self.0),
        };
        self.0.registry.start(name, stage, kept.run(start));
    }

    /// Starts a short-lived task, such as one connection's. It is counted,
    /// stopped and aborted like any other; a panic is logged.
    pub fn detach<N, Fut>(&self, name: N, stage: Stage, work: Fut)
    where
        N: Into<Cow<'static, str>>,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let name = name.into();
        let label = name.clone();
        self.0.registry.start(name, stage, async move {
            if let Err(panic) = AssertUnwindSafe(work).catch_unwind().await {
                tracing::error!(task = %label, %stage, panic = %message(&*panic), "task panicked");
            }
        });
    }

    /// The token of one stage.
    pub fn stop(&self, stage: Stage) -> Stop {
        self.0.stops[stage as usize].clone()
    }

    /// The number of tasks alive, for the metrics.
    pub fn alive(&self) -> usize {
        Stage::ORDER.map(|stage| self.alive_in(stage)).iter().sum()
    }

    /// The number of tasks alive in one stage.
    pub fn alive_in(&self, stage: Stage) -> usize {
        self.0.registry.alive(stage)
    }

    /// Lets hyper start its tasks (one for each HTTP/2 stream) here too.
    pub fn executor(&self, name: &'static str, stage: Stage) -> StageExecutor {
        StageExecutor {
            tasks: self.clone(),
            name,
            stage,
        }
    }
}

/// A hyper executor whose tasks belong to one stage.
#[derive(Debug, Clone)]
pub struct StageExecutor {
    tasks: Tasks,
    name: &'static str,
    stage: Stage,
}

impl<Fut> hyper::rt::Executor<Fut> for StageExecutor
where
    Fut: Future + Send + 'static,
    Fut::Output: Send + 'static,
{
    fn execute(&self, work: Fut) {
        self.tasks
            .detach(self.name, self.stage, work.map(|_output| ()));
    }
}

/// One long-lived task and what its failure means.
struct Kept {
    name: Cow<'static, str>,
    stage: Stage,
    on_failure: OnFailure,
    stop: Stop,
    inner: Arc<Inner>,
}

impl Kept {
    async fn run<F, Fut, E>(self, mut start: F)
    where
        F: FnMut(Stop) -> Fut,
        Fut: Future<Output = Result<(), E>>,
        E: Into<BoxError>,
    {
        let mut delay = None;
        loop {
            let began = Instant::now();
            let attempt = async { start(self.stop.clone()).await };
            let cause = match AssertUnwindSafe(attempt).catch_unwind().await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => Cause::Error(chain(&*error.into())),
                Err(panic) => Cause::Panic(message(&*panic)),
            };
            tracing::error!(task = %self.name, stage = %self.stage, %cause, "task failed");
            match self.on_failure {
                OnFailure::Log => return,
                OnFailure::Shutdown => return self.report(cause),
                OnFailure::Restart(backoff) => {
                    let healthy = began.elapsed() > backoff.most;
                    let next = backoff.next(delay.filter(|_| !healthy));
                    delay = Some(next);
                    tokio::select! {
                        () = self.stop.requested() => return,
                        () = tokio::time::sleep(next) => {}
                    }
                }
            }
        }
    }

    fn report(&self, cause: Cause) {
        let failure = Failure {
            task: self.name.clone().into_owned(),
            stage: self.stage,
            cause,
        };
        self.inner.failure.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(failure);
            is_first
        });
    }
}

/// Calls `tick` at once and then every `period` until `stop` is requested.
///
/// A loop is a shell around `tick(now)`: the closure asks its clock for `now`
/// and passes it on, `tick` itself neither waits nor looks at a clock. A tick
/// that has begun is finished; one that takes longer than `period` delays the
/// next, it doesn't cause a burst.
pub async fn ticker<F, Fut>(period: Duration, stop: &Stop, mut tick: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = ()>,
{
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.requested() => return,
            _ = interval.tick() => tick().await,
        }
    }
}
