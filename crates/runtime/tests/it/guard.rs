//! The checks of a `loopback-open` listener and of bearer tokens.

use axum::{Extension, Router, body::Body, extract::Request, routing::any};
use conche_runtime::listener::{
    guard::{Own, TokenSet, bearer, check_local},
    problem_json,
};
use http::{Response, StatusCode, header, uri::Scheme};
use tower::ServiceExt;

const JSON: &str = "content-type: application/json";

/// The status that a request is refused with; 200 where it is let through.
fn verdict(method: &str, headers: &[&str], body: &'static str) -> u16 {
    verdict_of(&Scheme::HTTP, method, headers, body)
}

fn verdict_of(scheme: &Scheme, method: &str, headers: &[&str], body: &'static str) -> u16 {
    let mut request = Request::builder().method(method).uri("/");
    for line in headers {
        let (name, value) = line.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    let body = if body.is_empty() {
        Body::empty()
    } else {
        Body::from(body)
    };
    let request = request.body(body).unwrap();
    check_local(&request, &own(scheme.clone()))
        .map_or_else(|problem| problem.status.as_u16(), |()| 200)
}

fn own(scheme: Scheme) -> Own {
    Own {
        name: "test".to_owned(),
        scheme,
        hosts: vec!["soc.lan".to_owned()],
        origins: vec!["http://roaster.test:3000".to_owned()],
        forms_from_programs: false,
    }
}

#[test]
fn only_loopback_and_configured_hosts_are_answered() {
    let table = [
        ("localhost:8888", 200),
        ("LOCALHOST.", 200),
        ("ui.localhost:1", 200),
        ("127.0.0.1:8888", 200),
        ("127.8.8.8", 200),
        ("[::1]:8888", 200),
        ("[::ffff:127.0.0.1]", 200),
        ("SOC.lan:8888", 200),
        ("evil.test", 421),
        ("localhost.evil.test", 421),
        ("127.0.0.1.evil.test", 421),
        ("notlocalhost", 421),
        ("10.0.0.1", 421),
        ("0.0.0.0", 421),
        ("evil.test@127.0.0.1", 400),
        ("a b", 400),
    ];
    for (host, expected) in table {
        assert_eq!(
            verdict("GET", &[&format!("host: {host}")], ""),
            expected,
            "{host}"
        );
    }
    assert_eq!(verdict("GET", &[], ""), 400);
    assert_eq!(
        verdict("GET", &["host: localhost", "host: localhost"], ""),
        400
    );
}

#[test]
fn a_page_of_another_origin_can_not_call() {
    let host = "host: 127.0.0.1:8888";
    let table = [
        ("origin: http://127.0.0.1:8888", 200),
        ("origin: HTTP://127.0.0.1:8888", 200),
        ("origin: https://127.0.0.1:8888", 403),
        ("origin: ws://127.0.0.1:8888", 403),
        ("origin: http://127.0.0.1", 403),
        ("origin: http://x@127.0.0.1:8888", 403),
        ("origin: http://127.0.0.1:8888/", 403),
        ("origin: 127.0.0.1:8888", 403),
        ("origin: http://127.0.0.1:3000", 403),
        ("origin: http://localhost:8888", 403),
        ("origin: http://127.0.0.1:8888.evil.test", 403),
        ("origin: https://evil.test", 403),
        ("origin: null", 403),
        ("sec-fetch-site: same-origin", 200),
        ("sec-fetch-site: none", 200),
        ("sec-fetch-site: same-site", 403),
        ("sec-fetch-site: cross-site", 403),
    ];
    for (line, expected) in table {
        assert_eq!(
            verdict("POST", &[host, JSON, line], "{}"),
            expected,
            "{line}"
        );
    }
    assert_eq!(
        verdict("GET", &[host, "origin: https://evil.test"], ""),
        403
    );
    assert_eq!(
        verdict("GET", &[host, "sec-fetch-site: cross-site"], ""),
        200,
        "a link"
    );
}

#[test]
fn scheme_host_and_port_of_an_origin_must_all_be_the_listeners() {
    let (http, https) = (Scheme::HTTP, Scheme::HTTPS);
    let table = [
        (&http, "localhost", "http://localhost", 200),
        (&http, "localhost", "http://localhost:80", 200),
        (&http, "localhost:80", "http://localhost", 200),
        (&http, "LocalHost", "http://localhost", 200),
        (&http, "localhost", "http://localhost:443", 403),
        (&http, "localhost", "https://localhost", 403),
        (&http, "localhost", "http://localhost:8888.evil.test", 403),
        (&http, "[::1]:8888", "http://[::1]:8888", 200),
        (&http, "[::1]:8888", "http://[::1]:8889", 403),
        (&https, "localhost:443", "https://localhost", 200),
        (&https, "localhost:8888", "https://localhost:8888", 200),
        (&https, "localhost:8888", "http://localhost:8888", 403),
        (&https, "localhost", "https://localhost:80", 403),
        // A proxy in front may encrypt.
        (&http, "soc.lan", "https://soc.lan", 200),
        (&http, "soc.lan", "http://soc.lan", 200),
        (&http, "soc.lan", "https://soc.lan:8443", 403),
        (&https, "soc.lan", "http://soc.lan", 403),
    ];
    for (scheme, host, origin, expected) in table {
        let headers = [&format!("host: {host}"), JSON, &format!("origin: {origin}")];
        assert_eq!(
            verdict_of(scheme, "POST", &headers, "{}"),
            expected,
            "{scheme} {host} {origin}"
        );
    }
}

#[test]
fn a_content_type_that_any_page_can_send_is_refused_for_changes() {
    let host = "host: localhost";
    let table = [
        ("content-type: application/json", 200),
        (
            "content-type: application/cloudevents+json; charset=utf-8",
            200,
        ),
        ("content-type: text/plain", 415),
        ("content-type: Text/Plain; x=application/json", 415),
        ("content-type: text/plain ;charset=utf-8", 415),
        ("content-type: application/x-www-form-urlencoded", 415),
        ("content-type: multipart/form-data; boundary=x", 415),
        ("content-type: ", 415),
        ("accept: */*", 415),
    ];
    for (line, expected) in table {
        for method in ["POST", "PUT", "PATCH", "DELETE", "PURGE"] {
            assert_eq!(
                verdict(method, &[host, line], "{}"),
                expected,
                "{method} {line}"
            );
        }
    }
    assert_eq!(verdict("POST", &[host], ""), 200, "no body, no type");
    assert_eq!(verdict("GET", &[host, "content-type: text/plain"], ""), 200);
    assert_eq!(
        verdict("POST", &[host, JSON, "content-type: text/plain"], "{}"),
        415
    );
}

#[test]
fn where_programs_may_send_forms_browsers_still_may_not() {
    let own = Own {
        forms_from_programs: true,
        ..own(Scheme::HTTP)
    };
    let form = ("content-type", "application/x-www-form-urlencoded");
    for (header, expected) in [
        (("user-agent", "curl/8.5"), 200),
        (("origin", "null"), 403),
        (("origin", "http://evil.test"), 403),
        (("sec-fetch-site", "cross-site"), 403),
        (("origin", "http://localhost:8888"), 415),
        (("referer", "http://evil.test/"), 415),
        (("cookie", "a=b"), 415),
    ] {
        let request = Request::post("/").header("host", "localhost:8888");
        let request = request.header(form.0, form.1).header(header.0, header.1);
        let checked = check_local(&request.body(Body::from("{}")).unwrap(), &own);
        let status = checked.map_or_else(|problem| problem.status.as_u16(), |()| 200);
        assert_eq!(status, expected, "{header:?}");
    }
}

async fn answer(authorization: Option<&str>) -> Response<Body> {
    let mut tokens = TokenSet::new();
    tokens.insert(&"the-first".into(), "anna");
    tokens.insert(&"the-second".into(), "bert");
    let route = any(|Extension(who): Extension<&'static str>| async move { who });
    let router = bearer(
        Router::new().route("/", route),
        move |token: &str| tokens.identify(token),
        problem_json,
    );
    let mut request = Request::builder().uri("/");
    if let Some(value) = authorization {
        request = request.header(header::AUTHORIZATION, value);
    }
    router
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_known_token_gives_its_identity_to_the_route() {
    for (value, who) in [("Bearer the-first", "anna"), ("bearer  the-second", "bert")] {
        let response = answer(Some(value)).await;
        assert_eq!(response.status(), StatusCode::OK);
        let body = axum::body::to_bytes(response.into_body(), 100)
            .await
            .unwrap();
        assert_eq!(body, who);
    }
}

#[tokio::test]
async fn everything_but_a_known_token_is_401() {
    let table = [
        None,
        Some(""),
        Some("Bearer"),
        Some("Bearer "),
        Some("Bearer nothing"),
        Some("Bearer the-firs"),
        Some("Bearer the-first2"),
        Some("Bearer the-first,the-second"),
        Some("Bearer the-first the-second"),
        Some("Basic the-first"),
        Some("the-first"),
    ];
    for value in table {
        let response = answer(value).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{value:?}");
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
    }
}

#[test]
fn a_set_without_tokens_knows_nobody() {
    assert_eq!(TokenSet::<u8>::new().identify(""), None);
}
