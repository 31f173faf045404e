//! A command as it is carried out.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::check::{Flaw, check};
use super::value;
use super::{Form, recognise};
use crate::client::Poll;
use crate::model::{FullyQualifiedName, NameError};

/// A command of form A, as it was written: writing it again loses nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// What is done.
    pub verb: Verb,
    /// The name as it was written; maybe with references to variables.
    target: String,
    /// The arguments of the action, or the payload of the trigger.
    pub arguments: Arguments,
    /// How the end is waited for.
    pub mode: Mode,
    /// How long the host itself waits.
    pub wait: Duration,
    /// How often it is asked for after that.
    pub poll: Poll,
    /// When it is tried again.
    pub retry: Option<Retry>,
    /// The argument that gets the key under which receivers do it once.
    pub idempotency: Option<String>,
    /// What of the activation goes into which variable, in the order that is written.
    pub outputs: Vec<(String, Output)>,
    /// Whether the log is wanted.
    pub logs: bool,
    /// What counts as failure.
    pub fail_on: Vec<FailOn>,
    /// Whether a trigger without an active rule counts as failure.
    pub require_rule: bool,
    source: Map<String, Value>,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// An action, sequence or composition is invoked.
    Invoke,
    /// A trigger is fired.
    Fire,
}

/// How the end of an activation is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// With the host, then by asking.
    Wait,
    /// Not at all: that it was accepted is success.
    Async,
    /// By asking from the beginning: its identifier is known early.
    Poll,
}

/// The arguments.
#[derive(Debug, Clone, PartialEq)]
pub enum Arguments {
    /// As JSON; references in it become values of their types.
    Params(Map<String, Value>),
    /// As base64 of JSON, in which nothing is a reference.
    Encoded(String),
}

/// When a command is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in all.
    pub max_attempts: u32,
    /// The wait before the second; it doubles.
    pub backoff: Duration,
    /// For which reasons.
    pub on: Vec<Reason>,
}

/// Why something may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// No connection came about.
    NotSent,
    /// 429.
    Throttled,
    /// 503.
    Unavailable,
    /// The platform failed.
    Internal,
    /// The action could not run.
    Developer,
    /// The action says that it failed.
    Application,
}

/// What counts as failure of the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailOn {
    /// The action says that it failed.
    Application,
    /// The action could not run.
    Developer,
    /// The platform failed.
    Internal,
    /// What came of it is unknown.
    Lost,
}

/// What of an activation goes into a variable.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Where it stands in the activation: a JSON Pointer.
    pub from: String,
    /// The type that it must be of.
    pub kind: Option<String>,
    /// Whether it must be there where the activation succeeded.
    pub required: bool,
    /// What the variable gets where it is not there.
    pub default: Option<Value>,
}

/// Why a command can't be carried out.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CommandError {
    /// It is wrong in these places.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Flaws(Vec<Flaw>),
    /// It is the early sketch, which says where nothing is invoked.
    #[error(
        "the sketch `{{\"name\": \"openwhisk\", \"id\": …}}` names no action: write `\"type\": \"openwhisk\"` and a `command` such as `invoke /_/package/action`"
    )]
    Sketch,
    /// What it names is no name.
    #[error("`{text}`: {source}")]
    Name {
        /// The name.
        text: String,
        /// Why.
        source: NameError,
    },
}

pub(super) const VERBS: [(&str, Verb); 2] = [("invoke", Verb::Invoke), ("fire", Verb::Fire)];
pub(super) const MODES: [(&str, Mode); 3] = [
    ("wait", Mode::Wait),
    ("async", Mode::Async),
    ("poll", Mode::Poll),
];
pub(super) const REASONS: [(&str, Reason); 6] = [
    ("not_sent", Reason::NotSent),
    ("throttled", Reason::Throttled),
    ("unavailable", Reason::Unavailable),
    ("internal", Reason::Internal),
    ("developer", Reason::Developer),
    ("application", Reason::Application),
];
pub(super) const FAIL_ON: [(&str, FailOn); 4] = [
    ("application", FailOn::Application),
    ("developer", FailOn::Developer),
    ("internal", FailOn::Internal),
    ("lost", FailOn::Lost),
];

impl Reason {
    /// Whether nothing can have been done by then.
    pub fn is_safe(self) -> bool {
        matches!(self, Self::NotSent | Self::Throttled)
    }
}

impl Command {
    /// Reads a command. One that has warnings only is read.
    ///
    /// # Errors
    /// [`CommandError`]
    pub fn parse(written: &Value) -> Result<Self, CommandError> {
        if recognise(written, None) == Some(Form::Sketch) {
            return Err(CommandError::Sketch);
        }
        let flaws: Vec<Flaw> = check(written)
            .into_iter()
            .filter(|flaw| flaw.is_error)
            .collect();
        match written.as_object() {
            Some(source) if flaws.is_empty() => Ok(Self::read(source)),
            _ => Err(CommandError::Flaws(flaws)),
        }
    }

    /// Reads what was checked: what is wrong all the same gets its default.
    fn read(source: &Map<String, Value>) -> Self {
        let get = |name: &str| source.get(name).filter(|value| !value.is_null());
        let text = |name: &str| get(name).and_then(Value::as_str);
        let flag = |name: &str| get(name).and_then(Value::as_bool).unwrap_or(false);
        let (verb, target) = split(text("command").unwrap_or_default());
        let verb = verb.unwrap_or(Verb::Invoke);
        let mode = get("mode").and_then(|mode| value::word(mode, &MODES).ok());
        let arguments = match text("params_b64") {
            Some(encoded) => Arguments::Encoded(encoded.to_owned()),
            None => Arguments::Params(
                get("params")
                    .and_then(Value::as_object)
                    .cloned()
                    .unwrap_or_default(),
            ),
        };
        let wait = get("wait_ms")
            .and_then(Value::as_u64)
            .unwrap_or(value::WAIT.1);
        let fail_on = get("fail_on").and_then(Value::as_array);
        Self {
            verb,
            target: target.to_owned(),
            arguments,
            mode: match verb {
                Verb::Invoke => mode.unwrap_or(Mode::Wait),
                Verb::Fire => Mode::Async,
            },
            wait: Duration::from_millis(wait),
            poll: poll(get("poll")),
            retry: get("retry").map(retry),
            idempotency: get("idempotency")
                .and_then(|value| value["param"].as_str())
                .map(str::to_owned),
            outputs: get("outputs")
                .and_then(Value::as_object)
                .map_or_else(Vec::new, outputs),
            logs: flag("logs"),
            fail_on: fail_on.map_or_else(
                || FAIL_ON.iter().map(|(_, class)| *class).collect(),
                |words| {
                    words
                        .iter()
                        .filter_map(|word| value::word(word, &FAIL_ON).ok())
                        .collect()
                },
            ),
            require_rule: flag("require_rule"),
            source: source.clone(),
        }
    }

    /// What is invoked or fired. `_` is the namespace of whoever asks.
    ///
    /// # Errors
    /// [`CommandError::Name`] where references are left in it, or what they became is no name.
    pub fn name(&self) -> Result<FullyQualifiedName, CommandError> {
        FullyQualifiedName::parse(&self.target).map_err(|source| CommandError::Name {
            text: self.target.clone(),
            source,
        })
    }

    /// The arguments to send; with the key, where the command has a place for it.
    pub fn body(&self, key: &str) -> Map<String, Value> {
        let mut body = match &self.arguments {
            Arguments::Params(params) => params.clone(),
            Arguments::Encoded(encoded) => decoded(encoded).unwrap_or_default(),
        };
        if let Some(param) = &self.idempotency {
            body.insert(param.clone(), key.into());
        }
        body
    }

    /// Whether a failure for this reason is tried again after so many attempts.
    pub fn tries_again(&self, reason: Reason, attempts: u32) -> Option<Duration> {
        let retry = self.retry.as_ref()?;
        let again = attempts < retry.max_attempts && retry.on.contains(&reason);
        let factor = 2_u32.saturating_pow(attempts.saturating_sub(1).min(16));
        again.then(|| retry.backoff.saturating_mul(factor))
    }
}

impl Serialize for Command {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.source.serialize(serializer)
    }
}

/// A command's text, taken apart: `VERB NAME`.
pub(super) fn split(text: &str) -> (Option<Verb>, &str) {
    let (verb, target) = text
        .trim()
        .split_once(char::is_whitespace)
        .unwrap_or((text.trim(), ""));
    let found = VERBS.iter().find(|(word, _)| *word == verb);
    (found.map(|(_, verb)| *verb), target.trim())
}

/// The object that `params_b64` holds.
pub(super) fn decoded(encoded: &str) -> Option<Map<String, Value>> {
    let bytes = STANDARD.decode(encoded.trim()).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn poll(written: Option<&Value>) -> Poll {
    let usual = Poll::default();
    let pause = |name: &str| {
        let value = written.and_then(|poll| poll.get(name))?;
        value.as_u64().map(Duration::from_millis)
    };
    let interval = pause("interval_ms").unwrap_or(usual.interval);
    Poll {
        interval,
        max_interval: pause("max_interval_ms")
            .unwrap_or(usual.max_interval)
            .max(interval),
    }
}

fn retry(written: &Value) -> Retry {
    let attempts = written["max_attempts"].as_u64().unwrap_or(3);
    let on = written["on"].as_array();
    Retry {
        max_attempts: u32::try_from(attempts).unwrap_or(1),
        backoff: Duration::from_millis(written["backoff_ms"].as_u64().unwrap_or(500)),
        on: on.map_or_else(
            || vec![Reason::NotSent, Reason::Throttled],
            |words| {
                words
                    .iter()
                    .filter_map(|word| value::word(word, &REASONS).ok())
                    .collect()
            },
        ),
    }
}

fn outputs(written: &Map<String, Value>) -> Vec<(String, Output)> {
    let one = |(name, value): (&String, &Value)| {
        let text = |name: &str| value[name].as_str().map(str::to_owned);
        let output = Output {
            from: text("from").unwrap_or_default(),
            kind: text("type"),
            required: value["required"].as_bool().unwrap_or(true),
            default: value.get("default").cloned(),
        };
        (name.clone(), output)
    };
    written.iter().map(one).collect()
}
