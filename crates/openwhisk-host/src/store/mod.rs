//! What the host keeps, as traits: entities, activations with what is still to be done, users.
//!
//! The host knows no database: the composition root hands in a [`Store`]. Everything that
//! changes goes through one method, [`Entities::commit`], which is one transaction: that is
//! what makes "202 means stored" and "a rule fires at most once" true. Backends hold no rules
//! of OpenWhisk; every one of them passes the suite in [`contract`].

pub mod contract;
pub mod memory;

use async_trait::async_trait;
use serde_json::Value;

pub use self::memory::MemoryStore;

/// Why a store did not do what it was asked. After an error nothing of it happened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The store cannot be written or read now.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// An entity has another revision than the writer expected.
    #[error("{0} was changed by another")]
    Conflict(Key),
    /// The idempotency key of an admission belongs to another activation.
    #[error("the idempotency key belongs to activation {activation}")]
    Known {
        /// That activation.
        activation: String,
    },
    /// What is stored cannot be read.
    #[error("{what} cannot be read: {reason}")]
    Corrupt {
        /// What it is.
        what: String,
        /// Why not.
        reason: String,
    },
}

/// What kind of entity a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// An action or a sequence.
    Action,
    /// A package or a binding.
    Package,
    /// A trigger.
    Trigger,
    /// A rule.
    Rule,
    /// An alarm of the native feed. Its path begins with `$`, as no namespace does.
    Alarm,
    /// An API of the gateway. Its path begins with `$`, as no namespace does.
    Api,
}

impl Kind {
    /// The word for it, for columns and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Package => "package",
            Self::Trigger => "trigger",
            Self::Rule => "rule",
            Self::Alarm => "alarm",
            Self::Api => "api",
        }
    }

    /// The kind of a word.
    pub fn parse(word: &str) -> Option<Self> {
        [
            Self::Action,
            Self::Package,
            Self::Trigger,
            Self::Rule,
            Self::Alarm,
            Self::Api,
        ]
        .into_iter()
        .find(|kind| kind.as_str() == word)
    }
}

/// Names an entity. One name means one entity, whatever its kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// `namespace` or `namespace/package`.
    pub path: String,
    /// The name within it.
    pub name: String,
}

impl Key {
    /// A key of these.
    pub fn new(path: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            name: name.into(),
        }
    }

    /// The namespace: the path without the package.
    pub fn namespace(&self) -> &str {
        self.path.split('/').next().unwrap_or_default()
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.path, self.name)
    }
}

/// A stored entity.
#[derive(Debug, Clone, PartialEq)]
pub struct Entity {
    /// Its name.
    pub key: Key,
    /// What it is.
    pub kind: Kind,
    /// When it was changed, in milliseconds since 1970: lists are newest first by it.
    pub updated: u64,
    /// All of it but its code.
    pub document: Value,
    /// The code of an action. Kept apart, so that lists need not read it.
    pub code: Option<String>,
}

/// An entity with the revision to be named when it is changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// The entity.
    pub entity: Entity,
    /// Grows with every change.
    pub revision: u64,
}

/// A change of one entity.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Stores an entity. `expected` is the revision that it replaces; without it there must
    /// be none of that name.
    Put {
        /// The entity.
        entity: Entity,
        /// What it replaces.
        expected: Option<u64>,
    },
    /// Removes an entity of this revision.
    Delete {
        /// Its name.
        key: Key,
        /// Its revision.
        expected: u64,
    },
}

impl Write {
    /// The entity that it changes.
    pub fn key(&self) -> &Key {
        match self {
            Self::Put { entity, .. } => &entity.key,
            Self::Delete { key, .. } => key,
        }
    }
}

/// Which entities to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Of this kind.
    pub kind: Kind,
    /// In this namespace, its packages included; of all namespaces without it.
    pub namespace: Option<String>,
    /// In this package only.
    pub package: Option<String>,
    /// Leaves out so many of the newest.
    pub skip: usize,
    /// Gives at most so many.
    pub limit: usize,
}

/// An activation that was accepted: it is carried out, or ended as failed, whatever happens to
/// this process.
#[derive(Debug, Clone, PartialEq)]
pub struct Admission {
    /// The id that the activation has or will have.
    pub activation: String,
    /// The namespace that invokes.
    pub namespace: String,
    /// What is needed to carry it out. The store gives it no meaning.
    pub request: Value,
    /// Whether it has begun: then it must not be carried out once more.
    pub begun: bool,
    /// The caller's key; the same key in the same namespace is the same activation.
    pub idempotency: Option<String>,
}

/// The record of an activation that is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its id.
    pub activation: String,
    /// The namespace that it is listed in.
    pub namespace: String,
    /// The name of what was invoked or fired.
    pub name: String,
    /// The package of the action, where it has one.
    pub package: Option<String>,
    /// When it began, in milliseconds since 1970.
    pub start: u64,
    /// The record as the API shows it.
    pub document: Value,
}

/// Changes that happen together or not at all, in the order of these fields: what is accepted
/// and over in the same commit leaves its record and its idempotency key.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Commit {
    /// Entities.
    pub writes: Vec<Write>,
    /// What is accepted. One whose activation is over already is passed over.
    pub admit: Vec<Admission>,
    /// Admissions that begin now.
    pub begin: Vec<String>,
    /// What is over; an admission of the same id ends with it. A record that is there already
    /// stays as it was.
    pub finish: Vec<Record>,
}

/// Which activations to list, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// Of this namespace.
    pub namespace: String,
    /// Of what has this name.
    pub name: Option<String>,
    /// In this package.
    pub package: Option<String>,
    /// Begun then or later, in milliseconds.
    pub since: Option<u64>,
    /// Begun then or earlier, in milliseconds.
    pub upto: Option<u64>,
    /// Leaves out so many of the newest.
    pub skip: usize,
    /// Gives at most so many.
    pub limit: usize,
}

/// How much of the past is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Records begun before are removed, in milliseconds since 1970.
    pub since: u64,
    /// More records than these are removed, oldest first, of all namespaces together.
    pub most: usize,
    /// Removes at most so many at once.
    pub limit: usize,
}

/// Somebody who may call, and the namespace that is theirs.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The namespace, which is also the subject.
    pub namespace: String,
    /// The name part of the credentials.
    pub uuid: String,
    /// The password part. Actions may get it in `__OW_API_KEY`, so it is kept as it is.
    pub key: String,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

/// Entities, and the one way to change anything.
#[async_trait]
pub trait Entities: Send + Sync {
    /// An entity with its code, of whatever kind.
    async fn entity(&self, key: &Key) -> Result<Option<Stored>, Error>;

    /// Entities without their code, those changed last first, then by name.
    async fn list(&self, listing: &Listing) -> Result<Vec<Entity>, Error>;

    /// How many entities of a kind a listing has, without `skip` and `limit`.
    async fn count(&self, listing: &Listing) -> Result<u64, Error>;

    /// Makes changes: all of them, durably, or none.
    ///
    /// # Errors
    /// [`Error::Conflict`] for a revision that is not the expected one; [`Error::Known`] where an idempotency key
    /// belongs to another activation.
    async fn commit(&self, commit: Commit) -> Result<(), Error>;
}

/// Activations that are over and those that are still to be carried out.
#[async_trait]
pub trait Activations: Send + Sync {
    /// A record.
    async fn activation(&self, namespace: &str, id: &str) -> Result<Option<Record>, Error>;

    /// Records, those begun last first, then by id.
    async fn activations(&self, query: &Query) -> Result<Vec<Record>, Error>;

    /// How many records a query has, without `skip` and `limit`.
    async fn count_activations(&self, query: &Query) -> Result<u64, Error>;

    /// The activation that an idempotency key stands for, over or not.
    async fn known(&self, namespace: &str, key: &str) -> Result<Option<String>, Error>;

    /// Admissions that are not over, oldest first, at most `limit`.
    async fn unfinished(&self, limit: usize) -> Result<Vec<Admission>, Error>;

    /// Removes old records with their idempotency keys, oldest first. Gives how many. What is
    /// not over is never removed.
    async fn expire(&self, keep: Keep) -> Result<usize, Error>;
}

/// Who may call.
#[async_trait]
pub trait Users: Send + Sync {
    /// Every user, by namespace.
    async fn users(&self) -> Result<Vec<User>, Error>;

    /// Stores a user, in place of the one with that namespace.
    async fn put_user(&self, user: User) -> Result<(), Error>;

    /// Removes the user of a namespace. Whether there was one.
    async fn delete_user(&self, namespace: &str) -> Result<bool, Error>;
}

/// A whole store.
pub trait Store: Entities + Activations + Users {}

impl<T: Entities + Activations + Users> Store for T {}
