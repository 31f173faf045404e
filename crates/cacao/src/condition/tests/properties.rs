//! What is so of all conditions.

use std::fs;

use proptest::prelude::*;

use super::super::tree::{At, Expression, Literal, Operand, Operator, Predicate, Test, Use};
use super::*;
use crate::variable::number::Number;

#[test]
fn every_seed_is_read_or_refused_and_what_is_read_is_written_again() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/conditions");
    let mut seeds = 0;
    for seed in fs::read_dir(folder).expect("seeds") {
        let text = fs::read_to_string(seed.expect("a seed").path()).expect("text");
        for dialect in [Dialect::Stix, Dialect::Bare] {
            seeds += usize::from(round_trip(&text, dialect));
        }
    }
    assert!(seeds >= 10, "{seeds} could be read");
}

/// Whether a text is a condition; if so, it must be the same once written and read again.
fn round_trip(text: &str, dialect: Dialect) -> bool {
    let Ok(condition) = Condition::parse(text, dialect) else {
        return false;
    };
    assert_eq!(
        Condition::parse(&condition.to_string(), dialect),
        Ok(condition.clone()),
        "{text}"
    );
    drop(condition.evaluate(&variables()));
    drop(condition.check(&kind));
    true
}

fn literal(dialect: Dialect) -> BoxedStrategy<Literal> {
    let text = any::<String>().prop_map(Literal::Text);
    let hex = any::<Vec<u8>>().prop_map(Literal::Hex);
    let binary = any::<Vec<u8>>().prop_map(Literal::Binary);
    let time = (-62_000_000_000..250_000_000_000_i64, 0..1_000_000_000_i32).prop_map(
        |(second, nanosecond)| {
            Literal::Timestamp(jiff::Timestamp::new(second, nanosecond).expect("in range"))
        },
    );
    let typed = prop_oneof![text, hex, binary, time];
    let number = |text: String| Number::parse(&text).expect("a number");
    match dialect {
        Dialect::Stix => prop_oneof![
            typed,
            "[+-]?[0-9]{1,30}".prop_map(move |text| Literal::Integer(number(text))),
            "[+-]?[0-9]{0,20}\\.[0-9]{1,20}".prop_map(move |text| Literal::Float(number(text))),
            any::<bool>().prop_map(Literal::Bool),
        ]
        .boxed(),
        Dialect::Bare => prop_oneof![
            typed,
            "[a-z0-9.+-][a-zA-Z0-9:/.?=é-]{0,9}".prop_map(Literal::Word)
        ]
        .boxed(),
    }
}

fn one_use() -> impl Strategy<Value = Use> {
    "__[a-zA-Z_][a-zA-Z0-9_-]{0,5}__".prop_map(|name| Use { name, at: At(0) })
}

fn operand(dialect: Dialect) -> BoxedStrategy<Operand> {
    let literal = literal(dialect).prop_map(|literal| Operand::Literal(literal, At(0)));
    match dialect {
        Dialect::Stix => literal.boxed(),
        Dialect::Bare => {
            prop_oneof![4 => literal, 1 => one_use().prop_map(Operand::Variable)].boxed()
        }
    }
}

fn test(dialect: Dialect) -> BoxedStrategy<Expression> {
    use super::super::pattern::Pattern;
    let operator = prop::sample::select(vec![
        Operator::Equal,
        Operator::Unequal,
        Operator::Less,
        Operator::Greater,
        Operator::LessOrEqual,
        Operator::GreaterOrEqual,
    ]);
    let compare = (operator, operand(dialect))
        .prop_filter("truth values have no order", |(operator, operand)| {
            let equality = matches!(operator, Operator::Equal | Operator::Unequal);
            equality || !matches!(operand, Operand::Literal(Literal::Bool(_), _))
        })
        .prop_map(|(operator, operand)| Predicate::Compare(operator, operand));
    let block = || {
        "[0-9]{1,2}(\\.[0-9]{1,2}){3}(/[1-9])?"
            .prop_filter("no leading zeros", |text| {
                Condition::parse(&format!("__a__:value ISSUBSET '{text}'"), Dialect::Stix).is_ok()
            })
            .prop_map(|text| Operand::Literal(Literal::Text(text), At(0)))
    };
    let pattern =
        || "[a-z%_'\\PC]{0,5}".prop_filter_map("a pattern", |text| Pattern::like(&text).ok());
    let both = prop_oneof![
        3 => compare,
        1 => Just(Predicate::Exists),
        1 => prop::collection::vec(operand(dialect), 0..4).prop_map(Predicate::In),
        1 => pattern().prop_map(Predicate::Like),
        1 => "[a-z.*']{0,5}".prop_filter_map("a pattern", |text| Pattern::matches(&text).ok()).prop_map(Predicate::Matches),
        1 => block().prop_map(Predicate::Subset),
        1 => block().prop_map(Predicate::Superset),
    ];
    let predicate = match dialect {
        Dialect::Stix => both.boxed(),
        Dialect::Bare => prop_oneof![
            6 => both,
            1 => Just(Predicate::Holds),
            1 => operand(dialect).prop_map(Predicate::Within),
        ]
        .boxed(),
    };
    (one_use(), any::<bool>(), predicate)
        .prop_map(|(left, negated, predicate)| {
            let at = At(0);
            Expression::Test(Test {
                left,
                negated,
                predicate,
                at,
            })
        })
        .boxed()
}

fn condition(dialect: Dialect) -> impl Strategy<Value = Condition> {
    let tree = test(dialect).prop_recursive(4, 16, 3, |inner| {
        let parts = || prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            parts().prop_map(Expression::All),
            parts().prop_map(Expression::Any)
        ]
    });
    tree.prop_map(|expression| Condition { expression })
}

proptest! {
    // Each case compiles some patterns, which is slow without optimisation.
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_written_condition_is_read_as_itself(stix in condition(Dialect::Stix), bare in condition(Dialect::Bare)) {
        for (condition, dialect) in [(stix, Dialect::Stix), (bare, Dialect::Bare)] {
            let text = condition.to_string();
            prop_assert_eq!(Condition::parse(&text, dialect), Ok(condition), "{}", text);
        }
    }

    #[test]
    fn no_text_makes_it_panic(
        text in "(\\PC|__[a-z]__:value|__ip__:value|[=<>!]=?| (AND|OR|NOT|IN|LIKE|MATCHES|ISSUBSET|EXISTS) |'[a-z0-9.*%/]{0,9}'|[()\\[\\],'\\\\ ]|[0-9]{1,3}|10\\.0\\.0\\.0/8|/\\*|\\*/|//|[hbt]'){0,12}",
    ) {
        for dialect in [Dialect::Stix, Dialect::Bare] {
            round_trip(&text, dialect);
        }
    }

    #[test]
    fn a_likely_text_does_not_make_it_panic(
        text in "(__[a-z]__:value|__ip__:value)( NOT)? ([=<>]|!=|IN|LIKE|MATCHES|ISSUBSET|ISSUPERSET) ('[a-z0-9.*%/]{0,9}'|5|5\\.5|true|x|__[a-z]__:value|\\(5, '5'\\))( (AND|OR) (EXISTS )?__[a-z]__:value( = 5)?)?",
    ) {
        for dialect in [Dialect::Stix, Dialect::Bare] {
            round_trip(&text, dialect);
        }
    }
}
