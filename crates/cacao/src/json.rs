//! Strict reading of JSON: what a signed document may be made of, and nothing else.
//!
//! Canonicalisation (RFC 8785), and with it every signature, is defined for I-JSON (RFC 7493)
//! only: names that occur once, numbers that every reader takes for the same number, text of
//! real characters. A document that is anything else means different things to different
//! readers, so it is refused here, once, before anything looks at it.

use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use thiserror::Error;

use crate::pointer::{Key, Pointer};

/// The largest integer that every reader of JSON takes for the same number: 2^53 - 1.
const INTEGER_MAX: u64 = (1 << 53) - 1;

/// What some editors put before a text, and JSON has no place for (RFC 8259 §8.1).
const BYTE_ORDER_MARK: char = '\u{feff}';

/// The longest name of a member, in bytes. CACAO's own names and keys have at most 250; what is
/// said about what is within a member repeats its name.
pub const NAME_MAX: usize = 1024;

/// How large and how deep a document may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Length of the text in bytes.
    pub bytes: usize,
    /// Objects and arrays within each other.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 16 << 20,
            depth: 64,
        }
    }
}

/// Why a text is not taken as a document.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum Error {
    /// The text is longer than the limit.
    #[error("the document is {length} bytes long; at most {limit} are read")]
    TooLong {
        /// Length of the text in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The bytes are not UTF-8.
    #[error("the document is not UTF-8: byte {offset} does not belong there")]
    NotUtf8 {
        /// Where the first such byte is, from 0.
        offset: usize,
    },
    /// The text is not JSON, or not I-JSON.
    #[error("{message} (line {line}, column {column})")]
    NotIJson {
        /// What is wrong, in one sentence.
        message: String,
        /// The value being read.
        pointer: Pointer,
        /// Line, from 1.
        line: usize,
        /// Column, from 1; 0 at a line's end.
        column: usize,
    },
}

/// Reads bytes as I-JSON.
pub fn read(bytes: &[u8], limits: Limits) -> Result<Value, Error> {
    if bytes.len() > limits.bytes {
        return Err(Error::TooLong {
            length: bytes.len(),
            limit: limits.bytes,
        });
    }
    let text = str::from_utf8(bytes).map_err(|error| Error::NotUtf8 {
        offset: error.valid_up_to(),
    })?;
    if text.starts_with(BYTE_ORDER_MARK) {
        return Err(Error::NotIJson {
            message: "it begins with a byte order mark; save it as UTF-8 without one".to_owned(),
            pointer: Pointer::top(),
            line: 1,
            column: 1,
        });
    }
    let mut path = Vec::new();
    let mut reader = serde_json::Deserializer::from_str(text);
    let strict = Strict {
        path: &mut path,
        depth: limits.depth,
    };
    let read = strict
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value));
    read.map_err(|error| {
        let text = error.to_string();
        let message = text
            .rsplit_once(" at line ")
            .map_or(text.as_str(), |(message, _)| message);
        Error::NotIJson {
            message: message.to_owned(),
            pointer: Pointer::of(path),
            line: error.line(),
            column: error.column(),
        }
    })
}

/// Reads one value, and keeps track of where it stands: after an error, `path` is its place.
struct Strict<'a> {
    path: &'a mut Vec<Key>,
    depth: usize,
}

impl Strict<'_> {
    fn deeper(&mut self, key: Key) -> Strict<'_> {
        self.path.push(key);
        Strict {
            path: self.path,
            depth: self.depth,
        }
    }

    fn enter<E: de::Error>(&mut self) -> Result<(), E> {
        self.depth = self
            .depth
            .checked_sub(1)
            .ok_or_else(|| E::custom("objects and arrays are nested too deeply"))?;
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        if value > INTEGER_MAX {
            return Err(too_exact(value));
        }
        Ok(value.into())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        if value.unsigned_abs() > INTEGER_MAX {
            return Err(too_exact(value));
        }
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        // What is written with more digits than a double holds arrives here as well.
        if value.fract() == 0.0 && value.abs() > INTEGER_MAX as f64 {
            return Err(too_exact(value));
        }
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| too_exact(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        real_characters(value)?;
        Ok(value.into())
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Value, E> {
        real_characters(&value)?;
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        self.enter()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self.deeper(Key::Index(list.len())))? {
            self.path.pop();
            list.push(item);
        }
        self.path.pop();
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Value, A::Error> {
        self.enter()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if name.len() > NAME_MAX {
                let length = name.len();
                return Err(de::Error::custom(format!(
                    "a name is {length} bytes long; at most {NAME_MAX} are read"
                )));
            }
            real_characters(&name)?;
            let inner = self.deeper(Key::Name(name.clone()));
            if object.contains_key(&name) {
                return Err(de::Error::custom(format!(
                    "the name `{name}` occurs twice in one object"
                )));
            }
            let value = members.next_value_seed(inner)?;
            self.path.pop();
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

fn too_exact<E: de::Error>(number: impl fmt::Display) -> E {
    E::custom(format!(
        "the number {number} is not the same to every reader (I-JSON goes to 2^53 - 1); write it as text"
    ))
}

/// I-JSON text holds no code points that are set aside for ever (RFC 7493 §2.1).
fn real_characters<E: de::Error>(text: &str) -> Result<(), E> {
    let odd = text.chars().find(|char| {
        matches!(u32::from(*char), 0xFDD0..=0xFDEF) || u32::from(*char) & 0xFFFE == 0xFFFE
    });
    odd.map_or(Ok(()), |char| {
        Err(E::custom(format!(
            "U+{:04X} is not a character and may not stand in a document",
            u32::from(char)
        )))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(text: &str) -> (String, String) {
        match read(text.as_bytes(), Limits::default()) {
            Err(Error::NotIJson {
                message, pointer, ..
            }) => (message, pointer.to_string()),
            other => panic!("{text} gave {other:?}"),
        }
    }

    #[test]
    fn what_is_read_is_what_was_written() {
        let text = r#"{"b":[1,-2,0.5,"é",null,true,{}],"a":9007199254740991}"#;
        let value = read(text.as_bytes(), Limits::default()).expect("I-JSON");
        assert_eq!(
            value,
            json!({"b":[1,-2,0.5,"é",null,true,{}],"a":9_007_199_254_740_991_u64})
        );
        assert_eq!(
            value.to_string(),
            text,
            "in the order in which it was written"
        );
    }

    #[test]
    fn a_name_that_occurs_twice_is_refused_where_it_stands() {
        let (message, pointer) = refused(r#"{"a":[{"b":1},{"c":1,"c":2}]}"#);
        assert_eq!(message, "the name `c` occurs twice in one object");
        assert_eq!(pointer, "/a/1/c");
    }

    #[test]
    fn numbers_that_readers_disagree_about_are_refused() {
        for number in [
            "9007199254740992",
            "-9007199254740992",
            "1e400",
            "99999999999999999999",
        ] {
            refused(&format!(r#"{{"n":{number}}}"#));
        }
    }

    #[test]
    fn lone_surrogates_and_noncharacters_are_refused() {
        assert!(read(br#"["\ud800"]"#, Limits::default()).is_err());
        let (message, pointer) = refused(r#"["\uffff"]"#);
        assert!(message.starts_with("U+FFFF"), "{message}");
        assert_eq!(pointer, "/0");
    }

    #[test]
    fn depth_and_length_have_limits() {
        let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
        assert!(refused(&deep).0.contains("nested too deeply"));
        let limits = Limits { bytes: 3, depth: 1 };
        assert_eq!(
            read(b"[  1]", limits),
            Err(Error::TooLong {
                length: 5,
                limit: 3
            })
        );
        assert_eq!(
            read(b"[\xff]", Limits::default()),
            Err(Error::NotUtf8 { offset: 1 })
        );
    }

    #[test]
    fn names_have_a_limit() {
        let named = |length: usize| format!("{{\"{}\": [7]}}", "n".repeat(length));
        assert!(read(named(NAME_MAX).as_bytes(), Limits::default()).is_ok());
        let (message, pointer) = refused(&named(NAME_MAX + 1));
        assert_eq!(message, "a name is 1025 bytes long; at most 1024 are read");
        assert_eq!(pointer, "", "it is not repeated");
    }

    #[test]
    fn a_byte_order_mark_is_told_as_such() {
        let (message, pointer) = refused("\u{feff}{}");
        assert_eq!(pointer, "");
        assert!(message.contains("byte order mark"), "{message}");
    }

    #[test]
    fn text_after_the_document_is_refused() {
        assert!(read(b"{} {}", Limits::default()).is_err());
    }
}
