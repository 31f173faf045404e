//! The pieces of a condition's text, each with its place.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::tree::Literal;
use super::{Dialect, Error};
use crate::time;
use crate::variable::kind::cut;
use crate::variable::name::is_name_byte;
use crate::variable::number::Number;

/// A piece of a condition.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token<'t> {
    /// A keyword or the name of a variable.
    Name(&'t str),
    /// A value in quotes, or a number.
    Literal(Literal),
    /// A bracket, a comma or an operator.
    Symbol(&'t str),
    End,
}

/// Operators, brackets and commas, the longer ones before those that they begin with.
const SYMBOLS: [&str; 13] = [
    "==", "!=", "<>", "<=", ">=", "=", "<", ">", "(", ")", "[", "]", ",",
];

/// Goes through a text. A copy of it looks ahead.
#[derive(Clone, Copy)]
pub(super) struct Scanner<'t> {
    text: &'t str,
    at: usize,
    dialect: Dialect,
}

impl<'t> Scanner<'t> {
    pub(super) const fn new(text: &'t str, dialect: Dialect) -> Self {
        Self {
            text,
            at: 0,
            dialect,
        }
    }

    pub(super) const fn dialect(&self) -> Dialect {
        self.dialect
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    /// The next piece, and where it stands.
    pub(super) fn next(&mut self) -> Result<(Token<'t>, usize), Error> {
        self.skip()?;
        let at = self.at;
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return Ok((Token::End, at));
        };
        if let Some(symbol) = self.symbol()? {
            self.at += symbol.len();
            return Ok((Token::Symbol(symbol), at));
        }
        match first {
            '\'' => Ok((Token::Literal(Literal::Text(self.quoted()?)), at)),
            'a'..='z' | 'A'..='Z' | '_' => {
                let length = rest.bytes().take_while(|byte| is_name_byte(*byte)).count();
                self.at += length;
                let name = &rest[..length];
                if self.rest().starts_with('\'') {
                    let literal = self.typed(name, at)?;
                    return Ok((Token::Literal(literal), at));
                }
                Ok((Token::Name(name), at))
            }
            '0'..='9' | '+' | '-' | '.' => Ok((Token::Literal(self.number()?), at)),
            char => Err(Error::Character { char, at }),
        }
    }

    /// Where the next piece stands.
    pub(super) fn place(&mut self) -> Result<usize, Error> {
        self.skip()?;
        Ok(self.at)
    }

    /// The next piece if it is a symbol; it stays the next. Unlike [`peek`](Self::peek), this
    /// says nothing about what else may come, which can be a value without quotes.
    pub(super) fn symbol(&mut self) -> Result<Option<&'static str>, Error> {
        self.skip()?;
        let mut symbols = SYMBOLS.iter().copied();
        Ok(symbols.find(|symbol| self.rest().starts_with(symbol)))
    }

    /// The next piece, which stays the next.
    pub(super) fn peek(&self) -> Result<(Token<'t>, usize), Error> {
        let mut ahead = *self;
        ahead.next()
    }

    /// Takes a text that follows at once.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    /// Whether a path ends here: no more of a name, no step and no index.
    pub(super) fn path_ends(&self) -> bool {
        let more = |byte: &u8| is_name_byte(*byte) || matches!(byte, b'.' | b'[');
        !self.rest().as_bytes().first().is_some_and(more)
    }

    /// A value without quotes, if that is what comes next: everything up to a blank, a
    /// bracket, a comma or a quote.
    pub(super) fn word(&mut self) -> Result<Option<(&'t str, usize)>, Error> {
        self.skip()?;
        let rest = self.rest();
        let end = |char: char| char.is_whitespace() || "()[],'".contains(char);
        let length = rest.find(end).unwrap_or(rest.len());
        let operator = rest.starts_with(['=', '<', '>', '!']);
        if length == 0 || operator || rest[length..].starts_with('\'') {
            return Ok(None);
        }
        let at = self.at;
        self.at += length;
        Ok(Some((&rest[..length], at)))
    }

    /// Goes past blanks and comments.
    fn skip(&mut self) -> Result<(), Error> {
        loop {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start().len();
            if blank > 0 {
                self.at += blank;
            } else if rest.starts_with("//") {
                self.at += rest.find(['\n', '\r']).unwrap_or(rest.len());
            } else if let Some(comment) = rest.strip_prefix("/*") {
                let length = comment.find("*/").ok_or(Error::NoEnd {
                    what: "a comment",
                    at: self.at,
                })?;
                self.at += length + 4;
            } else {
                return Ok(());
            }
        }
    }

    /// The text between two quotes.
    fn quoted(&mut self) -> Result<String, Error> {
        let start = self.at;
        let mut text = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        let no_end = Error::NoEnd {
            what: "a text",
            at: start,
        };
        loop {
            match chars.next() {
                None => return Err(no_end),
                Some((offset, '\'')) => {
                    self.at += offset + 1;
                    return Ok(text);
                }
                Some((offset, '\\')) => match chars.next() {
                    None => return Err(no_end),
                    Some((_, char @ ('\'' | '\\'))) => text.push(char),
                    Some((_, char)) if self.dialect == Dialect::Bare => text.extend(['\\', char]),
                    Some((_, char)) => {
                        let at = start + offset;
                        return Err(Error::Escape { char, at });
                    }
                },
                Some((_, char)) => text.push(char),
            }
        }
    }

    /// `h'…'`, `b'…'` or `t'…'`.
    fn typed(&mut self, prefix: &str, at: usize) -> Result<Literal, Error> {
        let text = self.quoted()?;
        let (wanted, literal) = match prefix {
            "h" => (
                "even number of hexadecimal digits",
                unhex(&text).map(Literal::Hex),
            ),
            "b" => ("base64", STANDARD.decode(&text).ok().map(Literal::Binary)),
            "t" => {
                let time = time::read(&text).ok();
                (
                    "timestamp in UTC",
                    time.map(|(time, _)| Literal::Timestamp(time)),
                )
            }
            other => {
                return Err(Error::Expected {
                    wanted: "h, b or t before a quote",
                    found: format!("`{}`", cut(other)),
                    at,
                });
            }
        };
        literal.ok_or_else(|| Error::Literal {
            wanted,
            text: cut(&text),
            at,
        })
    }

    /// A number as STIX writes them; what goes on behind it is no number.
    fn number(&mut self) -> Result<Literal, Error> {
        let rest = self.rest();
        let within = |byte: &u8| is_name_byte(*byte) || matches!(byte, b'+' | b'.' | b':' | b'/');
        let length = rest.bytes().take_while(|byte| within(byte)).count();
        let text = &rest[..length];
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        let whole = digits.split('.').next().unwrap_or_default();
        // STIX writes no leading zeros before a whole number.
        let plain = digits.contains('.') || whole == "0" || !whole.starts_with('0');
        let number = Number::parse(text).filter(|_| plain);
        let number = number.ok_or_else(|| Error::Unquoted {
            text: cut(text),
            at: self.at,
        })?;
        self.at += length;
        Ok(if digits.contains('.') {
            Literal::Float(number)
        } else {
            Literal::Integer(number)
        })
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let nibble = |byte: u8| char::from(byte).to_digit(16);
    let pair = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(nibble(*high)? << 4 | nibble(*low)?).ok(),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}
