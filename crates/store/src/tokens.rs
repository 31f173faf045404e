//! Stored tokens, and changes that are recorded with who made them.

use conche_core::{Digest, RunId, Timestamp};
use uuid::Uuid;

use crate::{ListEntry, PlaybookPut, ReactionRow, Signal};

/// Names one stored token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(pub Uuid);

impl std::fmt::Display for TokenId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A stored token. Its value is nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Its id.
    pub token: TokenId,
    /// The SHA-256 of its value.
    pub digest: Digest,
    /// Its name, unique among those that are not revoked.
    pub name: String,
    /// The word for what it allows; the store gives it no meaning.
    pub role: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was used, to within some minutes.
    pub last_used: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// A change that is recorded with who made it, in one transaction.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// See [`crate::Catalogue::put_reaction`].
    PutReaction(ReactionRow),
    /// See [`crate::Catalogue::delete_reaction`].
    DeleteReaction(String),
    /// See [`crate::Catalogue::put_playbook`].
    PutPlaybook(PlaybookPut),
    /// See [`crate::Catalogue::delete_playbook`].
    DeletePlaybook(String),
    /// See [`crate::Catalogue::put_entry`].
    PutEntry(ListEntry),
    /// See [`crate::Catalogue::remove_entry`].
    RemoveEntry {
        /// The list.
        list: String,
        /// The entry's key.
        key: String,
    },
    /// See [`crate::RunStore::signal`].
    Signal {
        /// The run.
        run: RunId,
        /// The word.
        signal: Signal,
        /// The version of the run's journal.
        expected: Option<u64>,
        /// The time.
        now: Timestamp,
    },
    /// Adds a token.
    PutToken(TokenRow),
    /// Ends a token for good.
    RevokeToken {
        /// Which.
        token: TokenId,
        /// When.
        at: Timestamp,
    },
}
