//! What the host says of itself, and requests that are none.

use axum::body::Body;
use axum::http::{Method, Request, header};
use serde_json::json;

use crate::harness::{World, basic};

#[tokio::test]
async fn the_host_says_what_it_is_without_credentials() {
    let world = World::new().await;
    let get = async |path: &str| {
        world
            .send(Request::get(path).body(Body::empty()).unwrap())
            .await
    };
    let root = get("/").await;
    assert_eq!(root.header("content-type"), Some("application/json"));
    let root = root.of(200);
    assert_eq!(root["api_paths"], json!(["/api/v1"]));
    assert_eq!(root["limits"]["max_action_memory"], 512 << 20);
    assert_eq!(root["limits"]["sequence_length"], 50);
    let default = root["runtimes"]["nodejs"].as_array().unwrap().iter();
    let default: Vec<_> = default.filter(|one| one["default"] == true).collect();
    assert_eq!(default.len(), 1, "{root}");
    assert_eq!(get("/ping").await.text(), "pong");
    for path in ["/api/v1", "/api/v1/"] {
        assert_eq!(get(path).await.of(200)["api_version_path"], "v1");
    }
}

#[tokio::test]
async fn a_namespace_has_its_name_and_its_limits() {
    let world = World::new().await;
    for path in ["/api/v1/namespaces", "/api/v1/namespaces/"] {
        assert_eq!(world.get(path).await.of(200), json!(["guest"]));
    }
    let limits = world.get("limits").await.of(200);
    for (name, value) in [
        ("invocationsPerMinute", json!(600_000)),
        ("concurrentInvocations", json!(1000)),
        ("firesPerMinute", json!(600_000)),
        ("minActionMemory", json!(128)),
        ("maxActionMemory", json!(512)),
        ("minActionLogs", json!(0)),
        ("maxActionLogs", json!(10)),
        ("minActionTimeout", json!(100)),
        ("maxActionTimeout", json!(300_000)),
        ("maxActionConcurrency", json!(1)),
        ("maxParameterSize", json!("1048576 B")),
    ] {
        assert_eq!(limits[name], value, "{name}");
    }
    assert!(
        limits.get("allowedKinds").is_none(),
        "what is unset is left out"
    );
}

#[tokio::test]
async fn requests_that_are_none_are_refused() {
    let world = World::new().await;
    let nothing = "The requested resource does not exist.";
    for path in ["/api/v1/namespaces/guest", "/nothing", "/api/v2/namespaces"] {
        world.get(path).await.refuses(404, nothing);
    }
    let text = "The request could not be understood.";
    world.get("actions/%FF").await.refuses(400, text);
    let reply = world.post("packages/p", json!({})).await;
    assert_eq!(reply.status, 405);
    assert!(
        reply.text().contains("HTTP method not allowed"),
        "{reply:?}"
    );
    for method in [Method::PUT, Method::POST, Method::DELETE] {
        let path = "/api/v1/namespaces/_/activations";
        let reply = world.as_user(world.guest(), method, path, None).await;
        assert_eq!(reply.status, 405);
    }
    let send = async |kind: &str, body: &'static str| {
        let request = Request::put("/api/v1/namespaces/_/actions/a")
            .header(header::AUTHORIZATION, basic(world.guest()))
            .header(header::CONTENT_TYPE, kind);
        world.send(request.body(Body::from(body)).unwrap()).await
    };
    let reply = send("text/plain", "{}").await;
    reply.refuses(
        415,
        "The request's Content-Type is not supported. Expected:\napplication/json",
    );
    let reply = send("application/json", "{").await;
    let text = reply.of(400)["error"].as_str().unwrap().to_owned();
    assert!(
        text.starts_with("The request content was malformed:\n"),
        "{text}"
    );
}

#[tokio::test]
async fn a_lonely_question_mark_is_no_query() {
    let world = World::new().await;
    assert_eq!(world.get("actions?").await.of(200), json!([]));
    world.get("actions?count=true").await.of(200);
}

#[tokio::test]
async fn names_are_checked_as_upstream_does() {
    let world = World::new().await;
    let illegal = "The name of the entity contains illegal characters.";
    world.get("actions/a%2Bb").await.refuses(400, illegal);
    world.get("triggers/%20a").await.refuses(400, illegal);
    let namespace = "/api/v1/namespaces/a%2Bb/actions";
    let text = "The namespace contains illegal characters.";
    world.get(namespace).await.refuses(400, text);
    let long = format!("actions/{}", "a".repeat(257));
    let text = "Name segement longer than allowed: 257 > 256.";
    world.get(&long).await.refuses(400, text);
    let default = "Package name 'default' is reserved.";
    world
        .put("packages/default", json!({}))
        .await
        .refuses(400, default);
    world.action("a%20b@c.d&e-f").await;
    assert_eq!(
        world.get("actions/a%20b@c.d&e-f").await.of(200)["name"],
        "a b@c.d&e-f"
    );
}
