//! The answer to a condition.

use std::cmp::Ordering;

use thiserror::Error;

use super::Condition;
use super::tree::{self, At, Expression, Literal, Operand, Operator, Predicate, Test, Use};
use crate::time;
use crate::variable::address::Address;
use crate::variable::number::Number;
use crate::variable::{Type, Value, Variable, Variables};

/// Why a condition has no answer, or never the one that was meant. Places are offsets in bytes.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "`at` is where, and the rest is in the message")]
pub enum Error {
    /// A variable that nobody declared.
    #[error("there is no variable `{name}` (byte {at})")]
    Undeclared { name: String, at: usize },
    /// A variable that has no value, where one is needed; only evaluation finds it.
    #[error("`{name}` has no value, so that all one can ask is EXISTS (byte {at})")]
    NoValue { name: String, at: usize },
    /// An operator that says nothing about the variable's type.
    #[error("{operator} says nothing about `{name}`, which is a {kind} (byte {at})")]
    Operator {
        operator: &'static str,
        name: String,
        kind: Type,
        at: usize,
    },
    /// Something that is different from all values of the variable; only the check finds it.
    #[error("{operand} can be no value of `{name}`, which is a {kind} (byte {at})")]
    Mismatch {
        operand: String,
        name: String,
        kind: Type,
        at: usize,
    },
}

impl Error {
    /// Where it is in the text of the condition, in bytes.
    pub const fn at(&self) -> usize {
        match self {
            Self::Undeclared { at, .. }
            | Self::NoValue { at, .. }
            | Self::Operator { at, .. }
            | Self::Mismatch { at, .. } => *at,
        }
    }
}

/// Answers a condition.
pub(super) fn evaluate(condition: &Condition, variables: &dyn Variables) -> Result<bool, Error> {
    // First, so that what is wrong does not depend on how far evaluation comes.
    for test in condition.expression.tests() {
        for used in test.uses() {
            declared(used, variables)?;
        }
        applicable(test, &declared(&test.left, variables)?.kind)?;
    }
    expression(&condition.expression, variables)
}

/// An error where the operator says nothing about a type.
pub(super) fn applicable(test: &Test, kind: &Type) -> Result<(), Error> {
    let right = match &test.predicate {
        Predicate::Exists | Predicate::In(_) => true,
        Predicate::Compare(Operator::Equal | Operator::Unequal, _) => true,
        Predicate::Compare(..) => kind.is_number() || kind.is_text(),
        Predicate::Holds => *kind == Type::Bool,
        Predicate::Within(_) | Predicate::Subset(_) | Predicate::Superset(_) => {
            kind.is_address() || kind.is_text()
        }
        Predicate::Like(_) | Predicate::Matches(_) => {
            !kind.is_number() && !matches!(kind, Type::Bool | Type::Dictionary)
        }
    };
    if right {
        return Ok(());
    }
    let operator = match test.predicate.as_str() {
        "" => "a question without an operator",
        operator => operator,
    };
    Err(Error::Operator {
        operator,
        name: test.left.name.clone(),
        kind: kind.clone(),
        at: test.at.0,
    })
}

fn expression(asked: &Expression, variables: &dyn Variables) -> Result<bool, Error> {
    let (parts, stop) = match asked {
        Expression::Test(asked) => return Ok(test(asked, variables)? != asked.negated),
        Expression::All(parts) => (parts, false),
        Expression::Any(parts) => (parts, true),
    };
    for part in parts {
        if expression(part, variables)? == stop {
            return Ok(stop);
        }
    }
    Ok(!stop)
}

/// The answer before it is turned round.
fn test(test: &Test, variables: &dyn Variables) -> Result<bool, Error> {
    let variable = declared(&test.left, variables)?;
    if matches!(test.predicate, Predicate::Exists) {
        return Ok(variable.value.is_some());
    }
    let left = Left {
        kind: &variable.kind,
        value: value(&test.left, variable)?,
    };
    Ok(match &test.predicate {
        Predicate::Exists => true,
        Predicate::Holds => *left.value == Value::Bool(true),
        Predicate::Compare(operator, operand) => {
            left.compares(*operator, &literal(operand, variables)?)
        }
        Predicate::In(operands) => {
            let mut found = false;
            for operand in operands {
                found |= left.equals(&literal(operand, variables)?);
            }
            found
        }
        Predicate::Within(operand) => left.is_within(&literal(operand, variables)?),
        Predicate::Like(pattern) | Predicate::Matches(pattern) => {
            pattern.is_match(&left.value.to_string(), left.kind.ignores_case())
        }
        Predicate::Subset(operand) => {
            let block = address(&literal(operand, variables)?);
            block
                .zip(left.address())
                .is_some_and(|(block, own)| block.contains(own))
        }
        Predicate::Superset(operand) => {
            let block = address(&literal(operand, variables)?);
            block
                .zip(left.address())
                .is_some_and(|(block, own)| own.contains(block))
        }
    })
}

/// A variable on the left.
struct Left<'v> {
    kind: &'v Type,
    value: &'v Value,
}

impl Left<'_> {
    fn compares(&self, operator: Operator, right: &Literal) -> bool {
        let order = || self.order(right);
        match operator {
            Operator::Equal => self.equals(right),
            Operator::Unequal => !self.equals(right),
            Operator::Less => order() == Some(Ordering::Less),
            Operator::Greater => order() == Some(Ordering::Greater),
            Operator::LessOrEqual => order().is_some_and(Ordering::is_le),
            Operator::GreaterOrEqual => order().is_some_and(Ordering::is_ge),
        }
    }

    fn equals(&self, right: &Literal) -> bool {
        match (self.value, right) {
            (Value::Empty, right) => is_empty(right),
            (Value::Bool(left), Literal::Bool(right)) => left == right,
            (Value::Bool(left), Literal::Word(right)) => right.parse() == Ok(*left),
            (
                Value::HexString(left) | Value::Hash(left),
                Literal::Hex(right) | Literal::Binary(right),
            ) => *left == tree::hex(right),
            (Value::Integer(_) | Value::Float(_) | Value::Text(_), right) => {
                self.order(right) == Some(Ordering::Equal)
            }
            (Value::Bool(_), _) => false,
            (left, Literal::Text(right) | Literal::Word(right)) => {
                self.kind.parse(right).is_ok_and(|right| left.same(&right))
            }
            _ => false,
        }
    }

    /// How numbers and texts compare; none where the two are of different kinds.
    fn order(&self, right: &Literal) -> Option<Ordering> {
        match (self.value, right) {
            (Value::Integer(left), right) => Some(left.cmp(&number(right)?)),
            (Value::Float(left), Literal::Word(right)) => left.partial_cmp(&finite(right)?),
            (Value::Float(left), right) => left.partial_cmp(&number(right)?.to_f64()),
            (Value::Text(left), Literal::Text(right) | Literal::Word(right)) => {
                Some(left.as_str().cmp(right))
            }
            (Value::Text(left), Literal::Timestamp(right)) => {
                let (left, _) = time::read(left).ok()?;
                Some(left.cmp(right))
            }
            _ => None,
        }
    }

    /// `IN` with one value.
    fn is_within(&self, right: &Literal) -> bool {
        match (self.value, right) {
            (Value::Text(left), Literal::Text(right) | Literal::Word(right)) => {
                left.contains(right)
            }
            (Value::Address(left), right) => {
                address(right).is_some_and(|block| block.contains(*left))
            }
            _ => false,
        }
    }

    fn address(&self) -> Option<Address> {
        match self.value {
            Value::Address(address) => Some(*address),
            Value::Text(text) => Address::parse(text),
            _ => None,
        }
    }
}

fn is_empty(literal: &Literal) -> bool {
    matches!(literal, Literal::Text(text) | Literal::Word(text) if text.is_empty())
}

/// What a number is compared with, if that is a number.
fn number(literal: &Literal) -> Option<Number> {
    match literal {
        Literal::Integer(number) | Literal::Float(number) => Some(number.clone()),
        // A double prints all of its digits.
        Literal::Word(word) => {
            Number::parse(word).or_else(|| Number::parse(&finite(word)?.to_string()))
        }
        _ => None,
    }
}

fn finite(word: &str) -> Option<f64> {
    match Type::Float.parse(word) {
        Ok(Value::Float(float)) => Some(float),
        _ => None,
    }
}

fn address(literal: &Literal) -> Option<Address> {
    match literal {
        Literal::Text(text) | Literal::Word(text) => Address::parse(text),
        _ => None,
    }
}

/// What stands on the right; a variable there is its text, read by the type on the left.
fn literal(operand: &Operand, variables: &dyn Variables) -> Result<Literal, Error> {
    match operand {
        Operand::Literal(literal, _) => Ok(literal.clone()),
        Operand::Variable(right) => {
            let variable = declared(right, variables)?;
            Ok(Literal::Word(value(right, variable)?.to_string()))
        }
    }
}

pub(super) fn undeclared(used: &Use) -> Error {
    Error::Undeclared {
        name: used.name.clone(),
        at: used.at.0,
    }
}

fn declared<'v>(used: &Use, variables: &'v dyn Variables) -> Result<&'v Variable, Error> {
    variables
        .variable(&used.name)
        .ok_or_else(|| undeclared(used))
}

fn value<'v>(used: &Use, variable: &'v Variable) -> Result<&'v Value, Error> {
    let At(at) = used.at;
    variable.value.as_ref().ok_or_else(|| Error::NoValue {
        name: used.name.clone(),
        at,
    })
}
