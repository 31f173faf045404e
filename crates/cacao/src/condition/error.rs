//! Why a text is no condition.

use thiserror::Error;

use super::pattern::Fault;
use crate::variable::name;

/// Why a text is no condition. Places are offsets in bytes.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "`at` is where, and the rest is in the message")]
pub enum Error {
    /// The text is longer than the limit.
    #[error("the condition is {length} bytes long; at most {limit} are read")]
    TooLong { length: usize, limit: usize },
    /// Too many parentheses within each other.
    #[error("more than {limit} parentheses are within each other (byte {at})")]
    TooDeep { limit: usize, at: usize },
    /// Too many patterns.
    #[error("there are more than {limit} patterns (byte {at})")]
    Patterns { limit: usize, at: usize },
    /// A character that has no meaning here.
    #[error("`{char}` means nothing here (byte {at})")]
    Character { char: char, at: usize },
    /// Text or a comment that has no end.
    #[error("{what} has no end (byte {at})")]
    NoEnd { what: &'static str, at: usize },
    /// A backslash before something that needs none.
    #[error(
        "`\\{char}` in text: a backslash stands before ' or \\ only; write `\\\\` for one (byte {at})"
    )]
    Escape { char: char, at: usize },
    /// A literal whose content is not of its kind.
    #[error("'{text}' is no {wanted} (byte {at})")]
    Literal {
        wanted: &'static str,
        text: String,
        at: usize,
    },
    /// Something else than what belongs there.
    #[error("{found} stands where {wanted} belongs (byte {at})")]
    Expected {
        wanted: &'static str,
        found: String,
        at: usize,
    },
    /// What stands in the place of a variable's name is none.
    #[error("`{text}` is no name of a variable: {source} (byte {at})")]
    Name {
        text: String,
        source: name::Error,
        at: usize,
    },
    /// A variable without `:value`, or with another property or path.
    #[error("`{name}` needs `:value` behind it and nothing more (byte {at})")]
    Property { name: String, at: usize },
    /// An operator on observations, of which variables have none.
    #[error("`{word}` is about observations over time, which variables are not (byte {at})")]
    Observation { word: String, at: usize },
    /// A keyword in small letters.
    #[error("`{word}` is a keyword and written in capitals (byte {at})")]
    KeywordCase { word: String, at: usize },
    /// A value that is neither a number, true, false nor in quotes.
    #[error("`{text}` is no literal: text stands in single quotes (byte {at})")]
    Unquoted { text: String, at: usize },
    /// What only [`Dialect::Bare`](super::Dialect::Bare) has.
    #[error("{what} is not of STIX (byte {at})")]
    NotStix { what: &'static str, at: usize },
    /// A pattern that cannot be used.
    #[error("this is no pattern: {source} (byte {at})")]
    Pattern { source: Fault, at: usize },
    /// What is compared with as a block of addresses is none.
    #[error("\"{text}\" is no address and no block of addresses (byte {at})")]
    Address { text: String, at: usize },
}

impl Error {
    /// Where it is in the text, in bytes.
    pub const fn at(&self) -> usize {
        match self {
            Self::TooLong { limit, .. } => *limit,
            Self::TooDeep { at, .. }
            | Self::Patterns { at, .. }
            | Self::Character { at, .. }
            | Self::NoEnd { at, .. }
            | Self::Escape { at, .. }
            | Self::Literal { at, .. }
            | Self::Expected { at, .. }
            | Self::Name { at, .. }
            | Self::Property { at, .. }
            | Self::Observation { at, .. }
            | Self::KeywordCase { at, .. }
            | Self::Unquoted { at, .. }
            | Self::NotStix { at, .. }
            | Self::Pattern { at, .. }
            | Self::Address { at, .. } => *at,
        }
    }
}
