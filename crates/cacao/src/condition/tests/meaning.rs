//! What conditions mean.

use super::*;

/// What operators mean, in STIX.
const TABLE: &[(&str, bool)] = &[
    // Numbers, exactly; a float as the double that it is.
    ("__i__:value = 5", true),
    ("__i__:value == 5.0", true),
    ("__i__:value <> 5", false),
    ("__i__:value > 4.9999999999999999999", true),
    ("__i__:value <= -5", false),
    ("__l__:value > 9007199254740992", true),
    ("__l__:value = 9007199254740993", true),
    ("__f__:value = 0.1", true),
    ("__f__:value = 0.10000000000000000555", true),
    ("__f__:value < +1", true),
    // Text, by code points.
    ("__s__:value = 'it\\'s 5%'", true),
    ("__s__:value = 'It\\'s 5%'", false),
    ("__s__:value > 'Z'", true),
    ("__s__:value < 'é'", true),
    ("__s__:value = 5", false),
    ("__s__:value != 5", true),
    ("__s__:value > 5", false),
    // What can be no value of the type is different from all.
    ("__i__:value = '5'", false),
    ("__i__:value != '5'", true),
    ("__i__:value > '4'", false),
    ("__ip__:value = 'x'", false),
    ("__b__:value = 'true'", false),
    ("__uu__:value != 1", true),
    // Other types, by what they mean.
    ("__b__:value = true", true),
    ("__b__:value != false", true),
    ("__b__:value = 1", false),
    ("__ip__:value = '10.1.2.3'", true),
    ("__ip__:value = '10.1.2.3/32'", true),
    ("__ip__:value = '10.0.0.0/8'", false),
    ("__ip-6__:value = '2001:0DB8::0001'", true),
    ("__m__:value = 'bc:D0:74:7a:3a:31'", true),
    (
        "__uu__:value = '6ba7b810-9dad-11d1-80b4-00c04fd430c8'",
        true,
    ),
    ("__u__:value = 'http://example.com/'", true),
    ("__h__:value = 'd41d8cd98f00b204e9800998ecf8427e'", true),
    ("__h__:value = h'd41d8cd98f00b204e9800998ecf8427e'", true),
    ("__x__:value = '0xfcA1'", true),
    ("__x__:value = h'FCA1'", true),
    ("__x__:value = b'/KE='", true),
    ("__d__:value = '{ \"a\": 1 }'", true),
    ("__d__:value = '{}'", false),
    ("__t__:value = t'2026-01-31T09:30:00Z'", true),
    ("__t__:value > t'2026-01-31T09:29:59.999Z'", true),
    ("__s__:value < t'2026-01-31T09:30:00Z'", false),
    // Known to be empty.
    ("__e__:value = ''", true),
    ("__e__:value = 0", false),
    ("__e__:value >= 0", false),
    ("EXISTS __e__:value", true),
    // Sets.
    ("__i__:value IN (1, 5.0, 'x')", true),
    ("__i__:value NOT IN (1, 2)", true),
    ("__i__:value IN ()", false),
    ("__ip__:value IN ('10.0.0.0/8')", false),
    ("__m__:value IN ('BC:D0:74:7A:3A:31')", true),
    // Patterns.
    ("__s__:value LIKE 'it_s %'", true),
    ("__s__:value LIKE 'it'", false),
    ("__s__:value NOT LIKE '%5'", true),
    ("__s__:value MATCHES '^it'", true),
    ("__s__:value MATCHES '\\\\d%$'", true),
    ("__h__:value LIKE 'D41D%'", true),
    ("__u__:value LIKE 'http:%'", false),
    ("__m__:value MATCHES '^BC'", true),
    ("__ip__:value LIKE '10.%'", true),
    // Blocks.
    ("__ip__:value ISSUBSET '10.0.0.0/8'", true),
    ("__ip__:value ISSUBSET '10.1.2.3'", true),
    ("__ip__:value ISSUBSET '11.0.0.0/8'", false),
    ("__ip__:value NOT ISSUBSET '::/0'", true),
    ("__ip-6__:value ISSUBSET '2001:db8::/32'", true),
    ("__net__:value ISSUPERSET '10.9.0.0/16'", true),
    ("__net__:value ISSUPERSET '0.0.0.0/0'", false),
    ("__net__:value ISSUBSET '10.0.0.0/8'", true),
    ("__text_ip__:value ISSUBSET '10.0.0.0/8'", true),
    ("__s__:value ISSUBSET '0.0.0.0/0'", false),
    // Together.
    ("EXISTS __n__:value", false),
    ("NOT EXISTS __n__:value", true),
    ("EXISTS __n__:value AND __n__:value = 1", false),
    ("__i__:value = 5 OR __n__:value = 1", true),
    (
        "__b__:value = true OR __b__:value = true AND __b__:value = false",
        true,
    ),
    (
        "(__b__:value = true OR __b__:value = true) AND __b__:value = false",
        false,
    ),
    (
        "[__i__:value = 5 /* five */ AND (__b__:value=true)] // yes",
        true,
    ),
    ("__i__:value NOT > 4", false),
    ("__i__:value NOT != 5", true),
];

#[test]
fn operators_mean_what_the_table_says() {
    for (text, expected) in TABLE {
        assert_eq!(holds(text, Dialect::Stix), *expected, "{text}");
    }
}

#[test]
fn the_bare_dialect_reads_what_others_write() {
    for (text, expected) in [
        ("__i__:value = 5", true),
        ("__i__:value > 4.5", true),
        ("__i__:value = five", false),
        ("__s__:value = 5", false),
        ("__f__:value < 1e3", true),
        ("__i__:value < 1e3", true),
        ("__b__:value", true),
        ("NOT __b__:value", false),
        ("__b__:value and not __b__:value", false),
        ("(__b__:value)", true),
        ("__b__:value = true", true),
        ("__b__:value = TRUE", false),
        ("__ip__:value = 10.1.2.3", true),
        ("__ip__:value IN 10.0.0.0/8", true),
        ("__ip__:value IN (10.0.0.0/8, 10.1.2.3)", true),
        ("__ip__:value IN __net__:value", true),
        ("__ip__:value ISSUBSET __net__:value", true),
        ("__net__:value ISSUPERSET __ip__:value", true),
        ("__text_ip__:value = __ip__:value", true),
        ("__ip__:value = __text_ip__:value", true),
        ("__ip__:value != __net__:value", true),
        ("__i__:value < __l__:value", true),
        ("__f__:value < __i__:value", true),
        ("__i__:value = __e__:value", false),
        ("__s__:value IN 5%", true),
        ("__s__:value IN 'it'", true),
        ("__s__:value != '01-01-2025'", true),
        ("__s__:value != 01-01-2025", true),
        ("__u__:value = http://example.com/", true),
        ("__s__:value MATCHES '\\d%'", true),
        ("__uu__:value = 6ba7b810-9dad-11d1-80b4-00c04fd430c8", true),
        ("__x__:value = h'fca1'", true),
        ("__s__:value like 'it%' or __b__:value", true),
        ("__s__:value in ('a', b, it)", false),
        ("exists __n__:value", false),
    ] {
        assert_eq!(holds(text, Dialect::Bare), expected, "{text}");
    }
}

#[test]
fn what_has_no_answer_is_an_error() {
    let undeclared = |at| Problem::Undeclared {
        name: "__y__".into(),
        at,
    };
    assert_eq!(problem("__y__:value = 1"), undeclared(0));
    assert_eq!(
        problem("__i__:value = 5 OR __y__:value = 1"),
        undeclared(19),
        "also where evaluation never comes"
    );
    assert_eq!(problem("EXISTS __y__:value"), undeclared(7));
    let no_value = |at| Problem::NoValue {
        name: "__n__".into(),
        at,
    };
    assert_eq!(problem("__n__:value != 1"), no_value(0));
    assert_eq!(
        problem("__b__:value = true AND __n__:value IN ()"),
        no_value(23)
    );
    let bare = read("__i__:value = __n__:value", Dialect::Bare).evaluate(&variables());
    assert_eq!(bare, Err(no_value(14)));
    for text in [
        "__b__:value < 1",
        "__ip__:value > '1.1.1.1'",
        "__u__:value < 'x'",
        "__i__:value LIKE '5'",
        "__b__:value MATCHES 't'",
        "__d__:value LIKE '%'",
        "__i__:value ISSUBSET '1.1.1.1'",
        "__uu__:value ISSUPERSET '::1'",
        "__h__:value < 'a'",
    ] {
        assert!(
            matches!(problem(text), Problem::Operator { at: 11..=14, .. }),
            "{text}"
        );
    }
    let bare = read("__i__:value", Dialect::Bare).evaluate(&variables());
    assert!(matches!(bare, Err(Problem::Operator { at: 0, .. })));
}

#[test]
fn a_check_finds_all_that_types_tell() {
    let found = |text, dialect| -> Vec<usize> {
        let problems = read(text, dialect).check(&kind);
        problems.iter().map(Problem::at).collect()
    };
    let stix = |text| found(text, Dialect::Stix);
    assert_eq!(
        stix("__i__:value = '5' AND __y__:value = 1 OR __b__:value < 'x'"),
        [14, 22, 53]
    );
    assert_eq!(
        stix("__ip__:value IN ('10.1.2.3', 'x', 5, '::1')"),
        [29, 34, 37]
    );
    assert_eq!(stix("__ip__:value ISSUBSET '::/0'"), [22]);
    assert_eq!(
        stix("__s__:value = 5 OR __t__:value = true OR __t__:value = h'00'"),
        [14, 33, 55]
    );
    for text in [
        "__i__:value = 5.5",
        "__n__:value = 1",
        "__e__:value = ''",
        "__t__:value < t'2026-01-31T09:30:00Z'",
        "__x__:value = h'00'",
        "__text_ip__:value ISSUBSET '::/0'",
        "__d__:value = '{}'",
        "NOT EXISTS __ip__:value",
    ] {
        assert_eq!(stix(text), [0_usize; 0], "{text}");
    }
    let bare = |text| found(text, Dialect::Bare);
    assert_eq!(
        bare("__i__:value = x OR __ip__:value = __i__:value OR __s__:value"),
        [14, 34, 49]
    );
    assert_eq!(
        bare("__i__:value = 1e3 OR __ip__:value IN 10.0.0.0/8 OR __s__:value = __i__:value"),
        [0_usize; 0]
    );
    assert_eq!(
        bare("__ip__:value IN x OR __l__:value = __y__:value"),
        [16, 35]
    );
}
