//! Commands, and the agents, targets and credentials that they are carried out with.

use serde_json::json;

use super::Fault;
use crate::faults::parts::object;

pub(super) const FAULTS: &[Fault] = &[
    ("CACAO064", |it| {
        drop(it.command("Note it").remove("command_b64"))
    }),
    ("CACAO064", |it| {
        drop(
            it.command("Ask")
                .insert("command_b64".into(), json!("eA==")),
        )
    }),
    ("CACAO064", |it| {
        drop(
            it.command("Write to the team")
                .insert("content_b64".into(), json!("eA==")),
        )
    }),
    ("CACAO065", |it| {
        drop(
            it.command("Note it")
                .insert("command_b64".into(), json!("Cg==")),
        )
    }),
    ("CACAO065", |it| {
        drop(
            it.command("Say that it failed")
                .insert("command".into(), json!(" ")),
        )
    }),
    ("CACAO066", |it| {
        drop(
            it.command("Write to the team")
                .insert("command".into(), json!("POST /messages")),
        )
    }),
    ("CACAO066", |it| {
        drop(
            it.command("Write to the team")
                .insert("command".into(), json!("POST /messages HTTP/1.1.1")),
        )
    }),
    ("CACAO067", |it| {
        *it.command("Say that it failed") = object(
            json!({"type": "openc2-http", "command": "PUT /oc2 HTTP/1.1", "content_b64": "e30="}),
        )
    }),
    ("CACAO068", |it| {
        drop(it.command("Write to the team").insert(
            "command".into(),
            json!("POST https://chat.example/messages HTTP/1.1"),
        ))
    }),
    ("CACAO069", |it| {
        drop(
            it.command("Look the address up")
                .insert("content".into(), json!("x")),
        )
    }),
    ("CACAO070 CACAO006", |it| {
        drop(
            it.command("Note it")
                .insert("type".into(), json!("incantation")),
        )
    }),
    ("CACAO071", |it| {
        let soc = it.next("Ask", "agent");
        it.step("Note it").insert("agent".into(), soc);
    }),
    ("CACAO072", |it| {
        it.agent("Chat")["address"] = json!({"l2mac": ["02:00:00:00:00:01"]})
    }),
    ("CACAO073", |it| {
        it.agent("Chat")["address"] = json!({"dname": ["chat.example", "chat2.example"]})
    }),
    ("CACAO074", |it| {
        drop(it.agent("SIEM").insert("port".into(), json!("65536")))
    }),
    ("CACAO074", |it| {
        drop(it.agent("SIEM").insert("port".into(), json!("+22")))
    }),
    ("CACAO075", |it| {
        it.agent("Firewall")["address"] = json!({"ipv4": ["192.0.2.256"]})
    }),
    ("CACAO075", |it| {
        it.agent("Firewall")["address"] = json!({"dname": ["fw"], "vlan": ["4096"]})
    }),
    ("CACAO076", |it| {
        it.agent("People on duty")["contact"]["email"]["work"] = json!("soc at example.org")
    }),
    ("CACAO077", |it| {
        drop(
            it.credentials("Firewall operator")
                .remove("kms_key_identifier"),
        )
    }),
    ("CACAO077", |it| {
        drop(
            it.credentials("Firewall operator")
                .insert("password".into(), json!("x")),
        )
    }),
    ("CACAO078", |it| {
        drop(
            it.credentials("SIEM reader")
                .insert("password".into(), json!("hunter2")),
        )
    }),
    ("CACAO078", |it| {
        it.within("playbook_variables")["__siem_password__"]["value"] = json!("hunter2");
    }),
    ("CACAO078", |it| {
        it.command("Say that it failed")
            .insert("headers".into(), json!({"X-Api-Key": ["hunter2"]}));
    }),
];
