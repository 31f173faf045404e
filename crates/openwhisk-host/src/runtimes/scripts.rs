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
use super::room::{self, Capacity, Granted, Room, Wish};
use super::run::Run;
use super::worker::{Lane, first_environment};

/// The kind that is carried out by [`Scripts`].
pub const SCRIPT_KIND: &str = "quickjs:1";

/// A sandbox for JavaScript without Node's library: no modules, files, timers or connections.
#[async_trait]
pub trait Scripts: Send + Sync {
    /// Evaluates the source anew and calls its entry point. Must keep the limits, whatever the
    /// script does.
    async fn call(&self, call: ScriptCall) -> ScriptDone;

    /// How many calls it can carry out at once; the others wait, in turns by action.
    fn at_once(&self) -> usize;
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
    /// How long it may take, from when it is carried out.
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
    /// What it returned was longer than allowed: how long and its beginning, if that is known.
    TooLong(Option<(u64, String)>),
    /// The sandbox can't take it now, and why.
    Unavailable(String),
}

/// The sandbox, and who may use it next: calls take turns here as they do for processes.
pub(super) struct Stage {
    scripts: Arc<dyn Scripts>,
    room: Arc<Room<Lane, (), ()>>,
}

impl Stage {
    /// Lets so many calls wait.
    pub(super) fn new(scripts: Arc<dyn Scripts>, waiting: usize) -> Self {
        let room = Room::new(Capacity {
            seats: scripts.at_once().max(1),
            memory_mb: 0,
            waiting,
        });
        Self { scripts, room }
    }

    /// Waits for a call's turn, which is over when what this gives is dropped.
    pub(super) async fn turn(
        &self,
        run: &Run,
        limit: Duration,
    ) -> Result<Granted<Lane, (), ()>, room::Error> {
        let wish = Wish {
            lane: Lane::of(run),
            breed: (),
            memory_mb: 0,
        };
        self.room.acquire_within(wish, limit).await
    }

    /// Carries out a call whose turn it is.
    pub(super) async fn call(&self, run: &Run, answer: u64) -> (Verdict, Logs) {
        call(&*self.scripts, run, answer).await
    }

    /// How many calls wait.
    pub(super) fn waiting(&self) -> usize {
        self.room.load().1
    }

    /// Refuses what waits.
    pub(super) fn close(&self) {
        self.room.close();
    }
}

/// Carries out a call and says what it came to, with its logs.
async fn call(scripts: &dyn Scripts, run: &Run, answer: u64) -> (Verdict, Logs) {
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
    let heard = match heard(done.end, answer) {
        Ok(heard) => heard,
        Err(verdict) => return (verdict, logs),
    };
    let verdict = judge_run(heard, Manner::Server, (limits.timeout, answer), &logs);
    (verdict, logs)
}

/// What Node's launcher would have said.
fn heard(end: ScriptEnd, answer: u64) -> Result<Heard, Verdict> {
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
        ScriptEnd::TooLong(known) => {
            // Where it is not known by how much, it is by one byte at least.
            let (length, start) = known.unwrap_or((answer.saturating_add(1), String::new()));
            let start = start.into_bytes();
            Ok(Heard::LongLine { start, length })
        }
        ScriptEnd::Unavailable(reason) => {
            tracing::warn!(%reason, "the script sandbox did not take a function");
            Err(Verdict::not_provisioned())
        }
    }
}
