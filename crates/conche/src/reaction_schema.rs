//! The JSON Schema of a reaction file, with the actions of every module.
//!
//! Written by hand beside the model in `conche-core`, which knows no schemas; a test holds
//! it against what the model reads.

use conche_modules::actions;
use serde_json::{Value, json};

const SPAN: &str = "^[0-9]+(ms|s|m|h|d)$";

/// The JSON Schema of a reaction file.
pub(crate) fn schema() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Conche reaction",
        "description": "A trigger, a script that decides, and named actions whose scripts decide further.",
        "type": "object",
        "properties": {
            "name": text("Its key among all reactions."),
            "event": text("The event type that triggers it."),
            "events": {
                "type": "array",
                "items": { "type": "string", "minLength": 1 },
                "description": "Several event types that trigger it.",
            },
            "when": text("A CEL expression over `event`; the reaction is triggered only where it holds."),
            "dedup": control("The first event of a key runs, those of the window after it do not.", &["window"], json!({
                "window": span("From the event that ran; at most 7d."),
            })),
            "throttle": control("So many runs of a key begin in any span of this length, and no more.", &["limit", "per"], json!({
                "limit": { "type": "integer", "minimum": 1, "maximum": 1000, "description": "How many." },
                "per": span("At most 7d."),
            })),
            "debounce": control("One run, with the last event, once no other has come for a while.", &["wait"], json!({
                "wait": span("How long it must be quiet; at most 7d."),
                "max_wait": span("From the first event, at most 7d. Default: ten times `wait`."),
            })),
            "group": control("One run for all events of a window; its script sees them as `event.events`.", &["window"], json!({
                "window": span("From the first event; at most 7d."),
                "max": { "type": "integer", "minimum": 1, "maximum": 1000, "description": "Events at which it runs at once. Default: 100." },
            })),
            "lists": {
                "type": "array",
                "items": { "type": "string", "pattern": "^[A-Za-z0-9_.-]{1,64}$" },
                "maxItems": 16,
                "description": "Named lists whose entries its scripts see, as `lists.NAME[KEY]`.",
            },
            "script": text("The JavaScript that decides first: it sets `nextAction` and `result`."),
            "script_file": text("A file with that script, relative to this one."),
            "actions": {
                "type": ["object", "null"],
                "additionalProperties": action(),
                "description": "Actions by the name that scripts know them by.",
            },
            "isolation": {
                "enum": ["warm", "fresh"],
                "description": "Whether scripts may share a JavaScript context with earlier calls. Default: warm.",
            },
            "limits": limits(),
        },
        "required": ["name"],
        "allOf": [
            { "anyOf": [{ "required": ["event"] }, { "required": ["events"] }] },
            { "oneOf": [{ "required": ["script"] }, { "required": ["script_file"] }] },
        ],
        "additionalProperties": false,
    })
}

fn action() -> Value {
    let known: Vec<Value> = actions::ALL
        .iter()
        .map(|module| {
            let names: Vec<&str> = module.actions.iter().map(|spec| spec.name).collect();
            json!({
                "properties": { "module": { "const": module.name }, "action": { "enum": names } },
                "description": module.summary,
            })
        })
        .collect();
    json!({
        "type": "object",
        "properties": {
            "module": { "type": "string", "description": "The module that offers it." },
            "action": { "type": "string", "description": "Its name within the module." },
            "script": {
                "type": "string",
                "description": "Decides what follows; without one nothing does.",
            },
            "script_file": { "type": "string", "description": "A file with that script." },
            "retry": {
                "type": "object",
                "description": "How often and how soon a failed attempt is repeated.",
                "properties": {
                    "attempts": { "type": "integer", "minimum": 1, "description": "Attempts in all. Default: 5." },
                    "initial": span("Wait before the second attempt. Default: 1s."),
                    "factor": { "type": "number", "minimum": 1, "maximum": 100, "description": "By how much each wait is longer. Default: 2." },
                    "max": span("Longest wait. Default: 5m."),
                },
                "additionalProperties": false,
            },
            "timeout": span("Time of one attempt. Default: limits.action_timeout of the configuration."),
            "on_uncertain": {
                "enum": ["repeat", "attention"],
                "description": "What to do when it is unknown whether an attempt took effect. Default: the action's own.",
            },
        },
        "required": ["module", "action"],
        "additionalProperties": false,
        "oneOf": known,
    })
}

/// A key of storm control.
fn control(description: &str, required: &[&str], mut properties: Value) -> Value {
    properties["key"] = json!({
        "type": "string",
        "description": "A CEL expression over `event` that tells events apart. Default: all have one key.",
    });
    json!({
        "type": "object",
        "description": description,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn limits() -> Value {
    json!({
        "type": "object",
        "description": "What one run may use, where it differs from the configuration.",
        "properties": {
            "deadline": span("Time from start to end."),
            "steps": { "type": "integer", "minimum": 0, "description": "Steps, loops included." },
            "concurrency": { "type": "integer", "minimum": 0, "description": "Runs worked on at once." },
        },
        "additionalProperties": false,
    })
}

fn span(description: &str) -> Value {
    json!({ "type": "string", "pattern": SPAN, "description": description })
}

#[cfg(test)]
mod tests {
    use super::*;
    use conche_core::reaction::{Authored, Format};

    /// The model names every key that it knows when it meets one that it does not.
    fn keys_of_the_model(text: &str) -> Vec<String> {
        let error = Authored::parse(text, Format::Json).unwrap_err().to_string();
        let (_, listed) = error.split_once("expected one of ").expect(&error);
        let mut keys: Vec<String> = listed
            .split('`')
            .skip(1)
            .step_by(2)
            .map(Into::into)
            .collect();
        keys.sort();
        keys
    }

    fn keys_of(schema: &Value) -> Vec<String> {
        let mut keys: Vec<String> = schema["properties"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect();
        keys.sort();
        keys
    }

    #[test]
    fn the_schema_has_the_keys_of_the_model() {
        let schema = schema();
        let action = &schema["properties"]["actions"]["additionalProperties"];
        assert_eq!(keys_of(&schema), keys_of_the_model(r#"{"x":1}"#));
        assert_eq!(
            keys_of(action),
            keys_of_the_model(r#"{"actions":{"a":{"x":1}}}"#)
        );
        let limits = &schema["properties"]["limits"];
        assert_eq!(keys_of(limits), keys_of_the_model(r#"{"limits":{"x":1}}"#));
        let retry = &action["properties"]["retry"];
        assert_eq!(
            keys_of(retry),
            keys_of_the_model(r#"{"actions":{"a":{"retry":{"x":1}}}}"#)
        );
    }
}
