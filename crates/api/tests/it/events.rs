//! Events handed in, listed and looked at.

use conche_engine::Config;
use conche_testkit::Behaviour;
use http::Method;
use serde_json::{Value, json};

use crate::server::{Server, Wanted};

#[tokio::test]
async fn an_accepted_event_is_shown_as_sent_with_its_runs() {
    let server = Server::start().await;
    server.react("idempotent").await;
    let body = r#"{"id":"7","source":"siem","type":"e","subject":"host-1","time":"2026-01-02T03:04:05Z","data":{"b":1.0,  "a":1e2}}"#;
    let json = [("content-type", "application/json; charset=utf-8")];
    let answer = server
        .call(Method::POST, "/api/v1/events", &json, body)
        .await;
    let location = answer.header("location").to_owned();
    let accepted = answer.ok(202);
    assert_eq!(accepted["duplicate"], false);
    let event = accepted["event_id"].as_str().unwrap();
    assert_eq!(location, format!("/api/v1/events/{event}"));

    let shown = server.get(&location).await;
    assert!(
        shown.text.contains(r#""data":{"b":1.0,  "a":1e2}"#),
        "{}",
        shown.text
    );
    let shown = shown.ok(200);
    for (key, value) in [
        ("event_id", event),
        ("id", "7"),
        ("source", "siem"),
        ("type", "e"),
        ("subject", "host-1"),
        ("time", "2026-01-02T03:04:05Z"),
    ] {
        assert_eq!(shown[key], value, "{key}");
    }
    assert_eq!(shown["runs"].as_array().unwrap().len(), 1, "{shown}");
    assert_eq!(shown["runs"][0]["event_id"], event);
}

#[tokio::test]
async fn the_same_id_is_the_same_event_and_the_header_stands_in_for_it() {
    let server = Server::start().await;
    let send = async |key: &str, body: Value| {
        let headers = [
            ("content-type", "application/json"),
            ("idempotency-key", key),
        ];
        let answer = server
            .call(Method::POST, "/api/v1/events", &headers, body.to_string())
            .await;
        let accepted = answer.ok(202);
        (accepted["event_id"].clone(), accepted["duplicate"] == true)
    };
    let (first, duplicate) = send("k1", json!({"type": "e"})).await;
    assert!(!duplicate);
    assert_eq!(
        send("k1", json!({"type": "e"})).await,
        (first.clone(), true)
    );
    assert_eq!(
        send("k2", json!({"type": "e", "id": "k1"})).await,
        (first.clone(), true)
    );
    assert!(!send("k2", json!({"type": "e"})).await.1);
    assert!(!send("k1", json!({"type": "e", "source": "other"})).await.1);
}

#[tokio::test]
async fn events_that_make_no_sense_are_refused_and_nothing_is_stored() {
    let server = Server::start().await;
    let long = "x".repeat(257);
    for body in [
        json!({"type": ""}),
        json!({"type": "conche.run.failed"}),
        json!({"type": "e", "source": "conche"}),
        json!({"type": "e", "source": "configured"}),
        json!({"type": "e", "source": ""}),
        json!({"type": "e", "id": ""}),
        json!({"type": "e", "id": long}),
        json!({"type": "a\nb"}),
    ] {
        let answer = server.post("/api/v1/events", body.clone()).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.code()),
            (422, "event-refused"),
            "{body}"
        );
    }
    let listed = server.get("/api/v1/events").await.ok(200);
    assert_eq!(listed, json!({"events": [], "next": null}));
    for key in ["", "ä"] {
        let headers = [
            ("content-type", "application/json"),
            ("idempotency-key", key),
        ];
        let answer = server
            .call(Method::POST, "/api/v1/events", &headers, r#"{"type":"e"}"#)
            .await;
        assert_eq!(answer.code(), "invalid-header", "{key:?}");
    }
}

#[tokio::test]
async fn lists_are_filtered_by_all_that_is_given() {
    let server = Server::start().await;
    for (event_type, source) in [("a", "x"), ("b", "x"), ("a", "y")] {
        let body = json!({"type": event_type, "source": source});
        server.post("/api/v1/events", body).await.ok(202);
    }
    for (query, count) in [
        ("", 3),
        ("?type=a", 2),
        ("?source=x", 2),
        ("?type=a&source=x", 1),
        ("?type=c", 0),
        ("?since=2026-01-05T10:00:00Z", 3),
        ("?since=2026-01-05T10:00:01Z", 0),
    ] {
        let page = server.get(&format!("/api/v1/events{query}")).await.ok(200);
        let events = page["events"].as_array().unwrap();
        assert_eq!(events.len(), count, "{query}");
        assert!(
            events.iter().all(|event| event.get("data").is_none()),
            "{query}"
        );
    }
}

#[tokio::test]
async fn pages_are_stable_while_events_are_added() {
    let server = Server::start().await;
    let mut sent = Vec::new();
    for _ in 0..7 {
        sent.push(server.event().await);
    }
    let (mut found, mut path) = (Vec::new(), "/api/v1/events?limit=2".to_owned());
    let mut pages = 0;
    loop {
        let page = server.get(&path).await.ok(200);
        let events = page["events"].as_array().unwrap();
        found.extend(
            events
                .iter()
                .map(|event| event["event_id"].as_str().unwrap().to_owned()),
        );
        pages += 1;
        // What comes in now is newer than the first page, so no later one may show it.
        server.event().await;
        match page["next"].as_str() {
            Some(next) => path = format!("/api/v1/events?limit=2&before={next}"),
            None => break,
        }
    }
    sent.reverse();
    assert_eq!(found, sent);
    assert_eq!(pages, 4);
}

#[tokio::test]
async fn a_source_with_too_much_waiting_is_told_when_to_come_back() {
    let config = Config {
        runs_held: 1,
        queue_per_source: 1,
        ..Config::default()
    };
    let server = Server::with(Wanted {
        config,
        ..Wanted::default()
    })
    .await;
    server.react("idempotent").await;
    server.actions.plan("idempotent", [Behaviour::Hang]);
    server.event().await;
    server.actions.called(1).await;
    server.event().await;
    let answer = server.post("/api/v1/events", json!({"type": "e"})).await;
    assert_eq!((answer.status.as_u16(), &*answer.code()), (429, "busy"));
    assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
    let metrics = server.get("/metrics").await.text;
    assert!(metrics.contains("\nconche_runs_waiting 1\n"), "{metrics}");
}

#[tokio::test]
async fn an_event_tells_what_became_of_the_reactions_that_did_not_simply_run() {
    let server = Server::start().await;
    let reaction = |name: &str, control: &str, settings: Value| {
        let mut body = json!({"name": name, "event": "e", "script": "stop"});
        body[control] = settings;
        body
    };
    for (name, control, settings) in [
        ("first", "dedup", json!({"window": "10m"})),
        ("quiet", "debounce", json!({"wait": "30s"})),
    ] {
        let path = format!("/api/v1/reactions/{name}");
        server
            .put(&path, reaction(name, control, settings))
            .await
            .ok(201);
    }
    let mut shown = Vec::new();
    for _ in 0..2 {
        let event = server.event().await;
        shown.push(server.get(&format!("/api/v1/events/{event}")).await.ok(200));
    }
    let run = shown[0]["notes"][0]["with"].as_str().unwrap();
    let waits = |until: &Value, first: bool| {
        json!({"reaction": "quiet", "became": "waits", "by": "debounce",
               "with": run, "until": until, "first": first})
    };
    let until = |event: &Value, at: usize| event["notes"][at]["until"].clone();
    assert_eq!(
        shown[0]["notes"],
        json!([waits(&until(&shown[0], 0), true)])
    );
    assert_eq!(shown[0]["runs"][0]["definition"], "first");
    let suppressed = json!({"reaction": "first", "became": "suppressed", "by": "dedup",
                            "until": until(&shown[1], 0)});
    assert_eq!(
        shown[1]["notes"],
        json!([suppressed, waits(&until(&shown[1], 1), false)])
    );
    assert_eq!(shown[1]["runs"], json!([]));
    let listed = server.get("/api/v1/events").await.ok(200);
    assert_eq!(listed["events"][0]["notes"], shown[1]["notes"]);
    assert_eq!(listed["events"][1]["notes"], shown[0]["notes"]);
}
