//! A review, asked of a whole server: the reaction decides, and the server survives what
//! decides nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::server::{PATIENCE, Server, Site, eventually};

const CONFIG: &str = r#"
sources:
  - { id: reviews, module: k8s_imagevalidator, webhook_endpoint: "127.0.0.1:0", cache: { tag: 0s } }
egress: { allow: [127.0.0.0/8] }
actions: { http: {} }
"#;

const REACTION: &str = "
name: admit
event: k8s_image_validation_request
script: |
  var image = event.image_review.spec.containers[0].image;
  if (image.indexOf('scanned') === 0) {
    nextAction = 'scan'; result = { method: 'GET', url: 'http://127.0.0.1:HOLE/' };
  } else if (image !== 'undecided:1') {
    nextAction = 'answer';
    result = { uuid: event.uuid, validate: image === 'good:1', reason: 'it is ' + image };
  }
actions:
  answer: { module: k8s_imagevalidate, action: validate_image }
  scan:
    module: http
    action: request
    script: |
      nextAction = 'answer'; result = { uuid: event.uuid, validate: true }
";

fn review(image: &str) -> Value {
    json!({ "kind": "ImageReview", "apiVersion": "imagepolicy.k8s.io/v1alpha1",
        "metadata": { "creationTimestamp": null },
        "spec": { "containers": [{ "image": image }], "namespace": "default" },
        "status": { "allowed": false } })
}

fn ask(server: &Server, image: &str) -> Value {
    let mut stream = TcpStream::connect(&server.reviews).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let body = review(image).to_string();
    let request = format!(
        "POST /image_policy?timeout=5s HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        server.reviews,
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    serde_json::from_str::<Value>(body).unwrap()["status"].clone()
}

#[test]
fn a_reaction_decides_and_an_action_in_a_black_hole_holds_no_review_up() {
    // Whoever connects is never answered.
    let hole = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = hole.local_addr().unwrap().port().to_string();
    let site = Site::new(CONFIG);
    site.write("reactions/admit.yaml", &REACTION.replace("HOLE", &port));
    let server = site.start();
    let good = json!({ "allowed": true, "reason": "it is good:1" });
    assert_eq!(ask(&server, "good:1"), good);
    let bad = json!({ "allowed": false, "reason": "it is bad:1" });
    assert_eq!(ask(&server, "bad:1"), bad);
    let begun = Instant::now();
    let undecided = ask(&server, "undecided:1");
    assert_eq!(
        undecided["reason"],
        "conche: the reactions ended without a decision"
    );
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "it waited for nothing"
    );
    let budget = Duration::from_secs(5);
    std::thread::scope(|scope| {
        let server = &server;
        let asked = (0..40).map(|number| {
            scope.spawn(move || {
                let begun = Instant::now();
                (ask(server, &format!("scanned:{number}")), begun.elapsed())
            })
        });
        for one in asked.collect::<Vec<_>>() {
            let (status, took) = one.join().unwrap();
            assert_eq!(status["allowed"], false);
            assert_eq!(status["reason"], "conche: no decision in time");
            assert!(took < budget, "{took:?}");
        }
    });
    assert_eq!(ask(&server, "good:1"), good);
    let run = server.run_with("admit", "succeeded");
    assert_eq!(run["definition"], "admit");
}

#[test]
fn what_was_decided_counts_until_a_list_that_the_reaction_reads_changes() {
    let site = Site::new(CONFIG);
    site.write(
        "reactions/admit.yaml",
        "
name: admit
event: k8s_image_validation_request
lists: [blocked]
script: |
  var image = event.image_review.spec.containers[0].image;
  nextAction = 'answer'
  result = { uuid: event.uuid, validate: !lists.blocked[image] }
actions:
  answer: { module: k8s_imagevalidate, action: validate_image }
",
    );
    let server = site.start();
    let image = format!("good@sha256:{}", "a".repeat(64));
    let allowed = || ask(&server, &image)["allowed"].clone();
    let runs = || {
        let runs = server.ask(&["runs", "list", "--reaction", "admit"]);
        runs["runs"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(allowed(), true);
    assert_eq!(allowed(), true);
    assert_eq!(runs(), 1, "the second was answered from before");
    // A list that nobody reads changes nothing.
    server.ask(&["lists", "put", "other", &image]);
    assert_eq!(allowed(), true);
    assert_eq!(runs(), 1);
    server.ask(&["lists", "put", "blocked", &image]);
    assert_eq!(allowed(), false);
    server.ask(&["lists", "remove", "blocked", &image]);
    assert_eq!(allowed(), true);
    assert_eq!(runs(), 3);
}

#[test]
fn all_reactions_to_a_review_must_say_yes_and_only_those_are_heard() {
    let hole = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = hole.local_addr().unwrap().port().to_string();
    let site = Site::new(CONFIG);
    site.write("reactions/admit.yaml", &REACTION.replace("HOLE", &port));
    site.write(
        "reactions/quick.yaml",
        "
name: quick
event: k8s_image_validation_request
script: |
  nextAction = 'answer'; result = { uuid: event.uuid, validate: true, reason: 'quick' };
actions:
  answer: { module: k8s_imagevalidate, action: validate_image }
",
    );
    let server = site.start();
    assert_eq!(ask(&server, "good:1")["allowed"], true);
    assert_eq!(ask(&server, "bad:1")["reason"], "it is bad:1");
    let undecided = ask(&server, "undecided:1");
    let reason = "conche: the reactions ended without a decision";
    assert_eq!(undecided, json!({ "allowed": false, "reason": reason }));
    // While `admit` waits for a scan: whoever knows the review's name sends an event of its type.
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| ask(&server, "scanned:1"));
        let mine = eventually("the review", || {
            let listed = server.ask(&["events", "list", "--source", "reviews", "--limit", "1"]);
            let newest = listed["events"][0]["event_id"].as_str()?.to_owned();
            let data = server.ask(&["events", "show", &newest])["data"].clone();
            let image = data.pointer("/image_review/spec/containers/0/image")?;
            (image == "scanned:1").then_some(data)
        });
        let data = json!({ "uuid": mine["uuid"], "image_review": review("good:1") });
        site.write("event.json", &data.to_string());
        let event_type = "k8s_image_validation_request";
        let file = site.path("event.json");
        let file = file.to_str().unwrap();
        let sent = server.ask(&["events", "send", "--type", event_type, file]);
        let sent = sent["event_id"].as_str().unwrap();
        eventually("the runs of what was sent", || {
            let shown = server.ask(&["events", "show", sent]);
            let runs = shown["runs"].as_array()?;
            let over = |run: &&Value| run["status"] == "succeeded";
            (runs.iter().filter(over).count() == 2).then_some(())
        });
        let status = asked.join().unwrap();
        assert_eq!(status["reason"], "conche: no decision in time");
    });
}
