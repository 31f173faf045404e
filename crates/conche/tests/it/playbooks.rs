//! CACAO playbooks on the command line, as a person uses it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

pub(crate) const EXAMPLE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../examples/playbooks/block-address.json"
);
pub(crate) const KEY: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../cacao/tests/it/keys/ed25519.pem"
);

pub(crate) fn conche(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conche"));
    command
        .args(arguments)
        .env("NO_COLOR", "1")
        .output()
        .expect("it runs")
}

pub(crate) fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

pub(crate) fn piped(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conche"));
    let command = command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().expect("it runs");
    child
        .stdin
        .take()
        .expect("its input")
        .write_all(input)
        .expect("it reads");
    child.wait_with_output().expect("it ends")
}

pub(crate) fn saved(dir: &Path, name: &str, value: &Value) -> String {
    let path = dir.join(name);
    std::fs::write(&path, value.to_string()).expect("a file");
    path.display().to_string()
}

pub(crate) fn example() -> Value {
    serde_json::from_slice(&std::fs::read(EXAMPLE).expect("the example")).expect("JSON")
}

#[test]
fn a_new_playbook_and_the_example_are_valid() {
    let new = conche(&["playbooks", "new", "--name", "Isolate a host"]);
    assert!(new.status.success());
    let strict = piped(&["validate", "-", "-o", "json"], &new.stdout);
    let report: Value = serde_json::from_slice(&strict.stdout).expect("JSON");
    assert_eq!(report, json!({"valid": true, "findings": []}));
    let example = conche(&["validate", EXAMPLE, "--profile", "strict", "-o", "json"]);
    let report: Value = serde_json::from_slice(&example.stdout).expect("JSON");
    assert_eq!(report, json!({"valid": true, "findings": []}));
}

#[test]
fn a_finding_shows_the_line_and_marks_the_place() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("bad.json");
    let text_of_file = std::fs::read_to_string(EXAMPLE).expect("the example");
    std::fs::write(
        &file,
        text_of_file.replace("\"priority\": 3", "\"priority\": 300"),
    )
    .expect("a file");
    let output = conche(&["validate", &file.display().to_string()]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output);
    let lines: Vec<&str> = told.lines().collect();
    assert!(
        lines[0].contains("error CACAO010: 300 is not between 0 and 100"),
        "{told}"
    );
    let (number, _) = lines[1]
        .trim_start()
        .split_once(" | ")
        .expect("a line of the file");
    assert!(
        lines[0].contains(&format!("bad.json:{number}:3: ")),
        "{told}"
    );
    assert_eq!(lines[1].find("\"priority\""), lines[2].find('^'), "{told}");
}

#[test]
fn profiles_weigh_differently() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut playbook = example();
    playbook["playbook_class"] = json!("x");
    let file = saved(dir.path(), "p.json", &playbook);
    let code = |profile| {
        conche(&["validate", &file, "--profile", profile])
            .status
            .code()
    };
    assert_eq!((code("standard"), code("strict")), (Some(0), Some(1)));
    assert_eq!(code("severe"), Some(2));
}

#[test]
fn a_folder_is_looked_through_and_programs_get_sarif_and_junit() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(dir.path().join("inner")).expect("a folder");
    saved(dir.path(), "inner/good.json", &example());
    let mut bad = example();
    bad["name"] = json!(7);
    saved(dir.path(), "bad & worse.json", &bad);
    let folder = dir.path().display().to_string();

    let sarif = conche(&["validate", &folder, "-o", "sarif"]);
    assert_eq!(sarif.status.code(), Some(1));
    let sarif: Value = serde_json::from_slice(&sarif.stdout).expect("JSON");
    let run = &sarif["runs"][0];
    assert_eq!(run["results"][0]["ruleId"], "CACAO003");
    let place = &run["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(place["region"]["startLine"], 1);
    assert_eq!(run["tool"]["driver"]["rules"][0]["name"], "json-type");

    let junit = text(&conche(&["validate", &folder, "-o", "junit"]));
    assert!(junit.contains("tests=\"2\" failures=\"1\""), "{junit}");
    assert!(
        junit.contains("bad &amp; worse.json") && !junit.contains("bad & worse"),
        "{junit}"
    );
}

#[test]
fn a_document_with_a_name_twice_is_no_playbook() {
    let output = piped(
        &["validate", "-", "-o", "json"],
        br#"{"type": "playbook", "id": "a", "id": "b"}"#,
    );
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["findings"][0]["code"], "CACAO001");
    assert_eq!(report["findings"][0]["pointer"], "/id");
}

#[test]
fn the_usual_order_is_checked_and_written_without_a_change_of_meaning() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = saved(dir.path(), "p.json", &example());
    assert_eq!(conche(&["fmt", "--check", &file]).status.code(), Some(1));
    assert!(conche(&["fmt", &file]).status.success());
    assert!(conche(&["fmt", "--check", &file]).status.success());
    let same = conche(&["playbooks", "diff", &file, EXAMPLE]);
    assert_eq!(
        (same.status.code(), text(&same)),
        (Some(0), "the same\n".to_owned())
    );

    let mut changed = example();
    changed["priority"] = json!(4);
    let other = saved(dir.path(), "q.json", &changed);
    let differ = conche(&["playbooks", "diff", &file, &other]);
    assert_eq!(
        (differ.status.code(), text(&differ)),
        (Some(1), "~ /priority: 3 -> 4\n".to_owned())
    );
}

#[test]
fn a_workflow_is_drawn_in_three_languages() {
    let svg = text(&conche(&["graph", EXAMPLE]));
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    assert!(
        text(&conche(&["graph", EXAMPLE, "--format", "mermaid"])).starts_with("flowchart TD\n")
    );
    assert!(text(&conche(&["graph", EXAMPLE, "--format", "dot"])).starts_with("digraph "));
    let nothing = piped(&["graph", "-"], b"{}");
    assert_eq!(nothing.status.code(), Some(1));
}

#[test]
fn the_schema_of_playbooks_is_printed() {
    let schema: Value =
        serde_json::from_slice(&conche(&["schema", "playbook"]).stdout).expect("JSON");
    assert_eq!(schema["title"], "OASIS CACAO 2.0 playbook");
}

#[test]
fn a_name_gives_the_same_identifier_where_that_is_asked_for() {
    let new = |more: &[&str]| {
        let arguments = ["playbooks", "new", "--name", "Find it"];
        let output = conche(&[&arguments, more].concat());
        let playbook: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let report = piped(&["validate", "-", "-o", "json"], &output.stdout);
        let report: Value = serde_json::from_slice(&report.stdout).expect("JSON");
        assert_eq!(report, json!({"valid": true, "findings": []}));
        playbook["id"].clone()
    };
    assert_eq!(new(&["--deterministic"]), new(&["--deterministic"]));
    assert_ne!(new(&[]), new(&[]));
}

#[test]
fn a_folder_is_looked_through_to_its_end_or_not_at_all() {
    let dir = tempfile::tempdir().expect("a folder");
    let secret = saved(dir.path(), "secret.txt", &json!("hunter2"));
    let folder = dir.path().join("folder");
    std::fs::create_dir(&folder).expect("a folder");
    saved(&folder, "p.json", &example());
    let shown = folder.display().to_string();
    assert!(conche(&["validate", &shown]).status.success());

    let link = folder.join("q.json");
    std::os::unix::fs::symlink(secret, &link).expect("a link");
    let output = conche(&["validate", &shown]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!text(&output).contains("hunter2"));
    std::fs::remove_file(&link).expect("the link");
    std::os::unix::fs::symlink("p.json", link).expect("a link");
    assert!(
        conche(&["validate", &shown]).status.success(),
        "as Kubernetes mounts files"
    );

    let deep = folder.join(["d"; 17].join("/"));
    std::fs::create_dir_all(deep).expect("folders");
    assert_eq!(
        conche(&["validate", &shown]).status.code(),
        Some(1),
        "what is not seen is not valid"
    );
}

#[test]
fn places_in_sarif_are_references_whatever_files_are_called() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut bad = example();
    bad["name"] = json!(7);
    let file = saved(dir.path(), "a:b %41#?é.json", &bad);
    let output = conche(&["validate", &file, "-o", "sarif"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let uri = &report["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
        ["uri"];
    let uri = uri.as_str().expect("a reference");
    assert!(uri.starts_with("file:///"), "{uri}");
    assert!(uri.ends_with("/a%3Ab%20%2541%23%3F%C3%A9.json"), "{uri}");
}

#[test]
fn what_a_link_leads_to_is_put_in_order() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = saved(dir.path(), "p.json", &example());
    let link = dir.path().join("link.json");
    std::os::unix::fs::symlink(&file, &link).expect("a link");
    assert!(
        conche(&["fmt", &link.display().to_string()])
            .status
            .success()
    );
    assert!(link.is_symlink());
    let written = std::fs::read_to_string(file).expect("the file");
    assert!(written.contains("\n  \"spec_version\""), "{written}");
}

#[test]
fn the_playbooks_of_a_folder_are_put_in_order_and_nothing_else_of_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = saved(dir.path(), "p.json", &example());
    let others = json!({"name": "r", "on": "x", "script": "", "actions": {}});
    let other = saved(dir.path(), "reaction.json", &others);
    let folder = dir.path().display().to_string();
    let check = conche(&["fmt", "--check", &folder]);
    assert_eq!(text(&check), format!("{file} would change\n"));
    assert!(conche(&["fmt", &folder]).status.success());
    assert!(conche(&["fmt", "--check", &folder]).status.success());
    let after = std::fs::read_to_string(other).expect("a file");
    assert_eq!(after, others.to_string());
}

#[test]
fn what_cannot_be_used_is_told_with_what_to_do() {
    let error = |arguments: &[&str]| {
        let output = conche(arguments);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).expect("UTF-8")
    };
    let private = error(&["verify", EXAMPLE, "--trust-key", KEY]);
    assert!(private.contains("is a private key"), "{private}");
    assert!(private.contains("openssl pkey -in "), "{private}");
    let other = error(&["graph", KEY]);
    assert!(other.contains("ed25519.pem is no I-JSON: "), "{other}");
    let dir = tempfile::tempdir().expect("a folder");
    let list = saved(dir.path(), "list.json", &json!([]));
    for verb in ["show", "summary"] {
        let none = error(&["playbooks", verb, &list]);
        assert!(none.contains("list.json is no playbook"), "{none}");
    }
    let marked = dir.path().join("marked.json").display().to_string();
    std::fs::write(&marked, format!("\u{feff}{}", example())).expect("a file");
    for output in [conche(&["validate", &marked]), conche(&["validate", &list])] {
        let told = text(&output);
        let words = ["byte order mark", "neither a reaction nor a playbook"];
        assert!(words.iter().any(|words| told.contains(words)), "{told}");
    }
    let other = "group--6513270e-269e-4d37-b2a7-4de452e6b438";
    for by in ["me", other] {
        let output = conche(&["playbooks", "new", "--created-by", by]);
        assert_eq!(output.status.code(), Some(2), "{by}");
    }
}

#[test]
fn one_person_alone_approves_nothing_unless_they_take_it_on() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut step = conche_testkit::playbooks::destructive();
    step["commands"] = json!([{"type": "http-api", "command": "DELETE /vm HTTP/1.1"}]);
    let document = conche_testkit::playbooks::playbook(1, 1, &step).to_string();
    let document = document.replace("individual--", "http-api--");
    let mut document: Value = serde_json::from_str(&document).expect("JSON");
    for agent in document["agent_definitions"]
        .as_object_mut()
        .expect("agents")
        .values_mut()
    {
        *agent = json!({"type": "http-api", "name": "cloud", "address": {"url": ["http://127.0.0.1:9"]}});
    }
    let file = saved(dir.path(), "p.json", &document);
    let alone = conche(&["run", &file]);
    assert_eq!(alone.status.code(), Some(1));
    let said = String::from_utf8(alone.stderr).expect("UTF-8");
    assert!(
        said.contains("a second person") && said.contains("--confirm"),
        "{said}"
    );
    let dry = conche(&["run", &file, "--dry-run"]);
    let said = text(&dry);
    assert!(
        said.contains("asks a second person: May `Stop it` be done? http-api on cloud"),
        "{said}"
    );
    assert!(said.contains("DELETE /vm"), "{said}");
    let taken_on = conche(&["run", &file, "--confirm", "-o", "json"]);
    let run: Value = serde_json::from_str(&text(&taken_on)).expect("JSON");
    let approval = &run["steps"][1];
    assert!(
        approval["step_id"]
            .as_str()
            .expect("a step")
            .ends_with("/approval"),
        "{run}"
    );
    assert_eq!(approval["status"], "succeeded", "{run}");
    assert_eq!(run["status"], "failed", "nothing may be sent there: {run}");
}

/// A playbook of one request to an address where nobody listens.
fn requesting(number: u8, line: &str) -> Value {
    let step = json!({
        "type": "action",
        "name": "Ask for it",
        "agent": "individual--00000000-0000-4000-8000-000000000005",
        "commands": [{"type": "http-api", "command": line}],
    });
    let mut document = conche_testkit::playbooks::playbook(number, 1, &step);
    let text = document.to_string().replace("individual--", "http-api--");
    document = serde_json::from_str(&text).expect("JSON");
    let agents = document["agent_definitions"].as_object_mut();
    for agent in agents.expect("agents").values_mut() {
        *agent = json!({
            "type": "http-api", "name": "cloud",
            "address": {"url": ["http://127.0.0.1:9"]}, "port": "9",
        });
    }
    document
}

#[test]
fn a_rehearsal_fails_where_the_run_would_be_refused_and_knows_the_steps_it_is_told_of() {
    let dir = tempfile::tempdir().expect("a folder");
    let sound = saved(dir.path(), "sound.json", &requesting(1, "GET /a HTTP/1.1"));
    let dry = conche(&["run", &sound, "--dry-run"]);
    assert_eq!(dry.status.code(), Some(0), "{}", text(&dry));
    assert!(text(&dry).contains(" port 9"), "{}", text(&dry));

    let outside = saved(
        dir.path(),
        "outside.json",
        &requesting(2, "GET /a/../b HTTP/1.1"),
    );
    let dry = conche(&["run", &outside, "--dry-run"]);
    assert_eq!(dry.status.code(), Some(1), "{}", text(&dry));
    assert!(
        text(&dry).contains("would be refused: the request target"),
        "{}",
        text(&dry)
    );

    let mut document = requesting(3, "GET /a HTTP/1.1");
    let agents = document["agent_definitions"].as_object_mut();
    for agent in agents.expect("agents").values_mut() {
        agent["port"] = json!("10");
    }
    let apart = saved(dir.path(), "apart.json", &document);
    let dry = conche(&["run", &apart, "--dry-run"]);
    assert_eq!(dry.status.code(), Some(1), "{}", text(&dry));

    let mistyped = conche(&[
        "run",
        &sound,
        "--dry-run",
        "--outcome",
        "action--nope=failed",
    ]);
    assert_eq!(mistyped.status.code(), Some(2));
    let said = String::from_utf8(mistyped.stderr).expect("UTF-8");
    assert!(said.contains("no step `action--nope`"), "{said}");
}

#[test]
fn a_playbook_is_run_whatever_else_is_in_its_folder() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = saved(dir.path(), "basic.json", &requesting(1, "GET /a HTTP/1.1"));
    let mut unreadable = requesting(2, "GET /a HTTP/1.1");
    for step in unreadable["workflow"]
        .as_object_mut()
        .expect("steps")
        .values_mut()
    {
        step["delay"] = json!(-1);
    }
    saved(dir.path(), "unreadable.json", &unreadable);
    let dry = conche(&["run", &file, "--dry-run"]);
    assert_eq!(
        dry.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&dry.stderr)
    );

    let calling =
        conche_testkit::playbooks::playbook(3, 1, &conche_testkit::playbooks::calling(2, None));
    let calling = saved(dir.path(), "calling.json", &calling);
    let refused = conche(&["run", &calling, "--dry-run"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8(refused.stderr).expect("UTF-8");
    assert!(said.contains("unreadable.json: "), "{said}");
}
