//! What is refused, and with which answer.

use std::time::Duration;

use conche_modules::Refusal;
use http::Method;
use serde_json::json;

use super::{JSON, Served, json_of, problem, simple};

#[tokio::test]
async fn a_content_type_that_is_refused_is_told_what_is_taken_and_by_whom() {
    let served = Served::new(&[json!({ "path": "/in", "event_type": "t", "auth": "none" })]).await;
    let headers = [("content-type", "text/plain")];
    let response = served.send(Method::POST, "/in", &headers, "{}").await;
    assert_eq!(problem(&response), (415, "content-type-refused".to_owned()));
    assert_eq!(
        json_of(&response)["detail"],
        "this is the webhook listener: its webhook /in takes a Content-Type of application/json or any that ends in +json"
    );
    served.stop().await;
}

#[tokio::test]
#[allow(clippy::too_many_lines, reason = "one table")]
async fn requests_that_do_not_fit_get_the_status_that_says_why() {
    let config = json!({ "path": "/in", "event_type": "t", "auth": "none", "methods": ["POST", "PUT"], "body_bytes": "1KiB" });
    let batch = json!({ "path": "/batch", "event_type": "t", "auth": "none", "split": "/e" });
    let served = Served::new(&[config, batch]).await;
    let large = format!("\"{}\"", "x".repeat(1024));
    let deep = "[".repeat(65);
    let table = [
        ("POST", "/nothing", JSON, "{}", 404, "webhook-unknown"),
        ("POST", "/in/", JSON, "{}", 404, "webhook-unknown"),
        ("GET", "/in", "", "", 405, "method-not-allowed"),
        ("DELETE", "/in", JSON, "{}", 405, "method-not-allowed"),
        ("POST", "/in", JSON, &large, 413, "body-too-large"),
        ("POST", "/in", "", "{}", 415, "content-type-refused"),
        (
            "POST",
            "/in",
            "content-type: text/plain",
            "{}",
            415,
            "content-type-refused",
        ),
        (
            "POST",
            "/in",
            "content-type: application/jsonx",
            "{}",
            415,
            "content-type-refused",
        ),
        (
            "POST",
            "/in",
            "content-type: text/html, application/json",
            "{}",
            415,
            "content-type-refused",
        ),
        (
            "POST",
            "/in",
            "content-type: application/json\ncontent-type: application/json",
            "{}",
            415,
            "content-type-refused",
        ),
        (
            "POST",
            "/in",
            "content-type: application/json\ncontent-encoding: gzip",
            "{}",
            415,
            "content-encoding-refused",
        ),
        ("POST", "/in", JSON, "", 400, "json-malformed"),
        ("POST", "/in", JSON, "{'a':1}", 400, "json-malformed"),
        ("POST", "/in", JSON, &deep, 400, "json-too-deep"),
        (
            "POST",
            "/in",
            "content-type: application/json\nidempotency-key: ",
            "{}",
            422,
            "value-unusable",
        ),
        ("POST", "/batch", JSON, "{}", 422, "batch-missing"),
        ("POST", "/batch", JSON, r#"{"e":[]}"#, 422, "batch-empty"),
    ];
    for (method, path, headers, body, status, code) in table {
        let method: Method = method.parse().unwrap();
        let headers: Vec<_> = headers
            .lines()
            .filter_map(|line| line.split_once(": "))
            .collect();
        let response = served.send(method.clone(), path, &headers, body).await;
        assert_eq!(
            problem(&response),
            (status, code.to_owned()),
            "{method} {path} {body:.30}"
        );
        if status == 405 {
            assert_eq!(response.headers["allow"], "POST, PUT");
        }
    }
    assert_eq!(served.intake.stored().batches, 0);
    let suffix = [("content-type", "Application/X+JSON ; charset=utf-8")];
    assert_eq!(
        served.send(Method::PUT, "/in", &suffix, "{}").await.status,
        202
    );
    served.stop().await;
}

#[tokio::test]
async fn what_the_engine_refuses_is_told_with_the_time_to_come_back() {
    let served = Served::new(&[simple()]).await;
    let busy = Refusal::Busy {
        retry_after: Duration::from_millis(2500),
    };
    let table = [
        (busy, 429, "busy", Some("3")),
        (
            Refusal::Unavailable("/var/lib/x: disk full".to_owned()),
            503,
            "store-unavailable",
            Some("5"),
        ),
        (Refusal::Stopping, 503, "stopping", Some("5")),
        (
            Refusal::Invalid("no".to_owned()),
            422,
            "event-invalid",
            None,
        ),
    ];
    for (refusal, status, code, retry_after) in table {
        served.intake.refuse(Some(refusal));
        let response = served.post("/in", &[], "{}").await;
        assert_eq!(problem(&response), (status, code.to_owned()));
        let told = response
            .headers
            .get("retry-after")
            .map(|value| value.to_str().unwrap());
        assert_eq!(told, retry_after);
        assert!(!String::from_utf8_lossy(&response.body).contains("/var/lib"));
    }
    served.intake.refuse(None);
    assert_eq!(served.post("/in", &[], "{}").await.status, 202);
    served.stop().await;
}
