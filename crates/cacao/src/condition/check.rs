//! What is wrong with a condition, whatever the values of its variables.

use super::Condition;
use super::evaluate::{self, Error};
use super::tree::{At, Literal, Operand, Predicate, Test};
use crate::variable::address::Address;
use crate::variable::kind::cut;
use crate::variable::number::Number;
use crate::variable::{Type, Value};

/// All that is wrong, in the order of the text.
pub(super) fn check(condition: &Condition, kinds: &dyn Fn(&str) -> Option<Type>) -> Vec<Error> {
    let mut problems = Vec::new();
    for test in condition.expression.tests() {
        let mut known = true;
        for used in test.uses() {
            if kinds(&used.name).is_none() {
                problems.push(evaluate::undeclared(used));
                known = false;
            }
        }
        let Some(kind) = kinds(&test.left.name).filter(|_| known) else {
            continue;
        };
        match evaluate::applicable(test, &kind) {
            Err(problem) => problems.push(problem),
            Ok(()) => problems.extend(mismatches(test, &kind, kinds)),
        }
    }
    problems
}

/// What no value of the variable can be the same as.
fn mismatches(test: &Test, kind: &Type, kinds: &dyn Fn(&str) -> Option<Type>) -> Vec<Error> {
    let operands = test.predicate.operands().iter();
    let mismatch = |operand: &Operand| {
        let (fits, At(at)) = match operand {
            Operand::Literal(literal, at) => (fits(&test.predicate, literal, kind), *at),
            Operand::Variable(right) => {
                let right_kind = kinds(&right.name)?;
                (comparable(kind, &right_kind), right.at)
            }
        };
        (!fits).then(|| Error::Mismatch {
            operand: cut(&operand.to_string()),
            name: test.left.name.clone(),
            kind: kind.clone(),
            at,
        })
    };
    operands.filter_map(mismatch).collect()
}

fn fits(predicate: &Predicate, literal: &Literal, kind: &Type) -> bool {
    let text = match literal {
        Literal::Text(text) | Literal::Word(text) => text,
        Literal::Integer(_) | Literal::Float(_) => return kind.is_number(),
        Literal::Bool(_) => return *kind == Type::Bool,
        Literal::Timestamp(_) => return kind.is_text(),
        Literal::Hex(_) | Literal::Binary(_) => {
            return matches!(
                kind,
                Type::HexString | Type::Hash | Type::Md5 | Type::Sha256
            );
        }
    };
    if matches!(
        predicate,
        Predicate::Subset(_) | Predicate::Superset(_) | Predicate::Within(_)
    ) {
        return kind.is_text() || same_family(text, kind);
    }
    // Every variable can be known to be empty.
    if text.is_empty() {
        return true;
    }
    match literal {
        Literal::Text(_) if kind.is_number() || *kind == Type::Bool => false,
        Literal::Word(word) if kind.is_number() => {
            Number::parse(word).is_some() || Type::Float.parse(word).is_ok()
        }
        _ => kind.parse(text).is_ok(),
    }
}

/// Whether a text is an address of the type.
fn same_family(text: &str, kind: &Type) -> bool {
    Address::parse(text).is_some() && matches!(kind.parse(text), Ok(Value::Address(_)))
}

/// Whether values of two types can be the same. What text holds, nobody knows before.
fn comparable(left: &Type, right: &Type) -> bool {
    let digits = |kind: &Type| matches!(kind, Type::Hash | Type::Md5 | Type::Sha256);
    let text = left.is_text() || right.is_text();
    let number = left.is_number() && right.is_number();
    text || number || left == right || (digits(left) && digits(right))
}
