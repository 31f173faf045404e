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
#[serde(try_from = "Stored", into = "Stored")]
pub(super) struct Mark {
    pub(super) identity: Identity,
    /// Made up when the file was first seen or found truncated: the first part of its
    /// events' ids.
    pub(super) id: String,
    pub(super) progress: Progress,
}

/// A mark as it is written, all in one object. Each member is read by its own type: through
/// serde's `flatten` and `untagged` a 128-bit number can be written and not be read again.
#[derive(Serialize, Deserialize)]
struct Stored {
    device: u64,
    inode: u64,
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    head: Option<Head>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    modified: Option<i128>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    passed_over: bool,
}

impl From<Mark> for Stored {
    fn from(mark: Mark) -> Self {
        let (mut offset, mut head, mut bytes, mut modified) = (None, None, None, None);
        let mut is_passed_over = false;
        match mark.progress {
            Progress::Lines {
                offset: at,
                head: of,
            } => (offset, head) = (Some(at), Some(of)),
            Progress::Whole {
                bytes: size,
                modified: at,
                passed_over,
            } => {
                (bytes, modified) = (Some(size), Some(at));
                is_passed_over = passed_over;
            }
        }
        Self {
            device: mark.identity.device,
            inode: mark.identity.inode,
            id: mark.id,
            offset,
            head,
            bytes,
            modified,
            passed_over: is_passed_over,
        }
    }
}

impl TryFrom<Stored> for Mark {
    type Error = &'static str;

    fn try_from(stored: Stored) -> Result<Self, Self::Error> {
        let progress = match (stored.offset, stored.head, stored.bytes, stored.modified) {
            (Some(offset), Some(head), None, None) => Progress::Lines { offset, head },
            (None, None, Some(bytes), Some(modified)) => Progress::Whole {
                bytes,
                modified,
                passed_over: stored.passed_over,
            },
            _ => return Err("a mark is of lines or of a whole file"),
        };
        Ok(Self {
            identity: Identity {
                device: stored.device,
                inode: stored.inode,
            },
            id: stored.id,
            progress,
        })
    }
}

/// What tells two files of one moment apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Identity {
    pub(super) device: u64,
    pub(super) inode: u64,
}

/// How far a file was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    /// Line by line, up to here. `head` is a digest of the file's first bytes, so that other
    /// contents are noticed.
    Lines { offset: u64, head: Head },
    /// As a whole, when it looked like this. One that was passed over has no event: it is
    /// neither moved nor deleted.
    Whole {
        bytes: u64,
        modified: i128,
        passed_over: bool,
    },
}

/// A digest of a file's beginning.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) bytes: u64,
    pub(super) digest: String,
}

/// What a source knows when it starts.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Memory {
    /// It never ran: the first start.
    None,
    Cursor(Cursor),
    /// It ran, and what it remembered cannot be read: no first start, and nothing is known.
    Lost(String),
}

impl Memory {
    pub(super) fn read(stored: Option<&str>) -> Self {
        match stored.map(serde_json::from_str) {
            None => Self::None,
            Some(Ok(cursor)) => Self::Cursor(cursor),
            Some(Err(error)) => Self::Lost(error.to_string()),
        }
    }
}

impl Cursor {
    pub(super) fn write(&self) -> String {
        // A struct of plain members can always be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}
