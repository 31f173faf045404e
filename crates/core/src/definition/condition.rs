//! Conditions on variables.
//!
//! A playbook's are those of CACAO on variables with types. Definitions that are built by hand
//! compare a variable without type with a constant.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use conche_cacao::variable::Scope;

use crate::json::Json;

/// What is asked of variables.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// Of a variable without type.
    Compare(Compare),
    /// Of variables of a playbook.
    Cacao(Arc<conche_cacao::condition::Condition>),
}

/// A comparison of a variable without type with a constant.
#[derive(Debug, Clone, PartialEq)]
pub struct Compare {
    /// Name of the variable.
    pub variable: String,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what.
    pub value: serde_json::Value,
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Same type and value; numbers by value.
    Equal,
    /// The opposite.
    NotEqual,
    /// Numbers and texts only.
    Less,
    /// Numbers and texts only.
    Greater,
}

/// Why a condition has no answer. Never taken for "no".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No such variable.
    #[error("the variable '{0}' is not set")]
    Unset(String),
    /// Not JSON that can be read, e.g. a lone surrogate.
    #[error("the variable '{0}' cannot be read as a value")]
    Unreadable(String),
    /// A number with a text, and the like.
    #[error("'{0}' cannot be ordered against the value it is compared with")]
    Unordered(String),
    /// A playbook's condition that has no answer.
    #[error("the condition has no answer: {0}")]
    Cacao(#[from] conche_cacao::condition::evaluate::Error),
}

impl Condition {
    /// Whether it holds for a run's variables without types and what is seen of those with.
    pub fn holds(&self, variables: &BTreeMap<String, Json>, scope: &Scope) -> Result<bool, Error> {
        match self {
            Self::Compare(compare) => compare.holds(variables),
            Self::Cacao(condition) => Ok(condition.evaluate(scope)?),
        }
    }
}

impl Compare {
    /// Whether it holds.
    pub fn holds(&self, variables: &BTreeMap<String, Json>) -> Result<bool, Error> {
        let text = variables
            .get(&self.variable)
            .ok_or_else(|| Error::Unset(self.variable.clone()))?;
        let found: serde_json::Value = text
            .read()
            .map_err(|_| Error::Unreadable(self.variable.clone()))?;
        let order = order(&found, &self.value);
        match self.comparison {
            Comparison::Equal => Ok(order == Some(Ordering::Equal) || found == self.value),
            Comparison::NotEqual => Ok(order != Some(Ordering::Equal) && found != self.value),
            Comparison::Less => order
                .map(Ordering::is_lt)
                .ok_or_else(|| Error::Unordered(self.variable.clone())),
            Comparison::Greater => order
                .map(Ordering::is_gt)
                .ok_or_else(|| Error::Unordered(self.variable.clone())),
        }
    }
}

fn order(a: &serde_json::Value, b: &serde_json::Value) -> Option<Ordering> {
    use serde_json::Value;
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (whole(a), whole(b)) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
        },
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

/// A number that was written without fraction or exponent; these are compared exactly,
/// also where a float could not tell them apart.
fn whole(number: &serde_json::Number) -> Option<i128> {
    let signed = number.as_i64().map(i128::from);
    signed.or_else(|| number.as_u64().map(i128::from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn comparisons_follow_types_and_never_guess() {
        let variables = BTreeMap::from([
            ("n".to_owned(), Json::from(&json!(2))),
            ("t".to_owned(), Json::from(&json!("b"))),
            ("huge".to_owned(), Json::from(&json!(u64::MAX))),
        ]);
        let holds = |variable: &str, comparison, value| {
            Compare {
                variable: variable.to_owned(),
                comparison,
                value,
            }
            .holds(&variables)
        };
        assert_eq!(holds("n", Comparison::Equal, json!(2.0)), Ok(true));
        assert_eq!(holds("n", Comparison::Less, json!(3)), Ok(true));
        assert_eq!(
            holds("huge", Comparison::Greater, json!(u64::MAX - 1)),
            Ok(true)
        );
        assert_eq!(
            holds("huge", Comparison::Equal, json!(u64::MAX - 1)),
            Ok(false)
        );
        assert_eq!(holds("huge", Comparison::Greater, json!(-1)), Ok(true));
        assert_eq!(holds("t", Comparison::Greater, json!("a")), Ok(true));
        assert_eq!(holds("t", Comparison::NotEqual, json!(2)), Ok(true));
        assert_eq!(
            holds("t", Comparison::Less, json!(2)),
            Err(Error::Unordered("t".to_owned()))
        );
        assert_eq!(
            holds("x", Comparison::Equal, json!(null)),
            Err(Error::Unset("x".to_owned()))
        );
    }
}
