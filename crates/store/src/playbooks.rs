//! Versions of playbooks, as they are stored.

use conche_core::Timestamp;

use crate::Error;

/// A version of a playbook that was put through an interface rather than a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaybookRow {
    /// The playbook's identifier.
    pub id: String,
    /// When it was modified, as it says itself: names the version.
    pub modified: String,
    /// Its text exactly as it came.
    pub text: String,
    /// Who put it.
    pub owner: String,
    /// When it was put.
    pub put_at: Timestamp,
}

impl PlaybookRow {
    /// Why another text of this version is refused.
    pub(crate) fn exists(&self) -> Error {
        Error::Exists {
            kind: "playbook",
            name: format!("{} of {}", self.id, self.modified),
        }
    }
}

/// A version of a playbook to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaybookPut {
    /// The version.
    pub row: PlaybookRow,
    /// Whether it may take the place of another text of this version.
    pub replace: bool,
}
