//! Tests of [`super`].

mod meaning;
mod properties;
mod reading;

use std::collections::BTreeMap;

use super::evaluate::Error as Problem;
use super::{Condition, Dialect, Error};
use crate::variable::{Type, Variable};

fn variables() -> BTreeMap<&'static str, Variable> {
    let with = |kind: Type, text: &str| {
        let value = kind.parse(text).unwrap_or_else(|error| panic!("{error}"));
        Variable::new(kind, Some(value))
    };
    BTreeMap::from([
        ("__b__", with(Type::Bool, "true")),
        ("__d__", with(Type::Dictionary, r#"{"a":1}"#)),
        ("__e__", with(Type::Integer, "")),
        ("__f__", with(Type::Float, "0.1")),
        (
            "__h__",
            with(Type::Hash, "D41D8CD98F00B204E9800998ECF8427E"),
        ),
        ("__i__", with(Type::Integer, "5")),
        ("__ip__", with(Type::Ipv4, "10.1.2.3")),
        ("__ip-6__", with(Type::Ipv6, "2001:db8::1")),
        ("__l__", with(Type::Long, "9007199254740993")),
        ("__m__", with(Type::Mac, "BC:D0:74:7A:3A:31")),
        ("__n__", Variable::new(Type::Integer, None)),
        ("__net__", with(Type::Ipv4, "10.0.0.0/8")),
        ("__s__", with(Type::String, "it's 5%")),
        ("__t__", with(Type::String, "2026-01-31T09:30:00.000Z")),
        ("__text_ip__", with(Type::String, "10.1.2.3")),
        ("__u__", with(Type::Uri, "HTTP://Example.com")),
        (
            "__uu__",
            with(Type::Uuid, "6BA7B810-9DAD-11D1-80B4-00C04FD430C8"),
        ),
        ("__x__", with(Type::HexString, "0xFCA1")),
    ])
}

fn kind(name: &str) -> Option<Type> {
    variables().get(name).map(|variable| variable.kind.clone())
}

fn read(text: &str, dialect: Dialect) -> Condition {
    Condition::parse(text, dialect).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn holds(text: &str, dialect: Dialect) -> bool {
    let answer = read(text, dialect).evaluate(&variables());
    answer.unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn problem(text: &str) -> Problem {
    read(text, Dialect::Stix)
        .evaluate(&variables())
        .expect_err(text)
}
