//! What a check may know of the world around the document.

use jiff::Timestamp;

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

/// What is around the document. What is not given is not checked.
#[derive(Clone, Copy, Default)]
pub struct Surroundings<'a> {
    /// The time at which the document is to be valid.
    pub now: Option<Timestamp>,
    /// The playbooks at hand.
    pub playbooks: Option<LookUp<'a>>,
    /// Types of commands that are known beside those of the specification.
    pub commands: &'a [&'a str],
}
