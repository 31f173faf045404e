//! What a run follows: a graph of steps, made from a reaction (and later a playbook)
//! or built by hand.
//!
//! Every step belongs to a *frame*: the top of the run, a branch, or an iteration.
//! A frame ends where a step has no next one.

mod condition;
mod lower;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use condition::{Comparison, Condition};
pub use lower::{ActionTable, Defaults, lower};

use crate::id::{Digest, StepId};
use crate::json::Json;
use crate::run::Policy;

/// One version of a definition, ready to be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// Names this version.
    pub digest: Digest,
    /// Names the definition across versions.
    pub name: String,
    /// Where a run begins.
    pub start: StepId,
    /// Every step by name.
    pub steps: BTreeMap<StepId, Step>,
    /// What one run may use.
    pub limits: Limits,
}

/// What one run may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Time from start to end.
    pub deadline: Duration,
    /// Steps visited, loops included.
    pub steps: u32,
    /// Iterations of one loop.
    pub iterations: u32,
    /// Runs of this definition worked on at once; 0 means no limit of its own.
    pub concurrency: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            deadline: Duration::from_hours(24),
            steps: 10_000,
            iterations: 1_000,
            concurrency: 0,
        }
    }
}

/// One node of a definition.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// A script decides how to go on: it names one of `branches`, or stops.
    Script(ScriptStep),
    /// An action is invoked.
    Action(ActionStep),
    /// Nothing happens for a while.
    Delay {
        /// How long.
        span: Duration,
        /// What follows.
        next: Option<StepId>,
    },
    /// All branches run at once; it is over when all of them are, and failed when one is.
    Parallel {
        /// First steps of the branches.
        branches: Vec<StepId>,
        /// What follows.
        next: Option<StepId>,
    },
    /// The first branch whose condition holds is run.
    Switch {
        /// Conditions and first steps, in order.
        cases: Vec<(Condition, StepId)>,
        /// Run where none holds; absent means that nothing is.
        otherwise: Option<StepId>,
        /// What follows.
        next: Option<StepId>,
    },
    /// The body is run as long as the condition holds, which is asked before each iteration.
    While {
        /// The condition.
        condition: Condition,
        /// First step of the body.
        body: StepId,
        /// What follows.
        next: Option<StepId>,
    },
}

/// A step whose script decides.
#[derive(Debug, Clone, PartialEq)]
pub struct ScriptStep {
    /// What is evaluated.
    pub script: Arc<Script>,
    /// Whether it may share a context with earlier calls.
    pub isolation: Isolation,
    /// Lists that it may read, by name.
    pub lists: Arc<[String]>,
    /// Steps by the name that the script knows them by.
    pub branches: BTreeMap<String, StepId>,
}

/// A script and the digest by which workers know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// SHA-256 of the source.
    pub digest: Digest,
    /// The JavaScript source.
    pub source: Arc<str>,
}

impl Script {
    /// Names a source by its digest.
    pub fn new(source: impl Into<Arc<str>>) -> Self {
        let source = source.into();
        Self {
            digest: Digest::of(source.as_bytes()),
            source,
        }
    }
}

/// Whether a script may share a JavaScript context with earlier calls of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// A kept context, swept after each call.
    #[default]
    Warm,
    /// A new context for each call.
    Fresh,
}

/// A step that invokes an action.
#[derive(Debug, Clone, PartialEq)]
pub struct ActionStep {
    /// The module.
    pub module: String,
    /// The action.
    pub action: String,
    /// Where its input comes from.
    pub input: Input,
    /// How it is carried out.
    pub policy: Policy,
    /// The variable that its output is put in.
    pub assign: Option<String>,
    /// What follows when it succeeded.
    pub next: Option<StepId>,
    /// What follows when it failed; absent means that its frame fails.
    pub on_failure: Option<StepId>,
}

/// Where the input of an action comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The `data` of the verdict that led here.
    Verdict,
    /// Always this.
    Fixed(Json),
    /// All variables, as one object.
    Variables,
}
