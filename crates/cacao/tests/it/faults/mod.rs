//! Every check against a document that fails it, and no other.
//!
//! Each row takes the sound document, breaks one thing, and names the one code that must come
//! of it under the strict profile.

mod parts;
mod rows;

use std::collections::BTreeSet;

use conche_cacao::check::codes::ALL;
use conche_cacao::check::{Known, Surroundings};
use conche_cacao::{Document, Finding, Profile};
use serde_json::Value;

use self::parts::{NEW, Parts};
use self::rows::FAULTS;

/// A document in which nothing is wrong.
pub(crate) fn sound() -> Value {
    let text = include_bytes!("../documents/sound.json");
    Document::parse(text).expect("I-JSON").into_value()
}

/// Every faulty document, with its codes.
pub(crate) fn faulty() -> impl Iterator<Item = (&'static str, Value)> {
    FAULTS.iter().map(|(codes, fault)| {
        let mut parts = Parts(sound());
        fault(&mut parts);
        (*codes, parts.0)
    })
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
    // The text itself is looked at before there is a document; limits have tests of their own.
    let elsewhere = ["CACAO001", "CACAO110", "CACAO111"];
    let covered: BTreeSet<&str> = FAULTS
        .iter()
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
