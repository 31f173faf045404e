//! How much is checked of one document.
//!
//! A document comes from anybody, and what refers to the same thing many times is small and
//! yet much to look at. With these limits the work grows as the document does, and no faster.

/// How many findings of each severity are listed; of more, it is said how many there are.
pub const FINDINGS_MAX: usize = 1000;

/// How many branches may be within each other.
pub const LEVELS_MAX: usize = 64;

/// How many patterns (`LIKE`, `MATCHES`) the conditions of a playbook may have: each has to be
/// compiled to be checked.
pub const PATTERNS_MAX: usize = 100;

/// How many bytes of agents, targets and credentials are looked at for references, counted for
/// each step that uses them.
pub const SHARED_MAX: usize = 4 << 20;
