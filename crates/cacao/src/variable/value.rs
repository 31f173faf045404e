//! Values of variables.

use std::fmt;

use serde_json::{Map, Number as JsonNumber, Value as Json};
use uuid::Uuid;

use super::address::Address;
use super::number::Number;
use super::uri;

/// The largest integer that every reader of JSON takes for the same number: 2^53 - 1.
const EXACT_MAX: u64 = (1 << 53) - 1;

/// A value of a variable, in the form in which values can be compared. It is made by
/// [`Type::parse`](super::Type::parse) and written by its `Display`: equal values are written
/// the same, whatever they were read from.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Known to be empty: what the empty text is to every type but text.
    Empty,
    /// A truth value.
    Bool(bool),
    /// A JSON object.
    Dictionary(Map<String, Json>),
    /// A finite double.
    Float(f64),
    /// Hexadecimal digits in small letters, without `0x`.
    HexString(String),
    /// A whole number of any size.
    Integer(Number),
    /// An address or a block of addresses.
    Address(Address),
    /// A hardware address.
    Mac([u8; 6]),
    /// Hexadecimal digits in small letters.
    Hash(String),
    /// Any text.
    Text(String),
    /// A URI as it was written.
    Uri(String),
    /// A UUID of any version.
    Uuid(Uuid),
}

impl Value {
    /// Whether two values of one type are the same. Beside being equal, that is so for URIs
    /// that only differ in how they are written.
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Uri(a), Self::Uri(b)) => uri::normal(a) == uri::normal(b),
            (Self::Address(a), Self::Address(b)) => a.ip == b.ip && a.length() == b.length(),
            (a, b) => a == b,
        }
    }

    /// The value in JSON: booleans, numbers and dictionaries as such, all others as text; so
    /// are whole numbers beyond 2^53 - 1, about which readers of JSON disagree.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Bool(value) => Json::Bool(*value),
            Self::Dictionary(members) => Json::Object(members.clone()),
            Self::Float(value) => JsonNumber::from_f64(*value).map_or(Json::Null, Json::Number),
            Self::Integer(number) => number
                .to_i64()
                .filter(|whole| whole.unsigned_abs() <= EXACT_MAX)
                .map_or_else(|| Json::String(number.to_string()), Json::from),
            text => Json::String(text.to_string()),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => Ok(()),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Dictionary(members) => {
                let text = serde_json::to_string(members).map_err(|_| fmt::Error)?;
                f.write_str(&text)
            }
            Self::Float(value) => write_float(*value, f),
            Self::HexString(digits) => write!(f, "0x{digits}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Address(address) => write!(f, "{address}"),
            Self::Mac(bytes) => bytes.iter().enumerate().try_for_each(|(at, byte)| {
                let colon = if at == 0 { "" } else { ":" };
                write!(f, "{colon}{byte:02x}")
            }),
            Self::Hash(text) | Self::Text(text) | Self::Uri(text) => f.write_str(text),
            Self::Uuid(uuid) => write!(f, "{uuid}"),
        }
    }
}

/// The shortest digits that are read as the same double, with an exponent where the number is
/// very large or very small, as in JavaScript.
fn write_float(value: f64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        write!(f, "{value:e}")
    } else {
        write!(f, "{value}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::kind::{Doubt, Error, Type};
    use super::*;

    const MD5: &str = "D41D8CD98F00B204E9800998ECF8427E";

    fn text(kind: &str, text: &str) -> Option<String> {
        Type::of(kind)
            .parse(text)
            .ok()
            .map(|value| value.to_string())
    }

    #[test]
    fn every_type_has_one_text_for_a_value() {
        let sha256 = MD5.repeat(2);
        for (kind, read, written) in [
            ("bool", "true", "true"),
            (
                "dictionary",
                "{ \"b\": [1, \"é\"], \"a\": {} }",
                r#"{"b":[1,"é"],"a":{}}"#,
            ),
            ("float", "+3.14159265", "3.14159265"),
            ("float", "1e300", "1e300"),
            ("float", "-0.0", "0"),
            ("float", "100", "100"),
            ("hexstring", "0xFCA1", "0xfca1"),
            ("integer", "+0123", "123"),
            ("ipv4-addr", "127.0.0.1", "127.0.0.1"),
            ("ipv4-addr", "10.0.0.0/8", "10.0.0.0/8"),
            ("ipv6-addr", "2001:DB8:0:0::1", "2001:db8::1"),
            ("long", "-99999999999999999999", "-99999999999999999999"),
            ("mac-addr", "BC:d0:74:7a:3A:31", "bc:d0:74:7a:3a:31"),
            ("hash", MD5, "d41d8cd98f00b204e9800998ecf8427e"),
            ("md5-hash", MD5, "d41d8cd98f00b204e9800998ecf8427e"),
            (
                "sha256-hash",
                &sha256,
                "d41d8cd98f00b204e9800998ecf8427ed41d8cd98f00b204e9800998ecf8427e",
            ),
            ("string", " any\n", " any\n"),
            (
                "uri",
                "https://www.Example.com/",
                "https://www.Example.com/",
            ),
            (
                "uuid",
                "6BA7B810-9DAD-11D1-80B4-00C04FD430C8",
                "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
            ),
            ("of-my-own", "x", "x"),
        ] {
            assert_eq!(text(kind, read).as_deref(), Some(written), "{kind} {read}");
            assert_eq!(
                text(kind, "").as_deref(),
                Some(""),
                "{kind}: known to be empty"
            );
        }
    }

    #[test]
    fn what_is_no_value_of_a_type_is_refused() {
        for (kind, wrong) in [
            ("bool", "True"),
            ("bool", "1"),
            ("dictionary", "[]"),
            ("dictionary", "{\"a\":1,\"a\":2}"),
            ("float", "NaN"),
            ("float", "inf"),
            ("float", "1,5"),
            ("float", "1e400"),
            ("hexstring", "FCA1"),
            ("hexstring", "0x"),
            ("hexstring", "0xG"),
            ("integer", "1.0"),
            ("integer", "9223372036854775808"),
            ("integer", " 1"),
            ("ipv4-addr", "::1"),
            ("ipv4-addr", "256.0.0.1"),
            ("ipv6-addr", "127.0.0.1"),
            ("long", "1e3"),
            ("mac-addr", "bc-d0-74-7a-3a-31"),
            ("mac-addr", "bc:d0:74:7a:3a"),
            ("mac-addr", "bc:d0:74:7a:3a:31:00"),
            ("mac-addr", "+c:d0:74:7a:3a:31"),
            ("hash", "abc"),
            ("hash", "abcd"),
            ("md5-hash", "0x00"),
            ("sha256-hash", MD5),
            ("uri", "example.com"),
            ("uuid", "{6ba7b810-9dad-11d1-80b4-00c04fd430c8}"),
            ("uuid", "6ba7b8109dad11d180b400c04fd430c8"),
        ] {
            assert_eq!(text(kind, wrong), None, "{kind} {wrong}");
        }
        let error = Type::Integer
            .parse("9223372036854775808")
            .expect_err("too large");
        assert!(matches!(error, Error::Range { .. }), "{error}");
        let error = Type::Integer
            .parse(&"x".repeat(1000))
            .expect_err("no number");
        assert!(error.to_string().len() < 200, "{error}");
    }

    #[test]
    fn what_is_unusual_is_told() {
        assert_eq!(Type::Ipv4.doubt("10.0.0.0/8"), Some(Doubt::Block));
        assert_eq!(Type::Ipv6.doubt("2001:DB8::1"), Some(Doubt::NotNormal));
        assert_eq!(Type::Ipv6.doubt("2001:db8::1"), None);
        assert_eq!(Type::HexString.doubt("0xFCA"), Some(Doubt::OddDigits));
        assert_eq!(Type::String.doubt("10.0.0.0/8"), None);
    }

    #[test]
    fn json_goes_in_and_out_with_its_types() {
        let through = |kind: Type, json: Json| {
            kind.from_json(&json)
                .map(|value| value.map(|value| value.to_json()))
        };
        assert_eq!(through(Type::Integer, json!(5.0)), Ok(Some(json!(5))));
        assert_eq!(through(Type::Integer, json!("5")), Ok(Some(json!(5))));
        assert_eq!(
            through(Type::Long, json!(9_007_199_254_740_992_u64)),
            Ok(Some(json!("9007199254740992")))
        );
        assert_eq!(
            through(Type::Long, json!(1e21)),
            Ok(Some(json!("1000000000000000000000")))
        );
        assert_eq!(through(Type::Float, json!(1e-9)), Ok(Some(json!(1e-9))));
        assert_eq!(through(Type::Bool, json!(true)), Ok(Some(json!(true))));
        assert_eq!(
            through(Type::Dictionary, json!({"a": [1]})),
            Ok(Some(json!({"a": [1]})))
        );
        assert_eq!(
            through(Type::String, json!({"a": [1]})),
            Ok(Some(json!(r#"{"a":[1]}"#)))
        );
        assert_eq!(through(Type::String, json!(5)), Ok(Some(json!("5"))));
        assert_eq!(through(Type::Uuid, Json::Null), Ok(None));
        for (kind, json) in [
            (Type::Integer, json!(5.5)),
            (Type::Integer, json!(true)),
            (Type::Bool, json!(1)),
            (Type::Ipv4, json!({})),
            (Type::Dictionary, json!([])),
        ] {
            assert!(
                through(kind.clone(), json.clone()).is_err(),
                "{kind} {json}"
            );
        }
    }

    #[test]
    fn uris_and_blocks_are_the_same_if_they_mean_the_same() {
        let same = |kind: Type, a: &str, b: &str| {
            let value = |text| kind.parse(text).expect("a value");
            value(a).same(&value(b))
        };
        assert!(same(Type::Uri, "HTTP://Example.com", "http://example.com/"));
        assert!(!same(
            Type::Uri,
            "http://example.com/A",
            "http://example.com/a"
        ));
        assert!(same(Type::Ipv4, "10.0.0.1/32", "10.0.0.1"));
        assert!(!same(Type::Ipv4, "10.0.0.1/8", "10.0.0.1"));
    }

    proptest! {
        #[test]
        fn a_written_value_is_read_as_itself(kind in 0..16_usize, text in "\\PC{0,12}|-?[0-9]{1,30}(\\.[0-9]{1,9})?(e-?[0-9]{1,2})?|0x[0-9a-fA-F]{0,9}|[0-9a-f:.]{2,20}(/[0-9]{1,3})?|[a-z]{1,4}:[/a-z?%#A-Z]{0,9}") {
            let words = crate::vocabulary::VARIABLE_TYPE.words;
            let kind = Type::of(words.get(kind).unwrap_or(&"other"));
            if let Ok(value) = kind.parse(&text) {
                prop_assert_eq!(kind.parse(&value.to_string()), Ok(value.clone()));
                prop_assert_eq!(kind.from_json(&value.to_json()), Ok(Some(value)));
            }
        }
    }
}
