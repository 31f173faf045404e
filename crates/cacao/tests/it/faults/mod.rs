//! Every check against a document that fails it, and no other.
//!
//! Each row takes the sound document, breaks one thing, and names the one code that must come
//! of it under the strict profile.

mod lookalikes;
mod parts;
mod rows;

use std::collections::BTreeSet;

use conche_cacao::check::codes::ALL;
use conche_cacao::check::{Known, Mismatch, Surroundings};
use conche_cacao::{Document, Finding, Pointer, Profile};
use serde_json::Value;

use self::lookalikes::LOOKALIKES;
use self::parts::{NEW, Parts, TICKETS};
use self::rows::all;

/// A document in which nothing is wrong.
pub(crate) fn sound() -> Value {
    let text = include_bytes!("../documents/sound.json");
    Document::parse(text).expect("I-JSON").into_value()
}

/// Every faulty document, with its codes.
pub(crate) fn faulty() -> impl Iterator<Item = (&'static str, Value)> {
    all().map(|(codes, fault)| {
        let mut parts = Parts(sound());
        fault(&mut parts);
        (*codes, parts.0)
    })
}

/// What the schema for tickets would say: an object with a text `ticket_queue`.
fn tickets(id: &str, data: &Value) -> Vec<Mismatch> {
    if id != TICKETS || data["ticket_queue"].is_string() {
        return Vec::new();
    }
    let at = match data {
        Value::Object(_) => Pointer::top().then("ticket_queue"),
        _ => Pointer::top(),
    };
    vec![Mismatch {
        at,
        message: "this is not how tickets are filed".to_owned(),
        help: "name a queue".to_owned(),
    }]
}

fn strict(value: Value) -> Vec<Finding> {
    let here = |id: &str, _: Option<&str>| {
        if id.ends_with(NEW) {
            Known::No
        } else {
            Known::Yes
        }
    };
    let around = Surroundings {
        now: Some("2026-06-01T00:00:00Z".parse().expect("a time")),
        playbooks: Some(&here),
        commands: &[],
        extensions: Some(&tickets),
        examine: None,
    };
    Document::of(value).check_within(Profile::Strict, &around)
}

#[test]
fn nothing_is_wrong_with_a_sound_document_in_any_profile() {
    assert_eq!(strict(sound()), []);
    for profile in [Profile::Lenient, Profile::Standard, Profile::Strict] {
        assert_eq!(Document::of(sound()).check(profile), [], "{profile}");
    }
}

#[test]
fn nothing_is_wrong_with_what_only_looks_so() {
    for (what, change) in LOOKALIKES {
        let mut parts = Parts(sound());
        change(&mut parts);
        assert_eq!(strict(parts.0), [], "{what}");
    }
}

#[test]
fn what_a_schema_does_not_allow_is_told_where_it_stands_in_the_document() {
    let mut parts = Parts(sound());
    *parts.tickets("Note it") = serde_json::json!({"ticket_queue": 7});
    let step = parts.id("Note it");
    let text = serde_json::to_string_pretty(&parts.0).expect("JSON");
    let document = Document::parse(text.as_bytes()).expect("I-JSON");
    let around = Surroundings {
        extensions: Some(&tickets),
        ..Surroundings::default()
    };
    let findings = document.check_within(Profile::Standard, &around);
    let [finding] = findings.as_slice() else {
        panic!("{findings:#?}");
    };
    assert_eq!(
        finding.pointer,
        format!("/workflow/{step}/step_extensions/{TICKETS}/ticket_queue")
    );
    let line = text.lines().position(|line| line.contains("ticket_queue"));
    assert_eq!(
        finding.place.map(|place| place.line),
        line.map(|line| line + 1)
    );
    assert_eq!(document.check(Profile::Strict), [], "no schema is at hand");
}

#[test]
fn each_fault_is_found_by_its_own_check_and_no_other() {
    let mut wrong = Vec::new();
    for (row, (code, document)) in faulty().enumerate() {
        let findings = strict(document);
        let codes: BTreeSet<&str> = findings.iter().map(|finding| finding.code).collect();
        if codes != code.split(' ').collect() {
            wrong.push(format!("row {row}, {code}: {findings:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_check_has_a_fault_that_it_finds() {
    // The text itself is looked at before there is a document; limits have tests of their own,
    // and so have commands that others know.
    let elsewhere = ["CACAO001", "CACAO110", "CACAO111", "CACAO113", "CACAO114"];
    let covered: BTreeSet<&str> = all()
        .filter_map(|(codes, _)| codes.split(' ').next())
        .chain(elsewhere)
        .collect();
    let missing: Vec<&str> = ALL
        .iter()
        .map(|check| check.code)
        .filter(|code| !covered.contains(code))
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}
