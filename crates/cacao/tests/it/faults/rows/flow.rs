//! The flow of control: starts, ends, ways, branches, times.

use serde_json::json;

use super::Fault;
use crate::faults::parts::NEW;

pub(super) const FAULTS: &[Fault] = &[
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
        it.without_exception();
        it.step("Look the address up").remove("on_failure");
    }),
    ("CACAO060", |it| {
        it.without_exception();
        for step in ["Block it", "Block and tell", "Is it bad?"] {
            let next = it.step(step).remove("on_completion").expect("a next step");
            it.step(step).insert("on_success".into(), next);
        }
    }),
    ("CACAO061", |it| {
        it.without_exception();
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
];
