//! Types of variables (§10.18.4): which texts each takes for a value.

use std::fmt;
use std::net::IpAddr;

use thiserror::Error;
use uuid::Uuid;

use super::address::Address;
use super::number::Number;
use super::uri;
use super::value::Value;

/// A type of variables.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the word of the vocabulary")]
pub enum Type {
    Bool,
    Dictionary,
    Float,
    HexString,
    Integer,
    Ipv4,
    Ipv6,
    Long,
    Mac,
    Hash,
    Md5,
    Sha256,
    String,
    Uri,
    Uuid,
    /// A word that only its author knows; its values are read as text.
    Other(String),
}

/// The words of the specification.
const WORDS: [(&str, Type); 15] = [
    ("bool", Type::Bool),
    ("dictionary", Type::Dictionary),
    ("float", Type::Float),
    ("hexstring", Type::HexString),
    ("integer", Type::Integer),
    ("ipv4-addr", Type::Ipv4),
    ("ipv6-addr", Type::Ipv6),
    ("long", Type::Long),
    ("mac-addr", Type::Mac),
    ("hash", Type::Hash),
    ("md5-hash", Type::Md5),
    ("sha256-hash", Type::Sha256),
    ("string", Type::String),
    ("uri", Type::Uri),
    ("uuid", Type::Uuid),
];

/// Lengths of hashes in hexadecimal digits: MD5, SHA-1, SHA-224, SHA-256, SHA-384, SHA-512.
const HASH_LENGTHS: [usize; 6] = [32, 40, 56, 64, 96, 128];

/// Why a text is no value of a type.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum Error {
    /// It has not the form of the type's values.
    #[error("\"{text}\" is no value of type {kind}: {wanted}")]
    Form {
        /// The type.
        kind: Type,
        /// The text, cut where it is long.
        text: String,
        /// What the type's values look like.
        wanted: &'static str,
    },
    /// A number that the type has no room for.
    #[error("{text} is out of the range of type {kind}")]
    Range {
        /// The type.
        kind: Type,
        /// The number, cut where it is long.
        text: String,
    },
    /// A JSON value of a kind that the type is never made of.
    #[error("{found} stands where a value of type {kind} belongs")]
    Json {
        /// The type.
        kind: Type,
        /// What stands there, such as `a list`.
        found: &'static str,
    },
}

/// What is unusual about a text that is a value all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// A block of addresses, where the specification speaks of an address.
    Block,
    /// An odd number of hexadecimal digits.
    OddDigits,
    /// The address is not written as RFC 5952 says.
    NotNormal,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Block => "it is a block of addresses, and the type is for one address",
            Self::OddDigits => "it has an odd number of hexadecimal digits",
            Self::NotNormal => "it is not written as RFC 5952 says",
        })
    }
}

impl Type {
    /// The type of a word: [`Type::Other`] where the specification has no such word.
    pub fn of(word: &str) -> Self {
        let known = WORDS.iter().find(|(known, _)| *known == word);
        known.map_or_else(|| Self::Other(word.to_owned()), |(_, kind)| kind.clone())
    }

    /// The word for it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Other(word) => word,
            known => WORDS
                .iter()
                .find(|(_, kind)| kind == known)
                .map_or("", |(word, _)| word),
        }
    }

    /// Whether its values are numbers.
    pub const fn is_number(&self) -> bool {
        matches!(self, Self::Integer | Self::Long | Self::Float)
    }

    /// Whether its values are addresses of the Internet Protocol.
    pub const fn is_address(&self) -> bool {
        matches!(self, Self::Ipv4 | Self::Ipv6)
    }

    /// Whether its values are any text.
    pub const fn is_text(&self) -> bool {
        matches!(self, Self::String | Self::Other(_))
    }

    /// Whether capital letters mean what small ones do in its values.
    pub const fn ignores_case(&self) -> bool {
        matches!(
            self,
            Self::HexString
                | Self::Hash
                | Self::Md5
                | Self::Sha256
                | Self::Mac
                | Self::Uuid
                | Self::Ipv6
        )
    }

    /// Reads a value as CACAO writes it. No text at all is a value of every type: known to be
    /// empty.
    pub fn parse(&self, text: &str) -> Result<Value, Error> {
        if text.is_empty() && !self.is_text() {
            return Ok(Value::Empty);
        }
        let read = match self {
            Self::Bool => text.parse().ok().map(Value::Bool),
            Self::Dictionary => crate::json::read(text.as_bytes(), crate::json::Limits::default())
                .ok()
                .and_then(|value| match value {
                    serde_json::Value::Object(members) => Some(Value::Dictionary(members)),
                    _ => None,
                }),
            Self::Float => return self.float(text),
            Self::Integer | Self::Long => return self.whole(text),
            Self::HexString => text
                .strip_prefix("0x")
                .filter(|digits| !digits.is_empty() && is_hex(digits))
                .map(|digits| Value::HexString(digits.to_ascii_lowercase())),
            Self::Ipv4 | Self::Ipv6 => self.address(text),
            Self::Mac => mac(text).map(Value::Mac),
            Self::Hash => hash(text, &HASH_LENGTHS),
            Self::Md5 => hash(text, &[32]),
            Self::Sha256 => hash(text, &[64]),
            Self::Uri => uri::is_uri(text).then(|| Value::Uri(text.to_owned())),
            // `Uuid` reads other forms too: braces, URNs, without hyphens.
            Self::Uuid => (text.len() == 36)
                .then(|| Uuid::try_parse(text).ok().map(Value::Uuid))
                .flatten(),
            Self::String | Self::Other(_) => Some(Value::Text(text.to_owned())),
        };
        read.ok_or_else(|| self.form_error(text))
    }

    /// What is unusual about a text that [`parse`](Self::parse) takes.
    pub fn doubt(&self, text: &str) -> Option<Doubt> {
        match self {
            Self::Ipv4 | Self::Ipv6 => match Address::parse(text)? {
                Address {
                    prefix: Some(_), ..
                } => Some(Doubt::Block),
                single => (single.to_string() != text).then_some(Doubt::NotNormal),
            },
            Self::HexString => (text.len() % 2 == 1).then_some(Doubt::OddDigits),
            _ => None,
        }
    }

    /// Takes a JSON value, such as the result of a command; null is no value.
    pub fn from_json(&self, json: &serde_json::Value) -> Result<Option<Value>, Error> {
        use serde_json::Value as Json;
        let found = match json {
            Json::Null => return Ok(None),
            Json::String(text) => return self.parse(text).map(Some),
            Json::Object(members) if *self == Self::Dictionary => {
                return Ok(Some(Value::Dictionary(members.clone())));
            }
            scalar_or_tree if self.is_text() => {
                return Ok(Some(Value::Text(scalar_or_tree.to_string())));
            }
            Json::Bool(value) if *self == Self::Bool => return Ok(Some(Value::Bool(*value))),
            Json::Number(number) if self.is_number() => {
                return self.number(number).map(Some);
            }
            Json::Bool(_) => "a boolean",
            Json::Number(_) => "a number",
            Json::Array(_) => "a list",
            Json::Object(_) => "an object",
        };
        Err(Error::Json {
            kind: self.clone(),
            found,
        })
    }

    /// Any JSON number; `5.0` and `5e0` are the whole number 5.
    fn number(&self, number: &serde_json::Number) -> Result<Value, Error> {
        let text = number.to_string();
        if *self == Self::Float {
            return self.float(&text);
        }
        // A double prints all of its digits, and no point where nothing follows.
        let digits = number.as_f64().filter(|_| number.is_f64());
        self.whole(&digits.map_or(text, |float| float.to_string()))
    }

    fn whole(&self, text: &str) -> Result<Value, Error> {
        let number = Number::parse(text).filter(|_| !text.contains('.'));
        let number = number.ok_or_else(|| self.form_error(text))?;
        if *self == Self::Integer && number.to_i64().is_none() {
            return Err(self.range_error(text));
        }
        Ok(Value::Integer(number))
    }

    fn float(&self, text: &str) -> Result<Value, Error> {
        // `inf`, `nan` and the like are words to Rust.
        let digits = text.bytes().any(|byte| byte.is_ascii_digit());
        let float: f64 = text
            .parse()
            .ok()
            .filter(|_| digits)
            .ok_or_else(|| self.form_error(text))?;
        if !float.is_finite() {
            return Err(self.range_error(text));
        }
        // There is one zero.
        Ok(Value::Float(float + 0.0))
    }

    fn address(&self, text: &str) -> Option<Value> {
        let address = Address::parse(text)?;
        let right = match address.ip {
            IpAddr::V4(_) => *self == Self::Ipv4,
            IpAddr::V6(_) => *self == Self::Ipv6,
        };
        right.then_some(Value::Address(address))
    }

    fn form_error(&self, text: &str) -> Error {
        Error::Form {
            kind: self.clone(),
            text: cut(text),
            wanted: self.form(),
        }
    }

    fn range_error(&self, text: &str) -> Error {
        Error::Range {
            kind: self.clone(),
            text: cut(text),
        }
    }

    /// What its values look like.
    const fn form(&self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Dictionary => "a JSON object",
            Self::Float => "a decimal number",
            Self::HexString => "0x and hexadecimal digits",
            Self::Integer | Self::Long => "a whole number",
            Self::Ipv4 => "four numbers with dots",
            Self::Ipv6 => "an IPv6 address",
            Self::Mac => "six pairs of hexadecimal digits with colons",
            Self::Hash => "32, 40, 56, 64, 96 or 128 hexadecimal digits",
            Self::Md5 => "32 hexadecimal digits",
            Self::Sha256 => "64 hexadecimal digits",
            Self::Uri => "a URI with its scheme (RFC 3986)",
            Self::Uuid => "a UUID (RFC 4122)",
            Self::String | Self::Other(_) => "any text",
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn hash(text: &str, lengths: &[usize]) -> Option<Value> {
    let right = lengths.contains(&text.len()) && is_hex(text);
    right.then(|| Value::Hash(text.to_ascii_lowercase()))
}

fn mac(text: &str) -> Option<[u8; 6]> {
    let mut bytes = [0; 6];
    let mut pairs = text.split(':');
    for byte in &mut bytes {
        let pair = pairs
            .next()
            .filter(|pair| pair.len() == 2 && is_hex(pair))?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    pairs.next().is_none().then_some(bytes)
}

/// A text for a message: its beginning, where it is long.
pub(crate) fn cut(text: &str) -> String {
    const MOST: usize = 64;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
