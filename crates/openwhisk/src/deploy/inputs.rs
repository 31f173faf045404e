//! Inputs and annotations: names with values, or with what is said of a value (`type`,
//! `default`, …).
//!
//! A single value may be the name of a type: then it is that type's empty value, until a
//! deployment file says another.

use serde_json::{Map, Value, json};

use super::Error;
use super::tree::Node;

/// What may be said of a value.
const SAID: [&str; 8] = [
    "type",
    "description",
    "value",
    "default",
    "required",
    "status",
    "schema",
    "properties",
];

/// The types, and the value of each that nothing was said about.
const TYPES: [&str; 5] = ["string", "integer", "float", "boolean", "json"];

/// Inputs by name.
pub(super) fn inputs(entries: Vec<(String, Node<'_>)>) -> Result<Map<String, Value>, Error> {
    let inputs = entries.into_iter();
    inputs
        .map(|(name, node)| Ok((name, input(&node)?)))
        .collect()
}

/// Annotations by name.
pub(super) fn annotations(entries: Vec<(String, Node<'_>)>) -> Result<Map<String, Value>, Error> {
    let entries = entries.into_iter();
    entries
        .map(|(name, node)| Ok((name, node.resolved()?)))
        .collect()
}

fn input(node: &Node<'_>) -> Result<Value, Error> {
    match node.value {
        Value::Object(members) if !members.is_empty() => {
            let known = |key: &String| SAID.contains(&key.as_str());
            if members.keys().all(known) {
                return said(node.clone());
            }
            // Half of both is more likely a slip than an object.
            let says_type = members.get("type").and_then(Value::as_str);
            let says_type = says_type.is_some_and(|name| TYPES.contains(&name));
            if says_type || members.contains_key("value") {
                let unknown = members.keys().find(|key| !known(key)).map_or("", |key| key);
                return Err(node.wrong(format!(
                    "`{unknown}` is not known beside `type` and `value`; an object as it is stands under `value:`"
                )));
            }
            node.resolved()
        }
        Value::String(name) if TYPES.contains(&name.as_str()) => Ok(empty(name)),
        Value::Null => Ok(empty("string")),
        _ => node.resolved(),
    }
}

/// An input of which more is said than its value.
fn said(node: Node<'_>) -> Result<Value, Error> {
    let whole = node.clone();
    let fields = node.fields(&SAID)?;
    let kind = fields.text("type")?;
    if let (Some(kind), Some(node)) = (&kind, fields.get("type"))
        && !TYPES.contains(&kind.as_str())
    {
        let known = TYPES.join(", ");
        return Err(node.wrong(format!("`{kind}` is no type; there is: {known}")));
    }
    match fields.get("value").or_else(|| fields.get("default")) {
        Some(node) => typed(&node, node.resolved()?, kind.as_deref()),
        None if fields.flag("required")? == Some(true) => Err(whole.wrong("it needs a `value`")),
        None => Ok(empty(kind.as_deref().unwrap_or("string"))),
    }
}

/// The value as one of a type. A text is read as one, since variables of the environment are
/// texts.
fn typed(node: &Node<'_>, value: Value, kind: Option<&str>) -> Result<Value, Error> {
    let fits = |value: &Value| match kind {
        None => true,
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("float") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some(_) => !value.is_string(),
    };
    if fits(&value) {
        return Ok(value);
    }
    let read = value
        .as_str()
        .and_then(|text| serde_json::from_str(text).ok());
    let kind = kind.unwrap_or_default();
    read.filter(fits)
        .ok_or_else(|| node.wrong(format!("the value is not of type `{kind}`")))
}

/// The value of a type that nothing is said about.
fn empty(kind: &str) -> Value {
    match kind {
        "integer" => json!(0),
        "float" => json!(0.0),
        "boolean" => json!(false),
        "json" => json!({}),
        _ => json!(""),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Written;
    use super::*;

    fn read(value: &Value) -> Result<Value, String> {
        let variables = |name: &str| (name == "N").then(|| "7".to_owned());
        let node = Node::top(value, Written::Manifest, &variables);
        input(&node).map_err(|error| error.to_string())
    }

    #[test]
    fn an_input_is_a_value_a_type_or_what_is_said_of_it() {
        for (written, value) in [
            (json!("text"), json!("text")),
            (json!("x$N"), json!("x7")),
            (json!(1.5), json!(1.5)),
            (json!(null), json!("")),
            (json!("integer"), json!(0)),
            (json!("json"), json!({})),
            (json!({}), json!({})),
            (json!(["$N", { "a": "${N}" }]), json!(["7", { "a": "7" }])),
            (
                json!({ "type": "x", "a": 1 }),
                json!({ "type": "x", "a": 1 }),
            ),
            (json!({ "type": "integer", "value": "$N" }), json!(7)),
            (json!({ "type": "string", "value": "$N" }), json!("7")),
            (
                json!({ "type": "json", "value": "[1, {\"a\": 2}]" }),
                json!([1, { "a": 2 }]),
            ),
            (json!({ "value": { "value": 1 } }), json!({ "value": 1 })),
            (json!({ "default": true, "description": "d" }), json!(true)),
            (
                json!({ "type": "boolean", "required": false }),
                json!(false),
            ),
        ] {
            assert_eq!(read(&written), Ok(value), "{written}");
        }
    }

    #[test]
    fn what_fits_no_type_or_is_a_slip_is_refused_with_its_place() {
        for (written, told) in [
            (
                json!("$GONE"),
                "the variable `GONE` of the environment is not set",
            ),
            (json!({ "type": "number" }), "/type: `number` is no type"),
            (
                json!({ "type": "integer", "value": "x" }),
                "/value: the value is not of type `integer`",
            ),
            (
                json!({ "type": "string", "value": 1 }),
                "/value: the value is not of type `string`",
            ),
            (
                json!({ "type": "string", "vlaue": "x" }),
                "`vlaue` is not known beside",
            ),
            (json!({ "required": true }), "it needs a `value`"),
            (
                json!({ "required": 1 }),
                "/required: `true` or `false` belongs here",
            ),
        ] {
            let error = read(&written).unwrap_err();
            assert!(error.contains(told), "{written}: {error}");
        }
    }
}
