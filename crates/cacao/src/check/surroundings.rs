//! What a check may know of the world around the document.

use jiff::Timestamp;
use serde_json::Value;

use crate::pointer::Pointer;

/// What is known of a playbook that a step runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// There is such a playbook, and the version that is asked for.
    Yes,
    /// There is such a playbook, and not that version.
    OtherVersion,
    /// There is no such playbook.
    No,
}

/// Looks a playbook up by its identifier and, where one is asked for, its version.
pub type LookUp<'a> = &'a dyn Fn(&str, Option<&str>) -> Known;

/// One thing that the schema of an extension does not allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Where it stands within what stands in the extension.
    pub at: Pointer,
    /// What is wrong, in a sentence without its full stop.
    pub message: String,
    /// What to do about it, such as which part of the schema to look at.
    pub help: String,
}

/// Holds what stands in an extension against the schema of its definition, by the identifier
/// of the definition. Finds nothing where no such schema is at hand.
///
/// What stands there is anybody's: the work must be in proportion to its length, and of more
/// than [`FINDINGS_MAX`](super::FINDINGS_MAX) mismatches the others need not be given.
pub type Compare<'a> = &'a dyn Fn(&str, &Value) -> Vec<Mismatch>;

/// What is around the document. What is not given is not checked.
#[derive(Clone, Copy, Default)]
pub struct Surroundings<'a> {
    /// The time at which the document is to be valid.
    pub now: Option<Timestamp>,
    /// The playbooks at hand.
    pub playbooks: Option<LookUp<'a>>,
    /// Types of commands that are known beside those of the specification.
    pub commands: &'a [&'a str],
    /// The schemas of extensions at hand.
    pub extensions: Option<Compare<'a>>,
}
