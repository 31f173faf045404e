//! Values are put into commands so that they stay values, and a reference that leads nowhere
//! fails its step with its place (docs/decisions/0021).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::document::{Doc, commands, on_success, with};
use super::play::Play;

const EVIL: &str = "a'b; reboot\n\"$(id)\" /../x?y=1&z";

fn doc(command: Value) -> Doc {
    Doc::new("it")
        .variable("__v__", "string", EVIL)
        .variable("__n__", "integer", "7")
        .variable("__path__", "string", "/api/hosts?all=1")
        .declare("__unset__", json!({"type": "string"}))
        .step("it", on_success(commands([command]), "end"))
}

fn command(kind: &str, more: Value) -> Value {
    with(json!({"type": kind}), more)
}

fn filled(command_object: Value) -> Value {
    Play::of(&doc(command_object)).input("it")["command"].clone()
}

fn failure(command_object: Value) -> String {
    let mut play = Play::of(&doc(command_object));
    let wanted = play.wanted();
    wanted[0]
        .strip_prefix("failed: ")
        .expect("a failed run")
        .to_owned()
}

#[test]
fn a_value_is_one_word_of_a_shell() {
    for kind in ["bash", "ssh"] {
        let found = filled(command(kind, json!({"command": "block __v__:value now"})));
        let expected = format!("block '{}' now", EVIL.replace('\'', r"'\''"));
        assert_eq!(found["command"], expected, "{kind}");
    }
    let found = filled(command(
        "powershell",
        json!({"command": "Block __v__:value"}),
    ));
    let expected = format!("Block '{}'", EVIL.replace('\'', "''"));
    assert_eq!(found["command"], expected);
}

#[test]
fn the_module_that_carries_it_out_says_how_a_value_is_quoted() {
    let agent = json!({"type": "soarca", "name": "soarca-ssh", "address": {"dname": ["box"]}});
    let line = json!({"type": "http-api", "command": "GET /__v__:value HTTP/1.1"});
    let mut play = Play::of(&doc(line).put("agent_definitions", "box", agent));
    assert_eq!(play.invocation("it").module, "ssh");
    let expected = format!("GET /'{}' HTTP/1.1", EVIL.replace('\'', r"'\''"));
    assert_eq!(
        play.line("it"),
        expected,
        "a shell reads it, whatever its type says"
    );
}

#[test]
fn a_value_is_a_part_of_the_path_or_query_of_a_request() {
    let found = filled(command(
        "http-api",
        json!({"command": "GET /users/__v__:value?q=__v__:value HTTP/1.1"}),
    ));
    let line = found["command"].as_str().expect("a line");
    let parts: Vec<&str> = line.split(' ').collect();
    assert_eq!(parts.len(), 3, "{line}");
    let (path, query) = parts[1].split_once('?').expect("a query");
    assert_eq!(path.matches('/').count(), 2, "{line}");
    assert!(
        !query.contains('&') && query.matches('=').count() == 1,
        "{line}"
    );
    assert!(
        !line.contains(['\n', '"', '?'].as_slice()) || line.matches('?').count() == 1,
        "{line}"
    );
}

#[test]
fn a_target_that_is_one_variable_is_taken_as_it_is_if_it_is_a_path() {
    let line = |name: &str| json!({"command": format!("GET {name}:value HTTP/1.1")});
    let found = filled(command("http-api", line("__path__")));
    assert_eq!(found["command"], "GET /api/hosts?all=1 HTTP/1.1");
    let error = failure(command("http-api", line("__v__")));
    assert!(error.contains("is no path of a URL"), "{error}");
}

#[test]
fn a_start_line_that_is_none_fails_the_step() {
    for line in [
        "GET /x",
        "GET /x y HTTP/1.1",
        "__n__:value /x HTTP/1.1",
        "GET /x __n__:value",
    ] {
        let error = failure(command("http-api", json!({"command": line})));
        assert!(
            error.starts_with("/workflow/it/commands/0: `command`: "),
            "{error}"
        );
    }
    let encoded = STANDARD.encode("POST /x HTTP/1.1\n");
    let found = filled(command("http-api", json!({"command_b64": encoded})));
    assert_eq!(found["command"], "POST /x HTTP/1.1");
}

#[test]
fn a_value_is_the_name_of_a_member_too() {
    let body = r#"{"__v__:value": "__n__:value"}"#;
    let found = filled(command(
        "http-api",
        json!({"command": "POST /x HTTP/1.1", "content": body}),
    ));
    let sent: Value = serde_json::from_str(found["content"].as_str().expect("text")).expect("JSON");
    assert_eq!(sent, json!({EVIL: 7}));
}

#[test]
fn a_value_in_a_json_body_stays_a_value_with_its_type() {
    let body = r#"{"text": "saw __v__:value", "count": "__n__:value"}"#;
    let found = filled(command(
        "http-api",
        json!({"command": "POST /x HTTP/1.1", "content": body}),
    ));
    let sent: Value =
        serde_json::from_str(found["content"].as_str().expect("a body")).expect("JSON");
    assert_eq!(sent, json!({"text": format!("saw {EVIL}"), "count": 7}));

    let loose = r#"{"text": "__v__:value", "count": __n__:value}"#;
    let found = filled(command(
        "http-api",
        json!({"command": "POST /x HTTP/1.1", "content": loose, "headers": {"Content-Type": ["application/json"]}}),
    ));
    let sent: Value =
        serde_json::from_str(found["content"].as_str().expect("a body")).expect("JSON");
    assert_eq!(sent, json!({"text": EVIL, "count": 7}));
}

#[test]
fn a_body_is_filled_in_by_its_media_type_also_where_it_is_in_base64() {
    let form = STANDARD.encode("user=__v__:value&n=__n__:value");
    let found = filled(command(
        "http-api",
        json!({
            "command": "POST /x HTTP/1.1", "content_b64": form,
            "headers": {"content-type": ["application/x-www-form-urlencoded"]},
        }),
    ));
    let body = found["content"].as_str().expect("a body");
    assert_eq!(body.matches('&').count(), 1, "{body}");
    assert!(body.ends_with("&n=7"), "{body}");
    let text = json!({"command": "POST /x HTTP/1.1", "content": "saw __v__:value", "headers": {"Content-Type": ["text/plain"]}});
    assert_eq!(
        filled(command("http-api", text))["content"],
        format!("saw {EVIL}")
    );
}

#[test]
fn bytes_that_are_no_text_are_left_as_they_are() {
    let bytes = STANDARD.encode([0xff, 0xfe, 0]);
    let found = filled(command("yara", json!({"command_b64": bytes})));
    assert_eq!(found["command_b64"], bytes);
    assert_eq!(found.get("command"), None);
}

#[test]
fn a_header_never_gets_a_second_line() {
    let headers =
        |value: &str| json!({"command": "GET /x HTTP/1.1", "headers": {"X-Count": [value]}});
    assert_eq!(
        filled(command("http-api", headers("n __n__:value")))["headers"]["X-Count"],
        json!(["n 7"])
    );
    let error = failure(command("http-api", headers("__v__:value")));
    assert!(
        error.contains("the header `X-Count`") && error.contains("U+000A"),
        "{error}"
    );
}

#[test]
fn arguments_of_other_types_of_command_keep_their_types() {
    let found = filled(command(
        "openwhisk",
        json!({
            "command": "invoke /_/x", "params": {"n": "__n__:value", "text": "n=__n__:value", "none": "__unset__:value"}, "wait_ms": 5,
        }),
    ));
    assert_eq!(
        found["params"],
        json!({"n": 7, "text": "n=7", "none": null})
    );
    assert_eq!(found["wait_ms"], 5);
}

#[test]
fn agents_targets_and_credentials_are_filled_in() {
    let agent = json!({
        "type": "linux", "name": "box __n__:value", "address": {"ipv4": ["10.0.0.__n__:value"]},
        "authentication_info": "auth",
    });
    let auth =
        json!({"type": "user-auth", "username": "u__n__:value", "password": "__path__:value"});
    let doc = doc(command("bash", json!({"command": "x"})))
        .put("agent_definitions", "box", agent)
        .put("authentication_info_definitions", "auth", auth);
    let found = Play::of(&doc).input("it")["agent"].clone();
    assert_eq!(found["address"]["ipv4"], json!(["10.0.0.7"]));
    assert_eq!(found["name"], "box 7");
    assert_eq!(found["authentication"]["user"], "u7");
    assert_eq!(
        found["authentication"]["password"]["value"],
        "/api/hosts?all=1"
    );
}

#[test]
fn what_looks_like_a_reference_in_a_value_stays_what_it_is() {
    let doc = doc(command("bash", json!({"command": "say __v__:value"}))).variable(
        "__v__",
        "string",
        "__n__:value",
    );
    assert_eq!(Play::of(&doc).line("it"), "say '__n__:value'");
}

#[test]
fn a_reference_that_leads_nowhere_fails_its_step_with_its_place() {
    for (object, words) in [
        (
            command("bash", json!({"command": "x __no__:value"})),
            "/workflow/it/commands/0: `command`: there is no variable `__no__` (byte 2)",
        ),
        (
            command("bash", json!({"command": "x __unset__:value"})),
            "/workflow/it/commands/0: `command`: `__unset__` has no value (byte 2)",
        ),
        (
            command(
                "http-api",
                json!({"command": "GET /x HTTP/1.1", "headers": {"A": ["__no__:value"]}}),
            ),
            "/workflow/it/commands/0: the header `A`: there is no variable `__no__` (byte 0)",
        ),
        (
            command(
                "http-api",
                json!({"command": "POST /x HTTP/1.1", "content": "__no__:value"}),
            ),
            "/workflow/it/commands/0: `content`: there is no variable `__no__` (byte 0)",
        ),
    ] {
        assert_eq!(failure(object), words);
    }
    let agent = json!({"type": "linux", "name": "__no__:value", "address": {"dname": ["box"]}});
    let mut play = Play::of(&doc(command("bash", json!({"command": "x"}))).put(
        "agent_definitions",
        "box",
        agent,
    ));
    play.awaits([
        "failed: /workflow/it/commands/0: the agent: there is no variable `__no__` (byte 0)",
    ]);
}
