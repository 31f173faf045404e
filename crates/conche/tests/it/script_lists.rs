//! Named lists as scripts see them, in the real sandbox.

use crate::server::{Server, Site, eventually};

const SOURCES: &str = "limits: { script_workers: 1 }
sources:
  - { id: hits, module: webhook, path: /hit, event_type: hit, auth: none }
  - { id: looks, module: webhook, path: /look, event_type: look, auth: none }
";

const BLOCK: &str = r"name: block
event: hit
script: |
  nextAction = 'add'
  result = { list: 'blocked', key: event.ip, value: { hits: event.hits }, ttl: event.ttl }
actions:
  add: { module: list, action: add }
";

/// Both reactions that look have this script, so they share a kept realm.
const LOOK: &str = r#"console.log(typeof lists === "undefined" ? "none" : JSON.stringify(lists))"#;

/// What the script of a reaction sees for one more event.
fn seen(server: &Server, reaction: &str) -> String {
    let before = server.ask(&["runs", "list", "--reaction", reaction]);
    assert_eq!(server.post("/look", "{}"), 202);
    let run = eventually("another run", || {
        let now = server.ask(&[
            "runs",
            "list",
            "--reaction",
            reaction,
            "--status",
            "succeeded",
        ]);
        let newest = &now["runs"].get(0)?["run_id"];
        (*newest != before["runs"][0]["run_id"]).then(|| newest.as_str().map(str::to_owned))?
    });
    let run = server.ask(&["runs", "show", &run]);
    let text = &run["steps"][0]["console"][0]["text"];
    text.as_str().unwrap().to_owned()
}

#[test]
fn a_script_sees_the_lists_that_its_reaction_names_and_others_see_none() {
    let site = Site::new(SOURCES);
    site.write("reactions/block.yaml", BLOCK);
    let look =
        |name: &str, lists: &str| format!("name: {name}\nevent: look\n{lists}script: {LOOK:?}\n");
    let reading = look("reading", "lists: [blocked, allowed]\n");
    site.write("reactions/reading.yaml", &reading);
    site.write("reactions/blind.yaml", &look("blind", ""));
    let server = site.start();
    assert_eq!(seen(&server, "reading"), r#"{"allowed":{},"blocked":{}}"#);
    for hit in [
        r#"{"ip":"1.1.1.1","hits":3,"ttl":"1h"}"#,
        r#"{"ip":"2.2.2.2","hits":4,"ttl":"1s"}"#,
    ] {
        assert_eq!(server.post("/hit", hit), 202);
    }
    let lasting = r#"{"allowed":{},"blocked":{"1.1.1.1":{"hits":3}}}"#;
    eventually("both entries", || {
        let runs = server.ask(&[
            "runs",
            "list",
            "--reaction",
            "block",
            "--status",
            "succeeded",
        ]);
        (runs["runs"].as_array()?.len() == 2).then_some(())
    });
    eventually("the end of the second entry", || {
        (seen(&server, "reading") == lasting).then_some(())
    });
    for _ in 0..3 {
        assert_eq!(seen(&server, "blind"), "none");
        assert_eq!(seen(&server, "reading"), lasting);
    }
}
