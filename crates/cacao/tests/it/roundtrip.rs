//! Nothing is lost between reading and writing.

use conche_cacao::shape::{self, Object, Shape};
use conche_cacao::{Document, Playbook, Profile, model};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::faults::{faulty, sound};

#[test]
fn the_typed_view_writes_what_it_read() {
    let mut document = sound();
    document["x_unknown"] = json!({"deep": [null, 1.5]});
    let variables = document["playbook_variables"]
        .as_object_mut()
        .expect("variables");
    variables.insert(
        "__later__".into(),
        json!({"type": "string", "value": null, "x_by": "me"}),
    );
    let playbook = Document::of(document.clone())
        .playbook()
        .expect("a playbook");
    let written = playbook.to_document().expect("a document");
    assert_eq!(written.value(), &document);
}

/// An object with every property of tables.
fn full(tables: &[&Object]) -> Value {
    let properties = tables.iter().flat_map(|table| table.properties);
    let members = properties.map(|property| (property.name.to_owned(), value(&property.shape)));
    members.collect::<serde_json::Map<_, _>>().into()
}

fn value(shape: &Shape) -> Value {
    match shape {
        Shape::Fixed(text) => json!(text),
        Shape::Word(words) => json!(words.words[0]),
        Shape::Text | Shape::VariableValue | Shape::Base64 | Shape::Any => json!("eA=="),
        Shape::Identifier(_) => json!("identity--0b6a8a5e-7f43-4c57-9d0a-3c3f7a1c9b10"),
        Shape::Timestamp | Shape::Milliseconds => json!("2026-03-01T08:00:00.000Z"),
        Shape::Bool => json!(true),
        Shape::Integer(least, _) => json!(least),
        Shape::Nullable(inner) => value(inner),
        // A signature may hold a signature, and so on: none is enough.
        Shape::List(..) => json!([]),
        Shape::Dictionary(..) => json!({}),
        Shape::Object(_) | Shape::Typed(_) => Value::Null,
    }
}

/// What a struct takes for unknown in an object with every property that the table knows.
fn unknown<T: serde::de::DeserializeOwned + serde::Serialize>(
    tables: &[&Object],
    other: fn(T) -> serde_json::Map<String, Value>,
) -> Vec<String> {
    let read: T = serde_json::from_value(without_nulls(full(tables))).expect(tables[0].name);
    other(read).into_iter().map(|(name, _)| name).collect()
}

fn without_nulls(mut value: Value) -> Value {
    let members = value.as_object_mut().expect("an object");
    members.retain(|_, value| !value.is_null());
    value
}

/// The table of objects and the structs name the same properties.
#[test]
fn no_property_of_the_table_is_unknown_to_a_struct() {
    let mut found: Vec<String> = Vec::new();
    found.extend(unknown(&[&shape::PLAYBOOK], |read: Playbook| read.other));
    found.extend(unknown(
        &[&shape::PROCESSING_SUMMARY],
        |read: model::ProcessingSummary| read.other,
    ));
    found.extend(unknown(
        &[&shape::EXTERNAL_REFERENCE],
        |read: model::ExternalReference| read.other,
    ));
    found.extend(unknown(
        &[&shape::CIVIC_LOCATION],
        |read: model::CivicLocation| read.other,
    ));
    found.extend(unknown(&[&shape::CONTACT], |read: model::Contact| {
        read.other
    }));
    found.extend(unknown(&[&shape::ADDRESS], |read: model::Address| {
        read.other
    }));
    found.extend(unknown(&[&shape::VARIABLE], |read: model::Variable| {
        read.other
    }));
    found.extend(unknown(
        &[&shape::EXTENSION_DEFINITION],
        |read: model::ExtensionDefinition| read.other,
    ));
    found.extend(unknown(&[&shape::SIGNATURE], |read: model::Signature| {
        read.other
    }));
    for (_, own) in shape::STEP.own {
        found.extend(unknown(&[shape::STEP.common, own], |read: model::Step| {
            read.other
        }));
    }
    for (_, own) in shape::COMMAND.own {
        found.extend(unknown(
            &[shape::COMMAND.common, own],
            |read: model::Command| read.other,
        ));
    }
    for (_, own) in shape::AGENT_TARGET.own {
        found.extend(unknown(
            &[shape::AGENT_TARGET.common, own],
            |read: model::Party| read.other,
        ));
    }
    for (_, own) in shape::AUTHENTICATION_INFO.own {
        found.extend(unknown(
            &[shape::AUTHENTICATION_INFO.common, own],
            |read: model::AuthenticationInfo| read.other,
        ));
    }
    // The terms of an IEP are read by nobody: they stay among what is kept.
    for (kind, own) in shape::MARKING
        .own
        .iter()
        .filter(|(kind, _)| *kind != "marking-iep")
    {
        let unknown = unknown(&[shape::MARKING.common, own], |read: model::Marking| {
            read.other
        });
        found.extend(unknown.into_iter().map(|name| format!("{kind}: {name}")));
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn every_step_of_a_sound_playbook_says_what_it_does() {
    let playbook = Document::of(sound()).playbook().expect("a playbook");
    for (id, step) in playbook.workflow.iter() {
        assert!(step.work().is_some(), "{id}");
    }
}

#[test]
fn the_usual_order_changes_nothing_but_the_order() {
    for (_, document) in faulty().chain([("", sound())]) {
        let text = Document::of(document.clone()).to_text();
        let again = Document::parse(text.as_bytes()).expect("I-JSON");
        assert_eq!(again.value(), &document);
        assert_eq!(again.to_text(), text, "once is enough");
    }
    let odd = json!({"x_other": 1, "name": "n", "type": "playbook", "id": "i"});
    let text = Document::of(odd).to_text();
    let order: Vec<usize> = ["\"type\"", "\"id\"", "\"name\"", "\"x_other\""]
        .iter()
        .map(|name| text.find(name).expect("a property"))
        .collect();
    assert!(order.is_sorted(), "{text}");
}

/// Any JSON value that is I-JSON.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        (-1e9..1e9).prop_map(Value::from),
        "[ -~é]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-z_]{1,8}", inner), 0..4).prop_map(|members| members
                .into_iter()
                .collect::<serde_json::Map<_, _>>()
                .into()),
        ]
    })
}

/// A place in a document, chosen by numbers.
fn change(value: &mut Value, mut path: Vec<usize>, to: Value) {
    let Some(step) = path.pop() else {
        *value = to;
        return;
    };
    match value {
        Value::Object(members) if !members.is_empty() => {
            let index = step % members.len();
            if let Some((_, inner)) = members.iter_mut().nth(index) {
                change(inner, path, to);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            let index = step % items.len();
            change(&mut items[index], path, to);
        }
        other => *other = to,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whatever_is_read_is_written_as_it_was(value in any_json()) {
        let text = value.to_string();
        let document = Document::parse(text.as_bytes()).expect("I-JSON");
        prop_assert_eq!(document.value(), &value);
        let again = Document::parse(document.to_text().as_bytes()).expect("I-JSON");
        prop_assert_eq!(again.value(), &value);
    }

    #[test]
    fn no_change_to_a_playbook_makes_a_check_or_a_picture_panic(
        changes in prop::collection::vec((prop::collection::vec(any::<usize>(), 0..6), any_json()), 1..4),
    ) {
        let mut value = sound();
        for (path, to) in changes {
            change(&mut value, path, to);
        }
        let document = Document::of(value);
        for profile in [Profile::Lenient, Profile::Strict] {
            let findings = document.check(profile);
            for finding in &findings {
                prop_assert!(!finding.message.is_empty() && !finding.help.is_empty());
            }
        }
        let flow = conche_cacao::graph::Flow::of(document.value());
        let layout = conche_cacao::graph::layout::Layout::of(&flow);
        prop_assert!(conche_cacao::draw::svg(&flow, &layout).ends_with("</svg>\n"));
        if let Ok(playbook) = document.playbook() {
            prop_assert!(playbook.to_document().is_ok());
        }
    }
}
