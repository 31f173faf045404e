//! CEL over an event: the `when` of a reaction, and the keys of its storm control.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use conche_core::storm::Key;
use conche_core::{Event, Timestamp};

use crate::lists::Lists;

/// A compiled expression over `event`.
///
/// CEL has no step budget in this implementation, so what can grow without bound is
/// refused when it is compiled: long expressions, deep brackets, and macros (`all`, `map` …) within each other.
/// One macro is linear in the sender's list: large events are filtered apart, see `Inner::matching`.
struct Expression {
    program: cel::Program,
    /// Whether it asks a list: only then are the functions for that made.
    asks: bool,
}

/// The functions that filters and keys have beside CEL's own.
pub const FUNCTIONS: [&str; 2] = ["listed", "list_value"];

/// A `when`: whether an event triggers a reaction.
pub struct Filter(Expression);

/// A `key` of storm control: what tells events apart.
pub(crate) struct KeyExpression(Expression);

/// Longest expression.
const LENGTH_MAX: usize = 4096;
/// A macro within a macro multiplies the work by the length of the list, which is the sender's choice.
const NESTING_MAX: usize = 1;
/// The parser recurses: some twenty brackets within each other overflow a thread's stack.
const BRACKETS_MAX: usize = 8;

/// Why a filter cannot be used or gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// It is not an expression, or not one that is allowed.
    #[error("'when': {0}")]
    Invalid(String),
    /// It failed on this event.
    #[error("'when' could not be evaluated: {0}")]
    Failed(String),
    /// It gave something that is neither true nor false.
    #[error("'when' gave {0}, not true or false")]
    NotBool(String),
}

impl Expression {
    fn compile(text: &str) -> Result<Self, String> {
        if text.len() > LENGTH_MAX {
            return Err(format!("longer than {LENGTH_MAX} bytes"));
        }
        let (macros, brackets) = depths(text);
        if brackets > BRACKETS_MAX {
            return Err(format!("brackets are nested more than {BRACKETS_MAX} deep"));
        }
        if macros > NESTING_MAX {
            return Err("macros (all, exists, map, filter …) stand within each other".to_owned());
        }
        let program = cel::Program::compile(text).map_err(|error| error.to_string())?;
        let asks = FUNCTIONS
            .iter()
            .any(|name| program.references().has_function(name));
        Ok(Self { program, asks })
    }

    /// Its value for an event; `None` where the event lacks a member that it names.
    fn value(&self, view: &EventView) -> Result<Option<cel::Value>, String> {
        let mut context = cel::Context::default();
        let event = view.event.as_ref().map_err(Clone::clone)?;
        context.add_variable_from_value("event", event.clone());
        if self.asks {
            view.add_lists(&mut context)?;
        }
        match self.program.execute(&context) {
            Ok(value) => Ok(Some(value)),
            Err(cel::ExecutionError::NoSuchKey(_)) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Filter {
    /// Compiles an expression over `event`.
    ///
    /// # Errors
    /// Where it is no expression, or one that could take long.
    pub fn compile(text: &str) -> Result<Self, FilterError> {
        Expression::compile(text)
            .map(Self)
            .map_err(FilterError::Invalid)
    }

    /// Whether it asks a list.
    pub(crate) fn asks_lists(&self) -> bool {
        self.0.asks
    }

    pub(crate) fn holds(&self, view: &EventView) -> Result<bool, FilterError> {
        match self.0.value(view).map_err(FilterError::Failed)? {
            Some(cel::Value::Bool(holds)) => Ok(holds),
            Some(other) => Err(FilterError::NotBool(format!("{:?}", other.type_of()))),
            // A missing member means that the event is of another shape: not this one.
            None => Ok(false),
        }
    }
}

impl KeyExpression {
    pub(crate) fn compile(text: &str) -> Result<Self, String> {
        Expression::compile(text).map(Self)
    }

    /// The event's key: a text, a number, true or false, or a list of these.
    ///
    /// # Errors
    /// Where the event has none.
    pub(crate) fn key(&self, view: &EventView) -> Result<Key, String> {
        let value = self.0.value(view)?;
        let value = value.ok_or("the event has no such member")?;
        let text = match &value {
            cel::Value::List(parts) => {
                let parts: Option<Vec<String>> = parts.iter().map(scalar).collect();
                // Written as JSON, so that no two lists give the same text.
                parts.map(|parts| serde_json::json!(parts).to_string())
            }
            one => scalar(one),
        };
        match text {
            Some(text) => Ok(Key::new(&text)),
            None => Err(format!("it gave {:?}", value.type_of())),
        }
    }
}

fn scalar(value: &cel::Value) -> Option<String> {
    match value {
        cel::Value::String(text) => Some(text.to_string()),
        cel::Value::Int(number) => Some(number.to_string()),
        cel::Value::UInt(number) => Some(number.to_string()),
        cel::Value::Float(number) => Some(number.to_string()),
        cel::Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Filter")
    }
}

/// The event as filters see it: `event.id`, `.source`, `.type`, `.subject`, `.time`, `.data`.
pub(crate) struct EventView {
    event: Result<cel::Value, String>,
    lists: Arc<Lists>,
    now: Timestamp,
}

impl EventView {
    pub(crate) fn new(event: &Event, lists: &Arc<Lists>, now: Timestamp) -> Self {
        Self {
            event: Self::value(event),
            lists: lists.clone(),
            now,
        }
    }

    /// `listed(list, key)` says whether there is an entry, `list_value(list, key)` gives its
    /// value, or null.
    fn add_lists(&self, context: &mut cel::Context<'_, '_>) -> Result<(), String> {
        let (lists, now) = (self.lists.clone(), self.now);
        let get = move |list: &str, key: &cel::Value| lists.get(list, &scalar(key)?, now);
        let listed = get.clone();
        let listed = move |list: Arc<String>, key: cel::Value| listed(&list, &key).is_some();
        let added = context.add_function("listed", listed);
        added.map_err(|error| error.to_string())?;
        let value = move |list: Arc<String>, key: cel::Value| {
            let json = get(&list, &key).and_then(|json| json.read().ok());
            json.map_or(cel::Value::Null, cel_value)
        };
        let added = context.add_function("list_value", value);
        added.map_err(|error| error.to_string())
    }

    fn value(event: &Event) -> Result<cel::Value, String> {
        let data: serde_json::Value = event.data.read().map_err(|error| error.to_string())?;
        let view = serde_json::json!({
            "id": event.id,
            "source": event.source,
            "type": event.event_type,
            "subject": event.subject,
            "time": event.time,
            "data": data,
        });
        Ok(cel_value(view))
    }
}

/// JSON as filters see it. A whole number is an `int`, so that it can be reckoned with beside
/// those that stand in the filter: the library's own way makes it a `uint`, which mixes with none.
fn cel_value(json: serde_json::Value) -> cel::Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => cel::Value::Null,
        Json::Bool(value) => value.into(),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => number.into(),
            (None, Some(large)) => large.into(),
            (None, None) => number.as_f64().unwrap_or(f64::NAN).into(),
        },
        Json::String(text) => text.into(),
        Json::Array(items) => items
            .into_iter()
            .map(cel_value)
            .collect::<Vec<cel::Value>>()
            .into(),
        Json::Object(members) => members
            .into_iter()
            .map(|(key, value)| (key, cel_value(value)))
            .collect::<HashMap<String, cel::Value>>()
            .into(),
    }
}

/// How deep calls of CEL's macros and how deep brackets are nested, by the text: strings are
/// skipped, and any name counts, so that the bound errs on the safe side.
fn depths(text: &str) -> (usize, usize) {
    const MACROS: [&str; 6] = ["all", "exists", "exists_one", "map", "filter", "existsOne"];
    let (mut stack, mut name) = (Vec::new(), String::new());
    let (mut macros, mut brackets) = (0, 0);
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match (quote, char) {
            (Some(_), '\\') => drop(chars.next()),
            (Some(open), close) if open == close => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(char),
            (None, '(' | '[' | '{') => {
                stack.push(char == '(' && MACROS.contains(&name.as_str()));
                macros = macros.max(stack.iter().filter(|is_macro| **is_macro).count());
                brackets = brackets.max(stack.len());
                name.clear();
            }
            (None, ')' | ']' | '}') => drop(stack.pop()),
            (None, char) if char.is_alphanumeric() || char == '_' => name.push(char),
            (None, char) if char.is_whitespace() => {}
            (None, _) => name.clear(),
        }
    }
    (macros, brackets)
}

#[cfg(test)]
mod tests {
    use conche_core::{EventId, Json, Timestamp};
    use uuid::Uuid;

    use super::*;

    fn event(data: &serde_json::Value) -> Event {
        Event {
            event_id: EventId::new(Uuid::nil()),
            id: "1".to_owned(),
            source: "s".to_owned(),
            event_type: "t".to_owned(),
            subject: None,
            time: Timestamp::UNIX_EPOCH,
            data: Json::from(data),
            cause: None,
            depth: 0,
        }
    }

    fn view(data: &serde_json::Value) -> EventView {
        EventView::new(&event(data), &Arc::default(), Timestamp::UNIX_EPOCH)
    }

    fn holds(when: &str, data: &serde_json::Value) -> Result<bool, FilterError> {
        Filter::compile(when)?.holds(&view(data))
    }

    #[test]
    fn filters_read_the_event_and_missing_keys_do_not_match() {
        let data = serde_json::json!({"priority": "ERROR", "n": 3, "tags": ["a", "b"]});
        assert_eq!(
            holds("event.data.priority == 'ERROR' && event.data.n > 2", &data),
            Ok(true)
        );
        assert_eq!(
            holds("event.data.tags.exists(t, t == 'b')", &data),
            Ok(true)
        );
        assert_eq!(holds("event.data.absent == 'x'", &data), Ok(false));
        assert_eq!(
            holds("event.type == 't' && event.source.startsWith('s')", &data),
            Ok(true)
        );
    }

    #[test]
    fn numbers_of_an_event_can_be_reckoned_with() {
        let data = serde_json::json!({
            "n": 3, "zero": 0, "minus": -4, "most": i64::MAX, "large": u64::MAX, "half": 1.5, "list": [1, 2],
        });
        for when in [
            "event.data.n * 2 == 6",
            "event.data.n + 1 > 3 && event.data.n - 4 == -1",
            "event.data.n % 2 == 1 && event.data.n / 2 == 1",
            "event.data.minus + event.data.n == -1 && -event.data.minus == 4",
            "event.data.zero == 0 && event.data.most > 9000000000000000000",
            "event.data.large > 18446744073709551614u",
            "event.data.half * 2.0 == 3.0 && event.data.half > 1.0",
            "double(event.data.n) * 0.5 == event.data.half",
            "event.data.list.map(x, x * 10)[1] == 20",
            "type(event.data.n) == int && type(event.data.half) == double",
            "event.data.list[event.data.n - 2] == 2",
        ] {
            assert_eq!(holds(when, &data), Ok(true), "{when}");
        }
        let overflow = holds("event.data.most + 1 > 0", &data);
        assert!(
            matches!(overflow, Err(FilterError::Failed(_))),
            "{overflow:?}"
        );
    }

    #[test]
    fn filters_that_give_no_answer_say_so() {
        let data = serde_json::json!({"n": 3});
        assert!(matches!(
            holds("event.data.n", &data),
            Err(FilterError::NotBool(_))
        ));
        assert!(matches!(
            holds("event.data.n + 'x' == ''", &data),
            Err(FilterError::Failed(_))
        ));
        assert!(matches!(
            holds("event.data.", &data),
            Err(FilterError::Invalid(_))
        ));
    }

    #[test]
    fn deep_macros_and_long_texts_are_refused() {
        for deep in [
            "[1].all(a, [1].all(b, true))".to_owned(),
            "[".repeat(20) + &"]".repeat(20),
            "(".repeat(1000) + "true" + &")".repeat(1000),
            "[".repeat(4000),
        ] {
            let refused = Filter::compile(&deep);
            assert!(matches!(refused, Err(FilterError::Invalid(_))), "{deep}");
        }
        assert!(Filter::compile("[1].all(a, a == 1) && 'all(all(all([[[[[[[[[[' != ''").is_ok());
        assert!(Filter::compile(&"1 == 1 || ".repeat(1000)).is_err());
    }

    #[test]
    fn keys_are_texts_numbers_and_lists_of_them() {
        let data = serde_json::json!({"ip": "1.2.3.4", "port": 22, "up": true, "tags": ["a", "b"], "o": {}});
        let view = view(&data);
        let key = |text: &str| KeyExpression::compile(text)?.key(&view);
        for (text, expected) in [
            ("event.data.ip", "1.2.3.4"),
            ("event.data.port + 1", "23"),
            ("event.data.up", "true"),
            ("event.type + '/' + event.data.ip", "t/1.2.3.4"),
            (
                "[event.data.ip, string(event.data.port)]",
                r#"["1.2.3.4","22"]"#,
            ),
            ("event.data.tags", r#"["a","b"]"#),
            ("'all'", "all"),
        ] {
            assert_eq!(key(text), Ok(Key::new(expected)), "{text}");
        }
        for text in [
            "event.data.gone",
            "event.data.o",
            "event.subject",
            "event.data.",
        ] {
            assert!(key(text).is_err(), "{text}");
        }
    }
}
