//! Commands (§5).

use super::{Dictionary, ExternalReference};

object! {
    /// A command of any type: see [`crate::shape::COMMAND`]. The properties of a type that is
    /// not known are in `other`.
    Command {
        kind = "type": String,
    } optional {
        description: String,
        version: String,
        playbook_activity: String,
        external_references: Vec<ExternalReference>,
        command: String,
        command_b64: String,
        headers: Dictionary<Vec<String>>,
        content: String,
        content_b64: String,
    }
}
