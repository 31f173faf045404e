//! Playbooks to test with: small, valid, and in the form in which people write them.

use conche_core::playbook::FOUR_EYES;
use serde_json::{Value, json};

/// The identifier of a test's playbook of this number.
pub fn playbook_id(number: u8) -> String {
    format!("playbook--00000000-0000-4000-8000-0000000001{number:02x}")
}

/// A version: a time of modification in 2026, later for a higher number.
pub fn playbook_version(number: u8) -> String {
    format!("2026-01-{number:02}T00:00:00.000Z")
}

/// A valid playbook with one step between its start and its end; the step comes from `step`,
/// which is given what every step has.
pub fn playbook(number: u8, version: u8, step: &Value) -> Value {
    let (start, work, end) = (
        "start--00000000-0000-4000-8000-000000000001",
        format!(
            "{}--00000000-0000-4000-8000-000000000002",
            step["type"].as_str().unwrap_or("action")
        ),
        "end--00000000-0000-4000-8000-000000000003",
    );
    let mut step = step.clone();
    step["on_success"] = end.into();
    let mut workflow = json!({
        start: { "type": "start", "on_completion": work },
        end: { "type": "end" },
    });
    workflow[&work] = step.clone();
    let mut document = json!({
        "type": "playbook",
        "spec_version": "cacao-2.0",
        "id": playbook_id(number),
        "name": format!("Playbook {number}"),
        "created_by": "identity--00000000-0000-4000-8000-000000000004",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": playbook_version(version),
        "workflow_start": start,
        "workflow": workflow,
        "agent_definitions": {
            AGENT: { "type": "individual", "name": "Ann" },
        },
    });
    if step["step_extensions"][FOUR_EYES].is_object() {
        document["extension_definitions"] = json!({ FOUR_EYES: {
            "type": "extension-definition",
            "name": "four-eyes",
            "created_by": "identity--00000000-0000-4000-8000-000000000004",
            "schema": "https://soc.example/schemas/four-eyes.json",
            "version": "1.0.0",
        } });
    }
    document
}

const AGENT: &str = "individual--00000000-0000-4000-8000-000000000005";

/// A step that asks a person: every server can carry it out.
pub fn asking() -> Value {
    json!({
        "type": "action",
        "name": "Ask",
        "agent": AGENT,
        "commands": [{ "type": "manual", "command": "Is the host isolated?" }],
    })
}

/// A step with a `bash` command that a second person approves first.
pub fn destructive() -> Value {
    json!({
        "type": "action",
        "name": "Stop it",
        "agent": AGENT,
        "commands": [{ "type": "bash", "command": "systemctl stop web" }],
        "step_extensions": { FOUR_EYES: { "type": "four-eyes" } },
    })
}

/// A step whose command no module carries out.
pub fn unbound() -> Value {
    json!({
        "type": "action",
        "name": "Hunt",
        "agent": AGENT,
        "commands": [{ "type": "caldera-cmd", "command": "x" }],
    })
}

/// A step that calls a playbook, in a version or in the latest.
pub fn calling(number: u8, version: Option<u8>) -> Value {
    let mut step = json!({
        "type": "playbook-action",
        "name": "Call",
        "playbook_id": playbook_id(number),
    });
    if let Some(version) = version {
        step["playbook_version"] = playbook_version(version).into();
    }
    step
}
