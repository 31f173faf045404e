//! How strictly a document is judged.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What a finding means depends on who asks; see [`crate::check::codes`] for each check.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Takes what others write: OASIS's own examples, and what SOARCA and Roaster export.
    Lenient,
    /// What can be executed as its author meant it. The default.
    #[default]
    Standard,
    /// The specification to the letter.
    Strict,
}

/// Not the name of a profile.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[error("`{0}` is no profile; there are lenient, standard and strict")]
pub struct NoSuchProfile(pub String);

impl FromStr for Profile {
    type Err = NoSuchProfile;

    fn from_str(text: &str) -> Result<Self, NoSuchProfile> {
        match text {
            "lenient" => Ok(Self::Lenient),
            "standard" => Ok(Self::Standard),
            "strict" => Ok(Self::Strict),
            other => Err(NoSuchProfile(other.to_owned())),
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lenient => "lenient",
            Self::Standard => "standard",
            Self::Strict => "strict",
        })
    }
}
