//! A Sigma rule: its searches, checked and made ready, and its condition over them.
//!
//! What is not known here (aggregations, correlations, placeholders, modifiers of time) is
//! refused, never passed over: a rule that does not mean what its author meant matches nothing
//! worth knowing. Length, number of tests and size of expressions are bounded.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::condition::Condition;
use super::field::{self, Check, Limits};
use super::pattern::{Budget, Spent};

/// A longer rule is not taken.
const LENGTH_MAX: usize = 64 * 1024;

/// A rule that is ready.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) title: String,
    pub(super) id: Option<String>,
    pub(super) level: Option<String>,
    condition: Condition,
    searches: BTreeMap<String, Search>,
}

/// Holds where all checks of any group do.
#[derive(Debug)]
struct Search(Vec<Vec<Check>>);

impl Rule {
    /// Reads a rule in YAML.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > LENGTH_MAX {
            return Err(format!("it is longer than {LENGTH_MAX} bytes"));
        }
        let options = serde_saphyr::options! { with_snippet: false };
        let read = serde_saphyr::from_str_with_options::<Value>(text, options);
        let Value::Object(mut rule) = read.map_err(|error| error.to_string())? else {
            return Err("it is no mapping".to_owned());
        };
        if rule.contains_key("correlation") {
            return Err("correlations are not known: only single events are looked at".to_owned());
        }
        let word = |key: &str| rule.get(key).and_then(Value::as_str).map(str::to_owned);
        let (title, id, level) = (word("title"), word("id"), word("level"));
        let Some(Value::Object(mut detection)) = rule.remove("detection") else {
            return Err("it has no `detection`".to_owned());
        };
        if detection.remove("timeframe").is_some() {
            return Err("`timeframe` is not known: only single events are looked at".to_owned());
        }
        let condition = match detection.remove("condition") {
            Some(Value::String(text)) => text,
            Some(_) => return Err("its `condition` is no text".to_owned()),
            None => return Err("it has no `condition`".to_owned()),
        };
        let mut limits = Limits::default();
        let mut searches = BTreeMap::new();
        for (name, value) in detection {
            let search = Search::new(&value, &mut limits);
            let search = search.map_err(|flaw| format!("the search `{name}`: {flaw}"))?;
            searches.insert(name, search);
        }
        Ok(Self {
            title: title.unwrap_or_default(),
            id,
            level,
            condition: Condition::parse(&condition, &searches)?,
            searches,
        })
    }

    /// Whether an event matches. Each search is made once at most.
    pub(super) fn matches(&self, event: &Value, budget: &mut Budget) -> Result<bool, Spent> {
        let mut known: BTreeMap<String, bool> = BTreeMap::new();
        self.condition.holds(&mut |name| {
            if let Some(known) = known.get(name) {
                return Ok(*known);
            }
            let holds = match self.searches.get(name) {
                Some(search) => search.holds(event, budget)?,
                None => false,
            };
            known.insert(name.to_owned(), holds);
            Ok(holds)
        })
    }
}

impl Search {
    fn new(value: &Value, limits: &mut Limits) -> Result<Self, String> {
        let groups = match value {
            Value::Object(fields) => vec![group(fields, limits)?],
            Value::Array(items) if items.iter().all(Value::is_object) && !items.is_empty() => items
                .iter()
                .filter_map(Value::as_object)
                .map(|fields| group(fields, limits))
                .collect::<Result<_, _>>()?,
            keywords => vec![vec![field::keywords(keywords, limits)?]],
        };
        Ok(Self(groups))
    }

    fn holds(&self, event: &Value, budget: &mut Budget) -> Result<bool, Spent> {
        for checks in &self.0 {
            let mut all = true;
            for check in checks {
                all = all && check.holds(event, budget)?;
            }
            if all {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn group(fields: &Map<String, Value>, limits: &mut Limits) -> Result<Vec<Check>, String> {
    if fields.is_empty() {
        return Err("it is empty".to_owned());
    }
    fields
        .iter()
        .map(|(key, value)| Check::new(key, value, limits))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn matches(detection: &str, event: Value) -> Result<bool, String> {
        let rule = Rule::parse(&format!("title: t\ndetection:\n{detection}"))?;
        Ok(rule.matches(&event, &mut Budget::new(1_000_000)).unwrap())
    }

    /// One field against one event.
    fn field(key: &str, value: &str, event: Value) -> bool {
        let detection = format!("  s:\n    {key}: {value}\n  condition: s\n");
        matches(&detection, event).unwrap_or_else(|flaw| panic!("{key}: {flaw}"))
    }

    #[test]
    fn fields_and_modifiers_match_as_sigma_has_them() {
        let process = json!({ "Image": "C:\\Windows\\cmd.exe", "Id": 4688, "Ok": true, "Nil": null,
            "ip": "10.1.2.3", "Line": "cmd /c whoami \u{2013}all", "List": ["a", "B"], "a": { "b": [{ "c": "deep" }] },
            "flat.key": "x", "Same": "cmd /c whoami \u{2013}ALL" });
        let table = [
            ("Image|endswith", "'\\cmd.exe'", true),
            ("Image|endswith", "['\\x.exe', '\\CMD.exe']", true),
            ("Image|endswith|cased", "'\\CMD.exe'", false),
            ("Image", "'*\\cmd.???'", true),
            ("Image|contains|all", "[windows, cmd]", true),
            ("Image|contains|all", "[windows, nope]", false),
            ("Id", "4688", true),
            ("Id", "'4688'", true),
            ("Id|gte", "4688", true),
            ("Id|lt", "4688", false),
            ("Ok", "true", true),
            ("Nil", "null", true),
            ("Absent", "null", true),
            ("Id", "null", false),
            ("Id|exists", "true", true),
            ("Absent|exists", "false", true),
            ("ip|cidr", "10.0.0.0/8", true),
            ("ip|cidr", "'192.168.0.0/16'", false),
            ("Line|re", "'who.mi'", true),
            ("Line|re", "'WHO.MI'", false),
            ("Line|re|i", "'WHO.MI'", true),
            ("Line|windash|contains", "' -all'", true),
            ("List", "b", true),
            ("a.b.c", "deep", true),
            ("flat.key", "x", true),
            ("Line|fieldref", "Same", true),
            ("Line|fieldref", "Image", false),
        ];
        for (key, value, expected) in table {
            assert_eq!(
                field(key, value, process.clone()),
                expected,
                "{key}: {value}"
            );
        }
        let encoded = json!({ "x": "powershell -e dwBoAG8AYQBtAGkA", "y": "eHdob2FtaXg=" });
        assert!(field(
            "x|wide|base64offset|contains",
            "whoami",
            encoded.clone()
        ));
        assert!(field("x|utf16le|base64|contains", "who", encoded.clone()));
        assert!(field("y|base64offset|contains", "whoami", encoded));
    }

    #[test]
    fn searches_are_lists_maps_and_keywords() {
        let event = json!({ "m": "the Quick fox", "n": { "o": "jumps" }, "p": 7 });
        let table = [
            ("  k: [quick, absent]\n  condition: k\n", true),
            ("  k: jumps\n  condition: k\n", true),
            ("  k:\n    '|all': [quick, jumps]\n  condition: k\n", true),
            ("  k:\n    '|all': [quick, absent]\n  condition: k\n", false),
            ("  s:\n    - p: 8\n    - p: 7\n  condition: s\n", true),
            ("  s:\n    p: 7\n    m: x\n  condition: s\n", false),
            (
                "  a:\n    p: 7\n  f:\n    m: '*fox'\n  condition: a and not f\n",
                false,
            ),
        ];
        for (detection, expected) in table {
            assert_eq!(
                matches(detection, event.clone()),
                Ok(expected),
                "{detection}"
            );
        }
    }

    #[test]
    fn what_is_not_understood_or_bounded_is_refused() {
        let many = "x, ".repeat(3000);
        let expressions = format!("['a{}']", "', 'a".repeat(100));
        for (key, value, flaw) in [
            ("a|near", "x", "modifier"),
            ("a|expand", "'%x%'", "modifier"),
            ("a|re", "'(?=x)'", "can't be used"),
            ("a|re", "'((a{1000}){1000}){1000}'", "can't be used"),
            ("a|re", expressions.as_str(), "expressions"),
            ("a", &format!("[{many}]"), "more than"),
            ("a|cidr", "nope", "is no network"),
            ("a|gt", "nope", "is no number"),
            ("a|exists", "1", "true or false"),
            ("a", "{ b: c }", "is no text"),
            ("a", "[]", "has no value"),
            ("a|wide", "x", "`base64`"),
        ] {
            let result = matches(
                &format!("  s:\n    {key}: {value}\n  condition: s\n"),
                json!({}),
            );
            let error = result.unwrap_err();
            assert!(error.contains(flaw), "{key}: {error}");
        }
        let bomb = "a: &a [x, x]\nb: &b [*a, *a]\n".to_owned() + "c: [*b, *b]\n";
        for text in [
            "- a",
            "a: [",
            "title: t",
            "detection: { s: { a: b } }",
            "correlation: {}",
            "detection: { s: { a: b }, condition: [s] }",
            &bomb,
            &"x".repeat(LENGTH_MAX + 1),
        ] {
            assert!(Rule::parse(text).is_err(), "{text}");
        }
    }
}
