//! What an action of a recipe takes: fields in the words of JSON Schema, of which only these
//! few are known, so that what is published is also what is checked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The fields of an input.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Fields {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) required: Vec<String>,
    pub(super) properties: BTreeMap<String, Property>,
}

/// One field.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Property {
    description: String,
    /// Any type where it is not said.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
    #[serde(rename = "enum", default, skip_serializing_if = "Vec::is_empty")]
    choices: Vec<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_length: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    minimum: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    maximum: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    String,
    Integer,
    Number,
    Boolean,
    Array,
    Object,
}

impl Fields {
    /// Whether they make sense; else the field's name and its flaw.
    pub(super) fn check(&self) -> Result<(), (String, String)> {
        if let Some(name) = self
            .required
            .iter()
            .find(|name| !self.properties.contains_key(*name))
        {
            return Err((name.clone(), "is required, but is no property".to_owned()));
        }
        for (name, property) in &self.properties {
            let Some(default) = &property.default else {
                continue;
            };
            property
                .check(default)
                .map_err(|flaw| (name.clone(), format!("the default {flaw}")))?;
        }
        Ok(())
    }

    /// JSON Schema.
    pub(super) fn schema(&self) -> Value {
        let mut schema = json!(self);
        schema["type"] = "object".into();
        schema["additionalProperties"] = false.into();
        schema
    }

    /// What was given, with defaults, or why it does not fit. A field that is null is not given.
    pub(super) fn accept(
        &self,
        mut given: Map<String, Value>,
    ) -> Result<Map<String, Value>, String> {
        given.retain(|_, value| !value.is_null());
        let mut taken = Map::new();
        for (name, property) in &self.properties {
            let value = given.remove(name).or_else(|| property.default.clone());
            match value {
                Some(value) => {
                    property
                        .check(&value)
                        .map_err(|flaw| format!("`{name}` {flaw}"))?;
                    taken.insert(name.clone(), value);
                }
                None if self.required.contains(name) => {
                    return Err(format!("`{name}` is missing"));
                }
                None => {}
            }
        }
        match given.keys().next() {
            Some(name) => Err(format!("there is no field `{name}`")),
            None => Ok(taken),
        }
    }
}

impl Property {
    fn check(&self, value: &Value) -> Result<(), String> {
        if let Some(kind) = self.kind
            && !kind.fits(value)
        {
            return Err(format!(
                "is no {}",
                json!(kind).as_str().unwrap_or_default()
            ));
        }
        if !self.choices.is_empty() && !self.choices.contains(value) {
            let choices: Vec<String> = self.choices.iter().map(Value::to_string).collect();
            return Err(format!("is none of {}", choices.join(", ")));
        }
        let length = value.as_str().map_or(0, |text| text.chars().count());
        if let Some(most) = self.max_length.filter(|most| length > *most) {
            return Err(format!("is longer than {most} characters"));
        }
        let number = value.as_f64();
        let is_below = |least: i64| number.is_some_and(|number| number < least as f64);
        let is_above = |most: i64| number.is_some_and(|number| number > most as f64);
        if self.minimum.is_some_and(is_below) || self.maximum.is_some_and(is_above) {
            return Err("is out of range".to_owned());
        }
        Ok(())
    }
}

impl Kind {
    fn fits(self, value: &Value) -> bool {
        match self {
            Self::String => value.is_string(),
            Self::Integer => value.is_i64() || value.is_u64(),
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::Array => value.is_array(),
            Self::Object => value.is_object(),
        }
    }
}
