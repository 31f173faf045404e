//! Actions in the script sandbox: the kind `quickjs:1`, and `nodejs` where there is no Node.
//!
//! The sandbox itself comes in through [`Scripts`]. What its answers mean is decided here, by
//! the same rules as for Node: an exception is a developer error, a rejected promise an
//! application error.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use super::answer::{Manner, Verdict, judge_run};
use super::logs::{Logs, Stream};
use super::process::Heard;
use super::run::Run;
use super::worker::first_environment;

/// The kind that is carried out by [`Scripts`].
pub const SCRIPT_KIND: &str = "quickjs:1";

/// A sandbox for JavaScript without Node's library: no modules, files, timers or connections.
#[async_trait]
pub trait Scripts: Send + Sync {
    /// Evaluates the source anew and calls its entry point. Must keep the limits, whatever the
    /// script does.
    async fn call(&self, call: ScriptCall) -> ScriptDone;
}

/// One call of a script.
#[derive(Debug, Clone)]
pub struct ScriptCall {
    /// The text of the action.
    pub source: Arc<str>,
    /// The function to call: a name within the text, or a property of `exports`.
    pub main: String,
    /// Its only argument.
    pub value: Value,
    /// What it finds under `process.env`, where the sandbox has that.
    pub env: BTreeMap<String, String>,
    /// How long it may take.
    pub timeout: Duration,
    /// Bytes of its heap.
    pub memory: u64,
    /// Bytes of what it returns, as JSON.
    pub answer: u64,
    /// Bytes of what it logs.
    pub logs: u64,
}

/// How a call ended and what it logged.
#[derive(Debug, Clone)]
pub struct ScriptDone {
    /// How it ended.
    pub end: ScriptEnd,
    /// Lines, each with whether it is an error or a warning.
    pub logs: Vec<(bool, String)>,
}

/// How a call of a script ended.
#[derive(Debug, Clone, PartialEq)]
pub enum ScriptEnd {
    /// It returned, or its promise did; `None` for `undefined`.
    Returned(Option<Value>),
    /// Its promise was rejected.
    Rejected(Value),
    /// It threw; the text is what `String(error)` says.
    Threw(String),
    /// It can't be evaluated, or has no such function.
    Unusable(String),
    /// Its time was over.
    OutOfTime,
    /// Its heap was full.
    OutOfMemory,
    /// What it returned was longer than allowed; how long, if that is known.
    TooLong(Option<u64>),
    /// The sandbox can't take it now, and why.
    Unavailable(String),
}

/// Carries out a call and says what it came to, with its logs.
pub(super) async fn call(scripts: &dyn Scripts, run: &Run, answer: u64) -> (Verdict, Logs) {
    let limits = run.limits;
    let mut logs = Logs::new(limits.logs_bytes());
    if run.code.binary {
        let text = format!("The kind `{SCRIPT_KIND}` takes code as text only.");
        return (Verdict::unusable(text), logs);
    }
    let call = ScriptCall {
        source: Arc::clone(&run.code.text),
        main: run.code.main.clone().unwrap_or_else(|| "main".to_owned()),
        value: run.value.clone(),
        env: first_environment(run),
        timeout: limits.timeout,
        memory: limits.memory_bytes(),
        answer,
        logs: limits.logs_bytes(),
    };
    let done = scripts.call(call).await;
    let now = jiff::Timestamp::now();
    for (is_error, line) in &done.logs {
        let stream = if *is_error {
            Stream::Stderr
        } else {
            Stream::Stdout
        };
        logs.push(stream, format!("{line}\n").as_bytes(), now);
    }
    let heard = match heard(done.end) {
        Ok(heard) => heard,
        Err(verdict) => return (verdict, logs),
    };
    let verdict = judge_run(heard, Manner::Server, (limits.timeout, answer), &logs);
    (verdict, logs)
}

/// What Node's launcher would have said.
fn heard(end: ScriptEnd) -> Result<Heard, Verdict> {
    let line = |value: Value| Ok(Heard::Line(value.to_string().into_bytes()));
    match end {
        ScriptEnd::Returned(None) => line(Value::Object(Map::new())),
        ScriptEnd::Returned(Some(value @ (Value::Object(_) | Value::Array(_)))) => line(value),
        ScriptEnd::Returned(Some(_)) => {
            Err(Verdict::unusable("The action did not return a dictionary."))
        }
        ScriptEnd::Rejected(reason) => line(json!({ "error": reason })),
        ScriptEnd::Threw(text) => Err(Verdict::unusable(format!("An error has occurred: {text}"))),
        ScriptEnd::Unusable(text) => Err(Verdict::unusable(format!(
            "Initialization has failed due to: {text}"
        ))),
        ScriptEnd::OutOfTime => Ok(Heard::OutOfTime),
        ScriptEnd::OutOfMemory => Ok(Heard::OutOfMemory),
        ScriptEnd::TooLong(length) => Ok(Heard::LongLine {
            start: Vec::new(),
            length: length.unwrap_or_default(),
        }),
        ScriptEnd::Unavailable(reason) => {
            tracing::warn!(%reason, "the script sandbox did not take a function");
            Err(Verdict::not_provisioned())
        }
    }
}
