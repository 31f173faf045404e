//! The evaluator of production: the worker processes of `conche-script`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use conche_core::definition::{Isolation, Script};
use conche_core::run::{LogLevel, LogLine, Verdict};
use conche_core::{Digest, Json};
use conche_script::{Error, Logs, Sandbox};

use crate::evaluator::{Evaluated, Evaluation, EvaluationError, Evaluator, SyntaxFault};

/// Scripts known by both their digests; more than this many and all are forgotten.
const SCRIPTS_KEPT: usize = 1000;

/// Evaluates scripts in sandboxed worker processes.
pub struct SandboxEvaluator {
    sandbox: Sandbox,
    scripts: Mutex<HashMap<Digest, Arc<conche_script::Script>>>,
}

impl SandboxEvaluator {
    /// Takes a started sandbox.
    pub fn new(sandbox: Sandbox) -> Self {
        Self {
            sandbox,
            scripts: Mutex::default(),
        }
    }

    /// The sandbox itself, for its counters and its quarantine.
    pub const fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    fn script(&self, script: &Script) -> Arc<conche_script::Script> {
        let mut scripts = self.scripts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = scripts.get(&script.digest) {
            return known.clone();
        }
        if scripts.len() >= SCRIPTS_KEPT {
            scripts.clear();
        }
        let new = Arc::new(conche_script::Script::new(
            script.digest.to_string(),
            script.source.clone(),
        ));
        scripts.insert(script.digest, new.clone());
        new
    }
}

#[async_trait]
impl Evaluator for SandboxEvaluator {
    async fn evaluate(&self, evaluation: Evaluation) -> Result<Evaluated, EvaluationError> {
        let call = conche_script::Evaluation {
            script: self.script(&evaluation.script),
            event: evaluation.event.raw().clone(),
            action_data: evaluation.action_data.map(|data| data.raw().clone()),
            lists: evaluation.lists.map(|lists| lists.raw().clone()),
            isolation: match evaluation.isolation {
                Isolation::Warm => conche_script::Isolation::Warm,
                Isolation::Fresh => conche_script::Isolation::Fresh,
            },
            limits: None,
        };
        let evaluated = self.sandbox.evaluate(call).await.map_err(translate)?;
        Ok(Evaluated {
            verdict: match evaluated.next {
                conche_script::Verdict::Stop => Verdict::Stop,
                conche_script::Verdict::Next { action, data } => Verdict::Next {
                    action,
                    data: Json::from(data),
                },
            },
            event: evaluated.event.map(Json::from),
            logs: lines(&evaluated.logs),
        })
    }

    async fn query(&self, filter: &str, input: &Json) -> Result<Option<Json>, EvaluationError> {
        let yielded = self.sandbox.jq(filter, input.as_str(), None).await;
        let yielded = yielded.map_err(translate)?;
        Ok(yielded.into_iter().next().map(Json::from))
    }

    fn query_flaw(&self, filter: &str) -> Option<String> {
        conche_script::jq_flaw(filter)
    }

    async fn check(&self, source: &str) -> Result<(), SyntaxFault> {
        match self.sandbox.check(source).await {
            Ok(()) => Ok(()),
            Err(Error::Script {
                message,
                line,
                column,
                ..
            }) => Err(SyntaxFault {
                at: Some((line.unwrap_or(1), column.unwrap_or(1))),
                message,
            }),
            Err(error) => Err(SyntaxFault {
                at: None,
                message: error.to_string(),
            }),
        }
    }
}

fn translate(error: Error) -> EvaluationError {
    let message = error.to_string();
    let logs = error.logs().map(lines).unwrap_or_default();
    match error {
        Error::Script { .. } => EvaluationError::Script { message, logs },
        Error::Timeout { .. }
        | Error::Memory { .. }
        | Error::OutputTooLarge { .. }
        | Error::Crashed { .. } => EvaluationError::Limit { message, logs },
        Error::Quarantined { remaining, .. } => EvaluationError::Quarantined { message, remaining },
        Error::Busy { .. } | Error::Unavailable { .. } | Error::Stopped => {
            EvaluationError::Unavailable(message)
        }
    }
}

fn lines(logs: &Logs) -> Vec<LogLine> {
    let line = |line: &conche_script::LogLine| LogLine {
        level: match line.level {
            conche_script::LogLevel::Debug => LogLevel::Debug,
            conche_script::LogLevel::Info => LogLevel::Info,
            conche_script::LogLevel::Warn => LogLevel::Warn,
            conche_script::LogLevel::Error => LogLevel::Error,
        },
        text: line.text.clone(),
    };
    let cut = logs.truncated.then(|| LogLine {
        level: LogLevel::Warn,
        text: "[more was written than is kept]".to_owned(),
    });
    logs.lines.iter().map(line).chain(cut).collect()
}
