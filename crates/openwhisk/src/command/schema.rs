//! The JSON Schema (2020-12) of the command.
//!
//! It says what can be said without looking at two properties at once; [`check`](super::check)
//! says the rest.

use serde_json::{Map, Value, json};

use super::parse::{FAIL_ON, MODES, REASONS};
use super::value::{ATTEMPTS, PAUSE, Range, TYPES, WAIT};

/// The schema of a command of form A.
pub fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "openwhisk command",
        "description": "A command of CACAO 2.0 playbooks that invokes an action of Apache OpenWhisk or fires a trigger.",
        "type": "object",
        "required": ["type", "command"],
        "not": { "required": ["params", "params_b64"] },
        "properties": Value::Object(properties()),
    })
}

fn properties() -> Map<String, Value> {
    let list = saying().into_iter().chain(waiting());
    list.map(|(name, schema)| (name.to_owned(), schema))
        .collect()
}

/// What is done, and what of it is kept.
fn saying() -> Vec<(&'static str, Value)> {
    vec![
        ("type", json!({ "const": super::TYPE })),
        (
            "version",
            json!({ "type": "string", "pattern": r"^1(\.|$)", "default": "1.0",
            "description": "The version of this type of command." }),
        ),
        ("description", json!({ "type": "string" })),
        ("playbook_activity", json!({ "type": "string" })),
        ("external_references", json!({ "type": "array" })),
        (
            "command",
            json!({ "type": "string", "pattern": r"^\s*(invoke|fire)\s+\S",
            "description": "`invoke` and an action, or `fire` and a trigger: `/ns/[pkg/]name`; `_` is the namespace of the key.",
            "examples": ["invoke /_/enrich/ip-reputation", "fire /_/alerts"] }),
        ),
        (
            "params",
            json!({ "type": "object", "default": {},
            "description": "The arguments. A text that is one reference and nothing else becomes a value of the variable's type." }),
        ),
        (
            "params_b64",
            json!({ "type": "string", "contentEncoding": "base64",
            "description": "The arguments as base64 of a JSON object, in which nothing is a reference." }),
        ),
        (
            "outputs",
            json!({ "type": "object",
            "propertyNames": { "pattern": r"^__[a-zA-Z_][a-zA-Z0-9_-]*__$" },
            "additionalProperties": output(),
            "description": "What of the activation goes into which variable." }),
        ),
        (
            "logs",
            json!({ "type": "boolean", "default": false, "description": "Fetch the log." }),
        ),
        (
            "fail_on",
            json!({ "type": "array", "items": { "enum": words(&FAIL_ON) },
            "description": "What counts as failure of the step. Default: all." }),
        ),
        (
            "require_rule",
            json!({ "type": "boolean", "default": false,
            "description": "A trigger without an active rule is a failure." }),
        ),
    ]
}

/// How long it may take, and when it is done again.
fn waiting() -> Vec<(&'static str, Value)> {
    vec![
        (
            "mode",
            json!({ "enum": words(&MODES), "default": "wait",
            "description": "`wait` with the host, then ask; `poll`: ask from the beginning; `async`: accepted is success." }),
        ),
        (
            "wait_ms",
            milliseconds(WAIT, "How long the host itself waits. Default: 60000."),
        ),
        (
            "poll",
            closed(
                &json!({
                    "interval_ms": milliseconds(PAUSE, "The first wait. Default: 1000."),
                    "max_interval_ms": milliseconds(PAUSE, "The longest wait. Default: 8000."),
                }),
                &[],
            ),
        ),
        (
            "retry",
            closed(
                &json!({
                    "max_attempts": milliseconds(ATTEMPTS, "Attempts in all. Default: 3."),
                    "backoff_ms": milliseconds(PAUSE, "The wait before the second attempt; it doubles. Default: 500."),
                    "on": { "type": "array", "items": { "enum": words(&REASONS) },
                        "description": "Why. Default: not_sent, throttled. The others need `idempotency`." },
                }),
                &[],
            ),
        ),
        (
            "idempotency",
            closed(
                &json!({
                    "param": { "type": "string", "minLength": 1,
                        "description": "The argument that gets the key of this command." },
                }),
                &["param"],
            ),
        ),
    ]
}

fn output() -> Value {
    closed(
        &json!({
            "from": { "type": "string", "format": "json-pointer", "pattern": "^(/([^~]|~[01])*)?$",
                "description": "A JSON Pointer into the activation." },
            "type": { "enum": TYPES },
            "required": { "type": "boolean", "default": true },
            "default": true,
        }),
        &["from"],
    )
}

fn closed(properties: &Value, required: &[&str]) -> Value {
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn milliseconds(Range(least, most): Range, description: &str) -> Value {
    json!({ "type": "integer", "minimum": least, "maximum": most, "description": description })
}

fn words<T>(list: &[(&'static str, T)]) -> Vec<&'static str> {
    list.iter().map(|(word, _)| *word).collect()
}
