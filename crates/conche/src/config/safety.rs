//! `safety:`, how many targets playbooks may act on.

use std::collections::BTreeMap;

use conche_core::list::check_name;
use conche_engine::{ACTED_ON, Cap, Caps};
use conche_runtime::units::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Authored;
use super::fault::Fault;
use super::place::{Key, Place};

/// Caps on what playbooks act on. Beyond one a run does nothing and needs attention.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Safety {
    /// What all playbooks together may act on. Default: no cap.
    targets: Option<Targets>,
    /// What single playbooks may act on, by identifier; both caps count. Default: none.
    playbooks: BTreeMap<String, Targets>,
}

/// How many distinct targets may be acted on in a window of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Targets {
    /// The number; 0 has a person decide about each.
    most: u32,
    /// The window, such as `1h`.
    within: Span,
}

impl Targets {
    const fn cap(&self) -> Cap {
        Cap {
            most: self.most,
            within: self.within,
        }
    }
}

impl Safety {
    pub(super) fn caps(&self) -> Caps {
        let playbooks = self.playbooks.iter();
        let playbooks = playbooks.map(|(id, targets)| (id.clone(), targets.cap()));
        Caps {
            all: self.targets.as_ref().map(Targets::cap),
            playbooks: playbooks.collect(),
        }
    }
}

/// A cap has a window, and a playbook's identifier is one.
pub(super) fn caps_make_sense(authored: &Authored, faults: &mut Vec<Fault>) {
    let safety = &authored.safety;
    let of_all = safety.targets.iter();
    let of_all = of_all.map(|targets| (Place::of(&["safety", "targets"]), targets));
    let of_one = safety.playbooks.iter().map(|(id, targets)| {
        let place = Place::of(&["safety", "playbooks"]).then(Key::named(id));
        (place, targets)
    });
    for (place, targets) in of_all.chain(of_one) {
        if targets.within.duration().is_zero() {
            let message = "must be more than 0: nothing would be counted";
            faults.push(Fault::new(place.then(Key::named("within")), message));
        }
    }
    for id in safety.playbooks.keys() {
        let is_id = id.starts_with("playbook--") && check_name(&format!("{ACTED_ON}.{id}")).is_ok();
        if !is_id {
            let place = Place::of(&["safety", "playbooks"]).then(Key::named(id));
            let message = "is no identifier of a playbook, `playbook--` and a UUID";
            faults.push(Fault::new(place, message));
        }
    }
}
