//! Reads a condition: one function for each rule of the grammar.
//!
//! ```text
//! condition = "[" or "]" | or
//! or        = and { "OR" and }
//! and       = test { "AND" test }
//! test      = "(" or ")" | ["NOT"] "EXISTS" use | use ["NOT"] operator operand
//! ```

use super::pattern::Pattern;
use super::scanner::{Scanner, Token};
use super::tree::{At, Expression, Literal, Operand, Operator, Predicate, Test, Use};
use super::{DEPTH_MAX, Dialect, Error, LENGTH_MAX, PATTERNS_MAX};
use crate::variable::address::Address;
use crate::variable::kind::cut;
use crate::variable::name;
use crate::variable::reference::{KEYWORD, references};

/// The words that have a meaning in STIX patterns.
const KEYWORDS: [&str; 11] = [
    "AND",
    "OR",
    "NOT",
    "EXISTS",
    "IN",
    "LIKE",
    "MATCHES",
    "ISSUBSET",
    "ISSUPERSET",
    "true",
    "false",
];

/// The words of STIX patterns that are about observations.
const OBSERVATION: [&str; 7] = [
    "FOLLOWEDBY",
    "WITHIN",
    "REPEATS",
    "START",
    "STOP",
    "TIMES",
    "SECONDS",
];

/// Reads a condition.
pub(super) fn parse(text: &str, dialect: Dialect) -> Result<Expression, Error> {
    if text.len() > LENGTH_MAX {
        return Err(Error::TooLong {
            length: text.len(),
            limit: LENGTH_MAX,
        });
    }
    let mut parser = Parser {
        scanner: Scanner::new(text, dialect),
        depth: 0,
        patterns: 0,
    };
    let bracket = parser.take_symbol("[")?;
    let expression = parser.any()?;
    if bracket {
        parser.expect_symbol("]", "`]`")?;
    }
    match parser.scanner.next()? {
        (Token::End, _) => Ok(expression),
        (Token::Name(word), at) if bracket => Err(Error::Observation {
            word: cut(word),
            at,
        }),
        (found, at) => Err(unexpected("AND, OR or the end", found, at)),
    }
}

struct Parser<'t> {
    scanner: Scanner<'t>,
    depth: usize,
    patterns: usize,
}

impl Parser<'_> {
    fn any(&mut self) -> Result<Expression, Error> {
        let mut parts = vec![self.all()?];
        while self.take_keyword("OR")?.is_some() {
            parts.push(self.all()?);
        }
        Ok(one_or(parts, Expression::Any))
    }

    fn all(&mut self) -> Result<Expression, Error> {
        let mut parts = vec![self.test()?];
        while self.take_keyword("AND")?.is_some() {
            parts.push(self.test()?);
        }
        Ok(one_or(parts, Expression::All))
    }

    fn test(&mut self) -> Result<Expression, Error> {
        let at = self.scanner.place()?;
        if self.scanner.symbol()? == Some("[") {
            let word = "[".to_owned();
            return Err(Error::Observation { word, at });
        }
        if self.take_symbol("(")? {
            return self.parentheses(at);
        }
        let not = self.take_keyword("NOT")?;
        if let Some(at) = self.take_keyword("EXISTS")? {
            let left = self.variable()?;
            return Ok(test(left, not.is_some(), Predicate::Exists, at));
        }
        if not.is_some() && self.scanner.dialect() == Dialect::Stix {
            let (found, at) = self.scanner.next()?;
            return Err(unexpected("EXISTS behind NOT", found, at));
        }
        let left = self.variable()?;
        if not.is_some() || self.at_end_of_test()? {
            let at = left.at.0;
            self.only_bare("a variable by itself", at)?;
            return Ok(test(left, not.is_some(), Predicate::Holds, at));
        }
        let negated = self.take_keyword("NOT")?.is_some();
        let at = self.scanner.place()?;
        let predicate = self.predicate()?;
        Ok(test(left, negated, predicate, at))
    }

    fn parentheses(&mut self, at: usize) -> Result<Expression, Error> {
        if self.depth == DEPTH_MAX {
            let limit = DEPTH_MAX;
            return Err(Error::TooDeep { limit, at });
        }
        self.depth += 1;
        let inner = self.any()?;
        self.depth -= 1;
        self.expect_symbol(")", "`)`")?;
        Ok(inner)
    }

    /// `__name__:value`.
    fn variable(&mut self) -> Result<Use, Error> {
        let (name, at) = match self.scanner.next()? {
            (Token::Name(name), at) => (name, at),
            (found, at) => return Err(unexpected("a variable", found, at)),
        };
        if OBSERVATION.contains(&name) {
            return Err(unexpected("a variable", Token::Name(name), at));
        }
        name::form(name).map_err(|source| Error::Name {
            text: cut(name),
            source,
            at,
        })?;
        let mut ahead = self.scanner;
        let value = ahead.take(KEYWORD) && ahead.path_ends();
        if !value {
            let name = name.to_owned();
            return Err(Error::Property { name, at });
        }
        self.scanner = ahead;
        Ok(Use {
            name: name.to_owned(),
            at: At(at),
        })
    }

    fn predicate(&mut self) -> Result<Predicate, Error> {
        let (token, at) = self.scanner.next()?;
        let operator = match token {
            Token::Symbol("=" | "==") => Operator::Equal,
            Token::Symbol("!=" | "<>") => Operator::Unequal,
            Token::Symbol("<") => Operator::Less,
            Token::Symbol(">") => Operator::Greater,
            Token::Symbol("<=") => Operator::LessOrEqual,
            Token::Symbol(">=") => Operator::GreaterOrEqual,
            Token::Name(word) => return self.keyword_predicate(word, at),
            found => return Err(unexpected("an operator", found, at)),
        };
        let operand = self.operand()?;
        let ordered = !matches!(operator, Operator::Equal | Operator::Unequal);
        match operand {
            Operand::Literal(Literal::Bool(value), At(at)) if ordered => Err(Error::Expected {
                wanted: "a value that has an order",
                found: value.to_string(),
                at,
            }),
            operand => Ok(Predicate::Compare(operator, operand)),
        }
    }

    fn keyword_predicate(&mut self, word: &str, at: usize) -> Result<Predicate, Error> {
        let keyword = self.keyword(word, at)?;
        match keyword {
            Some("IN") => self.set(),
            Some("LIKE") => self.pattern(Pattern::like).map(Predicate::Like),
            Some("MATCHES") => self.pattern(Pattern::matches).map(Predicate::Matches),
            Some("ISSUBSET") => self.block().map(Predicate::Subset),
            Some("ISSUPERSET") => self.block().map(Predicate::Superset),
            _ => Err(unexpected("an operator", Token::Name(word), at)),
        }
    }

    fn set(&mut self) -> Result<Predicate, Error> {
        let at = self.scanner.place()?;
        if !self.take_symbol("(")? {
            self.only_bare("IN without parentheses", at)?;
            return self.operand().map(Predicate::Within);
        }
        let mut values = Vec::new();
        if self.take_symbol(")")? {
            return Ok(Predicate::In(values));
        }
        loop {
            values.push(self.operand()?);
            if !self.take_symbol(",")? {
                self.expect_symbol(")", "`,` or `)`")?;
                return Ok(Predicate::In(values));
            }
        }
    }

    fn pattern(
        &mut self,
        compile: fn(&str) -> Result<Pattern, super::pattern::Fault>,
    ) -> Result<Pattern, Error> {
        match self.scanner.next()? {
            (Token::Literal(Literal::Text(_)), at) if self.patterns == PATTERNS_MAX => {
                let limit = PATTERNS_MAX;
                Err(Error::Patterns { limit, at })
            }
            (Token::Literal(Literal::Text(text)), at) => {
                self.patterns += 1;
                compile(&text).map_err(|source| Error::Pattern { source, at })
            }
            (found, at) => Err(unexpected("a pattern in single quotes", found, at)),
        }
    }

    fn block(&mut self) -> Result<Operand, Error> {
        let operand = self.operand()?;
        match &operand {
            Operand::Variable(_) => Ok(operand),
            Operand::Literal(Literal::Text(text) | Literal::Word(text), At(at)) => {
                if Address::parse(text).is_none() {
                    return Err(Error::Address {
                        text: cut(text),
                        at: *at,
                    });
                }
                Ok(operand)
            }
            Operand::Literal(other, At(at)) => Err(Error::Address {
                text: cut(&other.to_string()),
                at: *at,
            }),
        }
    }

    /// What a variable is compared with.
    fn operand(&mut self) -> Result<Operand, Error> {
        if self.scanner.dialect() == Dialect::Bare
            && let Some((word, at)) = self.scanner.word()?
        {
            return bare_operand(word, at);
        }
        match self.scanner.next()? {
            (Token::Literal(literal), at) => Ok(Operand::Literal(literal, At(at))),
            (Token::Name("true"), at) => Ok(Operand::Literal(Literal::Bool(true), At(at))),
            (Token::Name("false"), at) => Ok(Operand::Literal(Literal::Bool(false), At(at))),
            (Token::Name(word), at) => {
                let reference = name::form(word).is_ok() && self.scanner.take(KEYWORD);
                Err(if reference {
                    let what = "a variable on the right";
                    Error::NotStix { what, at }
                } else {
                    Error::Unquoted {
                        text: cut(word),
                        at,
                    }
                })
            }
            (found, at) => Err(unexpected("a value", found, at)),
        }
    }

    /// Whether what could be an operator is none.
    fn at_end_of_test(&self) -> Result<bool, Error> {
        Ok(match self.scanner.peek()? {
            (Token::End | Token::Symbol(")" | "]"), _) => true,
            (Token::Name(word), at) => {
                matches!(self.keyword(word, at)?, Some("AND" | "OR"))
            }
            _ => false,
        })
    }

    /// The keyword that a word is.
    fn keyword(&self, word: &str, at: usize) -> Result<Option<&'static str>, Error> {
        let known = KEYWORDS
            .iter()
            .find(|known| known.eq_ignore_ascii_case(word));
        match known {
            Some(known) if *known != word && self.scanner.dialect() == Dialect::Stix => {
                let word = word.to_owned();
                Err(Error::KeywordCase { word, at })
            }
            known => Ok(known.copied()),
        }
    }

    /// Takes a keyword if it comes next, and says where it was.
    fn take_keyword(&mut self, wanted: &str) -> Result<Option<usize>, Error> {
        if let (Token::Name(word), at) = self.scanner.peek()?
            && self.keyword(word, at)? == Some(wanted)
        {
            self.scanner.next()?;
            return Ok(Some(at));
        }
        Ok(None)
    }

    fn take_symbol(&mut self, wanted: &str) -> Result<bool, Error> {
        let found = self.scanner.symbol()? == Some(wanted);
        if found {
            self.scanner.next()?;
        }
        Ok(found)
    }

    fn expect_symbol(&mut self, symbol: &str, wanted: &'static str) -> Result<(), Error> {
        match self.scanner.next()? {
            (Token::Symbol(found), _) if found == symbol => Ok(()),
            (found, at) => Err(unexpected(wanted, found, at)),
        }
    }

    fn only_bare(&self, what: &'static str, at: usize) -> Result<(), Error> {
        match self.scanner.dialect() {
            Dialect::Bare => Ok(()),
            Dialect::Stix => Err(Error::NotStix { what, at }),
        }
    }
}

/// What the text says it is: something else than belongs there.
fn unexpected(wanted: &'static str, found: Token<'_>, at: usize) -> Error {
    let found = match found {
        Token::Name(word) if OBSERVATION.contains(&word) => {
            let word = word.to_owned();
            return Error::Observation { word, at };
        }
        Token::Name(word) => format!("`{}`", cut(word)),
        Token::Symbol(symbol) => format!("`{symbol}`"),
        Token::Literal(literal) => cut(&literal.to_string()),
        Token::End => "the end".to_owned(),
    };
    Error::Expected { wanted, found, at }
}

/// What a value without quotes stands for.
fn bare_operand(word: &str, at: usize) -> Result<Operand, Error> {
    let name = word.strip_suffix(KEYWORD);
    if let Some(name) = name.filter(|name| name::form(name).is_ok()) {
        return Ok(Operand::Variable(Use {
            name: name.to_owned(),
            at: At(at),
        }));
    }
    let values = ["true", "false"];
    let keyword = KEYWORDS
        .iter()
        .find(|keyword| keyword.eq_ignore_ascii_case(word) && !values.contains(keyword));
    // A variable within a longer word would be taken for text, and never be what was meant.
    let mixed = references(word, &|_| false).next().is_some();
    if keyword.is_some() || mixed || OBSERVATION.contains(&word) {
        return Err(unexpected(
            "one value or one variable",
            Token::Name(word),
            at,
        ));
    }
    Ok(Operand::Literal(Literal::Word(word.to_owned()), At(at)))
}

fn one_or(mut parts: Vec<Expression>, of: fn(Vec<Expression>) -> Expression) -> Expression {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => {
            parts.extend(last);
            of(parts)
        }
    }
}

fn test(left: Use, negated: bool, predicate: Predicate, at: usize) -> Expression {
    Expression::Test(Test {
        left,
        negated,
        predicate,
        at: At(at),
    })
}
