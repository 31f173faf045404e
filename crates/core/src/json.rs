//! JSON text that was checked once and is then passed on as it is.
//!
//! Payloads are kept as the bytes that came in: parsing 2 KB into a tree costs
//! seven times as much as checking it, and most payloads are only handed on.

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A JSON text known to be well-formed. Cloning is cheap.
#[derive(Clone)]
pub struct Json(Arc<RawValue>);

/// What a JSON text may measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of text.
    pub bytes: usize,
    /// Levels of nested arrays and objects.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 1024 * 1024,
            depth: 64,
        }
    }
}

/// Why a text was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More bytes than allowed.
    #[error("the JSON text has {found} bytes; at most {limit} are allowed")]
    TooLarge {
        /// Bytes of the text.
        found: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Nested deeper than allowed.
    #[error("the JSON text is nested deeper than the {limit} levels allowed")]
    TooDeep {
        /// Levels allowed.
        limit: usize,
    },
    /// Not UTF-8 or not JSON.
    #[error("not a JSON text: {0}")]
    Malformed(String),
}

impl Default for Json {
    fn default() -> Self {
        Self::null()
    }
}

impl Json {
    /// Checks bytes from outside: size, depth, UTF-8, then grammar, cheapest first.
    pub fn parse(bytes: &[u8], limits: Limits) -> Result<Self, Error> {
        if bytes.len() > limits.bytes {
            return Err(Error::TooLarge {
                found: bytes.len(),
                limit: limits.bytes,
            });
        }
        if depth(bytes) > limits.depth {
            return Err(Error::TooDeep {
                limit: limits.depth,
            });
        }
        let raw: Box<RawValue> =
            serde_json::from_slice(bytes).map_err(|error| Error::Malformed(error.to_string()))?;
        Ok(Self(raw.into()))
    }

    /// Writes any value of ours as JSON.
    pub fn from_value<T: Serialize + ?Sized>(value: &T) -> Result<Self, Error> {
        serde_json::value::to_raw_value(value)
            .map(|raw| Self(raw.into()))
            .map_err(|error| Error::Malformed(error.to_string()))
    }

    /// `null`.
    pub fn null() -> Self {
        Self(RawValue::NULL.to_owned().into())
    }

    /// `{}`.
    pub fn empty_object() -> Self {
        Self(
            RawValue::from_string("{}".to_owned())
                .map_or_else(|_| RawValue::NULL.to_owned().into(), Into::into),
        )
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// The text, shared.
    pub fn raw(&self) -> &Arc<RawValue> {
        &self.0
    }

    /// Reads the text as a value of type `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(self.as_str()).map_err(|error| Error::Malformed(error.to_string()))
    }

    /// Levels of nested arrays and objects.
    pub fn depth(&self) -> usize {
        depth(self.as_str().as_bytes())
    }

    /// Whether the text is `null`.
    pub fn is_null(&self) -> bool {
        self.as_str().trim() == "null"
    }

    /// Whether the text is an object.
    pub fn is_object(&self) -> bool {
        self.as_str().trim_start().starts_with('{')
    }
}

/// Deepest nesting of brackets outside strings. Text that is not JSON gives some
/// number too; the parser refuses it afterwards.
fn depth(bytes: &[u8]) -> usize {
    let (mut open, mut deepest) = (0usize, 0usize);
    let (mut in_string, mut escaped) = (false, false);
    for byte in bytes {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (true, b'"') => in_string = false,
            (true, _) => {}
            (false, b'"') => in_string = true,
            (false, b'[' | b'{') => {
                open += 1;
                deepest = deepest.max(open);
            }
            (false, b']' | b'}') => open = open.saturating_sub(1),
            (false, _) => {}
        }
    }
    deepest
}

impl From<Box<RawValue>> for Json {
    fn from(raw: Box<RawValue>) -> Self {
        Self(raw.into())
    }
}

impl From<&serde_json::Value> for Json {
    fn from(value: &serde_json::Value) -> Self {
        Self::from_value(value).unwrap_or_else(|_| Self::null())
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Json {}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Json {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bombs_are_refused_before_they_are_parsed() {
        let limits = Limits {
            bytes: 1 << 20,
            depth: 64,
        };
        let deep = "[".repeat(100_000);
        assert_eq!(
            Json::parse(deep.as_bytes(), limits),
            Err(Error::TooDeep { limit: 64 })
        );
        let large = vec![b' '; (1 << 20) + 1];
        assert!(matches!(
            Json::parse(&large, limits),
            Err(Error::TooLarge { .. })
        ));
    }

    #[test]
    fn brackets_within_strings_do_not_nest() {
        let text = format!("[\"{}\\\"[\"]", "[".repeat(100));
        assert!(Json::parse(text.as_bytes(), Limits::default()).is_ok());
    }

    #[test]
    fn depth_at_the_limit_is_accepted() {
        let text = format!("{}{}", "[".repeat(64), "]".repeat(64));
        assert!(Json::parse(text.as_bytes(), Limits::default()).is_ok());
    }

    #[test]
    fn text_is_kept_as_sent() {
        let json = Json::parse(br#"{"b":1.0,  "a":1e2}"#, Limits::default()).unwrap();
        assert_eq!(json.as_str(), r#"{"b":1.0,  "a":1e2}"#);
        for wrong in [&b"{"[..], b"nul", b"{} {}", b"\xff", b""] {
            assert!(Json::parse(wrong, Limits::default()).is_err());
        }
    }
}
