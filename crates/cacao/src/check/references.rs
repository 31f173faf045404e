//! What refers to what (checks 11, 13, 14 and 36 of the digest).

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::surroundings::Known;
use super::view::{View, every_object, texts};
use super::{Check, Said, Surroundings, codes};
use crate::pointer::Pointer;

pub(super) fn check(view: &View<'_>, around: &Surroundings<'_>, said: &mut Said) {
    steps(view, said);
    let mut used = HashSet::new();
    parties(view, &mut used, said);
    authentication(view, &mut used, said);
    markings(view, &mut used, said);
    extensions(view, &mut used, said);
    unused(view, &used, said);
    playbooks(view, around, said);
}

fn steps(view: &View<'_>, said: &mut Said) {
    for name in ["workflow_start", "workflow_exception"] {
        let missing = view.text(name).filter(|id| view.flow.number(id).is_none());
        if let Some(id) = missing {
            no_step(&Pointer::top().then(name), id, said);
        }
    }
    for (from, way, id) in view.flow.dangling() {
        no_step(&view.flow.place(*from, *way), id, said);
    }
}

fn no_step(at: &Pointer, id: &str, said: &mut Said) {
    said.say(
        &codes::NO_SUCH_STEP,
        at,
        format!("the workflow has no step {id}"),
        "name a step of the workflow",
    );
}

/// Agents and targets of steps. What is defined only as the other is told as such.
fn parties<'d>(view: &View<'d>, used: &mut HashSet<&'d str>, said: &mut Said) {
    for node in view.flow.nodes() {
        let agent = node
            .text("agent")
            .map(|id| (id, node.pointer().then("agent")));
        let targets = texts(node.object, "targets")
            .map(|(index, id)| (id, node.pointer().then("targets").then(index)));
        if let Some((id, at)) = agent {
            used.insert(id);
            let to = To {
                check: &codes::NO_SUCH_AGENT,
                dictionary: "agent_definitions",
                other: "target_definitions",
            };
            to.look(view, id, &at, said);
        }
        for (id, at) in targets {
            used.insert(id);
            let to = To {
                check: &codes::NO_SUCH_TARGET,
                dictionary: "target_definitions",
                other: "agent_definitions",
            };
            to.look(view, id, &at, said);
        }
    }
}

/// Where a reference must lead.
struct To {
    check: &'static Check,
    dictionary: &'static str,
    other: &'static str,
}

impl To {
    fn look(&self, view: &View<'_>, id: &str, at: &Pointer, said: &mut Said) {
        if view.defines(self.dictionary, id) {
            return;
        }
        let help = if view.defines(self.other, id) {
            format!(
                "it is defined in `{}`; define it in `{}` too",
                self.other, self.dictionary
            )
        } else {
            format!("define it in `{}`", self.dictionary)
        };
        said.say(
            self.check,
            at,
            format!("{id} is not in `{}`", self.dictionary),
            help,
        );
    }
}

fn authentication<'d>(view: &View<'d>, used: &mut HashSet<&'d str>, said: &mut Said) {
    for (_, party, at) in view.parties() {
        let Some(id) = party.get("authentication_info").and_then(Value::as_str) else {
            continue;
        };
        used.insert(id);
        if !view.defines("authentication_info_definitions", id) {
            said.say(
                &codes::NO_SUCH_AUTHENTICATION,
                &at.then("authentication_info"),
                format!("{id} is not in `authentication_info_definitions`"),
                "define it there",
            );
        }
    }
}

fn markings<'d>(view: &View<'d>, used: &mut HashSet<&'d str>, said: &mut Said) {
    let Some(playbook) = view.document.as_object() else {
        return;
    };
    for (index, id) in texts(playbook, "markings") {
        used.insert(id);
        if !view.defines("data_marking_definitions", id) {
            said.say(
                &codes::NO_SUCH_MARKING,
                &Pointer::top().then("markings").then(index),
                format!("{id} is not in `data_marking_definitions`"),
                "define it there",
            );
        }
    }
}

fn extensions<'d>(view: &View<'d>, used: &mut HashSet<&'d str>, said: &mut Said) {
    every_object(
        view.document,
        &Pointer::top(),
        &mut |object: &'d Map<String, Value>, at| {
            for (place, extensions) in object {
                let Some(extensions) = extensions
                    .as_object()
                    .filter(|_| place.ends_with("_extensions"))
                else {
                    continue;
                };
                for id in extensions.keys() {
                    used.insert(id);
                    if !view.defines("extension_definitions", id) {
                        said.say(
                            &codes::NO_SUCH_EXTENSION,
                            &at.then(place.as_str()).then(id.as_str()),
                            format!("{id} is not in `extension_definitions`"),
                            "define it there: who made it, its schema, its version",
                        );
                    }
                }
            }
        },
    );
}

fn unused(view: &View<'_>, used: &HashSet<&str>, said: &mut Said) {
    for dictionary in [
        "authentication_info_definitions",
        "agent_definitions",
        "target_definitions",
        "extension_definitions",
        "data_marking_definitions",
    ] {
        for (id, _, at) in view.dictionary(dictionary) {
            if !used.contains(id) {
                said.say(
                    &codes::UNUSED,
                    &at,
                    format!("nothing uses {id}"),
                    "use it, or take it out",
                );
            }
        }
    }
}

/// Playbooks that steps run.
fn playbooks(view: &View<'_>, around: &Surroundings<'_>, said: &mut Said) {
    for node in view.flow.nodes() {
        let Some(id) = node.text("playbook_id") else {
            continue;
        };
        let at = node.pointer().then("playbook_id");
        if view.text("id") == Some(id) {
            said.say(
                &codes::RUNS_ITSELF,
                &at,
                "the playbook runs itself",
                "repeat steps by a while-condition",
            );
            continue;
        }
        let version = node.text("playbook_version");
        let message = match around.playbooks.map(|look_up| look_up(id, version)) {
            None | Some(Known::Yes) => continue,
            Some(Known::No) => format!("{id} is not known here"),
            Some(Known::OtherVersion) => format!(
                "{id} is known here, and not its version {}",
                version.unwrap_or_default()
            ),
        };
        said.say(
            &codes::NO_SUCH_PLAYBOOK,
            &at,
            message,
            "it must be here when the step runs",
        );
    }
}
