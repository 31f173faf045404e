//! What refers to what.

use serde_json::json;

use super::Fault;
use crate::faults::parts::NEW;

pub(super) const FAULTS: &[Fault] = &[
    ("CACAO033", |it| {
        drop(
            it.step("Is it bad?")
                .insert("on_false".into(), json!(format!("action--{NEW}"))),
        )
    }),
    ("CACAO034", |it| {
        let soc = it.next("Ask", "agent");
        it.within("agent_definitions")
            .remove(soc.as_str().expect("an id"));
    }),
    ("CACAO035", |it| {
        drop(
            it.step("Ask")
                .insert("targets".into(), json!([format!("ssh--{NEW}")])),
        )
    }),
    ("CACAO036", |it| {
        drop(it.agent("Chat").insert(
            "authentication_info".into(),
            json!(format!("oauth2--{NEW}")),
        ))
    }),
    ("CACAO037", |it| {
        it.set(
            "markings",
            json!([
                it.0["markings"][0].clone(),
                it.0["markings"][1].clone(),
                format!("marking-statement--{NEW}")
            ]),
        )
    }),
    ("CACAO038", |it| {
        drop(it.step("Ask").insert(
            "step_extensions".into(),
            json!({format!("extension-definition--{NEW}"): {}}),
        ))
    }),
    ("CACAO039", |it| {
        drop(it.within("agent_definitions").insert(
            format!("group--{NEW}"),
            json!({"type": "group", "name": "Nobody"}),
        ))
    }),
    ("CACAO040", |it| {
        drop(
            it.step("Look at the host")
                .insert("playbook_id".into(), json!(format!("playbook--{NEW}"))),
        )
    }),
    ("CACAO041", |it| {
        let id = it.0["id"].clone();
        it.step("Look at the host").insert("playbook_id".into(), id);
    }),
];
