//! `safety:`, rails for what playbooks do: how many targets they act on, how much at once, and
//! what a second person approves before it is done.

use std::collections::BTreeMap;

use conche_core::list::check_name;
use conche_core::playbook::FourEyes;
use conche_engine::{ACTED_ON, Cap, Caps};
use conche_runtime::units::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Authored;
use super::fault::Fault;
use super::place::{Key, Place};

/// Rails for what playbooks do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Safety {
    /// What all playbooks together may act on. Beyond it a run does nothing and needs attention.
    /// Default: no cap.
    targets: Option<Targets>,
    /// What single playbooks may act on, by identifier; both caps count. Default: none.
    playbooks: BTreeMap<String, Targets>,
    /// Steps that are begun only once somebody approved them who did not have the run started.
    /// Default: those that a playbook itself marks.
    four_eyes: Approved,
    /// How much is done at once.
    at_once: AtOnce,
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

/// How much is done at once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct AtOnce {
    /// Runs of each playbook, from their first step to their end; more wait in the order in
    /// which they were started. Default: 0, any number.
    runs_per_playbook: u32,
    /// The same for these playbooks, by identifier. Default: none.
    playbooks: BTreeMap<String, u32>,
    /// Attempts of commands at one target, over all runs. Default: 0, any number.
    attempts_per_target: u32,
}

/// Which steps are meant. What a playbook marks itself is meant besides.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Approved {
    /// Types of commands, such as `ssh`, or the modules that carry them out. Default: none.
    commands: Vec<String>,
    /// Words of a command's `playbook_activity`, such as `isolate-device`. Default: none.
    activities: Vec<String>,
    /// Identifiers of playbooks, for all of their commands. Default: none.
    playbooks: Vec<String>,
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
    pub(super) fn resolve(self) -> conche_engine::Safety {
        let caps = Caps {
            all: self.targets.as_ref().map(Targets::cap),
            playbooks: self
                .playbooks
                .into_iter()
                .map(|(id, targets)| (id, targets.cap()))
                .collect(),
        };
        let four_eyes = FourEyes {
            commands: self.four_eyes.commands.into_iter().collect(),
            activities: self.four_eyes.activities.into_iter().collect(),
            playbooks: self.four_eyes.playbooks.into_iter().collect(),
        };
        let at_once = conche_engine::AtOnce {
            runs_per_playbook: self.at_once.runs_per_playbook,
            playbooks: self.at_once.playbooks,
        };
        conche_engine::Safety {
            caps,
            four_eyes,
            at_once,
            attempts_per_target: self.at_once.attempts_per_target,
        }
    }
}

/// A word that means nothing would leave unguarded what somebody wanted guarded.
pub(super) fn safety_makes_sense(authored: &Authored, faults: &mut Vec<Fault>) {
    let safety = &authored.safety;
    windows_count(safety, faults);
    let caps = safety.playbooks.keys();
    let caps = caps.map(|id| (Place::of(&["safety", "playbooks"]).then(Key::named(id)), id));
    let at_once = safety.at_once.playbooks.keys();
    let at_once = at_once.map(|id| {
        let place = Place::of(&["safety", "at_once", "playbooks"]);
        (place.then(Key::named(id)), id)
    });
    let approved = safety.four_eyes.playbooks.iter().enumerate();
    let approved = approved.map(|(index, id)| (of_approved("playbooks", index), id));
    for (place, id) in caps.chain(at_once).chain(approved) {
        if !is_playbook(id) {
            let message = format!("`{id}` is no identifier of a playbook, `playbook--` and a UUID");
            faults.push(Fault::new(place, message));
        }
    }
    words_mean_something(&safety.four_eyes, faults);
}

/// A cap has a window.
fn windows_count(safety: &Safety, faults: &mut Vec<Fault>) {
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
}

fn words_mean_something(four_eyes: &Approved, faults: &mut Vec<Fault>) {
    for (index, kind) in four_eyes.commands.iter().enumerate() {
        if kind == "manual" {
            let message = "a manual command is a question itself: nobody approves that";
            faults.push(Fault::new(of_approved("commands", index), message));
        } else if kind.trim().is_empty() {
            faults.push(Fault::new(of_approved("commands", index), "is empty"));
        }
    }
    for (index, word) in four_eyes.activities.iter().enumerate() {
        if word.trim().is_empty() {
            faults.push(Fault::new(of_approved("activities", index), "is empty"));
        }
    }
}

fn of_approved(list: &str, index: usize) -> Place {
    Place::of(&["safety", "four_eyes", list]).then(Key::Index(index))
}

/// Whether this can be a playbook's identifier, and the name of a list of its targets with it.
fn is_playbook(id: &str) -> bool {
    id.starts_with("playbook--") && check_name(&format!("{ACTED_ON}.{id}")).is_ok()
}
