//! What the embedded OpenWhisk host keeps: documents by name, activations that were accepted,
//! records of those that are over, and who may call.
//!
//! Documents are JSON texts, to which the store gives no meaning. Whatever changes, changes by
//! one [`Commit`], which is one transaction. [`SqliteStore::functions`] gives the place.
//!
//! [`SqliteStore::functions`]: crate::sqlite::SqliteStore::functions

/// Names a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// A namespace, or a namespace, `/` and a package.
    pub path: String,
    /// The name within it.
    pub name: String,
}

impl Key {
    /// The namespace of the path.
    pub fn namespace(&self) -> &str {
        self.path.split('/').next().unwrap_or_default()
    }
}

/// A document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its name.
    pub key: Key,
    /// What it is.
    pub kind: String,
    /// When it was changed, in milliseconds since 1970.
    pub updated: u64,
    /// JSON.
    pub document: String,
    /// What lists leave out.
    pub code: Option<String>,
}

/// A change of one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Stores it in place of the one of this revision; without one there must be none.
    Put {
        /// The document.
        document: Document,
        /// What it replaces.
        expected: Option<u64>,
    },
    /// Removes the one of this revision.
    Delete {
        /// Its name.
        key: Key,
        /// Its revision.
        expected: u64,
    },
}

/// Which documents to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Of this kind.
    pub kind: String,
    /// In this namespace; in all without it.
    pub namespace: Option<String>,
    /// In this package of it only.
    pub package: Option<String>,
    /// Leaves out so many of the newest.
    pub skip: u64,
    /// Gives at most so many.
    pub limit: u64,
}

/// An activation that was accepted and is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// Its id.
    pub activation: String,
    /// Whose it is.
    pub namespace: String,
    /// JSON.
    pub request: String,
    /// Whether it has begun.
    pub begun: bool,
    /// The caller's key, which stands for this activation from now on.
    pub idempotency: Option<String>,
}

/// An activation that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activation {
    /// Its id.
    pub activation: String,
    /// Whose it is.
    pub namespace: String,
    /// The name of what was activated.
    pub name: String,
    /// The package of that, where it has one.
    pub package: Option<String>,
    /// When it began, in milliseconds since 1970.
    pub start: u64,
    /// JSON.
    pub document: String,
}

/// Changes that happen together or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commit {
    /// Of documents.
    pub writes: Vec<Write>,
    /// What is accepted; what is over or accepted already is passed over.
    pub admit: Vec<Admission>,
    /// What begins.
    pub begin: Vec<String>,
    /// What is over; what is there already stays as it was.
    pub finish: Vec<Activation>,
}

/// Why nothing of a [`Commit`] happened, beside the store's own reasons.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A document has another revision than expected.
    #[error("{}/{} was changed by another", .0.path, .0.name)]
    Conflict(Key),
    /// A caller's key stands for another activation.
    #[error("the key belongs to activation {0}")]
    Known(String),
}

/// Which activations to list, those begun last first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Of this namespace.
    pub namespace: String,
    /// Of this name.
    pub name: Option<String>,
    /// In this package.
    pub package: Option<String>,
    /// Begun then or later, in milliseconds.
    pub since: Option<u64>,
    /// Begun then or earlier.
    pub upto: Option<u64>,
    /// Leaves out so many of the newest.
    pub skip: u64,
    /// Gives at most so many.
    pub limit: u64,
}

/// How much of the past is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// What began before is removed, in milliseconds since 1970.
    pub since: u64,
    /// More than these are removed, oldest first.
    pub most: u64,
    /// Removes at most so many at once.
    pub limit: u64,
}

/// Who may call.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// Their namespace.
    pub namespace: String,
    /// The first part of their credentials.
    pub uuid: String,
    /// The second one.
    pub key: String,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut user = f.debug_struct("User");
        user.field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}
