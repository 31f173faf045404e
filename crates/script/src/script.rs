//! What is evaluated and what comes back.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::config::Limits;

/// The SHA-256 of a script's source: its identity for quarantine and reuse.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    fn of(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// The digest of a jq filter, which no script's digest equals.
    pub(crate) fn of_filter(filter: &str) -> Self {
        Self::of(&[b"jq\0", filter.as_bytes()])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// A script: sloppy-mode JavaScript that sets `nextAction`, `result` or `err`.
#[derive(Debug, Clone)]
pub struct Script {
    name: Arc<str>,
    source: Arc<str>,
    digest: Digest,
}

impl Script {
    /// Wraps a source; its syntax is not looked at here. The name is for
    /// people (logs, the quarantine list) and need not be unique.
    pub fn new(name: impl Into<Arc<str>>, source: impl Into<Arc<str>>) -> Self {
        let source = source.into();
        let digest = Digest::of(&[source.as_bytes()]);
        Self {
            name: name.into(),
            source,
            digest,
        }
    }

    /// The name for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The source text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The identity of this version of the script.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

/// How much of the JavaScript world a call shares with earlier calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    /// A realm kept for this script, its builtins frozen, swept after each
    /// call. The script runs as a function body: `var x` is not `this.x`, and
    /// builtins can't be replaced.
    #[default]
    Warm,
    /// A new realm for this call; the script runs as real global code.
    Fresh,
}

/// One call of one script.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// What to run.
    pub script: Arc<Script>,
    /// The script's `event`.
    pub event: Arc<RawValue>,
    /// The script's `actionData`; an empty object where none.
    pub action_data: Option<Arc<RawValue>>,
    /// The script's `lists`: an object of objects. Where none there is no such global.
    pub lists: Option<Arc<RawValue>>,
    /// Whether a kept realm may be used.
    pub isolation: Isolation,
    /// Replaces the sandbox's limits for this call. `memory` can only be
    /// lowered: the workers' address space is fixed when they start.
    pub limits: Option<Limits>,
}

/// What a script decided, and what it left behind.
#[derive(Debug, Clone)]
pub struct Evaluated {
    /// The decision, read when the synchronous part of the script has ended.
    pub next: Verdict,
    /// The event as the script left it; only where its content changed. Only
    /// changes inside the event count: `event = other` is a local matter, as it
    /// was in CSF. Numbers have passed through doubles.
    pub event: Option<Box<RawValue>>,
    /// What it wrote to the console.
    pub logs: Logs,
    /// Wall time in the worker, the pipe included.
    pub spent: Duration,
}

/// A script's decision.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// Nothing more to do for this event.
    Stop,
    /// Invoke `action` with `data`.
    Next {
        /// The action's name in the reaction; never empty.
        action: String,
        /// Always a JSON object.
        data: Box<RawValue>,
    },
}

/// Console output of one call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Logs {
    /// In the order written.
    pub lines: Vec<LogLine>,
    /// Whether more was written than [`Limits::logs`] allows.
    pub truncated: bool,
}

/// One console call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How loud.
    pub level: LogLevel,
    /// The arguments joined by spaces; objects as JSON.
    pub text: String,
}

/// The console function that was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// `console.debug`
    Debug,
    /// `console.log` and `console.info`
    Info,
    /// `console.warn`
    Warn,
    /// `console.error`
    Error,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_depends_on_the_source_only() {
        let one = Script::new("one", "nextAction = 'a'");
        assert_eq!(
            one.digest(),
            Script::new("two", "nextAction = 'a'").digest()
        );
        assert_ne!(
            one.digest(),
            Script::new("one", "nextAction = 'b'").digest()
        );
        assert_ne!(one.digest(), Digest::of_filter("nextAction = 'a'"));
        assert_eq!(Script::new("", "").digest().to_string()[..8], *"e3b0c442");
    }
}
