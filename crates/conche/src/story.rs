//! A run told to a person: what was decided and done, step by step.
//!
//! Made from the API's own form of a run, so that `conche run` and `conche runs show` tell
//! the same story of the same run.

use jiff::Timestamp;
use serde_json::Value;

use crate::output::{coloured, plain};

/// Longer inputs and outputs are cut; `-o json` has them whole.
const SHOWN_CHARS: usize = 400;

/// A run with its steps.
pub(crate) fn of(run: &Value) -> String {
    at(run, Timestamp::now())
}

fn at(run: &Value, now: Timestamp) -> String {
    let mut lines = vec![format!(
        "run {} of {}: {}",
        plain(&run["run_id"]),
        name(run),
        coloured(&plain(&run["status"]))
    )];
    if let Some(reason) = run["reason"].as_str() {
        lines.push(format!("  because {reason}"));
    }
    if let Some(what) = run["waits_for"].as_str() {
        lines.push(format!("  waits for {}", plain(&what.into())));
    }
    let paused = run["status"] == "paused";
    if paused {
        let run = plain(&run["run_id"]);
        lines.push(format!("  goes on with: conche runs resume {run}"));
    }
    for item in run["steps"].as_array().into_iter().flatten() {
        step(item, &mut lines);
        if item["forgotten"] != true {
            // What is due while it is paused is not begun.
            let next =
                next(run, item, now).filter(|_| !paused || item["status"] == "needs_attention");
            lines.extend(next.map(|next| format!("      {next}")));
        }
    }
    for (name, value) in run["variables"].as_object().into_iter().flatten() {
        lines.push(format!("  {name} = {}", short(value)));
    }
    lines.join("\n")
}

/// What it follows; a playbook by its name, too.
fn name(run: &Value) -> String {
    let definition = plain(&run["definition"]);
    match &run["playbook_name"] {
        Value::Null => definition,
        name => format!("{} ({definition})", plain(name)),
    }
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

/// What a step waits for, and who or what has it go on.
fn next(run: &Value, step: &Value, now: Timestamp) -> Option<String> {
    let when = step["next_at"].as_str().and_then(|at| at.parse().ok());
    let when = when.map(|at| moment(at, now));
    match (step["status"].as_str()?, when) {
        ("backing_off", Some(when)) if step["error"]["kind"] == "quarantined" => Some(format!(
            "this script of the reaction `{}` was stopped too often: it is run again {when}",
            plain(&run["definition"])
        )),
        ("backing_off" | "uncertain", Some(when)) => Some(format!("next attempt {when}")),
        ("waiting", Some(when)) => Some(format!("goes on {when}")),
        ("needs_attention", _) => Some(format!(
            "waits for a person: conche runs resume {} --visit {} with --repeat, --succeeded OUTPUT or --failed REASON",
            plain(&run["run_id"]),
            plain(&step["visit"])
        )),
        _ => None,
    }
}

/// A moment to come, to the second, and how far off it is.
fn moment(at: Timestamp, now: Timestamp) -> String {
    let seconds = at.as_second().saturating_sub(now.as_second());
    let (number, unit) = match seconds {
        ..=0 => return "now".to_owned(),
        1..90 => (seconds, "second"),
        90..5_400 => ((seconds + 30) / 60, "minute"),
        5_400..129_600 => ((seconds + 1_800) / 3_600, "hour"),
        _ => ((seconds + 43_200) / 86_400, "day"),
    };
    let plural = if number == 1 { "" } else { "s" };
    let at = Timestamp::from_second(at.as_second()).unwrap_or(at);
    format!("in {number} {unit}{plural}, at {at}")
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_moment_is_told_in_round_numbers() {
        let now = Timestamp::UNIX_EPOCH;
        for (seconds, expected) in [
            (-5, "now"),
            (1, "in 1 second, at 1970-01-01T00:00:01Z"),
            (89, "in 89 seconds, at 1970-01-01T00:01:29Z"),
            (598, "in 10 minutes, at 1970-01-01T00:09:58Z"),
            (7_000, "in 2 hours, at 1970-01-01T01:56:40Z"),
            (300_000, "in 3 days, at 1970-01-04T11:20:00Z"),
        ] {
            let at = Timestamp::from_second(seconds).unwrap();
            assert_eq!(moment(at, now), expected);
        }
    }

    #[test]
    fn a_run_that_waits_says_for_what() {
        let step = |status: &str, kind: &str| {
            json!({
                "visit": 1, "step_id": "s", "status": status, "attempts": 1,
                "next_at": "1970-01-01T00:10:00Z", "error": { "kind": kind, "message": "m" },
            })
        };
        for (status, kind, expected) in [
            ("backing_off", "transient", "next attempt in 10 minutes"),
            (
                "backing_off",
                "quarantined",
                "this script of the reaction `d` was stopped too often: it is run again in 10",
            ),
            (
                "needs_attention",
                "transient",
                "waits for a person: conche runs resume r --visit 1 with --repeat",
            ),
        ] {
            let step = step(status, kind);
            let run =
                json!({ "run_id": "r", "definition": "d", "status": "running", "steps": [step] });
            let told = at(&run, Timestamp::UNIX_EPOCH);
            assert!(
                told.lines().any(|line| line.trim().starts_with(expected)),
                "{told}"
            );
        }
        let run = json!({ "steps": [step("succeeded", "transient")] });
        assert_eq!(at(&run, Timestamp::UNIX_EPOCH).lines().count(), 3);
    }
}
