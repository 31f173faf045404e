//! Named lists: put, shown, paged, removed, recorded.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::access::server;
use crate::server::{Answer, Server};

const PATH: &str = "/api/v1/lists/blocked/entries";

async fn call(server: &Server, method: Method, path: &str, body: Option<Value>) -> Answer {
    server.as_bearer("token-all", method, path, body).await
}

async fn put(server: &Server, body: Value) -> Answer {
    call(server, Method::PUT, PATH, Some(body)).await
}

async fn get(server: &Server, path: &str) -> Value {
    call(server, Method::GET, path, None).await.ok(200)
}

fn keys(page: &Value) -> Vec<&str> {
    let entries = page["entries"].as_array().unwrap();
    entries
        .iter()
        .map(|entry| entry["key"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn an_entry_counts_until_it_ends_or_is_removed() {
    let server = server().await;
    assert_eq!(get(&server, "/api/v1/lists").await, json!({"lists": []}));
    let body = json!({"key": "1.2.3.4", "value": {"why": "scan"}, "ttl": "1h"});
    for _ in 0..2 {
        let entry = put(&server, body.clone()).await.ok(200);
        assert_eq!(entry["value"], json!({"why": "scan"}));
        assert!(entry["expires_at"].is_string(), "{entry}");
    }
    let entry = put(&server, json!({"key": "../.."})).await.ok(200);
    assert_eq!(
        (&entry["value"], &entry["expires_at"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(keys(&get(&server, PATH).await), ["../..", "1.2.3.4"]);
    let one = get(&server, &format!("{PATH}?key=1.2.3.4")).await;
    assert_eq!(keys(&one), ["1.2.3.4"]);
    server.clock.advance(Duration::from_hours(1));
    assert_eq!(keys(&get(&server, PATH).await), ["../.."]);
    let gone = get(&server, &format!("{PATH}?key=1.2.3.4")).await;
    assert_eq!(gone, json!({"entries": [], "next": null}));
    assert_eq!(
        get(&server, "/api/v1/lists").await,
        json!({"lists": [{"name": "blocked", "entries": 1}]})
    );
    let path = format!("{PATH}?key=..%2F..");
    for removed in [true, false] {
        let answer = call(&server, Method::DELETE, &path, None).await.ok(200);
        assert_eq!(answer, json!({"removed": removed}));
    }
    assert_eq!(get(&server, "/api/v1/lists").await, json!({"lists": []}));
}

#[tokio::test]
async fn entries_are_paged_by_key() {
    let server = server().await;
    for key in ["c", "a", "b"] {
        put(&server, json!({"key": key})).await.ok(200);
    }
    let first = get(&server, &format!("{PATH}?limit=2")).await;
    assert_eq!(
        (keys(&first), &first["next"]),
        (vec!["a", "b"], &json!("b"))
    );
    let last = get(&server, &format!("{PATH}?limit=2&after=b")).await;
    assert_eq!((keys(&last), &last["next"]), (vec!["c"], &Value::Null));
}

#[tokio::test]
async fn what_is_no_entry_says_why() {
    let server = server().await;
    for (body, status, code) in [
        (json!({"key": ""}), 422, "list-entry-refused"),
        (
            json!({"key": "k", "value": "x".repeat(2000)}),
            422,
            "list-entry-refused",
        ),
        (json!({"key": "k", "ttl": "1"}), 400, "invalid-body"),
        (json!({"key": "k", "until": "1h"}), 400, "invalid-body"),
        (json!({}), 400, "invalid-body"),
    ] {
        let refused = put(&server, body.clone()).await;
        assert_eq!(
            (refused.status.as_u16(), &*refused.code()),
            (status, code),
            "{body}"
        );
    }
    let path = "/api/v1/lists/a%20b/entries";
    let refused = call(&server, Method::PUT, path, Some(json!({"key": "k"}))).await;
    assert_eq!(refused.code(), "list-entry-refused");
    let unnamed = call(&server, Method::DELETE, PATH, None).await;
    assert_eq!(unnamed.code(), "invalid-query");
    assert_eq!(get(&server, "/api/v1/lists").await, json!({"lists": []}));
}

#[tokio::test]
async fn changes_of_lists_are_recorded_without_their_values() {
    let server = server().await;
    let body = json!({"key": "1.2.3.4", "value": "SECRET-PAYLOAD", "ttl": "90s"});
    put(&server, body).await.ok(200);
    assert_eq!(put(&server, json!({"key": ""})).await.status, 422);
    let path = format!("{PATH}?key=1.2.3.4");
    for _ in 0..2 {
        call(&server, Method::DELETE, &path, None).await.ok(200);
    }
    let acts = server.store.acts(0, u32::MAX).await.unwrap().rows;
    let acts: Vec<_> = acts.iter().map(|row| row.act().unwrap()).collect();
    let told = acts
        .iter()
        .map(|act| (&*act.what, &*act.target, &*act.outcome));
    // The second removal found nothing.
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            ("list.put", "blocked/1.2.3.4", "done"),
            ("list.put", "blocked/", "list-entry-refused"),
            ("list.remove", "blocked/1.2.3.4", "done"),
        ]
    );
    assert_eq!(acts[0].detail["ttl"], "90s");
    assert_eq!(acts[0].who.name, "all");
    assert!(!format!("{acts:?}").contains("SECRET-PAYLOAD"));
}
