//! What the libraries that read JSON, YAML and filters say, in words for people.
//!
//! Whoever writes a configuration, a reaction or a request knows of texts, numbers, lists and
//! sections, and not of `u32`, mappings that start, or structs. All such messages pass through
//! [`plain`]; one that is not known passes as it is.

/// Messages that always read the same, and what they mean.
const SENTENCES: &[(&str, &str)] = &[
    (
        "alias references unknown anchor",
        "there is no anchor of this name before it",
    ),
    (
        "cannot deserialize null into string; use Option<String>",
        "must be a text, and is empty",
    ),
    (
        "expected end of mapping after enum variant value",
        "must have one key and not more",
    ),
    (
        "expected mapping start",
        "must be a section: keys, each with a value",
    ),
    (
        "expected sequence start",
        "must be a list, such as `[a, b]`",
    ),
    (
        "expected string key for externally tagged enum",
        "must have a key that says of which kind it is",
    ),
    ("expected string scalar", "must be a text"),
    (
        "externally tagged enum expected scalar or mapping",
        "must have a key that says of which kind it is",
    ),
    (
        "invalid IP address syntax",
        "must be an IP address, such as `127.0.0.1` or `::1`",
    ),
    ("invalid boolean", "must be `true` or `false`"),
    (
        "invalid boolean (strict mode expects true/false)",
        "must be `true` or `false`",
    ),
    (
        "invalid socket address syntax",
        "must be an address and a port, such as `127.0.0.1:8888` or `[::1]:8888`",
    ),
    ("unexpected end of input", "the text ends too early"),
];

/// Beginnings of messages that go on with what only the library's users need.
const BEGINNINGS: &[(&str, &str)] = &[
    ("alias ", "aliases are repeated more often than is allowed"),
    (
        "budget breached",
        "the text is larger or deeper than is read",
    ),
    (
        "data did not match any variant of untagged enum",
        "has none of the forms that it may have",
    ),
    (
        "multiple YAML documents detected",
        "there is more than one document: keep one, without `---` in between",
    ),
];

/// What a value was to be, as libraries name it.
const EXPECTED: &[(&str, &str)] = &[
    ("a boolean", "`true` or `false`"),
    ("a map", "a section"),
    ("a sequence", "a list"),
    ("a string", "a text"),
    ("any valid JSON value", "a value"),
    ("f64", "a number"),
    ("i32", "a whole number"),
    ("i64", "a whole number"),
    ("u16", "a whole number from 0 to 65535"),
    ("u32", "a whole number from 0 to 4294967295"),
    ("u64", "a whole number, 0 or more"),
    ("u8", "a whole number from 0 to 255"),
    ("unit", "nothing"),
    ("usize", "a whole number, 0 or more"),
];

/// What a value is, as libraries name it.
const FOUND: &[(&str, &str)] = &[
    ("map", "a section"),
    ("null", "nothing"),
    ("sequence", "a list"),
    ("unit value", "nothing"),
];

/// A key or word that nobody knows, and those that are known there.
#[derive(Debug, PartialEq, Eq)]
pub struct Unknown<'a> {
    /// `key` or `word`.
    pub what: &'static str,
    /// As written.
    pub word: &'a str,
    /// What it may be.
    pub known: Vec<&'a str>,
}

/// The unknown key or word that a message is about.
pub fn unknown(message: &str) -> Option<Unknown<'_>> {
    let kinds = [("unknown field `", "key"), ("unknown variant `", "word")];
    let (what, rest) = kinds
        .iter()
        .find_map(|(start, what)| Some((*what, message.strip_prefix(start)?)))?;
    let (word, rest) = rest.split_once('`')?;
    let listed = rest
        .strip_prefix(", expected one of ")
        .or_else(|| rest.strip_prefix(", expected "))
        .unwrap_or_default();
    // serde_json says where, after the words.
    let listed = listed.split(" at line ").next().unwrap_or_default();
    let known = listed.split([',', ' ']).map(|word| word.trim_matches('`'));
    Some(Unknown {
        what,
        word,
        known: known.filter(|word| !matches!(*word, "" | "or")).collect(),
    })
}

/// A message of a library in words for people. Where it begins with `line L, column C: ` or
/// `'when': `, that stays.
pub fn plain(message: &str) -> String {
    if let Some((place, rest)) = message.split_once(": ")
        && (is_quoted(place) || place.starts_with("line ") && place.contains(", column "))
    {
        return format!("{place}: {}", plain(rest));
    }
    if let Some(Unknown { what, word, known }) = unknown(message) {
        return if known.is_empty() {
            format!("unknown {what} `{word}`")
        } else {
            format!("unknown {what} `{word}`; there are: {}", known.join(", "))
        };
    }
    let sentence = named(SENTENCES, message).map(str::to_owned);
    let begins = || {
        let mut beginnings = BEGINNINGS.iter();
        let found = beginnings.find(|(start, _)| message.starts_with(start));
        found.map(|(_, sentence)| (*sentence).to_owned())
    };
    sentence
        .or_else(begins)
        .or_else(|| twice(message))
        .or_else(|| of_another_kind(message))
        .or_else(|| filter(message))
        .unwrap_or_else(|| message.replace("missing field `", "missing key `"))
}

/// The name of a key in quotes.
fn is_quoted(place: &str) -> bool {
    let inner = place
        .strip_prefix('\'')
        .and_then(|it| it.strip_suffix('\''));
    inner.is_some_and(|key| {
        key.chars()
            .all(|char| char.is_ascii_lowercase() || char == '.')
    })
}

fn twice(message: &str) -> Option<String> {
    let rest = message.strip_prefix("duplicate mapping key")?;
    let key = rest
        .strip_prefix(": ")
        .and_then(|rest| rest.split_once(", set "));
    Some(match key {
        Some((key, _)) => format!("the key `{key}` stands here twice"),
        None => "a key stands here twice".to_owned(),
    })
}

fn of_another_kind(message: &str) -> Option<String> {
    if let Some(kind) = message.strip_prefix("invalid ")
        && let Some(expected) = named(EXPECTED, kind)
    {
        return Some(format!("must be {expected}"));
    }
    let rest = ["invalid type: ", "invalid value: "]
        .iter()
        .find_map(|start| message.strip_prefix(start))?;
    let (found, expected) = rest.rsplit_once(", expected ")?;
    Some(format!("must be {}, not {}", kind(expected), value(found)))
}

fn kind(expected: &str) -> &str {
    match named(EXPECTED, expected) {
        Some(words) => words,
        None if expected.starts_with("a nonzero ") => "a whole number above 0",
        None if expected.starts_with("struct ") => "a section",
        None => expected,
    }
}

fn value(found: &str) -> String {
    let quoted = |start: &str| found.strip_prefix(start)?.strip_suffix('`');
    if let Some(words) = named(FOUND, found) {
        words.to_owned()
    } else if let Some(number) = quoted("integer `").or_else(|| quoted("floating point `")) {
        format!("the number {number}")
    } else if let Some(word) = quoted("boolean `") {
        format!("`{word}`")
    } else if let Some(text) = found.strip_prefix("string ") {
        format!("the text {text}")
    } else {
        found.to_owned()
    }
}

/// The first fault of a filter, of which the library shows all, each with a drawing.
fn filter(message: &str) -> Option<String> {
    let rest = message.strip_prefix("ERROR: <input>:")?;
    let mut parts = rest.lines().next()?.splitn(3, ':');
    let (_line, column, fault) = (parts.next()?, parts.next()?, parts.next()?);
    let fault = fault.trim().trim_start_matches("Syntax error: ");
    Some(format!("at its character {column}: {fault}"))
}

fn named<'a>(table: &[(&str, &'a str)], word: &str) -> Option<&'a str> {
    let found = table.iter().find(|(name, _)| *name == word);
    found.map(|(_, words)| *words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_of_a_library_is_left() {
        for (message, expected) in [
            (
                "expected mapping start",
                "must be a section: keys, each with a value",
            ),
            ("invalid u32", "must be a whole number from 0 to 4294967295"),
            ("invalid f64", "must be a number"),
            (
                "invalid type: integer `7`, expected struct SecretName",
                "must be a section, not the number 7",
            ),
            (
                "invalid type: string \"a, expected b\", expected a sequence",
                "must be a list, not the text \"a, expected b\"",
            ),
            (
                "invalid value: integer `0`, expected a nonzero usize",
                "must be a whole number above 0, not the number 0",
            ),
            (
                "invalid type: map, expected a string",
                "must be a text, not a section",
            ),
            (
                "invalid type: boolean `true`, expected u16",
                "must be a whole number from 0 to 65535, not `true`",
            ),
            (
                "duplicate mapping key: api, set DuplicateKeyPolicy in Options if acceptable",
                "the key `api` stands here twice",
            ),
            ("missing field `secret`", "missing key `secret`"),
            (
                "data did not match any variant of untagged enum Password",
                "has none of the forms that it may have",
            ),
            (
                "unknown field `zz`, expected `variables` or `version` at line 1 column 30",
                "unknown key `zz`; there are: variables, version",
            ),
            (
                "line 2, column 1: unknown field `evnt`, expected one of name, event",
                "line 2, column 1: unknown key `evnt`; there are: name, event",
            ),
            (
                "'when': ERROR: <input>:1:7: Syntax error: no viable alternative at input '.'\n| event.\n| ......^",
                "'when': at its character 7: no viable alternative at input '.'",
            ),
            (
                "`x` is not a duration: write 30s",
                "`x` is not a duration: write 30s",
            ),
        ] {
            assert_eq!(plain(message), expected);
        }
    }

    #[test]
    fn what_is_unknown_is_named_with_what_is_known_in_either_notation() {
        for message in [
            "unknown variant `c`, expected `a` or `b`",
            "unknown variant `c`, expected one of `a`, `b`",
            "unknown variant `c`, expected one of a, b",
        ] {
            let found = unknown(message).unwrap();
            assert_eq!((found.what, found.word), ("word", "c"));
            assert_eq!(found.known, ["a", "b"], "{message}");
        }
        assert_eq!(
            unknown("unknown field `c`, there are no fields")
                .unwrap()
                .known,
            Vec::<&str>::new()
        );
    }
}
