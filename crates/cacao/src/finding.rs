//! What a check has to say about a document.

use std::fmt;

use serde::Serialize;

use crate::place::Place;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The document is not valid under the profile.
    Error,
    /// The document is valid, and probably not what its author meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One thing that is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which check found it: stable, explained by a page of its own.
    pub code: &'static str,
    /// What it weighs under the profile that was asked for.
    pub severity: Severity,
    /// Where, as a JSON Pointer (RFC 6901).
    pub pointer: String,
    /// Where in the text, if the document was read from one.
    #[serde(flatten)]
    pub place: Option<Place>,
    /// What is wrong: one sentence with the values at hand.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = self.place {
            write!(f, "{}:{}: ", place.line, place.column)?;
        }
        write!(f, "{}: {}: {}", self.severity, self.code, self.message)?;
        if !self.pointer.is_empty() {
            write!(f, " ({})", self.pointer)?;
        }
        Ok(())
    }
}
