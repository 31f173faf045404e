//! A run told to a person: what was decided and done, step by step.
//!
//! Made from the API's own form of a run, so that `conche run` and `conche runs show` tell
//! the same story of the same run.

use serde_json::Value;

use crate::output::{coloured, plain};

/// Longer inputs and outputs are cut; `-o json` has them whole.
const SHOWN_CHARS: usize = 400;

/// A run with its steps.
pub(crate) fn of(run: &Value) -> String {
    let mut lines = vec![format!(
        "run {} of {}: {}",
        plain(&run["run_id"]),
        plain(&run["definition"]),
        coloured(&plain(&run["status"]))
    )];
    if let Some(reason) = run["reason"].as_str() {
        lines.push(format!("  because {reason}"));
    }
    for item in run["steps"].as_array().into_iter().flatten() {
        step(item, &mut lines);
    }
    for (name, value) in run["variables"].as_object().into_iter().flatten() {
        lines.push(format!("  {name} = {}", short(value)));
    }
    lines.join("\n")
}

fn step(step: &Value, lines: &mut Vec<String>) {
    let action = step["action"].as_str().map(|action| format!(" ({action})"));
    let attempts = match step["attempts"].as_u64() {
        None | Some(0 | 1) => String::new(),
        Some(attempts) => format!(" after {attempts} attempts"),
    };
    let forgotten = if step["forgotten"] == true {
        " (before a retry)"
    } else {
        ""
    };
    lines.push(format!(
        "  {} {}{}: {}{attempts}{forgotten}",
        plain(&step["visit"]),
        plain(&step["step_id"]),
        action.unwrap_or_default(),
        coloured(&plain(&step["status"])),
    ));
    for line in step["console"].as_array().into_iter().flatten() {
        lines.push(format!(
            "      {}: {}",
            plain(&line["level"]),
            plain(&line["text"])
        ));
    }
    for key in ["input", "output", "evidence"] {
        if let Some(value) = step.get(key) {
            lines.push(format!("      {key} {}", short(value)));
        }
    }
    if let Some(message) = step.pointer("/error/message") {
        lines.push(format!("      error {}", plain(message)));
    }
}

fn short(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// A message of a live view.
pub(crate) fn message(event: &str, value: &Value) -> String {
    match event {
        "record" => format!("{} {}", plain(&value["at"]), entry(&value["entry"])),
        "end" => match value["reason"].as_str() {
            Some(reason) => format!("{}: {reason}", plain(&value["status"])),
            None => plain(&value["status"]),
        },
        "change" => format!(
            "{} {} {}: {}",
            plain(&value["run_id"]),
            plain(&value["definition"]),
            plain(&value["status"]),
            plain(&value["entries"])
        ),
        "missed" => format!("({} changes were missed)", plain(&value["changes"])),
        other => format!("{other} {value}"),
    }
}

/// An entry is an object with one member, named after its kind.
fn entry(entry: &Value) -> String {
    let kind = entry.as_object().and_then(|members| members.iter().next());
    match kind {
        Some((kind, Value::Object(about))) => {
            let visit = about.get("visit").map(|visit| format!(" {visit}"));
            let rest: serde_json::Map<String, Value> = about
                .iter()
                .filter(|(key, _)| *key != "visit")
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            let rest = short(&Value::Object(rest));
            format!("{kind}{} {rest}", visit.unwrap_or_default())
        }
        _ => short(entry),
    }
}
