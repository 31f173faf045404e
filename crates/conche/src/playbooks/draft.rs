//! `conche playbooks new`: a playbook to begin with.

use clap::Args;
use conche_cacao::Document;
use conche_cacao::identifier::{self, Identifier};
use conche_core::Timestamp;
use serde_json::json;

use super::random_uuid;
use crate::failure::Failure;
use crate::output;

/// Writes a new playbook.
#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// What to call it
    #[arg(long, default_value = "New playbook")]
    name: String,
    /// Who makes it: the identifier of a STIX identity [default: a new one]
    #[arg(long, value_name = "IDENTITY", value_parser = identity)]
    created_by: Option<String>,
    /// Make the playbook's identifier of its name: the same name gives the same identifier
    #[arg(long)]
    deterministic: bool,
}

fn identity(text: &str) -> Result<String, String> {
    let read = Identifier::parse(text).map_err(|error| error.to_string());
    match read {
        Ok(id) if id.kind == "identity" => Ok(text.to_owned()),
        Ok(_) => Err("it is of another type than identity".to_owned()),
        Err(error) => Err(format!("{error}; write identity--UUID")),
    }
}

/// `conche playbooks new`.
pub(crate) fn new(args: &NewArgs) -> Result<(), Failure> {
    let id = |kind: &str| random_uuid().map(|uuid| format!("{kind}--{uuid}"));
    let (start, ask, end, people) = (id("start")?, id("action")?, id("end")?, id("group")?);
    let now = format!("{:.3}", Timestamp::now());
    let by = match &args.created_by {
        Some(by) => by.clone(),
        None => id("identity")?,
    };
    let own = if args.deterministic {
        identifier::of_playbook(&args.name, &[])
    } else {
        id("playbook")?
    };
    let playbook = json!({
        "type": "playbook",
        "spec_version": "cacao-2.0",
        "id": own,
        "name": args.name,
        "description": "What it does, and when to use it.",
        "created_by": by,
        "created": now,
        "modified": now,
        "workflow_start": start,
        "workflow": {
            &start: {"type": "start", "on_completion": ask},
            &ask: {
                "type": "action",
                "name": "Look into it",
                "timeout": 3_600_000,
                "commands": [{"type": "manual", "command": "Say what you found."}],
                "agent": people,
                "on_completion": end,
            },
            &end: {"type": "end"},
        },
        "agent_definitions": {
            &people: {"type": "group", "name": "People on duty"},
        },
    });
    output::line(Document::of(playbook).to_text().trim_end())
}
