//! Who may call, and what may be seen of others.

use axum::body::Body;
use axum::http::{Method, Request, header};
use conche_openwhisk_host::Settings;
use serde_json::json;

use crate::harness::{World, code};

const FORBIDDEN: &str = "The supplied authentication is not authorized to access";

#[tokio::test]
async fn without_credentials_and_with_wrong_ones_the_answer_is_401() {
    let world = World::new().await;
    let path = "/api/v1/namespaces/_/actions";
    let bare = world
        .send(Request::get(path).body(Body::empty()).unwrap())
        .await;
    bare.refuses(
        401,
        "The resource requires authentication, which was not supplied with the request",
    );
    assert_eq!(
        bare.header("www-authenticate"),
        Some("Basic realm=\"OpenWhisk secure realm\"")
    );
    let wrong = Request::get(path).header(header::AUTHORIZATION, "Basic YTpi");
    let wrong = world.send(wrong.body(Body::empty()).unwrap()).await;
    wrong.refuses(401, "The supplied authentication is invalid");
}

#[tokio::test]
async fn an_underscore_is_the_callers_namespace() {
    let world = World::new().await;
    world.action("a").await;
    let own = world.get("/api/v1/namespaces/guest/actions/a").await;
    assert_eq!(own.of(200), world.get("actions/a").await.of(200));
    let other = world.other().clone();
    let path = "/api/v1/namespaces/_/actions/a";
    let foreign = world.as_user(&other, Method::GET, path, None).await;
    foreign.refuses(404, "The requested resource does not exist.");
}

#[tokio::test]
async fn a_foreign_namespace_is_closed_but_for_published_packages() {
    let world = World::new().await;
    world.action("private").await;
    for (package, publish) in [("open", true), ("closed", false)] {
        let path = format!("packages/{package}");
        world
            .put(&path, json!({ "publish": publish }))
            .await
            .of(200);
        world.action(&format!("{package}/a")).await;
    }
    let other = world.other().clone();
    let as_other = async |method: Method, path: &str| {
        let path = format!("/api/v1/namespaces/guest/{path}");
        let body = (method == Method::PUT || method == Method::POST).then(code);
        world.as_user(&other, method, &path, body).await
    };
    as_other(Method::GET, "actions/open/a").await.of(200);
    let ran = as_other(Method::POST, "actions/open/a?blocking=true").await;
    assert_eq!(ran.of(200)["namespace"], "other", "the invoker's");
    let packages = as_other(Method::GET, "packages").await.of(200);
    assert_eq!(packages.as_array().unwrap().len(), 1);
    assert_eq!(packages[0]["name"], "open");
    for (method, path, entity) in [
        (Method::GET, "actions/private", "guest/private"),
        (Method::POST, "actions/private", "guest/private"),
        (Method::GET, "actions/closed/a", "guest/closed"),
        (Method::GET, "packages/closed", "guest/closed"),
        (Method::GET, "packages/missing", "guest/missing"),
        (Method::PUT, "actions/open/a?overwrite=true", "guest/open/a"),
        (Method::PUT, "actions/mine", "guest/mine"),
        (Method::DELETE, "actions/open/a", "guest/open/a"),
        (Method::GET, "actions", "guest/actions"),
        (Method::GET, "triggers/t", "guest/t"),
        (Method::POST, "triggers/t", "guest/t"),
        (Method::GET, "rules", "guest/rules"),
        (Method::GET, "activations", "guest/activations"),
        (Method::GET, "limits", "guest/limits"),
    ] {
        let reply = as_other(method, path).await;
        reply.refuses(403, &format!("{FORBIDDEN} '{entity}'."));
    }
}

#[tokio::test]
async fn a_request_keeps_its_identifier_and_pages_may_call() {
    let world = World::new().await;
    let request = Request::get("/api/v1/namespaces/_/nothing").header("x-request-id", "mine");
    let reply = world.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(reply.of(404)["code"], "mine");
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    assert_eq!(
        reply.header("access-control-allow-methods"),
        Some("GET, DELETE, POST, PUT, HEAD")
    );
    let asks = Request::builder()
        .method(Method::OPTIONS)
        .uri("/api/v1/namespaces/_/actions");
    let reply = world.send(asks.body(Body::empty()).unwrap()).await;
    assert_eq!(reply.status, 200);
    assert_eq!(
        reply.header("access-control-allow-headers"),
        Some("Authorization, Origin, X-Requested-With, Content-Type, Accept, User-Agent")
    );
}

#[tokio::test]
async fn no_page_calls_a_host_whose_keys_everybody_knows() {
    let world = World::with(Settings {
        dev: true,
        ..Settings::default()
    })
    .await;
    for method in [Method::OPTIONS, Method::GET] {
        let request = Request::builder()
            .method(method)
            .uri("/api/v1/namespaces/_/actions")
            .header("origin", "https://evil.example")
            .header("access-control-request-method", "PUT");
        let reply = world.send(request.body(Body::empty()).unwrap()).await;
        let allowed = reply.headers.keys();
        let mut allowed = allowed.filter(|name| name.as_str().starts_with("access-control"));
        assert_eq!(allowed.next(), None);
    }
}
