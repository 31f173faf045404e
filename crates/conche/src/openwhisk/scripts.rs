//! Functions of the kind `quickjs:1`: the action's text within the sandbox for scripts.
//!
//! A script of the sandbox decides what comes next; a function returns something. So the text
//! goes into a function of its own, and what follows it calls the entry point and tells what
//! came of that: at once as the script's result, and where it is a promise by one more line of
//! its console, since a result is read before promises are run.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use conche_openwhisk_host::runtimes::{ScriptCall, ScriptDone, ScriptEnd, Scripts};
use conche_script::{
    Config, Error, Evaluation, Isolation, Limits, LogLevel, Logs, Sandbox, Script, Verdict,
    WorkerCommand,
};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::parts;

/// What the line with a promise's value begins with. Who logs it can only put words into their
/// own mouth.
const SETTLED: &str = "\u{1}settled:";

/// Room for the names around what is returned.
const FRAME: usize = 64;

/// Characters that are kept of a result that is too long: as many bytes are kept of a process's.
const EXCERPT: usize = 4096;

/// How long a call may wait within the sandbox: no longer than it takes to replace a worker,
/// unless another runs the same text, which never has the last worker there either.
const WAIT: Duration = Duration::from_mins(10);

/// A sandbox of its own for functions: they may take minutes, for which no reaction is to wait.
pub(crate) struct Functions {
    sandbox: Sandbox,
    workers: usize,
    memory: u64,
}

impl Functions {
    /// Starts its workers. `memory` is the most that the heap of a function may have.
    pub(crate) async fn start(workers: usize, memory: u64) -> Result<Self, Failure> {
        let mut config = Config::new(WorkerCommand::current_executable());
        config.limits.memory = memory;
        config.workers = workers;
        config.wait = WAIT;
        // Who calls a function decides what it costs: nobody may set it aside for all others
        // by what they send to it. Its limits hold each time.
        config.quarantine.strikes = 0;
        let sandbox = parts::start_sandbox(config).await?;
        Ok(Self {
            sandbox,
            workers,
            memory,
        })
    }

    fn limits(&self, call: &ScriptCall) -> Limits {
        let answer = call.answer as usize + FRAME;
        Limits {
            time: call.timeout,
            wall: Some(call.timeout + Limits::KILL_GRACE),
            memory: call.memory.min(self.memory),
            output: answer,
            // A promise's value goes where the lines go.
            logs: answer + call.logs as usize,
        }
    }
}

/// What came of a call, as the script tells it.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Told {
    Returned(Value),
    /// It returned `undefined`, which JSON does not have.
    Nothing(()),
    Rejected(Value),
    Threw(String),
    Unusable(String),
    /// It returned too much: how many bytes, and their beginning.
    Long(u64, String),
    /// By a line, later.
    Later(()),
}

#[async_trait]
impl Scripts for Functions {
    fn at_once(&self) -> usize {
        self.workers
    }

    async fn call(&self, call: ScriptCall) -> ScriptDone {
        let unusable = |text: String| ScriptDone {
            end: ScriptEnd::Unusable(text),
            logs: Vec::new(),
        };
        let Some(source) = around(&call.source, &call.main, call.answer) else {
            return unusable(no_function(&call.main));
        };
        let event = json!({ "value": call.value, "env": call.env });
        let Ok(event) = to_raw_value(&event) else {
            return unusable("its arguments are no JSON".to_owned());
        };
        let evaluation = Evaluation {
            script: Arc::new(Script::new("function", source)),
            event: event.into(),
            action_data: None,
            lists: None,
            isolation: Isolation::Fresh,
            limits: Some(self.limits(&call)),
        };
        match self.sandbox.evaluate(evaluation).await {
            Ok(evaluated) => done(&evaluated.next, &evaluated.logs),
            Err(error) => ScriptDone {
                logs: error.logs().map(lines).unwrap_or_default(),
                end: failed(error),
            },
        }
    }
}

/// The script that calls a function; none where that can have no such name.
fn around(source: &str, main: &str, answer: u64) -> Option<String> {
    let is_first = |char: char| char.is_ascii_alphabetic() || "_$".contains(char);
    let is_name = main.starts_with(is_first)
        && main
            .chars()
            .all(|char| is_first(char) || char.is_ascii_digit());
    let wrong = serde_json::to_string(&no_function(main)).ok()?;
    let settled = serde_json::to_string(SETTLED).ok()?;
    // The text stands where it sees nothing of what calls it. Its lines are one further down.
    is_name.then(|| {
        format!(
            r"var __load = function (process, module, exports) {{
{source}
;return typeof {main} === 'function' ? {main} : module.exports.{main};
}};
(function (input, env) {{
  var module = {{ exports: {{}} }}, main, value;
  var tell = function (told) {{ nextAction = 'told'; result = told; }};
  var bytes = function (text) {{
    for (var at = 0, sum = 0, code; at < text.length; at++) {{
      code = text.charCodeAt(at);
      sum += code < 0x80 ? 1 : code < 0x800 || (code >= 0xd800 && code < 0xe000) ? 2 : 3;
    }}
    return sum;
  }};
  var returned = function (value) {{
    if (value === undefined) return {{ nothing: null }};
    var text = JSON.stringify(value);
    if (text === undefined) return {{ returned: typeof value }};
    var length = text.length > {answer} / 3 ? bytes(text) : 0;
    return length > {answer} ? {{ long: [length, text.slice(0, {EXCERPT})] }} : {{ returned: value }};
  }};
  var reason = function (error) {{
    if (!error) return {{}};
    if (!(error instanceof Error)) return error;
    return Object.assign({{ name: error.name, message: error.message, stack: error.stack }}, error);
  }};
  event.value = event.env = null;
  try {{ main = __load({{ env: env }}, module, module.exports); }}
  catch (error) {{ return tell({{ unusable: String(error) }}); }}
  if (typeof main !== 'function') return tell({{ unusable: {wrong} }});
  try {{
    value = main(input);
    if (!value || typeof value.then !== 'function') return tell(returned(value));
  }} catch (error) {{ return tell({{ threw: String(error) }}); }}
  tell({{ later: null }});
  value.then(
    function (value) {{ console.debug({settled} + JSON.stringify(returned(value))); }},
    function (error) {{ console.debug({settled} + JSON.stringify({{ rejected: reason(error) }})); }});
}})(event.value, event.env);
"
        )
    })
}

fn no_function(main: &str) -> String {
    format!("Action entrypoint '{main}' is not a function.")
}

fn done(next: &Verdict, logs: &Logs) -> ScriptDone {
    let told = |data: &RawValue| serde_json::from_str(data.get()).ok();
    let mut told: Option<Told> = match next {
        Verdict::Next { data, .. } => told(data),
        Verdict::Stop => None,
    };
    if matches!(told, Some(Told::Later(()))) {
        let settled = logs.lines.iter().rev();
        let mut settled = settled.filter_map(|line| line.text.strip_prefix(SETTLED));
        told = settled
            .next()
            .and_then(|text| serde_json::from_str(text).ok());
    }
    let end = match told {
        Some(Told::Returned(value)) => ScriptEnd::Returned(Some(value)),
        Some(Told::Nothing(())) => ScriptEnd::Returned(None),
        Some(Told::Rejected(reason)) => ScriptEnd::Rejected(reason),
        Some(Told::Threw(text)) => ScriptEnd::Threw(text),
        Some(Told::Unusable(text)) => ScriptEnd::Unusable(text),
        Some(Told::Long(length, start)) => ScriptEnd::TooLong(Some((length, start))),
        Some(Told::Later(())) | None if logs.truncated => ScriptEnd::TooLong(None),
        Some(Told::Later(())) | None => ScriptEnd::Threw(
            "the promise that it returned is settled by nothing: there are no timers and no \
             connections here"
                .to_owned(),
        ),
    };
    ScriptDone {
        end,
        logs: lines(logs),
    }
}

fn failed(error: Error) -> ScriptEnd {
    match error {
        // All that a function can throw is caught, so that this is its text.
        Error::Script { message, .. } => ScriptEnd::Unusable(message),
        Error::Timeout { .. } => ScriptEnd::OutOfTime,
        Error::Memory { .. } => ScriptEnd::OutOfMemory,
        Error::OutputTooLarge { .. } => ScriptEnd::TooLong(None),
        Error::Crashed { .. }
        | Error::Quarantined { .. }
        | Error::Busy { .. }
        | Error::Unavailable { .. }
        | Error::Stopped => ScriptEnd::Unavailable(error.to_string()),
    }
}

fn lines(logs: &Logs) -> Vec<(bool, String)> {
    let own = logs
        .lines
        .iter()
        .filter(|line| !line.text.starts_with(SETTLED));
    own.map(|line| (line.level >= LogLevel::Warn, line.text.clone()))
        .collect()
}
