//! Patterns of `LIKE` and `MATCHES`.
//!
//! Both are matched in time linear in the text, whatever the pattern: a playbook comes from
//! others, and what it is matched against from others still. The price is that look-around
//! and back-references, which PCRE has, are refused.

use regex::{Regex, RegexBuilder};
use thiserror::Error;

/// The most memory that a pattern may take once it is compiled, in bytes.
const SIZE_MAX: usize = 1 << 20;

/// Parts of a pattern within each other.
const NEST_MAX: u32 = 64;

/// A pattern, and what it was compiled to.
#[derive(Debug, Clone)]
pub struct Pattern {
    source: String,
    regex: Regex,
    /// The same without regard to capital letters.
    folded: Regex,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

/// Why a pattern cannot be used.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum Fault {
    /// `(?=`, `(?!`, `(?<=` or `(?<!`.
    #[error("look-around cannot be matched in bounded time")]
    LookAround,
    /// `\1` and the like.
    #[error("a reference to an earlier group cannot be matched in bounded time")]
    BackReference,
    /// It takes too much memory, or its parts are too deep within each other.
    #[error("it is too large")]
    TooLarge,
    /// It is malformed.
    #[error("{0}")]
    Malformed(String),
}

impl Pattern {
    /// The pattern of a `LIKE`: `%` is any text, `_` any character, all else is itself. The
    /// whole of a text must be so.
    pub fn like(source: &str) -> Result<Self, Fault> {
        let mut regex = String::from(r"\A(?s:");
        for char in source.chars() {
            match char {
                '%' => regex.push_str(".*"),
                '_' => regex.push('.'),
                other => regex.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
            }
        }
        regex.push_str(r")\z");
        Self::compile(source, &regex)
    }

    /// The pattern of a `MATCHES`: a regular expression that is found anywhere in a text.
    pub fn matches(source: &str) -> Result<Self, Fault> {
        Self::compile(source, source)
    }

    /// The pattern as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether a text is as the pattern says.
    pub fn is_match(&self, text: &str, ignore_case: bool) -> bool {
        let regex = if ignore_case {
            &self.folded
        } else {
            &self.regex
        };
        regex.is_match(text)
    }

    fn compile(source: &str, regex: &str) -> Result<Self, Fault> {
        let build = |ignore_case| {
            RegexBuilder::new(regex)
                .case_insensitive(ignore_case)
                .size_limit(SIZE_MAX)
                .dfa_size_limit(SIZE_MAX)
                .nest_limit(NEST_MAX)
                .build()
                .map_err(fault)
        };
        Ok(Self {
            source: source.to_owned(),
            regex: build(false)?,
            folded: build(true)?,
        })
    }
}

fn fault(error: regex::Error) -> Fault {
    let regex::Error::Syntax(message) = &error else {
        return Fault::TooLarge;
    };
    // The library says which kind of error it is in its message only.
    let reason = message.rsplit("error: ").next().unwrap_or(message).trim();
    match reason {
        reason if reason.starts_with("look-around") => Fault::LookAround,
        reason if reason.starts_with("backreferences") => Fault::BackReference,
        reason if reason.starts_with("exceed") => Fault::TooLarge,
        reason => Fault::Malformed(reason.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_is_about_the_whole_text_and_takes_all_else_for_itself() {
        let like = |pattern, text| {
            Pattern::like(pattern)
                .expect("a pattern")
                .is_match(text, false)
        };
        assert!(like("a%", "a") && like("a%", "abc\nd") && like("%b%", "abc") && like("%", ""));
        assert!(!like("a%", "ba") && !like("a", "aa") && !like("", "a") && like("", ""));
        assert!(like("_", "é") && !like("_", "") && !like("_", "ab"));
        assert!(like(".*[", ".*[") && !like(".*", "abc") && !like("A", "a"));
    }

    #[test]
    fn matches_is_about_any_part_of_the_text() {
        let matches = |pattern, text| {
            Pattern::matches(pattern)
                .expect("a pattern")
                .is_match(text, false)
        };
        assert!(matches("b+", "abbc") && matches(r"^\d{3}$", "123") && !matches(r"^\d$", "12"));
        assert!(
            Pattern::matches("FF")
                .expect("a pattern")
                .is_match("0xff", true)
        );
    }

    #[test]
    fn what_cannot_be_matched_in_bounded_time_is_told() {
        let of = |pattern: &str| Pattern::matches(pattern).expect_err(pattern);
        for pattern in ["a(?=b)", "a(?!b)", "(?<=a)b", "(?<!a)b"] {
            assert_eq!(of(pattern), Fault::LookAround, "{pattern}");
        }
        assert_eq!(of(r"(a)\1"), Fault::BackReference);
        assert_eq!(of("((a{1000}){1000}){1000}"), Fault::TooLarge);
        assert_eq!(
            of(&format!("{}a{}", "(".repeat(70), ")".repeat(70))),
            Fault::TooLarge
        );
        assert!(matches!(of("(a"), Fault::Malformed(_)));
    }
}
