//! Variables that credentials are made of (`"password": "__pw__:value"`), and where they may
//! not stand.
//!
//! What such a variable is given is sealed before it is stored, by whoever starts the run, and
//! opened when a command is sent, in its credentials and nowhere else. Anywhere else the sealed
//! text would stand, so a playbook that uses such a variable elsewhere is refused. Names count
//! for all playbooks of a program alike, since a variable keeps its name when it is handed over.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conche_cacao::model::{AuthenticationInfo, Dictionary};
use conche_cacao::variable::reference::references;
use conche_cacao::{Playbook, Pointer};
use serde_json::Value;

use super::credentials::{SECRET, secret, uses_kms};

/// What references may stand in; titles are for people and are never filled in.
const FILLED: [&str; 4] = [
    "agent_definitions",
    "authentication_info_definitions",
    "target_definitions",
    "workflow",
];
const TITLES: [&str; 2] = ["description", "name"];
/// The type that a sealed value has.
const TEXT: &str = "string";

/// The names of the variables that credentials of these playbooks are made of.
pub(super) fn sealed<'p>(playbooks: impl Iterator<Item = &'p Playbook>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for playbook in playbooks {
        let infos = playbook.authentication_info_definitions.iter();
        let infos = infos.flat_map(Dictionary::iter).map(|(_, info)| info);
        let declared = |name: &str| is_declared(playbook, name);
        let texts = infos.filter(|info| !uses_kms(info)).flat_map(secrets);
        for text in texts {
            let used = references(text, &declared);
            names.extend(used.map(|used| used.name.to_owned()));
        }
    }
    names
}

fn secrets(info: &AuthenticationInfo) -> impl Iterator<Item = &str> {
    SECRET.iter().filter_map(|property| secret(info, property))
}

fn is_declared(playbook: &Playbook, name: &str) -> bool {
    let all = playbook.playbook_variables.as_ref();
    let steps = playbook.workflow.iter();
    let mut steps = steps.filter_map(|(_, step)| step.step_variables.as_ref());
    all.is_some_and(|all| all.get(name).is_some()) || steps.any(|of| of.get(name).is_some())
}

/// Where a playbook uses variables of credentials for something else, and what to do.
pub(super) fn faults(playbook: &Playbook, sealed: &BTreeSet<String>) -> Vec<(Pointer, String)> {
    if sealed.is_empty() {
        return Vec::new();
    }
    let mut search = Search {
        playbook,
        sealed,
        faults: Vec::new(),
    };
    let whole = serde_json::to_value(playbook).unwrap_or_default();
    for part in FILLED {
        search.look(&whole[part], &Pointer::default().then(part));
    }
    search.types(&whole["playbook_variables"], "playbook_variables");
    search.faults
}

struct Search<'p> {
    playbook: &'p Playbook,
    sealed: &'p BTreeSet<String>,
    faults: Vec<(Pointer, String)>,
}

impl Search<'_> {
    fn look(&mut self, value: &Value, at: &Pointer) {
        match value {
            Value::String(text) => self.text(text, at),
            Value::Array(items) => {
                for (number, item) in items.iter().enumerate() {
                    self.look(item, &at.then(number));
                }
            }
            Value::Object(members) => {
                let is_secret = at.is_within("authentication_info_definitions");
                for (name, member) in members {
                    let name = name.as_str();
                    let is_own = is_secret && SECRET.contains(&name);
                    if is_own || TITLES.contains(&name) {
                        continue;
                    }
                    match member.as_str().filter(|_| name.ends_with("_b64")) {
                        Some(encoded) => self.encoded(encoded, &at.then(name)),
                        None => self.look(member, &at.then(name)),
                    }
                }
            }
            _ => {}
        }
    }

    fn encoded(&mut self, encoded: &str, at: &Pointer) {
        let decoded = STANDARD.decode(encoded).ok();
        if let Some(text) = decoded.and_then(|bytes| String::from_utf8(bytes).ok()) {
            self.text(&text, at);
        }
    }

    fn text(&mut self, text: &str, at: &Pointer) {
        let declared = |name: &str| is_declared(self.playbook, name);
        let used = references(text, &declared).find(|used| self.sealed.contains(used.name));
        if let Some(used) = used {
            let message = format!(
                "`{}` feeds credentials, so its value is secret and may stand in nothing else: use another variable here",
                used.name
            );
            self.faults.push((at.clone(), message));
        }
    }

    fn types(&mut self, declared: &Value, property: &str) {
        for (name, variable) in declared.as_object().into_iter().flatten() {
            if self.sealed.contains(name) && variable["type"] != TEXT {
                let place = Pointer::default().then(property).then(name.as_str());
                let message = format!("`{name}` feeds credentials: its type must be `{TEXT}`");
                self.faults.push((place.then("type"), message));
            }
        }
    }
}
