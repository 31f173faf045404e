//! Conditions (§4.8): what an `if-condition` or a `while-condition` asks of variables.
//!
//! A condition is a comparison expression of STIX patterns. It is read into a tree and
//! evaluated there with the values looked up by name: no value ever becomes text of a
//! condition, so that none can change what is asked.
//!
//! What the operators mean:
//!
//! * The type of the variable on the left decides how the right side is compared: addresses,
//!   hashes, UUIDs, hardware addresses and URIs by what they mean, text by its code points,
//!   numbers exactly (a `float` as the double that it is).
//! * A literal that can be no value of that type is different from all of them: `=` and the
//!   order say no, `!=` says yes. [`Condition::check`] reports it before.
//! * An operator that says nothing about the variable's type (`<` of truth values, `LIKE` of
//!   numbers) is an error, and so is every variable that is not declared, wherever it stands.
//! * A variable without a value can only be asked whether it `EXISTS`; anything else that
//!   evaluation comes to is an error. `EXISTS a AND a = 1` does not come to the second part.
//! * `NOT` turns the answer round. `AND` binds tighter than `OR`; both stop early.

mod check;
mod error;
pub mod evaluate;
mod parser;
pub mod pattern;
mod scanner;
pub mod switch;
pub mod tree;

pub use self::error::Error;
pub use self::switch::Switch;
use self::tree::{Expression, Use};
use crate::variable::{Type, Variables};

/// The longest condition that is read, in bytes.
pub const LENGTH_MAX: usize = 64 << 10;

/// How deep parentheses may be within each other.
pub const DEPTH_MAX: usize = 64;

/// How many patterns (`LIKE`, `MATCHES`) a condition may have: each is compiled.
pub const PATTERNS_MAX: usize = 16;

/// How many patterns a text has if it is a condition, at the most.
pub(crate) fn patterns(text: &str) -> usize {
    let text = text.to_ascii_uppercase();
    ["LIKE", "MATCHES"]
        .map(|word| text.matches(word).count())
        .iter()
        .sum()
}

/// Which conditions are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dialect {
    /// STIX 2.1 to the letter, brackets around the whole of it optional.
    #[default]
    Stix,
    /// As others write them. Beside STIX: values without quotes, read by the type of the
    /// variable on the left; `__name__:value` on the right; a variable of type `bool` by
    /// itself; keywords in small letters; a backslash in text that stands for itself; and
    /// `IN` with one value, which asks for a part of a text or an address of a block.
    Bare,
}

/// A condition that has been read.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    expression: Expression,
}

impl Condition {
    /// Reads a condition.
    pub fn parse(text: &str, dialect: Dialect) -> Result<Self, Error> {
        let expression = parser::parse(text, dialect)?;
        Ok(Self { expression })
    }

    /// What is asked.
    pub const fn expression(&self) -> &Expression {
        &self.expression
    }

    /// The uses of variables, in the order of the text.
    pub fn uses(&self) -> Vec<&Use> {
        self.expression.tests().flat_map(tree::Test::uses).collect()
    }

    /// Answers the condition.
    ///
    /// ```
    /// use std::collections::BTreeMap;
    ///
    /// use conche_cacao::condition::{Condition, Dialect};
    /// use conche_cacao::variable::{Type, Variable};
    ///
    /// let text = "__ip__:value ISSUBSET '10.0.0.0/8' AND __failures__:value >= 5";
    /// let condition = Condition::parse(text, Dialect::Stix)?;
    /// let variable = |kind: Type, text| kind.parse(text).map(|value| Variable::new(kind, Some(value)));
    /// let mut variables = BTreeMap::from([
    ///     ("__ip__", variable(Type::Ipv4, "10.1.2.3")?),
    ///     ("__failures__", variable(Type::Integer, "12")?),
    /// ]);
    /// assert!(condition.evaluate(&variables)?);
    ///
    /// variables.remove("__failures__");
    /// let error = condition.evaluate(&variables).expect_err("it is not there");
    /// assert_eq!(error.to_string(), "there is no variable `__failures__` (byte 39)");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn evaluate(&self, variables: &dyn Variables) -> Result<bool, evaluate::Error> {
        evaluate::evaluate(self, variables)
    }

    /// All that is wrong with the condition for variables of these types; the types are
    /// looked up by name, none where a variable is not declared. A condition without
    /// problems can still fail to be evaluated, for want of a value.
    pub fn check(&self, kinds: &dyn Fn(&str) -> Option<Type>) -> Vec<evaluate::Error> {
        check::check(self, kinds)
    }
}

/// Writes the condition so that it is read as the same again, in the dialect in which it was
/// read.
impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.expression.fmt(f)
    }
}

#[cfg(test)]
mod tests;
