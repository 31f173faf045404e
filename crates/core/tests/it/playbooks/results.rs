//! What of a result goes into which variables (docs/decisions/0018).

use conche_core::Json;
use conche_core::run::{ErrorKind, Resolution};
use serde_json::{Value, json};

use super::document::{Doc, commands, then, with};
use super::play::{Modules, Play, refused};
use crate::shell::failure;

const MAPPING: &str = "extension-definition--1a061026-c0ae-49db-ba2e-5610d341a831";

fn doc(kind: &str, more: Value) -> Doc {
    let command = match kind {
        "http-api" | "openc2-http" => "POST /x HTTP/1.1",
        _ => "x",
    };
    let step = with(commands([json!({"type": kind, "command": command})]), more);
    Doc::new("it")
        .variable("__a__", "string", "-")
        .variable("__b__", "string", "-")
        .variable("__n__", "integer", "0")
        .variable("__d__", "dictionary", "{}")
        .step("it", then(step, "end"))
}

fn mapping(mapping: &Value) -> Value {
    json!({"step_extensions": {MAPPING: {"type": "result-mapping", "mapping": mapping}}})
}

fn after(doc: &Doc, result: Value) -> Play {
    let mut play = Play::of(doc);
    play.gives("it", result).awaits(["succeeded"]);
    play
}

#[test]
fn a_single_out_arg_gets_the_primary_result_of_its_type_of_command() {
    for (kind, result) in [
        (
            "bash",
            json!({"stdout": "yes", "stderr": "no", "exit_code": 0}),
        ),
        ("ssh", json!({"stdout": "yes"})),
        ("powershell", json!({"stdout": "yes", "stderr": ""})),
        (
            "http-api",
            json!({"status": 200, "headers": {}, "body": "yes"}),
        ),
        (
            "openc2-http",
            json!({"status": 200, "results": "yes", "body": "{}"}),
        ),
        ("elastic", json!({"body": "yes"})),
        ("caldera-cmd", json!({"result": "yes"})),
        ("sigma", json!({"matched": "yes"})),
        ("yara", json!({"matched": "yes"})),
        ("jupyter", json!({"result": "yes"})),
        ("kestrel", json!({"result": "yes"})),
    ] {
        let mut play = after(&doc(kind, json!({"out_args": ["__a__"]})), result);
        assert_eq!(play.value("__a__").as_deref(), Some("yes"), "{kind}");
    }
}

#[test]
fn what_was_printed_is_captured_without_the_line_breaks_at_its_end() {
    after(
        &doc("ssh", json!({"out_args": ["__n__"]})),
        json!({"stdout": "42\r\n\n"}),
    )
    .has("__n__", "42");
    after(
        &doc("bash", json!({"out_args": ["__a__"]})),
        json!({"stdout": "a\nb \n"}),
    )
    .has("__a__", "a\nb ");
    after(
        &doc("http-api", json!({"out_args": ["__a__"]})),
        json!({"body": "x\n"}),
    )
    .has("__a__", "x\n");
}

#[test]
fn a_result_that_is_a_document_becomes_a_dictionary_or_its_text() {
    let result = json!({"results": {"blocked": true}});
    after(
        &doc("openc2-http", json!({"out_args": ["__d__"]})),
        result.clone(),
    )
    .has("__d__", r#"{"blocked":true}"#);
    after(&doc("openc2-http", json!({"out_args": ["__a__"]})), result)
        .has("__a__", r#"{"blocked":true}"#);
}

#[test]
fn several_out_args_get_the_variables_of_the_result_and_no_primary_result() {
    let more = json!({"out_args": ["__a__", "__n__"]});
    let result = json!({"stdout": "x", "variables": {"__a__": "given", "__n__": 3, "__b__": "not asked for"}});
    after(&doc("bash", more), result)
        .has("__a__", "given")
        .has("__n__", "3")
        .has("__b__", "-");
}

#[test]
fn without_out_args_all_variables_of_the_result_that_are_seen_are_taken() {
    let result = json!({"variables": {"__a__": "given", "__none__": "dropped"}});
    after(&doc("our-own", json!({})), result)
        .has("__a__", "given")
        .has("__b__", "-");
}

#[test]
fn variables_of_fins_are_read_as_cacao_declares_them() {
    let fin = |value: Value| json!({"type": "string", "name": "__a__", "description": "", "value": value, "constant": false, "external": false});
    after(
        &doc("our-own", json!({})),
        json!({"variables": {"__a__": fin(json!("x"))}}),
    )
    .has("__a__", "x");
    let mut play = after(
        &doc("our-own", json!({})),
        json!({"variables": {"__a__": fin(Value::Null)}}),
    );
    assert_eq!(play.value("__a__"), None);
    let plain = json!({"variables": {"__d__": {"value": 1, "other": 2}}});
    after(&doc("our-own", json!({})), plain).has("__d__", r#"{"value":1,"other":2}"#);
}

#[test]
fn soarcas_names_are_set_where_they_are_used_or_declared() {
    let using = |kind: &str, name: &str, result: Value| {
        let reader = commands([json!({"type": "bash", "command": format!("say {name}:value")})]);
        let doc = doc(kind, json!({})).step("next", then(reader, "end"));
        let doc = doc.step("start", json!({"type": "start", "on_completion": "it"}));
        let mut play =
            Play::of(&doc.step("it", with(doc_step(kind), json!({"on_completion": "next"}))));
        play.gives("it", result);
        play.line("next")
    };
    for (kind, name, result) in [
        ("ssh", "__soarca_ssh_result__", json!({"stdout": "yes"})),
        (
            "http-api",
            "__soarca_http_api_result__",
            json!({"body": "yes"}),
        ),
        (
            "openc2-http",
            "__soarca_openc2_http_result__",
            json!({"body": "yes", "results": {}}),
        ),
        (
            "powershell",
            "__soarca_powershell_result__",
            json!({"stdout": "yes", "stderr": "no"}),
        ),
        (
            "powershell",
            "__soarca_powershell_error__",
            json!({"stdout": "no", "stderr": "yes"}),
        ),
    ] {
        assert_eq!(using(kind, name, result), "say 'yes'", "{name}");
    }
    let listed = doc("ssh", json!({"out_args": ["__soarca_ssh_result__"]}));
    after(&listed, json!({"stdout": "x"})).has("__soarca_ssh_result__", "x");
    let declared =
        doc("ssh", json!({"out_args": ["__a__"]})).variable("__soarca_ssh_result__", "string", "-");
    after(&declared, json!({"stdout": "x"}))
        .has("__a__", "x")
        .has("__soarca_ssh_result__", "-");
}

fn doc_step(kind: &str) -> Value {
    doc(kind, json!({})).document().value()["workflow"]["it"].clone()
}

#[test]
fn a_result_mapping_takes_any_part_of_the_result() {
    let map =
        mapping(&json!({"__a__": {"pointer": "/headers/server"}, "__n__": {"pointer": "/status"}}));
    let result = json!({"status": 201, "headers": {"server": "x"}, "body": "not this"});
    after(&doc("http-api", map.clone()), result.clone())
        .has("__a__", "x")
        .has("__n__", "201");
    let filtered = with(map, json!({"out_args": ["__b__"]}));
    after(&doc("http-api", filtered), result)
        .has("__a__", "x")
        .has("__b__", "-");
}

#[test]
fn a_mapping_to_a_part_that_is_not_there_fails_the_step_and_says_that_it_was_done() {
    let map = mapping(&json!({"__a__": {"pointer": "/json/score"}}));
    let mut play = Play::of(&doc("http-api", map));
    play.gives("it", json!({"body": "x"}));
    assert_eq!(
        play.error("it/0.0"),
        Some(
            "it was done, but its result cannot be kept: the result has nothing at `/json/score` for `__a__`"
        )
    );
}

#[test]
fn a_mapping_may_be_of_one_command_or_target_only() {
    let line = |text: &str| json!({"type": "bash", "command": text});
    let map = json!({
        "__a__": {"pointer": "/stdout", "command": 0, "target": 1},
        "__b__": {"pointer": "/stdout", "command": 1},
    });
    let step = with(
        commands([line("1"), line("2")]),
        json!({"targets": ["t0", "t1"], "out_args": ["__a__"]}),
    );
    let step = with(step, mapping(&map));
    let mut play = Play::of(&doc("bash", json!({})).step("it", then(step, "end")));
    for name in ["it/0.0", "it/0.1", "it/1.0", "it/1.1"] {
        play.prints(name, name);
    }
    play.awaits(["succeeded"])
        .has("__a__", "it/0.1")
        .has("__b__", "it/1.1");
}

#[test]
fn the_last_command_and_target_that_gives_a_value_stays() {
    let step = with(
        doc_step("bash"),
        json!({"targets": ["t0", "t1"], "out_args": ["__a__"]}),
    );
    let mut play = Play::of(&doc("bash", json!({})).step("it", step));
    play.prints("it/0.0", "first")
        .prints("it/0.1", "last")
        .awaits(["succeeded"])
        .has("__a__", "last");
}

#[test]
fn a_filter_is_asked_after_the_command_and_what_it_finds_is_kept() {
    let map = mapping(&json!({"__a__": {"jq": ".json.score"}, "__n__": {"pointer": "/status"}}));
    let mut play = Play::of(&doc("http-api", map));
    play.gives("it", json!({"status": 200, "json": {"score": 7}}))
        .finds("it/0.0/query", json!({"__a__": 7}))
        .awaits(["succeeded"])
        .has("__a__", "7")
        .has("__n__", "200");
    let assignment = json!({"step_extensions": {"any": {
        "type": "soarca-assignment", "step-result": "__soarca_ssh_result__", "variable": "__n__",
        "expression": {"type": "jq", "expression": ".current.x"},
    }}});
    let mut play = Play::of(&doc("ssh", assignment.clone()));
    play.prints("it/0.0", "{\"x\": 1}")
        .finds("it/0.0/query", json!({"__n__": "much"}));
    let error = play.error("it/0.0/query").expect("it is no integer");
    assert!(
        error.starts_with("it was done, but what was found cannot be kept: "),
        "{error}"
    );
    // It is meant for another command, which SOARCA leaves alone as well.
    after(&doc("bash", assignment), json!({"stdout": "x"})).has("__n__", "0");
}

#[test]
fn a_filter_that_finds_nothing_fails_the_step_and_says_that_it_was_done() {
    let map = mapping(&json!({"__a__": {"jq": ".json.score"}}));
    let mut play = Play::of(&doc("http-api", map));
    play.gives("it", json!({"status": 200})).looks(
        "it/0.0/query",
        failure(ErrorKind::Permanent, "`.json.score` finds nothing", None),
    );
    let error = play.error("it/0.0/query").expect("it failed");
    assert_eq!(
        error,
        "it was done, but its result lacks something: `.json.score` finds nothing"
    );
}

#[test]
fn a_mapping_that_cannot_be_meant_is_refused() {
    for (map, words) in [
        (
            json!({"__a__": {"pointer": "/x", "command": 1}}),
            "`__a__` is mapped from a command that the step does not have",
        ),
        (
            json!({"__a__": {"jq": ".["}}),
            "the filter `.[` for `__a__`: not a jq filter",
        ),
        (
            json!({"__a__": {"pointer": "/x", "target": 1}}),
            "`__a__` is mapped from a target that the step does not have",
        ),
        (
            json!({"__a__": {"pointer": "/x", "jq": "."}}),
            "`__a__` needs either a `pointer` or a `jq` filter",
        ),
        (
            json!({"a": {"pointer": "/x"}}),
            "`a`: it does not begin and end with two underscores",
        ),
    ] {
        let refusals = refused(
            &doc("bash", mapping(&map)).program(&[]),
            &Modules::default(),
        );
        assert_eq!(refusals[0].pointer.to_string(), "/workflow/it/commands/0");
        assert_eq!(refusals[0].message, words);
    }
}

#[test]
fn a_result_that_a_person_gives_sets_the_variables_too() {
    let mut play = Play::of(&doc("ssh", json!({"out_args": ["__a__"]})));
    play.begins("it");
    play.run.crash();
    play.awaits(["attend it"]);
    let output = Json::from(&json!({"stdout": "as ana saw"}));
    play.run.resume("it/0.0", Resolution::Succeeded { output });
    play.awaits(["succeeded"]).has("__a__", "as ana saw");
}
