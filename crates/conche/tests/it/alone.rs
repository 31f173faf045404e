//! `conche run` and `conche validate`: without a server.

use std::io::{BufRead as _, BufReader};

use conche_store::sqlite::{SqliteConfig, SqliteStore};
use conche_store::{Catalogue as _, ListEntry, RunStore as _};
use serde_json::Value;

use crate::server::{conche, with_input};

fn write(dir: &tempfile::TempDir, name: &str, text: &str) -> String {
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

const REACTION: &str = r#"name: note
event: note.made
when: event.data.text != ""
script: |
  console.log("text is", event.text);
  nextAction = "say";
  result = { dummy_string: event.text };
actions:
  say: { module: dummy, action: dummy_action, script: "nextAction = 'stop'" }
  stop: { module: dummy, action: dummy_action }
"#;

fn run(file: &str, event: &str, more: &[&str]) -> std::process::Output {
    let mut command = conche();
    command.args(["run", file, "--event", "-"]).args(more);
    with_input(command, event)
}

#[test]
fn a_run_is_told_step_by_step() {
    let dir = tempfile::tempdir().unwrap();
    let file = write(&dir, "note.yaml", REACTION);
    let output = run(&file, r#"{"text":"hi"}"#, &[]);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let told = String::from_utf8(output.stdout).unwrap();
    let (first, rest) = told.split_once('\n').unwrap();
    assert!(
        first.starts_with("run ") && first.ends_with(" of note: succeeded"),
        "{told}"
    );
    let expected = r#"  0 script: succeeded
      info: text is hi
      output {"next":{"action":"say","data":{"dummy_string":"hi"}}}
  1 say (dummy.dummy_action): succeeded
      input {"dummy_string":"hi"}
      output {"dummykey":"dummyvalue"}
  2 say:script: succeeded
      output {"next":{"action":"stop","data":{}}}
  3 stop (dummy.dummy_action): succeeded
      input {}
      output {"dummykey":"dummyvalue"}
"#;
    assert_eq!(rest, expected);
}

#[test]
fn a_run_as_json_has_the_documented_members() {
    let dir = tempfile::tempdir().unwrap();
    let file = write(&dir, "note.yaml", REACTION);
    let output = run(&file, r#"{"text":"hi"}"#, &["-o", "json"]);
    let run: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(run["status"], "succeeded");
    assert_eq!(run["definition"], "note");
    assert!(run["run_id"].is_string() && run["variables"].is_object());
    assert_eq!(run["steps"][1]["attempts"], 1);
    assert_eq!(run["steps"][1]["status"], "succeeded");
    assert!(run["steps"][1]["step_id"].is_string());
}

#[test]
fn a_run_that_fails_is_shown_and_exits_with_1() {
    let dir = tempfile::tempdir().unwrap();
    let file = write(
        &dir,
        "r.yaml",
        "name: r\nevent: e\nscript: throw new Error('no')\n",
    );
    let output = conche()
        .args(["run", &file, "-o", "json"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let run: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(run["status"], "failed");
    assert!(
        run["steps"][0]["error"]["message"]
            .as_str()
            .unwrap()
            .contains("no")
    );
}

#[test]
fn an_event_that_does_not_match_is_said_so() {
    let dir = tempfile::tempdir().unwrap();
    let file = write(&dir, "note.yaml", REACTION);
    for (event, more, expected) in [
        (
            r#"{"text":""}"#,
            &[][..],
            "does not satisfy the reaction's `when: event.data.text",
        ),
        (
            "{}",
            &["--type", "other"],
            "type `other` does not trigger the reaction `note`",
        ),
        ("{", &[], "not a JSON text"),
    ] {
        let output = run(&file, event, more);
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn what_a_reaction_cannot_take_is_misuse() {
    let dir = tempfile::tempdir().unwrap();
    let file = write(&dir, "note.yaml", REACTION);
    let two = write(&dir, "two.yaml", "name: r\nevents: [a, b]\nscript: ''\n");
    for arguments in [&["run", &file, "--var", "a=b"][..], &["run", &two]] {
        let output = conche().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
    let chosen = conche()
        .args(["run", &two, "--type", "b"])
        .output()
        .unwrap();
    assert_eq!(chosen.status.code(), Some(0));
}

fn findings(file: &str) -> (Option<i32>, Value) {
    let output = conche()
        .args(["validate", file, "-o", "json"])
        .output()
        .unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap();
    (output.status.code(), report)
}

#[test]
fn a_valid_file_has_no_findings() {
    let dir = tempfile::tempdir().unwrap();
    let (code, report) = findings(&write(&dir, "note.yaml", REACTION));
    assert_eq!(code, Some(0));
    assert_eq!(report, serde_json::json!({ "valid": true, "findings": [] }));
}

#[test]
fn a_finding_names_its_key_and_its_place() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, "broken.js", "var = 1");
    for (text, code, pointer, line) in [
        ("name: r\nevnt: e\nscript: ''\n", "syntax", "", 2),
        (
            "name: r\nevent: e\nscript: |\n  var a = 1;\n  var = 2;\n",
            "script_syntax",
            "/script",
            5,
        ),
        (
            "name: r\nevent: e\nscript: 'var ='\n",
            "script_syntax",
            "/script",
            3,
        ),
        (
            "name: r\nevent: e\nscript_file: broken.js\n",
            "script_syntax",
            "/script_file",
            3,
        ),
        (
            "name: r\nevent: e\nwhen: 'event.'\nscript: ''\n",
            "filter",
            "/when",
            3,
        ),
        (
            "name: r\nevent: e\nscript: ''\nactions:\n  a/b: { module: dummy, action: dummy_action, script: ')' }\n",
            "script_syntax",
            "/actions/a~1b/script",
            5,
        ),
        (
            "{\"name\":\"r\",\n\"event\":\"e\",\n\"script\":\"(\"}",
            "script_syntax",
            "/script",
            3,
        ),
    ] {
        let file = write(&dir, "r.yaml", text);
        let (exit, report) = findings(&file);
        assert_eq!(exit, Some(1), "{text}");
        assert_eq!(report["valid"], false);
        let finding = &report["findings"][0];
        assert_eq!(finding["code"], code, "{text}\n{finding}");
        assert_eq!(finding["pointer"], pointer, "{finding}");
        assert_eq!(finding["line"], line, "{finding}");
        assert_eq!(finding["severity"], "error");
    }
}

#[test]
fn an_unknown_action_is_a_warning_that_says_what_was_meant() {
    let dir = tempfile::tempdir().unwrap();
    let file = write(
        &dir,
        "r.yaml",
        &REACTION.replace(
            "{ module: dummy, action: dummy_action }",
            "{ module: dumy, action: x }",
        ),
    );
    let (code, report) = findings(&file);
    assert_eq!((code, &report["valid"]), (Some(0), &Value::Bool(true)));
    assert_eq!(report["findings"][0]["severity"], "warning");
    assert_eq!(report["findings"][0]["help"], "did you mean `dummy`?");
}

#[test]
fn one_file_that_cannot_be_read_does_not_hide_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let good = write(&dir, "good.yaml", REACTION);
    let bad = write(&dir, "bad.yaml", "name: r\nevents: 7\nscript: ''\n");
    let gone = dir.path().join("gone.yaml").display().to_string();
    let output = conche()
        .args(["validate", &gone, &bad, &good])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stdout).unwrap();
    // Indented lines show the file.
    let lines: Vec<&str> = told.lines().filter(|line| !line.starts_with(' ')).collect();
    let expected = [
        format!("{gone}: error unreadable: can't read {gone}: "),
        format!("{gone} cannot be taken"),
        format!("{bad}:2:9: error syntax: must be a list, such as `[a, b]`"),
        format!("{bad} cannot be taken"),
        format!("{good} is fine"),
    ];
    assert_eq!(lines.len(), expected.len(), "{told}");
    for (line, expected) in lines.iter().zip(&expected) {
        assert!(line.starts_with(expected.as_str()), "{told}");
    }
}

#[test]
fn a_filter_that_never_matches_is_a_warning_and_one_that_always_fails_an_error() {
    let dir = tempfile::tempdir().unwrap();
    for (when, exit, severity, message) in [
        (
            "event.severity == 3",
            0,
            "warning",
            "no event has `event.severity`",
        ),
        (
            "lower(event.id) == ''",
            1,
            "error",
            "unknown function `lower`",
        ),
    ] {
        let text = format!("name: r\nevent: e\nwhen: \"{when}\"\nscript: ''\n");
        let (code, report) = findings(&write(&dir, "r.yaml", &text));
        assert_eq!(code, Some(exit), "{report}");
        let finding = &report["findings"][0];
        assert_eq!(
            (&finding["line"], &finding["severity"]),
            (&3.into(), &severity.into())
        );
        assert!(
            finding["message"].as_str().unwrap().starts_with(message),
            "{finding}"
        );
    }
}

#[test]
fn a_filter_without_an_answer_is_not_taken_for_one_that_says_no() {
    let dir = tempfile::tempdir().unwrap();
    let text = REACTION.replace("event.data.text != \"\"", "event.data.text + 1 == 2");
    let output = run(&write(&dir, "note.yaml", &text), r#"{"text":"hi"}"#, &[]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        error.contains("could not be evaluated on this event"),
        "{error}"
    );
    assert!(!error.contains("does not satisfy"), "{error}");
}

#[test]
fn a_reaction_to_conches_own_events_is_tried_as_any_other() {
    let dir = tempfile::tempdir().unwrap();
    let text = "name: tell\nevents: [conche.run.failed, conche.run.needs_attention]\nwhen: event.source == 'conche'\nscript: \"nextAction = 'say'; result = { dummy_string: event.reason }\"\nactions:\n  say: { module: dummy, action: dummy_action }\n";
    let file = write(&dir, "tell.yaml", text);
    for event_type in ["conche.run.failed", "conche.run.needs_attention"] {
        let event = r#"{"definition":"note","reason":"no"}"#;
        let output = run(&file, event, &["--type", event_type, "-o", "json"]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{error}");
        let run: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(run["steps"][1]["input"]["dummy_string"], "no", "{run}");
    }
}

#[test]
fn storm_control_does_not_hold_up_a_reaction_that_is_tried() {
    let dir = tempfile::tempdir().unwrap();
    for (control, seen) in [
        ("debounce: { wait: 1h }", "event.text"),
        ("dedup: { window: 1h }", "event.text"),
        ("group: { window: 1h }", "event.events[0].data.text"),
    ] {
        let text = format!(
            "name: r\nevent: e\n{control}\nscript: \"nextAction = 'say'; result = {{ dummy_string: {seen} }}\"\nactions:\n  say: {{ module: dummy, action: dummy_action }}\n"
        );
        let file = write(&dir, "r.yaml", &text);
        let output = run(&file, r#"{"text":"hi"}"#, &["-o", "json"]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{control}: {error}");
        let run: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(run["steps"][1]["input"]["dummy_string"], "hi", "{run}");
    }
}

/// Changes the lists of a data folder as a server on it would.
fn on_the_server(dir: &std::path::Path, change: impl AsyncFnOnce(&SqliteStore)) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = SqliteStore::open(&SqliteConfig::new(dir)).expect("it opens");
        change(&store).await;
        store.close().await.expect("it closes");
    });
}

fn entry(list: &str, key: &str) -> ListEntry {
    ListEntry {
        list: list.to_owned(),
        key: key.to_owned(),
        value: conche_core::Json::from(&true.into()),
        put_at: conche_core::Timestamp::now(),
        expires_at: None,
    }
}

#[test]
fn what_a_server_protects_is_protected_here() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let config = format!("data_dir: {}\n", data.display());
    let config = write(&dir, "conche.yaml", &config);
    let (http, start, act, end) = (
        "http-api--10000000-0000-4000-8000-000000000001",
        "start--20000000-0000-4000-8000-000000000001",
        "action--20000000-0000-4000-8000-000000000002",
        "end--20000000-0000-4000-8000-000000000003",
    );
    let playbook = serde_json::json!({
        "type": "playbook", "spec_version": "cacao-2.0", "name": "Post",
        "id": "playbook--5b6a8a5e-7f43-4c57-9d0a-3c3f7a1c9b10",
        "created_by": "identity--9d1f1d1c-6a2e-4b69-8f0e-3f6a2b7c8d90",
        "created": "2026-03-01T08:00:00.000Z", "modified": "2026-03-01T08:00:00.000Z",
        "workflow_start": start,
        "workflow": {
            start: {"type": "start", "on_completion": act},
            act: {
                "type": "action", "agent": http, "on_success": end,
                "commands": [{"type": "http-api", "command": "POST /x HTTP/1.1"}],
            },
            end: {"type": "end"},
        },
        "agent_definitions": {
            http: {"type": "http-api", "name": "peer", "address": {"dname": ["127.1"]}, "port": "9"},
        },
    });
    let playbook = write(&dir, "post.json", &playbook.to_string());
    on_the_server(&data, async |store| {
        let put = store
            .put_entry(entry("protected_targets", "127.0.0.0/8"))
            .await;
        put.expect("it is put");
    });
    let output = conche()
        .args(["run", &playbook, "--config", &config])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    let words = "`127.1` stands in the list `protected_targets`, by its entry `127.0.0.0/8`";
    assert!(told.contains(words), "{told}");
}

#[test]
fn what_is_stopped_on_a_server_waits_here_until_it_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let config = format!("data_dir: {}\n", data.display());
    let config = write(&dir, "conche.yaml", &config);
    let file = write(&dir, "note.yaml", REACTION);
    let event = write(&dir, "event.json", r#"{"text":"hi"}"#);
    on_the_server(&data, async |store| {
        let put = store.put_entry(entry("effects_stopped", "note")).await;
        put.expect("it is put");
    });
    let mut child = conche()
        .args(["run", &file, "--event", &event, "--config", &config])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let told = BufReader::new(child.stderr.take().unwrap()).lines();
    let told: Vec<String> = told
        .map_while(Result::ok)
        .take_while(|line| !line.contains("effects are stopped"))
        .collect();
    assert!(child.try_wait().unwrap().is_none(), "{told:?}");
    on_the_server(&data, async |store| {
        let removed = store.remove_entry("effects_stopped", "note").await;
        assert_eq!(removed, Ok(true));
    });
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{told}");
}
