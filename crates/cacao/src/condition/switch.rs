//! What a `switch-condition` looks at (§4.10): one variable.

use thiserror::Error;

use super::evaluate;
use crate::variable::name::{self, Name};
use crate::variable::reference::KEYWORD;
use crate::variable::{Value, Variables};

/// The case for all values that have none of their own.
pub const DEFAULT: &str = "default";

/// The variable that a switch looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch {
    name: Name,
}

/// Why a text is no switch.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum Error {
    /// There is no `:value` at its end.
    #[error("a switch is one variable, written `__name__:value`; this does not end with `:value`")]
    Keyword,
    /// What stands before `:value` is not one name.
    #[error("a switch is one variable, written `__name__:value`: {0}")]
    Name(#[from] name::Error),
}

impl Switch {
    /// Reads a switch: exactly one reference and nothing else.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let name = text.strip_suffix(KEYWORD).ok_or(Error::Keyword)?;
        Ok(Self {
            name: Name::parse(name)?,
        })
    }

    /// The variable.
    pub const fn name(&self) -> &Name {
        &self.name
    }

    /// The case for the variable's value: the one that is the same value to its type, or else
    /// [`DEFAULT`], or else none. Of several, the one that is written as the value is.
    pub fn choose<'c>(
        &self,
        cases: impl IntoIterator<Item = &'c str>,
        variables: &dyn Variables,
    ) -> Result<Option<&'c str>, evaluate::Error> {
        let undeclared = || evaluate::Error::Undeclared {
            name: self.name.to_string(),
            at: 0,
        };
        let no_value = || evaluate::Error::NoValue {
            name: self.name.to_string(),
            at: 0,
        };
        let variable = variables
            .variable(self.name.as_str())
            .ok_or_else(undeclared)?;
        let value = variable.value.as_ref().ok_or_else(no_value)?;
        let text = value.to_string();
        let same = |case: &str| {
            variable
                .kind
                .parse(case)
                .is_ok_and(|case: Value| value.same(&case))
        };
        let ranks = cases.into_iter().filter_map(|case| match case {
            case if case == text => Some((0, case)),
            case if same(case) => Some((1, case)),
            DEFAULT => Some((2, case)),
            _ => None,
        });
        Ok(ranks.min_by_key(|(rank, _)| *rank).map(|(_, case)| case))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::variable::{Type, Variable};

    fn choose<'c>(kind: Type, value: &str, cases: &[&'c str]) -> Option<&'c str> {
        let value = kind.parse(value).expect("a value");
        let variables = BTreeMap::from([("__x__", Variable::new(kind, Some(value)))]);
        let switch = Switch::parse("__x__:value").expect("a switch");
        switch
            .choose(cases.iter().copied(), &variables)
            .expect("a value")
    }

    #[test]
    fn a_switch_is_exactly_one_reference() {
        assert_eq!(
            Switch::parse("__x__:value").map(|switch| switch.name.to_string()),
            Ok("__x__".into())
        );
        assert_eq!(Switch::parse("__x__"), Err(Error::Keyword));
        assert_eq!(Switch::parse(" __x__:value "), Err(Error::Keyword));
        for text in [
            ":value",
            "__x__:value__y__:value",
            "x__x__:value",
            " __x__:value",
        ] {
            assert!(matches!(Switch::parse(text), Err(Error::Name(_))), "{text}");
        }
    }

    #[test]
    fn the_case_of_the_same_value_is_chosen() {
        assert_eq!(
            choose(Type::Integer, "+1", &["01", "1", "default"]),
            Some("1")
        );
        assert_eq!(choose(Type::Integer, "1", &["2", "01"]), Some("01"));
        assert_eq!(
            choose(Type::Ipv6, "2001:db8::1", &["2001:DB8:0::1"]),
            Some("2001:DB8:0::1")
        );
        assert_eq!(
            choose(Type::String, "1", &["01", "default"]),
            Some("default")
        );
        assert_eq!(
            choose(Type::String, "default", &["a", "default"]),
            Some("default")
        );
        assert_eq!(choose(Type::String, "b", &["a"]), None);
        assert_eq!(choose(Type::Integer, "", &["0", ""]), Some(""));
    }

    #[test]
    fn a_switch_needs_a_value() {
        let switch = Switch::parse("__x__:value").expect("a switch");
        let mut variables = BTreeMap::new();
        let undeclared = switch.choose([DEFAULT], &variables);
        assert!(matches!(
            undeclared,
            Err(evaluate::Error::Undeclared { .. })
        ));
        variables.insert("__x__", Variable::new(Type::String, None));
        let no_value = switch.choose([DEFAULT], &variables);
        assert!(matches!(no_value, Err(evaluate::Error::NoValue { .. })));
    }
}
