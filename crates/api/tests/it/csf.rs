//! CSF's REST API as a client of CSF's sees it.

use axum::body::Body;
use http::Method;
use serde_json::{Value, json};

use crate::server::{Answer, Server};

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

fn reaction(name: &str, event: &str, script: &str) -> Value {
    json!({
        "actions": { "m": { "script": "", "action": "send_mail", "module": "mail" } },
        "name": name, "event": event, "script": script,
    })
}

async fn post(server: &Server, body: &Value) -> Answer {
    let path = "/v1/events/whatever/reactions";
    server
        .call(Method::POST, path, &JSON, body.to_string())
        .await
}

async fn delete(server: &Server, event: &str, name: &str) -> Answer {
    let path = format!("/v1/events/{event}/reactions/{name}");
    server.call(Method::DELETE, &path, &[], Body::empty()).await
}

#[tokio::test]
async fn a_reaction_is_posted_listed_shown_and_deleted_as_in_csf() {
    let server = Server::start().await;
    assert_eq!(server.get("/v1/reactions").await.ok(200), json!([]));
    let body = reaction("r", "new_pod", "next m");
    let posted = post(&server, &body).await;
    assert_eq!((posted.status.as_u16(), &*posted.text), (200, ""));
    assert_eq!(server.get("/v1/reactions").await.ok(200), json!([body]));
    let of_event = server.get("/v1/events/new_pod/reactions").await;
    assert_eq!(of_event.ok(200), json!([body]));
    // The event of the path is ignored: the body's counts.
    let of_other = server.get("/v1/events/whatever/reactions").await;
    assert_eq!(of_other.ok(200), json!([]));
    let shown = server.get("/v1/events/new_pod/reactions/r").await;
    assert_eq!(shown.header("content-type"), "application/json");
    // Go writes the members in the order of CSF's struct.
    assert!(shown.text.starts_with(r#"{"actions":{"m":{"script""#));
    assert_eq!(shown.ok(200), body);
    for gone in [
        "/v1/events/whatever/reactions/r",
        "/v1/events/new_pod/reactions/x",
    ] {
        assert_eq!(
            server.get(gone).await.ok(404),
            json!({"err": "No such reaction"})
        );
    }
    for _ in 0..2 {
        let deleted = delete(&server, "new_pod", "r").await;
        assert_eq!((deleted.status.as_u16(), &*deleted.text), (200, ""));
    }
    assert_eq!(server.get("/v1/reactions").await.ok(200), json!([]));
}

/// CSF bug 10: duplicates were kept, all ran, and deleting left some running.
#[tokio::test]
async fn csf_bug_10_posting_a_reaction_again_replaces_it() {
    let server = Server::start().await;
    post(&server, &reaction("r", "e", "next m"))
        .await
        .ok_empty();
    let second = reaction("r", "e", "stop");
    post(&server, &second).await.ok_empty();
    assert_eq!(server.get("/v1/reactions").await.ok(200), json!([second]));
    delete(&server, "e", "r").await;
    assert_eq!(
        server.get("/v1/events/e/reactions").await.ok(200),
        json!([])
    );
}

#[tokio::test]
async fn reactions_to_different_events_may_share_a_name() {
    let server = Server::start().await;
    for (event, script) in [("a", "next m"), ("b", "stop"), ("b", "next m")] {
        post(&server, &reaction("r", event, script))
            .await
            .ok_empty();
    }
    let both = json!([reaction("r", "a", "next m"), reaction("r", "b", "next m")]);
    assert_eq!(server.get("/v1/reactions").await.ok(200), both);
    let second = server.get("/v1/events/b/reactions/r").await.ok(200);
    assert_eq!(second, reaction("r", "b", "next m"));
    assert_eq!(
        server.get("/api/v1/reactions/r%20(b)").await.ok(200)["events"],
        json!(["b"])
    );
    delete(&server, "b", "r").await;
    let first = json!([reaction("r", "a", "next m")]);
    assert_eq!(server.get("/v1/reactions").await.ok(200), first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn reactions_that_are_posted_at_once_under_one_name_are_all_kept() {
    let server = Server::start().await;
    for round in 0..20 {
        let name = format!("r{round}");
        let posts = ["a", "b", "c"].map(|event| {
            let body = reaction(&name, event, "stop");
            let server = &server;
            async move { post(server, &body).await.ok_empty() }
        });
        futures_util::future::join_all(posts).await;
        for event in ["a", "b", "c"] {
            let path = format!("/v1/events/{event}/reactions/{name}");
            assert_eq!(server.get(&path).await.ok(200)["event"], event);
        }
    }
}

/// CSF bug 18: there was no validation and no limit of any kind.
#[tokio::test]
async fn csf_bug_18_a_body_that_makes_no_sense_is_refused_and_nothing_is_stored() {
    let server = Server::start().await;
    let huge = format!(r#"{{"name":"{}"}}"#, "x".repeat(70_000));
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    for (body, status, expected) in [
        ("{", 400, "eof"),
        (r#"{"name":5,"event":"e"}"#, 400, "must be"),
        (r#"{"event":"e"}"#, 400, "'name' is empty"),
        (r#"{"name":"r"}"#, 400, "event"),
        (&deep, 400, "deep"),
        (&huge, 413, ""),
    ] {
        let path = "/v1/events/e/reactions";
        let answer = server
            .call(Method::POST, path, &JSON, body.to_owned())
            .await;
        assert_eq!(answer.status.as_u16(), status, "{answer:?}");
        assert!(
            answer.header("content-type").starts_with("text/plain"),
            "{answer:?}"
        );
        let text = answer.text.to_lowercase();
        assert!(
            text.contains(expected) && text.ends_with('\n'),
            "{answer:?}"
        );
    }
    assert_eq!(server.get("/v1/reactions").await.ok(200), json!([]));
}

#[tokio::test]
async fn a_page_of_another_origin_installs_nothing_and_none_what_a_form_may_send() {
    let server = Server::start().await;
    let path = "/v1/events/e/reactions";
    let text = ("content-type", "text/plain");
    let json = ("content-type", "application/json");
    let foreign = ("origin", "http://evil.example");
    let body = |name: &str| reaction(name, "e", "stop").to_string();
    // The listener refuses what tells of another page, the API what a form may send.
    for (headers, status) in [
        (&[text, foreign][..], 403),
        (&[foreign][..], 403),
        (&[text, ("origin", "null")][..], 403),
        (&[text, ("referer", "http://localhost/")][..], 415),
        (&[json, ("referer", "http://localhost/")][..], 200),
        (&[text][..], 415),
    ] {
        let posted = server.call(Method::POST, path, headers, body("r")).await;
        assert_eq!(posted.status.as_u16(), status, "{headers:?} {posted:?}");
        delete(&server, "e", "r").await;
        let left = server.get("/v1/reactions").await.ok(200);
        assert_eq!(left, json!([]), "{headers:?}");
    }
}

#[tokio::test]
async fn what_csf_has_no_words_for_is_shown_and_never_overwritten() {
    let server = Server::start().await;
    let rich =
        json!({"name": "r", "events": ["a", "b"], "when": "event.type == 'a'", "script": "stop"});
    server.put("/api/v1/reactions/r", rich).await.ok(201);
    let listed = server.get("/v1/reactions").await.ok(200);
    assert_eq!(listed[0]["event"], "a");
    assert_eq!(listed[1]["event"], "b");
    let answer = post(&server, &reaction("r", "a", "stop")).await;
    assert_eq!(answer.status.as_u16(), 409, "{answer:?}");
    let answer = delete(&server, "a", "r").await;
    assert_eq!(answer.status.as_u16(), 409, "{answer:?}");
    assert_eq!(server.get("/v1/reactions").await.ok(200), listed);
}

#[tokio::test]
async fn modules_are_described_in_csfs_words() {
    let server = Server::start().await;
    let actions = server.get("/v1/actions").await.ok(200);
    let mail = json!([{
        "data_in": [{"type": "string", "name": "to"}, {"type": "string", "name": "subject"}, {"type": "string", "name": "content"}],
        "data_out": [], "name": "send_mail",
    }]);
    assert_eq!(actions["mail"], mail);
    assert_eq!(actions["dummy"][0]["name"], "dummy_action");
    assert!(actions["http"][0]["data_in"].as_array().unwrap().len() > 1);
    let events = server.get("/v1/events").await.ok(200);
    let onetime =
        json!({"data": [{"type": "timestamp string", "name": "timestamp"}], "name": "onetime"});
    assert!(
        events["events"].as_array().unwrap().contains(&onetime),
        "{events}"
    );
}
