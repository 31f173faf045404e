//! The texts of a playbook in which references to variables are filled in: those of commands,
//! and those of the agents, targets and credentials that steps share.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::limits::SHARED_MAX;
use super::view::{View, texts};
use super::{Said, codes};
use crate::graph::Node;
use crate::pointer::Pointer;

/// A text in which there may be references.
pub(super) struct Text<'d> {
    pub(super) at: Pointer,
    pub(super) written: Cow<'d, str>,
    /// Where in the text something was wrong that has been told, in bytes: once is enough,
    /// however many steps share the text.
    pub(super) told: RefCell<HashSet<usize>>,
}

/// The texts of agents, targets and credentials, by the dictionary and the key they stand
/// under.
pub(super) struct Shared<'d> {
    texts: HashMap<(&'static str, &'d str), Vec<Text<'d>>>,
    credentials: HashMap<(&'static str, &'d str), &'d str>,
    /// Bytes that may still be looked at.
    left: Option<usize>,
}

impl<'d> Shared<'d> {
    pub(super) fn of(view: &View<'d>) -> Self {
        let (mut all, mut credentials) = (HashMap::new(), HashMap::new());
        for dictionary in ["agent_definitions", "target_definitions", CREDENTIALS] {
            let members = view.document.get(dictionary).and_then(Value::as_object);
            for (id, value) in members.into_iter().flatten() {
                let mut found = Vec::new();
                within(
                    value,
                    &Pointer::top().then(dictionary).then(id.as_str()),
                    &mut found,
                );
                all.insert((dictionary, id.as_str()), found);
                let named = value.get("authentication_info").and_then(Value::as_str);
                credentials.extend(named.map(|named| ((dictionary, id.as_str()), named)));
            }
        }
        Self {
            texts: all,
            credentials,
            left: Some(SHARED_MAX),
        }
    }

    /// What is to be filled in for a step; nothing once too much was looked at.
    pub(super) fn of_step(&mut self, node: &Node<'d>) -> Vec<&Text<'d>> {
        let agent = node.text("agent").map(|id| ("agent_definitions", id));
        let targets = texts(node.object, "targets").map(|(_, id)| ("target_definitions", id));
        let mut used = HashSet::new();
        let mut found = Vec::new();
        for party in agent.into_iter().chain(targets) {
            let credentials = self.credentials.get(&party).map(|id| (CREDENTIALS, *id));
            for key in [Some(party), credentials].into_iter().flatten() {
                let texts = self.texts.get(&key).filter(|_| used.insert(key));
                for text in texts.into_iter().flatten() {
                    self.left = self
                        .left
                        .and_then(|left| left.checked_sub(text.written.len()));
                    if self.left.is_none() {
                        return Vec::new();
                    }
                    found.push(text);
                }
            }
        }
        found
    }

    /// Says so where not all was looked at.
    pub(super) fn told(&self, said: &mut Said) {
        if self.left.is_none() {
            said.say(
                &codes::LIMITS,
                &Pointer::top().then("workflow"),
                format!("the agents, targets and credentials that steps share have more than {SHARED_MAX} bytes of references, counted for each step"),
                "make the texts in them shorter, or make two playbooks of it",
            );
        }
    }
}

const CREDENTIALS: &str = "authentication_info_definitions";

/// Properties whose text is never filled in: words, identifiers, and what people read.
const NEVER: [&str; 6] = [
    "type",
    "playbook_activity",
    "external_references",
    "authentication_info",
    "description",
    "version",
];

/// Every text in a value in which there may be a reference. What is in base64 is looked at
/// decoded.
pub(super) fn within<'d>(value: &'d Value, at: &Pointer, found: &mut Vec<Text<'d>>) {
    match value {
        Value::String(text) => note(text.into(), at, found),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                within(item, &at.then(index), found);
            }
        }
        Value::Object(members) => {
            for (name, value) in members
                .iter()
                .filter(|(name, _)| !NEVER.contains(&name.as_str()))
            {
                let at = at.then(name.as_str());
                match value.as_str().filter(|_| name.ends_with("_b64")) {
                    Some(encoded) => {
                        if let Some(text) = decoded(encoded) {
                            note(text.into(), &at, found);
                        }
                    }
                    None => within(value, &at, found),
                }
            }
        }
        _ => {}
    }
}

fn note<'d>(text: Cow<'d, str>, at: &Pointer, found: &mut Vec<Text<'d>>) {
    if text.contains("__") || text.contains("$$") {
        found.push(Text {
            at: at.clone(),
            written: text,
            told: RefCell::default(),
        });
    }
}

fn decoded(encoded: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
}
