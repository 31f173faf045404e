//! What an object must have can be neither absent nor of another type without being found,
//! wherever in a playbook the object stands.

use conche_cacao::shape::{Object, PLAYBOOK, Shape};
use conche_cacao::{Document, Finding, Pointer, Profile, Severity};
use serde_json::{Value, json};

use crate::faults::sound;

/// A property that an object of the document must have.
struct Required {
    object: Pointer,
    name: &'static str,
}

/// What the tables ask of the members of an object, and of all that is within it.
fn members(value: &Value, tables: &[&Object], at: &Pointer, all: &mut Vec<Required>) {
    for property in tables.iter().flat_map(|table| table.properties) {
        let Some(inner) = value.get(property.name) else {
            continue;
        };
        if property.required {
            all.push(Required {
                object: at.clone(),
                name: property.name,
            });
        }
        within(inner, &property.shape, &at.then(property.name), all);
    }
}

fn within(value: &Value, shape: &Shape, at: &Pointer, all: &mut Vec<Required>) {
    match shape {
        Shape::Object(table) => members(value, &[table], at, all),
        Shape::Typed(family) => {
            let own = value["type"].as_str().and_then(|kind| family.own(kind));
            let tables: Vec<&Object> = own.into_iter().chain([family.common]).collect();
            members(value, &tables, at, all);
        }
        Shape::Nullable(inner) => within(value, inner, at, all),
        Shape::List(_, inner) => {
            for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                within(item, inner, &at.then(index), all);
            }
        }
        Shape::Dictionary(_, _, inner) => {
            for (name, item) in value.as_object().into_iter().flatten() {
                within(item, inner, &at.then(name.as_str()), all);
            }
        }
        _ => {}
    }
}

/// A sound document with a signature, and all that its objects must have.
fn signed() -> (Value, Vec<Required>) {
    let mut document = sound();
    let signature = include_str!("samples/signed-ed25519.json");
    let signature: Value = serde_json::from_str(signature).expect("JSON");
    document["signatures"] = signature["signatures"].clone();
    let mut all = Vec::new();
    members(&document, &[&PLAYBOOK], &Pointer::top(), &mut all);
    (document, all)
}

fn errors(document: Value) -> Vec<Finding> {
    let mut findings = Document::of(document).check(Profile::Lenient);
    findings.retain(|finding| finding.severity == Severity::Error);
    findings
}

/// The document with another value in the place, or with none.
fn changed(document: &Value, place: &Required, to: Option<&Value>) -> Value {
    let mut document = document.clone();
    let object = document.pointer_mut(&place.object.to_string());
    let object = object.and_then(Value::as_object_mut).expect("an object");
    match to {
        Some(value) => drop(object.insert(place.name.to_owned(), value.clone())),
        None => drop(object.shift_remove(place.name)),
    }
    document
}

#[test]
fn what_is_required_is_missed_wherever_it_is_taken_out() {
    let (document, all) = signed();
    assert!(all.len() > 100, "only {} were found", all.len());
    let mut missed = Vec::new();
    for place in &all {
        let wanted = format!("`{}` is missing", place.name);
        let at = place.object.to_string();
        let found = errors(changed(&document, place, None));
        let told = |finding: &Finding| finding.pointer == at && finding.message == wanted;
        if !found.iter().any(told) {
            missed.push(format!("{at}/{}: {found:?}", place.name));
        }
    }
    assert_eq!(missed, Vec::<String>::new());
}

#[test]
fn what_is_required_is_found_wherever_it_is_of_another_type() {
    let (document, all) = signed();
    let mut missed = Vec::new();
    for place in &all {
        let at = place.object.then(place.name);
        let now = at.look(&document).expect("it is there");
        let others = [
            json!(null),
            json!(true),
            json!("x y"),
            json!([7]),
            json!({"": 7}),
        ];
        let of_another =
            |other: &&Value| std::mem::discriminant(*other) != std::mem::discriminant(now);
        for other in others.iter().filter(of_another) {
            let found = errors(changed(&document, place, Some(other)));
            let told = |finding: &Finding| finding.pointer.starts_with(&at.to_string());
            if !found.iter().any(told) {
                missed.push(format!("{at} as {other}: {found:?}"));
            }
        }
    }
    assert_eq!(missed, Vec::<String>::new());
}
