//! What a journal is made of.
//!
//! The doc comment of each [`Entry`] says in which state it is accepted and what
//! it leads to; the transitions themselves are in `visit.rs` and `state.rs`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::key::IdempotencyKey;
use super::retry::Repeat;
use super::scope::Declared;
use crate::id::{Digest, EventId, StepId};
use crate::json::Json;

/// Version of the stored form below. A store keeps it beside each append, and a
/// sample journal of every version is checked in, so that old runs stay readable.
pub const JOURNAL_FORMAT: u16 = 4;

/// One line of a run's journal: an entry and when it was recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// When it was recorded, by the clock of the node that held the run.
    pub at: Timestamp,
    /// What was recorded.
    pub entry: Entry,
}

/// Numbers the visits of a run from 0, in the order in which steps were entered.
/// A step within a loop is visited many times.
pub type VisitNo = u32;

/// Where a visit stands: one [`Turn`] for each container around it, outermost
/// first; empty at the top. All visits of one path form a *frame*: one strand of control.
pub type Path = Vec<Turn>;

/// One branch of a parallel or conditional step, or one iteration of a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Turn {
    /// The visit of the containing step.
    pub of: VisitNo,
    /// Which branch or iteration, from 0.
    pub index: u32,
}

/// A fact about a run. Only these change its state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// The run exists. Accepted in an empty journal only; leads to *running*.
    Started(Started),

    /// A step is about to be worked on. Accepted while running; adds a visit that is *ready*
    /// and becomes the head of its frame.
    Entered {
        /// Number of the new visit: always the next free one.
        visit: VisitNo,
        /// The step visited.
        step: StepId,
        /// The frame it belongs to.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        path: Path,
        /// The visit before it in the frame, whose result it may read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<VisitNo>,
    },

    /// A script gave its verdict. Accepted in *ready*; leads to *done*.
    Evaluated {
        /// The visit of the script step.
        visit: VisitNo,
        /// What the script decided.
        verdict: Verdict,
        /// The event as the script left it, when it changed it: later scripts of this run see it so.
        #[serde(
            default,
            deserialize_with = "present",
            skip_serializing_if = "Option::is_none"
        )]
        event: Option<Json>,
        /// What the script wrote to its console.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        logs: Vec<LogLine>,
    },

    /// A container opened `count` frames, the first with index `turn`: all branches of a
    /// parallel step, the chosen branch of a condition, the next iteration of a loop.
    /// Accepted in *ready*, and for a loop in *open* with a higher turn where nothing within is
    /// under way or waited for; leads to *open*.
    Opened {
        /// The visit of the container.
        visit: VisitNo,
        /// Index of the first frame.
        turn: u32,
        /// How many frames.
        count: u32,
        /// The variables within it, where the run has a scope and this is its first opening.
        /// Format 3.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scope: Option<OpenedScope>,
        /// When it is given up, where it has a timeout and this is its first opening. Format 3.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },

    /// All frames of a container ended, or none was to be opened. Accepted in *ready*, and in
    /// *open* where nothing within is under way or waited for; with an error, where no attempt
    /// within is under way: what else is not over is given up. Leads to *done*.
    Closed {
        /// The visit of the container.
        visit: VisitNo,
        /// Set where a frame failed or its time was over: the container failed for this reason.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<StepError>,
        /// Variables of its own frame that a called playbook returned. Format 3.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        variables: BTreeMap<String, Json>,
    },

    /// Parts of a result were found. Accepted in *ready* and *backing off*; leads to *done*.
    /// Format 3.
    Found {
        /// The visit of the asking step.
        visit: VisitNo,
        /// Variables that they set.
        variables: BTreeMap<String, Json>,
    },

    /// A person was asked. Accepted in *ready*; leads to *asked*. Format 3.
    Asked {
        /// The visit of the asking step.
        visit: VisitNo,
        /// What the person needs to know, and what is to be answered.
        question: Question,
        /// When it counts as failed.
        until: Timestamp,
    },

    /// The person answered. Accepted in *asked*; leads to *done*. Format 3.
    Answered {
        /// The visit of the asking step.
        visit: VisitNo,
        /// What was answered: an object of values by variable.
        answer: Json,
        /// Set where the person said that it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<StepError>,
        /// Variables that the answer sets.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        variables: BTreeMap<String, Json>,
        /// Who answered.
        by: String,
        /// What tells them from everybody else; see [`Person::identity`]. Format 4.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        identity: Option<String>,
    },

    /// A delay began. Accepted in *ready*; leads to *waiting*.
    Delayed {
        /// The visit of the delay step.
        visit: VisitNo,
        /// When it is over.
        until: Timestamp,
    },

    /// A delay is over. Accepted in *waiting*; leads to *done*.
    Elapsed {
        /// The visit of the delay step.
        visit: VisitNo,
    },

    /// An action is about to be invoked: committed before anything is sent.
    /// Accepted in *ready*, *backing off* and *uncertain*; leads to *performing*.
    Intended {
        /// The visit of the action step.
        visit: VisitNo,
        /// Number of this attempt, from 1.
        attempt: u32,
        /// Sent with the invocation, the same on every repeat.
        key: IdempotencyKey,
        /// The module that offers the action.
        module: String,
        /// The action invoked.
        action: String,
        /// Its input.
        input: Json,
        /// What a repeat would mean.
        repeat: Repeat,
        /// When the attempt is given up, if it begins at once; one that waits for a place of its
        /// module begins when it has it.
        deadline: Timestamp,
    },

    /// An action succeeded. Accepted in *performing* and *uncertain*; leads to *done*.
    Succeeded {
        /// The visit of the action step.
        visit: VisitNo,
        /// The attempt that succeeded.
        attempt: u32,
        /// What the action returned.
        output: Json,
        /// Variables that this result sets.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        variables: BTreeMap<String, Json>,
    },

    /// An attempt failed, and it is known that it did. Accepted in *ready* (scripts,
    /// conditions), *asked* (nobody answered in time), *performing* and *uncertain*; leads to *backing off* where `retry_at` is
    /// set, else to *done*.
    Failed {
        /// The visit.
        visit: VisitNo,
        /// The attempt that failed.
        attempt: u32,
        /// Why.
        error: StepError,
        /// When it is tried again; absent when it is not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_at: Option<Timestamp>,
        /// What a script wrote to its console before it failed.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        logs: Vec<LogLine>,
    },

    /// It is unknown whether an attempt took effect: the process died, the attempt was
    /// stopped, or the answer never came. Accepted in *performing*, and in *ready* and *backing
    /// off* where the visit is in doubt since a [`Entry::Restored`]: then the attempt, if it was
    /// made, stands in a journal that is lost. Leads to *uncertain*.
    Interrupted {
        /// The visit of the action step.
        visit: VisitNo,
        /// The attempt in question.
        attempt: u32,
        /// What is known.
        evidence: String,
        /// When it is repeated with the same key; absent when it must not be.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_at: Option<Timestamp>,
    },

    /// Nobody but a person can say how to go on. Accepted in *uncertain*; leads to *attention*.
    AttentionNeeded {
        /// The visit in question.
        visit: VisitNo,
        /// What a person needs to know to decide.
        reason: String,
    },

    /// A person decided how a visit goes on. Accepted in *attention*; leads to *ready*
    /// (repeat, with the same key) or *done*.
    Resumed {
        /// The visit decided on.
        visit: VisitNo,
        /// The decision.
        resolution: Resolution,
        /// Variables that it sets, where the step assigns its output.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        variables: BTreeMap<String, Json>,
        /// Who decided.
        by: String,
    },

    /// A person has the run pause. Accepted while running; leads to *paused*: nothing is begun,
    /// what is under way comes to its end, and people may answer. Format 4.
    Paused {
        /// Who asked.
        by: String,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },

    /// A person has a paused run go on. Accepted while paused; leads to *running*, with the
    /// times of its steps later by as long as it was paused. Format 4.
    Unpaused {
        /// Who asked.
        by: String,
    },

    /// A person or rule asked for the end of the run. Accepted while running or paused; leads to
    /// *cancelling*: nothing new is started, attempts under way are stopped.
    CancelRequested {
        /// Who asked.
        by: String,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },

    /// The run is over. Accepted while running, paused or cancelling, with no attempt under way;
    /// leads to *finished*.
    Finished {
        /// How it ended.
        outcome: Outcome,
        /// Why, where it did not succeed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },

    /// The store was put back from a copy, so that this run may have gone further than its
    /// journal knows. Accepted while running, paused or cancelling; changes no visit but puts all of
    /// them, and those entered after it, *in doubt*: an action that must not be repeated is not
    /// done before it is known whether it was. Format 2.
    Restored {
        /// When the copy was taken.
        copied_at: Timestamp,
    },

    /// An operator has the run go on from a step. Accepted in *finished*, for a visit that is
    /// not forgotten; leads to *running* with that visit *ready* again and a new idempotency
    /// key for it. Visits that followed it, in its own frame and in those around it, are
    /// forgotten, later iterations too. Branches beside it stay as they are, and so do the
    /// event and the variables.
    Reopened {
        /// The visit to start again from.
        visit: VisitNo,
        /// Who asked.
        by: String,
        /// What tells them from everybody else; see [`Person::identity`]. Format 4.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        identity: Option<String>,
        /// The new deadline of the run.
        deadline: Timestamp,
    },
}

/// Reads a field that is there, so that a JSON `null` stays one and is not taken for "absent".
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

/// With what a run begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// The version of the definition that the run keeps to the end.
    pub definition: Digest,
    /// The definition's name, for people.
    pub name: String,
    /// The event that triggered it; absent for a run started by hand without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<EventId>,
    /// Every event of a group, oldest first, `event` being the last; empty for any other run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventId>,
    /// When the run is given up.
    pub deadline: Timestamp,
    /// Variables without types that it starts with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, Json>,
    /// The variables of a playbook's run as it starts. Format 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Declared>,
    /// How many events may stem from it, directly or through the runs of its events; absent in
    /// journals of programs that did not count them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<u32>,
    /// The people who had it started, directly or by the event or run that did; none for what a
    /// source brought about. Format 4.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<Person>,
    /// Where the run waited for its events in a copy of the store that was put back: when the
    /// copy was taken. Means what [`Entry::Restored`] means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copied_at: Option<Timestamp>,
}

/// The variables within a container that was opened.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OpenedScope {
    /// Its own variables, with their first values.
    #[serde(default, skip_serializing_if = "Declared::is_empty")]
    pub variables: Declared,
    /// Whether nothing else is seen within it: a called playbook.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub isolated: bool,
}

/// What a person is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// What is to be done or decided.
    pub text: String,
    /// Who is asked: the agent, and on what, as the document has them.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub parties: Json,
    /// The variables to be answered, with their types and present values.
    #[serde(default, skip_serializing_if = "Declared::is_empty")]
    pub answers: Declared,
    /// What would be done, each command with what it is for and without credentials, where it is
    /// asked whether that may be done. Whoever had the run started cannot say yes to it. Empty
    /// for any other question. Format 4.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plan: Vec<Json>,
}

/// Somebody, as far as it is known who that is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// For people: not alone what tells them from others.
    pub name: String,
    /// What tells them from everybody else, such as `token:` with the id of a token; absent
    /// where nobody knows who it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
}

/// What a script decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing more is to be done.
    Stop,
    /// Invoke the definition's action of this name.
    Next {
        /// Key of the action within the definition.
        action: String,
        /// Its input: always an object.
        data: Json,
    },
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything that was decided was done.
    Succeeded,
    /// A step failed, a limit was reached or the deadline passed.
    Failed,
    /// It was asked to end.
    Cancelled,
}

/// What a person decided about an attempt whose effect is unknown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// It did not happen, or may happen twice: do it, with the same key.
    Repeat,
    /// It did happen: go on with this output.
    Succeeded {
        /// What the action would have returned.
        output: Json,
    },
    /// Count it as failed.
    Failed {
        /// Why.
        reason: String,
    },
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepError {
    /// What sort of failure: decides whether a retry makes sense.
    pub kind: ErrorKind,
    /// For people.
    pub message: String,
}

/// Sorts of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// Certainly without effect, and may go well next time.
    Transient,
    /// The receiver refused, or the input is wrong: the same again would fail again.
    Permanent,
    /// A script threw, set `err`, or gave something that is not a verdict.
    Script,
    /// It took longer than allowed and certainly had no effect.
    TimedOut,
    /// The script or definition names an action that does not exist.
    NoSuchAction,
    /// A limit of the configuration was reached.
    Limit,
    /// A script was stopped too often and is not run for a while; tried again after that.
    Quarantined,
    /// A person said so.
    Operator,
}

/// A line that a script wrote to its console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Which function of `console` was called.
    pub level: LogLevel,
    /// What was written.
    pub text: String,
}

/// Functions of a script's `console`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
