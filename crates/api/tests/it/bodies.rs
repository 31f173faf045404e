//! What arrives on the wire is read strictly, and no byte of it makes the server fail.

use http::Method;
use serde_json::json;

use crate::server::{BODY_BYTES, Server};

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn only_plain_json_is_taken_for_a_body() {
    let server = Server::start().await;
    for (headers, accepted) in [
        (vec![JSON], true),
        (
            vec![("content-type", "Application/JSON; charset=UTF-8")],
            true,
        ),
        (
            vec![("content-type", "application/json;charset=\"utf-8\"")],
            true,
        ),
        (vec![], false),
        (vec![("content-type", "text/plain")], false),
        (vec![("content-type", "text/json")], false),
        (vec![("content-type", "application/jsonp")], false),
        (vec![("content-type", "application/problem+json")], false),
        (
            vec![("content-type", "application/json; charset=latin1")],
            false,
        ),
        (
            vec![("content-type", "application/json; charset=utf-8; x=y")],
            false,
        ),
        (
            vec![("content-type", "application/json, text/plain")],
            false,
        ),
        (
            vec![("content-type", "multipart/form-data; boundary=x")],
            false,
        ),
        (
            vec![("content-type", "application/x-www-form-urlencoded")],
            false,
        ),
        (vec![JSON, ("content-encoding", "gzip")], false),
    ] {
        let answer = server
            .call(Method::POST, "/api/v1/events", &headers, r#"{"type":"e"}"#)
            .await;
        if accepted {
            assert_eq!(answer.status, 202, "{headers:?}");
        } else {
            assert_eq!(answer.status, 415, "{headers:?}");
            assert_eq!(answer.code(), "content-type-refused", "{headers:?}");
        }
    }
}

#[tokio::test]
async fn bodies_that_do_not_fit_are_refused_with_their_code() {
    let server = Server::start().await;
    let deep = format!(
        "{{\"type\":\"e\",\"data\":{}{}}}",
        "[".repeat(64),
        "]".repeat(64)
    );
    let large = format!("{{\"type\":\"e\",\"data\":\"{}\"}}", "x".repeat(BODY_BYTES));
    for (body, status, code) in [
        ("", 400, "invalid-json"),
        ("{", 400, "invalid-json"),
        ("{\"type\":\"e\"} x", 400, "invalid-json"),
        (&*deep, 400, "invalid-json"),
        (&*large, 413, "body-too-large"),
        ("[]", 400, "invalid-body"),
        ("null", 400, "invalid-body"),
        ("{}", 400, "invalid-body"),
        ("{\"type\":7}", 400, "invalid-body"),
        ("{\"type\":\"e\",\"typ\":1}", 400, "invalid-body"),
        ("{\"type\":\"e\",\"type\":\"f\"}", 400, "invalid-body"),
        (
            "{\"type\":\"e\",\"time\":\"yesterday\"}",
            400,
            "invalid-body",
        ),
    ] {
        let answer = server
            .call(Method::POST, "/api/v1/events", &[JSON], body.to_owned())
            .await;
        let shown: String = body.chars().take(60).collect();
        assert_eq!(
            (answer.status.as_u16(), &*answer.code()),
            (status, code),
            "{shown}"
        );
    }
    let answer = server
        .post("/api/v1/events", json!({"type": "e", "typ": 1}))
        .await;
    assert!(answer.text.contains("unknown key `typ`"), "{}", answer.text);
}

#[tokio::test]
async fn no_body_makes_the_server_fail() {
    let server = Server::start().await;
    let run = uuid::Uuid::now_v7();
    let paths = [
        (Method::POST, "/api/v1/events".to_owned()),
        (Method::POST, "/api/v1/reactions/check".to_owned()),
        (Method::PUT, "/api/v1/reactions/r".to_owned()),
        (Method::POST, format!("/api/v1/runs/{run}/cancel")),
        (Method::POST, format!("/api/v1/runs/{run}/retry")),
        (Method::POST, format!("/api/v1/runs/{run}/pause")),
        (Method::POST, format!("/api/v1/runs/{run}/resume")),
    ];
    let mut bodies: Vec<Vec<u8>> = [
        "",
        " ",
        "0",
        "-",
        "null",
        "true",
        "\"",
        "\"\\ud800\"",
        "[",
        "]",
        "{",
        "}",
        "{}",
        "[]",
        "[[]]",
        "{\"\":\"\"}",
        "{\"type\":null}",
        "{\"type\":\"e\",\"data\":1e999}",
        "{\"type\":\"e\",\"data\":-0}",
        "{\"type\":\"e\",\"data\":\"\\u0000\"}",
        "{\"type\":\"\\ud800\"}",
        "{\"__proto__\":{}}",
        "{\"visit\":-1}",
        "{\"visit\":4294967296}",
        "{\"resolution\":\"repeat\"}",
        "{\"resolution\":{\"succeeded\":{\"output\":[]}}}",
        "{\"resolution\":{\"succeeded\":{}}}",
        "{\"resolution\":{\"failed\":{\"reason\":\"x\"},\"repeat\":null}}",
        "{\"resolution\":{}}",
        "{\"reason\":{}}",
        "{\"name\":\"r\"}",
        "{\"name\":\"r\",\"event\":\"e\",\"script\":\"syntax error\"}",
        "{\"name\":\"r\",\"event\":\"e\",\"script_file\":\"/etc/passwd\"}",
        "{\"name\":\"r\",\"event\":\"e\",\"script\":\"\",\"when\":\"((((\"}",
        "{\"name\":\"r\",\"event\":\"e\",\"script\":\"\",\"limits\":{\"deadline\":\"-1s\"}}",
        "{\"name\":\"r\",\"event\":\"e\",\"script\":\"\",\"actions\":{\"\":{}}}",
        "\u{feff}{}",
        "{\"a\":1,\"a\":2}",
        "NaN",
        "{'a':1}",
        "{\"a\":1,}",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    bodies.push(vec![0xff, 0xfe, b'{']);
    bodies.push(vec![0; 100]);
    bodies.push("[".repeat(BODY_BYTES / 2).into_bytes());
    bodies.push("{\"a\":".repeat(5000).into_bytes());
    bodies.push(format!("{{\"type\":\"e\",\"data\":{}}}", "9".repeat(60_000)).into_bytes());
    for (method, path) in &paths {
        for body in &bodies {
            let answer = server
                .call(method.clone(), path, &[JSON], body.clone())
                .await;
            let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
            assert!(answer.status.as_u16() < 500, "{path} {shown}: {answer:?}");
            if answer.status.is_client_error() {
                answer.code();
            }
        }
    }
    server.get("/readyz").await.ok(200);
}
