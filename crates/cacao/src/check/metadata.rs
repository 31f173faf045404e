//! What a playbook says of itself against what is in it (checks 6 to 8 of the digest).

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::view::{View, every_object, objects, texts};
use super::{Said, codes};
use crate::pointer::Pointer;
use crate::vocabulary::{ACTIVITIES, Binding, PLAYBOOK_TYPE};

pub(super) fn check(view: &View<'_>, said: &mut Said) {
    let Some(playbook) = view.document.as_object() else {
        return;
    };
    activities(view, playbook, said);
    sectors(view, playbook, said);
    references(view, playbook, said);
    summary(view, playbook, said);
    locations(view, said);
}

fn activities(view: &View<'_>, playbook: &Map<String, Value>, said: &mut Said) {
    let top = Pointer::top();
    let listed: HashSet<&str> = texts(playbook, "playbook_activities")
        .map(|(_, word)| word)
        .collect();
    for (index, kind) in texts(playbook, "playbook_types") {
        let at = top.then("playbook_types").then(index);
        if listed.is_empty() && PLAYBOOK_TYPE.has(kind) {
            said.say(
                &codes::NO_ACTIVITIES,
                &at,
                format!("a playbook of type {kind} lists its activities"),
                "add `playbook_activities`",
            );
            return;
        }
        let musts: Vec<&str> = ACTIVITIES
            .iter()
            .filter(|(_, of, binding)| *of == kind && *binding == Binding::Must)
            .map(|(activity, ..)| *activity)
            .collect();
        if !musts.is_empty() && !musts.iter().any(|must| listed.contains(must)) {
            said.say(
                &codes::TYPE_WITHOUT_ACTIVITY,
                &at,
                format!(
                    "a playbook of type {kind} has the activity {}",
                    musts.join(" or ")
                ),
                "list it, or take the type out",
            );
        }
    }
    let done: HashSet<&str> = view
        .commands()
        .filter_map(|command| command.text("playbook_activity"))
        .collect();
    for (index, activity) in texts(playbook, "playbook_activities") {
        if !done.contains(activity) {
            said.say(
                &codes::UNUSED_ACTIVITY,
                &top.then("playbook_activities").then(index),
                format!("no command has the activity {activity}"),
                "set `playbook_activity` on the command that does it, or take it out",
            );
        }
    }
    for command in view.commands() {
        if let Some(activity) = command
            .text("playbook_activity")
            .filter(|word| !listed.contains(word))
        {
            said.say(
                &codes::UNLISTED_ACTIVITY,
                &command.pointer().then("playbook_activity"),
                format!("{activity} is not among `playbook_activities`"),
                "list it there",
            );
        }
    }
}

fn sectors(view: &View<'_>, playbook: &Map<String, Value>, said: &mut Said) {
    let listed: HashSet<&str> = texts(playbook, "industry_sectors")
        .map(|(_, word)| word)
        .collect();
    for (_, party, at) in view.parties() {
        let sector = party.get("sector").and_then(Value::as_str);
        if let Some(sector) = sector.filter(|sector| !listed.contains(sector)) {
            said.say(
                &codes::UNLISTED_SECTOR,
                &at.then("sector"),
                format!("{sector} is not among `industry_sectors`"),
                "list it there",
            );
        }
    }
}

fn references(view: &View<'_>, playbook: &Map<String, Value>, said: &mut Said) {
    let top: HashSet<String> = objects(playbook, "external_references")
        .map(|(_, reference)| canonical(reference))
        .collect();
    every_object(view.document, &Pointer::top(), &mut |object, at| {
        for (index, reference) in objects(object, "external_references") {
            let at = at.then("external_references").then(index);
            if reference.keys().all(|name| name == "name") {
                said.say(
                    &codes::BARE_REFERENCE,
                    &at,
                    "a reference with nothing but a name leads nowhere",
                    "add a `description`, `source`, `url`, `external_id` or `reference_id`",
                );
            }
            let below = at.is_within("workflow");
            if below && !top.contains(&canonical(reference)) {
                said.say(
                    &codes::UNLISTED_REFERENCE,
                    &at,
                    "this reference is not among those of the playbook",
                    "repeat it in the playbook's `external_references`",
                );
            }
        }
    });
}

/// A reference as text that is the same whatever the order of its properties.
fn canonical(reference: &Map<String, Value>) -> String {
    let mut members: Vec<String> = reference
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    members.sort_unstable();
    members.join("\n")
}

fn summary(view: &View<'_>, playbook: &Map<String, Value>, said: &mut Said) {
    let claims = playbook
        .get("playbook_processing_summary")
        .and_then(Value::as_object);
    let Some(claims) = claims else { return };
    for (name, so) in features(view, playbook) {
        let claimed = claims.get(name).and_then(Value::as_bool);
        if claimed.is_some_and(|claimed| claimed != so) {
            let at = Pointer::top()
                .then("playbook_processing_summary")
                .then(name);
            let message = if so {
                "this says no, and it is so"
            } else {
                "this says yes, and it is not so"
            };
            said.say(&codes::SUMMARY, &at, message, format!("write {so}"));
        }
    }
}

/// What the processing summary of a playbook should say (§10.14).
pub(super) fn features(
    view: &View<'_>,
    playbook: &Map<String, Value>,
) -> Vec<(&'static str, bool)> {
    let any = |kind: &str| view.flow.nodes().iter().any(|node| node.kind == kind);
    let has = |name: &str| playbook.get(name).is_some_and(filled);
    let mut commands = view.commands().peekable();
    let manual = commands.peek().is_some() && commands.all(|command| command.kind == "manual");
    let mut extended = has("extension_definitions");
    let mut countersigned = false;
    every_object(view.document, &Pointer::top(), &mut |object, at| {
        extended |= object.keys().any(|name| name.ends_with("_extensions"));
        countersigned |= at.is_within("signatures") && object.contains_key("signature");
    });
    let waits = |name: &str| {
        view.flow
            .nodes()
            .iter()
            .any(|node| node.object.contains_key(name))
    };
    vec![
        ("manual_playbook", manual),
        ("external_playbooks", any("playbook-action")),
        ("parallel_processing", any("parallel")),
        ("if_logic", any("if-condition")),
        ("while_logic", any("while-condition")),
        ("switch_logic", any("switch-condition")),
        ("temporal_logic", waits("delay") || waits("timeout")),
        (
            "data_markings",
            has("markings") || has("data_marking_definitions"),
        ),
        ("digital_signatures", has("signatures")),
        ("countersigned_signatures", countersigned),
        ("extensions", extended),
    ]
}

fn filled(value: &Value) -> bool {
    match value {
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        _ => false,
    }
}

/// Places on earth (§10.4): the lower bounds are outside.
fn locations(view: &View<'_>, said: &mut Said) {
    for (_, party, at) in view.parties() {
        let Some(location) = party.get("location").and_then(Value::as_object) else {
            continue;
        };
        let at = at.then("location");
        let has = |name: &str| location.contains_key(name);
        if has("latitude") != has("longitude") || (has("precision") && !has("latitude")) {
            said.say(&codes::LOCATION, &at, "latitude and longitude are only together a place, and a precision only beside them", "give both, or none");
        }
        for (name, most) in [("latitude", 90.0), ("longitude", 180.0)] {
            let Some(text) = location.get(name).and_then(Value::as_str) else {
                continue;
            };
            let within = text
                .parse()
                .is_ok_and(|degrees: f64| degrees > -most && degrees <= most);
            if !within && !text.contains("__") {
                said.say(
                    &codes::LOCATION,
                    &at.then(name),
                    format!("\"{text}\" is no {name}"),
                    format!("write degrees above -{most} up to {most}"),
                );
            }
        }
    }
}
