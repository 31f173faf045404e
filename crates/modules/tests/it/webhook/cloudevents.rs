//! CloudEvents and lines of JSON over real HTTP.

use http::Method;
use serde_json::{Value, json};

use super::{Served, json_of, problem};

fn config() -> Value {
    json!({
        "path": "/ce", "auth": "none", "event_type": "other",
        "format": { "cloudevents": {
            "type_prefixes": ["com.example."], "source_prefixes": ["https://a.example/", "urn:b"],
            "origins": ["sender.example"],
        } },
    })
}

const BINARY: [(&str, &str); 6] = [
    ("ce-specversion", "1.0"),
    ("ce-id", "1"),
    ("ce-source", "https://a.example/x"),
    ("ce-type", "com.example.made"),
    ("ce-subject", "caf%C3%A9"),
    ("ce-time", "2026-11-22T00:00:00Z"),
];

const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";

#[tokio::test]
async fn the_same_event_is_one_whether_binary_structured_or_in_a_batch() {
    let served = Served::new(&[config()]).await;
    let first = served.post("/ce", &BINARY, r#"{"a": 1.0}"#).await;
    assert_eq!(json_of(&first)["duplicate"], false);
    let event = json!({
        "specversion": "1.0", "id": "1", "source": "https://a.example/x", "type": "com.example.made",
        "subject": "café", "time": "2026-11-22T00:00:00Z", "datacontenttype": "application/json",
        "extension": 7, "data": { "a": 1.0 },
    });
    let kind = [("content-type", STRUCTURED)];
    let again = served
        .send(Method::POST, "/ce", &kind, &event.to_string())
        .await;
    assert_eq!(json_of(&again)["duplicate"], true);
    let mut second = event.clone();
    // The same id of another producer, and a type that is not taken over.
    second["source"] = "urn:b:1".into();
    second["type"] = "conche.run.failed".into();
    second.as_object_mut().unwrap().remove("data");
    second["data_base64"] = "WzEsIDJd".into();
    let kind = [("content-type", BATCH)];
    let batch = json!([event, second]).to_string();
    let both = json_of(&served.send(Method::POST, "/ce", &kind, &batch).await);
    let duplicates: Vec<_> = both["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["duplicate"])
        .collect();
    assert_eq!(duplicates, [true, false]);
    let stored = served.intake.stored().events;
    assert_eq!(stored.len(), 2);
    let (made, other) = (&stored[0].1, &stored[1].1);
    assert_eq!(made.event_type, "com.example.made");
    assert_eq!(made.id.as_deref(), Some("https://a.example/x 1"));
    assert_eq!(made.subject.as_deref(), Some("café"));
    assert_eq!(made.time.unwrap().to_string(), "2026-11-22T00:00:00Z");
    assert_eq!(made.data.as_str(), r#"{"a": 1.0}"#);
    assert_eq!(
        (other.event_type.as_str(), other.data.as_str()),
        ("other", "[1, 2]")
    );
    served.stop().await;
}

#[tokio::test]
async fn the_envelope_is_the_data_where_that_is_wanted() {
    let config = json!({
        "path": "/ce", "auth": "none", "format": { "cloudevents": { "type_prefixes": ["com."], "envelope": true } },
    });
    let served = Served::new(&[config]).await;
    let mut headers = BINARY.to_vec();
    headers.push(("ce-traceparent", "00-1"));
    assert_eq!(served.post("/ce", &headers, "[1.0]").await.status, 202);
    let data: Value = served.intake.stored().events[0].1.data.read().unwrap();
    assert_eq!(
        data,
        json!({
            "specversion": "1.0", "id": "1", "source": "https://a.example/x", "type": "com.example.made",
            "subject": "café", "time": "2026-11-22T00:00:00Z", "traceparent": "00-1", "data": [1.0],
        })
    );
    let mut foreign = BINARY.to_vec();
    foreign[3].1 = "org.example.made";
    let response = served.post("/ce", &foreign, "{}").await;
    assert_eq!(problem(&response), (422, "event-foreign".to_owned()));
    served.stop().await;
}

#[tokio::test]
#[allow(clippy::too_many_lines, reason = "one table")]
async fn what_is_no_cloudevent_or_of_a_stranger_is_refused_whole() {
    let served = Served::new(&[config()]).await;
    let event = |change: Value| {
        let mut event = json!({ "specversion": "1.0", "id": "1", "source": "urn:b", "type": "t" });
        event
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        event
    };
    let many = vec![event(json!({})); 1001];
    let table = [
        (
            STRUCTURED,
            event(json!({ "specversion": "0.3" })),
            422,
            "value-unusable",
        ),
        (
            STRUCTURED,
            event(json!({ "specversion": null })),
            422,
            "value-missing",
        ),
        (
            STRUCTURED,
            event(json!({ "id": "" })),
            422,
            "value-unusable",
        ),
        (
            STRUCTURED,
            event(json!({ "id": null })),
            422,
            "value-missing",
        ),
        (
            STRUCTURED,
            event(json!({ "id": {} })),
            422,
            "value-unusable",
        ),
        (
            STRUCTURED,
            event(json!({ "type": "a\nb" })),
            422,
            "value-unusable",
        ),
        (
            STRUCTURED,
            event(json!({ "time": "yesterday" })),
            422,
            "value-unusable",
        ),
        (
            STRUCTURED,
            event(json!({ "data_base64": "?" })),
            422,
            "value-unusable",
        ),
        (
            STRUCTURED,
            event(json!({ "data_base64": "ew==" })),
            400,
            "json-malformed",
        ),
        (
            STRUCTURED,
            event(json!({ "source": "urn:c" })),
            422,
            "event-foreign",
        ),
        (STRUCTURED, json!([]), 422, "value-unusable"),
        (BATCH, json!([]), 422, "batch-empty"),
        (BATCH, json!({}), 422, "batch-missing"),
        (BATCH, json!(many), 422, "batch-too-large"),
        (
            BATCH,
            json!([event(json!({})), event(json!({ "id": "" }))]),
            422,
            "value-unusable",
        ),
        // Without the headers of the binary form.
        ("application/json", event(json!({})), 422, "value-missing"),
        ("text/plain", event(json!({})), 415, "content-type-refused"),
    ];
    for (kind, body, status, code) in table {
        let body = body.to_string();
        let kind = [("content-type", kind)];
        let response = served.send(Method::POST, "/ce", &kind, &body).await;
        assert_eq!(
            problem(&response),
            (status, code.to_owned()),
            "{kind:?} {body:.90}"
        );
    }
    let twice = [&BINARY[..], &[("ce-id", "2")]].concat();
    let response = served.post("/ce", &twice, "{}").await;
    assert_eq!(problem(&response), (422, "value-unusable".to_owned()));
    assert!(served.intake.stored().events.is_empty());
    served.stop().await;
}

#[tokio::test]
async fn a_handshake_is_granted_to_the_senders_named() {
    let plain = json!({ "path": "/in", "event_type": "t", "auth": "none" });
    let served = Served::new(&[config(), plain]).await;
    let asked = [
        ("webhook-request-origin", "Sender.example"),
        ("webhook-request-rate", "120"),
    ];
    let granted = served.send(Method::OPTIONS, "/ce", &asked, "").await;
    assert_eq!(granted.status, 200);
    assert_eq!(granted.headers["webhook-allowed-origin"], "Sender.example");
    assert_eq!(granted.headers["webhook-allowed-rate"], "*");
    assert_eq!(granted.headers["allow"], "POST");
    let unasked = served.send(Method::OPTIONS, "/ce", &asked[..1], "").await;
    assert!(!unasked.headers.contains_key("webhook-allowed-rate"));
    let strangers: [&[(&str, &str)]; 2] = [&[("webhook-request-origin", "evil.example")], &[]];
    for headers in strangers {
        let response = served.send(Method::OPTIONS, "/ce", headers, "").await;
        assert_eq!(problem(&response), (403, "origin-refused".to_owned()));
        assert!(!response.headers.contains_key("webhook-allowed-origin"));
    }
    let other = served.send(Method::OPTIONS, "/in", &asked, "").await;
    assert_eq!(problem(&other), (405, "method-not-allowed".to_owned()));
    served.stop().await;
}

#[tokio::test]
async fn a_batch_is_not_taken_where_one_answer_is_waited_for() {
    let config = json!({
        "path": "/ask", "auth": "none", "event_type": "t", "format": { "cloudevents": {} }, "respond": {},
    });
    let served = Served::new(&[config]).await;
    let event = json!({ "specversion": "1.0", "id": "1", "source": "urn:b", "type": "t" });
    let kind = [("content-type", BATCH)];
    let response = served
        .send(Method::POST, "/ask", &kind, &json!([event]).to_string())
        .await;
    assert_eq!(problem(&response), (422, "batch-refused".to_owned()));
    assert!(served.intake.stored().events.is_empty());
    served.stop().await;
}

#[tokio::test]
async fn lines_are_stored_in_one_transaction_or_not_at_all() {
    let config = json!({
        "path": "/lines", "auth": "none", "event_type": "t", "format": "ndjson", "id_from": { "pointer": "/id" },
    });
    let served = Served::new(&[config]).await;
    let kind = [("content-type", "application/x-ndjson; charset=utf-8")];
    let send = async |body: &str| served.send(Method::POST, "/lines", &kind, body).await;
    let refused = send("{\"id\":1}\n{\"id\":2}\n{\"id\":}\n").await;
    assert_eq!(problem(&refused), (400, "json-malformed".to_owned()));
    let detail = json_of(&refused)["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with("line 3: "), "{detail}");
    assert_eq!(served.intake.stored().batches, 0);
    let taken = send("{\"id\":1}\n{\"id\":2}\n{\"id\":1}\n").await;
    assert_eq!(taken.status, 202);
    assert_eq!(json_of(&taken)["events"][2]["duplicate"], true);
    let stored = served.intake.stored();
    assert_eq!((stored.batches, stored.events.len()), (1, 2));
    let json = served.post("/lines", &[], "{}").await;
    assert_eq!(problem(&json), (415, "content-type-refused".to_owned()));
    served.stop().await;
}
