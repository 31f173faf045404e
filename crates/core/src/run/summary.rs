//! A run at a glance: what lists show and what a store needs to find due runs.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::entry::Outcome;
use super::state::{Phase, RunState};
use super::visit::VisitState;

/// One word for the state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Being worked on, or waiting for a timer.
    Running,
    /// Waiting for a person who was asked.
    AwaitingAnswer,
    /// Waiting for a person, since nobody else can say how to go on.
    NeedsAttention,
    /// Paused by a person: nothing is begun.
    Paused,
    /// Ending.
    Cancelling,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// Ended on request.
    Cancelled,
}

impl Status {
    /// Every status, in the order of a run's life.
    pub const ALL: [Self; 8] = [
        Self::Running,
        Self::AwaitingAnswer,
        Self::NeedsAttention,
        Self::Paused,
        Self::Cancelling,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The word, as in JSON, SQL, metrics and URLs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::AwaitingAnswer => "awaiting_answer",
            Self::NeedsAttention => "needs_attention",
            Self::Paused => "paused",
            Self::Cancelling => "cancelling",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether only a person can have it go on.
    pub const fn waits_for_a_person(self) -> bool {
        matches!(
            self,
            Self::AwaitingAnswer | Self::NeedsAttention | Self::Paused
        )
    }

    /// Whether the run is over.
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A run at a glance. Can always be made again from the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// One word.
    pub status: Status,
    /// Why it failed, was cancelled, is paused or needs attention.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When the run must be given up; its last wake-up.
    pub deadline: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
}

impl RunState {
    /// The run at a glance.
    pub fn summary(&self) -> Summary {
        let (status, reason) = match self.phase() {
            Phase::Finished {
                outcome: Outcome::Succeeded,
                reason,
            } => (Status::Succeeded, reason.clone()),
            Phase::Finished {
                outcome: Outcome::Failed,
                reason,
            } => (Status::Failed, reason.clone()),
            Phase::Finished {
                outcome: Outcome::Cancelled,
                reason,
            } => (Status::Cancelled, reason.clone()),
            Phase::Paused { reason, .. } => (Status::Paused, Some(reason.clone())),
            Phase::Cancelling { reason } => (Status::Cancelling, Some(reason.clone())),
            Phase::Running => match (self.attention(), self.question()) {
                (Some(reason), _) => (Status::NeedsAttention, Some(reason.to_owned())),
                (None, Some(question)) => (Status::AwaitingAnswer, Some(question.to_owned())),
                (None, None) => (Status::Running, None),
            },
        };
        Summary {
            status,
            reason,
            deadline: self.deadline(),
            finished_at: self.finished_at(),
        }
    }

    fn attention(&self) -> Option<&str> {
        self.heads().find_map(|(_, visit)| match &visit.state {
            VisitState::Attention { reason } => Some(reason.as_str()),
            _ => None,
        })
    }

    fn question(&self) -> Option<&str> {
        self.heads().find_map(|(_, visit)| match &visit.state {
            VisitState::Asked { question, .. } => Some(question.text.as_str()),
            _ => None,
        })
    }
}
