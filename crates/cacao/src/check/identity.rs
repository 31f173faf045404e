//! Who an object is and when it was made (checks 1 to 3, 5 and 9 of the digest).

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::view::{View, every_object, texts};
use super::{Said, Surroundings, codes};
use crate::identifier::Identifier;
use crate::pointer::Pointer;
use crate::time;

/// The dictionaries whose keys are identifiers of what is in them.
const DICTIONARIES: [&str; 6] = [
    "workflow",
    "authentication_info_definitions",
    "agent_definitions",
    "target_definitions",
    "extension_definitions",
    "data_marking_definitions",
];

pub(super) fn check(view: &View<'_>, around: &Surroundings<'_>, said: &mut Said) {
    keys(view, said);
    versions(view, said);
    uuids(view, said);
    times(view, said);
    validity(view, around, said);
    derivation(view, said);
}

/// The key of an object names its type, and its `id` where it has one.
fn keys(view: &View<'_>, said: &mut Said) {
    for (id, object, at) in DICTIONARIES
        .into_iter()
        .flat_map(|name| view.dictionary(name))
    {
        let Ok(identifier) = Identifier::parse(id) else {
            continue;
        };
        let text = |name: &str| object.get(name).and_then(Value::as_str);
        if let Some(kind) = text("type").filter(|kind| *kind != identifier.kind) {
            let message = format!(
                "the key names a {}, the object is a {kind}",
                identifier.kind
            );
            said.say(
                &codes::KEY_TYPE,
                &at,
                message,
                format!("call it {kind}--{}", identifier.uuid),
            );
        }
        if let Some(own) = text("id").filter(|own| *own != id) {
            let message = format!("the object is {own}, and stands under another name");
            said.say(&codes::KEY_TYPE, &at, message, "give it one name");
        }
    }
}

/// Which versions of UUIDs may stand where.
fn versions(view: &View<'_>, said: &mut Said) {
    for node in view.flow.nodes() {
        let version = Identifier::parse(node.id).map(|id| id.uuid.get_version_num());
        if let Ok(version) = version
            && version != 4
        {
            let message = format!("the UUID of this step is of version {version}");
            said.say(
                &codes::STEP_UUID,
                &node.pointer(),
                message,
                "steps have random UUIDs, of version 4",
            );
        }
    }
    let version = view.text("id").and_then(|id| Identifier::parse(id).ok());
    if let Some(version) = version.map(|id| id.uuid.get_version_num())
        && ![4, 5].contains(&version)
    {
        let message = format!("the UUID of the playbook is of version {version}");
        said.say(
            &codes::PLAYBOOK_UUID,
            &Pointer::top().then("id"),
            message,
            "playbooks have UUIDs of version 4 or 5",
        );
    }
}

/// A UUID belongs to one object, whatever its type is called.
fn uuids(view: &View<'_>, said: &mut Said) {
    let mut seen: HashMap<uuid::Uuid, (&str, &str)> = HashMap::new();
    let own = view.text("id").map(|id| (id, Pointer::top().then("id")));
    let defined = DICTIONARIES
        .into_iter()
        .flat_map(|name| view.dictionary(name));
    let all = own.into_iter().chain(defined.map(|(id, _, at)| (id, at)));
    for (id, at) in all {
        let Ok(identifier) = Identifier::parse(id) else {
            continue;
        };
        let (first, kind) = *seen.entry(identifier.uuid).or_insert((id, identifier.kind));
        // An agent may be a target under the same name; in other letters, it is another name.
        if first != id {
            let message = format!("this UUID is that of a {kind} already: {first}");
            said.say(
                &codes::SAME_UUID,
                &at,
                message,
                "make a new UUID for one of the two",
            );
        }
    }
}

/// Pairs of times that must be in order, wherever they stand.
fn times(view: &View<'_>, said: &mut Said) {
    every_object(view.document, &Pointer::top(), &mut |object, at| {
        if let Some((created, modified)) = pair(object, "created", "modified")
            && modified < created
        {
            said.say(
                &codes::MODIFIED,
                &at.then("modified"),
                "it was modified before it was created",
                "`modified` equals `created` in the first version and is later in all others",
            );
        }
        if let Some((from, until)) = pair(object, "valid_from", "valid_until")
            && until <= from
        {
            said.say(
                &codes::VALIDITY,
                &at.then("valid_until"),
                "it is valid at no time: `valid_until` is not after `valid_from`",
                "make `valid_until` later, or leave one of the two out",
            );
        }
    });
}

fn pair(
    object: &Map<String, Value>,
    first: &str,
    second: &str,
) -> Option<(jiff::Timestamp, jiff::Timestamp)> {
    let read = |name: &str| time::read(object.get(name)?.as_str()?).ok();
    Some((read(first)?.0, read(second)?.0))
}

/// Whether it may be used now.
fn validity(view: &View<'_>, around: &Surroundings<'_>, said: &mut Said) {
    if view.document.get("revoked") == Some(&Value::Bool(true)) {
        said.say(
            &codes::NOT_VALID_NOW,
            &Pointer::top().then("revoked"),
            "this playbook is revoked",
            "it is not executed; use the one that replaced it",
        );
        return;
    }
    let Some(now) = around.now else { return };
    let read = |name: &str| time::read(view.text(name)?).ok().map(|(time, _)| time);
    if let Some(from) = read("valid_from").filter(|from| now < *from) {
        said.say(
            &codes::NOT_VALID_NOW,
            &Pointer::top().then("valid_from"),
            format!("this playbook is not valid before {from}"),
            "it is not executed until then",
        );
    }
    if let Some(until) = read("valid_until").filter(|until| now >= *until) {
        said.say(
            &codes::NOT_VALID_NOW,
            &Pointer::top().then("valid_until"),
            format!("this playbook is not valid since {until}"),
            "it is not executed; make a new version of it",
        );
    }
}

fn derivation(view: &View<'_>, said: &mut Said) {
    let Some((id, document)) = view.text("id").zip(view.document.as_object()) else {
        return;
    };
    for (index, from) in texts(document, "derived_from") {
        if from == id {
            said.say(
                &codes::DERIVED_FROM_SELF,
                &Pointer::top().then("derived_from").then(index),
                "the playbook is derived from itself",
                "a new version keeps the `id` and has a later `modified`; take this out",
            );
        }
    }
}
