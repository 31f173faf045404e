//! Tests of [`super`], and of the quoting that it does.

use std::cell::Cell;
use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::super::{Type, Variable};
use super::*;

fn variables(values: &[(&'static str, Type, &str)]) -> BTreeMap<&'static str, Variable> {
    let one = |(name, kind, text): &(&'static str, Type, &str)| {
        let value = kind.parse(text).expect("a value of its type");
        (*name, Variable::new(kind.clone(), Some(value)))
    };
    values.iter().map(one).collect()
}

fn with(value: &str, text: &str, quoting: Quoting) -> Result<String, Error> {
    let variables = variables(&[("__x__", Type::String, value)]);
    Substitution::new(&variables).text(text, quoting)
}

fn written(value: &str, text: &str, quoting: Quoting) -> String {
    with(value, text, quoting).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Why a value is refused at a place.
fn refused(value: &str, text: &str, quoting: Quoting) -> quote::Error {
    match with(value, text, quoting) {
        Err(Error::Refused { name, at, reason }) => {
            assert_eq!(&text[at..at + name.len()], name);
            reason
        }
        other => panic!("{text} gave {other:?}"),
    }
}

#[test]
fn each_kind_of_text_has_its_way_of_writing() {
    let odd = "a \"b\"\\\n'c'/$d&é";
    assert_eq!(
        written(odd, "<__x__:value>", Quoting::Plain),
        format!("<{odd}>")
    );
    assert_eq!(
        written(odd, r#"{"k":"__x__:value"}"#, Quoting::JsonString),
        json!({"k": odd}).to_string()
    );
    let percent = "a%20%22b%22%5C%0A%27c%27%2F%24d%26%C3%A9";
    assert_eq!(
        written(odd, "/u/__x__:value/", Quoting::PathSegment),
        format!("/u/{percent}/")
    );
    assert_eq!(
        written(odd, "q=__x__:value", Quoting::QueryComponent),
        format!("q={percent}")
    );
    assert_eq!(
        written("a\tb é", "__x__:value", Quoting::HeaderValue),
        "a\tb é"
    );
}

#[test]
fn a_header_keeps_to_its_line_and_a_path_to_its_place() {
    for char in ['\r', '\n', '\0', '\u{7f}', '\u{85}'] {
        let value = format!("a{char}b");
        let reason = refused(&value, "Bearer __x__:value", Quoting::HeaderValue);
        assert_eq!(reason, quote::Error::HeaderControl(char));
    }
    for value in ["", ".", ".."] {
        let reason = refused(value, "/u/__x__:value/k", Quoting::PathSegment);
        assert_eq!(reason, quote::Error::Segment);
    }
    assert_eq!(
        written("../a", "/u/__x__:value", Quoting::PathSegment),
        "/u/..%2Fa"
    );
    assert_eq!(
        written("..", "?q=__x__:value", Quoting::QueryComponent),
        "?q=.."
    );
}

#[test]
fn a_word_of_a_shell_stays_one_word_within_any_quotes() {
    let posix = |value, text| written(value, text, Quoting::PosixShell);
    assert_eq!(posix("a'b $(c)", "echo __x__:value"), r"echo 'a'\''b $(c)'");
    assert_eq!(posix("a'b", "echo 'x __x__:value y'"), r"echo 'x a'\''b y'");
    assert_eq!(
        posix(r#"$(a) `b` "c" \d"#, "echo \"-__x__:value-\""),
        r#"echo "-\$(a) \`b\` \"c\" \\d-""#
    );
    assert_eq!(posix("", "f __x__:value ."), "f '' .");
    assert_eq!(posix("v", r#"a "\"" __x__:value"#), r#"a "\"" 'v'"#);
    assert_eq!(posix("v", "a \\' __x__:value"), "a \\' 'v'");
    assert_eq!(
        posix("v", "\"${HOME}/__x__:value\" # it's\n__x__:value"),
        "\"${HOME}/v\" # it's\n'v'"
    );
    assert_eq!(posix("v", "x=$(date -d __x__:value)"), "x=$(date -d 'v')");
    let power = |value, text| written(value, text, Quoting::PowerShell);
    assert_eq!(power("a'b ’; c", "echo __x__:value"), "echo 'a''b ’’; c'");
    assert_eq!(power("a'b", "echo 'x __x__:value y'"), "echo 'x a''b y'");
    assert_eq!(
        power("$(a) `b \"c\" ”", "echo \"-__x__:value-\""),
        "echo \"-`$(a) ``b `\"c`\" `”-\""
    );
    assert_eq!(
        power("v", "echo \"${a}-$env:b -__x__:value\""),
        "echo \"${a}-$env:b -v\""
    );
}

#[test]
fn where_no_quoting_is_safe_a_value_is_refused() {
    for text in [
        "echo \"$(cat __x__:value)\"",
        "echo `cat __x__:value`",
        "cat <<E\n__x__:value\nE",
        "echo $((__x__:value + 1))",
        "((__x__:value > 1))",
        "echo $[__x__:value]",
        "echo $'__x__:value'",
        "echo ${a:-__x__:value}",
        "echo \"${a:-__x__:value}\"",
        "echo $__x__:value",
        "echo \"$__x__:value\"",
        "echo \\__x__:value",
        "echo \"\\__x__:value\"",
        "ls # __x__:value",
        "(# __x__:value",
        "\"$a__x__:value\"",
        "a \\\n# it's\n__x__:value",
        "\"$\\\n(__x__:value)\"",
    ] {
        let reason = refused("v", text, Quoting::PosixShell);
        assert!(matches!(reason, quote::Error::Place(_)), "{text}: {reason}");
    }
    for text in [
        "echo \"$(cat __x__:value)\"",
        "@'\n__x__:value\n'@",
        "echo $__x__:value",
        "echo \"$__x__:value\"",
        "echo `__x__:value",
        "echo \"`__x__:value\"",
        "ls # __x__:value",
        "<# __x__:value #>",
        "${__x__:value}",
        "icacls --% __x__:value",
        "\"$env:__x__:value\"",
        "$a#it's\n__x__:value",
        "@__x__:value",
    ] {
        let reason = refused("v", text, Quoting::PowerShell);
        assert!(matches!(reason, quote::Error::Place(_)), "{text}: {reason}");
    }
    assert_eq!(
        refused("a\0", "__x__:value", Quoting::PosixShell),
        quote::Error::Nul
    );
    assert_eq!(
        refused("a\0", "__x__:value", Quoting::PowerShell),
        quote::Error::Nul
    );
}

#[test]
fn what_cannot_be_filled_in_is_told_with_its_place() {
    let mut known = variables(&[("__x__", Type::String, "v")]);
    known.insert("__null__", Variable::new(Type::String, None));
    let substitution = Substitution::new(&known);
    let name = || "__y__".to_owned();
    assert_eq!(
        substitution.text("é __y__:value", Quoting::Plain),
        Err(Error::Undeclared {
            name: name(),
            at: 3
        })
    );
    let no_value = || Error::NoValue {
        name: "__null__".to_owned(),
        at: 1,
    };
    assert_eq!(
        substitution.text("-__null__:value", Quoting::Plain),
        Err(no_value())
    );
    assert_eq!(
        substitution.json(&json!({"a": ["", {"b": "-__null__:value"}]})),
        Err(Error::Within {
            pointer: Pointer::top().then("a").then(1).then("b"),
            source: Box::new(no_value()),
        })
    );
    assert!(matches!(
        substitution.base64("?", Quoting::Plain),
        Err(Error::Base64(_))
    ));
}

#[test]
fn what_comes_of_a_text_has_a_limit() {
    let known = variables(&[("__x__", Type::String, "12345")]);
    let substitution = Substitution::new(&known).within(10);
    let too_long = || Error::TooLong { limit: 10 };
    assert_eq!(
        substitution
            .text("__x__:value__x__:value", Quoting::Plain)
            .as_deref(),
        Ok("1234512345")
    );
    assert_eq!(
        substitution.text("__x__:value __x__:value", Quoting::Plain),
        Err(too_long())
    );
    assert_eq!(
        substitution
            .text("__x__:value", Quoting::PosixShell)
            .as_deref(),
        Ok("'12345'")
    );
    assert_eq!(
        substitution.json(&json!(["__x__:value", "-__x__:value"])),
        Err(too_long())
    );
}

#[test]
fn documents_get_typed_values() {
    let mut known = variables(&[
        ("__n__", Type::Integer, "+05"),
        ("__big__", Type::Long, "9007199254740993"),
        ("__b__", Type::Bool, "true"),
        ("__f__", Type::Float, "0.50"),
        (
            "__d__",
            Type::Dictionary,
            "{\"__n__:value\": \"__n__:value\"}",
        ),
        ("__s__", Type::String, "__n__:value"),
        ("__e__", Type::Integer, ""),
    ]);
    known.insert("__null__", Variable::new(Type::String, None));
    let document = json!({
        "__n__:value": ["__n__:value", "__big__:value", "__b__:value", "__f__:value", "__null__:value", "__e__:value"],
        "text": " __n__:value__b__:value", "tree": "__d__:value", "again": "__s__:value", "other": [1, null, true],
    });
    assert_eq!(
        Substitution::new(&known).json(&document),
        Ok(json!({
            "5": [5, "9007199254740993", true, 0.5, null, ""],
            "text": " 5true", "tree": {"__n__:value": "__n__:value"}, "again": "__n__:value", "other": [1, null, true],
        }))
    );
}

#[test]
fn names_of_members_are_filled_in_and_stay_different() {
    let known = variables(&[
        ("__x__", Type::String, "a\"b"),
        ("__y__", Type::String, "y"),
    ]);
    let substitution = Substitution::new(&known);
    assert_eq!(
        substitution.json(&json!({"m": {"__x__:value": 1, "-__y__:value": 2}})),
        Ok(json!({"m": {"a\"b": 1, "-y": 2}}))
    );
    let within = |at: Pointer, source: Error| {
        Err(Error::Within {
            pointer: at,
            source: Box::new(source),
        })
    };
    assert_eq!(
        substitution.json(&json!({"m": {"-__y__:value": 2, "-y": 1}})),
        within(
            Pointer::top().then("m").then("-y"),
            Error::Twice("-y".to_owned())
        )
    );
    assert_eq!(
        substitution.json(&json!({"__no__:value": 1})),
        within(
            Pointer::top().then("__no__:value"),
            Error::Undeclared {
                name: "__no__".to_owned(),
                at: 0
            }
        )
    );
}

#[test]
fn base64_is_filled_in_as_the_text_that_it_is() {
    let known = variables(&[("__x__", Type::String, "a'b")]);
    let substitution = Substitution::new(&known);
    let encoded = STANDARD.encode("echo __x__:value");
    let filled = substitution
        .base64(&encoded, Quoting::PosixShell)
        .expect("filled in");
    assert_eq!(STANDARD.decode(filled).expect("base64"), br"echo 'a'\''b'");
    let binary = STANDARD.encode(b"\xff__x__:value");
    assert_eq!(
        substitution.base64(&binary, Quoting::Plain),
        Ok(binary.clone())
    );
}

/// Counts how often it is asked.
struct Counting<'a>(&'a BTreeMap<&'static str, Variable>, Cell<usize>);

impl Variables for Counting<'_> {
    fn variable(&self, name: &str) -> Option<&Variable> {
        self.1.set(self.1.get() + 1);
        self.0.variable(name)
    }
}

#[test]
fn ten_thousand_references_in_a_megabyte_take_twice_what_five_thousand_take() {
    let known = variables(&[("__x__", Type::String, "__x__:value")]);
    let asked = |references: usize| {
        let text = format!("{}__x__:value", "y".repeat(99)).repeat(references);
        let counting = Counting(&known, Cell::new(0));
        let filled = Substitution::new(&counting)
            .text(&text, Quoting::Plain)
            .expect("filled in");
        assert_eq!(filled, text, "the value is a reference, and stays one");
        (counting.1.get(), text.len())
    };
    let ((one, _), (two, length)) = (asked(5_000), asked(10_000));
    assert!(length > 1_000_000);
    assert_eq!(
        (one, two),
        (10_000, 20_000),
        "once to find it, once for its value"
    );
}

/// What a POSIX shell makes of text of single quotes, double quotes, backslashes and blanks:
/// its words. Written from the shell's grammar and not from the code under test.
fn words(script: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = script.chars();
    while let Some(char) = chars.next() {
        match char {
            ' ' => words.extend(word.take()),
            '\'' => loop {
                match chars.next()? {
                    '\'' => break word.get_or_insert_default().push_str(""),
                    char => word.get_or_insert_default().push(char),
                }
            },
            '"' => loop {
                match chars.next()? {
                    '"' => break word.get_or_insert_default().push_str(""),
                    '\\' => match chars.next()? {
                        char @ ('"' | '\\' | '$' | '`') => word.get_or_insert_default().push(char),
                        char => word.get_or_insert_default().extend(['\\', char]),
                    },
                    '$' | '`' => return None,
                    char => word.get_or_insert_default().push(char),
                }
            },
            '\\' => word.get_or_insert_default().push(chars.next()?),
            '$' | '`' | ';' | '&' | '|' | '<' | '>' | '(' | ')' | '#' | '\n' => return None,
            char => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word.take());
    Some(words)
}

proptest! {
    #[test]
    fn whatever_a_value_holds_a_shell_sees_it_as_it_is(value in "[^\0]{0,20}|[a'\"\\\\$`;()\n#!-]{0,12}") {
        let script = written(&value, "a __x__:value 'b __x__:value' \"c __x__:value\" d", Quoting::PosixShell);
        let expected = vec![
            "a".to_owned(), value.clone(), format!("b {value}"), format!("c {value}"), "d".to_owned(),
        ];
        prop_assert_eq!(words(&script), Some(expected), "{}", script);
    }

    #[test]
    fn what_was_put_in_is_never_looked_at_again(
        values in prop::collection::vec("(__[xyz]__(:value)?|_|:value|[a ]){0,4}", 3),
        text in "(__[xyz]__(:value)?|_|:value|[a ]){0,9}",
    ) {
        let names = ["__x__", "__y__", "__z__"];
        let known: Vec<_> = names.iter().zip(&values)
            .map(|(name, value)| (*name, Type::String, value.as_str()))
            .collect();
        let known = variables(&known);
        let filled = Substitution::new(&known).text(&text, Quoting::Plain);
        // The same by another way: cut at the references, then put together.
        let declared = |name: &str| names.contains(&name);
        let mut expected = String::new();
        let mut at = 0;
        let mut all_declared = true;
        for reference in references(&text, &declared) {
            expected.push_str(&text[at..reference.at]);
            match names.iter().position(|name| *name == reference.name) {
                Some(known) => expected.push_str(&values[known]),
                None => all_declared = false,
            }
            at = reference.end();
        }
        expected.push_str(&text[at..]);
        prop_assert_eq!(filled.ok(), all_declared.then_some(expected));
    }

    #[test]
    fn no_text_makes_it_panic(text in "(\\PC|__x__:value|[\"'`$\\\\(){}<#@\n%-]){0,24}", value in "\\PC{0,5}") {
        for quoting in [
            Quoting::Plain, Quoting::JsonString, Quoting::PathSegment, Quoting::QueryComponent,
            Quoting::HeaderValue, Quoting::PosixShell, Quoting::PowerShell,
        ] {
            if let Ok(written) = with("", &text, quoting) {
                prop_assert!(written.len() <= text.len() + 2 * text.matches(":value").count());
            }
            drop(with(&value, &text, quoting));
        }
    }
}
