//! The package `utils`: small pure functions of their arguments, as OpenWhisk's catalog has them.

use conche_runtime::clock::Clock;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::{Native, refused};

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    Cat,
    Date,
    Echo,
    Head,
    Namespace,
    Smash,
    Sort,
    Split,
}

/// All, by name, with what they do.
pub(super) fn actions() -> Vec<(&'static str, Native, &'static str)> {
    let all = [
        ("cat", Word::Cat, "Joins lines: {lines} to {lines, payload}"),
        ("date", Word::Date, "The time: {date}"),
        ("echo", Word::Echo, "Returns its input"),
        (
            "head",
            Word::Head,
            "The first lines: {lines, num=1} to {lines, num}",
        ),
        ("namespace", Word::Namespace, "Who asks: {namespace}"),
        (
            "smash",
            Word::Smash,
            "Nests its input under the name in $fieldName",
        ),
        (
            "sort",
            Word::Sort,
            "Sorts lines: {lines} to {lines, length}",
        ),
        (
            "split",
            Word::Split,
            "Splits text: {payload, separator} to {lines, payload}",
        ),
    ];
    all.map(|(name, word, text)| (name, Native::Word(word), text))
        .to_vec()
}

impl Word {
    /// What it returns for its arguments.
    pub(crate) fn result(
        self,
        arguments: Map<String, Value>,
        namespace: &str,
        clock: &dyn Clock,
    ) -> Value {
        match self {
            Self::Cat => cat(arguments),
            Self::Date => {
                let now = clock.now().to_zoned(TimeZone::UTC);
                json!({ "date": now.strftime("%a %b %d %Y %H:%M:%S GMT+0000 (UTC)").to_string() })
            }
            Self::Echo => arguments.into(),
            Self::Head => head(&arguments),
            Self::Namespace => json!({ "namespace": namespace }),
            Self::Smash => smash(arguments),
            Self::Sort => sort(&arguments),
            Self::Split => split(&arguments),
        }
    }
}

fn lines(arguments: &Map<String, Value>) -> Vec<Value> {
    let lines = arguments.get("lines").and_then(Value::as_array);
    lines.cloned().unwrap_or_default()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn cat(arguments: Map<String, Value>) -> Value {
    let lines = match arguments.get("lines") {
        Some(Value::Array(lines)) => lines.clone(),
        Some(Value::Null) | None => match arguments.get("payload") {
            Some(Value::Array(lines)) => lines.clone(),
            Some(Value::String(text)) => vec![text.clone().into()],
            _ => Vec::new(),
        },
        Some(one) => vec![one.clone()],
    };
    let text: Vec<String> = lines.iter().map(plain).collect();
    json!({ "lines": lines, "payload": text.join("\n") })
}

fn head(arguments: &Map<String, Value>) -> Value {
    let count = match arguments.get("num") {
        None | Some(Value::Null) => 1,
        Some(number) => match number.as_u64() {
            Some(number) => usize::try_from(number).unwrap_or(usize::MAX),
            None => return refused("num must be a whole number that is not negative"),
        },
    };
    let first: Vec<Value> = lines(arguments).into_iter().take(count).collect();
    json!({ "lines": first, "num": count })
}

fn smash(mut arguments: Map<String, Value>) -> Value {
    match arguments.remove("$fieldName") {
        Some(Value::String(name)) => json!({ name: arguments }),
        _ => refused("Expected a parameter '$fieldName' in the input"),
    }
}

fn sort(arguments: &Map<String, Value>) -> Value {
    let mut sorted = lines(arguments);
    sorted.sort_by_cached_key(plain);
    json!({ "length": sorted.len(), "lines": sorted })
}

fn split(arguments: &Map<String, Value>) -> Value {
    let payload = arguments.get("payload").map(plain).unwrap_or_default();
    let lines: Vec<&str> = match arguments.get("separator").and_then(Value::as_str) {
        Some("") | None => payload
            .split('\n')
            .map(|line| line.trim_end_matches('\r'))
            .collect(),
        Some(separator) => payload.split(separator).collect(),
    };
    json!({ "lines": lines, "payload": payload })
}

#[cfg(test)]
mod tests {
    use super::*;
    use conche_runtime::clock::SystemClock;

    fn result(word: Word, arguments: Value) -> Value {
        let Value::Object(arguments) = arguments else {
            panic!("an object");
        };
        word.result(arguments, "guest", &SystemClock)
    }

    #[test]
    fn words_do_what_the_catalog_says() {
        for (word, arguments, wanted) in [
            (Word::Echo, json!({}), json!({})),
            (
                Word::Echo,
                json!({ "b": 1, "a": [2] }),
                json!({ "b": 1, "a": [2] }),
            ),
            (Word::Sort, json!({}), json!({ "lines": [], "length": 0 })),
            (
                Word::Sort,
                json!({ "lines": ["b", "a"] }),
                json!({ "lines": ["a", "b"], "length": 2 }),
            ),
            (
                Word::Cat,
                json!({ "lines": ["a", 1] }),
                json!({ "lines": ["a", 1], "payload": "a\n1" }),
            ),
            (
                Word::Head,
                json!({ "lines": [1, 2] }),
                json!({ "lines": [1], "num": 1 }),
            ),
            (
                Word::Head,
                json!({ "lines": [1, 2], "num": 5 }),
                json!({ "lines": [1, 2], "num": 5 }),
            ),
            (
                Word::Split,
                json!({ "payload": "a,b", "separator": "," }),
                json!({ "lines": ["a", "b"], "payload": "a,b" }),
            ),
            (
                Word::Split,
                json!({ "payload": "a\r\nb" }),
                json!({ "lines": ["a", "b"], "payload": "a\r\nb" }),
            ),
            (
                Word::Smash,
                json!({ "$fieldName": "x", "a": 1 }),
                json!({ "x": { "a": 1 } }),
            ),
            (Word::Namespace, json!({}), json!({ "namespace": "guest" })),
        ] {
            assert_eq!(
                result(word, arguments.clone()),
                wanted,
                "{word:?} {arguments}"
            );
        }
    }

    #[test]
    fn what_makes_no_sense_is_an_error_of_the_application() {
        assert!(result(Word::Smash, json!({})).get("error").is_some());
        assert!(
            result(Word::Head, json!({ "num": -1 }))
                .get("error")
                .is_some()
        );
        let date = result(Word::Date, json!({}));
        assert!(
            date["date"]
                .as_str()
                .is_some_and(|text| text.contains("GMT"))
        );
    }
}
