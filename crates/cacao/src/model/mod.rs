//! The typed view of a playbook: what a program works with.
//!
//! Reading loses nothing that is valid: what CACAO does not know is kept in `other`, words of
//! open vocabularies are kept as they are, times and identifiers stay the text that they were,
//! and writing gives the JSON value that was read. Objects that come in several types are one
//! struct with the properties of all of them: which belong to which is in [`crate::shape`],
//! and [`Step::work`] tells steps apart for those who execute.

#[macro_use]
mod object;
mod command;
mod marking;
mod party;
mod playbook;
mod step;
mod variable;

use serde_json::{Map, Value};
use thiserror::Error;

pub use self::command::Command;
pub use self::marking::{ExtensionDefinition, Marking, Signature};
pub use self::object::Dictionary;
pub use self::party::{Address, AuthenticationInfo, CivicLocation, Contact, Party};
pub use self::playbook::{ExternalReference, Playbook, ProcessingSummary};
pub use self::step::{Step, Work};
pub use self::variable::Variable;
use crate::Document;

/// Properties that CACAO does not know.
pub type Other = Map<String, Value>;

/// A document that cannot be read as a playbook. [`Document::check`] says it better, and
/// everything at once.
#[derive(Debug, Error)]
#[error("this cannot be read as a playbook: {0}")]
pub struct NotAPlaybook(#[from] serde_json::Error);

impl Document {
    /// The typed view of the document.
    ///
    /// ```
    /// use conche_cacao::Document;
    ///
    /// let text = br#"{
    ///   "type": "playbook", "spec_version": "cacao-2.0",
    ///   "id": "playbook--0b6a8a5e-7f43-4c57-9d0a-3c3f7a1c9b10", "name": "Nothing yet",
    ///   "created_by": "identity--9d1f1d1c-6a2e-4b69-8f0e-3f6a2b7c8d90",
    ///   "created": "2026-03-01T08:00:00.000Z", "modified": "2026-03-01T08:00:00.000Z",
    ///   "workflow_start": "start--6cf8f26c-7b23-4f3c-8a3f-93be1f35a9ab", "workflow": {},
    ///   "x_ticket": 7
    /// }"#;
    /// let playbook = Document::parse(text)?.playbook()?;
    /// assert_eq!(playbook.name, "Nothing yet");
    /// assert_eq!(playbook.other["x_ticket"], 7, "kept, though nobody knows it");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn playbook(&self) -> Result<Playbook, NotAPlaybook> {
        Ok(serde::Deserialize::deserialize(self.value())?)
    }
}

impl Playbook {
    /// The document that the playbook is.
    pub fn to_document(&self) -> Result<Document, NotAPlaybook> {
        Ok(Document::of(serde_json::to_value(self)?))
    }
}
