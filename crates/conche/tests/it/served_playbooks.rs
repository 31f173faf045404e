//! Playbooks on a server: from a folder, by the verbs of the client, run and answered.

use conche_testkit::playbooks::{
    asking, calling, playbook, playbook_id, playbook_version, unbound,
};
use serde_json::Value;

use crate::server::{Server, Site, eventually};

fn told(server: &Server, arguments: &[&str]) -> (Option<i32>, String) {
    let output = server.client(arguments).output().unwrap();
    let both = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&both).into_owned(),
    )
}

#[test]
fn playbooks_are_put_listed_shown_run_answered_and_removed() {
    let site = Site::new("");
    let server = site.start();
    let mut step = asking();
    step["out_args"] = serde_json::json!(["__isolated__"]);
    let mut value = playbook(1, 1, &step);
    value["playbook_variables"] = serde_json::json!({
        "__host__": { "type": "string", "external": true },
        "__isolated__": { "type": "bool" },
    });
    let text = serde_json::to_string_pretty(&value).unwrap();
    site.write("ask.json", &text);
    let file = site.path("ask.json");
    let id = playbook_id(1);
    let put = server.ask(&["playbooks", "put", file.to_str().unwrap()]);
    assert_eq!(put["id"], id);

    let listed = server.ask(&["playbooks", "list"]);
    assert_eq!(listed["playbooks"][0]["id"], id);
    let (code, table) = told(&server, &["playbooks", "list"]);
    assert_eq!(code, Some(0));
    assert!(table.contains("Playbook 1"), "{table}");
    let shown = server.ask(&["playbooks", "show", &id]);
    assert_eq!(shown["playbook"], value);
    let versions = server.ask(&["playbooks", "versions", &id]);
    assert_eq!(versions["versions"][0]["modified"], playbook_version(1));
    let (_, of_file) = told(&server, &["playbooks", "show", file.to_str().unwrap()]);
    let (_, of_server) = told(&server, &["playbooks", "show", &id]);
    assert_eq!(of_file, of_server);

    let begun = server.ask(&["playbooks", "run", &id, "--var", "host=web-1"]);
    let run = begun["run_id"].as_str().unwrap().to_owned();
    let asked = eventually("the question", || {
        let asked = server.ask(&["approvals", "list"]);
        asked["approvals"].get(0).cloned()
    });
    assert_eq!(asked["run_id"], run);
    let visit = asked["visit"].to_string();
    let (code, _) = told(
        &server,
        &[
            "approvals",
            "answer",
            &run,
            &visit,
            "--var",
            "isolated=true",
        ],
    );
    assert_eq!(code, Some(0));
    eventually("the end", || {
        let shown = server.ask(&["runs", "show", &run]);
        (shown["status"] == "succeeded").then_some(())
    });

    let begun = server.ask(&["playbooks", "run", &id, "--var", "host=web-1", "--key", "k"]);
    let run = begun["run_id"].as_str().unwrap().to_owned();
    eventually("the question", || {
        let asked = server.ask(&["approvals", "list"]);
        asked["approvals"].get(0).map(|_| ())
    });
    let (code, _) = told(
        &server,
        &["approvals", "answer", &run, "--failed", "it is gone"],
    );
    assert_eq!(code, Some(0));
    let waited = [
        "playbooks",
        "run",
        &id,
        "--var",
        "host=web-1",
        "--key",
        "k",
        "--wait",
    ];
    let (code, story) = told(&server, &waited);
    assert_eq!(code, Some(1), "the run of this key failed: {story}");
    assert!(story.contains(&run), "{story}");

    server
        .client(&["playbooks", "remove", &id])
        .output()
        .unwrap();
    let (code, error) = told(&server, &["playbooks", "versions", &id]);
    assert_eq!(code, Some(1));
    assert!(error.contains("(404 not-found)"), "{error}");
}

#[test]
fn a_playbook_that_is_refused_is_told_with_every_place() {
    let site = Site::new("");
    let server = site.start();
    let mut value = playbook(1, 1, &unbound());
    site.write("lost.json", &value.to_string());
    let file = site.path("lost.json");
    let put = ["playbooks", "put", file.to_str().unwrap()];
    let (code, error) = told(&server, &put);
    assert_eq!(code, Some(1));
    let line =
        "\n  not_runnable /workflow/action--00000000-0000-4000-8000-000000000002/commands/0: ";
    assert!(error.contains("(422 playbook-refused)"), "{error}");
    assert!(error.contains(line), "{error}");
    value["spec_version"] = "cacao-3.0".into();
    site.write("lost.json", &value.to_string());
    let (_, error) = told(&server, &put);
    assert!(error.contains(" /spec_version: "), "{error}");
}

#[test]
fn the_folders_playbooks_are_served_and_its_bad_files_listed() {
    let site = Site::new("playbooks: { dir: soc }\n");
    std::fs::create_dir(site.path("soc")).unwrap();
    site.write("soc/a.json", &playbook(1, 1, &calling(2, None)).to_string());
    site.write("soc/b.json", &playbook(2, 1, &asking()).to_string());
    site.write("soc/c.json", "{");
    let server = site.start();
    let listed = server.ask(&["playbooks", "list"]);
    let ids: Vec<&Value> = listed["playbooks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|info| &info["id"])
        .collect();
    assert_eq!(ids, [&*playbook_id(1), &*playbook_id(2)]);
    assert_eq!(listed["faults"][0]["file"], "c.json");
    site.write("soc/b.json", &playbook(2, 2, &asking()).to_string());
    eventually("the new version", || {
        let listed = server.ask(&["playbooks", "list"]);
        (listed["playbooks"][1]["modified"] == playbook_version(2)).then_some(())
    });
}

/// A key of Ed25519.
const KEY: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../cacao/tests/it/keys/ed25519.pem"
);

#[test]
fn a_playbook_that_was_changed_since_it_was_signed_is_nowhere_run() {
    let site = Site::new("playbooks: { dir: soc }\n");
    std::fs::create_dir(site.path("soc")).unwrap();
    site.write("plain.json", &playbook(1, 1, &asking()).to_string());
    let sign = [
        "sign",
        "plain.json",
        "--key",
        KEY,
        "--algorithm",
        "Ed25519",
        "--signee",
        "SOC",
        "--out",
        "signed.json",
    ];
    let done = site.command(&sign).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    let signed = std::fs::read_to_string(site.path("signed.json")).unwrap();
    let changed = signed.replace("Is the host isolated?", "Is the host gone?");
    assert_ne!(changed, signed);
    site.write("changed.json", &changed);
    site.write("soc/changed.json", &changed);
    let server = site.start();
    let listed = server.ask(&["playbooks", "list"]);
    assert_eq!(listed["playbooks"], serde_json::json!([]), "{listed}");
    site.logged("is `incorrect`");
    let path = |name: &str| site.path(name).display().to_string();
    let (changed, signed) = (path("changed.json"), path("signed.json"));
    let (code, refused) = told(&server, &["playbooks", "put", &changed]);
    assert_eq!(code, Some(1));
    assert!(
        refused.contains("/signatures/0: the signature by `SOC` is `incorrect`"),
        "{refused}"
    );
    let run = site
        .command(&["run", "changed.json", "--confirm"])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&run.stderr);
    assert!(
        !run.status.success() && error.contains("is `incorrect`"),
        "{error}"
    );
    // By a stranger, and as it was signed: that is nobody's fault.
    std::fs::remove_file(site.path("soc/changed.json")).unwrap();
    let (code, taken) = told(&server, &["playbooks", "put", &signed]);
    assert_eq!(code, Some(0), "{taken}");
}
