//! Health, metrics, and what every answer has in common.

use std::sync::Arc;

use axum::body::Body;
use conche_api::{Code, routes};
use conche_modules::Connection;
use conche_runtime::clock::Clock as _;
use conche_store::memory::MemoryStore;
use conche_store::{RunStore as _, Store};
use http::Method;
use serde_json::json;

use crate::server::{Server, Wanted};

#[tokio::test]
async fn a_server_that_can_work_is_up_and_ready() {
    let server = Server::start().await;
    assert_eq!(
        server.get("/healthz").await.ok(200),
        json!({"status": "ok"})
    );
    assert_eq!(server.get("/readyz").await.ok(200), json!({"status": "ok"}));
    assert_eq!(
        server.get("/version").await.ok(200),
        json!({"version": "1.2.3"})
    );
}

#[tokio::test]
async fn a_source_that_is_away_is_shown_wherever_one_looks_and_the_server_stays_ready() {
    let server = Server::start().await;
    let shown = async || server.get("/api/v1/sources").await.ok(200)["sources"].clone();
    let nothing = json!([
        { "id": "configured", "module": "amqp", "connected": null },
        { "id": "hook", "module": "webhook", "connected": null },
    ]);
    assert_eq!(shown().await, nothing);
    let note = |state| server.intake.connection("configured", "", state);
    let counts = async |value: u8| {
        let line = format!("conche_source_connected{{source=\"configured\"}} {value}\n");
        assert!(server.get("/metrics").await.text.contains(&line), "{line}");
    };
    note(Connection::Awaited);
    note(Connection::Broken("no connection".to_owned()));
    let now = server.clock.now().to_string();
    let away = json!({
        "id": "configured", "module": "amqp", "connected": false, "since": now,
        "last_error": { "at": now, "message": "no connection" },
    });
    assert_eq!(shown().await[0], away);
    let ready = server.get("/readyz").await.ok(200);
    assert_eq!(ready, json!({ "status": "ok", "sources_away": [away] }));
    counts(0).await;
    note(Connection::Open);
    assert_eq!(shown().await[0]["connected"], true);
    assert_eq!(shown().await[0]["last_error"]["message"], "no connection");
    assert_eq!(
        server.get("/readyz").await.ok(200),
        json!({ "status": "ok" })
    );
    counts(1).await;
}

#[tokio::test]
async fn a_closed_store_makes_the_server_unready_and_every_route_says_so() {
    let store = Arc::new(MemoryStore::new());
    let kept: Arc<dyn Store> = store.clone();
    let server = Server::with(Wanted {
        store: kept,
        ..Wanted::default()
    })
    .await;
    store.close().await.unwrap();
    let answer = server.get("/readyz").await;
    assert_eq!(
        (answer.status.as_u16(), &*answer.code()),
        (503, "not-ready")
    );
    assert!(
        answer.text.contains("the store cannot be written"),
        "{}",
        answer.text
    );
    let id = uuid::Uuid::now_v7();
    let event = server.post("/api/v1/events", json!({"type": "e"})).await;
    let mut answers = vec![event];
    for path in [
        "/api/v1/events".to_owned(),
        "/api/v1/runs".to_owned(),
        format!("/api/v1/runs/{id}"),
    ] {
        answers.push(server.get(&path).await);
    }
    for answer in answers {
        assert_eq!(
            (answer.status.as_u16(), &*answer.code()),
            (503, "store-unavailable")
        );
        assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
    }
    // The process is still up, and its metrics are wanted now more than ever.
    server.get("/healthz").await.ok(200);
    assert_eq!(server.get("/metrics").await.status, 200);
}

#[tokio::test]
async fn metrics_of_all_parts_are_given_in_one_text() {
    let server = Server::start().await;
    server.react("idempotent").await;
    server
        .run_that_is(conche_core::run::Status::Succeeded)
        .await;
    let answer = server.get("/metrics").await;
    assert_eq!(
        answer.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    for line in [
        "conche_events_total{duplicate=\"false\",source=\"api\"} 1",
        "conche_runs{status=\"succeeded\"} 1",
        "conche_runs{status=\"failed\"} 0",
        "conche_runs_held_max 512",
        "conche_runs_waiting 0",
        "extra_total 0",
    ] {
        assert!(
            answer.text.lines().any(|found| found == line),
            "{line}\n{}",
            answer.text
        );
    }
    for name in [
        "conche_tasks ",
        "process_resident_memory_bytes ",
        "process_open_fds ",
    ] {
        let line = answer.text.lines().find_map(|line| line.strip_prefix(name));
        assert!(line.unwrap().parse::<u64>().unwrap() > 0, "{name}");
    }
}

#[tokio::test]
async fn modules_are_listed_with_their_schemas() {
    let server = Server::start().await;
    let modules = server.get("/api/v1/modules").await.ok(200);
    let names = |kind: &str| -> Vec<String> {
        let modules = modules[kind].as_array().unwrap().iter();
        modules
            .map(|module| module["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let sources = conche_modules::sources::ALL
        .iter()
        .map(|module| module.name);
    assert_eq!(names("sources"), sources.collect::<Vec<_>>());
    let actions = conche_modules::actions::ALL
        .iter()
        .map(|module| module.name);
    assert_eq!(names("actions"), actions.collect::<Vec<_>>());
    let dummy = modules["actions"]
        .as_array()
        .unwrap()
        .iter()
        .find(|module| module["name"] == "dummy");
    let action = &dummy.unwrap()["actions"][0];
    assert_eq!(
        (&action["name"], &action["repeat"]),
        (&json!("dummy_action"), &json!("idempotent"))
    );
    assert!(action["input"]["properties"].is_object(), "{action}");
}

#[tokio::test]
async fn every_code_is_explained_by_the_server_itself() {
    let server = Server::start().await;
    for code in Code::all() {
        let page = server.get(&format!("/errors/{}", code.name)).await;
        assert_eq!(page.status, 200);
        assert_eq!(page.header("content-type"), "text/markdown; charset=utf-8");
        assert!(page.text.contains(code.title), "{}", page.text);
    }
    assert_eq!(server.get("/errors/gone").await.code(), "not-found");
}

#[tokio::test]
async fn unknown_paths_methods_and_parameters_are_refused() {
    let server = Server::start().await;
    for path in [
        "/",
        "/api",
        "/api/v1",
        "/api/v1/gone",
        "/api/v2/runs",
        "/errors/",
    ] {
        let answer = server.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.code()),
            (404, "unknown-path"),
            "{path}"
        );
    }
    let answer = server.post("/api/v1/runs", json!({})).await;
    assert_eq!(
        (answer.status.as_u16(), &*answer.code()),
        (405, "method-not-allowed")
    );
    assert_eq!(answer.header("allow"), "GET,HEAD");
    let answer = server
        .call(Method::PATCH, "/api/v1/reactions/r", &[], Body::empty())
        .await;
    assert_eq!(answer.code(), "method-not-allowed");
    assert_eq!(answer.header("allow"), "GET,HEAD,PUT,DELETE");
    let answer = server
        .call(Method::OPTIONS, "/api/v1/events", &[], Body::empty())
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("allow")),
        (204, "GET,HEAD,POST")
    );
    assert!(answer.headers.get("access-control-allow-origin").is_none());
    let head = server
        .call(Method::HEAD, "/api/v1/runs", &[], Body::empty())
        .await;
    assert_eq!((head.status.as_u16(), &*head.text), (200, ""));

    let id = uuid::Uuid::now_v7().to_string();
    for route in routes().into_iter().filter(|route| !route.is_foreign()) {
        let path = route
            .path
            .replace("{id}", &id)
            .replace("{name}", "r")
            .replace("{code}", "busy");
        let json = [("content-type", "application/json")];
        let answer = server
            .call(
                route.method.clone(),
                &format!("{path}?nonsense=1"),
                &json,
                "{}",
            )
            .await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.code()),
            (400, "invalid-query"),
            "{} {path}",
            route.method
        );
        assert!(answer.text.contains("nonsense"), "{}", answer.text);
    }
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let server = Server::start().await;
    for path in [
        "/healthz",
        "/metrics",
        "/api/v1/runs",
        "/api/v1/runs/x",
        "/gone",
        "/errors/busy",
        "/openapi.json",
    ] {
        let answer = server.get(path).await;
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("cache-control", "no-store"),
            (
                "content-security-policy",
                "default-src 'none'; frame-ancestors 'none'",
            ),
            ("referrer-policy", "no-referrer"),
        ] {
            assert_eq!(answer.header(name), value, "{path}");
        }
    }
}
