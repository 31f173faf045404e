//! What stands in extensions is held against the schemas that are at hand, and nothing is
//! fetched.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

const TICKETS: &str = "extension-definition--5d0c3a1e-2b7f-4e88-9c64-1f2e3d4c5b6a";
const RESULT_MAPPING: &str = "extension-definition--1a061026-c0ae-49db-ba2e-5610d341a831";

fn validate(file: &str, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conche"));
    let command = command.args(["validate", file, "-o", "json"]).args(more);
    command.output().expect("it runs")
}

/// Codes with the ends of their pointers.
fn found(output: &Output) -> Vec<(String, String)> {
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let findings = report["findings"].as_array().expect("findings").iter();
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    findings
        .map(|finding| {
            let pointer = text(&finding["pointer"]);
            let end = pointer.split("/step_extensions/").nth(1);
            (text(&finding["code"]), end.unwrap_or(&pointer).to_owned())
        })
        .collect()
}

fn saved(dir: &Path, name: &str, value: &Value) -> String {
    let path = dir.join(name);
    std::fs::write(&path, value.to_string()).expect("a file");
    path.display().to_string()
}

/// A playbook whose step has this extension, whose definition says where its schema is.
fn extended(id: &str, data: &Value) -> Value {
    const EXAMPLE: &str = include_str!("../../../../examples/playbooks/block-address.json");
    let mut playbook: Value = serde_json::from_str(EXAMPLE).expect("JSON");
    playbook["extension_definitions"][id] = json!({
        "type": "extension-definition", "name": "it", "created_by": playbook["created_by"],
        "schema": "http://127.0.0.1:1/schema.json", "version": "1.0.0",
    });
    let steps = playbook["workflow"].as_object_mut().expect("steps");
    let mut steps = steps.values_mut();
    let action = steps.find(|step| step["type"] == "action");
    action.expect("an action")["step_extensions"] = json!({id: data});
    playbook
}

#[test]
fn an_extension_is_held_against_the_schema_that_is_named_for_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let playbook = extended(TICKETS, &json!({"ticket_queue": {"0": [1, "two"]}}));
    let file = saved(dir.path(), "p.json", &playbook);
    assert_eq!(found(&validate(&file, &[])), [], "no schema is at hand");
    let schema = json!({
        "properties": {"ticket_queue": {"additionalProperties": {"items": {"type": "integer"}}}},
        "required": ["owner"],
    });
    let schemas = dir.path().join("schemas");
    std::fs::create_dir(&schemas).expect("a folder");
    let schema = saved(&schemas, &format!("{TICKETS}.json"), &schema);
    let wrong = [
        ("CACAO112".to_owned(), TICKETS.to_owned()),
        ("CACAO112".to_owned(), format!("{TICKETS}/ticket_queue/0/1")),
    ];
    for named in [format!("{TICKETS}={schema}"), schemas.display().to_string()] {
        let output = validate(&file, &["--extension-schema", &named]);
        assert_eq!(found(&output), wrong, "{named}");
        assert_eq!(output.status.code(), Some(0), "it is a warning");
        let strict = ["--extension-schema", &named, "--profile", "strict"];
        assert_eq!(validate(&file, &strict).status.code(), Some(1));
    }
}

#[test]
fn what_is_no_schema_or_refers_elsewhere_is_told_and_nothing_is_fetched() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = saved(dir.path(), "p.json", &extended(TICKETS, &json!({})));
    let elsewhere = json!({"$ref": "http://127.0.0.1:1/schema.json"});
    for (schema, words) in [
        (elsewhere, "http://127.0.0.1:1/schema.json"),
        (json!({"type": "tickets"}), "is no schema"),
    ] {
        let schema = saved(dir.path(), "schema.json", &schema);
        let named = format!("{TICKETS}={schema}");
        let output = validate(&file, &["--extension-schema", &named]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(words), "{told}");
    }
    for (named, code) in [("tickets", 2), (".", 1)] {
        let output = validate(&file, &["--extension-schema", named]);
        assert_eq!(output.status.code(), Some(code), "{named}");
    }
}

#[test]
fn our_own_extension_is_held_against_our_own_schema() {
    let dir = tempfile::tempdir().expect("a folder");
    let of = |data: Value| {
        let file = saved(dir.path(), "p.json", &extended(RESULT_MAPPING, &data));
        found(&validate(&file, &[]))
    };
    let mapping = |part: Value| json!({"type": "result-mapping", "mapping": {"__a__": part}});
    let part = format!("{RESULT_MAPPING}/mapping/__a__");
    for (data, expected) in [
        (mapping(json!({"pointer": "/a~1b/0"})), None),
        (
            mapping(json!({"jq": ".a", "command": 0, "target": 1})),
            None,
        ),
        (
            mapping(json!({"pointer": "a"})),
            Some(format!("{part}/pointer")),
        ),
        (
            mapping(json!({"jq": ".a", "command": -1})),
            Some(format!("{part}/command")),
        ),
        (
            mapping(json!({"jq": ".a", "pointer": "/a"})),
            Some(part.clone()),
        ),
        (
            mapping(json!({"pointer": "/a", "comand": 0})),
            Some(part.clone()),
        ),
        (
            json!({"type": "result-mapping"}),
            Some(RESULT_MAPPING.to_owned()),
        ),
    ] {
        let expected = expected.map(|at| ("CACAO112".to_owned(), at));
        assert_eq!(
            of(data.clone()),
            expected.into_iter().collect::<Vec<_>>(),
            "{data}"
        );
    }
}

#[test]
fn the_schema_of_our_own_extension_is_printed() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conche"));
    let output = command.args(["schema", "result-mapping"]).output();
    let schema: Value = serde_json::from_slice(&output.expect("it runs").stdout).expect("JSON");
    assert_eq!(schema["$id"], format!("urn:conche:{RESULT_MAPPING}"));
}
