//! The script sandbox as the engine sees it.

use std::sync::Arc;

use async_trait::async_trait;
use conche_core::Json;
use conche_core::definition::{Isolation, Script};
use conche_core::run::{LogLine, Verdict};

/// One script call.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// What to run.
    pub script: Arc<Script>,
    /// Whether a kept context may be used.
    pub isolation: Isolation,
    /// The `event` global.
    pub event: Json,
    /// The `actionData` global; an empty object where there is none.
    pub action_data: Option<Json>,
    /// The `lists` global, an object of objects; there is none where this is none.
    pub lists: Option<Json>,
}

/// What a script call gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated {
    /// The verdict.
    pub verdict: Verdict,
    /// The event, where the script changed it.
    pub event: Option<Json>,
    /// The console.
    pub logs: Vec<LogLine>,
}

/// Why a script call gave no verdict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// The script threw, set `err`, or its result is not a verdict.
    #[error("{message}")]
    Script {
        /// What it said.
        message: String,
        /// Its console until then.
        logs: Vec<LogLine>,
    },
    /// It went beyond a limit and was stopped.
    #[error("{message}")]
    Limit {
        /// Which limit.
        message: String,
        /// Its console until then.
        logs: Vec<LogLine>,
    },
    /// It was stopped too often and is not run for a while.
    #[error("{message}")]
    Quarantined {
        /// Which script, and why.
        message: String,
        /// Until it may run again.
        remaining: std::time::Duration,
    },
    /// No sandbox could be had; not the script's fault.
    #[error("{0}")]
    Unavailable(String),
}

/// What is wrong with the text of a script.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", place(*.at))]
pub struct SyntaxFault {
    /// Line and column within the script, from 1; `None` where it could not be checked.
    pub at: Option<(u32, u32)>,
    /// What is wrong there.
    pub message: String,
}

fn place(at: Option<(u32, u32)>) -> String {
    at.map_or_else(String::new, |(line, column)| {
        format!("line {line}, column {column}: ")
    })
}

/// Evaluates scripts. Implementations isolate them: see `conche-script`.
#[async_trait]
pub trait Evaluator: Send + Sync {
    /// Runs a script and reads its verdict.
    async fn evaluate(&self, evaluation: Evaluation) -> Result<Evaluated, EvaluationError>;

    /// Applies a jq filter to a JSON text and gives the first thing that it yields; none where
    /// it yields nothing.
    async fn query(&self, filter: &str, input: &Json) -> Result<Option<Json>, EvaluationError> {
        let _ = (filter, input);
        Err(EvaluationError::Unavailable(
            "there is no jq here".to_owned(),
        ))
    }

    /// Why a text is no jq filter; none where it is one or that can't be told here.
    fn query_flaw(&self, filter: &str) -> Option<String> {
        let _ = filter;
        None
    }

    /// Checks the syntax of a script.
    async fn check(&self, source: &str) -> Result<(), SyntaxFault>;
}
