//! What a run follows: a graph of steps, made from a reaction, a playbook,
//! or built by hand.
//!
//! Every step belongs to a *frame*: the top of the run, a branch, or an iteration.
//! A frame ends where a step has no next one.

mod condition;
mod container;
mod lower;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use condition::{Compare, Comparison, Condition};
pub use container::{Container, Opens};
pub use lower::{ActionTable, Defaults, lower};

use crate::id::{Digest, StepId};
use crate::json::Json;
use crate::playbook::{CommandTemplate, Plan, ResultMapping};
use crate::run::{Policy, Question, Scope};

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

impl Definition {
    /// The lists that its scripts may read, one that several read as often.
    pub fn lists(&self) -> impl Iterator<Item = &str> {
        let scripts = self.steps.values().filter_map(|step| match step {
            Step::Script(script) => Some(script),
            _ => None,
        });
        scripts.flat_map(|script| script.lists.iter().map(String::as_str))
    }
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
    /// Playbooks that call each other, one within the other.
    pub calls: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            deadline: Duration::from_hours(24),
            steps: 10_000,
            iterations: 1_000,
            concurrency: 0,
            calls: 8,
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
    /// Nothing is to be done.
    Pass {
        /// What follows.
        next: Option<StepId>,
    },
    /// Nothing happens for a while.
    Delay {
        /// How long.
        span: Duration,
        /// What follows.
        next: Option<StepId>,
    },
    /// Other steps are within it.
    Container(Container),
    /// A person is asked.
    Ask(AskStep),
    /// Parts of what the action before it returned are looked for by jq filters.
    Query(QueryStep),
    /// It fails with what went wrong before it in its frame.
    Raise,
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
    /// What becomes of its output.
    pub results: Results,
    /// Whether it is done only where its step was approved by a second person as it is.
    pub guarded: bool,
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
    /// All variables without types, as one object.
    Variables,
    /// A playbook's command with its references filled in.
    Command(Arc<CommandTemplate>),
}

/// What becomes of an action's output.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Results {
    /// It is kept with the step only.
    #[default]
    Kept,
    /// It is put in this variable without type.
    Variable(String),
    /// Parts of it go into variables of the playbook.
    Mapped(Arc<ResultMapping>),
}

/// A step that looks for parts of a result.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryStep {
    /// What is looked for.
    pub queries: Arc<[Query]>,
    /// What follows.
    pub next: Option<StepId>,
}

/// One part of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The variable that gets it.
    pub variable: String,
    /// The JSON Pointer of what the filter is applied to; empty for all of the result.
    pub of: String,
    /// Whether the filter finds that under `.current`, as SOARCA has it.
    pub current: bool,
    /// The jq filter; the first thing that it yields counts.
    pub filter: Arc<str>,
}

/// A step that asks a person.
#[derive(Debug, Clone, PartialEq)]
pub struct AskStep {
    /// What is asked.
    pub question: Asking,
    /// How long the person has; absent means until the run's deadline.
    pub timeout: Option<Duration>,
    /// What follows when it was done.
    pub next: Option<StepId>,
    /// What follows when it was not; absent means that its frame fails.
    pub on_failure: Option<StepId>,
}

/// What a person is asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Asking {
    /// To do something, or for values.
    Command(Arc<CommandTemplate>),
    /// Whether a step may be done; the person is another than who had the run started.
    Approval(Arc<Plan>),
}

impl Asking {
    /// The question, with the values that the variables have now.
    pub(crate) fn question(&self, scope: &Scope) -> Result<Question, String> {
        match self {
            Self::Command(command) => command.question(scope),
            Self::Approval(plan) => plan.question(scope),
        }
    }
}
