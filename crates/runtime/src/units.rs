//! Durations and sizes as people write them in the configuration file:
//! `30s`, `7d`, `1MiB`.
//!
//! A number without a unit is refused, because a bare `30` has already been
//! read as milliseconds by one program and as seconds by the next. Fractions
//! are refused for the same reason: `1.5h` is `90m`. Reading never rounds, and
//! what [`Display`](fmt::Display) prints reads back as the same value.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Largest unit first, so that printing picks the shortest exact form.
const SPAN_UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

const SIZE_UNITS: [(&str, u64); 4] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// A text is not a duration or a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is not a whole number followed by a known time unit.
    #[error(
        "`{0}` is not a duration: write a whole number and one of ms, s, m, h, d, such as 250ms, 30s or 7d"
    )]
    Span(String),
    /// The text is not a whole number followed by a known size unit.
    #[error(
        "`{0}` is not a size: write a whole number and one of B, KiB, MiB, GiB, such as 256KiB or 1MiB"
    )]
    Size(String),
}

/// A length of time in whole milliseconds.
///
/// Written `250ms`, `30s`, `5m`, `24h` or `7d`; a day is 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(u64);

impl Span {
    /// A span of `milliseconds`.
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(milliseconds)
    }

    /// A span of `seconds`; the largest representable one where that is too many.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1_000))
    }

    /// The same length as the standard library's type.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        span.duration()
    }
}

impl FromStr for Span {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text, &SPAN_UNITS)
            .map(Self)
            .ok_or_else(|| Error::Span(text.to_owned()))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(self.0, "0s", &SPAN_UNITS, f)
    }
}

/// A number of bytes, written `512B`, `256KiB`, `1MiB` or `2GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(u64);

impl Size {
    /// A size of `bytes`.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// A size of `kibibytes` times 1024 bytes.
    pub const fn from_kib(kibibytes: u64) -> Self {
        Self(kibibytes.saturating_mul(1 << 10))
    }

    /// A size of `mebibytes` times 1024 KiB.
    pub const fn from_mib(mebibytes: u64) -> Self {
        Self(mebibytes.saturating_mul(1 << 20))
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The number of bytes as a length in memory, `usize::MAX` at most.
    pub fn length(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for Size {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text, &SIZE_UNITS)
            .map(Self)
            .ok_or_else(|| Error::Size(text.to_owned()))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(self.0, "0B", &SIZE_UNITS, f)
    }
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn print(value: u64, zero: &str, units: &[(&str, u64)], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match units
        .iter()
        .find(|(_, factor)| value.is_multiple_of(*factor))
    {
        Some((unit, factor)) if value > 0 => write!(f, "{}{unit}", value / factor),
        _ => f.write_str(zero),
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]+(ms|s|m|h|d)$",
            "description": "A duration such as 250ms, 30s, 5m, 24h or 7d.",
        })
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]+(B|KiB|MiB|GiB)$",
            "description": "A size such as 512B, 256KiB, 1MiB or 2GiB.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_reads_back_as_the_same_value() {
        for text in ["250ms", "30s", "5m", "23h", "7d", "0s", "1500ms"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        for text in ["512B", "256KiB", "1MiB", "2GiB", "0B", "1025B"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn the_shortest_exact_unit_is_printed() {
        assert_eq!(Span::from_secs(86_400).to_string(), "1d");
        assert_eq!(Span::from_millis(90_000).to_string(), "90s");
        assert_eq!(Size::from_kib(1_024).to_string(), "1MiB");
    }

    #[test]
    fn a_missing_unit_a_fraction_a_sign_and_an_overflow_are_refused() {
        for text in [
            "",
            "30",
            "s",
            "1.5h",
            "-1s",
            "1 s",
            "1S",
            "1w",
            "99999999999999999d",
        ] {
            assert_eq!(text.parse::<Span>(), Err(Error::Span(text.to_owned())));
        }
        for text in ["", "1", "1MB", "1mib", "1.5MiB", "99999999999999999GiB"] {
            assert_eq!(text.parse::<Size>(), Err(Error::Size(text.to_owned())));
        }
    }

    #[test]
    fn the_error_says_what_is_allowed() {
        let error = serde_json::from_str::<Span>("\"soon\"").unwrap_err();
        assert!(error.to_string().contains("ms, s, m, h, d"), "{error}");
        let error = serde_json::from_str::<Size>("\"big\"").unwrap_err();
        assert!(error.to_string().contains("B, KiB, MiB, GiB"), "{error}");
    }
}
