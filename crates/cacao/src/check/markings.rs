//! Data markings (check 35 of the digest).

use serde_json::{Map, Value};

use super::lapse::Mortal;
use super::view::{View, texts};
use super::{Said, Surroundings, codes};
use crate::identifier::Identifier;
use crate::pointer::Pointer;

/// The objects that stand for the levels of TLP 2.0. Nobody may make others (§9).
pub(super) static TLP: &[(&str, &str)] = &[
    (
        "TLP:CLEAR",
        "marking-tlp--94868c89-83c2-464b-929b-a1a8aa3c8487",
    ),
    (
        "TLP:GREEN",
        "marking-tlp--bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
    ),
    (
        "TLP:AMBER",
        "marking-tlp--55d920b0-5e8b-4f79-9ee9-91f868d9b421",
    ),
    (
        "TLP:AMBER+STRICT",
        "marking-tlp--939a9414-2ddd-4d32-a0cd-375ea402b003",
    ),
    (
        "TLP:RED",
        "marking-tlp--e828b379-4e03-4974-9ac4-e53a884c97c1",
    ),
];

const TLP_CREATED: &str = "2022-10-01T00:00:00.000Z";
const TLP_CREATED_BY: &str = "identity--5abe695c-7bd5-4c31-8824-2528696cdbf1";

static MARKING: Mortal = Mortal {
    check: &codes::MARKING_NOT_VALID,
    what: "marking",
    help: "take it out, or replace it",
};

pub(super) fn check(view: &View<'_>, around: &Surroundings<'_>, said: &mut Said) {
    for (id, marking, at) in view.dictionary("data_marking_definitions") {
        if marking.get("type") == Some(&Value::from("marking-tlp")) {
            tlp(id, marking, &at, said);
        }
        MARKING.check(marking, &at, around, said);
    }
    several(view, said);
}

/// A TLP marking is one of the five, to the letter.
fn tlp(id: &str, marking: &Map<String, Value>, at: &Pointer, said: &mut Said) {
    let text = |name: &str| marking.get(name).and_then(Value::as_str);
    let Some(level) = text("tlpv2_level") else {
        return;
    };
    let Some((_, fixed)) = TLP.iter().find(|(known, _)| *known == level) else {
        return;
    };
    if id != *fixed {
        said.say(
            &codes::TLP,
            at,
            format!("{level} has an identifier of its own"),
            format!("it is {fixed}"),
        );
    }
    for (name, fixed) in [("created", TLP_CREATED), ("created_by", TLP_CREATED_BY)] {
        if text(name).is_some_and(|found| found != fixed) {
            said.say(
                &codes::TLP,
                &at.then(name),
                format!("the `{name}` of {level} is {fixed}"),
                "the markings of TLP are given: copy them as they are",
            );
        }
    }
}

/// More than one level of TLP at once: nobody can say which holds.
fn several(view: &View<'_>, said: &mut Said) {
    let Some(playbook) = view.document.as_object() else {
        return;
    };
    let levels = texts(playbook, "markings").filter(|(_, id)| {
        Identifier::parse(id).is_ok_and(|identifier| identifier.kind == "marking-tlp")
    });
    for (index, _) in levels.skip(1) {
        said.say(
            &codes::SEVERAL_TLP,
            &Pointer::top().then("markings").then(index),
            "this is one level of TLP too many",
            "keep the stricter one",
        );
    }
}
