//! What is no condition.

use super::super::pattern;
use super::*;

fn refused(text: &str, dialect: Dialect) -> Error {
    Condition::parse(text, dialect).expect_err(text)
}

#[test]
fn what_is_no_condition_is_told_with_its_place() {
    let at = |text| refused(text, Dialect::Stix).at();
    for (text, place) in [
        ("", 0),
        ("__i__:value", 0),
        ("__i__:value =", 13),
        ("__i__:value = 5 AND", 19),
        ("(__i__:value = 5", 16),
        ("__i__:value = 5)", 15),
        ("[__i__:value = 5", 16),
        ("__i__:value = 5]", 15),
        ("5 = __i__:value", 0),
        ("__i__:value ~ 5", 12),
        ("__i__:value IN (5,)", 18),
        ("__i__:value IN 5", 15),
        ("__i__:value LIKE 5", 17),
        ("__i__:value NOT 5", 16),
        ("NOT __b__:value = true", 4),
        ("__i__:value < true", 14),
        ("é", 0),
        ("__i__:value = x'00'", 14),
        ("__i__:value = 5 5", 16),
        ("__i__:value = __b__:value", 14),
    ] {
        assert_eq!(at(text), place, "{text}: {}", refused(text, Dialect::Stix));
    }
}

#[test]
fn errors_say_what_is_wrong() {
    let of = |text: &str| refused(text, Dialect::Stix);
    assert!(matches!(
        of("__s__:value = 'a"),
        Error::NoEnd { at: 14, .. }
    ));
    assert!(matches!(
        of("__s__:value /* = 'a'"),
        Error::NoEnd { at: 12, .. }
    ));
    assert_eq!(
        of(r"__s__:value = '\d'"),
        Error::Escape { char: 'd', at: 15 }
    );
    assert!(matches!(
        of("__s__:value = h'abc'"),
        Error::Literal { at: 14, .. }
    ));
    assert!(matches!(
        of("__s__:value = b'abc'"),
        Error::Literal { at: 14, .. }
    ));
    assert!(matches!(
        of("__s__:value = t'2026-02-30T00:00:00Z'"),
        Error::Literal { at: 14, .. }
    ));
    assert!(matches!(
        of("ipv4-addr:value = '1.1.1.1'"),
        Error::Name { at: 0, .. }
    ));
    for text in [
        "__s__ = 'a'",
        "__s__:Value = 'a'",
        "__s__:value.x = 'a'",
        "__s__:value[0] = 'a'",
        "__s__ :value = 'a'",
        "__s__:value2 = 'a'",
        "__s__:x = 'a'",
    ] {
        assert!(matches!(of(text), Error::Property { at: 0, .. }), "{text}");
    }
    for text in [
        "[__i__:value = 5] AND [__i__:value = 5]",
        "[__i__:value = 5] FOLLOWEDBY [__i__:value = 5]",
        "[__i__:value = 5] WITHIN 5 SECONDS",
        "__i__:value = 5 REPEATS 5 TIMES",
        "([__i__:value = 5])",
        "[__i__:value = 5] START t'2026-01-31T09:30:00Z' STOP t'2026-01-31T09:30:00Z'",
    ] {
        assert!(
            matches!(of(text), Error::Observation { .. }),
            "{text}: {}",
            of(text)
        );
    }
    assert!(matches!(
        of("__i__:value = 5 and __i__:value = 5"),
        Error::KeywordCase { at: 16, .. }
    ));
    for word in ["10.0.0.0/8", "five", "01", "True", "5x", "1e5", "+", "."] {
        let error = of(&format!("__i__:value = {word}"));
        assert!(
            matches!(
                error,
                Error::Unquoted { at: 14, .. } | Error::KeywordCase { at: 14, .. }
            ),
            "{error}"
        );
    }
    assert!(matches!(
        of("__s__:value MATCHES 'a(?=b)'"),
        Error::Pattern {
            source: pattern::Fault::LookAround,
            at: 20
        }
    ));
    assert!(matches!(
        of("__ip__:value ISSUBSET 'x'"),
        Error::Address { at: 22, .. }
    ));
    let deep = format!("{}__i__:value = 5{}", "(".repeat(65), ")".repeat(65));
    assert_eq!(of(&deep), Error::TooDeep { limit: 64, at: 64 });
    assert!(matches!(of(&"(".repeat(70_000)), Error::TooLong { .. }));
    let bare = |text| refused(text, Dialect::Bare);
    for text in [
        "__i__:value = AND",
        "__i__:value = __i__:value/8",
        "__i__:value === 5",
        "__i__:value MATCHES __s__:value",
        "__i__:value = a b",
        "__i__:value = x'00'",
    ] {
        assert!(
            matches!(bare(text), Error::Expected { .. }),
            "{text}: {}",
            bare(text)
        );
    }
}
