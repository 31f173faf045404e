//! On whose behalf something is changed, and whether that is recorded with the change.

use conche_store::Act;

/// Who changes something.
#[derive(Debug, Clone)]
pub struct By {
    /// The name, as it stands in a run's journal.
    pub(crate) name: String,
    /// What the store keeps of it in the same transaction; none for what no person does.
    pub(crate) act: Option<Act>,
}

impl By {
    /// Somebody whose act is recorded.
    pub fn recorded(act: Act) -> Self {
        Self {
            name: act.who.name.clone(),
            act: Some(act),
        }
    }
}

impl From<&str> for By {
    fn from(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            act: None,
        }
    }
}
