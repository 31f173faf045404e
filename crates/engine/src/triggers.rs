//! Which reactions an event triggers.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use conche_core::{Definition, Event};

/// Reactions by event type. Replaced as a whole when one changes.
#[derive(Default)]
pub(crate) struct Triggers {
    by_type: HashMap<String, Vec<Arc<Trigger>>>,
    by_name: HashMap<String, Arc<Definition>>,
}

/// Definitions that an event triggers, and by name those whose filters could not answer.
pub(crate) type Matches = (Vec<Arc<Definition>>, Vec<(String, FilterError)>);

/// Filters of larger events are not evaluated where other events are taken in.
const INLINE_BYTES_MAX: usize = 16 * 1024;

/// One reaction's trigger.
pub(crate) struct Trigger {
    pub(crate) definition: Arc<Definition>,
    pub(crate) filter: Option<Filter>,
}

impl Triggers {
    pub(crate) fn insert(
        &mut self,
        event_types: impl IntoIterator<Item = String>,
        trigger: &Arc<Trigger>,
    ) {
        let definition = trigger.definition.clone();
        self.by_name.insert(definition.name.clone(), definition);
        for event_type in event_types {
            self.by_type
                .entry(event_type)
                .or_default()
                .push(trigger.clone());
        }
    }

    /// The reaction of this name, triggered or not.
    pub(crate) fn named(&self, name: &str) -> Option<Arc<Definition>> {
        self.by_name.get(name).cloned()
    }

    /// Whether looking for matches may take long: a filter reads the whole of a large event,
    /// and may walk through a list of its sender.
    pub(crate) fn is_heavy_for(&self, event: &Event) -> bool {
        let has_filter = |trigger: &Arc<Trigger>| trigger.filter.is_some();
        event.data.as_str().len() > INLINE_BYTES_MAX
            && self
                .by_type
                .get(&event.event_type)
                .is_some_and(|triggers| triggers.iter().any(has_filter))
    }

    /// The definitions that the event triggers, and the filters that could not answer.
    pub(crate) fn matching(&self, event: &Event) -> Matches {
        let (mut found, mut faults) = (Vec::new(), Vec::new());
        let Some(triggers) = self.by_type.get(&event.event_type) else {
            return (found, faults);
        };
        // Made once and only if some filter wants it.
        let mut view = None;
        for trigger in triggers {
            let holds = trigger.filter.as_ref().map_or(Ok(true), |filter| {
                filter.holds(view.get_or_insert_with(|| EventView::new(event)))
            });
            match holds {
                Ok(true) => found.push(trigger.definition.clone()),
                Ok(false) => {}
                Err(error) => faults.push((trigger.definition.name.clone(), error)),
            }
        }
        (found, faults)
    }
}

/// A compiled `when` expression.
///
/// CEL has no step budget in this implementation, so what can grow without bound is
/// refused when it is compiled: long expressions, deep brackets, and macros (`all`, `map` …) within each other.
/// One macro is linear in the sender's list: large events are filtered apart, see `Inner::matching`.
pub struct Filter(cel::Program);

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

impl Filter {
    /// Compiles an expression over `event`.
    pub fn compile(text: &str) -> Result<Self, FilterError> {
        if text.len() > LENGTH_MAX {
            return Err(FilterError::Invalid(format!(
                "longer than {LENGTH_MAX} bytes"
            )));
        }
        let (macros, brackets) = depths(text);
        if brackets > BRACKETS_MAX {
            return Err(FilterError::Invalid(format!(
                "brackets are nested more than {BRACKETS_MAX} deep"
            )));
        }
        if macros > NESTING_MAX {
            return Err(FilterError::Invalid(
                "macros (all, exists, map, filter …) stand within each other".to_owned(),
            ));
        }
        cel::Program::compile(text)
            .map(Self)
            .map_err(|error| FilterError::Invalid(error.to_string()))
    }

    fn holds(&self, view: &EventView) -> Result<bool, FilterError> {
        let mut context = cel::Context::default();
        let value = view.0.as_ref().map_err(Clone::clone)?;
        context.add_variable_from_value("event", value.clone());
        match self.0.execute(&context) {
            Ok(cel::Value::Bool(holds)) => Ok(holds),
            Ok(other) => Err(FilterError::NotBool(format!("{:?}", other.type_of()))),
            // A missing key means that the event is of another shape: not this one.
            Err(cel::ExecutionError::NoSuchKey(_)) => Ok(false),
            Err(error) => Err(FilterError::Failed(error.to_string())),
        }
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Filter")
    }
}

/// The event as filters see it: `event.id`, `.source`, `.type`, `.subject`, `.time`, `.data`.
struct EventView(Result<cel::Value, FilterError>);

impl EventView {
    fn new(event: &Event) -> Self {
        Self(Self::value(event).map_err(FilterError::Failed))
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

    fn holds(when: &str, data: &serde_json::Value) -> Result<bool, FilterError> {
        Filter::compile(when)?.holds(&EventView::new(&event(data)))
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
    fn only_large_events_with_a_filter_are_heavy() {
        let mut triggers = Triggers::default();
        let definition = Arc::new(Definition {
            digest: conche_core::Digest::of(b"d"),
            name: "r".to_owned(),
            start: "script".into(),
            steps: std::collections::BTreeMap::new(),
            limits: conche_core::definition::Limits::default(),
        });
        let mut insert = |event_type: &str, when: Option<&str>| {
            let filter = when.map(|when| Filter::compile(when).unwrap());
            let trigger = Arc::new(Trigger {
                definition: definition.clone(),
                filter,
            });
            triggers.insert([event_type.to_owned()], &trigger);
        };
        insert("t", None);
        insert("t", Some("event.data.all(x, x == 'x')"));
        insert("bare", None);
        let large = serde_json::json!(["x".repeat(20_000)]);
        assert!(triggers.is_heavy_for(&event(&large)));
        assert!(!triggers.is_heavy_for(&event(&serde_json::json!(["x"]))));
        for other in ["bare", "unknown"] {
            let event_type = other.to_owned();
            let other = Event {
                event_type,
                ..event(&large)
            };
            assert!(!triggers.is_heavy_for(&other));
        }
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
}
