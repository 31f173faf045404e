//! Names of entities and namespaces.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest name, in characters.
const NAME_MAX: usize = 256;

/// The name that no package may have: in the paths of web actions it means "no package".
pub const RESERVED_PACKAGE: &str = "default";

/// A name: 1 to 256 characters `A-Z a-z 0-9 _ @ . & - space`, of which the first is a letter,
/// digit or `_` and the last no space.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Why a text is no name. The texts are those of upstream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Characters that no name has, or none at all.
    #[error("The name of the entity contains illegal characters.")]
    Illegal,
    /// The same where a namespace stands.
    #[error("The namespace contains illegal characters.")]
    IllegalNamespace,
    /// More than 256 characters. The spelling is upstream's.
    #[error("Name segement longer than allowed: {0} > 256.")]
    TooLong(usize),
    /// `default`, for a package.
    #[error("Package name 'default' is reserved.")]
    ReservedPackage,
    /// Too many or too few parts, or an empty one.
    #[error(
        "'{0}' is no name such as /namespace/package/name, /namespace/name, package/name or name"
    )]
    Shape(String),
}

impl Name {
    /// Reads a name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let length = text.chars().count();
        if length > NAME_MAX {
            return Err(NameError::TooLong(length));
        }
        if is_name(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::Illegal)
        }
    }

    /// Reads the name of a package, which may not be `default`.
    pub fn parse_package(text: &str) -> Result<Self, NameError> {
        match text {
            RESERVED_PACKAGE => Err(NameError::ReservedPackage),
            text => Self::parse(text),
        }
    }

    /// `_`: the namespace of whoever asks.
    pub fn own_namespace() -> Self {
        Self("_".to_owned())
    }

    /// Whether it is `_`, which where a namespace stands means that of whoever asks.
    pub fn is_own_namespace(&self) -> bool {
        self.0 == "_"
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Reads the name of a namespace: the same rule with a message of its own.
pub fn check_namespace(text: &str) -> Result<Name, NameError> {
    Name::parse(text).map_err(|error| match error {
        NameError::Illegal => NameError::IllegalNamespace,
        other => other,
    })
}

fn is_name(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let within = |byte: &u8| word(*byte) || b"@ .&-".contains(byte);
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    word(*first) && *last != b' ' && bytes.iter().all(within)
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_upstream_takes() {
        let longest = "a".repeat(256);
        for text in [
            "a",
            "_",
            "9",
            "a b",
            "a@b.c&d-e_f",
            "a-",
            "a.",
            "ip-reputation",
            &longest,
        ] {
            assert_eq!(Name::parse(text).unwrap().as_str(), text);
        }
        for text in [
            "", " a", "a ", "-a", ".a", "@a", "a/b", "ä", "aä", "a\n", "a\0", "a+b", "a:b",
        ] {
            assert_eq!(Name::parse(text), Err(NameError::Illegal), "{text:?}");
        }
    }

    #[test]
    fn refusals_have_the_texts_of_upstream() {
        let text = |result: Result<Name, NameError>| result.unwrap_err().to_string();
        assert_eq!(
            text(Name::parse(&"a".repeat(257))),
            "Name segement longer than allowed: 257 > 256."
        );
        assert_eq!(
            text(Name::parse("a/b")),
            "The name of the entity contains illegal characters."
        );
        assert_eq!(
            text(check_namespace("a/b")),
            "The namespace contains illegal characters."
        );
        assert_eq!(
            text(Name::parse_package("default")),
            "Package name 'default' is reserved."
        );
        assert!(Name::parse("default").is_ok());
    }
}
