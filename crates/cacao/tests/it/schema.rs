//! The generated JSON Schema agrees with the structural checks.

use conche_cacao::schema::playbook;
use conche_cacao::{Document, Profile};
use serde_json::{Value, json};

use crate::faults::{faulty, sound};

/// The checks that look at values by themselves, and those that a schema can follow.
const STRUCTURAL: [&str; 15] = [
    "CACAO002", "CACAO003", "CACAO004", "CACAO005", "CACAO007", "CACAO009", "CACAO010", "CACAO011",
    "CACAO012", "CACAO013", "CACAO014", "CACAO048", "CACAO049", "CACAO050", "CACAO051",
];

#[test]
fn the_schema_is_one_of_draft_2020_12() {
    jsonschema::draft202012::meta::validate(&playbook()).expect("a schema");
}

#[test]
fn a_sound_document_satisfies_the_schema() {
    let validator = jsonschema::draft202012::new(&playbook()).expect("a schema");
    let errors: Vec<String> = validator
        .iter_errors(&sound())
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert_eq!(errors, Vec::<String>::new());
}

#[test]
fn what_the_structural_checks_find_the_schema_finds_too() {
    let validator = jsonschema::draft202012::new(&playbook()).expect("a schema");
    let mut missed = Vec::new();
    for (codes, document) in faulty() {
        let first = codes.split(' ').next().unwrap_or_default();
        if STRUCTURAL.contains(&first) && validator.is_valid(&document) {
            missed.push(codes);
        }
    }
    assert_eq!(missed, Vec::<&str>::new());
}

#[test]
fn what_is_open_stays_open() {
    let validator = jsonschema::draft202012::new(&playbook()).expect("a schema");
    let mut document = sound();
    let steps = document["workflow"].as_object_mut().expect("steps");
    let action = steps
        .values_mut()
        .find(|step| step["type"] == "action")
        .expect("an action");
    action["commands"] = json!([{"type": "ftp", "file": {"name": "x"}}]);
    assert!(
        validator.is_valid(&document),
        "a command that only its author knows"
    );
    let document = Document::of(document);
    let lenient = document.check(Profile::Lenient);
    assert!(
        lenient.iter().all(|finding| finding.code != "CACAO004"),
        "{lenient:?}"
    );
    let Value::Object(_) = document.value() else {
        panic!("an object")
    };
}
