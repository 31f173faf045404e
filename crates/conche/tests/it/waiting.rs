//! Runs that wait for events while their server is killed, or its store put back from a copy.

use serde_json::Value;

use crate::server::{Server, Site, eventually};

const SOURCES: &str = "egress: { allow: [127.0.0.1] }
sources:
  - { id: hits, module: webhook, path: /hit, event_type: hit, auth: none }
  - { id: ends, module: webhook, path: /end, event_type: end, auth: none }
";

/// Events of the group that runs when it is full.
const FULL: usize = 7;

fn group(name: &str, event: &str, rule: &str) -> String {
    let script = "console.log(event.events.map((one) => one.data.n).join())";
    format!("name: {name}\nevent: {event}\ngroup: {{ {rule} }}\nscript: {script:?}\n")
}

/// All runs of a reaction.
fn runs(server: &Server, reaction: &str) -> Vec<Value> {
    let page = server.ask(&["runs", "list", "--reaction", reaction]);
    page["runs"].as_array().unwrap().clone()
}

/// The events that the only run of a reaction saw, once it has succeeded.
fn seen(server: &Server, reaction: &str) -> String {
    let run = server.run_with(reaction, "succeeded");
    assert_eq!(runs(server, reaction).len(), 1, "it runs once");
    let text = &run["steps"][0]["console"][0]["text"];
    text.as_str().unwrap().to_owned()
}

fn killed(site: &Site, server: Server) -> Server {
    server.signal("KILL");
    assert_eq!(server.ended().code(), None);
    site.start()
}

#[test]
fn a_group_that_waits_through_kills_runs_once_with_every_acknowledged_event() {
    let site = Site::new(SOURCES);
    let (full, timed) = (format!("window: 1h, max: {FULL}"), "window: 2s");
    site.write("reactions/full.yaml", &group("full", "hit", &full));
    site.write("reactions/timed.yaml", &group("timed", "end", timed));
    let mut server = site.start();
    for n in 1..FULL {
        assert_eq!(server.post("/hit", &format!("{{\"n\":{n}}}")), 202);
        server = killed(&site, server);
        assert!(runs(&server, "full").is_empty(), "it waits");
    }
    assert_eq!(server.post("/hit", &format!("{{\"n\":{FULL}}}")), 202);
    // Killed again where it may just have been born.
    server = killed(&site, server);
    assert_eq!(seen(&server, "full"), "1,2,3,4,5,6,7");
    // Here the time comes while no server runs.
    for n in [1, 2, 3] {
        assert_eq!(server.post("/end", &format!("{{\"n\":{n}}}")), 202);
    }
    server = killed(&site, server);
    assert_eq!(seen(&server, "timed"), "1,2,3");
    server = killed(&site, server);
    assert_eq!(seen(&server, "timed"), "1,2,3");
    assert_eq!(seen(&server, "full"), "1,2,3,4,5,6,7");
}

#[test]
fn what_was_done_after_a_copy_is_not_done_again_by_runs_that_are_restored() {
    let site = Site::new(SOURCES);
    let waiting = |name: &str, rest: &str| {
        format!("name: {name}\nevent: hit\ndebounce: {{ wait: 5s }}\n{rest}")
    };
    let once = "script: |
  nextAction = 'tell'; result = { url: event.url, method: 'POST', json: {} }
actions: { tell: { module: http, action: request } }\n";
    let again = "script: |
  nextAction = 'note'; result = { message: 'seen' }
actions: { note: { module: log, action: write } }\n";
    site.write("reactions/once.yaml", &waiting("once", once));
    site.write("reactions/again.yaml", &waiting("again", again));
    site.write(
        "reactions/told.yaml",
        "name: told\nevent: end\nscript: ''\n",
    );
    let server = site.start();
    let url = format!("{{\"url\":\"http://{}/end\"}}", server.webhooks);
    assert_eq!(server.post("/hit", &url), 202);
    let copied = site.command(&["backup", "copy"]).output().unwrap();
    assert!(copied.status.success(), "{copied:?}");
    assert!(runs(&server, "once").is_empty(), "it waits in the copy");
    server.run_with("once", "succeeded");
    server.run_with("told", "succeeded");
    server.signal("KILL");
    server.ended();

    std::fs::rename(site.path("conche-data"), site.path("lost")).unwrap();
    let restored = site.command(&["restore", "copy"]).output().unwrap();
    assert!(restored.status.success(), "{restored:?}");
    let server = site.start();
    server.run_with("again", "succeeded");
    let run = server.run_with("once", "needs_attention");
    let reason = run["reason"].as_str().unwrap();
    assert!(reason.contains("restored from a copy of 20"), "{reason}");
    assert!(runs(&server, "told").is_empty(), "nothing was sent again");
    // A person says that it was done.
    let id = run["run_id"].as_str().unwrap();
    let resumed = server
        .client(&["runs", "resume", id, "--succeeded", "{}"])
        .output()
        .unwrap();
    assert!(resumed.status.success(), "{resumed:?}");
    eventually("the end of the run", || {
        let run = server.ask(&["runs", "show", id]);
        (run["status"] == "succeeded").then_some(())
    });
    assert!(runs(&server, "told").is_empty(), "nothing was sent at all");
}
