//! What may stand in which property: read once, used by the check and by the reader.

use serde_json::{Map, Value};

/// How a whole number is bounded.
#[derive(Clone, Copy)]
pub(super) struct Range(pub(super) u64, pub(super) u64);

/// The range of `wait_ms`.
pub(super) const WAIT: Range = Range(1, crate::client::WAIT_MAX as u64);
/// The range of the waits of `poll` and `retry`, in milliseconds.
pub(super) const PAUSE: Range = Range(10, 3_600_000);
/// The range of `max_attempts`.
pub(super) const ATTEMPTS: Range = Range(1, 100);

/// The properties of the command, but for those of every command.
pub(super) const OWN: [&str; 14] = [
    "command",
    "fail_on",
    "idempotency",
    "logs",
    "mode",
    "outputs",
    "params",
    "params_b64",
    "poll",
    "require_rule",
    "retry",
    "type",
    "version",
    "wait_ms",
];

/// The properties of every command.
pub(super) const COMMON: [&str; 3] = ["description", "external_references", "playbook_activity"];

/// Types of variables that an output may be said to be of.
pub(super) const TYPES: [&str; 16] = [
    "bool",
    "dictionary",
    "float",
    "hash",
    "hexstring",
    "integer",
    "ipv4-addr",
    "ipv6-addr",
    "list",
    "long",
    "mac-addr",
    "md5-hash",
    "sha256-hash",
    "string",
    "uri",
    "uuid",
];

/// A whole number within a range.
pub(super) fn number(value: &Value, Range(least, most): Range) -> Result<u64, String> {
    match value
        .as_u64()
        .filter(|number| (least..=most).contains(number))
    {
        Some(number) => Ok(number),
        None => Err(format!(
            "it is a whole number of milliseconds or times from {least} to {most}, not {value}"
        )),
    }
}

/// One of some words.
pub(super) fn word<T: Copy>(value: &Value, words: &[(&str, T)]) -> Result<T, String> {
    let found = value
        .as_str()
        .and_then(|text| words.iter().find(|(word, _)| *word == text));
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        format!("it is one of {}, not {value}", words.join(", "))
    })
}

/// An object with these members only.
pub(super) fn object<'v>(
    value: &'v Value,
    members: &[&str],
) -> Result<&'v Map<String, Value>, String> {
    let object = value
        .as_object()
        .ok_or_else(|| format!("it is an object, not {value}"))?;
    let stranger = object.keys().find(|name| !members.contains(&name.as_str()));
    match stranger {
        None => Ok(object),
        Some(name) => Err(format!(
            "it has no `{name}`; there is {}",
            members.join(", ")
        )),
    }
}

/// A JSON Pointer (RFC 6901).
pub(super) fn is_pointer(text: &str) -> bool {
    let escapes = text
        .split('~')
        .skip(1)
        .all(|rest| rest.starts_with(['0', '1']));
    (text.is_empty() || text.starts_with('/')) && escapes
}

/// Whether a value fits a type of variables; the engine checks the words of texts itself.
pub(super) fn fits(value: &Value, kind: &str) -> bool {
    match kind {
        "bool" => value.is_boolean(),
        "integer" | "long" => value.is_i64() || value.is_u64(),
        "float" => value.is_number(),
        "dictionary" => value.is_object(),
        "list" => value.is_array(),
        _ => value.is_string(),
    }
}
