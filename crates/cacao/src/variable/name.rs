//! Names of variables: `__name__` (§10.18).
//!
//! The specification and its JSON Schema disagree. The text wants a letter after the first two
//! underscores and allows 250 characters in all; the schema takes an underscore there as well,
//! and stops at 204. Both are read, so that nobody's playbook is refused for the difference;
//! what only the schema allows is told apart, to be warned of.

use std::borrow::Borrow;
use std::fmt;

use thiserror::Error;

/// The most characters of a name, the four underscores included.
pub const LENGTH_MAX: usize = 250;

/// The most characters of a name that only the schema allows.
const SCHEMA_LENGTH_MAX: usize = 204;

/// A name of a variable, underscores included.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// Which of the two rules a name follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The specification's: `__`, a letter, letters, digits, `_` and `-`, `__`.
    Strict,
    /// Only the schema's: an underscore follows the first two.
    Schema,
}

/// Not a name of a variable.
#[derive(Debug, Clone, Copy, Error, PartialEq, Eq)]
pub enum Error {
    /// It does not stand between two underscores and two more.
    #[error("it does not begin and end with two underscores")]
    Underscores,
    /// There is nothing between the underscores.
    #[error("there is nothing between its underscores")]
    Empty,
    /// What follows the first two underscores is no letter.
    #[error("`{0}` follows its first two underscores, where a letter belongs")]
    First(char),
    /// A character that no name has.
    #[error("`{char}` at byte {at} is no letter, digit, `_` or `-`")]
    Character {
        /// The character.
        char: char,
        /// Its offset in bytes.
        at: usize,
    },
    /// Too many characters.
    #[error("it is {length} characters long, {limit} at most")]
    TooLong {
        /// How many there are.
        length: usize,
        /// How many there may be.
        limit: usize,
    },
}

impl Name {
    /// Reads a name in either form.
    pub fn parse(text: &str) -> Result<Self, Error> {
        form(text).map(|_| Self(text.to_owned()))
    }

    /// Which rule it follows; what is not [`Form::Strict`] deserves a warning.
    pub fn form(&self) -> Form {
        // It was read as a name, so that it has a form.
        form(&self.0).unwrap_or(Form::Schema)
    }

    /// The name as it is written, underscores included.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Lets a map of names be asked with text.
impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The characters that a name consists of.
pub(crate) const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// Which form a text has as a name.
pub(crate) fn form(text: &str) -> Result<Form, Error> {
    let odd = || {
        text.char_indices()
            .find(|(_, char)| !u8::try_from(*char).is_ok_and(is_name_byte))
    };
    match form_of_run(text) {
        Err(Error::Underscores) => Err(Error::Underscores),
        form => odd().map_or(form, |(at, char)| Err(Error::Character { char, at })),
    }
}

/// Which form a text has as a name, if all of its characters are those of names. Looks at a
/// few of them only.
pub(super) fn form_of_run(text: &str) -> Result<Form, Error> {
    let inner = text
        .strip_prefix("__")
        .and_then(|rest| rest.strip_suffix("__"))
        .ok_or(Error::Underscores)?;
    let (form, limit) = match inner.chars().next() {
        None => return Err(Error::Empty),
        Some('a'..='z' | 'A'..='Z') => (Form::Strict, LENGTH_MAX),
        Some('_') => (Form::Schema, SCHEMA_LENGTH_MAX),
        Some(other) => return Err(Error::First(other)),
    };
    if text.len() > limit {
        return Err(Error::TooLong {
            length: text.len(),
            limit,
        });
    }
    Ok(form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_told_apart() {
        let of = |text: &str| Name::parse(text).map(|name| name.form());
        assert_eq!(of("__a__"), Ok(Form::Strict));
        assert_eq!(of("__data-exfil_Site-2__"), Ok(Form::Strict));
        assert_eq!(of(&format!("__{}__", "a".repeat(246))), Ok(Form::Strict));
        assert_eq!(of("___a__"), Ok(Form::Schema));
        assert_eq!(of("_____"), Ok(Form::Schema));
        assert_eq!(of(&format!("___{}__", "a".repeat(199))), Ok(Form::Schema));
    }

    #[test]
    fn what_is_no_name_is_told_by_its_fault() {
        let of = |text: &str| Name::parse(text).expect_err(text);
        for text in ["", "a", "__a_", "_a__", "___", "__", "a__b__"] {
            assert_eq!(of(text), Error::Underscores, "{text}");
        }
        assert_eq!(of("____"), Error::Empty);
        assert_eq!(of("__2nd__"), Error::First('2'));
        assert_eq!(of("__-a__"), Error::First('-'));
        assert_eq!(of("__a b__"), Error::Character { char: ' ', at: 3 });
        assert_eq!(of("__é__"), Error::Character { char: 'é', at: 2 });
        let long = |middle: usize, limit| Error::TooLong {
            length: middle + 4,
            limit,
        };
        assert_eq!(of(&format!("__{}__", "a".repeat(247))), long(247, 250));
        assert_eq!(of(&format!("___{}__", "a".repeat(200))), long(201, 204));
    }
}
