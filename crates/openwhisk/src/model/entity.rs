//! The collections of a namespace and what they hold.

use std::fmt;

/// A collection of a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Collection {
    /// Actions and sequences.
    Actions,
    /// Records of what was invoked or fired.
    Activations,
    /// Packages and bindings.
    Packages,
    /// Links from triggers to actions.
    Rules,
    /// Triggers.
    Triggers,
}

impl Collection {
    /// All, in the order of their names.
    pub const ALL: [Self; 5] = [
        Self::Actions,
        Self::Activations,
        Self::Packages,
        Self::Rules,
        Self::Triggers,
    ];

    /// The word for it in paths and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Actions => "actions",
            Self::Activations => "activations",
            Self::Packages => "packages",
            Self::Rules => "rules",
            Self::Triggers => "triggers",
        }
    }

    /// The collection that a path names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == word)
    }
}

impl fmt::Display for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An entity of one of the four collections that can be written: its full form, the form in
/// lists and the body of a PUT. The client and the host are written once over these.
pub trait EntityKind {
    /// Where it is kept.
    const COLLECTION: Collection;
    /// An item of a list.
    type Summary: serde::Serialize + serde::de::DeserializeOwned + Send;
    /// The body of a PUT.
    type Put: serde::Serialize + serde::de::DeserializeOwned + Send + Sync;
}

impl EntityKind for super::Action {
    const COLLECTION: Collection = Collection::Actions;
    type Summary = super::ActionSummary;
    type Put = super::ActionPut;
}

impl EntityKind for super::Package {
    const COLLECTION: Collection = Collection::Packages;
    type Summary = super::PackageSummary;
    type Put = super::PackagePut;
}

impl EntityKind for super::Rule {
    const COLLECTION: Collection = Collection::Rules;
    /// The whole rule, without `status`.
    type Summary = super::Rule;
    type Put = super::RulePut;
}

impl EntityKind for super::Trigger {
    const COLLECTION: Collection = Collection::Triggers;
    type Summary = super::TriggerSummary;
    type Put = super::TriggerPut;
}
