//! Silences of Alertmanager: against a fake that answers as the real one does, and the real one.

use conche_modules::BuildContext;
use conche_runtime::egress;
use http::Method;
use serde_json::{Value, json};

use super::{Fakes, Seen, Things, is_permanent};
use crate::peers::{Process, installed, listens, port, words};
use crate::running::until;
use crate::support::{action, context, invoke};

/// What the service answers, at its own path.
pub(super) fn answer(things: &mut Things, seen: &Seen) -> Option<(u16, Value)> {
    Some(match (seen.method.as_str(), seen.uri.as_str()) {
        ("POST", "/api/v2/silences") if seen.body["matchers"] == json!([]) => {
            let message = "matchers in body should have at least 1 items";
            (422, json!({ "code": 612, "message": message }))
        }
        ("POST", "/api/v2/silences") => {
            things.insert(seen.body["matchers"].to_string(), seen.body.clone());
            (200, json!({ "silenceID": "s-1" }))
        }
        _ => return None,
    })
}

fn matchers() -> Value {
    json!([{ "name": "alertname", "value": "Disk", "isRegex": false, "isEqual": true }])
}

#[tokio::test]
async fn an_alert_is_silenced() {
    let fakes = Fakes::new().await;
    let module = fakes.module("alertmanager", &json!({ "url": "URL" }));
    let input = json!({
        "matchers": matchers(), "starts_at": "2026-11-22T08:00:00Z", "ends_at": "2026-11-22T09:00:00Z", "comment": "known",
    });
    let done = invoke(&module, "silence", input.clone()).await.unwrap();
    assert_eq!(done, json!({ "silence_id": "s-1" }));
    let seen = fakes.last();
    let expected = json!({
        "matchers": matchers(), "startsAt": "2026-11-22T08:00:00Z", "endsAt": "2026-11-22T09:00:00Z",
        "createdBy": "conche", "comment": "known",
    });
    assert_eq!(
        (seen.uri.as_str(), &seen.body),
        ("/api/v2/silences", &expected)
    );
    assert!(!seen.headers.contains_key("authorization"));
    let mut empty = input;
    empty["matchers"] = json!([]);
    let refused = invoke(&module, "silence", empty).await;
    assert!(is_permanent(&refused, "at least 1 items"), "{refused:?}");
    fakes.stop().await;
}

struct Alertmanager {
    folder: tempfile::TempDir,
    url: String,
    cx: BuildContext,
    _process: Process,
}

impl Alertmanager {
    async fn start() -> Option<Self> {
        let program = installed("prometheus-alertmanager")?;
        let folder = tempfile::tempdir().unwrap();
        let config = "route: { receiver: none }\nreceivers: [ { name: none } ]\n";
        std::fs::write(folder.path().join("conf"), config).unwrap();
        let port = port();
        let program = words(&[
            program.to_str().unwrap(),
            "--config.file=conf",
            "--storage.path=data",
            &format!("--web.listen-address=127.0.0.1:{port}"),
            "--cluster.listen-address=",
        ]);
        let process = Process::start(folder.path(), &[], &program);
        listens(port).await;
        let cx = context(folder.path(), &[]);
        let url = format!("http://127.0.0.1:{port}");
        Some(Self {
            folder,
            url,
            cx,
            _process: process,
        })
    }

    async fn ask(&self, method: Method, path: &str, body: Value) -> Value {
        let mut request = egress::Request {
            body: body.to_string().into(),
            ..egress::Request::new(method, format!("{}{path}", self.url))
        };
        let kind = http::HeaderValue::from_static("application/json");
        request.headers.insert("content-type", kind);
        let answer = self.cx.egress.request(request).await.unwrap();
        serde_json::from_slice(&answer.body).unwrap_or_default()
    }
}

#[tokio::test]
async fn the_real_alertmanager_silences_an_alert_and_says_what_it_refuses() {
    let Some(server) = Alertmanager::start().await else {
        return;
    };
    assert!(server.folder.path().exists());
    let alert = json!([{ "labels": { "alertname": "Disk" } }]);
    let found = async || {
        let all = server.ask(Method::GET, "/api/v2/alerts", Value::Null);
        all.await[0]["status"].clone()
    };
    until("the alert", async || {
        server
            .ask(Method::POST, "/api/v2/alerts", alert.clone())
            .await;
        found().await["state"].is_string()
    })
    .await;
    let module = json!({ "url": server.url, "plain_http": true });
    let module = action("alertmanager", module, &server.cx).unwrap();
    let now = conche_core::Timestamp::now();
    let input = json!({
        "matchers": matchers(), "starts_at": now.to_string(), "comment": "known",
        "ends_at": (now + std::time::Duration::from_hours(1)).to_string(),
    });
    let mut silences = Vec::new();
    for _attempt in 0..2 {
        let done = invoke(&module, "silence", input.clone()).await.unwrap();
        silences.push(done["silence_id"].as_str().unwrap().to_owned());
    }
    let state = found().await;
    assert_eq!(state["state"], "suppressed");
    // A repeat is a second silence of the same: that is no other state of the alert.
    silences.sort();
    let mut silenced_by = state["silencedBy"].as_array().unwrap().clone();
    silenced_by.sort_by_key(ToString::to_string);
    assert_eq!(json!(silenced_by), json!(silences));
    let path = format!("/api/v2/silence/{}", silences[0]);
    let kept = server.ask(Method::GET, &path, Value::Null).await;
    assert_eq!(
        (&kept["createdBy"], &kept["comment"], &kept["matchers"]),
        (&json!("conche"), &json!("known"), &matchers())
    );
    for (member, value, expected) in [
        ("matchers", json!([]), "at least 1 items"),
        (
            "matchers",
            json!([{ "name": "a", "value": "b" }]),
            "isRegex in body is required",
        ),
        (
            "matchers",
            json!([{ "name": "a", "value": "[", "isRegex": true }]),
            "invalid regular expression",
        ),
        (
            "ends_at",
            json!("2020-01-01T00:00:00Z"),
            "start time must be before end time",
        ),
        ("ends_at", json!("soon"), "soon"),
    ] {
        let mut wrong = input.clone();
        wrong[member] = value;
        let refused = invoke(&module, "silence", wrong).await;
        assert!(is_permanent(&refused, expected), "{refused:?}");
    }
}
