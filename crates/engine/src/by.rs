//! On whose behalf something is changed, and whether that is recorded with the change.

use conche_core::run::Person;
use conche_store::Act;

/// Who changes something.
#[derive(Debug, Clone)]
pub struct By {
    /// The name, as it stands in a run's journal.
    pub(crate) name: String,
    /// What tells them from everybody else; none where nobody knows who it is.
    pub(crate) identity: Option<String>,
    /// What the store keeps of it in the same transaction; none for what no person does.
    pub(crate) act: Option<Act>,
}

impl By {
    /// Somebody whose act is recorded.
    pub fn recorded(act: Act) -> Self {
        Self {
            name: act.who.name.clone(),
            identity: None,
            act: Some(act),
        }
    }

    /// The same, where it is known who that is.
    #[must_use]
    pub fn known_as(self, identity: Option<String>) -> Self {
        Self { identity, ..self }
    }

    /// As far as it is known who they are.
    pub(crate) fn person(&self) -> Person {
        Person {
            name: self.name.clone(),
            identity: self.identity.clone(),
        }
    }
}

impl From<&str> for By {
    fn from(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            identity: None,
            act: None,
        }
    }
}
