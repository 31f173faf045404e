//! Signed deliveries over real HTTP.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conche_core::Timestamp;
use conche_runtime::egress::Response;
use http::Method;
use ring::hmac;
use serde_json::{Value, json};

use super::{Served, json_of, problem};

/// The value of the secret `token` in these tests.
const TOKEN: &str = "hunter22-hunter22";

fn signature(key: &[u8], text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn hub_signature(key: &str, body: &str) -> String {
    format!("sha256={}", hex(&signature(key.as_bytes(), body)))
}

fn github() -> Value {
    json!({
        "path": "/github", "event_type_from": { "header": "X-GitHub-Event", "prefix": "github." },
        "verify": { "github": { "secret": ["token", "next"] } },
        "subject_from": { "pointer": "/repository/full_name" },
    })
}

async fn deliver(served: &Served, headers: &[(&str, &str)], body: &str) -> Response {
    let mut all = vec![("x-github-event", "push")];
    all.extend(headers);
    served.post("/github", &all, body).await
}

#[tokio::test]
async fn a_delivery_of_github_is_an_event_once_whoever_of_two_secrets_signed_it() {
    let served = Served::new(&[github()]).await;
    let body = r#"{"repository": {"full_name": "team/app"}}"#;
    for (key, delivery) in [(TOKEN, "d-1"), ("hunter33-hunter33", "d-2"), (TOKEN, "d-1")] {
        let signed = hub_signature(key, body);
        let headers = [
            ("x-hub-signature-256", signed.as_str()),
            ("x-github-delivery", delivery),
        ];
        assert_eq!(deliver(&served, &headers, body).await.status, 202);
    }
    let form = "payload=%7B%22repository%22%3A%7B%22full_name%22%3A%22team%2Fform%22%7D%7D";
    let signed = hub_signature(TOKEN, form);
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("x-github-event", "issues"),
        ("x-github-delivery", "d-3"),
        ("x-hub-signature-256", signed.as_str()),
    ];
    let response = served.send(Method::POST, "/github", &headers, form).await;
    assert_eq!(response.status, 202);
    let stored = served.intake.stored().events;
    let told: Vec<_> = stored
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
            ("github.push", Some("d-1"), Some("team/app")),
            ("github.push", Some("d-2"), Some("team/app")),
            ("github.issues", Some("d-3"), Some("team/form")),
        ]
    );
    assert!(served.intake.refusals().is_empty());
    served.stop().await;
}

/// Headers, body, and the code of the refusal.
type Refused<'a> = (&'a [(&'a str, &'a str)], &'a str, &'static str);

#[tokio::test]
async fn what_is_not_signed_rightly_gets_401_is_counted_and_never_understood() {
    let served = Served::new(&[github()]).await;
    let right = hub_signature(TOKEN, "{}");
    let other = hub_signature("hunter22-hunter2", "{}");
    let sha1 = [(
        "x-hub-signature",
        "sha1=da39a3ee5e6b4b0d3255bfef95601890afd80709",
    )];
    let table: [Refused; 5] = [
        (&[], "{}", "signature-missing"),
        (&sha1, "{}", "signature-missing"),
        (
            &[("x-hub-signature-256", &other)],
            "{}",
            "signature-invalid",
        ),
        (
            &[("x-hub-signature-256", &right)],
            "{} ",
            "signature-invalid",
        ),
        // Not JSON: a body that nobody signed is not looked into.
        (&[("x-hub-signature-256", &right)], "{", "signature-invalid"),
    ];
    for (headers, body, code) in table {
        let response = deliver(&served, headers, body).await;
        assert_eq!(problem(&response), (401, code.to_owned()));
        let told = String::from_utf8_lossy(&response.body);
        assert!(
            !told.contains("hunter") && !told.contains("token"),
            "{told}"
        );
    }
    let counted = served.intake.refusals();
    assert_eq!(counted.len(), 5);
    assert_eq!(
        counted
            .iter()
            .filter(|code| **code == "signature-missing")
            .count(),
        2
    );
    assert!(served.intake.stored().events.is_empty());
    served.stop().await;
}

#[tokio::test]
async fn an_event_type_taken_from_a_header_must_fit() {
    let served = Served::new(&[github()]).await;
    let signed = hub_signature(TOKEN, "{}");
    let long = "x".repeat(1025);
    for (name, code) in [("", "value-unusable"), (&long, "value-unusable")] {
        let headers = [
            ("x-github-event", name),
            ("content-type", "application/json"),
            ("x-hub-signature-256", &signed),
        ];
        let response = served.send(Method::POST, "/github", &headers, "{}").await;
        assert_eq!(problem(&response), (422, code.to_owned()), "{name:.9}");
    }
    served.stop().await;
}

#[tokio::test]
async fn a_standard_webhook_of_another_day_is_refused_and_credentials_count_besides() {
    let config = json!({
        "path": "/std", "event_type": "t", "auth": { "bearer": { "secret": "next" } },
        "verify": { "standard_webhooks": { "secret": "std" } },
    });
    let served = Served::new(&[config]).await;
    let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let now = Timestamp::now().as_second();
    let send = async |time: i64, bearer: &str| {
        let text = format!("msg_1.{time}.{{}}");
        let signed = format!("v1,{}", STANDARD.encode(signature(&key, &text)));
        let time = time.to_string();
        let headers = [
            ("authorization", bearer),
            ("webhook-id", "msg_1"),
            ("webhook-timestamp", &time),
            ("webhook-signature", &signed),
        ];
        served.post("/std", &headers, "{}").await
    };
    let bearer = "Bearer hunter33-hunter33";
    assert_eq!(json_of(&send(now, bearer).await)["duplicate"], false);
    assert_eq!(json_of(&send(now - 60, bearer).await)["duplicate"], true);
    let old = send(now - 86_400, bearer).await;
    assert_eq!(problem(&old), (401, "signature-stale".to_owned()));
    let stranger = send(now, "Bearer x").await;
    assert_eq!(problem(&stranger), (401, "unauthorized".to_owned()));
    assert_eq!(
        served.intake.refusals(),
        ["signature-stale", "unauthorized"]
    );
    served.stop().await;
}
