//! The verbs of `conche openwhisk` against the embedded host, and what is said of input that
//! makes no sense.

use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::openwhisk::{GUEST, Host};
use crate::server::{conche, eventually, with_input};

/// Doubles what it is given, and fails without it.
const DOUBLE: &str = "function main(p) { console.log('given', p.n); \
    return p.n === undefined ? { error: 'no n' } : { twice: 2 * p.n } }";

/// A host and the folder in which its clients are.
pub(crate) struct Place {
    pub(crate) dir: TempDir,
    pub(crate) host: Host,
}

impl Place {
    pub(crate) fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let host = Host::start(&dir.path().join("data"));
        Self { dir, host }
    }

    /// A verb with the credentials that the host has written.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = alone(&self.dir, words);
        let file = self.dir.path().join("data/openwhisk.wskprops");
        command.env("WSK_CONFIG_FILE", file);
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// The answer of a verb that is to succeed.
    pub(crate) fn ask(&self, words: &[&str]) -> Value {
        let output = self.command(words).args(["-o", "json"]).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", error(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// A verb that knows no host.
fn alone(dir: &TempDir, words: &[&str]) -> Command {
    let mut command = conche();
    for name in ["WHISK_APIHOST", "WHISK_AUTH", "WHISK_APIVERSION"] {
        command.env_remove(name);
    }
    command.env("WSK_CONFIG_FILE", dir.path().join("none"));
    command.current_dir(dir.path()).arg("openwhisk").args(words);
    command
}

pub(crate) fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_action_is_invoked_and_its_activation_looked_at() {
    let place = Place::start();
    place.host.action("double", "quickjs:1", DOUBLE);
    let done = place.ask(&["invoke", "double", "--param", "n=21"]);
    assert_eq!(done["response"]["result"], json!({ "twice": 42 }));
    let id = done["activationId"].as_str().unwrap();

    let listed = place.ask(&["activations", "list", "--name", "double", "--limit", "5"]);
    assert_eq!(listed[0]["activationId"], id);
    let table = text(&place.run(&["activations", "list"]));
    assert!(table.contains(id) && table.contains("success"), "{table}");
    let shown = place.ask(&["activations", "get", id]);
    assert_eq!(shown["response"], done["response"]);
    let logs = text(&place.run(&["activations", "logs", id]));
    assert!(logs.trim_end().ends_with("stdout: given 21"), "{logs}");
    let result = place.ask(&["activations", "result", id]);
    assert_eq!(result["result"], json!({ "twice": 42 }));

    // Arguments of a file, with one above them, from standard input.
    let words = ["invoke", "/_/double", "-P", "-", "-p", "n=4", "-o", "json"];
    let done = with_input(place.command(&words), r#"{"n":1,"m":2}"#);
    let done: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(done["response"]["result"], json!({ "twice": 8 }));

    // One that nobody waits for is there later.
    let accepted = place.ask(&["invoke", "double", "--async", "-p", "n=1"]);
    let id = accepted["activationId"].as_str().unwrap();
    let result = eventually("the activation", || {
        let output = place.run(&["activations", "result", id, "-o", "json"]);
        output.status.success().then(|| text(&output))
    });
    let result: Value = serde_json::from_str(&result).unwrap();
    assert_eq!(result["result"], json!({ "twice": 2 }));

    // One that failed is shown, and the exit code says so.
    let failed = place.run(&["invoke", "double"]);
    assert_eq!(failed.status.code(), Some(1));
    let said = text(&failed);
    assert!(
        said.contains(": application error\n") && said.contains("\"no n\""),
        "{said}"
    );
}

#[test]
fn entities_are_listed_and_shown() {
    let place = Place::start();
    place.host.put("packages/tools", &json!({}));
    place.host.action("tools/double", "quickjs:1", DOUBLE);
    place.host.action("other", "quickjs:1", DOUBLE);
    place.host.put("triggers/alarm", &json!({}));
    let rule = json!({ "trigger": "/_/alarm", "action": "/_/other" });
    place.host.put("rules/on-alarm", &rule);
    for (words, names) in [
        (&["actions"][..], &["other", "double"][..]),
        (&["actions", "--package", "tools"], &["double"]),
        (&["actions", "--limit", "1"], &["other"]),
        (&["actions", "--skip", "1"], &["double"]),
        (&["packages"], &["tools"]),
        (&["rules"], &["on-alarm"]),
        (&["triggers"], &["alarm"]),
    ] {
        let listed = place.ask(&[&["list"], words].concat());
        let listed = listed.as_array().unwrap().iter();
        let listed: Vec<&str> = listed.filter_map(|one| one["name"].as_str()).collect();
        assert_eq!(listed, names, "{words:?}");
    }
    let table = text(&place.run(&["list", "actions"]));
    assert!(table.starts_with("NAMESPACE    NAME"), "{table}");
    assert!(table.contains("guest/tools  double"), "{table}");
    let action = place.ask(&["get", "actions", "tools/double"]);
    assert_eq!(action["exec"]["code"], DOUBLE);
    let rule = place.ask(&["get", "rules", "on-alarm"]);
    assert_eq!(rule["status"], "active");
    let gone = place.run(&["get", "actions", "gone"]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(
        error(&gone).contains("404: The requested resource does not exist."),
        "{}",
        error(&gone)
    );
}

#[test]
fn a_trigger_is_fired_and_one_without_a_rule_says_that_nothing_happened() {
    let place = Place::start();
    place.host.action("double", "quickjs:1", DOUBLE);
    place.host.put("triggers/alarm", &json!({}));
    let idle = place.run(&["fire", "alarm", "-p", "n=3"]);
    assert_eq!(idle.status.code(), Some(1));
    assert!(
        text(&idle).contains("has no active rule"),
        "{}",
        text(&idle)
    );
    let rule = json!({ "trigger": "/_/alarm", "action": "/_/double" });
    place.host.put("rules/on-alarm", &rule);
    let fired = place.ask(&["fire", "alarm", "-p", "n=3"]);
    assert_eq!(fired["activationId"].as_str().map(str::len), Some(32));
    let done = eventually("what the rule invoked", || {
        place.host.activations("double").first().cloned()
    });
    assert_eq!(done["response"]["result"], json!({ "twice": 6 }));
}

#[test]
fn a_host_is_named_by_flags_the_environment_or_the_configuration() {
    let place = Place::start();
    let (url, dir) = (format!("http://{}", place.host.address), &place.dir);
    let list = ["list", "packages"];
    let ok = |command: &mut Command| {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", error(&output));
    };
    ok(alone(dir, &list).args(["--apihost", &url, "--auth", GUEST]));
    std::fs::write(dir.path().join("key"), format!("{GUEST}\n")).unwrap();
    ok(alone(dir, &list).args(["--apihost", &url, "--auth-file", "key"]));
    ok(alone(dir, &list)
        .env("WHISK_APIHOST", &url)
        .env("WHISK_AUTH", GUEST));
    let config = format!(
        "openwhisk: {{ hosts: {{ dev: {{ url: \"{url}\", auth: {{ secret: k }} }} }} }}\n\
         secrets: {{ k: {{ file: key }} }}\n"
    );
    std::fs::write(dir.path().join("conche.yaml"), config).unwrap();
    ok(alone(dir, &list).args(["--host", "dev"]));
    let unknown = alone(dir, &list).args(["--host", "prod"]).output().unwrap();
    assert_eq!(unknown.status.code(), Some(2));
    assert!(
        error(&unknown).contains("no host `prod`"),
        "{}",
        error(&unknown)
    );
    let wrong = GUEST.replace('1', "2");
    let refused = alone(dir, &list)
        .args(["--apihost", &url, "--auth", &wrong])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        error(&refused).contains("rejected with 401"),
        "{}",
        error(&refused)
    );
}

#[test]
fn what_makes_no_sense_is_misuse_and_what_is_not_there_a_failure() {
    let dir = TempDir::new().unwrap();
    let host = ["--apihost", "http://127.0.0.1:1", "--auth", "u:k"];
    std::fs::write(dir.path().join("list.json"), "[1]").unwrap();
    std::fs::write(dir.path().join("torn.json"), "{").unwrap();
    for (words, code, told) in [
        (&["list", "rules"][..], 2, "no API host is set"),
        (
            &["list", "rules", "--apihost", "ftp://x"],
            2,
            "neither http nor https",
        ),
        (
            &["list", "rules", "--apihost", "x", "--auth", "k"],
            2,
            "key",
        ),
        (
            &["list", "rules", "--apihost", "x", "--host", "y"],
            2,
            "cannot be used with",
        ),
        (&["list", "functions"], 2, "invalid value 'functions'"),
        (
            &["list", "rules", "--apihost", "x", "--auth-file", "gone"],
            1,
            "can't read gone",
        ),
    ] {
        let output = alone(&dir, words).output().unwrap();
        let said = error(&output);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
        assert!(said.contains(told), "{words:?}: {said}");
    }
    for (words, code, told) in [
        (&["list", "rules"][..], 1, "was not sent"),
        (
            &["list", "rules", "--package", "a/b"],
            2,
            "illegal characters",
        ),
        (&["invoke", "a//b"], 2, "`a//b`"),
        (&["invoke", "a", "-p", "n"], 2, "`n` is not NAME=VALUE"),
        (&["invoke", "a", "-p", "=1"], 2, "`=1` is not NAME=VALUE"),
        (
            &["invoke", "a", "-P", "list.json"],
            1,
            "list.json is no JSON object",
        ),
        (
            &["invoke", "a", "-P", "torn.json"],
            1,
            "torn.json is not JSON",
        ),
        (&["invoke", "a", "--wait", "soon"], 2, "soon"),
        (&["fire", "package/trigger"], 2, "trigger"),
        (&["activations", "get", "1"], 2, "must be 32"),
    ] {
        let output = alone(&dir, words).args(host).output().unwrap();
        let said = error(&output);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
        assert!(said.contains(told), "{words:?}: {said}");
    }
}

/// A playbook with one command.
fn playbook(command: &Value) -> Value {
    const EXAMPLE: &str = include_str!("../../../../examples/playbooks/block-address.json");
    let mut playbook: Value = serde_json::from_str(EXAMPLE).unwrap();
    let (start, action, end) = (
        "start--6b3c4b1e-7f0e-4a63-a6b1-0c7c6f2f3a01",
        "action--6b3c4b1e-7f0e-4a63-a6b1-0c7c6f2f3a02",
        "end--6b3c4b1e-7f0e-4a63-a6b1-0c7c6f2f3a03",
    );
    let agent = "http-api--6b3c4b1e-7f0e-4a63-a6b1-0c7c6f2f3a04";
    playbook["workflow_start"] = start.into();
    playbook["workflow"] = json!({
        start: { "type": "start", "on_completion": action },
        action: { "type": "action", "name": "look it up", "on_completion": end,
            "commands": [command], "agent": agent, "timeout": 70000 },
        end: { "type": "end" },
    });
    playbook["playbook_variables"] =
        json!({ "__ip__": { "type": "ipv4-addr", "value": "192.0.2.1" } });
    playbook["agent_definitions"] = json!({ agent: { "type": "http-api", "name": "ow",
        "address": { "url": ["https://ow.example.com"] } } });
    let rest = [
        "target_definitions",
        "authentication_info_definitions",
        "extension_definitions",
        "signatures",
        "playbook_processing_summary",
        "workflow_exception",
    ];
    for member in rest {
        playbook.as_object_mut().unwrap().remove(member);
    }
    playbook
}

fn command() -> Value {
    json!({ "type": "openwhisk", "version": "1.0", "command": "invoke /_/enrich/ip",
        "params": { "ip": "__ip__:value" } })
}

#[test]
fn commands_are_checked_where_they_stand_and_alone() {
    let dir = TempDir::new().unwrap();
    let save = |name: &str, value: &Value| {
        std::fs::write(dir.path().join(name), value.to_string()).unwrap();
    };
    let mut wrong = command();
    wrong["command"] = json!("call x");
    wrong["wait_ms"] = json!(0);
    save("good.json", &playbook(&command()));
    save("wrong.json", &playbook(&wrong));
    save("alone.json", &wrong);
    save(
        "other.json",
        &playbook(&json!({ "type": "bash", "command": "id" })),
    );
    let check = |words: &[&str]| {
        let words = [&["validate", "-o", "json"], words].concat();
        let output = alone(&dir, &words).output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.code(), report, error(&output))
    };
    let (code, report, _) = check(&["good.json"]);
    assert_eq!(
        (code, &report["valid"]),
        (Some(0), &json!(true)),
        "{report}"
    );
    let found = &report["commands"][0];
    assert_eq!(
        (&found["form"], &found["command"], &found["variables"]),
        (
            &json!("command"),
            &json!("invoke /_/enrich/ip"),
            &json!(["__ip__"])
        )
    );
    let (code, report, _) = check(&["good.json", "wrong.json", "alone.json"]);
    assert_eq!((code, &report["valid"]), (Some(1), &json!(false)));
    let findings = report["findings"].as_array().unwrap().iter();
    let places: Vec<String> = findings
        .map(|one| format!("{}{}", one["file"], one["pointer"]).replace('"', ""))
        .collect();
    let step = "/workflow/action--6b3c4b1e-7f0e-4a63-a6b1-0c7c6f2f3a02/commands/0";
    let places: Vec<String> = places.iter().map(|it| it.replace(step, "#")).collect();
    assert_eq!(
        places,
        [
            "wrong.json#/command",
            "wrong.json#/wait_ms",
            "alone.json/command",
            "alone.json/wait_ms"
        ]
    );
    let (code, _, said) = check(&["other.json"]);
    assert_eq!(code, Some(1));
    assert!(
        said.contains("other.json has no command for OpenWhisk"),
        "{said}"
    );
    let people = alone(&dir, &["validate", "alone.json"]).output().unwrap();
    let people = text(&people);
    assert!(people.contains("alone.json: error CACAO"), "{people}");
}

#[test]
fn the_schema_of_the_command_takes_a_command_and_no_other() {
    let output = conche().args(["schema", "openwhisk-command"]).output();
    let schema: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    assert!(schema.is_valid(&command()));
    assert!(!schema.is_valid(&json!({ "type": "openwhisk", "command": "call x" })));
}

#[test]
fn an_exported_playbook_is_valid_and_says_the_same_to_this_program() {
    let dir = TempDir::new().unwrap();
    let export = |input: &Value| {
        let mut command = conche();
        command.args(["playbooks", "export", "--portable", "-"]);
        with_input(command, &input.to_string())
    };
    let made = export(&playbook(&command()));
    assert!(made.status.success(), "{}", error(&made));
    let notes = error(&made);
    assert!(
        notes.starts_with("note: ") && notes.contains("55 s"),
        "{notes}"
    );
    let portable: Value = serde_json::from_slice(&made.stdout).unwrap();
    std::fs::write(dir.path().join("portable.json"), &made.stdout).unwrap();
    let valid = conche()
        .current_dir(dir.path())
        .args(["validate", "portable.json", "-o", "json"])
        .output()
        .unwrap();
    let report = text(&valid);
    assert!(valid.status.success(), "{report}");
    let own = alone(&dir, &["validate", "portable.json", "-o", "json"]).output();
    let own: Value = serde_json::from_slice(&own.unwrap().stdout).unwrap();
    let found = &own["commands"][0];
    assert_eq!(
        (&found["form"], &found["command"], &own["valid"]),
        (
            &json!("portable"),
            &json!("invoke /_/enrich/ip"),
            &json!(true)
        )
    );
    let definitions = portable["extension_definitions"].as_object().unwrap();
    let (id, definition) = definitions.iter().next().unwrap();
    assert_eq!(definition["schema"], format!("urn:conche:{id}"));

    let mut keyed = command();
    keyed["idempotency"] = json!({ "param": "key" });
    let refused = export(&playbook(&keyed));
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        error(&refused).contains("has `idempotency`"),
        "{}",
        error(&refused)
    );
    let none = export(&json!({ "type": "playbook" }));
    assert_eq!(none.status.code(), Some(1), "{}", text(&none));
}
