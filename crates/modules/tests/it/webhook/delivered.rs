//! What is delivered: stored before it is answered, once however often, and answered where
//! somebody asks.

use conche_core::Json;
use conche_modules::{Answer, Refusal};
use http::Method;
use serde_json::{Value, json};

use super::{Served, json_of, problem, simple};

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
            include_str!("../samples/registry_notification.json"),
        )
        .await;
    assert_eq!(response.status, 202);
    assert_eq!(json_of(&response)["events"].as_array().unwrap().len(), 2);
    assert_eq!(served.intake.stored().batches, 1);
    for (path, body) in [
        ("/nova", include_str!("../samples/nova_error.json")),
        (
            "/image_policy",
            include_str!("../samples/image_review.json"),
        ),
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
