//! What is attached to a playbook: markings, extensions, layout, signatures.

use serde_json::json;

use super::Fault;

pub(super) const FAULTS: &[Fault] = &[
    ("CACAO096", |it| {
        let tlp = it.0["markings"][0].as_str().expect("a marking").to_owned();
        it.within("data_marking_definitions")[&tlp]["tlpv2_level"] = json!("TLP:RED");
    }),
    ("CACAO096", |it| {
        let tlp = it.0["markings"][0].as_str().expect("a marking").to_owned();
        it.within("data_marking_definitions")[&tlp]["created"] = json!("2022-10-01T00:00:00.001Z");
    }),
    ("CACAO097", |it| {
        let red = "marking-tlp--e828b379-4e03-4974-9ac4-e53a884c97c1";
        let green = it.0["markings"][0].as_str().expect("a marking").to_owned();
        let mut marking = it.0["data_marking_definitions"][&green].clone();
        marking["id"] = json!(red);
        marking["name"] = json!("TLP:RED");
        marking["tlpv2_level"] = json!("TLP:RED");
        it.within("data_marking_definitions")
            .insert(red.into(), marking);
        it.set("markings", json!([green, red, it.0["markings"][1].clone()]));
    }),
    ("CACAO098", |it| {
        let statement = it.0["markings"][1].as_str().expect("a marking").to_owned();
        it.within("data_marking_definitions")[&statement]["revoked"] = json!(true);
    }),
    ("CACAO099", |it| {
        it.tickets("Note it")["Queue"] = json!("x");
    }),
    ("CACAO112", |it| {
        *it.tickets("Note it") = json!({"ticket_queue": 7});
    }),
    ("CACAO112", |it| *it.tickets("Note it") = json!("low")),
    ("CACAO100", |it| {
        it.layout(json!([{"connection_type": "on-completion", "x": [1, 2], "y": [1]}]))
    }),
    ("CACAO101", |it| {
        it.layout(json!([{"connection_type": "cases", "case": "none", "x": [1, 2], "y": [1, 2]}]))
    }),
    ("CACAO105", |it| {
        it.sign(json!({"public_key": "eA", "thumbprint": "eA"}))
    }),
    ("CACAO106", |it| {
        it.sign(json!({"public_key": "eA", "related_version": "2026-03-02T09:29:59.000Z"}))
    }),
    ("CACAO107", |it| {
        it.sign(json!({"public_key": "eA", "revoked": true}))
    }),
    ("CACAO107", |it| {
        it.sign(json!({"public_key": "eA", "valid_until": "2026-04-01T00:00:00Z"}))
    }),
    ("CACAO108", |it| {
        it.sign(json!({"public_key": "eA", "algorithm": "Ed448"}))
    }),
    ("CACAO109 CACAO006", |it| {
        it.sign(json!({"public_key": "eA", "algorithm": "HS256"}))
    }),
];
