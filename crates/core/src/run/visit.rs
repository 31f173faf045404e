//! One visit of a step, and which entries it accepts.
//!
//! | state       | accepts → leads to |
//! |-------------|--------------------|
//! | ready       | evaluated → done · opened → open · closed → done · delayed → waiting · asked → asked · found → done · intended → performing · failed → backing off or done · interrupted → uncertain, where in doubt |
//! | open        | opened (a higher turn) → open · closed → done; both only when nothing within is unfinished, but for a close with an error |
//! | waiting     | elapsed → done |
//! | asked       | answered → done · failed → done |
//! | performing  | succeeded → done · failed → backing off or done · interrupted → uncertain · attention needed → attention, where it was not begun |
//! | backing off | intended → performing · evaluated → done · found → done · failed → backing off or done · interrupted → uncertain, where in doubt |
//! | uncertain   | intended → performing · succeeded → done · failed → backing off or done · attention needed → attention |
//! | attention   | resumed → ready or done |
//! | done        | nothing |
//!
//! Only the last visit of a live frame accepts anything. *Reopened* is an entry of the whole
//! run (`state.rs`): it makes any visit that is not forgotten *ready* again.

use std::ops::Range;

use jiff::Timestamp;

use super::entry::{
    Entry, ErrorKind, Path, Question, Resolution, StepError, Turn, Verdict, VisitNo,
};
use super::key::IdempotencyKey;
use crate::id::{RunId, StepId};
use crate::json::Json;

/// A journal holds an entry that its state does not accept: a defect of ours or damage
/// of the store, never something to skip.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a run that is {state} does not accept '{entry}'")]
pub struct Illegal {
    /// The state in question, in words.
    pub state: String,
    /// The entry refused, in words.
    pub entry: String,
}

/// One visit of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Visit {
    /// The step visited.
    pub step: StepId,
    /// Where it stands.
    pub path: Path,
    /// The visit before it in its frame.
    pub from: Option<VisitNo>,
    /// How far it is.
    pub state: VisitState,
    /// Attempts made since the visit became ready, by which the retry budget is counted.
    pub tries: u32,
    /// Attempts made in all; the next attempt has the next number.
    pub attempts: u32,
    /// For a container: the indices of the frames opened last.
    pub opened: Range<u32>,
    /// For a container that is given up some time: when.
    pub until: Option<Timestamp>,
    /// How often an operator reopened the run at this visit; part of its idempotency key.
    pub rerun: u32,
    /// Whether the run was reopened at a visit before it: then it is history only.
    pub forgotten: bool,
    /// Whether the run was put back from a copy since this visit was last known to be where it
    /// stands: an attempt may have been made that the journal does not have.
    pub in_doubt: bool,
    /// What somebody approved here, until the run is reopened.
    pub approved: Option<Vec<Json>>,
    /// When a person was asked here last.
    pub asked_at: Option<Timestamp>,
}

/// How far a visit is.
#[derive(Debug, Clone, PartialEq)]
pub enum VisitState {
    /// Nothing was done yet.
    Ready,
    /// A container whose frames [`Visit::opened`] are live.
    Open,
    /// A delay that ends at this time.
    Waiting(Timestamp),
    /// A person was asked.
    Asked {
        /// What.
        question: Question,
        /// When it counts as failed.
        until: Timestamp,
    },
    /// An attempt is under way, or was when the process died.
    Performing {
        /// Its number.
        attempt: u32,
        /// Its idempotency key.
        key: IdempotencyKey,
    },
    /// The last attempt failed; the next is due at this time.
    BackingOff(Timestamp),
    /// Whether the last attempt took effect is unknown.
    Uncertain {
        /// Its number.
        attempt: u32,
        /// Its key, with which it may be repeated.
        key: IdempotencyKey,
        /// What is known.
        evidence: String,
        /// When to repeat it; `None` when it must not be.
        retry_at: Option<Timestamp>,
    },
    /// A person has to say how to go on.
    Attention {
        /// What the person needs to know.
        reason: String,
    },
    /// Over.
    Done(Done),
}

/// What a visit came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Done {
    /// A script's verdict.
    Verdict(Verdict),
    /// An action's output.
    Output(Json),
    /// A container or delay that simply ended.
    Passed,
    /// It failed for good.
    Failed(StepError),
}

impl VisitState {
    /// The state in words, for errors and lists.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Open => "open",
            Self::Waiting(_) => "waiting",
            Self::Asked { .. } => "asked",
            Self::Performing { .. } => "performing",
            Self::BackingOff(_) => "backing off",
            Self::Uncertain { .. } => "uncertain",
            Self::Attention { .. } => "attention",
            Self::Done(Done::Failed(_)) => "failed",
            Self::Done(_) => "done",
        }
    }
}

impl Visit {
    /// A visit that was just entered.
    pub(super) const fn new(step: StepId, path: Path, from: Option<VisitNo>) -> Self {
        Self {
            step,
            path,
            from,
            state: VisitState::Ready,
            tries: 0,
            attempts: 0,
            opened: 0..0,
            until: None,
            rerun: 0,
            forgotten: false,
            in_doubt: false,
            approved: None,
            asked_at: None,
        }
    }

    /// Whether it is an open container and `turn` one of its frames, given that it is the one
    /// that `turn` names.
    pub(super) fn holds_open(&self, turn: Turn) -> bool {
        self.state == VisitState::Open && self.opened.contains(&turn.index)
    }

    /// The idempotency key of this visit, which has the number `number` in `run`.
    pub(super) fn key(&self, run: RunId, number: VisitNo) -> IdempotencyKey {
        IdempotencyKey::of(run, &self.step, &self.path, number, self.rerun)
    }

    /// Applies an entry about this visit; one that is refused changes nothing. The one place
    /// where its state changes, but for the reopening of a whole run.
    pub(super) fn apply(
        &mut self,
        (run, number): (RunId, VisitNo),
        entry: Entry,
    ) -> Result<(), Illegal> {
        use VisitState as S;
        // An attempt under way has the last number given out, a new one the next.
        let under_way = |attempt: &u32| *attempt == self.attempts;
        let new = |attempt: &u32| Some(*attempt) == self.attempts.checked_add(1);
        let next = match (&self.state, entry) {
            (S::Ready | S::BackingOff(_), Entry::Evaluated { verdict, .. }) => {
                S::Done(Done::Verdict(verdict))
            }
            (
                S::Ready | S::Open,
                Entry::Opened {
                    turn, count, until, ..
                },
            ) if self.state == S::Ready || turn >= self.opened.end => {
                self.open(turn..turn.saturating_add(count), until)
            }
            (S::Ready | S::Open, Entry::Closed { error, .. }) => closed(error),
            (S::Ready, Entry::Delayed { until, .. }) => S::Waiting(until),
            (S::Waiting(_), Entry::Elapsed { .. })
            | (S::Ready | S::BackingOff(_), Entry::Found { .. }) => S::Done(Done::Passed),
            (
                S::Ready,
                Entry::Asked {
                    question, until, ..
                },
            ) => S::Asked { question, until },
            (S::Asked { .. }, Entry::Answered { answer, error, .. }) => answered(answer, error),
            (
                S::Ready | S::BackingOff(_) | S::Uncertain { .. },
                Entry::Intended { attempt, key, .. },
            ) if new(&attempt) => {
                self.count(attempt);
                self.in_doubt = false;
                S::Performing { attempt, key }
            }
            (
                S::Performing { .. } | S::Uncertain { .. },
                Entry::Succeeded {
                    attempt, output, ..
                },
            ) if under_way(&attempt) => S::Done(Done::Output(output)),
            (
                S::Performing { .. } | S::Uncertain { .. },
                Entry::Failed {
                    attempt,
                    error,
                    retry_at,
                    ..
                },
            ) if under_way(&attempt) => failed(error, retry_at),
            // Scripts record no intent, so their failure is also the record of the attempt.
            (
                S::Ready | S::BackingOff(_) | S::Asked { .. },
                Entry::Failed {
                    attempt,
                    error,
                    retry_at,
                    ..
                },
            ) if new(&attempt) => {
                self.count(attempt);
                failed(error, retry_at)
            }
            (
                S::Performing { .. } | S::Ready | S::BackingOff(_),
                Entry::Interrupted {
                    attempt,
                    evidence,
                    retry_at,
                    ..
                },
            ) if self.may_be_cut_off(attempt) => {
                self.cut_off(attempt);
                S::Uncertain {
                    attempt,
                    key: self.key_of_attempt(run, number),
                    evidence,
                    retry_at,
                }
            }
            (S::Performing { .. } | S::Uncertain { .. }, Entry::AttentionNeeded { reason, .. }) => {
                S::Attention { reason }
            }
            (S::Attention { .. }, Entry::Resumed { resolution, .. }) => self.resumed(resolution),
            (_, entry) => return Err(self.illegal(&entry)),
        };
        self.state = next;
        Ok(())
    }

    fn illegal(&self, entry: &Entry) -> Illegal {
        Illegal {
            state: format!("{} at its visit of '{}'", self.state.name(), self.step),
            entry: entry.name().to_owned(),
        }
    }

    /// Whether an attempt of this number may have been made without its end being known: it is
    /// under way, or its intent would stand in a journal that is lost.
    fn may_be_cut_off(&self, attempt: u32) -> bool {
        match self.state {
            VisitState::Performing { .. } => attempt == self.attempts,
            _ => self.in_doubt && Some(attempt) == self.attempts.checked_add(1),
        }
    }

    fn open(&mut self, frames: Range<u32>, until: Option<Timestamp>) -> VisitState {
        self.opened = frames;
        self.until = until.or(self.until);
        VisitState::Open
    }

    /// Not counted as a try where the attempt, if any, was made in a lost world.
    const fn cut_off(&mut self, attempt: u32) {
        self.attempts = attempt;
        self.in_doubt = false;
    }

    /// The key of the attempt under way, else that of the next one.
    pub(super) fn key_of_attempt(&self, run: RunId, number: VisitNo) -> IdempotencyKey {
        match &self.state {
            VisitState::Performing { key, .. } | VisitState::Uncertain { key, .. } => key.clone(),
            _ => self.key(run, number),
        }
    }

    fn count(&mut self, attempt: u32) {
        self.attempts = attempt;
        self.tries = self.tries.saturating_add(1);
    }

    fn resumed(&mut self, resolution: Resolution) -> VisitState {
        self.in_doubt = false;
        match resolution {
            Resolution::Repeat => {
                self.tries = 0;
                VisitState::Ready
            }
            Resolution::Succeeded { output } => VisitState::Done(Done::Output(output)),
            Resolution::Failed { reason } => VisitState::Done(Done::Failed(StepError {
                kind: ErrorKind::Operator,
                message: reason,
            })),
        }
    }
}

fn closed(error: Option<StepError>) -> VisitState {
    VisitState::Done(error.map_or(Done::Passed, Done::Failed))
}

fn answered(answer: Json, error: Option<StepError>) -> VisitState {
    VisitState::Done(error.map_or(Done::Output(answer), Done::Failed))
}

fn failed(error: StepError, retry_at: Option<Timestamp>) -> VisitState {
    retry_at.map_or(
        VisitState::Done(Done::Failed(error)),
        VisitState::BackingOff,
    )
}

impl Entry {
    /// The entry's name as it is stored, for errors, lists and metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Started(_) => "started",
            Self::Entered { .. } => "entered",
            Self::Evaluated { .. } => "evaluated",
            Self::Opened { .. } => "opened",
            Self::Closed { .. } => "closed",
            Self::Delayed { .. } => "delayed",
            Self::Elapsed { .. } => "elapsed",
            Self::Found { .. } => "found",
            Self::Asked { .. } => "asked",
            Self::Answered { .. } => "answered",
            Self::Intended { .. } => "intended",
            Self::Succeeded { .. } => "succeeded",
            Self::Failed { .. } => "failed",
            Self::Interrupted { .. } => "interrupted",
            Self::AttentionNeeded { .. } => "attention_needed",
            Self::Resumed { .. } => "resumed",
            Self::Paused { .. } => "paused",
            Self::Unpaused { .. } => "unpaused",
            Self::CancelRequested { .. } => "cancel_requested",
            Self::Finished { .. } => "finished",
            Self::Restored { .. } => "restored",
            Self::Reopened { .. } => "reopened",
        }
    }

    /// The visit that the entry is about; `None` for entries about the whole run.
    pub const fn visit(&self) -> Option<VisitNo> {
        match self {
            Self::Entered { visit, .. }
            | Self::Evaluated { visit, .. }
            | Self::Opened { visit, .. }
            | Self::Closed { visit, .. }
            | Self::Delayed { visit, .. }
            | Self::Elapsed { visit }
            | Self::Found { visit, .. }
            | Self::Asked { visit, .. }
            | Self::Answered { visit, .. }
            | Self::Intended { visit, .. }
            | Self::Succeeded { visit, .. }
            | Self::Failed { visit, .. }
            | Self::Interrupted { visit, .. }
            | Self::AttentionNeeded { visit, .. }
            | Self::Resumed { visit, .. }
            | Self::Reopened { visit, .. } => Some(*visit),
            Self::Started(_)
            | Self::Paused { .. }
            | Self::Unpaused { .. }
            | Self::CancelRequested { .. }
            | Self::Finished { .. }
            | Self::Restored { .. } => None,
        }
    }
}
