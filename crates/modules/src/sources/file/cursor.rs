//! What a `file` source remembers: for each file that is there, how far it was read.
//!
//! The text is JSON, one object a file, so that an operator can read it. It must never grow
//! beyond the files that are followed: a file that is gone is forgotten.

use serde::{Deserialize, Serialize};

/// All files that were seen and are still there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    pub(super) files: Vec<Mark>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    #[serde(flatten)]
    pub(super) identity: Identity,
    /// Made up when the file was first seen or found truncated: the first part of its
    /// events' ids.
    pub(super) id: String,
    #[serde(flatten)]
    pub(super) progress: Progress,
}

/// What tells two files of one moment apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) device: u64,
    pub(super) inode: u64,
}

/// How far a file was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Progress {
    /// Line by line, up to here. `head` is a digest of the file's first bytes, so that other
    /// contents are noticed.
    Lines { offset: u64, head: Head },
    /// As a whole, when it looked like this.
    Whole { bytes: u64, modified: i128 },
}

/// A digest of a file's beginning.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) bytes: u64,
    pub(super) digest: String,
}

impl Cursor {
    pub(super) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    pub(super) fn write(&self) -> String {
        // A struct of plain members can always be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}
