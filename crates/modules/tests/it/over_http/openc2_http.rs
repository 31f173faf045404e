//! `openc2-http` commands against a consumer that keeps what it is told to deny.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use conche_modules::{Action, Error};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::{at, oauth2, permanent};
use crate::service::Service;
use crate::support::{action, call, context, invoke};

const PATH: &str = "POST /.well-known/openc2 HTTP/1.1";

/// The headers and messages that the consumer has seen.
type Seen = Arc<Mutex<Vec<(HeaderMap, Value)>>>;

/// Answers in a message what came in a message, else bare.
fn respond(http: u16, message: &Value, response: Value) -> Response {
    let answer = match message.get("body") {
        Some(_) => json!({ "headers": {}, "body": { "openc2": { "response": response } } }),
        None => response,
    };
    (StatusCode::from_u16(http).unwrap(), answer.to_string()).into_response()
}

async fn consume(State(seen): State<Seen>, headers: HeaderMap, body: String) -> Response {
    let message: Value = serde_json::from_str(&body).unwrap();
    let command = message.pointer("/body/openc2/request").unwrap_or(&message);
    let action = command["action"].as_str().unwrap().to_owned();
    let mut seen = seen.lock().unwrap();
    seen.push((headers, message.clone()));
    match action.as_str() {
        "deny" => respond(200, &message, json!({ "status": 200 })),
        "query" => {
            let denied = seen
                .iter()
                .filter(|(_, kept)| kept.to_string().contains("deny"));
            let results = json!({ "x-test": { "denied": denied.count() } });
            respond(
                200,
                &message,
                json!({ "status": 200, "status_text": "OK", "results": results }),
            )
        }
        "scan" => respond(
            200,
            &message,
            json!({ "status": 102, "status_text": "scanning" }),
        ),
        "delete" => respond(
            200,
            &message,
            json!({ "status": 404, "status_text": "no rule hunter22-hunter22" }),
        ),
        "restart" => respond(
            501,
            &message,
            json!({ "status": 501, "status_text": "not this one" }),
        ),
        "stop" => respond(
            503,
            &message,
            json!({ "status": 503, "status_text": "busy" }),
        ),
        "notify" => String::new().into_response(),
        _ => "<html>welcome</html>".into_response(),
    }
}

async fn consumer() -> (Service, Seen) {
    let seen = Seen::default();
    let routes = Router::new()
        .route("/.well-known/openc2", post(consume))
        .with_state(seen.clone());
    (Service::start(routes).await, seen)
}

fn module(folder: &Path) -> Arc<dyn Action> {
    let cx = context(folder, &[("token", "hunter22-hunter22")]);
    action("openc2-http", Value::Null, &cx).unwrap()
}

fn command(content: &Value) -> Value {
    json!({ "type": "openc2-http", "command": PATH, "content": content.to_string() })
}

fn bare(action: &str) -> Value {
    json!({ "action": action, "target": { "ipv4_net": "203.0.113.7/32" } })
}

fn message(action: &str) -> Value {
    json!({ "headers": { "request_id": "mine" }, "body": { "openc2": { "request": bare(action) } } })
}

#[tokio::test]
async fn a_command_is_sent_as_a_producer_must_and_its_response_told() {
    let folder = tempfile::tempdir().unwrap();
    let (consumer, seen) = consumer().await;
    let openc2 = module(folder.path());
    let credentials = Some(oauth2("", "token"));
    let deny = call(
        "execute",
        &at(&consumer, command(&bare("deny")), credentials),
    );
    let told: Value = openc2.invoke(&deny).await.unwrap().read().unwrap();
    assert_eq!(
        (&told["status"], &told["http_status"]),
        (&json!(200), &json!(200))
    );
    let query = at(&consumer, command(&message("query")), None);
    let told = invoke(&openc2, "execute", query).await.unwrap();
    assert_eq!(told["results"], json!({ "x-test": { "denied": 1 } }));
    assert_eq!(told["status_text"], "OK");
    let scan = invoke(
        &openc2,
        "execute",
        at(&consumer, command(&message("scan")), None),
    )
    .await;
    assert_eq!(scan.unwrap()["status"], 102);
    let notify = invoke(
        &openc2,
        "execute",
        at(&consumer, command(&bare("notify")), None),
    )
    .await;
    let notify = notify.unwrap();
    assert_eq!(
        (notify.get("status"), &notify["http_status"]),
        (None, &json!(200))
    );

    // Its own identifier where a message has none, the same on every repeat.
    openc2.invoke(&deny).await.unwrap();
    let seen = seen.lock().unwrap().clone();
    let header = |index: usize, name: &str| {
        let (headers, _) = &seen[index];
        headers[name].to_str().unwrap().to_owned()
    };
    for name in ["content-type", "accept"] {
        assert_eq!(header(0, name), "application/openc2+json;version=1.0");
    }
    assert_eq!(header(0, "authorization"), "Bearer hunter22-hunter22");
    assert!(header(0, "x-request-id").parse::<uuid::Uuid>().is_ok());
    assert_eq!(header(0, "x-request-id"), header(4, "x-request-id"));
    assert_eq!(header(1, "x-request-id"), "mine");
    assert_eq!(seen[0].1, bare("deny"));
    consumer.stop().await;
}

#[tokio::test]
async fn what_the_consumer_refuses_fails_with_its_words() {
    let folder = tempfile::tempdir().unwrap();
    let (consumer, _) = consumer().await;
    let openc2 = module(folder.path());
    let credentials = Some(oauth2("", "token"));
    let send = async |content: Value| {
        let input = at(&consumer, command(&content), credentials.clone());
        invoke(&openc2, "execute", input).await
    };
    for content in [bare("delete"), message("delete")] {
        let text = permanent(send(content).await);
        assert_eq!(text, "the consumer says 404: no rule ***token***");
    }
    let text = permanent(send(message("restart")).await);
    assert!(
        text.contains("501 Not Implemented: the consumer says 501: not this one"),
        "{text}"
    );
    let busy = send(message("stop")).await;
    assert!(
        matches!(&busy, Err(Error::Retry { message, after: None }) if message.contains("busy")),
        "{busy:?}"
    );
    let text = permanent(send(bare("start")).await);
    assert!(
        text.contains("not with an OpenC2 response: <html>"),
        "{text}"
    );
    consumer.stop().await;
}

#[tokio::test]
async fn what_is_no_openc2_command_is_not_sent() {
    let folder = tempfile::tempdir().unwrap();
    let (consumer, seen) = consumer().await;
    let openc2 = module(folder.path());
    let mut get = command(&bare("deny"));
    get["command"] = json!("GET /.well-known/openc2 HTTP/1.1");
    let mut empty = command(&bare("deny"));
    empty["content"] = Value::Null;
    let table = [
        (get, "sent by POST"),
        (empty, "no JSON"),
        (command(&json!({ "action": "deny" })), "`target`"),
        (command(&json!({ "target": { "a": 1 } })), "`action`"),
    ];
    for (command, expected) in table {
        let text = permanent(invoke(&openc2, "execute", at(&consumer, command, None)).await);
        assert!(text.contains(expected), "{text}");
    }
    assert!(seen.lock().unwrap().is_empty());
    let mut call = call("execute", &at(&consumer, command(&bare("deny")), None));
    call.timeout = Duration::from_secs(5);
    openc2.invoke(&call).await.unwrap();
    assert_eq!(seen.lock().unwrap().len(), 1);
    consumer.stop().await;
}
