//! The `webhook` source over real HTTP, behind the hardened listener, in front of an intake
//! that stores.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use conche_core::Json;
use conche_modules::sources::no_such_webhook;
use conche_modules::{Answer, BuildContext, Refusal};
use conche_runtime::egress::{Request, Response};
use conche_runtime::listener::{Auth, Listener, ListenerConfig};
use conche_runtime::supervisor::{Grace, Stage, Supervisor};
use http::Method;
use serde_json::{Value, json};

use crate::support::{FakeIntake, context, source};

/// Webhooks being served.
pub(crate) struct Served {
    address: SocketAddr,
    pub(crate) intake: Arc<FakeIntake>,
    supervisor: Supervisor,
    cx: BuildContext,
    folder: tempfile::TempDir,
}

impl Served {
    /// Mounts sources side by side, as the server does.
    pub(crate) async fn new(configs: &[Value]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let secrets = [
            ("token", "hunter22-hunter22"),
            ("next", "hunter33-hunter33"),
            ("std", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ];
        let cx = context(folder.path(), &secrets);
        let intake = FakeIntake::new();
        let mut router = axum::Router::new().fallback(no_such_webhook);
        for config in configs {
            let built = source("webhook", config.clone(), &cx).unwrap();
            assert_eq!(built.paths(), [config["path"].as_str().unwrap()]);
            router = router.merge(built.routes(intake.clone()).unwrap());
        }
        let supervisor = Supervisor::new();
        let config = ListenerConfig {
            listen: Some("127.0.0.1:0".parse().unwrap()),
            auth: Auth::None,
            ..ListenerConfig::default()
        };
        let listener = Listener::bind("webhooks", config).await.unwrap();
        let address = listener.local_addr();
        listener.serve(router, &supervisor.tasks(), Stage::Api);
        Self {
            address,
            intake,
            supervisor,
            cx,
            folder,
        }
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response {
        let mut request = Request {
            body: body.to_owned().into(),
            ..Request::new(method, format!("http://{}{path}", self.address))
        };
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers.append(name, value.parse().unwrap());
        }
        self.cx.egress.request(request).await.unwrap()
    }

    /// Posts JSON.
    pub(crate) async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let mut all = vec![("content-type", "application/json")];
        all.extend(headers);
        self.send(Method::POST, path, &all, body).await
    }

    pub(crate) async fn stop(self) {
        self.supervisor.shutdown(Grace::default()).await;
    }
}

pub(crate) fn json_of(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap()
}

/// Status and problem code.
pub(crate) fn problem(response: &Response) -> (u16, String) {
    assert_eq!(
        response.headers["content-type"], "application/problem+json",
        "{response:?}"
    );
    let body = json_of(response);
    assert_eq!(body["status"], response.status.as_u16());
    (
        response.status.as_u16(),
        body["code"].as_str().unwrap().to_owned(),
    )
}

/// The header that most deliveries need.
const JSON: &str = "content-type: application/json";

fn simple() -> Value {
    json!({ "path": "/in", "event_type": "t", "auth": "none" })
}

#[tokio::test]
async fn a_delivery_is_answered_202_once_stored_and_a_repeat_is_told_so() {
    let served = Served::new(&[simple()]).await;
    let key = [("idempotency-key", "k1")];
    let first = served.post("/in", &key, r#"{"a" : 1.0}"#).await;
    let stored = served.intake.stored();
    assert_eq!(first.status, 202);
    let id = stored.events[0].0.to_string();
    assert_eq!(
        json_of(&first),
        json!({ "event_id": id, "duplicate": false })
    );
    assert_eq!(first.headers["conche-event-id"], id.as_str());
    assert_eq!(stored.events[0].1.data.as_str(), r#"{"a" : 1.0}"#);
    let second = served.post("/in", &key, r#"{"a" : 1.0}"#).await;
    assert_eq!(
        json_of(&second),
        json!({ "event_id": id, "duplicate": true })
    );
    for _ in 0..2 {
        assert_eq!(
            json_of(&served.post("/in", &[], "{}").await)["duplicate"],
            false
        );
    }
    assert_eq!(served.intake.stored().events.len(), 3);
    served.stop().await;
}

#[tokio::test]
async fn a_thousand_repeated_and_reordered_deliveries_make_one_event_for_each_id() {
    let config = json!({ "path": "/in", "event_type": "t", "auth": "none", "id_from": { "pointer": "/id" } });
    let served = Served::new(&[config]).await;
    for turn in 0..1000_u32 {
        let id = (turn * 7919) % 100;
        let response = served
            .post(
                "/in",
                &[("idempotency-key", "not-this")],
                &format!(r#"{{"id":{id}}}"#),
            )
            .await;
        assert_eq!(response.status, 202);
        assert_eq!(json_of(&response)["duplicate"], turn >= 100);
    }
    assert_eq!(served.intake.stored().events.len(), 100);
    served.stop().await;
}

#[tokio::test]
async fn real_notifications_are_read_as_configured() {
    let served = Served::new(&[
        json!({
            "path": "/registry", "auth": { "bearer": { "secret": "token" } }, "split": "/events",
            "event_type_from": { "pointer": "/action", "prefix": "registry." },
            "id_from": { "pointer": "/id" }, "subject_from": { "pointer": "/target/repository" },
        }),
        json!({
            "path": "/nova", "auth": "none", "event_type_from": { "pointer": "/event_type", "prefix": "nova." },
            "id_from": { "pointer": "/_unique_id" }, "subject_from": { "pointer": "/payload/nova_object.data/uuid" },
        }),
        json!({ "path": "/image_policy", "auth": "none", "event_type_from": { "pointer": "/kind" } }),
    ])
    .await;
    let registry = [
        ("authorization", "Bearer hunter22-hunter22"),
        (
            "content-type",
            "application/vnd.docker.distribution.events.v1+json",
        ),
    ];
    let response = served
        .send(
            Method::POST,
            "/registry",
            &registry,
            include_str!("samples/registry_notification.json"),
        )
        .await;
    assert_eq!(response.status, 202);
    assert_eq!(json_of(&response)["events"].as_array().unwrap().len(), 2);
    assert_eq!(served.intake.stored().batches, 1);
    for (path, body) in [
        ("/nova", include_str!("samples/nova_error.json")),
        ("/image_policy", include_str!("samples/image_review.json")),
    ] {
        assert_eq!(served.post(path, &[], body).await.status, 202, "{path}");
    }
    let stored = served.intake.stored();
    let told: Vec<_> = stored
        .events
        .iter()
        .map(|(_, event)| {
            (
                event.event_type.as_str(),
                event.id.as_deref(),
                event.subject.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (
                "registry.push",
                Some("11111111-0000-4000-8000-000000000001"),
                Some("team/app")
            ),
            (
                "registry.pull",
                Some("11111111-0000-4000-8000-000000000002"),
                Some("team/other")
            ),
            (
                "nova.instance.power_off.error",
                Some("c7eb73297c3349588f187d7d9d3cd4f4"),
                Some("55555555-0000-4000-8000-000000000001")
            ),
            ("ImageReview", None, None),
        ]
    );
    let review: Value = stored.events[3].1.data.read().unwrap();
    assert_eq!(
        review["spec"]["containers"][0]["image"],
        "registry.example/web:1"
    );
    served.stop().await;
}

#[tokio::test]
async fn who_does_not_show_the_secret_gets_401_before_the_body_counts() {
    let basic = json!({
        "path": "/basic", "event_type": "t", "auth": { "basic": { "user": "u", "password": { "secret": "token" } } },
    });
    let bearer = json!({ "path": "/bearer", "event_type": "t", "auth": { "bearer": { "secret": "token" } } });
    let served = Served::new(&[basic, bearer]).await;
    let right = "dTpodW50ZXIyMi1odW50ZXIyMg=="; // u:hunter22-hunter22
    for value in [format!("Basic {right}"), format!("bASIC {right}")] {
        let response = served
            .post("/basic", &[("authorization", &value)], "{}")
            .await;
        assert_eq!(response.status, 202, "{value}");
    }
    let wrong = [
        "",
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic dTo=",
        "Basic aHVudGVyMjItaHVudGVyMjI=",
        "Bearer hunter22-hunter22",
        "Basic eDpodW50ZXIyMi1odW50ZXIyMg==",
    ];
    for value in wrong {
        let response = served
            .post("/basic", &[("authorization", value)], "not json")
            .await;
        assert_eq!(
            problem(&response),
            (401, "unauthorized".to_owned()),
            "{value}"
        );
        assert!(
            response.headers["www-authenticate"]
                .to_str()
                .unwrap()
                .starts_with("Basic")
        );
    }
    let wrong = [
        "Bearer",
        "Bearer ",
        "Bearer nothing",
        "Bearer hunter22-hunter2",
        "hunter22-hunter22",
        "Bearer hunter22-hunter22,x",
    ];
    for value in wrong {
        let response = served
            .post("/bearer", &[("authorization", value)], "{}")
            .await;
        assert_eq!(
            problem(&response),
            (401, "unauthorized".to_owned()),
            "{value}"
        );
        assert_eq!(response.headers["www-authenticate"], "Bearer");
    }
    let twice = [
        ("authorization", "Bearer hunter22-hunter22"),
        ("authorization", "Bearer x"),
    ];
    assert_eq!(served.post("/bearer", &twice, "{}").await.status, 401);
    assert_eq!(served.post("/bearer", &[], "{}").await.status, 401);
    assert_eq!(served.intake.stored().events.len(), 2);
    served.stop().await;
}

#[tokio::test]
async fn either_of_two_tokens_lets_in_while_one_is_replaced_by_the_other() {
    let served = Served::new(&[
        json!({ "path": "/in", "event_type": "t", "auth": { "bearer": [{ "secret": "token" }, { "secret": "next" }] } }),
    ])
    .await;
    let status = async |value: &str| {
        let headers = [("authorization", value)];
        served.post("/in", &headers, "{}").await.status.as_u16()
    };
    assert_eq!(status("Bearer hunter22-hunter22").await, 202);
    assert_eq!(status("Bearer hunter33-hunter33").await, 202);
    assert_eq!(status("Bearer hunter22-hunter33").await, 401);
    assert_eq!(status("Bearer ").await, 401);
    std::fs::remove_file(served.folder.path().join("token")).unwrap();
    assert_eq!(status("Bearer hunter33-hunter33").await, 202);
    // It may be the one that can't be read.
    assert_eq!(status("Bearer hunter22-hunter22").await, 503);
    served.stop().await;
}

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
async fn a_secret_that_can_not_be_read_lets_nobody_in() {
    let served = Served::new(&[
        json!({ "path": "/in", "event_type": "t", "auth": { "bearer": { "secret": "token" } } }),
    ])
    .await;
    std::fs::remove_file(served.folder.path().join("token")).unwrap();
    for value in ["Bearer hunter22-hunter22", "Bearer ", ""] {
        let response = served.post("/in", &[("authorization", value)], "{}").await;
        assert_eq!(problem(&response), (503, "secret-unavailable".to_owned()));
    }
    assert!(served.intake.stored().events.is_empty());
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

#[tokio::test]
async fn a_synchronous_webhook_gives_the_runs_answer_or_says_that_there_is_none() {
    let sync = json!({ "path": "/ask", "event_type": "t", "auth": "none", "respond": { "timeout": "50ms" } });
    let canned = json!({
        "path": "/canned", "event_type": "t", "auth": "none",
        "respond": {
            "timeout": "50ms", "on_timeout": { "status": 200, "body": { "allowed": false } },
            "on_store_failure": { "status": 200, "body": { "allowed": true } },
        },
    });
    let served = Served::new(&[sync, canned]).await;
    let table = [
        (json!({ "ok": 1 }), None, "application/json", r#"{"ok":1}"#),
        (
            json!("a \"b\""),
            Some("text/plain"),
            "text/plain",
            "a \"b\"",
        ),
        (json!("a"), None, "application/json", "\"a\""),
        (json!(null), Some("text/plain"), "text/plain", ""),
    ];
    for (body, kind, expected_kind, expected) in table {
        let mut headers = vec![("X-Verdict".to_owned(), "fine".to_owned())];
        headers.extend(kind.map(|kind| ("content-type".to_owned(), kind.to_owned())));
        served.intake.answer(Some(Answer {
            status: 203,
            headers,
            body: Json::from(&body),
        }));
        let response = served.post("/ask", &[], "{}").await;
        assert_eq!(
            (response.status.as_u16(), &*response.body),
            (203, expected.as_bytes())
        );
        assert_eq!(response.headers["content-type"], expected_kind);
        assert_eq!(response.headers["x-verdict"], "fine");
        let id = served.intake.stored().events.last().unwrap().0.to_string();
        assert_eq!(response.headers["conche-event-id"], id.as_str());
    }
    served.intake.answer(None);
    let response = served.post("/ask", &[], "{}").await;
    assert_eq!(problem(&response), (504, "no-answer".to_owned()));
    assert!(response.headers.contains_key("conche-event-id"));
    let response = served.post("/canned", &[], "{}").await;
    assert_eq!(
        (response.status.as_u16(), json_of(&response)),
        (200, json!({ "allowed": false }))
    );
    served
        .intake
        .refuse(Some(Refusal::Unavailable("x".to_owned())));
    assert_eq!(
        problem(&served.post("/ask", &[], "{}").await),
        (503, "store-unavailable".to_owned())
    );
    let response = served.post("/canned", &[], "{}").await;
    assert_eq!(
        (response.status.as_u16(), json_of(&response)),
        (200, json!({ "allowed": true }))
    );
    served.stop().await;
}

#[test]
fn settings_that_contradict_each_other_or_open_the_door_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cx = context(folder.path(), &[]);
    let table = [
        (json!({ "event_type": "t" }), "missing field `auth`"),
        (json!({ "auth": "none" }), "exactly one of `event_type`"),
        (
            json!({ "auth": "none", "event_type": "t", "event_type_from": { "header": "x" } }),
            "exactly one of `event_type`",
        ),
        (
            json!({ "auth": "none", "event_type_from": { "header": "x", "pointer": "/a" } }),
            "`event_type_from` needs",
        ),
        (
            json!({ "auth": "none", "event_type": "t", "split": "a" }),
            "not a JSON Pointer",
        ),
        (
            json!({ "auth": "none", "event_type": "t", "id_from": { "header": "a b" } }),
            "name of a header",
        ),
        (
            json!({ "auth": "none", "event_type": "t", "split": "/a", "respond": {} }),
            "can't go with `split`",
        ),
        (
            json!({ "auth": "none", "event_type": "t", "format": "ndjson", "respond": {} }),
            "can't go with `split` or lines",
        ),
        (
            json!({ "auth": "none", "event_type": "t", "format": "ndjson", "split": "/a" }),
            "`format: json` only",
        ),
        (
            json!({ "auth": "none", "format": { "cloudevents": {} } }),
            "CloudEvents need `event_type`",
        ),
        (
            json!({ "auth": "none", "format": { "cloudevents": { "type_prefixes": [""] } } }),
            "an empty prefix",
        ),
        (
            json!({ "auth": "none", "event_type": "t", "format": { "cloudevents": {} }, "id_from": { "header": "x" } }),
            "leave out",
        ),
        (
            json!({ "event_type": "t", "verify": { "github": { "secret": "nope" } } }),
            "no secret `nope`",
        ),
        (
            json!({ "event_type": "t", "verify": { "github": { "secret": [] } } }),
            "one name, or a list of two",
        ),
        (
            json!({ "event_type": "t", "verify": { "github": { "secret": { "secret": "x" } } } }),
            "expected the name of a secret",
        ),
        (
            json!({ "auth": "none", "event_type": "t", "methods": ["GET"] }),
            "unknown variant",
        ),
        (
            json!({ "auth": "none", "event_type": "t", "methods": [] }),
            "must not be empty",
        ),
        (
            json!({ "auth": "none", "event_type": "t", "respond": { "on_timeout": { "status": 99 } } }),
            "200 to 599",
        ),
    ];
    for (mut config, expected) in table {
        config["path"] = "/x".into();
        let refused = source("webhook", config.clone(), &cx).err().unwrap();
        assert!(refused.message.contains(expected), "{config}: {refused}");
    }
    let config = json!({ "path": "/a/../b", "auth": "none", "event_type": "t" });
    assert!(source("webhook", config, &cx).is_err());
}
