//! What it means when a task fails.

use std::{any::Any, error::Error as StdError, time::Duration};

use super::stop::Stage;

/// What a task's future may return as its failure.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// What a task's error or panic means for the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// The process can't go on: [`Supervisor::failed`](super::Supervisor::failed) resolves.
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

impl Backoff {
    /// The delay after the one that was waited last, if any.
    pub(super) fn next(self, last: Option<Duration>) -> Duration {
        last.map_or(self.first, |last| last.saturating_mul(2))
            .min(self.most)
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

pub(super) fn message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a value that is not text".to_owned())
}

/// An error with all its sources in one line.
pub(super) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}
