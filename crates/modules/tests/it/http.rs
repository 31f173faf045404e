//! The `http` actions against a server that answers, breaks off, hangs and floods.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::routing::{any, get};
use conche_modules::{Action, Error};
use conche_runtime::egress::{Egress, EgressConfig};
use http::header;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::service::{Service, echo};
use crate::support::{action, call, context, invoke};

/// Fails differently at each path.
fn routes() -> Router {
    let flood = || async {
        let piece = bytes::Bytes::from(vec![b'x'; 1 << 16]);
        let endless = futures_util::stream::repeat(Ok::<_, std::convert::Infallible>(piece));
        Body::from_stream(endless)
    };
    Router::new()
        .route(
            "/busy",
            any(|| async {
                (
                    http::StatusCode::TOO_MANY_REQUESTS,
                    [(header::RETRY_AFTER, "7")],
                    "later",
                )
            }),
        )
        .route(
            "/moved",
            any(|| async { (http::StatusCode::FOUND, [(header::LOCATION, "/echo")]) }),
        )
        .route(
            "/broken",
            any(|| async { http::StatusCode::INTERNAL_SERVER_ERROR }),
        )
        .route("/flood", get(flood).post(flood))
        .route(
            "/hang",
            any(|| async { std::future::pending::<()>().await }),
        )
        .fallback(echo)
}

async fn peer() -> Service {
    Service::start(routes()).await
}

/// The module, with a secret for this machine and one for another.
fn module(folder: &tempfile::TempDir) -> Arc<dyn Action> {
    let cx = context(
        folder.path(),
        &[
            ("token", "hunter22-hunter22"),
            ("elsewhere", "other-value"),
            ("kept", "kept-value"),
        ],
    );
    let config = json!({ "secrets": {
        "token": { "hosts": ["127.0.0.1"], "plain_http": true },
        "elsewhere": { "hosts": ["api.example.com"], "plain_http": true },
    } });
    action("http", config, &cx).unwrap()
}

fn is_permanent(result: &Result<Value, Error>, text: &str) -> bool {
    matches!(result, Err(Error::Permanent(message)) if message.contains(text))
}

#[tokio::test]
async fn a_request_is_sent_as_written_and_its_answer_told() {
    let (peer, folder) = (peer().await, tempfile::tempdir().unwrap());
    let http = module(&folder);
    let get = invoke(
        &http,
        "get",
        json!({ "url": peer.url("/a?x=1"), "query": { "q": "a b&c", "n": 2 } }),
    )
    .await
    .unwrap();
    assert_eq!(
        (&get["status"], &get["json"]["method"]),
        (&json!(200), &json!("GET"))
    );
    assert_eq!(get["json"]["uri"], "/a?x=1&n=2&q=a+b%26c");
    assert_eq!(get["headers"]["content-type"], "application/json");
    assert_eq!(
        serde_json::from_str::<Value>(get["body"].as_str().unwrap()).unwrap(),
        get["json"]
    );
    let table = [
        (
            json!({ "json": { "a": [1.0] } }),
            "POST",
            "application/json",
            r#"{"a":[1.0]}"#,
        ),
        (
            json!({ "body": "text", "method": "put" }),
            "PUT",
            "text/plain; charset=utf-8",
            "text",
        ),
        (
            json!({ "form": { "a": "b c", "d": true } }),
            "POST",
            "application/x-www-form-urlencoded",
            "a=b+c&d=true",
        ),
        (
            json!({ "json": 1, "headers": { "Content-Type": "application/x+json" }, "method": "PATCH" }),
            "PATCH",
            "application/x+json",
            "1",
        ),
    ];
    for (mut input, method, kind, body) in table {
        input["url"] = peer.url("/").into();
        let told = invoke(&http, "request", input).await.unwrap()["json"].clone();
        assert_eq!(
            (&told["method"], &told["body"]),
            (&json!(method), &json!(body))
        );
        assert_eq!(told["headers"]["content-type"], kind);
    }
    peer.stop().await;
}

#[tokio::test]
async fn every_repeat_carries_the_same_key_under_the_wanted_name() {
    let (peer, folder) = (peer().await, tempfile::tempdir().unwrap());
    let http = module(&folder);
    let mut one = call(
        "request_keyed",
        &json!({ "url": peer.url("/"), "json": {} }),
    );
    let mut keys = Vec::new();
    for attempt in 1..=3 {
        one.attempt = attempt;
        let told: Value = http.invoke(&one).await.unwrap().read().unwrap();
        keys.push(
            told["json"]["headers"]["idempotency-key"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }
    assert_eq!(keys, vec![one.key.to_string(); 3]);
    let named = call(
        "request",
        &json!({ "url": peer.url("/"), "idempotency_header": "X-Request-Key" }),
    );
    let told: Value = http.invoke(&named).await.unwrap().read().unwrap();
    assert_eq!(told["json"]["headers"]["x-request-key"], named.key.as_str());
    peer.stop().await;
}

#[tokio::test]
async fn templates_are_evaluated_only_where_there_are_variables() {
    let (peer, folder) = (peer().await, tempfile::tempdir().unwrap());
    let http = module(&folder);
    let input = json!({
        "url": format!("{}{{{{ path }}}}", peer.url("/i/")), "json": { "k": "<{{ v|upper }}>" },
        "headers": { "X-A": "{{ v }}" }, "vars": { "path": "../x?y", "v": "b" },
    });
    let told = invoke(&http, "request", input.clone()).await.unwrap()["json"].clone();
    assert_eq!(
        (&told["uri"], &told["body"]),
        (&json!("/i/..%2Fx%3Fy"), &json!(r#"{"k":"<B>"}"#))
    );
    assert_eq!(told["headers"]["x-a"], "b");
    let plain = json!({ "url": peer.url("/"), "body": "{{ v }}" });
    assert_eq!(
        invoke(&http, "request", plain).await.unwrap()["json"]["body"],
        "{{ v }}"
    );
    let inject = json!({ "url": peer.url("/"), "headers": { "X-A": "{{ v }}" }, "vars": { "v": "b\r\nX-B: c" } });
    assert!(is_permanent(
        &invoke(&http, "request", inject).await,
        "forbidden character"
    ));
    let missing = json!({ "url": peer.url("/{{ nope }}"), "vars": {} });
    assert!(is_permanent(
        &invoke(&http, "get", missing).await,
        "gives nothing"
    ));
    peer.stop().await;
}

#[tokio::test]
async fn a_secret_is_sent_only_where_it_may_go_and_never_told() {
    let (peer, folder) = (peer().await, tempfile::tempdir().unwrap());
    let http = module(&folder);
    let table = [
        (
            json!({ "bearer": { "secret": "token" } }),
            "authorization",
            "Bearer ***token***",
        ),
        (
            json!({ "header": { "name": "X-Api-Key", "secret": "token" } }),
            "x-api-key",
            "***token***",
        ),
    ];
    for (auth, name, expected) in table {
        let told = invoke(&http, "get", json!({ "url": peer.url("/"), "auth": auth }))
            .await
            .unwrap();
        assert_eq!(told["json"]["headers"][name], expected);
        assert!(!told.to_string().contains("hunter22"), "{told}");
    }
    let basic = json!({ "basic": { "user": "u", "password": { "secret": "token" } } });
    let told = invoke(&http, "get", json!({ "url": peer.url("/"), "auth": basic }))
        .await
        .unwrap();
    let shown = told["json"]["headers"]["authorization"].as_str().unwrap();
    assert!(
        shown.starts_with("Basic ") && shown.contains("***token***"),
        "{shown}"
    );
    let refused = [
        (
            json!({ "bearer": { "secret": "elsewhere" } }),
            "is not for this host",
        ),
        (
            json!({ "bearer": { "secret": "kept" } }),
            "may not use the secret `kept`",
        ),
        (
            json!({ "bearer": { "secret": "unknown" } }),
            "may not use the secret `unknown`",
        ),
    ];
    for (auth, expected) in refused {
        let result = invoke(&http, "get", json!({ "url": peer.url("/"), "auth": auth })).await;
        assert!(is_permanent(&result, expected), "{result:?}");
    }
    let written = json!({ "url": peer.url("/"), "headers": { "authorization": "Bearer x" } });
    assert!(is_permanent(
        &invoke(&http, "get", written).await,
        "name a secret in `auth`"
    ));
    peer.stop().await;
}

#[tokio::test]
async fn what_the_answer_or_its_absence_means_follows_the_table() {
    let (peer, folder) = (peer().await, tempfile::tempdir().unwrap());
    let http = module(&folder);
    let input = |path: &str| json!({ "url": peer.url(path), "timeout": "300ms" });
    let busy = invoke(&http, "request", input("/busy")).await.unwrap_err();
    assert_eq!(
        busy,
        Error::Retry {
            message: "answered 429 Too Many Requests: later".to_owned(),
            after: Some(Duration::from_secs(7))
        }
    );
    assert!(is_permanent(
        &invoke(&http, "get", input("/moved")).await,
        "302"
    ));
    assert!(matches!(
        invoke(&http, "get", input("/broken")).await,
        Err(Error::Retry { .. })
    ));
    let mut post = input("/broken");
    post["json"] = json!({});
    assert!(matches!(
        invoke(&http, "request_keyed", post.clone()).await,
        Err(Error::Uncertain(_))
    ));
    post["expect"] = json!([500]);
    assert_eq!(
        invoke(&http, "request_keyed", post).await.unwrap()["status"],
        500
    );
    assert!(matches!(
        invoke(&http, "get", input("/hang")).await,
        Err(Error::Retry { .. })
    ));
    let mut hang = input("/hang");
    hang["method"] = "POST".into();
    assert!(matches!(
        invoke(&http, "request", hang).await,
        Err(Error::Uncertain(_))
    ));
    peer.stop().await;
}

#[tokio::test]
async fn an_endless_answer_is_cut_off_at_the_limit() {
    let (peer, folder) = (peer().await, tempfile::tempdir().unwrap());
    let http = module(&folder);
    let begun = Instant::now();
    for (action, method) in [("get", "GET"), ("request", "POST")] {
        let input =
            json!({ "url": peer.url("/flood"), "method": method, "max_response": "100KiB" });
        assert!(is_permanent(
            &invoke(&http, action, input).await,
            "more than 100KiB"
        ));
    }
    assert!(begun.elapsed() < Duration::from_secs(5));
    peer.stop().await;
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_leaves_its_fate_open_unless_it_changes_nothing()
{
    let folder = tempfile::tempdir().unwrap();
    let http = module(&folder);
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", server.local_addr().unwrap());
    // Reads the head of each request, answers half of a head or nothing, and closes.
    let serve = async {
        for half in [
            "",
            "HTTP/1.1 200 OK\r\ncontent-le",
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
        ]
        .repeat(2)
        {
            let (mut socket, _) = server.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                socket.read_buf(&mut head).await.unwrap();
            }
            socket.write_all(half.as_bytes()).await.unwrap();
        }
    };
    let ask = async {
        for _ in 0..3 {
            let result = invoke(&http, "request", json!({ "url": url, "method": "POST" })).await;
            assert!(matches!(result, Err(Error::Uncertain(_))), "{result:?}");
        }
        for _ in 0..3 {
            let result = invoke(&http, "get", json!({ "url": url })).await;
            assert!(matches!(result, Err(Error::Retry { .. })), "{result:?}");
        }
    };
    tokio::join!(serve, ask);
    drop(server);
    let result = invoke(&http, "request", json!({ "url": url, "method": "POST" })).await;
    assert!(
        matches!(result, Err(Error::Retry { .. })),
        "nobody listens: {result:?}"
    );
}

#[tokio::test]
async fn destinations_that_the_policy_forbids_and_inputs_that_make_no_sense_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut cx = context(folder.path(), &[]);
    cx.egress = Arc::new(Egress::new(&EgressConfig::default()).unwrap());
    let http = action("http", Value::Null, &cx).unwrap();
    for url in [
        "http://127.0.0.1:1/",
        "http://169.254.169.254/latest",
        "http://[::ffff:10.0.0.1]/",
        "http://localhost:1/",
    ] {
        let result = invoke(&http, "get", json!({ "url": url })).await;
        assert!(is_permanent(&result, "is refused"), "{url} {result:?}");
    }
    let table = [
        json!({ "url": "/relative" }),
        json!({ "url": "file:///etc/passwd" }),
        json!({ "url": "ftp://a.b/" }),
        json!({ "url": "http://u:p@a.b/" }),
        json!({ "url": "http://a.b/", "method": "CONNECT" }),
        json!({ "url": "http://a.b/", "method": "G T" }),
        json!({ "url": "http://a.b/", "json": 1, "body": "x" }),
        json!({ "url": "http://a.b/", "ulr": 1 }),
        json!({ "method": "GET" }),
        json!({ "url": "http://a.b/", "query": { "a": [1] } }),
        json!({ "url": "http://a.b/", "headers": { "a b": "c" } }),
    ];
    for input in table {
        let result = invoke(&http, "request", input.clone()).await;
        assert!(
            matches!(result, Err(Error::Permanent(_))),
            "{input} {result:?}"
        );
    }
    let result = invoke(
        &http,
        "get",
        json!({ "url": "http://a.b/", "method": "POST" }),
    )
    .await;
    assert!(is_permanent(&result, "makes no POST"));
    let result = invoke(
        &http,
        "get",
        json!({ "url": "http://a.b/", "json": 1, "method": "GET" }),
    )
    .await;
    assert!(is_permanent(&result, "has no body"));
}
