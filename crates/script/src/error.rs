//! Why an evaluation has no verdict.

use std::time::Duration;

use crate::script::{Digest, Logs};

/// Why a call failed.
///
/// [`Error::Script`], [`Error::Timeout`], [`Error::Memory`],
/// [`Error::OutputTooLarge`] and [`Error::Crashed`] are the script's doing and
/// would happen again; [`Error::Busy`], [`Error::Unavailable`] and
/// [`Error::Stopped`] are ours and may pass.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An exception, a syntax error, an `err` that the script set, or a
    /// `result` that is no object.
    #[error("{message}{}", at(*.line, *.column))]
    Script {
        /// In the words of the engine or the script.
        message: String,
        /// 1-based line in the source, where known.
        line: Option<u32>,
        /// 1-based column in the source, where known.
        column: Option<u32>,
        /// What it wrote to the console before.
        logs: Logs,
    },
    /// It ran longer than it may.
    #[error("the script ran longer than {limit:?}")]
    Timeout {
        /// The limit of the call.
        limit: Duration,
        /// What it wrote to the console before; empty where it was killed.
        logs: Logs,
    },
    /// It needed more memory than it may.
    #[error("the script needs more than {limit} bytes of memory")]
    Memory {
        /// The limit of the call in bytes.
        limit: u64,
        /// What it wrote to the console before.
        logs: Logs,
    },
    /// Its result or the changed event is too large.
    #[error("the script's output is larger than {limit} bytes")]
    OutputTooLarge {
        /// The limit of the call in bytes.
        limit: usize,
        /// What it wrote to the console before.
        logs: Logs,
    },
    /// The worker ended or answered nonsense while it ran this script.
    #[error("the script's worker was lost: {reason}")]
    Crashed {
        /// What was seen of the worker.
        reason: String,
    },
    /// The script cost too many workers and is not run for now.
    #[error("script {script} cost {strikes} workers and is not run for another {remaining:?}")]
    Quarantined {
        /// Which script.
        script: Digest,
        /// How many workers it cost within the window.
        strikes: u32,
        /// Until it is run again.
        remaining: Duration,
    },
    /// Too many calls wait already, or this one waited too long.
    #[error("no script worker was free ({waiting} calls are waiting)")]
    Busy {
        /// Calls in the queue.
        waiting: usize,
    },
    /// No worker can be started.
    #[error("no script worker can be started: {reason}")]
    Unavailable {
        /// What went wrong at the last attempt.
        reason: String,
    },
    /// The sandbox is shutting down.
    #[error("the script sandbox has stopped")]
    Stopped,
}

impl Error {
    /// What the script wrote to the console before it failed, where it is known.
    pub fn logs(&self) -> Option<&Logs> {
        match self {
            Self::Script { logs, .. }
            | Self::Timeout { logs, .. }
            | Self::Memory { logs, .. }
            | Self::OutputTooLarge { logs, .. } => Some(logs),
            Self::Crashed { .. }
            | Self::Quarantined { .. }
            | Self::Busy { .. }
            | Self::Unavailable { .. }
            | Self::Stopped => None,
        }
    }

    /// Whether the call cost a worker.
    pub(crate) fn is_strike(&self) -> bool {
        matches!(
            self,
            Self::Timeout { .. } | Self::Memory { .. } | Self::Crashed { .. }
        )
    }
}

fn at(line: Option<u32>, column: Option<u32>) -> String {
    match (line, column) {
        (Some(line), Some(column)) => format!(" (line {line}, column {column})"),
        (Some(line), None) => format!(" (line {line})"),
        (None, _) => String::new(),
    }
}
