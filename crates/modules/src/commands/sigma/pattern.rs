//! What a field's value is held against: texts with `*` and `?`, numbers, expressions, networks.
//!
//! Every comparison takes its cost from a budget, so that no rule and no event, however odd,
//! keeps the machine busy: the cost of a text with wildcards is at most the product of both
//! lengths, that of an expression grows with the text.

use ipnet::IpNet;
use regex::Regex;
use serde_json::Value;

/// What is left of the work that one command may make.
#[derive(Debug)]
pub(super) struct Budget(u64);

/// The work that was allowed is done.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Spent;

impl Budget {
    pub(super) const fn new(steps: u64) -> Self {
        Self(steps)
    }

    /// Takes the cost of something that is about to be done.
    pub(super) fn take(&mut self, steps: usize) -> Result<(), Spent> {
        self.0 = self.0.checked_sub(steps as u64 + 1).ok_or(Spent)?;
        Ok(())
    }
}

/// A character of a text with wildcards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    Char(char),
    /// `?`
    One,
    /// `*`
    Any,
}

/// A text with wildcards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob {
    tokens: Vec<Token>,
    cased: bool,
}

/// Where a text stands in a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Whole,
    Start,
    End,
    Anywhere,
}

impl Glob {
    /// Reads `*`, `?` and their escapes by `\`.
    pub(super) fn parse(text: &str) -> Vec<Token> {
        let mut tokens = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(char) = chars.next() {
            tokens.push(match (char, chars.peek()) {
                ('\\', Some(&next @ ('*' | '?' | '\\'))) => {
                    chars.next();
                    Token::Char(next)
                }
                ('*', _) => Token::Any,
                ('?', _) => Token::One,
                (char, _) => Token::Char(char),
            });
        }
        tokens
    }

    /// A pattern for a place in a value.
    pub(super) fn new(tokens: Vec<Token>, place: Place, cased: bool) -> Self {
        let mut all = Vec::with_capacity(tokens.len() + 2);
        if matches!(place, Place::End | Place::Anywhere) {
            all.push(Token::Any);
        }
        for token in tokens {
            match token {
                Token::Char(char) if !cased => all.extend(char.to_lowercase().map(Token::Char)),
                token => all.push(token),
            }
        }
        if matches!(place, Place::Start | Place::Anywhere) {
            all.push(Token::Any);
        }
        Self { tokens: all, cased }
    }

    /// Whether it is the whole of a text.
    pub(super) fn is(&self, text: &str, budget: &mut Budget) -> Result<bool, Spent> {
        budget.take(text.len())?;
        let text: Vec<char> = if self.cased {
            text.chars().collect()
        } else {
            text.chars().flat_map(char::to_lowercase).collect()
        };
        let (mut at, mut from) = (0, 0);
        // Where the last `*` stood, and what it had taken by then.
        let mut star = None;
        while from < text.len() {
            budget.take(0)?;
            match self.tokens.get(at) {
                Some(Token::Any) => {
                    star = Some((at, from));
                    at += 1;
                }
                Some(token) if *token == Token::One || *token == Token::Char(text[from]) => {
                    at += 1;
                    from += 1;
                }
                _ => {
                    let Some((stood, taken)) = star else {
                        return Ok(false);
                    };
                    star = Some((stood, taken + 1));
                    at = stood + 1;
                    from = taken + 1;
                }
            }
        }
        Ok(self.tokens[at..].iter().all(|token| *token == Token::Any))
    }
}

/// How numbers compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Less => value < limit,
            Self::LessOrEqual => value <= limit,
            Self::Greater => value > limit,
            Self::GreaterOrEqual => value >= limit,
        }
    }
}

/// What one value of an event is held against.
#[derive(Debug)]
pub(super) enum Test {
    /// The field is absent or null.
    Absent,
    /// Any of these texts: one, written in several ways.
    Text(Vec<Glob>),
    Number(f64),
    Expression(Regex),
    Network(IpNet),
    Ordered(Order, f64),
}

impl Test {
    /// Whether a scalar of an event passes.
    pub(super) fn passes(&self, value: &Value, budget: &mut Budget) -> Result<bool, Spent> {
        if value.is_null() {
            return Ok(matches!(self, Self::Absent));
        }
        let Some(text) = text(value) else {
            return Ok(false);
        };
        match self {
            Self::Absent => Ok(false),
            Self::Text(globs) => {
                for glob in globs {
                    if glob.is(&text, budget)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::Number(number) => {
                budget.take(text.len())?;
                Ok(as_number(&text).is_some_and(|value| value.total_cmp(number).is_eq()))
            }
            Self::Expression(expression) => {
                // The library takes a few passes over the text, each linear.
                budget.take(text.len() * 8)?;
                Ok(expression.is_match(&text))
            }
            Self::Network(network) => {
                budget.take(text.len())?;
                Ok(text
                    .parse()
                    .is_ok_and(|address| network.contains::<&std::net::IpAddr>(&address)))
            }
            Self::Ordered(order, limit) => {
                budget.take(text.len())?;
                Ok(as_number(&text).is_some_and(|value| order.holds(value, *limit)))
            }
        }
    }
}

fn as_number(text: &str) -> Option<f64> {
    text.trim()
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite())
}

/// A scalar as text; none for lists and objects.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(pattern: &str, place: Place, text: &str) -> bool {
        let glob = Glob::new(Glob::parse(pattern), place, false);
        glob.is(text, &mut Budget::new(10_000)).unwrap()
    }

    #[test]
    fn wildcards_match_as_sigma_has_them() {
        let table = [
            ("*\\whoami.EXE", Place::Whole, "C:\\x\\whoami.exe", true),
            ("a*a?b", Place::Whole, "aXaYab a-b", true),
            ("a?b", Place::Whole, "ab", false),
            ("\\*", Place::Whole, "*", true),
            ("\\*", Place::Whole, "x", false),
            ("a\\\\b", Place::Whole, "a\\b", true),
            ("a\\b", Place::Whole, "a\\b", true),
            ("cmd", Place::Anywhere, "xCMDx", true),
            ("cmd", Place::Start, "cmd.exe", true),
            ("exe", Place::End, "cmd.exe", true),
            ("cmd", Place::Whole, "cmd.exe", false),
            ("", Place::Whole, "", true),
            ("", Place::Whole, "x", false),
            ("Ä", Place::Whole, "ä", true),
        ];
        for (pattern, place, text, expected) in table {
            assert_eq!(is(pattern, place, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_pattern_made_to_take_long_is_stopped() {
        let glob = Glob::new(
            Glob::parse(&format!("*{}c", "a".repeat(500))),
            Place::Whole,
            true,
        );
        let text = "a".repeat(100_000);
        assert_eq!(glob.is(&text, &mut Budget::new(1_000_000)), Err(Spent));
    }
}
