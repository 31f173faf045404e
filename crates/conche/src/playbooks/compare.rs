//! `conche playbooks diff`: what changed, by what it means: whole properties and steps rather
//! than lines, whatever their order.

use std::path::PathBuf;

use clap::Args;
use conche_cacao::Pointer;
use serde_json::{Value, json};

use super::read;
use crate::failure::Failure;
use crate::output::{self, OutputArgs};

/// Compares two playbooks.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The earlier playbook
    before: PathBuf,
    /// The later playbook
    after: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
}

/// `conche playbooks diff`; whether the two are the same.
pub(crate) fn diff(args: &DiffArgs) -> Result<bool, Failure> {
    let (before, after) = (read(&args.before)?, read(&args.after)?);
    let mut changes = Vec::new();
    compare(before.value(), after.value(), &Pointer::top(), &mut changes);
    let same = changes.is_empty();
    args.output
        .print(&json!({"same": same, "changes": changes}), |_| {
            if same {
                return "the same\n".to_owned();
            }
            let line = |change: &Value| {
                let value = |name: &str| change.get(name).map(output::plain).unwrap_or_default();
                let pointer = output::plain(&change["pointer"]);
                match change["change"].as_str() {
                    Some("added") => format!("+ {pointer}: {}\n", value("after")),
                    Some("removed") => format!("- {pointer}: {}\n", value("before")),
                    _ => format!("~ {pointer}: {} -> {}\n", value("before"), value("after")),
                }
            };
            changes.iter().map(line).collect()
        })?;
    Ok(same)
}

fn compare(before: &Value, after: &Value, at: &Pointer, changes: &mut Vec<Value>) {
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            for (name, before) in old {
                let at = at.then(name.as_str());
                match new.get(name) {
                    Some(after) => compare(before, after, &at, changes),
                    None => changes.push(
                        json!({"change": "removed", "pointer": at.to_string(), "before": before}),
                    ),
                }
            }
            for (name, after) in new.iter().filter(|(name, _)| !old.contains_key(*name)) {
                let at = at.then(name.as_str());
                changes.push(json!({"change": "added", "pointer": at.to_string(), "after": after}));
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (index, (before, after)) in old.iter().zip(new).enumerate() {
                compare(before, after, &at.then(index), changes);
            }
        }
        (before, after) if before != after => {
            changes.push(json!({"change": "changed", "pointer": at.to_string(), "before": before, "after": after}));
        }
        _ => {}
    }
}
