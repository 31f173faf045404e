//! What marks an action beside its code: annotations that mean something to a host, and limits.

use serde_json::{Map, Value, json};

use super::Error;
use super::inputs::annotations;
use super::tree::{Fields, Node};
use crate::model::{ActionLimits, KeyValue, KeyValues};

/// Annotations, with the description among them.
pub(super) fn described(fields: &Fields<'_>) -> Result<Map<String, Value>, Error> {
    let mut annotations = annotations(fields.entries("annotations")?)?;
    if let Some(text) = fields.text("description")? {
        annotations.entry("description").or_insert(text.into());
    }
    Ok(annotations)
}

/// An action gets its caller's key only where it says so. Hosts give it to those that say
/// nothing, unless they were made by this API.
pub(super) fn own_key(mut annotations: KeyValues) -> KeyValues {
    const KEY: &str = "provide-api-key";
    if annotations.get(KEY).is_none() {
        annotations.set(KeyValue::new(KEY, false));
    }
    annotations
}

/// What makes an action one of the web, as `wsk` writes it.
pub(super) fn web(
    at: &Node<'_>,
    fields: &Fields<'_>,
    annotations: &mut Map<String, Value>,
) -> Result<(), Error> {
    let written = match (fields.get("web"), fields.get("web-export")) {
        (Some(_), Some(_)) => {
            return Err(at.wrong("`web` and `web-export` are the same: one of them counts"));
        }
        (one, other) => one.or(other).map(|node| node.resolved()).transpose()?,
    };
    let written = written.or_else(|| annotations.remove("web-export"));
    let raw = match written.as_ref() {
        None | Some(Value::Bool(false)) => None,
        Some(Value::Bool(true)) => Some(false),
        Some(Value::String(word)) => match word.as_str() {
            "true" | "yes" => Some(false),
            "raw" => Some(true),
            "false" | "no" => None,
            _ => {
                return Err(at.wrong(format!(
                    "web: `{word}` is none of true, false, yes, no, raw"
                )));
            }
        },
        Some(_) => return Err(at.wrong("web: one of true, false, yes, no, raw belongs here")),
    };
    let (asked_raw, asked_final) = (fields.flag("raw-http")?, fields.flag("final")?);
    let Some(raw) = raw else {
        if asked_raw.is_some() || asked_final.is_some() {
            return Err(at.wrong("`raw-http` and `final` are for web actions"));
        }
        return Ok(());
    };
    annotations.insert("web-export".to_owned(), true.into());
    for (name, value) in [
        ("raw-http", raw || asked_raw.unwrap_or(false)),
        ("final", asked_final.unwrap_or(true)),
    ] {
        annotations.entry(name).or_insert(json!(value));
    }
    Ok(())
}

/// The limits that are written.
pub(super) fn limits(node: Node<'_>) -> Result<ActionLimits, Error> {
    let fields = node.fields(&["timeout", "memorySize", "logSize", "concurrency"])?;
    Ok(ActionLimits {
        timeout: fields.whole("timeout")?,
        memory: fields.whole("memorySize")?,
        logs: fields.whole("logSize")?,
        concurrency: fields.whole("concurrency")?,
        ..ActionLimits::default()
    })
}
