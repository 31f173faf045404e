//! What can go wrong, sorted by what the caller can do about it.

use conche_core::RunId;

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The store cannot be written or read now: try again later.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The disk is full: nothing is accepted until there is space again.
    #[error("the store has no space left: {0}")]
    Full(String),
    /// The run is held by another node, or by this one under another epoch: drop it.
    #[error("run {0} is not held under this lease any more")]
    Fenced(RunId),
    /// The journal is not at the expected version, or a signal waits for the run that changes
    /// it: load it again.
    #[error("run {run} is at version {found} or about to leave it, not at {expected}")]
    Conflict {
        /// The run.
        run: RunId,
        /// The version that the caller expected.
        expected: u64,
        /// The version that it has.
        found: u64,
    },
    /// There is no such thing.
    #[error("there is no {kind} '{name}'")]
    NotFound {
        /// `event`, `run`, `definition` or `token`.
        kind: &'static str,
        /// As asked for.
        name: String,
    },
    /// There is one already, with this id and other content: a defect of the caller, but for
    /// a playbook or a token, whose names people choose.
    #[error("there is a {kind} '{name}' already")]
    Exists {
        /// `event`, `run`, `playbook` or `token`.
        kind: &'static str,
        /// Its id; a playbook's with the version; a token's name.
        name: String,
    },
    /// What is stored cannot be read: a person has to look.
    #[error("the stored {kind} '{name}' cannot be read: {message}")]
    Corrupt {
        /// Kind of row.
        kind: &'static str,
        /// Its key.
        name: String,
        /// Why.
        message: String,
    },
    /// The data folder belongs to a newer version of this program.
    #[error(
        "the store has format {found}, this program knows formats up to {known}: use a newer program"
    )]
    TooNew {
        /// Format found.
        found: u32,
        /// Newest format known.
        known: u32,
    },
    /// Another process has the data folder open.
    #[error("another process holds the data folder {0}")]
    Locked(String),
}
