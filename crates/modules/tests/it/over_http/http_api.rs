//! `http-api` commands against a service that says what it was sent, fails, or breaks off.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use conche_modules::{Action, Error};
use conche_runtime::egress::{Egress, EgressConfig};
use http::{StatusCode, header};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::{at, basic, input, oauth2, permanent};
use crate::peers::certificates;
use crate::service::{Service, echo};
use crate::support::{action, call, context, invoke};

const SECRET: &str = "hunter22-hunter22";

fn module(folder: &Path, config: Value) -> Arc<dyn Action> {
    let cx = context(
        folder,
        &[("held/1", SECRET)].map(|(_, value)| ("password", value)),
    );
    action("http-api", config, &cx).unwrap()
}

fn command(line: &str) -> Value {
    json!({ "type": "http-api", "command": line })
}

fn routes() -> Router {
    let status = |status: u16| {
        any(move || async move {
            let status = StatusCode::from_u16(status).unwrap();
            (
                status,
                [(header::RETRY_AFTER, "7")],
                format!("because {SECRET}"),
            )
        })
    };
    Router::new()
        .route("/429", status(429))
        .route("/503", status(503))
        .route("/404", status(404))
        .route("/500", status(500))
        .route(
            "/302",
            any(|| async {
                (
                    StatusCode::FOUND,
                    [(header::LOCATION, "http://elsewhere/x")],
                )
            }),
        )
        .route("/long", any(|| async { format!("é{}", "é".repeat(4000)) }))
        .fallback(echo)
}

#[tokio::test]
async fn a_command_is_sent_as_its_start_line_headers_and_content_say() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(routes()).await;
    let http = module(folder.path(), Value::Null);
    let mut command = command("POST /api1/newObject?id=1234&q=a%20b?c HTTP/1.1");
    command["headers"] = json!({ "X-List": ["one", "two"], "Content-Type": ["application/x"] });
    command["content"] = json!("{\"a\":1}");
    let one = call("execute", &at(&service, command.clone(), None));
    let told: Value = http.invoke(&one).await.unwrap().read().unwrap();
    let sent = &told["json"];
    assert_eq!(
        (&told["status"], &sent["method"]),
        (&json!(200), &json!("POST"))
    );
    assert_eq!(sent["uri"], "/api1/newObject?id=1234&q=a%20b?c");
    assert_eq!(sent["headers"]["x-list"], "one | two");
    assert_eq!(sent["headers"]["content-type"], "application/x");
    assert_eq!(sent["headers"]["idempotency-key"], one.key.as_str());
    assert_eq!(
        (&sent["body"], told.get("truncated")),
        (&json!("{\"a\":1}"), None)
    );

    command["headers"] = json!({ "idempotency-key": ["mine"] });
    command["content"] = Value::Null;
    command["content_b64"] = json!("/wA=");
    let told = invoke(&http, "execute", at(&service, command, None))
        .await
        .unwrap();
    assert_eq!(told["json"]["headers"]["idempotency-key"], "mine");
    assert_eq!(told["json"]["headers"]["content-length"], "2");
    service.stop().await;
}

#[tokio::test]
async fn each_kind_of_credentials_is_shown_to_the_service_and_never_told() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(routes()).await;
    let http = module(folder.path(), Value::Null);
    let table = [
        (
            basic("http-basic", "soc", "password"),
            "Basic ***password***",
        ),
        (
            basic("user-auth", "soc", "password"),
            "Basic ***password***",
        ),
        (oauth2("", "password"), "Bearer ***password***"),
        (oauth2("Bearer", "password"), "Bearer ***password***"),
        (oauth2("ApiKey", "password"), "ApiKey ***password***"),
    ];
    for (authentication, expected) in table {
        let mut command = command("GET / HTTP/1.1");
        command["headers"] = json!({ "authorization": ["written in the playbook"] });
        let told = invoke(&http, "read", at(&service, command, Some(authentication)))
            .await
            .unwrap();
        let shown = told["json"]["headers"]["authorization"].as_str().unwrap();
        let scheme = expected.split(' ').next().unwrap();
        assert!(
            shown.starts_with(scheme) && shown.contains("***password***"),
            "{shown}"
        );
        assert!(!told.to_string().contains("hunter22"), "{told}");
    }
    let key = json!({ "id": "private-key--1", "type": "private-key", "private_key": { "secret": "password" } });
    let refused = invoke(
        &http,
        "read",
        at(&service, command("GET / HTTP/1.1"), Some(key)),
    )
    .await;
    assert!(permanent(refused).contains("`private-key`"));
    let unknown = oauth2("", "nope");
    let refused = invoke(
        &http,
        "read",
        at(&service, command("GET / HTTP/1.1"), Some(unknown)),
    )
    .await;
    assert!(permanent(refused).contains("no secret `nope`"));
    // The agent's are used where the target has none.
    let mut input = at(&service, command("GET / HTTP/1.1"), None);
    input["agent"]["authentication"] = oauth2("", "password");
    let told = invoke(&http, "read", input).await.unwrap();
    assert_eq!(
        told["json"]["headers"]["authorization"],
        "Bearer ***password***"
    );
    service.stop().await;
}

#[tokio::test]
async fn an_https_service_is_trusted_by_its_authority_and_by_no_other() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let seen = Arc::new(AtomicUsize::new(0));
    let count = seen.clone();
    let routes = Router::new().fallback(any(move |request| {
        count.fetch_add(1, Ordering::Relaxed);
        echo(request)
    }));
    let service = Service::start_tls(routes, folder.path()).await;
    let port = service.address.port();
    // A name and a port alone mean HTTPS, but for ports 80 and 8080.
    let mut input = input(
        json!({ "dname": ["localhost"] }),
        command("POST /x HTTP/1.1"),
        None,
    );
    input["target"]["port"] = port.to_string().into();
    let trusting = |ca: &str| json!({ "tls": { "ca_file": folder.path().join(ca) } });
    let http = module(folder.path(), trusting("ca.pem"));
    let told = invoke(&http, "execute", input.clone()).await.unwrap();
    assert_eq!(
        (&told["status"], seen.load(Ordering::Relaxed)),
        (&json!(200), 1)
    );
    for config in [trusting("other.pem"), Value::Null] {
        let http = module(folder.path(), config);
        let refused = invoke(&http, "execute", input.clone()).await;
        assert!(
            matches!(&refused, Err(Error::Retry { message, .. }) if message.contains("TLS")),
            "{refused:?}"
        );
    }
    assert_eq!(seen.load(Ordering::Relaxed), 1);
    service.stop().await;
}

#[tokio::test]
async fn what_is_not_2xx_fails_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(routes()).await;
    let http = module(folder.path(), Value::Null);
    let secret = Some(oauth2("", "password"));
    for (action, method) in [("read", "GET"), ("execute", "POST")] {
        let ask = async |status: u16| {
            let command = command(&format!("{method} /{status} HTTP/1.1"));
            invoke(&http, action, at(&service, command, secret.clone())).await
        };
        for status in [404, 500] {
            let message = permanent(ask(status).await);
            assert!(
                message.starts_with(&format!("answered {status}"))
                    && message.ends_with("because ***password***"),
                "{message}"
            );
        }
        assert!(permanent(ask(302).await).contains("http://elsewhere/x, which is not followed"));
        for status in [429, 503] {
            let Err(Error::Retry { after, .. }) = ask(status).await else {
                panic!("{status} is no retry")
            };
            assert_eq!(after, Some(Duration::from_secs(7)), "{status}");
        }
    }
    service.stop().await;
}

#[tokio::test]
async fn what_is_answered_beyond_the_limit_is_cut_off_and_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(routes()).await;
    let http = module(folder.path(), json!({ "max_response": "1KiB" }));
    let told = invoke(
        &http,
        "execute",
        at(&service, command("POST /long HTTP/1.1"), None),
    )
    .await
    .unwrap();
    assert_eq!(
        (&told["truncated"], &told["body"]),
        (&json!(true), &json!("é".repeat(512)))
    );
    service.stop().await;
}

#[tokio::test]
async fn a_request_that_was_sent_and_lost_is_in_doubt_unless_it_reads() {
    let folder = tempfile::tempdir().unwrap();
    let http = module(folder.path(), Value::Null);
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = json!({ "url": [format!("http://{}", server.local_addr().unwrap())] });
    let serve = async {
        for _ in 0..2 {
            let (mut socket, _) = server.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                socket.read_buf(&mut head).await.unwrap();
            }
            socket.write_all(b"HTTP/1.1 200 OK\r\ncont").await.unwrap();
        }
    };
    let ask = async {
        let post = input(address.clone(), command("DELETE /x HTTP/1.1"), None);
        let lost = invoke(&http, "execute", post).await;
        assert!(matches!(lost, Err(Error::Uncertain(_))), "{lost:?}");
        let get = input(address.clone(), command("GET /x HTTP/1.1"), None);
        let lost = invoke(&http, "read", get).await;
        assert!(matches!(lost, Err(Error::Retry { .. })), "{lost:?}");
    };
    tokio::join!(serve, ask);
    drop(server);
    let post = input(address, command("POST /x HTTP/1.1"), None);
    let nobody = invoke(&http, "execute", post).await;
    assert!(matches!(nobody, Err(Error::Retry { .. })), "{nobody:?}");
}

#[tokio::test]
async fn commands_that_can_not_be_meant_are_refused_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let service =
        Service::start(Router::new().fallback(any(|| async { StatusCode::IM_A_TEAPOT }))).await;
    let http = module(folder.path(), Value::Null);
    let with = |members: Value| {
        let mut command = command("POST / HTTP/1.1");
        for (name, value) in members.as_object().unwrap() {
            command[name] = value.clone();
        }
        command
    };
    let table = [
        (
            with(json!({ "content": "a", "content_b64": "/wA=" })),
            "not both",
        ),
        (with(json!({ "content_b64": "?" })), "no base64"),
        (with(json!({ "command": Value::Null })), "is empty"),
        (with(json!({ "command_b64": "/wA=" })), "not both"),
        (with(json!({ "command": "POST /" })), "no start line"),
        (
            with(json!({ "command": "POST http://elsewhere/ HTTP/1.1" })),
            "is not of the one",
        ),
        (
            with(json!({ "headers": { "Host": ["elsewhere"] } })),
            "the connection's",
        ),
        (
            with(json!({ "headers": { "Transfer-Encoding": ["chunked"] } })),
            "the connection's",
        ),
        (
            with(json!({ "headers": { "content-length": ["1"] } })),
            "the connection's",
        ),
        (
            with(json!({ "headers": { "Keep-Alive": ["1"] } })),
            "the connection's",
        ),
        (
            with(json!({ "headers": { "X A": ["1"] } })),
            "not the name of a header",
        ),
        (
            with(json!({ "headers": { "X-A": ["1\r\nX-B: 2"] } })),
            "forbidden character",
        ),
    ];
    for (command, expected) in table {
        let message =
            permanent(invoke(&http, "execute", at(&service, command.clone(), None)).await);
        assert!(message.contains(expected), "{command} {message}");
    }
    let post = at(&service, command("POST / HTTP/1.1"), None);
    assert!(permanent(invoke(&http, "read", post.clone()).await).contains("makes no POST"));
    assert!(permanent(invoke(&http, "write", post).await).contains("no action `write`"));
    let nowhere = input(json!({}), command("GET / HTTP/1.1"), None);
    assert!(permanent(invoke(&http, "read", nowhere).await).contains("there is none"));
    service.stop().await;
}

#[tokio::test]
async fn a_destination_that_egress_forbids_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut cx = context(folder.path(), &[]);
    cx.egress = Arc::new(Egress::new(&EgressConfig::default()).unwrap());
    let http = action("http-api", Value::Null, &cx).unwrap();
    for address in [
        json!({ "ipv4": ["169.254.169.254"] }),
        json!({ "dname": ["localhost"] }),
    ] {
        let input = input(address, command("GET /latest HTTP/1.1"), None);
        assert!(permanent(invoke(&http, "read", input).await).contains("is refused"));
    }
}
