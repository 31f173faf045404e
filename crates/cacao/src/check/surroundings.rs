//! What a check may know of the world around the document.

use std::fmt;

use jiff::Timestamp;
use serde_json::Value;

use super::codes;
use crate::{Finding, Pointer, Severity};

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

/// One thing that is wrong with a command of a type that is not of the specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// Where in the command.
    pub pointer: Pointer,
    /// Whether the command can't be carried out so.
    pub is_error: bool,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

impl Flaw {
    /// The same as a finding about a command that stands alone.
    pub fn finding(&self) -> Finding {
        let (check, severity) = if self.is_error {
            (&codes::OWN_COMMAND, Severity::Error)
        } else {
            (&codes::ODD_OWN_COMMAND, Severity::Warning)
        };
        Finding {
            code: check.code,
            severity,
            pointer: self.pointer.to_string(),
            place: None,
            message: self.message.clone(),
            help: self.help.clone(),
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pointer = self.pointer.to_string();
        if !pointer.is_empty() {
            write!(f, "{pointer}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// Says what is wrong with a command of a type that is not of the specification.
pub type Examine<'a> = &'a dyn Fn(&Value) -> Vec<Flaw>;

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
    /// Looks into commands of those types.
    pub examine: Option<Examine<'a>>,
}
