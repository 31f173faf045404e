//! Properties: no change survives, order and white space do not matter, nothing panics.

use conche_cacao::signature::{
    Algorithm, Certificate, Certificates, Policy, PublicKey, Status, countersign, verify,
};
use conche_cacao::{Document, Pointer};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{key_file, now, ours, pem_body, private, sample, signed_by, statement, verified};

/// Every place in a value that a signature covers, below its top.
fn places(value: &Value, at: &Pointer, all: &mut Vec<Pointer>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(name, member)| {
            let there = at.then(name.as_str());
            all.push(there.clone());
            places(member, &there, all);
        }),
        Value::Array(items) => items.iter().enumerate().for_each(|(index, item)| {
            let there = at.then(index);
            all.push(there.clone());
            places(item, &there, all);
        }),
        _ => {}
    }
}

#[derive(Debug, Clone)]
enum Change {
    Set(Value),
    Remove,
    Add(String, Value),
}

fn any_change() -> impl Strategy<Value = Change> {
    let value = || any_value(2);
    prop_oneof![
        value().prop_map(Change::Set),
        Just(Change::Remove),
        ("[a-z_]{1,12}", value()).prop_map(|(name, value)| Change::Add(name, value)),
    ]
}

fn any_value(depth: u32) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-1000_i64..1000).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[A-Za-z0-9_-]{0,90}".prop_map(Value::from),
    ];
    leaf.prop_recursive(depth, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::hash_map("[a-z]{1,4}", inner, 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn target<'v>(value: &'v mut Value, at: &Pointer) -> &'v mut Value {
    value.pointer_mut(&at.to_string()).expect("a place")
}

/// Makes a change; `false` if there is nothing to change in that way.
fn apply(value: &mut Value, at: &Pointer, change: &Change) -> bool {
    let keys = at.keys();
    let (last, parent) = keys.split_last().expect("a place below the top");
    match change {
        Change::Set(new) => {
            let old = target(value, at);
            // A list of signatures that is another list of signatures is another question.
            let same = std::mem::replace(old, new.clone()) == *new;
            !same
        }
        Change::Remove => {
            match (
                target(value, &Pointer::of(parent.iter().copied().cloned())),
                last,
            ) {
                (Value::Object(members), conche_cacao::pointer::Key::Name(name)) => {
                    members.shift_remove(name);
                }
                (Value::Array(items), conche_cacao::pointer::Key::Index(index)) => {
                    items.remove(*index);
                }
                _ => return false,
            }
            true
        }
        Change::Add(name, new) => match target(value, at) {
            // What is added to a signature as `signature` is a signature of its own.
            Value::Object(members) if !members.contains_key(name) && name != "signature" => {
                members.insert(name.clone(), new.clone());
                true
            }
            Value::Array(items) if at.to_string() != "/signatures" => {
                items.push(new.clone());
                true
            }
            _ => false,
        },
    }
}

/// The same value with every object's members in reverse.
fn reversed(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let back = members.iter().rev();
            Value::Object(
                back.map(|(name, member)| (name.clone(), reversed(member)))
                    .collect(),
            )
        }
        Value::Array(items) => items.iter().map(reversed).collect(),
        other => other.clone(),
    }
}

fn countersigned() -> Document {
    let none = Certificates::default();
    let signed = signed_by(Algorithm::Es256);
    countersign(
        &signed,
        0,
        &statement(2),
        &private(Algorithm::Ed25519),
        &none,
    )
    .expect("signed")
}

proptest! {
    #[test]
    fn no_change_of_a_signed_document_survives(
        place in any::<prop::sample::Index>(), change in any_change()
    ) {
        let mut value = sample("signed-ed25519.json").into_value();
        let mut all = Vec::new();
        places(&value, &Pointer::top(), &mut all);
        let at = place.get(&all);
        prop_assume!(apply(&mut value, at, &change));
        if let Ok(report) = verify(&Document::of(value), &ours(), now()) {
            prop_assert!(!report.accepted, "{at}: {change:?}");
            prop_assert!(report.signatures.iter().all(|one| !one.cryptography.holds));
        }
    }

    #[test]
    fn no_change_of_what_is_countersigned_survives_in_the_countersignature(
        place in any::<prop::sample::Index>(), change in any_change()
    ) {
        let mut value = countersigned().into_value();
        let mut all = Vec::new();
        places(&value, &Pointer::top(), &mut all);
        let at = place.get(&all);
        prop_assume!(apply(&mut value, at, &change));
        if let Ok(report) = verify(&Document::of(value), &ours(), now()) {
            let inner = report.signatures.first().and_then(|one| one.countersignature.as_ref());
            prop_assert!(inner.is_none_or(|inner| inner.status != Status::Valid), "{at}: {change:?}");
        }
    }

    #[test]
    fn whatever_stands_in_a_signature_is_never_valid_and_never_a_panic(
        members in prop::collection::vec((0_usize..20, any_value(2)), 1..5)
    ) {
        let names = [
            "type", "id", "created_by", "created", "modified", "revoked", "signee", "valid_from",
            "valid_until", "related_to", "related_version", "hash_algorithm", "algorithm",
            "public_key", "public_cert_chain", "cert_url", "thumbprint", "value", "signature", "x",
        ];
        let mut value = sample("signed-rs256.json").into_value();
        let before = value.clone();
        for (index, member) in members {
            value["signatures"][0][names[index]] = member;
        }
        let mut bare = value["signatures"][0].clone();
        bare.as_object_mut().expect("an object").shift_remove("signature");
        prop_assume!(bare != before["signatures"][0]);
        if let Ok(report) = verify(&Document::of(value), &ours(), now()) {
            prop_assert!(!report.accepted);
        }
    }

    #[test]
    fn malformed_keys_and_certificates_are_errors(
        at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()
    ) {
        for file in ["rsa.pub", "p384.pub", "p521.pub", "ed25519.pub"] {
            let mut der = pem_body(&key_file(file));
            let (at, cut) = (at.index(der.len()), cut.index(der.len()));
            prop_assert!(PublicKey::from_der(&der[..cut]).is_err());
            der[at] = byte;
            // A key with another byte may be a key; used, it must not panic.
            if PublicKey::from_der(&der).is_ok() {
                let mut value = sample("signed-rs256.json").into_value();
                value["signatures"][0]["public_key"] = super::base64(&der).into();
                let _report = verify(&Document::of(value), &ours(), now());
            }
        }
        let mut der = pem_body(&key_file("signer.crt"));
        let (at, cut) = (at.index(der.len()), cut.index(der.len()));
        prop_assert!(Certificate::from_der(&der[..cut]).is_err());
        der[at] = byte;
        if let Ok(certificate) = Certificate::from_der(&der) {
            let _root = conche_cacao::signature::Trusted::root(&certificate);
        }
    }
}

#[test]
fn order_and_white_space_do_not_matter() {
    for document in [countersigned(), signed_by(Algorithm::Ps256)] {
        let other = serde_json::to_string_pretty(&reversed(document.value())).expect("JSON");
        assert_ne!(other, document.value().to_string());
        let other = Document::parse(other.as_bytes()).expect("I-JSON");
        let report = verified(&other, &ours());
        assert!(report.accepted, "{report:?}");
    }
}

#[test]
fn a_value_written_in_another_way_is_not_the_same_signature() {
    let value = sample("signed-ed25519.json").into_value();
    let text = value["signatures"][0]["value"]
        .as_str()
        .expect("text")
        .to_owned();
    // The last of 86 characters carries four bits that no byte uses.
    let (head, last) = text.split_at(text.len() - 1);
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let others = alphabet.chars().filter(|char| !last.starts_with(*char));
    let others = others.map(|char| format!("{head}{char}"));
    for other in others.chain([format!("{text}="), format!("{text}=="), format!(" {text}")]) {
        let mut value = value.clone();
        value["signatures"][0]["value"] = other.into();
        assert!(!verified(&Document::of(value), &ours()).accepted);
    }
}

#[test]
fn a_signature_without_anything_is_not_valid() {
    for signature in [
        json!({}),
        json!(null),
        json!("jss"),
        json!([]),
        Value::Object(Map::new()),
    ] {
        let document = Document::of(json!({"signatures": [signature]}));
        let report = verify(&document, &Policy::trusting([]), now()).expect("a report");
        assert_eq!(report.signatures[0].status, Status::Malformed);
    }
}
