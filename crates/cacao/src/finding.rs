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

/// Whether a character controls how text is shown rather than being shown: terminals obey some,
/// and others make a text look like another.
pub fn is_hidden(char: char) -> bool {
    char.is_control()
        || matches!(
            char,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
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
            let hidden = |char: char| is_hidden(char).then(|| char.escape_unicode());
            f.write_str(" (")?;
            for char in self.pointer.chars() {
                match hidden(char) {
                    Some(escaped) => write!(f, "{escaped}")?,
                    None => write!(f, "{char}")?,
                }
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}
