//! Small forms that several objects share.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Properties that a type does not know, in the order in which they came.
pub type Other = Map<String, Value>;

/// The answer to `?count=true`: one member, named after the collection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Count(pub std::collections::BTreeMap<String, u64>);

impl Count {
    /// The count of one collection.
    pub fn of(collection: super::Collection, count: u64) -> Self {
        Self([(collection.as_str().to_owned(), count)].into())
    }

    /// How many there are.
    pub fn count(&self) -> Option<u64> {
        self.0.values().next().copied()
    }
}
