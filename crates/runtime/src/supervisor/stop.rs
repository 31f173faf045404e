//! When and how tasks are told to stop, and what that came to.

use std::{fmt, time::Duration};

use tokio_util::sync::CancellationToken;

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
