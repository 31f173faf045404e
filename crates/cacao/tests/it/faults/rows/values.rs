//! The form of single values: what is missing, of another type, unknown or out of its range.

use serde_json::json;

use super::Fault;
use crate::faults::parts::NEW;

pub(super) const FAULTS: &[Fault] = &[
    ("CACAO002", |it| drop(it.top().remove("created_by"))),
    ("CACAO002", |it| {
        drop(it.command("Say that it failed").remove("command"))
    }),
    ("CACAO002", |it| drop(it.agent("Firewall").remove("name"))),
    ("CACAO003", |it| it.set("revoked", json!("no"))),
    ("CACAO003", |it| it.set("severity", json!(1.5))),
    ("CACAO003", |it| {
        drop(it.step("Ask").insert("description".into(), json!(null)))
    }),
    ("CACAO004", |it| it.set("playbook_class", json!("x"))),
    ("CACAO004", |it| {
        drop(it.command("Ask").insert("headers".into(), json!({})))
    }),
    ("CACAO005", |it| {
        it.agent("People on duty")["location"]["region"] = json!("atlantis")
    }),
    ("CACAO006", |it| {
        it.set(
            "playbook_types",
            json!(["mitigation", "notification", "gardening"]),
        )
    }),
    // Who carries out commands for an agent of its own type may read what is in `in_args`.
    ("CACAO006", |it| {
        let id = it.next("Write to the team", "agent");
        let id = id.as_str().expect("an identifier").to_owned();
        it.agent("Chat").insert("type".into(), json!("soarca-fin"));
        it.rename(&id, &format!("soarca-fin--{NEW}"));
        let given = json!(["__team__", "__address__", "__verdict__"]);
        it.step("Write to the team").insert("in_args".into(), given);
    }),
    ("CACAO007", |it| it.set("related_to", json!(["nobody"]))),
    ("CACAO008", |it| {
        it.set("valid_until", json!("2036-02-31T00:00:00Z"))
    }),
    ("CACAO009", |it| {
        it.set("modified", json!("2026-03-02T09:30:00Z"))
    }),
    ("CACAO010", |it| it.set("priority", json!(101))),
    ("CACAO010", |it| {
        drop(it.step("Block it").insert("delay".into(), json!(-1)))
    }),
    ("CACAO011", |it| it.set("labels", json!([]))),
    ("CACAO011", |it| {
        let first = it.next("Block and tell", "next_steps")[0].clone();
        let gone: Vec<String> = [
            it.id("Write to the team"),
            it.next("Write to the team", "on_completion")
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        ]
        .into();
        it.step("Block and tell")
            .insert("next_steps".into(), json!([first]));
        for id in gone {
            it.within("workflow").remove(&id);
        }
        it.set(
            "playbook_activities",
            json!(["eliminate-risk", "analyze-collected-data"]),
        );
        it.set("playbook_types", json!(["mitigation"]));
    }),
    ("CACAO012", |it| it.set("spec_version", json!("cacao-2.1"))),
    ("CACAO013", |it| {
        it.agent("People on duty")["contact"]["email"] = json!({"at work": "a@example.org"})
    }),
    ("CACAO013", |it| {
        it.command("Look the address up")["headers"] = json!({"Accept it": ["x"]})
    }),
    ("CACAO014", |it| {
        it.set("created_by", json!(format!("group--{NEW}")))
    }),
    ("CACAO015", |it| {
        drop(
            it.command("Note it")
                .insert("command_b64".into(), json!("bG9n Z2Vy")),
        )
    }),
];
