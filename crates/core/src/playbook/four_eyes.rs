//! Which steps a second person has to approve before they are carried out.
//!
//! The author of a playbook says it of a step by an extension; the owner of a server says it of
//! types of commands, of activities and of playbooks. Neither takes back what the other said.

use std::collections::BTreeSet;

use conche_cacao::Playbook;
use conche_cacao::model::{Command, Step};
use serde_json::Value;

use super::bind::module_of;

/// The step extension by which a playbook says it.
pub const EXTENSION: &str = "extension-definition--1279d568-6672-4a9d-a792-8e563915bfd6";
/// Its type.
const TYPE: &str = "four-eyes";
/// The command that is a question itself.
const MANUAL: &str = "manual";

/// What the owner of a server wants approved. Empty: only what playbooks say themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FourEyes {
    /// Types of commands, or the modules that carry them out.
    pub commands: BTreeSet<String>,
    /// Words of `playbook_activity`.
    pub activities: BTreeSet<String>,
    /// Identifiers of playbooks, all of whose commands are meant.
    pub playbooks: BTreeSet<String>,
}

impl FourEyes {
    /// Whether a step is begun only once a second person approved it.
    pub(super) fn wants(&self, playbook: &Playbook, step: &Step) -> bool {
        if asked_for(step) {
            return true;
        }
        let agent = step.agent.as_ref();
        let agents = playbook.agent_definitions.as_ref();
        let agent = agents.zip(agent).and_then(|(all, id)| all.get(id));
        let mut commands = step.commands.iter().flatten();
        commands.any(|command| {
            let module = agent.map_or(&*command.kind, |agent| module_of(command, agent));
            module != MANUAL && self.means(playbook, command, module)
        })
    }

    fn means(&self, playbook: &Playbook, command: &Command, module: &str) -> bool {
        let activity = command.playbook_activity.as_ref();
        self.playbooks.contains(&playbook.id)
            || self.commands.contains(&command.kind)
            || self.commands.contains(module)
            || activity.is_some_and(|word| self.activities.contains(word))
    }
}

/// Whether the step itself says so.
pub(super) fn asked_for(step: &Step) -> bool {
    extension(step).is_some()
}

/// What is wrong with what the step says, if anything.
pub(super) fn flaw(step: &Step) -> Option<String> {
    let members = extension(step)?.as_object();
    let known = |members: &serde_json::Map<String, Value>| {
        members.keys().all(|name| name == "type") && members.get("type") == Some(&TYPE.into())
    };
    if !members.is_some_and(known) {
        return Some(format!(
            "`{TYPE}` is {{\"type\": \"{TYPE}\"}} and nothing else"
        ));
    }
    let acts = step.commands.iter().flatten().next().is_some();
    (!acts).then(|| format!("only a step with commands can have `{TYPE}`"))
}

fn extension(step: &Step) -> Option<&Value> {
    let extensions = step.step_extensions.iter().flatten();
    let mut ours = extensions.filter(|(key, extension)| {
        *key == EXTENSION || extension.get("type").and_then(Value::as_str) == Some(TYPE)
    });
    ours.next().map(|(_, extension)| extension)
}
