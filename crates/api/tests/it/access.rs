//! Who may call what: every route with no token, a wrong one, and one of each kind.

use std::collections::BTreeSet;

use axum::body::Body;
use conche_api::{Access, Authorizer, Caller, routes};
use conche_runtime::listener::Auth;
use conche_runtime::listener::guard::TokenSet;
use http::Method;
use secrecy::SecretString;

use crate::server::{Server, Wanted};

/// What each route needs. A new route belongs here, or the test below fails.
#[rustfmt::skip]
const EXPECTED: &[(&str, &str, Access)] = &[
    ("DELETE", "/api/v1/reactions/{name}",  Access::Define),
    ("DELETE", "/v1/events/{event}/reactions/{name}", Access::Define),
    ("GET",    "/api/v1/events",            Access::Read),
    ("GET",    "/api/v1/events/{id}",       Access::Read),
    ("GET",    "/api/v1/modules",           Access::Read),
    ("GET",    "/api/v1/reactions",         Access::Read),
    ("GET",    "/api/v1/reactions-folder",  Access::Read),
    ("GET",    "/api/v1/reactions/{name}",  Access::Read),
    ("GET",    "/api/v1/runs",              Access::Read),
    ("GET",    "/api/v1/runs/{id}",         Access::Read),
    ("GET",    "/api/v1/runs/{id}/journal", Access::Read),
    ("GET",    "/api/v1/runs/{id}/tail",    Access::Read),
    ("GET",    "/api/v1/tail",              Access::Read),
    ("GET",    "/errors/{code}",            Access::Anyone),
    ("GET",    "/healthz",                  Access::Anyone),
    ("GET",    "/metrics",                  Access::Read),
    ("GET",    "/openapi.json",             Access::Read),
    ("GET",    "/readyz",                   Access::Read),
    ("GET",    "/v1/actions",               Access::Read),
    ("GET",    "/v1/events",                Access::Read),
    ("GET",    "/v1/events/{event}/reactions", Access::Read),
    ("GET",    "/v1/events/{event}/reactions/{name}", Access::Read),
    ("GET",    "/v1/reactions",             Access::Read),
    ("GET",    "/version",                  Access::Anyone),
    ("POST",   "/api/v1/events",            Access::Send),
    ("POST",   "/api/v1/reactions/check",   Access::Read),
    ("POST",   "/api/v1/runs/{id}/cancel",  Access::Operate),
    ("POST",   "/api/v1/runs/{id}/resume",  Access::Operate),
    ("POST",   "/api/v1/runs/{id}/retry",   Access::Operate),
    ("POST",   "/v1/events/{event}/reactions", Access::Define),
    ("PUT",    "/api/v1/reactions/{name}",  Access::Define),
];

fn token_of(access: Access) -> String {
    format!("token-{access:?}")
}

/// One token for each kind of access, and one for all of them.
async fn server() -> Server {
    let mut tokens = TokenSet::new();
    for access in Access::ALL {
        let caller = Caller {
            name: format!("only {access:?}").into(),
            may: BTreeSet::from([access]),
        };
        tokens.insert(&SecretString::from(token_of(access)), caller);
    }
    let all = SecretString::from("token-all".to_owned());
    tokens.insert(&all, Caller::unlimited("all"));
    Server::with(Wanted {
        auth: Authorizer::Tokens(tokens),
        listener: Auth::Token,
        ..Wanted::default()
    })
    .await
}

/// The path with something in place of its parameters that is well-formed and not there.
fn filled(path: &str) -> String {
    path.replace("{id}", &uuid::Uuid::now_v7().to_string())
        .replace("{name}", "gone")
        .replace("{event}", "gone")
        .replace("{code}", "gone")
}

/// The status and, where there is a body at once, whether it is a problem of authorisation.
async fn status(server: &Server, method: &Method, path: &str, token: Option<&str>) -> u16 {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = bearer
        .iter()
        .map(|value| ("authorization", &**value))
        .collect();
    let answer = server
        .open(method.clone(), path, &headers, Body::empty())
        .await;
    if answer.status() == 401 {
        assert_eq!(answer.headers()["www-authenticate"], "Bearer");
    }
    answer.status().as_u16()
}

#[tokio::test]
async fn every_route_lets_in_exactly_whom_it_should() {
    let mut table: Vec<_> = routes()
        .into_iter()
        .map(|route| (route.method.to_string(), route.path, route.access))
        .collect();
    table.sort();
    let expected: Vec<_> = EXPECTED
        .iter()
        .map(|(method, path, access)| ((*method).to_owned(), *path, *access))
        .collect();
    assert_eq!(table, expected);

    let server = server().await;
    for (method, path, needed) in EXPECTED {
        let method: Method = method.parse().unwrap();
        let path = filled(path);
        let open = *needed == Access::Anyone;
        for token in [
            None,
            Some("wrong"),
            Some(""),
            Some("token-all, x"),
            Some("token-al"),
        ] {
            let status = status(&server, &method, &path, token).await;
            assert_eq!(status == 401, !open, "{method} {path} {token:?}: {status}");
        }
        for access in Access::ALL {
            let status = status(&server, &method, &path, Some(&token_of(access))).await;
            let allowed = open || access == *needed;
            assert_eq!(
                status == 403,
                !allowed,
                "{method} {path} {access:?}: {status}"
            );
            assert_ne!(status, 401, "{method} {path} {access:?}");
        }
        let status = status(&server, &method, &path, Some("token-all")).await;
        assert!(
            status != 401 && status != 403 && status < 500,
            "{method} {path}: {status}"
        );
    }
}

#[tokio::test]
async fn nothing_but_a_bearer_token_counts() {
    let server = server().await;
    for headers in [
        vec![("authorization", "token-all")],
        vec![("authorization", "Basic token-all")],
        vec![
            ("authorization", "Bearer token-all"),
            ("authorization", "Bearer token-all"),
        ],
        vec![("cookie", "token=token-all")],
        vec![("x-api-key", "token-all")],
    ] {
        let answer = server
            .call(Method::GET, "/api/v1/runs", &headers, Body::empty())
            .await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.code()),
            (401, "unauthorized"),
            "{headers:?}"
        );
        assert!(!answer.text.contains("token-all"), "{}", answer.text);
    }
    let answer = server.get("/api/v1/runs?token=token-all").await;
    assert_eq!(answer.status, 401);
    // Odd spellings of a path are other paths, never the same route without its check.
    for path in [
        "/api/v1/runs/",
        "//api/v1/runs",
        "/api/v1//runs",
        "/API/v1/runs",
        "/healthz/../api/v1/runs",
        "/api/v1/runs;/healthz",
        "/api/v1/runs%2fhealthz",
    ] {
        let answer = server.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.code()),
            (404, "unknown-path"),
            "{path}"
        );
    }
    // A path that only looks like an open one is still the route that it matches.
    let answer = server.get("/api/v1/reactions/healthz").await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn who_acts_is_recorded_by_the_name_of_the_token() {
    let server = server().await;
    let headers = [
        ("authorization", "Bearer token-all"),
        ("content-type", "application/json"),
    ];
    let reaction = r#"{"name":"r","event":"e","script":"next a {}","actions":{"a":{"module":"test","action":"unsafe"}}}"#;
    let put = server
        .call(Method::PUT, "/api/v1/reactions/r", &headers, reaction)
        .await;
    assert_eq!(put.status, 201);
    server
        .actions
        .plan("unsafe", [conche_testkit::Behaviour::Hang]);
    let event = server
        .call(Method::POST, "/api/v1/events", &headers, r#"{"type":"e"}"#)
        .await
        .ok(202);
    server.actions.called(1).await;
    let path = format!("/api/v1/events/{}", event["event_id"].as_str().unwrap());
    let shown = server
        .call(Method::GET, &path, &headers, Body::empty())
        .await
        .ok(200);
    let run = shown["runs"][0]["run_id"].as_str().unwrap().to_owned();
    let cancel = format!("/api/v1/runs/{run}/cancel");
    server
        .call(Method::POST, &cancel, &headers, "{}")
        .await
        .ok(202);
    let journal = format!("/api/v1/runs/{run}/journal");
    conche_testkit::until("the cancellation to be recorded", || async {
        let journal = server
            .call(Method::GET, &journal, &headers, Body::empty())
            .await;
        journal
            .text
            .contains(r#""cancel_requested":{"by":"all""#)
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_open_listener_on_loopback_refuses_web_pages() {
    let server = Server::start().await;
    for (headers, code) in [
        (vec![("host", "evil.example")], "host-refused"),
        (vec![("origin", "https://evil.example")], "origin-refused"),
    ] {
        let answer = server
            .call(Method::GET, "/api/v1/runs", &headers, Body::empty())
            .await;
        assert_eq!(answer.code(), code);
    }
}
