//! Manifests and folders of functions, put on a real host and taken from it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::openwhisk::{examples, has};
use crate::openwhisk_verbs::{Place, error, text};
use crate::server::eventually;

/// What a plan says of each entity, `change kind name`.
fn steps(said: &Value) -> Vec<String> {
    let steps = said["steps"].as_array().unwrap().iter();
    let word = |step: &Value, key: &str| step[key].as_str().unwrap_or_default().to_owned();
    steps
        .map(|step| {
            ["change", "kind", "name"]
                .map(|key| word(step, key))
                .join(" ")
        })
        .collect()
}

/// Whether all that a plan says of entities is this.
fn all(said: &Value, change: &str) -> bool {
    let steps = steps(said);
    !steps.is_empty() && steps.iter().all(|step| step.starts_with(change))
}

fn write(place: &Place, name: &str, text: &str) {
    let path = place.dir.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn executable(place: &Place, name: &str, text: &str) {
    write(place, name, text);
    let path = place.dir.path().join(name);
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn example(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    root.join(name).to_str().unwrap().to_owned()
}

#[test]
fn the_example_functions_are_deployed_from_their_folder_and_do_what_they_say() {
    let place = Place::start();
    let folder = example("functions");
    let planned = place.ask(&["deploy", &folder, "--package", "soc", "--dry-run"]);
    assert!(all(&planned, "create"), "{planned}");
    assert_eq!(planned["passed_over"], json!(["README.md"]));
    assert_eq!(
        place.ask(&["list", "actions"]),
        json!([]),
        "a dry run changes nothing"
    );

    let done = place.ask(&["deploy", &folder, "--package", "soc"]);
    assert_eq!(steps(&done), steps(&planned));
    for (name, given, wanted) in examples() {
        let (status, answer) = place.host.invoke(&format!("soc/{name}"), &given);
        assert_eq!(status, 200, "{name}: {answer}");
        for (member, value) in wanted.as_object().into_iter().flatten() {
            assert_eq!(&answer[member], value, "{name}: {member}");
        }
    }
    let again = place.ask(&["deploy", &folder, "--package", "soc"]);
    assert!(all(&again, "unchanged"), "{again}");
    let action = place.ask(&["get", "actions", "soc/indicators"]);
    assert_eq!(action["version"], "0.0.1", "it was not written again");

    // What else is in the package keeps it.
    place
        .host
        .action("soc/other", "quickjs:1", "function main() {}");
    let gone = place.run(&["undeploy", &folder, "--package", "soc"]);
    let gone = text(&gone);
    assert!(
        gone.contains("remove    action  /guest/soc/indicators\n"),
        "{gone}"
    );
    assert!(
        gone.contains("keep      package /guest/soc (it has more: other)"),
        "{gone}"
    );
    let left = place.ask(&["list", "actions"]);
    assert_eq!(
        (left[0]["name"].as_str(), left[1].is_null()),
        (Some("other"), true)
    );
}

#[test]
fn the_example_manifest_is_deployed_works_and_is_gone_again() {
    let place = Place::start();
    let folder = example("openwhisk");
    let done = place.ask(&["deploy", &folder]);
    assert_eq!(
        steps(&done),
        [
            "create package /guest/soc",
            "create package /guest/text",
            "create action /guest/soc/indicators",
            "create action /guest/soc/enrich-ip",
            "create action /guest/soc/score-report",
            "create action /guest/soc/page",
            "create action /guest/soc/report",
            "create trigger /guest/scan-done",
            "create trigger /guest/nightly",
            "create rule /guest/report-scan",
            "create rule /guest/report-nightly",
        ]
    );
    let again = place.ask(&["deploy", &folder]);
    assert!(all(&again, "unchanged"), "{again}");

    let (status, fired) = place
        .host
        .ask("POST", "triggers/scan-done", &json!({ "findings": [] }));
    assert_eq!(status, 202, "{fired}");
    let report = eventually("the report", || {
        place.host.activations("report").first().cloned()
    });
    assert_eq!(
        report["response"]["result"]["decision"], "accept",
        "{report}"
    );
    let (_, action) = place
        .host
        .ask("GET", "actions/soc/indicators", &Value::Null);
    assert_eq!(
        (&action["limits"]["timeout"], &action["limits"]["logs"]),
        (&json!(10000), &json!(1))
    );

    // The deployment file says another team and another time.
    let production = example("openwhisk/production.yaml");
    let words = ["deploy", &folder, "--deployment", &production];
    let unset = place.run(&words);
    assert_eq!(unset.status.code(), Some(1));
    let told = error(&unset);
    let place_of_it = "production.yaml:8:13: /project/packages/soc/actions/page/inputs/team: ";
    assert!(told.contains(place_of_it), "{told}");
    assert!(
        told.contains("the variable `SOC_TEAM` of the environment is not set"),
        "{told}"
    );
    let mut command = place.command(&words);
    let changed = text(&command.env("SOC_TEAM", "blue").output().unwrap());
    let changed: Vec<&str> = changed
        .lines()
        .filter(|line| line.starts_with("update"))
        .collect();
    assert_eq!(
        changed,
        [
            "update    action  /guest/soc/page (inputs)",
            "update    trigger /guest/nightly (feed)"
        ]
    );
    let (_, read) = place.host.ask(
        "POST",
        "actions/text/echo?blocking=true&result=true",
        &json!({ "a": 1 }),
    );
    assert_eq!(read, json!({ "a": 1 }), "the binding works");

    let gone = place.ask(&["undeploy", &folder]);
    assert!(all(&gone, "remove"), "{gone}");
    assert_eq!(steps(&gone).len(), steps(&done).len());
    for kind in ["actions", "packages", "triggers", "rules"] {
        assert_eq!(place.ask(&["list", kind]), json!([]), "{kind}");
    }
    let nothing = place.run(&["undeploy", &folder]);
    assert_eq!(
        (text(&nothing).as_str(), nothing.status.code()),
        ("nothing to do\n", Some(0))
    );
}

#[test]
fn every_kind_of_function_in_a_folder_is_an_action() {
    let place = Place::start();
    let needed = ["node", "python3"];
    if !needed.iter().all(|program| has(program)) {
        return;
    }
    write(
        &place,
        "f/text.js",
        "function main(p) { return { got: p.n } }",
    );
    write(
        &place,
        "f/snake.py",
        "def main(p):\n    return {'got': p['n']}\n",
    );
    write(&place, "f/module/package.json", r#"{"main":"lib/it.js"}"#);
    write(
        &place,
        "f/module/lib/it.js",
        "exports.main = p => ({ got: p.n })",
    );
    write(
        &place,
        "f/pages/__main__.py",
        "def main(p):\n    return {'got': p['n']}\n",
    );
    let program = "#!/usr/bin/python3\nimport os, sys, json\nout = os.fdopen(3, 'w')\n\
        for line in sys.stdin:\n    n = json.loads(line)['value']['n']\n\
        \x20   out.write(json.dumps({'got': n}) + '\\n')\n    out.flush()\n";
    executable(&place, "f/program.sh", program);
    executable(&place, "f/data.bin", "no program");
    write(&place, "f/notes.txt", "no function");
    write(&place, "f/docs/page.html", "no function");
    let folder = place.dir.path().join("f");
    let folder = folder.to_str().unwrap();
    let done = place.ask(&["deploy", folder]);
    let names = ["module", "pages", "program", "snake", "text"];
    assert_eq!(
        steps(&done),
        names.map(|name| format!("create action /guest/{name}"))
    );
    assert_eq!(
        done["passed_over"],
        json!(["data.bin", "docs", "notes.txt"])
    );
    for name in names {
        let answer = place.host.invoke(name, &json!({ "n": 3 }));
        assert_eq!(answer, (200, json!({ "got": 3 })), "{name}");
    }
    assert!(all(&place.ask(&["deploy", folder]), "unchanged"));

    // A change of one file is a change of one action; a second function of a name is refused.
    write(
        &place,
        "f/module/lib/it.js",
        "exports.main = p => ({ got: -p.n })",
    );
    let changed = text(&place.run(&["deploy", folder]));
    let changed: Vec<&str> = changed
        .lines()
        .filter(|line| !line.starts_with("unchanged"))
        .collect();
    assert_eq!(
        changed[0], "update    action  /guest/module (code)",
        "{changed:?}"
    );
    assert_eq!(
        place.host.invoke("module", &json!({ "n": 3 })).1,
        json!({ "got": -3 })
    );
    write(&place, "f/text.py", "def main(p):\n    return {}\n");
    let twice = place.run(&["deploy", folder]);
    assert_eq!(twice.status.code(), Some(1));
    assert!(
        error(&twice).contains("text.py: text.js is the action /guest/text already"),
        "{}",
        error(&twice)
    );
}

#[test]
fn what_a_manifest_no_longer_says_is_taken_back() {
    let place = Place::start();
    let manifest = |action: &str, more: &str| {
        let text = format!(
            "project:\n  name: mine\n  packages:\n    p:\n      actions:\n        a: {action}\n{more}"
        );
        write(&place, "manifest.yaml", &text);
    };
    let code = "code: 'function main(p) { return p }', runtime: nodejs";
    let deploy = |words: &[&str]| {
        let file = place.dir.path().join("manifest.yaml");
        let words = [&["deploy", file.to_str().unwrap()], words].concat();
        place.ask(&words)
    };
    let live = || place.ask(&["get", "actions", "p/a"]);
    let said = |action: &Value, key: &str| {
        let said = action["annotations"].as_array().unwrap().iter();
        said.filter(|one| one["key"] == key)
            .map(|one| one["value"].clone())
            .next()
    };
    manifest(
        &format!("{{ {code}, web: true, inputs: {{ x: 1 }}, limits: {{ timeout: 5000 }} }}"),
        &format!("        b: {{ {code} }}\n"),
    );
    deploy(&["--sync"]);
    let action = live();
    assert_eq!(said(&action, "web-export"), Some(json!(true)));
    assert_eq!(said(&action, "provide-api-key"), Some(json!(false)));
    assert_eq!(said(&action, "conche-project"), Some(json!("mine")));

    // No longer for the web, without its input; and what somebody added is taken back too.
    place.host.put(
        "actions/p/a?overwrite=true",
        &json!({ "annotations": [{ "key": "provide-api-key", "value": true }] }),
    );
    place.host.put("packages/other", &json!({}));
    manifest(&format!("{{ {code} }}"), "");
    let planned = deploy(&["--sync", "--dry-run"]);
    let parts = json!(["inputs", "annotations"]);
    assert_eq!(
        (&planned["steps"][1]["parts"], &planned["done"]),
        (&parts, &json!(false))
    );
    let done = deploy(&["--sync"]);
    assert_eq!(
        steps(&done),
        [
            "unchanged package /guest/p",
            "update action /guest/p/a",
            "remove action /guest/p/b"
        ]
    );
    let action = live();
    assert_eq!(said(&action, "web-export"), None);
    assert_eq!(said(&action, "provide-api-key"), Some(json!(false)));
    assert_eq!(action["parameters"], json!([]));
    assert_eq!(
        action["limits"]["timeout"], 5000,
        "limits stay until others are said"
    );
    assert!(all(&deploy(&["--sync"]), "unchanged"));
    assert_eq!(
        place.ask(&["list", "packages"])[0]["name"],
        "other",
        "it is of no project"
    );

    // A rule that was switched off is switched on again.
    manifest(
        &format!("{{ {code} }}"),
        "      triggers: { t: }\n      rules: { r: { trigger: t, action: a } }\n",
    );
    deploy(&[]);
    let (status, _) = place
        .host
        .ask("POST", "rules/r", &json!({ "status": "inactive" }));
    assert_eq!(status, 200);
    let done = deploy(&[]);
    assert!(
        steps(&done).contains(&"update rule /guest/r".to_owned()),
        "{done}"
    );
    assert_eq!(place.ask(&["get", "rules", "r"])["status"], "active");
}

/// A manifest with one action.
fn one_action(text: &str) -> String {
    format!("packages:\n  p:\n    actions:\n      a: {text}\n")
}

/// Manifests, and what is said of each.
fn wrong_manifests() -> Vec<(String, &'static str)> {
    let action = one_action;
    vec![
        ("packages: [".to_owned(), "the manifest is no YAML"),
        ("packages:\n".to_owned(), "there are no `packages`"),
        (
            "package: { name: p }\n".to_owned(),
            "manifest.yaml:1:1: /package: `package` is not known here; there is: project, packages",
        ),
        (
            action("{ functoin: a.js }"),
            "manifest.yaml:4:12: /packages/p/actions/a/functoin: `functoin` is not known here",
        ),
        (
            action("{ function: gone.js }"),
            "/packages/p/actions/a/function: `gone.js`: No such file",
        ),
        (
            action("{ function: \"https://example.com/a.js\" }"),
            "files are not fetched",
        ),
        (action("{ function: manifest.yaml }"), "needs a `runtime`"),
        (action("{ code: x }"), "code needs a `runtime`"),
        (
            action("{ code: x, runtime: nodejs, web: maybe }"),
            "`maybe` is none of",
        ),
        (
            action("{ code: x, runtime: nodejs, raw-http: true }"),
            "are for web actions",
        ),
        (
            action("{ code: x, runtime: nodejs, limits: { memory: 1 } }"),
            "/limits/memory: `memory` is not known here; there is: timeout, memorySize",
        ),
        (
            action("{ code: x, runtime: nodejs, annotations: { a: $NOT_SET_HERE } }"),
            "the variable `NOT_SET_HERE` of the environment is not set",
        ),
        (
            "packages:\n  p:\n    apis: { x: 1 }\n".to_owned(),
            "`apis` is not known here",
        ),
        (
            "packages:\n  p:\n    dependencies: { d: { location: github.com/a/b/c } }\n".to_owned(),
            "others are not fetched",
        ),
        (
            "packages:\n  default:\n    inputs: { a: 1 }\n".to_owned(),
            "`default` is no package",
        ),
        (
            "packages:\n  p:\n    sequences: { a: { actions: b }, b: { actions: a } }\n".to_owned(),
            "hold each other: /guest/p/a, /guest/p/b",
        ),
        (
            "packages:\n  p:\n    triggers: { p: }\n".to_owned(),
            "there is another `/guest/p` already",
        ),
    ]
}

#[test]
fn what_is_wrong_in_a_manifest_is_said_with_its_place_and_nothing_is_done() {
    let place = Place::start();
    let file = place.dir.path().join("manifest.yaml");
    let file = file.to_str().unwrap();
    for (manifest, told) in wrong_manifests() {
        write(&place, "manifest.yaml", &manifest);
        let output = place.run(&["deploy", file]);
        let said = error(&output);
        assert_eq!(output.status.code(), Some(1), "{manifest}: {said}");
        assert!(said.contains(told), "{manifest}: {said}");
    }
    write(
        &place,
        "manifest.yaml",
        &one_action("{ code: x, runtime: nodejs }"),
    );
    write(
        &place,
        "other.yaml",
        "packages: { p: { actions: { b: { inputs: { c: 1 } } } } }\n",
    );
    let other = place.dir.path().join("other.yaml");
    let output = place.run(&["deploy", file, "--deployment", other.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        error(&output)
            .contains("other.yaml:1:29: /packages/p/actions/b: the manifest has no such entity"),
        "{}",
        error(&output)
    );
    let misuse = place.run(&["deploy", file, "--sync"]);
    assert_eq!(misuse.status.code(), Some(2), "{}", error(&misuse));
    let empty = place.dir.path().join("data");
    let empty = place.run(&["deploy", empty.to_str().unwrap()]);
    assert!(
        error(&empty).contains("has no functions"),
        "{}",
        error(&empty)
    );
    assert_eq!(
        place.ask(&["list", "packages"]),
        json!([]),
        "nothing was done"
    );
}

#[test]
fn what_a_host_or_a_feed_refuses_is_said_after_what_was_done() {
    let place = Place::start();
    let file = place.dir.path().join("manifest.yaml");
    let file = file.to_str().unwrap();
    // What the host refuses is said, and what was done before it.
    write(
        &place,
        "manifest.yaml",
        &one_action("{ code: x, runtime: cobol }"),
    );
    let output = place.run(&["deploy", file]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output), "create    package /guest/p\n");
    assert!(
        error(&output).contains("action /guest/p/a: rejected with 400"),
        "{}",
        error(&output)
    );

    // A trigger whose feed refuses is not left behind.
    let feed = "packages:\n  p:\n    triggers: { t: { feed: /whisk.system/alarms/alarm, inputs: { cron: never } } }\n";
    write(&place, "manifest.yaml", feed);
    let output = place.run(&["deploy", file]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        error(&output).contains("trigger /guest/t: its feed /whisk.system/alarms/alarm at CREATE"),
        "{}",
        error(&output)
    );
    assert_eq!(place.ask(&["list", "triggers"]), json!([]));
}
