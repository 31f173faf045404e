//! The client verbs against a real server, and the exit codes of all verbs.

use serde_json::Value;

use crate::server::{Site, conche, eventually, with_input};

const REACTION: &str = "name: note\nevent: note.made\nscript: \"nextAction = 'say'; result = { dummy_string: event.text }\"\nactions:\n  say: { module: dummy, action: dummy_action }\n";

#[test]
fn an_event_sent_is_listed_and_shown_with_its_run() {
    let site = Site::new("");
    site.write("reactions/note.yaml", REACTION);
    let server = site.start();
    let send = [
        "events",
        "send",
        "--type",
        "note.made",
        "--id",
        "7",
        "--subject",
        "s",
        "-o",
        "json",
        "-",
    ];
    let sent = with_input(server.client(&send), r#"{"text":"hi"}"#);
    assert!(
        sent.status.success(),
        "{}",
        String::from_utf8_lossy(&sent.stderr)
    );
    let accepted: Value = serde_json::from_slice(&sent.stdout).unwrap();
    let event = accepted["event_id"].as_str().unwrap();
    let again: Value =
        serde_json::from_slice(&with_input(server.client(&send), "{}").stdout).unwrap();
    assert_eq!(
        (&again["duplicate"], &again["event_id"]),
        (&Value::Bool(true), &accepted["event_id"])
    );

    let listed = server.ask(&["events", "list", "--type", "note.made"]);
    assert_eq!(listed["events"].as_array().unwrap().len(), 1);
    let run = server.run_with("note", "succeeded");
    let shown = server.ask(&["events", "show", event]);
    assert_eq!(shown["data"]["text"], "hi");
    assert_eq!(shown["runs"][0]["run_id"], run["run_id"]);

    let run_id = run["run_id"].as_str().unwrap();
    let story = server.client(&["runs", "show", run_id]).output().unwrap();
    let story = String::from_utf8(story.stdout).unwrap();
    assert!(
        story.starts_with(&format!("run {run_id} of note: succeeded\n")),
        "{story}"
    );
    assert!(story.contains("(dummy.dummy_action): succeeded"), "{story}");

    let tail = server
        .client(&["runs", "tail", run_id, "-o", "json"])
        .output()
        .unwrap();
    let lines = String::from_utf8(tail.stdout).unwrap();
    let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(last["status"], "succeeded");
    assert_eq!(
        lines.lines().count(),
        run["version"].as_u64().unwrap() as usize + 1
    );
}

#[test]
fn a_reaction_is_put_checked_shown_and_deleted() {
    let site = Site::new("");
    let server = site.start();
    site.write("note.yaml", REACTION);
    let file = site.path("note.yaml");
    let file = file.to_str().unwrap();
    assert_eq!(server.ask(&["reactions", "check", file])["valid"], true);
    server.ask(&["reactions", "put", file]);
    let listed = server.ask(&["reactions", "list"]);
    assert_eq!(listed["reactions"][0]["name"], "note");
    assert_eq!(
        server.ask(&["reactions", "show", "note"])["reaction"]["name"],
        "note"
    );
    server.ask(&["reactions", "delete", "note"]);
    let gone = server
        .client(&["reactions", "show", "note"])
        .output()
        .unwrap();
    assert_eq!(gone.status.code(), Some(1));
    let error = String::from_utf8_lossy(&gone.stderr).into_owned();
    assert!(error.contains("'note'") && error.contains("404"), "{error}");

    site.write(
        "bad.yaml",
        &REACTION.replace("nextAction =", "nextAction = ="),
    );
    let bad = site.path("bad.yaml");
    let checked = server
        .client(&["reactions", "check", bad.to_str().unwrap(), "-o", "json"])
        .output()
        .unwrap();
    assert_eq!(checked.status.code(), Some(1));
    let found: Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(found["valid"], false);
}

#[test]
fn a_finished_run_is_retried_and_cannot_be_resumed() {
    let site = Site::new("");
    site.write(
        "reactions/note.yaml",
        &REACTION.replace("dummy_action }", "gone }"),
    );
    let server = site.start();
    let sent = with_input(
        server.client(&["events", "send", "--type", "note.made", "-"]),
        "{}",
    );
    assert!(sent.status.success());
    let run = server.run_with("note", "failed");
    let run_id = run["run_id"].as_str().unwrap();
    server.ask(&["runs", "retry", run_id]);
    crate::server::eventually("the second failure", || {
        let again = server.ask(&["runs", "show", run_id]);
        let grown = again["version"].as_u64() > run["version"].as_u64();
        (grown && again["status"] == "failed").then_some(())
    });
    let resumed = server
        .client(&["runs", "resume", run_id, "--repeat"])
        .output()
        .unwrap();
    assert_eq!(resumed.status.code(), Some(1));
}

#[test]
fn modules_are_listed_and_shown_with_their_schemas_without_a_server() {
    let table = conche().args(["modules", "list"]).output().unwrap();
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(
        table.contains("dummy.dummy_action") && table.contains("webhook"),
        "{table}"
    );
    let webhook = ["modules", "show", "webhook", "-o", "json"];
    let webhook = conche().args(webhook).output().unwrap();
    let webhook: Value = serde_json::from_slice(&webhook.stdout).unwrap();
    assert!(webhook["sources"][0]["config"]["properties"]["path"].is_object());
    let none = conche()
        .args(["modules", "show", "webhok"])
        .output()
        .unwrap();
    assert_eq!(none.status.code(), Some(1));
    let error = String::from_utf8_lossy(&none.stderr).into_owned();
    assert!(error.contains("did you mean `webhook`?"), "{error}");
}

#[test]
fn doctor_finds_a_sound_machine_and_a_broken_configuration() {
    let site = Site::new("");
    let sound = site.command(&["doctor", "-o", "json"]).output().unwrap();
    let report: Value = serde_json::from_slice(&sound.stdout).unwrap();
    assert_eq!(sound.status.code(), Some(0), "{report:#}");
    assert!(!site.path("conche-data").exists());
    site.write("conche.yaml", "secrets: { s: { env: NOT_SET_ANYWHERE } }\n");
    let broken = site.command(&["doctor", "-o", "json"]).output().unwrap();
    let report: Value = serde_json::from_slice(&broken.stdout).unwrap();
    assert_eq!(broken.status.code(), Some(1), "{report:#}");
}

#[test]
fn a_source_that_is_away_is_listed_and_told_by_doctor() {
    let site = Site::new(
        "sources: [{ id: bus, module: amqp, broker: { urls: [\"amqp://u@127.0.0.1:1\"] }, queue: q, event_type: t }, { id: start, module: onetime }]\n",
    );
    let server = site.start();
    let bus = eventually("the failure", || {
        let sources = server.ask(&["sources", "list"])["sources"].clone();
        sources[0]["last_error"]["message"]
            .is_string()
            .then_some(sources)
    });
    assert_eq!(bus[0]["connected"], false);
    assert_eq!(bus[1]["connected"], Value::Null);
    let mut doctor = site.command(&["doctor", "-o", "json"]);
    let doctor = doctor
        .env("CONCHE_API__LISTEN", &server.api)
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&doctor.stdout).unwrap();
    assert_eq!(doctor.status.code(), Some(0), "{report:#}");
    let checks = report["checks"].as_array().unwrap().iter();
    let sources = checks.filter(|check| check["check"] == "source");
    let sources: Vec<(&Value, &str)> = sources
        .map(|check| (&check["status"], check["detail"].as_str().unwrap()))
        .collect();
    assert_eq!(sources.len(), 1, "{report:#}");
    assert_eq!(sources[0].0, "warning");
    assert!(
        sources[0].1.starts_with("bus: not connected since 2"),
        "{sources:?}"
    );
}

#[test]
fn secrets_are_checked_and_never_shown() {
    let site = Site::new("");
    site.write("value", "hunter2hunter2\n");
    site.write("conche.yaml", "secrets: { good: { file: value } }\n");
    let good = site
        .command(&["secrets", "check", "-o", "json"])
        .output()
        .unwrap();
    assert_eq!(good.status.code(), Some(0));
    let printed = site.command(&["config", "print"]).output().unwrap();
    for output in [&good, &printed] {
        assert!(!String::from_utf8_lossy(&output.stdout).contains("hunter2"));
    }
    site.write("conche.yaml", "secrets: { bad: { file: absent } }\n");
    let bad = site.command(&["secrets", "check"]).output().unwrap();
    assert_eq!(bad.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&bad.stdout).contains("absent"));
}

#[test]
fn exit_codes_tell_failure_from_misuse() {
    for (arguments, code) in [
        (&["version"][..], 0),
        (&["schema", "config"], 0),
        (&["schema", "reaction"], 0),
        (&["completions", "bash"], 0),
        (&["serve", "--help"], 0),
        (&["config", "check", "--config", "/nonexistent.yaml"], 1),
        (&["run", "/nonexistent.yaml"], 1),
        (&["rns"], 2),
        (&["runs", "list", "--status", "odd"], 2),
        (&["runs", "list", "--event", "odd"], 2),
        (&["runs", "list", "--server", "ftp://x"], 2),
        (&["runs", "resume", "x", "--visit", "1"], 2),
        (&["runs", "pause"], 2),
        (&["runs", "resume", "x", "--repeat", "--failed", "y"], 2),
    ] {
        let output = conche().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert_eq!(output.stdout.is_empty(), code != 0, "{arguments:?}");
        assert_eq!(output.stderr.is_empty(), code == 0, "{arguments:?}");
    }
}

/// Two certificates with their keys.
fn write_certificates(site: &Site) {
    for name in ["one", "other"] {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        site.write(&format!("{name}.crt"), &made.cert.pem());
        site.write(&format!("{name}.key"), &made.signing_key.serialize_pem());
    }
}

#[test]
fn what_serve_refuses_config_check_refuses_too() {
    let site = Site::new("");
    write_certificates(&site);
    let reviews = |listen: &str, certificate: &str, key: &str| {
        format!(
            "sources:\n  - id: images\n    module: k8s_imagevalidator\n    webhook_endpoint: \"{listen}:0\"\n    certificate: {certificate}\n    key: {key}\n"
        )
    };
    let (inside, outside) = ("127.0.0.1", "0.0.0.0");
    let open = "api: { listen: \"0.0.0.0:0\" }\n".to_owned();
    let host = "openwhisk: { host: { listen: \"0.0.0.0:0\" } }\n".to_owned();
    for (config, expected) in [
        (open, "conche.yaml:1:8: api.listen: listener `api` on"),
        (
            host,
            "openwhisk.host` on 0.0.0.0:0 would let anyone on the network in without authentication. Set `tls` with a `client_ca` or",
        ),
        (
            reviews(inside, "gone.crt", "one.key"),
            "conche.yaml:5:5: sources[0].certificate: can't read gone.crt: No such file",
        ),
        (
            reviews(inside, "one.crt", "gone.key"),
            "conche.yaml:6:5: sources[0].key: can't read gone.key: No such file",
        ),
        (
            reviews(inside, "one.key", "one.key"),
            "conche.yaml:5:5: sources[0].certificate: one.key is not a PEM file with a certificate",
        ),
        (
            reviews(inside, "one.crt", "other.key"),
            "conche.yaml:2:5: sources[0]: the TLS files are refused",
        ),
        (
            reviews(outside, "one.crt", "one.key"),
            "conche.yaml:2:5: sources[0]: listener `images` on 0.0.0.0:0 would let anyone on the network in without authentication. Set `client_ca` or",
        ),
        (
            "reactions: { dir: gone }\n".to_owned(),
            "there is no folder gone",
        ),
        (
            "limits: { script_time: 0s }\n".to_owned(),
            "limits.script_time",
        ),
        (
            "sources: [{ id: api, module: dummy }]\n".to_owned(),
            "reserved",
        ),
    ] {
        site.write("conche.yaml", &config);
        for verb in [&["serve"][..], &["config", "check"], &["doctor"]] {
            let refused = site.command(verb).output().unwrap();
            assert_eq!(refused.status.code(), Some(1), "{config}");
            let told = [refused.stdout, refused.stderr].concat();
            let told = String::from_utf8_lossy(&told).into_owned();
            assert!(told.contains(expected), "{verb:?}: {told}");
        }
    }
    assert!(!site.path("conche-data").exists());
    // What a word on the command line allows is allowed there as well.
    site.write("conche.yaml", &reviews(outside, "one.crt", "one.key"));
    for verb in [&["config", "check"][..], &["doctor"]] {
        let mut allowed = site.command(verb);
        let allowed = allowed.arg("--allow-unauthenticated").output().unwrap();
        assert_eq!(allowed.status.code(), Some(0), "{allowed:?}");
    }
}

#[test]
fn a_broken_reaction_is_seen_wherever_reactions_are_looked_at() {
    let site = Site::new("");
    site.write("reactions/good.yaml", REACTION);
    site.write(
        "reactions/script.yaml",
        "name: a\nevent: e\nscript: |\n  var a = 1;\n  var = 2;\n",
    );
    site.write("reactions/twice.yaml", REACTION);
    let sick = site.command(&["doctor", "-o", "json"]).output().unwrap();
    let report: Value = serde_json::from_slice(&sick.stdout).unwrap();
    assert_eq!(sick.status.code(), Some(1), "{report:#}");
    let found = |text: &str| {
        let checks = report["checks"].as_array().unwrap().iter();
        let mut details = checks.filter_map(|check| check["detail"].as_str());
        details.any(|detail| detail.contains(text))
    };
    assert!(
        found("reactions/script.yaml:5:7: error script_syntax"),
        "{report:#}"
    );
    assert!(
        found("reactions/twice.yaml: the reaction 'note'"),
        "{report:#}"
    );

    let server = site.start();
    let listed = server.client(&["reactions", "list"]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let row = |file: &str| listed.lines().find(|line| line.contains(file)).unwrap();
    assert!(
        row("script.yaml").contains("variable name expected"),
        "{listed}"
    );
    assert!(row("good.yaml").trim_end().ends_with('-'), "{listed}");
    assert_eq!(
        server.ask(&["reactions", "list"])["faults"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn whoever_sends_an_event_sees_the_runs_that_it_began_or_why_there_are_none() {
    let site = Site::new("");
    site.write(
        "reactions/note.yaml",
        &format!("{REACTION}when: event.data.text == 'yes'\n"),
    );
    let server = site.start();
    let send = |event_type: &str, data: &str, more: &[&str]| {
        let words = ["events", "send", "--type", event_type, "--id", data, "-"];
        let sent = with_input(server.client(&[&words, more].concat()), data);
        assert!(sent.status.success());
        String::from_utf8(sent.stdout).unwrap()
    };
    let begun = send("note.made", r#"{"text":"yes"}"#, &[]);
    let run = begun.lines().nth(1).unwrap().split(' ').nth(1).unwrap();
    assert_eq!(
        server.ask(&["runs", "show", run])["definition"],
        "note",
        "{begun}"
    );
    let again = send("note.made", r#"{"text":"yes"}"#, &[]);
    assert!(again.contains("accepted before"), "{again}");
    let other = send("note.made", r#"{"text":"no"}"#, &[]);
    assert!(
        other.contains("of the reactions for `note.made` (note) no `when` holds"),
        "{other}"
    );
    let none = send("note.lost", "{}", &["-o", "json"]);
    let none: Value = serde_json::from_str(&none).unwrap();
    assert_eq!(none["runs"], serde_json::json!([]));
    let none = send("note.lost", "1", &[]);
    assert!(
        none.contains("no reaction is for events of type `note.lost`"),
        "{none}"
    );
}

#[test]
fn a_view_says_that_its_server_went_away() {
    let site = Site::new("");
    site.write("reactions/note.yaml", REACTION);
    let server = site.start();
    let seen = std::fs::File::create(site.path("seen")).unwrap();
    let mut view = server.client(&["runs", "tail"]);
    let view = view.stdout(seen).stderr(std::process::Stdio::piped());
    let view = view.spawn().unwrap();
    crate::server::eventually("the open view", || {
        let send = ["events", "send", "--type", "note.made", "-"];
        assert!(with_input(server.client(&send), "{}").status.success());
        let seen = std::fs::read_to_string(site.path("seen")).unwrap();
        (!seen.is_empty()).then_some(())
    });
    server.signal("TERM");
    let ended = view.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let error = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(error.contains("went away while it was watched"), "{error}");
}

#[test]
fn entries_of_lists_are_put_shown_and_removed() {
    let site = Site::new("");
    let server = site.start();
    let code = |words: &[&str]| server.client(words).output().unwrap().status.code();
    let value = r#"{"why":"scan"}"#;
    let put = server.ask(&[
        "lists", "put", "blocked", "1.2.3.4", "--ttl", "1h", "--value", value,
    ]);
    assert_eq!(put["value"]["why"], "scan");
    server.ask(&["lists", "put", "blocked", ".."]);
    let lists = server.ask(&["lists", "list"]);
    assert_eq!(lists["lists"][0]["entries"], 2);
    let page = server.ask(&["lists", "show", "blocked", "--limit", "1"]);
    assert_eq!(page["next"], "..");
    let told = server.client(&["lists", "show", "blocked", "--limit", "1"]);
    let told = { told }.output().unwrap().stdout;
    let told = String::from_utf8(told).unwrap();
    assert!(told.contains("(there is more: --after ..)"), "{told}");
    assert_eq!(code(&["lists", "show", "blocked", "1.2.3.4"]), Some(0));
    assert_eq!(code(&["lists", "show", "blocked", "4.3.2.1"]), Some(1));
    for removed in [true, false] {
        let answer = server.ask(&["lists", "remove", "blocked", ".."]);
        assert_eq!(answer["removed"], removed);
    }
    assert_eq!(code(&["lists", "put", "a b", "k"]), Some(1));
    for wrong in [["--ttl", "1"], ["--value", "text"]] {
        let words = [&["lists", "put", "blocked", "k"][..], &wrong].concat();
        assert_eq!(code(&words), Some(2), "{wrong:?}");
    }
}

#[test]
fn the_sender_of_an_event_is_told_what_became_of_it() {
    let site = Site::new("");
    let controlled = format!("{REACTION}dedup: {{ window: 10m }}\n");
    site.write("reactions/note.yaml", &controlled);
    let quiet = controlled.replace("name: note", "name: quiet");
    let quiet = quiet.replace("dedup: { window: 10m }", "debounce: { wait: 1h }");
    site.write("reactions/quiet.yaml", &quiet);
    let server = site.start();
    let text = |words: &[&str]| {
        let output = with_input(server.client(words), "{}");
        String::from_utf8(output.stdout).unwrap()
    };
    let send = ["events", "send", "--type", "note.made", "-"];
    let first = text(&send);
    assert!(first.contains(" of note\n"), "{first}");
    let waits = "quiet waits by its debounce until 20";
    assert!(first.contains(waits), "{first}");
    let second = text(&send);
    for told in ["note is suppressed by its dedup until 20", waits] {
        assert!(second.contains(told), "{second}");
    }
    let event = second.lines().next().unwrap();
    let shown = text(&["events", "show", event]);
    assert!(shown.contains("note is suppressed by its dedup"), "{shown}");
    let listed = text(&["events", "list"]);
    let in_short = "note suppressed (dedup), quiet waits (debounce)";
    assert!(listed.contains(in_short), "{listed}");
    let sent: Value = serde_json::from_slice(
        &with_input(server.client(&[&send[..], &["-o", "json"]].concat()), "{}").stdout,
    )
    .unwrap();
    assert_eq!(sent["notes"][0]["became"], "suppressed");
}

#[test]
fn the_example_reactions_start_one_another_by_name() {
    let site = Site::new("");
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/reactions");
    for entry in std::fs::read_dir(examples).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("reactions/{}", path.file_name().unwrap().to_str().unwrap());
        site.write(&name, &std::fs::read_to_string(path).unwrap());
    }
    let server = site.start();
    let reactions = server.ask(&["reactions", "list"]);
    assert_eq!(reactions["faults"], Value::Array(Vec::new()));
    let event = r#"{"severity": 9, "host": "web-1"}"#;
    with_input(
        server.client(&["events", "send", "--type", "edr.alert", "-"]),
        event,
    );
    let first = server.run_with("contain-host", "succeeded");
    let second = server.run_with("tell-team", "succeeded");
    let begun = &first["steps"][1]["output"];
    assert_eq!(begun["run_id"], second["run_id"], "{first}");
    let said = &second["steps"][1]["input"]["message"];
    assert_eq!(said, "web-1: severity 9");
    let asked = server.ask(&["events", "show", begun["event_id"].as_str().unwrap()]);
    assert_eq!(asked["type"], "conche.run.requested");
    assert_eq!(asked["cause"], first["run_id"]);
}
