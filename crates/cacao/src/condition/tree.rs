//! Conditions as trees.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use super::pattern::Pattern;
use crate::variable::number::Number;

/// Where something stands in the text of a condition, in bytes. Two trees are equal wherever
/// their parts stood, and so all places are.
#[derive(Debug, Clone, Copy)]
pub struct At(pub usize);

impl PartialEq for At {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// A question, or several.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// Two or more that must all hold.
    All(Vec<Expression>),
    /// Two or more of which one must hold.
    Any(Vec<Expression>),
    /// A question about one variable.
    Test(Test),
}

/// A question about one variable.
#[derive(Debug, Clone, PartialEq)]
pub struct Test {
    /// The variable.
    pub left: Use,
    /// Whether the answer is turned round.
    pub negated: bool,
    /// What is asked.
    pub predicate: Predicate,
    /// Where the operator stands.
    pub at: At,
}

/// `__name__:value`.
#[derive(Debug, Clone, PartialEq)]
pub struct Use {
    /// The name, underscores included.
    pub name: String,
    /// Where it stands.
    pub at: At,
}

/// What is asked of a variable.
#[derive(Debug, Clone, PartialEq)]
pub enum Predicate {
    /// Whether it has a value.
    Exists,
    /// Whether it is true.
    Holds,
    /// How it compares with a value.
    Compare(Operator, Operand),
    /// Whether it is one of some values.
    In(Vec<Operand>),
    /// `IN` with one value and no parentheses: whether that is a part of the text, or a block
    /// that the address is in.
    Within(Operand),
    /// Whether it is as a pattern of `%` and `_` says.
    Like(Pattern),
    /// Whether a regular expression is found in it.
    Matches(Pattern),
    /// Whether its addresses are all of a block.
    Subset(Operand),
    /// Whether a block's addresses are all of its own.
    Superset(Operand),
}

/// How two values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each says it")]
pub enum Operator {
    Equal,
    Unequal,
    Less,
    Greater,
    LessOrEqual,
    GreaterOrEqual,
}

/// What a variable is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// A value, and where it stands.
    Literal(Literal, At),
    /// Another variable.
    Variable(Use),
}

/// A value in a condition.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// `'text'`.
    Text(String),
    /// Without quotes: read by the type of the variable on the left.
    Word(String),
    /// A whole number.
    Integer(Number),
    /// A number with a point.
    Float(Number),
    /// `true` or `false`.
    Bool(bool),
    /// `h'00ff'`.
    Hex(Vec<u8>),
    /// `b'AP8='`.
    Binary(Vec<u8>),
    /// `t'2026-01-31T09:30:00Z'`.
    Timestamp(Timestamp),
}

impl Expression {
    /// The questions about single variables, in the order of the text.
    pub fn tests(&self) -> Box<dyn Iterator<Item = &Test> + '_> {
        match self {
            Self::All(parts) | Self::Any(parts) => Box::new(parts.iter().flat_map(Self::tests)),
            Self::Test(test) => Box::new(std::iter::once(test)),
        }
    }
}

impl Test {
    /// The variables that it is about.
    pub fn uses(&self) -> impl Iterator<Item = &Use> {
        let right = self
            .predicate
            .operands()
            .iter()
            .filter_map(|operand| match operand {
                Operand::Variable(right) => Some(right),
                Operand::Literal(..) => None,
            });
        std::iter::once(&self.left).chain(right)
    }
}

impl Predicate {
    /// What the variable is compared with.
    pub fn operands(&self) -> &[Operand] {
        match self {
            Self::Exists | Self::Holds | Self::Like(_) | Self::Matches(_) => &[],
            Self::In(operands) => operands,
            Self::Compare(_, operand)
            | Self::Within(operand)
            | Self::Subset(operand)
            | Self::Superset(operand) => std::slice::from_ref(operand),
        }
    }

    /// The operator as it is written; nothing for a variable by itself.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Exists => "EXISTS",
            Self::Holds => "",
            Self::Compare(operator, _) => operator.as_str(),
            Self::In(_) | Self::Within(_) => "IN",
            Self::Like(_) => "LIKE",
            Self::Matches(_) => "MATCHES",
            Self::Subset(_) => "ISSUBSET",
            Self::Superset(_) => "ISSUPERSET",
        }
    }
}

impl Operator {
    /// The operator as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Unequal => "!=",
            Self::Less => "<",
            Self::Greater => ">",
            Self::LessOrEqual => "<=",
            Self::GreaterOrEqual => ">=",
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (parts, word) = match self {
            Self::Test(test) => return write!(f, "{test}"),
            Self::All(parts) => (parts, " AND "),
            Self::Any(parts) => (parts, " OR "),
        };
        for (at, part) in parts.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { word })?;
            match (self, part) {
                (_, Self::Test(_)) | (Self::Any(_), Self::All(_)) => write!(f, "{part}")?,
                _ => write!(f, "({part})")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (left, operator) = (&self.left, self.predicate.as_str());
        let not = if self.negated { "NOT " } else { "" };
        match &self.predicate {
            Predicate::Exists => return write!(f, "{not}EXISTS {left}"),
            Predicate::Holds => return write!(f, "{not}{left}"),
            _ => write!(f, "{left} {not}{operator} ")?,
        }
        match &self.predicate {
            Predicate::In(operands) => {
                let operands: Vec<String> = operands.iter().map(ToString::to_string).collect();
                write!(f, "({})", operands.join(", "))
            }
            Predicate::Like(pattern) | Predicate::Matches(pattern) => {
                write_text(pattern.source(), f)
            }
            other => other
                .operands()
                .iter()
                .try_for_each(|operand| write!(f, "{operand}")),
        }
    }
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name, crate::variable::reference::KEYWORD)
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(literal, _) => write!(f, "{literal}"),
            Self::Variable(right) => write!(f, "{right}"),
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write_text(text, f),
            Self::Word(word) => f.write_str(word),
            Self::Integer(number) => write!(f, "{number}"),
            // The point makes it a float.
            Self::Float(number) if number.is_whole() => write!(f, "{number}.0"),
            Self::Float(number) => write!(f, "{number}"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Hex(bytes) => write!(f, "h'{}'", hex(bytes)),
            Self::Binary(bytes) => write!(f, "b'{}'", STANDARD.encode(bytes)),
            Self::Timestamp(time) => write!(f, "t'{time}'"),
        }
    }
}

/// Bytes as hexadecimal digits in small letters.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16);
    let digits = bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    digits.flatten().collect()
}

fn write_text(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let escaped = text.replace('\\', r"\\").replace('\'', r"\'");
    write!(f, "'{escaped}'")
}
