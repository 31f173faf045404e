//! What the core asks the shell to do.

use std::sync::Arc;

use jiff::Timestamp;

use super::entry::{Entry, VisitNo};
use super::key::IdempotencyKey;
use super::retry::Policy;
use crate::definition::{Isolation, Query, Script};
use crate::json::Json;

/// Something for the shell to do; see [`decide`](super::decide()) for how to read a list of them.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Append this entry: a decision that is its own record and needs nothing performed.
    Record(Entry),

    /// Evaluate a script. No intent is recorded, since scripts cannot act on the outside; so it
    /// comes again until the verdict is recorded.
    Evaluate {
        /// The visit of the script step.
        visit: VisitNo,
        /// What to evaluate.
        script: Arc<Script>,
        /// Whether it may share a context with earlier calls of itself.
        isolation: Isolation,
        /// Lists that it may read, by name: their entries are those of the time of the call.
        lists: Arc<[String]>,
        /// The event as an earlier script of this run left it; else the run's event as it came.
        event: Option<Json>,
        /// What the action before it returned; absent for a run's first script.
        action_data: Option<Json>,
    },

    /// Apply jq filters to what an action returned. Like a script's evaluation it comes again
    /// until what was found is recorded.
    Query {
        /// The visit of the asking step.
        visit: VisitNo,
        /// What is looked for.
        queries: Arc<[Query]>,
        /// In what.
        input: Json,
    },

    /// Invoke an action. [`Effect::intent`] must be committed first.
    Invoke(Invocation),

    /// Ask the module whether an attempt whose answer was lost took effect. Comes again until
    /// the answer is recorded.
    Probe(Invocation),

    /// Stop an attempt under way, then record what came of it: [`Entry::Interrupted`] where that
    /// is unknown. Comes again until something is recorded.
    Stop {
        /// The visit whose attempt is under way.
        visit: VisitNo,
    },

    /// Look again at this time.
    WaitUntil(Timestamp),
}

/// One attempt at an action.
#[derive(Debug, Clone, PartialEq)]
pub struct Invocation {
    /// The visit of the action step.
    pub visit: VisitNo,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Sent along, the same on every repeat.
    pub key: IdempotencyKey,
    /// The module that offers the action.
    pub module: String,
    /// The action.
    pub action: String,
    /// Its input.
    pub input: Json,
    /// How it is carried out.
    pub policy: Policy,
    /// When the attempt is given up: at the step's timeout or the run's deadline.
    pub deadline: Timestamp,
    /// When the copy was taken that the run was put back from, where it was: what was done since
    /// is recorded nowhere in this store.
    pub copied_at: Option<Timestamp>,
}

impl Effect {
    /// The entry to commit before this effect is performed, where it needs one.
    pub fn intent(&self) -> Option<Entry> {
        match self {
            Self::Invoke(call) => Some(Entry::Intended {
                visit: call.visit,
                attempt: call.attempt,
                key: call.key.clone(),
                module: call.module.clone(),
                action: call.action.clone(),
                input: call.input.clone(),
                repeat: call.policy.repeat,
                deadline: call.deadline,
            }),
            Self::Record(_)
            | Self::Evaluate { .. }
            | Self::Query { .. }
            | Self::Probe(_)
            | Self::Stop { .. }
            | Self::WaitUntil(_) => None,
        }
    }
}
