//! The table of faults.

#![allow(
    clippy::semicolon_if_nothing_returned,
    reason = "a row of the table is an expression"
)]

use serde_json::json;

use super::parts::{NEW, Parts, object};

/// What breaks one thing.
type Break = fn(&mut Parts);

/// Codes and fault. The first code is the one that the fault is for; others are those that it
/// cannot be without: what leads nowhere, say, reaches no end. More than one row for a code
/// where it has more than one face.
pub(super) const FAULTS: &[(&str, Break)] = &[
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
    ("CACAO042", |it| {
        let id = it.id("start");
        it.rename(&id, &format!("start--{NEW}"));
        let step = it.0["workflow"][format!("start--{NEW}")].clone();
        it.within("workflow").shift_remove(&format!("start--{NEW}"));
        let next = step["on_completion"].clone();
        it.add(&format!("start--{NEW}"), step);
        it.set("workflow_start", next);
    }),
    ("CACAO043", |it| {
        let look = it.id("Look the address up");
        it.add(
            &format!("start--{NEW}"),
            json!({"type": "start", "on_completion": look}),
        );
    }),
    ("CACAO044 CACAO054", |it| {
        let start = it.id("start");
        let end = it.next("Say that it failed", "on_completion");
        it.within("workflow").remove(end.as_str().expect("an id"));
        it.step("Say that it failed")
            .insert("on_completion".into(), json!(start));
    }),
    ("CACAO045 CACAO048", |it| {
        let end = it.next("How severe is it?", "on_completion");
        it.within("workflow").remove(end.as_str().expect("an id"));
        it.step("How severe is it?").remove("on_completion");
    }),
    ("CACAO046", |it| {
        let workflow = json!({
            format!("start--{NEW}"): {"type": "start", "on_completion": "end--6cf8f26c-7b23-4f3c-8a3f-93be1f35a9ab"},
            "end--6cf8f26c-7b23-4f3c-8a3f-93be1f35a9ab": {"type": "end"},
        });
        it.set("workflow_start", json!(format!("start--{NEW}")));
        it.set("workflow", workflow);
        for name in [
            "workflow_exception",
            "playbook_types",
            "playbook_activities",
            "playbook_processing_summary",
            "agent_definitions",
            "target_definitions",
            "authentication_info_definitions",
            "extension_definitions",
        ] {
            it.top().remove(name);
        }
    }),
    ("CACAO047", |it| {
        drop(it.add(&format!("end--{NEW}"), json!({"type": "end"})))
    }),
    ("CACAO048", |it| {
        let end = it.next("Say that it failed", "on_completion");
        it.within("workflow").remove(end.as_str().expect("an id"));
        it.step("Say that it failed").remove("on_completion");
    }),
    ("CACAO049", |it| {
        let end = it.next("Ask", "on_completion");
        it.step("Ask").insert("on_success".into(), end);
    }),
    ("CACAO050", |it| {
        let end = it.add(&format!("end--{NEW}"), json!({"type": "end"}));
        let first = it.next("Ask", "on_completion");
        let first = first.as_str().expect("an id");
        it.within("workflow")[first]["on_completion"] = json!(end);
    }),
    ("CACAO051", |it| {
        let end = it.step("Ask").remove("on_completion").expect("a next step");
        it.step("Ask").insert("on_failure".into(), end);
    }),
    ("CACAO052", |it| {
        let ask = it.id("Look the address up");
        it.step("Look the address up")
            .insert("on_failure".into(), json!(ask));
    }),
    ("CACAO053 CACAO048", |it| {
        let end = it.next("Ask", "on_completion");
        it.within("workflow").remove(end.as_str().expect("an id"));
        it.step("Ask").remove("on_completion");
    }),
    ("CACAO054", |it| {
        let end = it.next("Write to the team", "on_completion");
        it.within("workflow").remove(end.as_str().expect("an id"));
        let other = it.id("Block it");
        it.step("Write to the team")
            .insert("on_completion".into(), json!(other));
    }),
    ("CACAO055", |it| {
        let end = it.next("Block it", "on_completion");
        let other = it.next("Write to the team", "on_completion");
        it.within("workflow").remove(other.as_str().expect("an id"));
        it.step("Write to the team")
            .insert("on_completion".into(), end);
    }),
    ("CACAO056", |it| {
        let first = it.id("Block and tell");
        it.step("Is it bad?")
            .insert("on_false".into(), json!(first));
    }),
    ("CACAO057", |it| {
        let low = it.0["workflow"][it.id("How severe is it?")]["cases"]["default"].clone();
        let cases = it
            .step("How severe is it?")
            .get_mut("cases")
            .expect("cases")
            .as_object_mut()
            .expect("cases");
        cases.remove("default");
        cases.insert("low".into(), low);
    }),
    ("CACAO058", |it| {
        let own = it.id("Is it bad?");
        it.step("Is it bad?").insert("on_false".into(), json!(own));
    }),
    ("CACAO059", |it| {
        let end = it.add(&format!("end--{NEW}"), json!({"type": "end"}));
        it.step("Is it bad?").insert("on_false".into(), json!(end));
    }),
    ("CACAO060", |it| {
        it.top().remove("workflow_exception");
        let (sorry, end) = (
            it.id("Say that it failed"),
            it.next("Say that it failed", "on_completion"),
        );
        it.within("workflow").remove(&sorry);
        it.within("workflow").remove(end.as_str().expect("an id"));
    }),
    ("CACAO061", |it| {
        let (sorry, end) = (
            it.id("Say that it failed"),
            it.next("Say that it failed", "on_completion"),
        );
        it.within("workflow").remove(&sorry);
        it.within("workflow").remove(end.as_str().expect("an id"));
        let handler = it.id("How severe is it?");
        it.set("workflow_exception", json!(handler));
    }),
    ("CACAO062", |it| {
        drop(
            it.step("Block and tell")
                .insert("timeout".into(), json!(1000)),
        )
    }),
    ("CACAO063", |it| drop(it.step("Ask").remove("timeout"))),
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
        let extensions = it
            .step("Note it")
            .get_mut("step_extensions")
            .expect("extensions");
        let extension = extensions
            .as_object_mut()
            .expect("extensions")
            .values_mut()
            .next();
        extension.expect("an extension")["Queue"] = json!("x");
    }),
    ("CACAO100", |it| {
        it.layout(json!([{"connection_type": "on-completion", "x": [1, 2], "y": [1]}]))
    }),
    ("CACAO101", |it| {
        it.layout(json!([{"connection_type": "cases", "case": "none", "x": [1, 2], "y": [1, 2]}]))
    }),
    ("CACAO079", |it| {
        it.declare("__1__", json!({"type": "string", "value": ""}))
    }),
    ("CACAO080", |it| {
        it.declare("___x__", json!({"type": "string", "value": ""}))
    }),
    ("CACAO081", |it| {
        drop(it.command("Ask").insert(
            "command".into(),
            json!("What of __nobody__:value? And __address__:value?"),
        ))
    }),
    ("CACAO081", |it| {
        it.agent("Chat")["address"] = json!({"url": ["https://__chat__:value/"]})
    }),
    ("CACAO081", |it| {
        drop(
            it.command("Note it")
                .insert("command_b64".into(), json!("bG9nZ2VyIF9feF9fOnZhbHVl")),
        )
    }),
    ("CACAO081", |it| {
        drop(
            it.step("How severe is it?")
                .insert("switch".into(), json!("__nobody__:value")),
        )
    }),
    ("CACAO081", |it| {
        drop(
            it.step("Is it bad?")
                .insert("condition".into(), json!("__nobody__:value = 'x'")),
        )
    }),
    ("CACAO082", |it| {
        drop(it.command("Ask").insert(
            "command".into(),
            json!("May __address__:value stay? (__address__)"),
        ))
    }),
    ("CACAO083", |it| {
        drop(it.step("Ask").insert(
            "out_args".into(),
            json!(["__answered__", "__severity__", "__nobody__"]),
        ))
    }),
    ("CACAO084", |it| {
        drop(it.step("Ask").insert(
            "out_args".into(),
            json!(["__answered__", "__severity__:value"]),
        ))
    }),
    ("CACAO085", |it| {
        drop(
            it.step("Ask")
                .insert("in_args".into(), json!(["__address__", "__team__"])),
        )
    }),
    ("CACAO086", |it| {
        drop(
            it.step("Write to the team")
                .insert("in_args".into(), json!(["__address__"])),
        )
    }),
    ("CACAO087", |it| {
        drop(it.step("Ask").insert(
            "out_args".into(),
            json!(["__answered__", "__severity__", "__team__"]),
        ))
    }),
    ("CACAO088", |it| {
        drop(it.step("Ask").insert(
            "step_variables".into(),
            json!({"__own__": {"type": "string", "value": "", "external": true}}),
        ))
    }),
    ("CACAO089", |it| {
        it.declare("__port__", json!({"type": "integer", "value": "many"}))
    }),
    ("CACAO090", |it| {
        it.declare(
            "__net__",
            json!({"type": "ipv4-addr", "value": "10.0.0.0/8"}),
        )
    }),
    ("CACAO091", |it| {
        drop(it.step("Ask").insert(
            "step_variables".into(),
            json!({"__verdict__": {"type": "string", "value": ""}}),
        ))
    }),
    ("CACAO092", |it| {
        for step in ["Block it", "Write to the team"] {
            it.step(step)
                .insert("out_args".into(), json!(["__verdict__"]));
        }
    }),
    ("CACAO093", |it| {
        drop(
            it.step("Is it bad?")
                .insert("condition".into(), json!("__verdict__:value = 'bad' OR")),
        )
    }),
    ("CACAO094", |it| {
        drop(
            it.step("Is it bad?")
                .insert("condition".into(), json!("__verdict__:value = bad")),
        )
    }),
    ("CACAO095", |it| {
        drop(
            it.step("Until somebody answers")
                .insert("condition".into(), json!("__answered__:value > 'x'")),
        )
    }),
    ("CACAO102", |it| {
        drop(
            it.step("How severe is it?")
                .insert("switch".into(), json!("the severity")),
        )
    }),
    ("CACAO103", |it| {
        let address = json!({"type": "integer", "value": "1"});
        it.declare("__severity__", address);
    }),
    ("CACAO104", |it| {
        drop(
            it.step("Ask")
                .insert("out_args".into(), json!(["__severity__"])),
        )
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
