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

mod registry;

use std::{
    any::Any, borrow::Cow, error::Error as StdError, fmt, future::Future, panic::AssertUnwindSafe,
    sync::Arc, time::Duration,
};

use futures_util::FutureExt;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

use self::registry::Registry;

/// How long aborted tasks get to notice. A task that blocks its thread never
/// does; it is left behind and named.
const ABORT_WAIT: Duration = Duration::from_millis(200);

/// What a task's future may return as its failure.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// When a task is stopped: what brings work in stops before what does work,
/// and the store stops last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Sources and schedules: nothing new is fetched.
    Sources,
    /// Intake and dispatch: what was fetched is accepted or handed back.
    Intake,
    /// Executor and timers: steps finish, or their leases are released.
    Executor,
    /// Listeners: answers in flight are finished.
    Api,
    /// The store: the last commit is durable.
    Store,
}

impl Stage {
    /// The order of stopping.
    pub const ORDER: [Self; 5] = [
        Self::Sources,
        Self::Intake,
        Self::Executor,
        Self::Api,
        Self::Store,
    ];
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sources => "sources",
            Self::Intake => "intake",
            Self::Executor => "executor",
            Self::Api => "api",
            Self::Store => "store",
        })
    }
}

/// What a task's error or panic means for the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// The process can't go on: [`Supervisor::failed`] resolves.
    Shutdown,
    /// The task starts again after a growing delay.
    Restart(Backoff),
    /// The failure is logged; the task stays ended.
    Log,
}

/// The delay before a restart: doubled at each failure in a row. A task that
/// ran longer than `most` is taken as healthy and starts over at `first`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The delay after the first failure.
    pub first: Duration,
    /// The longest delay.
    pub most: Duration,
}

impl Default for Backoff {
    /// From 100 ms to 30 s.
    fn default() -> Self {
        Self {
            first: Duration::from_millis(100),
            most: Duration::from_secs(30),
        }
    }
}

/// Tells a task that it shall stop. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Stop(CancellationToken);

impl Stop {
    /// A token of one's own, for a piece of work that is run without a supervisor.
    pub fn new() -> Self {
        Self::default()
    }

    /// Resolves when stopping is requested.
    pub async fn requested(&self) {
        self.0.cancelled().await;
    }

    /// Whether stopping is requested.
    pub fn is_requested(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Requests it, for every clone.
    pub fn request(&self) {
        self.0.cancel();
    }
}

/// Why a task ended unasked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// Its future returned an error, given with all its sources.
    #[error("{0}")]
    Error(String),
    /// It panicked with this message.
    #[error("panic: {0}")]
    Panic(String),
}

/// A failed task whose failure ends the process.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("task `{task}` of stage {stage} failed: {cause}")]
pub struct Failure {
    /// The task's name.
    pub task: String,
    /// Its stage.
    pub stage: Stage,
    /// What happened.
    pub cause: Cause,
}

/// How long stopping may take. What is over the limit is aborted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grace {
    /// For each stage.
    pub per_stage: Duration,
    /// For all stages together.
    pub total: Duration,
}

impl Default for Grace {
    /// 10 s a stage and 25 s in all, under the 30 s after which an
    /// orchestrator kills.
    fn default() -> Self {
        Self {
            per_stage: Duration::from_secs(10),
            total: Duration::from_secs(25),
        }
    }
}

/// What stopping came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The number of tasks that stopped by themselves.
    pub stopped: usize,
    /// The tasks that were aborted, in stop order.
    pub stragglers: Vec<Straggler>,
}

/// A task that didn't stop in its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Straggler {
    /// Its stage.
    pub stage: Stage,
    /// Its name.
    pub task: String,
}

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
                    let next = next_delay(backoff, delay.filter(|_| !healthy));
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

fn next_delay(backoff: Backoff, last: Option<Duration>) -> Duration {
    last.map_or(backoff.first, |last| last.saturating_mul(2))
        .min(backoff.most)
}

fn message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a value that is not text".to_owned())
}

/// An error with all its sources in one line.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
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
