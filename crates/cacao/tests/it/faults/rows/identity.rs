//! Who and when a playbook is, and what it says of itself.

use serde_json::json;

use super::Fault;
use crate::faults::parts::NEW;

pub(super) const FAULTS: &[Fault] = &[
    ("CACAO016", |it| {
        let marking = it.0["markings"][1].as_str().expect("a marking").to_owned();
        it.within("data_marking_definitions")[&marking]["id"] =
            json!(format!("marking-statement--{NEW}"));
    }),
    ("CACAO016", |it| {
        let id = it.id("Ask");
        it.rename(&id, &format!("step--{NEW}"));
    }),
    ("CACAO017", |it| {
        let id = it.id("Ask");
        it.rename(&id, "action--0b6a8a5e-7f43-5c57-9d0a-3c3f7a1c9b10");
    }),
    ("CACAO018", |it| {
        it.set(
            "id",
            json!("playbook--0b6a8a5e-7f43-1c57-9d0a-3c3f7a1c9b10"),
        )
    }),
    ("CACAO019", |it| {
        let (ask, end) = (it.id("Ask"), it.id("end"));
        let uuid = ask.split_once("--").expect("an identifier").1;
        it.rename(&end, &format!("end--{uuid}"));
    }),
    ("CACAO020", |it| {
        it.set("modified", json!("2026-02-01T08:00:00.000Z"))
    }),
    ("CACAO021", |it| {
        let marking = it.0["markings"][1].as_str().expect("a marking").to_owned();
        let marking = &mut it.within("data_marking_definitions")[&marking];
        marking["valid_from"] = json!("2036-03-02T09:30:00Z");
        marking["valid_until"] = json!("2036-03-02T09:30:00.000Z");
    }),
    ("CACAO022", |it| {
        let id = it.0["id"].clone();
        it.set("derived_from", json!([id]));
    }),
    ("CACAO023", |it| it.set("revoked", json!(true))),
    ("CACAO023", |it| {
        it.set("valid_from", json!("2030-01-01T00:00:00Z"))
    }),
    ("CACAO023", |it| {
        it.set("valid_until", json!("2026-03-03T00:00:00Z"))
    }),
    ("CACAO024", |it| {
        it.top().remove("playbook_activities");
        let names = ["Look the address up", "Block it", "Write to the team"];
        for name in names {
            it.command(name).remove("playbook_activity");
        }
    }),
    ("CACAO025", |it| {
        it.set("playbook_types", json!(["mitigation", "attack"]))
    }),
    ("CACAO026", |it| {
        it.set(
            "playbook_activities",
            json!([
                "eliminate-risk",
                "compose-content",
                "analyze-collected-data",
                "scan-system"
            ]),
        )
    }),
    ("CACAO027", |it| {
        drop(
            it.command("Ask")
                .insert("playbook_activity".into(), json!("scan-system")),
        )
    }),
    ("CACAO028", |it| {
        let id = format!("sector--{NEW}");
        it.within("target_definitions").insert(
            id.clone(),
            json!({"type": "sector", "name": "Ships", "sector": "maritime"}),
        );
        it.step("Ask").insert("targets".into(), json!([id]));
    }),
    ("CACAO029", |it| {
        drop(it.step("Ask").insert(
            "external_references".into(),
            json!([{"name": "a", "source": "b"}]),
        ))
    }),
    ("CACAO030", |it| it.summary("parallel_processing", false)),
    ("CACAO030", |it| it.summary("manual_playbook", true)),
    ("CACAO031", |it| {
        let mut all = it.0["external_references"]
            .as_array()
            .expect("references")
            .clone();
        all.push(json!({"name": "only"}));
        it.set("external_references", json!(all));
    }),
    ("CACAO032", |it| {
        drop(
            it.agent("People on duty")["location"]
                .as_object_mut()
                .expect("a place")
                .remove("longitude"),
        )
    }),
    ("CACAO032", |it| {
        it.agent("People on duty")["location"]["latitude"] = json!("-90")
    }),
];
