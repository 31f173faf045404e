//! `{{ expressions }}` in texts, evaluated over the call's `vars` and nothing else.
//!
//! Templates are treated as code that anyone may have written: there are no statements, no
//! loops, no functions and no files; operators that make texts longer are refused, and so
//! is a value that is not there. The braces are found here and only what is between them
//! is given to the expression engine, so that the two can't disagree on where a template is.

use std::fmt::Write as _;

use minijinja::value::ValueKind;
use minijinja::{Environment, ErrorKind, Expression, UndefinedBehavior, Value, filters};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// Instructions of one expression.
const FUEL: u64 = 10_000;

/// The longest expression in bytes. The engine compiles by recursion: a chain of thousands
/// of filters would overflow the stack.
const EXPRESSION_MAX: usize = 500;

/// The most brackets that one expression may open, for the same reason.
const BRACKETS_MAX: usize = 16;

/// The longest text that one template may become.
const TEXT_MAX: usize = 1024 * 1024;

/// The longest value that one filter may make: two of them write escapes for escapes.
const VALUE_MAX: usize = 64 * 1024;

/// The filters that there are.
const FILTERS: [&str; 9] = [
    "default",
    "first",
    "last",
    "length",
    "lower",
    "tojson",
    "trim",
    "upper",
    "urlencode",
];

/// What may stand in an `application/x-www-form-urlencoded` or path part as it is.
const KEPT: percent_encoding::AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// How a value is put into the text around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::actions) enum Place {
    /// Percent-encoded, so that it stays within its part of the URL.
    Url,
    /// As it is.
    Text,
}

/// A template can't be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::actions) enum Error {
    #[error("a template's `{{{{` has no `}}}}`")]
    Open,
    #[error(
        "a template has more than {EXPRESSION_MAX} bytes or {BRACKETS_MAX} brackets between its braces"
    )]
    Long,
    #[error("the operator `{0}` is not available in templates")]
    Operator(char),
    #[error("the template `{expression}` fails: {reason}")]
    Fails { expression: String, reason: String },
    #[error("the template `{0}` gives nothing: its variable is missing or null")]
    Nothing(String),
    #[error("the templates make a text of more than {TEXT_MAX} bytes")]
    TooLong,
}

/// Evaluates templates over one set of variables.
pub(in crate::actions) struct Templates {
    environment: Environment<'static>,
    vars: Value,
}

impl Templates {
    pub(in crate::actions) fn new(vars: &serde_json::Map<String, serde_json::Value>) -> Self {
        let mut environment = Environment::empty();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.add_filter("default", filters::default);
        environment.add_filter("first", filters::first);
        environment.add_filter("last", filters::last);
        environment.add_filter("length", filters::length);
        environment.add_filter("lower", filters::lower);
        environment.add_filter("trim", filters::trim);
        environment.add_filter("upper", filters::upper);
        environment.add_filter("tojson", tojson);
        environment.add_filter("urlencode", urlencode);
        Self {
            environment,
            vars: Value::from(minijinja::value::Serde(vars)),
        }
    }

    /// The text with each `{{ expression }}` replaced by its value.
    pub(in crate::actions) fn render(&self, text: &str, place: Place) -> Result<String, Error> {
        let mut rendered = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (expression, after) = after.split_once("}}").ok_or(Error::Open)?;
            rendered.push_str(before);
            rendered.push_str(&self.evaluate(expression.trim(), place)?);
            if rendered.len() > TEXT_MAX {
                return Err(Error::TooLong);
            }
            rest = after;
        }
        rendered.push_str(rest);
        Ok(rendered)
    }

    /// Evaluates every text within a JSON value; a value can't leave the text it is in.
    pub(in crate::actions) fn render_json(
        &self,
        value: &mut serde_json::Value,
    ) -> Result<(), Error> {
        match value {
            serde_json::Value::String(text) => *text = self.render(text, Place::Text)?,
            serde_json::Value::Array(items) => {
                items
                    .iter_mut()
                    .try_for_each(|item| self.render_json(item))?;
            }
            serde_json::Value::Object(members) => {
                members
                    .values_mut()
                    .try_for_each(|member| self.render_json(member))?;
            }
            serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {
            }
        }
        Ok(())
    }

    /// As [`render_json`](Self::render_json), but a text that is one expression and nothing
    /// else becomes its value with its type. Where that is missing or null, so is the member
    /// or element; the result says whether anything is left.
    pub(in crate::actions) fn render_typed(
        &self,
        value: &mut serde_json::Value,
    ) -> Result<bool, Error> {
        match value {
            serde_json::Value::String(text) => match sole_expression(text) {
                Some(expression) => match self.value(expression)? {
                    Some(found) => *value = found,
                    None => return Ok(false),
                },
                None => *text = self.render(text, Place::Text)?,
            },
            serde_json::Value::Array(items) => {
                let mut kept = Vec::with_capacity(items.len());
                for mut item in std::mem::take(items) {
                    if self.render_typed(&mut item)? {
                        kept.push(item);
                    }
                }
                *items = kept;
            }
            serde_json::Value::Object(members) => {
                let mut kept = serde_json::Map::new();
                for (name, mut member) in std::mem::take(members) {
                    if self.render_typed(&mut member)? {
                        kept.insert(name, member);
                    }
                }
                *members = kept;
            }
            serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {
            }
        }
        Ok(true)
    }

    /// The value of an expression; none where it is missing or null.
    pub(in crate::actions) fn value(
        &self,
        expression: &str,
    ) -> Result<Option<serde_json::Value>, Error> {
        let value = self.compute(expression)?;
        if matches!(value.kind(), ValueKind::Undefined | ValueKind::None) {
            return Ok(None);
        }
        let found = serde_json::to_value(&value);
        found.map(Some).map_err(|error| Error::Fails {
            expression: expression.to_owned(),
            reason: error.to_string(),
        })
    }

    fn evaluate(&self, expression: &str, place: Place) -> Result<String, Error> {
        let value = self.compute(expression)?;
        let text = match value.kind() {
            ValueKind::Undefined | ValueKind::None => {
                return Err(Error::Nothing(expression.to_owned()));
            }
            ValueKind::String => value.as_str().unwrap_or_default().to_owned(),
            _ => tojson(&value).map_err(|error| Error::Fails {
                expression: expression.to_owned(),
                reason: error.to_string(),
            })?,
        };
        Ok(match place {
            Place::Url => utf8_percent_encode(&text, &KEPT).to_string(),
            Place::Text => text,
        })
    }

    /// Whether every template in a text could be evaluated, given its variables.
    pub(in crate::actions) fn check(text: &str) -> Result<(), Error> {
        let templates = Self::new(&serde_json::Map::new());
        let mut rest = text;
        while let Some((_, after)) = rest.split_once("{{") {
            let (expression, after) = after.split_once("}}").ok_or(Error::Open)?;
            let expression = expression.trim();
            templates.compile(expression)?;
            let mut filters = expression.split('|').skip(1).map(|part| {
                let part = part.trim_start();
                let end = part.find(|char: char| !char.is_ascii_lowercase());
                &part[..end.unwrap_or(part.len())]
            });
            if let Some(unknown) = filters.find(|name| !FILTERS.contains(name)) {
                return Err(Error::Fails {
                    expression: expression.to_owned(),
                    reason: format!("there is no filter `{unknown}`"),
                });
            }
            rest = after;
        }
        Ok(())
    }

    fn compute(&self, expression: &str) -> Result<Value, Error> {
        let compiled = self.compile(expression)?;
        compiled
            .eval(self.vars.clone())
            .map_err(|error| fails(expression, &error))
    }

    fn compile<'a>(&'a self, expression: &'a str) -> Result<Expression<'a, 'a>, Error> {
        let brackets = expression.matches(['(', '[', '{']).count();
        if expression.len() > EXPRESSION_MAX || brackets > BRACKETS_MAX {
            return Err(Error::Long);
        }
        if let Some(operator) = expression.chars().find(|char| "*+~%".contains(*char)) {
            return Err(Error::Operator(operator));
        }
        self.environment
            .compile_expression(expression)
            .map_err(|error| fails(expression, &error))
    }
}

fn fails(expression: &str, error: &minijinja::Error) -> Error {
    Error::Fails {
        expression: expression.to_owned(),
        reason: match error.kind() {
            ErrorKind::UndefinedError => "a variable is not defined".to_owned(),
            _ => error.to_string(),
        },
    }
}

/// What stands between the braces of a text that is nothing else.
pub(in crate::actions) fn sole_expression(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    (!inner.contains("{{") && !inner.contains("}}")).then(|| inner.trim())
}

/// A value as JSON.
fn tojson(value: &Value) -> Result<String, minijinja::Error> {
    let mut text = Bounded(Vec::new());
    serde_json::to_writer(&mut text, value)
        .map_err(|error| minijinja::Error::new(ErrorKind::BadSerialization, error.to_string()))?;
    String::from_utf8(text.0)
        .map_err(|error| minijinja::Error::new(ErrorKind::BadSerialization, error.to_string()))
}

/// A text or number percent-encoded.
fn urlencode(value: &Value) -> Result<String, minijinja::Error> {
    let mut text = String::new();
    let plain = value.to_string();
    // Writing to a String cannot fail.
    write!(text, "{}", utf8_percent_encode(&plain, &KEPT)).ok();
    if text.len() > VALUE_MAX {
        return Err(minijinja::Error::new(
            ErrorKind::InvalidOperation,
            "the value is too long",
        ));
    }
    Ok(text)
}

/// Takes at most [`VALUE_MAX`] bytes.
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > VALUE_MAX {
            return Err(std::io::Error::other("the value is too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(text: &str, vars: serde_json::Value, place: Place) -> Result<String, Error> {
        Templates::new(vars.as_object().unwrap()).render(text, place)
    }

    #[test]
    fn expressions_become_their_values() {
        let vars = serde_json::json!({ "a": "x/y z", "n": 3, "o": { "k": [1, "two"] }, "t": true });
        let table = [
            ("no template { } }}", Place::Text, "no template { } }}"),
            ("<{{ a }}{{n}}>", Place::Text, "<x/y z3>"),
            ("/i/{{ a }}?n={{ n }}", Place::Url, "/i/x%2Fy%20z?n=3"),
            (
                "{{ o.k[1]|upper }} {{ o.k }} {{ o|tojson }}",
                Place::Text,
                "TWO [1,\"two\"] {\"k\":[1,\"two\"]}",
            ),
            ("{{ missing|default('none') }}", Place::Text, "none"),
            (
                "{{ 'yes' if t else 'no' }} {{ o.k|length }}",
                Place::Text,
                "yes 2",
            ),
            ("{% for x in a %}", Place::Text, "{% for x in a %}"),
        ];
        for (text, place, expected) in table {
            assert_eq!(
                render(text, vars.clone(), place).unwrap(),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_missing_unknown_or_could_grow_is_refused() {
        let long = "\\".repeat(20_000);
        let vars = serde_json::json!({ "a": "x", "long": long, "null": null });
        let table = [
            "{{ a",
            "{{ b }}",
            "{{ b.c }}",
            "{{ a.b }}",
            "{{ null }}",
            "{{ a * 9 }}",
            "{{ a ~ a }}",
            "{{ [a] + [a] }}",
            "{{ range(10) }}",
            "{{ a|replace('x', 'y') }}",
            "{{ a|safe }}",
            "{{ }}",
            "{{ a.__class__ }}",
            "{{ long|tojson|tojson|tojson }}",
            "{{ long|urlencode|urlencode }}",
            "{% set x = 1 %}{{ x }}",
            "{{ include('x') }}",
            "{{ a|join(long) }}",
            "{{ '}}' }}",
        ];
        for text in table {
            assert!(render(text, vars.clone(), Place::Text).is_err(), "{text}");
        }
        let many = "{{ long }}".repeat(100);
        assert_eq!(render(&many, vars, Place::Text), Err(Error::TooLong));
    }

    #[test]
    fn a_value_can_not_leave_its_part_of_a_url_or_its_text_in_json() {
        let vars = serde_json::json!({ "v": "../\"@evil.net/?#&=%" });
        let url = render("https://api.x/{{ v }}", vars.clone(), Place::Url).unwrap();
        assert_eq!(url::Url::parse(&url).unwrap().host_str(), Some("api.x"));
        assert_eq!(url, "https://api.x/..%2F%22%40evil.net%2F%3F%23%26%3D%25");
        let mut body = serde_json::json!({ "k": ["{{ v }}", 1], "{{ v }}": null });
        Templates::new(vars.as_object().unwrap())
            .render_json(&mut body)
            .unwrap();
        assert_eq!(
            body,
            serde_json::json!({ "k": ["../\"@evil.net/?#&=%", 1], "{{ v }}": null })
        );
    }

    #[test]
    fn deep_expressions_are_an_error_and_no_crash() {
        let nested = [
            "(", "[", "{1:", "not ", "-", "a|lower|", "a.b.", "a[", "a if ", "a or ",
        ];
        for part in nested {
            for times in [BRACKETS_MAX, EXPRESSION_MAX / part.len() - 2, 100_000] {
                let text = format!("{{{{ {}a }}}}", part.repeat(times));
                let rendered = render(&text, serde_json::json!({ "a": "x" }), Place::Text);
                let long = text.len() > 2 * EXPRESSION_MAX;
                assert!(!long || rendered == Err(Error::Long), "{text:.40}");
            }
        }
        let chain = format!("{{{{ a{} }}}}", "|lower".repeat(80));
        let rendered = render(&chain, serde_json::json!({ "a": "X" }), Place::Text);
        assert_eq!(rendered, Ok("x".to_owned()));
    }

    #[test]
    fn a_text_that_is_one_expression_becomes_its_value_and_one_that_is_missing_goes() {
        let vars = serde_json::json!({ "n": 3, "l": [1, "x"], "s": "a", "null": null });
        let mut body = serde_json::json!({
            "n": "{{ n }}", "l": " {{l}} ", "text": "{{ n }}{{ s }}", "gone": "{{ nope }}", "null": "{{ null }}",
            "in": ["{{ s }}", "{{ nope }}", { "gone": "{{ nope }}" }], "default": "{{ nope|default(l) }}", "plain": null,
        });
        let templates = Templates::new(vars.as_object().unwrap());
        assert_eq!(templates.render_typed(&mut body), Ok(true));
        assert_eq!(
            body,
            serde_json::json!({
                "n": 3, "l": [1, "x"], "text": "3a", "in": ["a", {}], "default": [1, "x"], "plain": null,
            })
        );
        let mut body = serde_json::json!({ "text": "x{{ nope }}" });
        assert!(templates.render_typed(&mut body).is_err());
    }
}
