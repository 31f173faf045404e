//! Everything that can be wrong with a document, each thing with a code of its own.
//!
//! The checks look at the JSON value, not at typed objects: what is malformed in one place
//! must not hide what is wrong in another. A check that cannot see what it needs, because
//! that is missing or malformed, keeps silent: the structural checks have said so.

mod arguments;
mod branches;
pub mod codes;
mod commands;
mod conditions;
mod extensions;
mod flow;
mod identity;
mod lapse;
mod layout;
mod limits;
mod markings;
mod metadata;
mod parties;
mod references;
mod said;
mod scopes;
mod signatures;
mod structure;
mod surroundings;
mod texts;
mod variables;
mod view;

use serde_json::Value;

pub use self::codes::{Check, Level};
pub use self::limits::{FINDINGS_MAX, LEVELS_MAX, PATTERNS_MAX, SHARED_MAX};
use self::said::Said;
pub use self::surroundings::{Compare, Examine, Flaw, Known, LookUp, Mismatch, Surroundings};
use self::view::View;
use crate::{Document, Finding, Profile};

impl Document {
    /// All that is wrong with the document under a profile, in the order of the text.
    ///
    /// ```
    /// use conche_cacao::{Document, Profile};
    ///
    /// let document = Document::parse(br#"{"type": "playbook", "name": 7}"#)?;
    /// let findings = document.check(Profile::Standard);
    /// let name = findings.iter().find(|finding| finding.pointer == "/name").expect("a finding");
    /// assert_eq!(name.code, "CACAO003");
    /// assert_eq!(name.place.map(|place| place.column), Some(22));
    /// # Ok::<(), conche_cacao::json::Error>(())
    /// ```
    pub fn check(&self, profile: Profile) -> Vec<Finding> {
        self.check_within(profile, &Surroundings::default())
    }

    /// All that is wrong with the document under a profile, given what is around it.
    pub fn check_within(&self, profile: Profile, around: &Surroundings<'_>) -> Vec<Finding> {
        let mut said = Said::new(profile, around.commands);
        structure::check(self.value(), &mut said);
        let view = View::of(self.value());
        identity::check(&view, around, &mut said);
        metadata::check(&view, &mut said);
        references::check(&view, around, &mut said);
        flow::check(&view, &mut said);
        commands::check(&view, around, &mut said);
        parties::check(&view, &mut said);
        markings::check(&view, around, &mut said);
        extensions::check(&view, around, &mut said);
        layout::check(&view, &mut said);
        variables::check(&view, &mut said);
        signatures::check(&view, around, &mut said);
        said.into_findings(self.text())
    }
}

/// What the processing summary of a playbook should say (§10.14): each property, and whether
/// it is so.
pub fn processing_summary(document: &Value) -> Vec<(&'static str, bool)> {
    let view = View::of(document);
    document
        .as_object()
        .map_or_else(Vec::new, |playbook| metadata::features(&view, playbook))
}
