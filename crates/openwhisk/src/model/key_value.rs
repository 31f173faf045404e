//! Parameters and annotations: lists of keys with values.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Other;

/// One parameter or annotation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyValue {
    /// The key.
    pub key: String,
    /// The value; a parameter that is bound to null can be given at every invocation.
    #[serde(default)]
    pub value: Value,
    /// Whether it goes into the environment when the action is initialised, and not into the
    /// arguments of each run. Written only when true.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub init: bool,
    /// How the value is encrypted where it is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<String>,
    /// Properties that are not known here.
    #[serde(flatten)]
    pub other: Other,
}

impl KeyValue {
    /// A plain one.
    pub fn new(key: impl Into<String>, value: impl Into<Value>) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
            init: false,
            encryption: None,
            other: Other::new(),
        }
    }
}

/// A list of them. A key that comes twice means its last value.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyValues(pub Vec<KeyValue>);

impl KeyValues {
    /// Of the members of an object.
    pub fn of(object: &Map<String, Value>) -> Self {
        let one = |(key, value): (&String, &Value)| KeyValue::new(key, value.clone());
        Self(object.iter().map(one).collect())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One of them, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, KeyValue> {
        self.0.iter()
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let found = self.0.iter().rev().find(|one| one.key == key);
        found.map(|one| &one.value)
    }

    /// Whether a key has the value `true`: what `final`, `web-export`, `raw-http` and
    /// `web-custom-options` want; the text "true" does not count.
    pub fn is_true(&self, key: &str) -> bool {
        self.get(key) == Some(&Value::Bool(true))
    }

    /// Whether a key has a value other than `false`, 0, `""` or null: what `conductor` and
    /// `provide-api-key` want. `absent` is the answer where the key is not there.
    pub fn is_truthy(&self, key: &str, absent: bool) -> bool {
        match self.get(key) {
            None => absent,
            Some(Value::Null) => false,
            Some(Value::Bool(value)) => *value,
            Some(Value::Number(number)) => number.as_f64() != Some(0.0),
            Some(Value::String(text)) => !text.is_empty(),
            Some(Value::Array(_) | Value::Object(_)) => true,
        }
    }

    /// Sets a key, in its place where there is one, else at the end.
    pub fn set(&mut self, one: KeyValue) {
        match self.0.iter_mut().rev().find(|there| there.key == one.key) {
            Some(there) => *there = one,
            None => self.0.push(one),
        }
    }

    /// Removes a key. Whether it was there.
    pub fn remove(&mut self, key: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|one| one.key != key);
        self.0.len() < before
    }

    /// These with others over them: a key of both has the value of `over`.
    #[must_use]
    pub fn overlaid(mut self, over: &Self) -> Self {
        for one in &over.0 {
            self.set(one.clone());
        }
        self
    }

    /// As an object: the arguments that they are.
    pub fn to_object(&self) -> Map<String, Value> {
        let member = |one: &KeyValue| (one.key.clone(), one.value.clone());
        self.0.iter().map(member).collect()
    }
}

impl FromIterator<KeyValue> for KeyValues {
    fn from_iter<I: IntoIterator<Item = KeyValue>>(iterator: I) -> Self {
        Self(iterator.into_iter().collect())
    }
}

impl<'a> IntoIterator for &'a KeyValues {
    type Item = &'a KeyValue;
    type IntoIter = std::slice::Iter<'a, KeyValue>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_set_is_not_written_and_what_is_unknown_is_kept() {
        let wire = json!([{ "key": "a", "value": null }, { "key": "b", "value": { "x": [1] },
            "init": true, "encryption": "aes-256", "colour": "red" }]);
        let read: KeyValues = serde_json::from_value(wire.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), wire);
        assert_eq!(
            read.to_object(),
            *json!({ "a": null, "b": { "x": [1] } }).as_object().unwrap()
        );
    }

    #[test]
    fn the_upper_of_two_lists_wins() {
        let list = |value: Value| KeyValues::of(value.as_object().unwrap());
        let both = list(json!({ "a": 1, "b": 2 })).overlaid(&list(json!({ "b": 3, "c": 4 })));
        assert_eq!(
            Value::from(both.to_object()),
            json!({ "a": 1, "b": 3, "c": 4 })
        );
        let mut both = both;
        assert!(both.remove("a") && !both.remove("a"));
    }

    #[test]
    fn true_and_truthy_are_two_things() {
        let one = |value: Value| KeyValues(vec![KeyValue::new("k", value)]);
        for (value, is_true, is_truthy) in [
            (json!(true), true, true),
            (json!(false), false, false),
            (json!("true"), false, true),
            (json!(""), false, false),
            (json!(1), false, true),
            (json!(0), false, false),
            (json!(null), false, false),
            (json!({}), false, true),
        ] {
            let list = one(value.clone());
            assert_eq!(
                (list.is_true("k"), list.is_truthy("k", true)),
                (is_true, is_truthy),
                "{value}"
            );
        }
        assert!(KeyValues::default().is_truthy("k", true));
    }
}
