//! The shipped recipes against fakes that store: what goes over the wire, what a repeat does,
//! and what is told of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use conche_modules::actions::{self, Recipe};
use conche_modules::{Action, Error, Probed};
use conche_runtime::listener::{Auth, Listener, ListenerConfig};
use conche_runtime::supervisor::{Grace, Stage, Supervisor};
use http::{StatusCode, header};
use serde_json::{Value, json};

use crate::support::{action, call, context, invoke};

/// A request as it came.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    method: String,
    uri: String,
    headers: BTreeMap<String, String>,
    body: Value,
}

/// What all fakes have seen, and what they keep.
#[derive(Default)]
struct Kept {
    seen: Vec<Seen>,
    /// By what the service tells one from the other.
    things: BTreeMap<String, Value>,
}

type Shared = Arc<Mutex<Kept>>;

async fn serve(State(kept): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let seen = Seen {
        method: parts.method.to_string(),
        uri: parts.uri.to_string(),
        headers: parts
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    let mut kept = kept.lock().unwrap();
    kept.seen.push(seen.clone());
    let (status, told) = answer(&mut kept.things, &seen);
    let status = StatusCode::from_u16(status).unwrap();
    match told {
        Value::String(text) => (status, text).into_response(),
        told => {
            let kind = [(header::CONTENT_TYPE, "application/json")];
            (status, kind, told.to_string()).into_response()
        }
    }
}

/// What the services answer, each at its own paths.
fn answer(things: &mut BTreeMap<String, Value>, seen: &Seen) -> (u16, Value) {
    let body = &seen.body;
    let number = things.len() + 1;
    let mut keep = |key: String| things.insert(key, body.clone());
    match (seen.method.as_str(), seen.uri.as_str()) {
        ("POST", "/hook/slack") => {
            keep(number.to_string());
            (200, json!("ok"))
        }
        ("POST", "/slack/chat.postMessage") if body["channel"] == "C404" => {
            (200, json!({ "ok": false, "error": "channel_not_found" }))
        }
        ("POST", "/slack/chat.postMessage") => {
            keep(number.to_string());
            (
                200,
                json!({ "ok": true, "channel": body["channel"], "ts": "1.5" }),
            )
        }
        ("POST", "/hook/teams?sig=hunter22-hunter22") => {
            keep(number.to_string());
            (202, json!(""))
        }
        ("POST", "/v2/enqueue") if body["routing_key"] != "hunter22-hunter22" => {
            let errors = json!(["Length of 'routing_key' is incorrect"]);
            (400, json!({ "status": "invalid event", "errors": errors }))
        }
        ("POST", "/v2/enqueue") => {
            keep(body["dedup_key"].as_str().unwrap().to_owned());
            (
                202,
                json!({ "status": "success", "dedup_key": body["dedup_key"] }),
            )
        }
        ("POST", "/rest/api/3/issue" | "/rest/api/2/issue") => {
            if body["fields"]["project"]["key"] == "NONE" {
                let errors = json!({ "project": "valid project is required" });
                return (400, json!({ "errorMessages": [], "errors": errors }));
            }
            keep(number.to_string());
            (
                201,
                json!({ "id": "10000", "key": format!("SEC-{number}") }),
            )
        }
        ("POST", "/api/v1/alert") => {
            let key = format!("{}:{}:{}", body["type"], body["source"], body["sourceRef"]);
            if keep(key).is_some() {
                let message = "Alert conche:conche:x already exists";
                return (400, json!({ "type": "CreateError", "message": message }));
            }
            (201, json!({ "_id": "~1", "number": number }))
        }
        ("POST", "/events/add") => {
            let uuid = body["Event"]["uuid"].as_str().unwrap().to_owned();
            keep(uuid.clone());
            (200, json!({ "Event": { "id": "7", "uuid": uuid } }))
        }
        ("GET", uri) if uri.starts_with("/events/view/") => {
            let uuid = uri.strip_prefix("/events/view/").unwrap();
            match things.get(uuid) {
                Some(_) => (200, json!({ "Event": { "id": "7", "uuid": uuid } })),
                None => (404, json!({ "message": "Invalid event" })),
            }
        }
        ("POST", "/repos/team/app/issues") => {
            keep(number.to_string());
            (
                201,
                json!({ "number": number, "html_url": "https://github.com/team/app/issues/1" }),
            )
        }
        ("POST", "/api/v4/projects/team%2Fapp/issues") => {
            keep(number.to_string());
            (
                201,
                json!({ "iid": number, "web_url": "https://gitlab.com/team/app/-/issues/1" }),
            )
        }
        ("POST", "/api/v2/silences") if body["matchers"] == json!([]) => {
            (400, json!("bad matchers: at least one matcher required"))
        }
        ("POST", "/api/v2/silences") => {
            keep(body["matchers"].to_string());
            (200, json!({ "silenceID": "s-1" }))
        }
        _ => (404, json!({ "message": "Not Found" })),
    }
}

/// The fakes behind one address.
struct Fakes {
    kept: Shared,
    url: String,
    supervisor: Supervisor,
    folder: tempfile::TempDir,
}

impl Fakes {
    async fn new() -> Self {
        let config = ListenerConfig {
            listen: Some("127.0.0.1:0".parse().unwrap()),
            auth: Auth::None,
            ..ListenerConfig::default()
        };
        let listener = Listener::bind("fakes", config).await.unwrap();
        let (supervisor, kept) = (Supervisor::new(), Shared::default());
        let url = format!("http://{}", listener.local_addr());
        let router = Router::new().fallback(serve).with_state(kept.clone());
        listener.serve(router, &supervisor.tasks(), Stage::Api);
        Self {
            kept,
            url,
            supervisor,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// A module with these settings; `URL` in them is the fakes'.
    fn module(&self, name: &str, settings: &Value) -> Arc<dyn Action> {
        let secrets = [
            ("key", "hunter22-hunter22".to_owned()),
            ("slack", format!("{}/hook/slack", self.url)),
            (
                "teams",
                format!("{}/hook/teams?sig=hunter22-hunter22", self.url),
            ),
        ];
        let secrets: Vec<(&str, &str)> = secrets
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let cx = context(self.folder.path(), &secrets);
        let text = settings.to_string().replace("URL", &self.url);
        let mut settings: Value = serde_json::from_str(&text).unwrap();
        settings["plain_http"] = true.into();
        action(name, settings, &cx).unwrap()
    }

    fn seen(&self) -> Vec<Seen> {
        self.kept.lock().unwrap().seen.clone()
    }

    fn last(&self) -> Seen {
        self.seen().pop().unwrap()
    }

    fn things(&self) -> usize {
        self.kept.lock().unwrap().things.len()
    }

    async fn stop(self) {
        let grace = Grace {
            per_stage: Duration::from_millis(100),
            total: Duration::from_secs(1),
        };
        self.supervisor.shutdown(grace).await;
    }
}

fn secret(name: &str) -> Value {
    json!({ "secret": name })
}

fn is_permanent(result: &Result<Value, Error>, text: &str) -> bool {
    matches!(result, Err(Error::Permanent(message)) if message.contains(text))
}

#[tokio::test]
async fn slack_is_told_by_webhook_and_by_its_api() {
    let fakes = Fakes::new().await;
    let settings = json!({ "url": secret("slack"), "token": secret("key"), "api": "URL/slack" });
    let slack = fakes.module("slack", &settings);
    let blocks = json!([{ "type": "divider" }]);
    let done = invoke(
        &slack,
        "post",
        json!({ "text": "{{ call.key }}", "blocks": blocks }),
    )
    .await;
    assert_eq!(done, Ok(json!({})));
    let seen = fakes.last();
    // What a run gives is a value, whatever it looks like.
    assert_eq!(
        seen.body,
        json!({ "text": "{{ call.key }}", "blocks": blocks })
    );
    assert!(!seen.headers.contains_key("authorization"));
    let message = json!({ "channel": "C1", "text": "hi", "blocks": null });
    let done = invoke(&slack, "message", message).await.unwrap();
    assert_eq!(done, json!({ "channel": "C1", "ts": "1.5" }));
    let seen = fakes.last();
    assert_eq!(seen.body, json!({ "channel": "C1", "text": "hi" }));
    assert_eq!(seen.headers["authorization"], "Bearer hunter22-hunter22");
    assert_eq!(seen.headers["content-type"], "application/json");
    let refused = invoke(
        &slack,
        "message",
        json!({ "channel": "C404", "text": "hi" }),
    )
    .await;
    assert!(
        is_permanent(&refused, "refused: channel_not_found"),
        "{refused:?}"
    );
    let half = fakes.module("slack", &json!({ "url": secret("slack") }));
    let refused = invoke(&half, "message", json!({ "channel": "C1", "text": "hi" })).await;
    assert!(
        is_permanent(&refused, "needs the setting `token`"),
        "{refused:?}"
    );
    fakes.stop().await;
}

#[tokio::test]
async fn teams_gets_a_card_of_at_most_28_kilobytes() {
    let fakes = Fakes::new().await;
    let teams = fakes.module("teams", &json!({ "url": secret("teams") }));
    let facts = json!([{ "title": "Host", "value": "web-1" }]);
    let input = json!({ "title": "Pod \"x\" contained", "text": "by **conche**", "facts": facts });
    assert_eq!(invoke(&teams, "post", input).await, Ok(json!({})));
    let card = json!({
        "type": "AdaptiveCard", "version": "1.4", "body": [
            { "type": "TextBlock", "text": "Pod \"x\" contained", "weight": "Bolder", "size": "Medium", "wrap": true },
            { "type": "TextBlock", "text": "by **conche**", "wrap": true },
            { "type": "FactSet", "facts": facts },
        ],
    });
    let attachment =
        json!({ "contentType": "application/vnd.microsoft.card.adaptive", "content": card });
    let expected = json!({ "type": "message", "attachments": [attachment] });
    assert_eq!(fakes.last().body, expected);
    let large = json!({ "title": "x", "text": "x".repeat(29_000) });
    let refused = invoke(&teams, "post", large).await;
    assert!(is_permanent(&refused, "at most 28672 bytes"), "{refused:?}");
    assert_eq!(fakes.seen().len(), 1);
    fakes.stop().await;
}

#[tokio::test]
async fn an_incident_of_pagerduty_is_triggered_once_and_resolved() {
    let fakes = Fakes::new().await;
    let settings = json!({ "url": "URL", "routing_key": secret("key") });
    let pagerduty = fakes.module("pagerduty", &settings);
    let input =
        json!({ "summary": "s", "source": "web-1", "severity": "critical", "details": { "n": 1 } });
    let mut one = call("trigger", &input);
    let mut told = Vec::new();
    for attempt in 1..=2 {
        one.attempt = attempt;
        told.push(
            pagerduty
                .invoke(&one)
                .await
                .unwrap()
                .read::<Value>()
                .unwrap(),
        );
    }
    assert_eq!(told, vec![json!({ "dedup_key": one.key.as_str() }); 2]);
    assert_eq!(fakes.things(), 1);
    let payload = json!({ "summary": "s", "source": "web-1", "severity": "critical", "custom_details": { "n": 1 } });
    assert_eq!(
        fakes.last().body,
        json!({
            "routing_key": "hunter22-hunter22", "event_action": "trigger",
            "dedup_key": one.key.as_str(), "payload": payload,
        })
    );
    for name in ["acknowledge", "resolve"] {
        let input = json!({ "dedup_key": "incident-1" });
        let done = invoke(&pagerduty, name, input).await.unwrap();
        assert_eq!(done, json!({ "dedup_key": "incident-1" }));
        let expected = json!({ "routing_key": "hunter22-hunter22", "event_action": name, "dedup_key": "incident-1" });
        assert_eq!(fakes.last().body, expected);
    }
    let named = json!({ "summary": "s", "source": "x", "dedup_key": "mine" });
    assert_eq!(
        invoke(&pagerduty, "trigger", named).await.unwrap()["dedup_key"],
        "mine"
    );
    assert_eq!(
        fakes.last().body["payload"],
        json!({ "summary": "s", "source": "x", "severity": "error" })
    );
    let wrong = fakes.module(
        "pagerduty",
        &json!({ "url": "URL", "routing_key": secret("slack") }),
    );
    let refused = invoke(&wrong, "trigger", json!({ "summary": "s", "source": "x" })).await;
    assert!(
        is_permanent(&refused, "answered 400 Bad Request: [\"Length of"),
        "{refused:?}"
    );
    fakes.stop().await;
}

#[tokio::test]
async fn issues_of_jira_are_created_in_the_cloud_and_elsewhere() {
    let fakes = Fakes::new().await;
    let settings = json!({ "url": "URL/", "email": "a@b.c", "token": secret("key") });
    let cloud = fakes.module("jira", &settings);
    let input = json!({ "project": "SEC", "summary": "s", "description": "d", "labels": ["a"] });
    let done = invoke(&cloud, "create_issue", input.clone()).await.unwrap();
    assert_eq!(done, json!({ "id": "10000", "key": "SEC-1" }));
    let seen = fakes.last();
    // a@b.c:hunter22-hunter22
    assert_eq!(
        seen.headers["authorization"],
        "Basic YUBiLmM6aHVudGVyMjItaHVudGVyMjI="
    );
    let text = json!([{ "type": "text", "text": "d" }]);
    let document = json!({ "type": "doc", "version": 1, "content": [{ "type": "paragraph", "content": text }] });
    let mut fields = json!({
        "project": { "key": "SEC" }, "issuetype": { "name": "Task" }, "summary": "s", "labels": ["a"],
        "description": document,
    });
    assert_eq!(
        (seen.uri.as_str(), &seen.body),
        ("/rest/api/3/issue", &json!({ "fields": fields }))
    );
    let own = fakes.module("jira_dc", &json!({ "url": "URL", "token": secret("key") }));
    assert_eq!(
        invoke(&own, "create_issue", input).await.unwrap()["key"],
        "SEC-2"
    );
    let seen = fakes.last();
    fields["description"] = "d".into();
    assert_eq!(
        (seen.uri.as_str(), &seen.body),
        ("/rest/api/2/issue", &json!({ "fields": fields }))
    );
    assert_eq!(seen.headers["authorization"], "Bearer hunter22-hunter22");
    let refused = invoke(
        &own,
        "create_issue",
        json!({ "project": "NONE", "summary": "s" }),
    )
    .await;
    assert!(
        is_permanent(&refused, "valid project is required"),
        "{refused:?}"
    );
    fakes.stop().await;
}

#[tokio::test]
async fn an_alert_of_thehive_exists_once_however_often_it_is_sent() {
    let fakes = Fakes::new().await;
    let hive = fakes.module("thehive", &json!({ "url": "URL", "key": secret("key") }));
    let observables = json!([{ "dataType": "ip", "data": "10.0.0.1" }]);
    let input = json!({ "title": "t", "description": "d", "severity": 3, "tlp": 2, "tags": ["x"], "observables": observables });
    let one = call("create_alert", &input);
    let first: Value = hive.invoke(&one).await.unwrap().read().unwrap();
    assert_eq!(first, json!({ "id": "~1", "number": 1 }));
    let seen = fakes.last();
    assert_eq!(
        seen.body,
        json!({
            "type": "conche", "source": "conche", "sourceRef": one.key.as_str(), "title": "t", "description": "d",
            "severity": 3, "tlp": 2, "tags": ["x"], "observables": observables,
        })
    );
    assert_eq!(seen.headers["authorization"], "Bearer hunter22-hunter22");
    let again: Value = hive.invoke(&one).await.unwrap().read().unwrap();
    assert_eq!(again, json!({ "id": null, "number": null }));
    assert_eq!(fakes.things(), 1);
    fakes.stop().await;
}

#[tokio::test]
async fn an_event_of_misp_can_be_asked_for_by_its_uuid() {
    let fakes = Fakes::new().await;
    let misp = fakes.module("misp", &json!({ "url": "URL", "key": secret("key") }));
    let attributes =
        json!([{ "type": "ip-dst", "category": "Network activity", "value": "10.0.0.1" }]);
    let input = json!({ "info": "i", "threat_level": 2, "attributes": attributes });
    let one = call("add_event", &input);
    assert_eq!(misp.probe(&one).await, Ok(Probed::NotHappened));
    let done: Value = misp.invoke(&one).await.unwrap().read().unwrap();
    let seen = fakes.last();
    let uuid = seen.body["Event"]["uuid"].as_str().unwrap().to_owned();
    assert_eq!(done, json!({ "id": "7", "uuid": uuid }));
    let event = json!({
        "uuid": uuid, "info": "i", "threat_level_id": 2, "analysis": 0, "distribution": 0, "Attribute": attributes,
    });
    assert_eq!(seen.body, json!({ "Event": event }));
    assert_eq!(seen.headers["authorization"], "hunter22-hunter22");
    assert_eq!(seen.headers["accept"], "application/json");
    let Ok(Probed::Happened(found)) = misp.probe(&one).await else {
        panic!("it did happen");
    };
    assert_eq!(found.read::<Value>().unwrap(), done);
    let other = call("add_event", &input);
    assert_eq!(misp.probe(&other).await, Ok(Probed::NotHappened));
    fakes.stop().await;
}

#[tokio::test]
async fn issues_are_opened_on_github_and_gitlab() {
    let fakes = Fakes::new().await;
    let github = fakes.module("github", &json!({ "url": "URL", "token": secret("key") }));
    let input =
        json!({ "owner": "team", "repo": "app", "title": "t", "body": "b", "labels": ["x"] });
    let done = invoke(&github, "create_issue", input).await.unwrap();
    assert_eq!(
        done,
        json!({ "number": 1, "url": "https://github.com/team/app/issues/1" })
    );
    let seen = fakes.last();
    assert_eq!(
        seen.body,
        json!({ "title": "t", "body": "b", "labels": ["x"] })
    );
    assert_eq!(seen.headers["accept"], "application/vnd.github+json");
    assert_eq!(seen.headers["x-github-api-version"], "2022-11-28");
    assert_eq!(seen.headers["authorization"], "Bearer hunter22-hunter22");
    let gitlab = fakes.module("gitlab", &json!({ "url": "URL", "token": secret("key") }));
    let input = json!({ "project": "team/app", "title": "t", "confidential": true });
    let done = invoke(&gitlab, "create_issue", input).await.unwrap();
    assert_eq!(done["iid"], 2);
    let seen = fakes.last();
    assert_eq!(seen.body, json!({ "title": "t", "confidential": true }));
    assert_eq!(seen.headers["private-token"], "hunter22-hunter22");
    // What is given stays in its place of the path.
    for (owner, expected) in [
        ("..", "a part that is"),
        ("a/../..", "404 Not Found: Not Found"),
    ] {
        let input = json!({ "owner": owner, "repo": "app", "title": "t" });
        let refused = invoke(&github, "create_issue", input).await;
        assert!(is_permanent(&refused, expected), "{refused:?}");
    }
    assert_eq!(fakes.last().uri, "/repos/a%2F..%2F../app/issues");
    fakes.stop().await;
}

#[tokio::test]
async fn an_alert_is_silenced() {
    let fakes = Fakes::new().await;
    let module = fakes.module("alertmanager", &json!({ "url": "URL" }));
    let matchers =
        json!([{ "name": "alertname", "value": "Disk", "isRegex": false, "isEqual": true }]);
    let input = json!({
        "matchers": matchers, "starts_at": "2026-11-22T08:00:00Z", "ends_at": "2026-11-22T09:00:00Z", "comment": "known",
    });
    let done = invoke(&module, "silence", input.clone()).await.unwrap();
    assert_eq!(done, json!({ "silence_id": "s-1" }));
    let seen = fakes.last();
    let expected = json!({
        "matchers": matchers, "startsAt": "2026-11-22T08:00:00Z", "endsAt": "2026-11-22T09:00:00Z",
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
    assert!(
        is_permanent(&refused, "at least one matcher required"),
        "{refused:?}"
    );
    fakes.stop().await;
}

#[tokio::test]
async fn an_input_that_does_not_fit_sends_nothing_and_no_secret_is_told() {
    let fakes = Fakes::new().await;
    let hive = fakes.module(
        "thehive",
        &json!({ "url": "URL/nowhere", "key": secret("key") }),
    );
    let table = [
        (json!({ "description": "d" }), "`title` is missing"),
        (
            json!({ "title": null, "description": "d" }),
            "`title` is missing",
        ),
        (
            json!({ "title": 1, "description": "d" }),
            "`title` is no string",
        ),
        (
            json!({ "title": "x".repeat(513), "description": "d" }),
            "longer than 512",
        ),
        (
            json!({ "title": "t", "description": "d", "severity": 5 }),
            "out of range",
        ),
        (
            json!({ "title": "t", "description": "d", "severity": 2.5 }),
            "is no integer",
        ),
        (
            json!({ "title": "t", "description": "d", "tags": "x" }),
            "`tags` is no array",
        ),
        (
            json!({ "title": "t", "description": "d", "tag": [] }),
            "no field `tag`",
        ),
    ];
    for (input, expected) in table {
        let refused = invoke(&hive, "create_alert", input).await;
        assert!(is_permanent(&refused, expected), "{refused:?}");
    }
    assert!(fakes.seen().is_empty());
    let unsaid = invoke(&hive, "nothing", json!({})).await;
    assert!(is_permanent(&unsaid, "has no action `nothing`"));
    let cx = context(fakes.folder.path(), &[("key", "hunter22-hunter22")]);
    let plain = json!({ "url": fakes.url, "key": secret("key") });
    let plain = action("thehive", plain, &cx).unwrap();
    let refused = invoke(
        &plain,
        "create_alert",
        json!({ "title": "t", "description": "d" }),
    )
    .await;
    assert!(is_permanent(&refused, "is not https"), "{refused:?}");
    fakes.stop().await;
}

#[test]
fn settings_of_a_recipe_are_checked_and_without_any_there_is_no_module() {
    let folder = tempfile::tempdir().unwrap();
    let cx = context(folder.path(), &[("key", "hunter22-hunter22")]);
    let table = [
        (Value::Null, "has no settings"),
        (json!({}), "missing field `key`"),
        (json!({ "key": secret("key") }), "missing field `url`"),
        (
            json!({ "key": "plain", "url": "https://x" }),
            "names a secret",
        ),
        (
            json!({ "key": secret("no"), "url": "https://x" }),
            "no secret `no`",
        ),
        (
            json!({ "key": secret("key"), "url": 1 }),
            "`url` must be a text",
        ),
        (
            json!({ "key": secret("key"), "url": "https://x", "ulr": 1 }),
            "unknown field `ulr`",
        ),
        (
            json!({ "key": secret("key"), "url": "https://x", "timeout": 1 }),
            "invalid type",
        ),
    ];
    for (settings, expected) in table {
        let refused = action("thehive", settings, &cx).err().unwrap();
        assert!(refused.message.contains(expected), "{refused}");
        assert_eq!(refused.place, "actions.thehive");
    }
    let fine = json!({ "key": secret("key"), "url": "https://x", "timeout": "5s" });
    assert!(action("thehive", fine, &cx).is_ok());
}

/// A recipe with one thing in it changed.
fn recipe(from: &str, to: &str) -> Result<Recipe, actions::RecipeError> {
    let text = "
name: mine
summary: Mine.
settings:
  url: { description: Where., required: true }
  key: { description: Shown., secret: true }
actions:
  - name: do
    summary: Does.
    repeat: keyed
    input: { required: [a], properties: { a: { description: A., type: string } } }
    request:
      base: url
      path: '/x/{{ input.a }}'
      key_header: Idempotency-Key
      auth: { bearer: key }
      json: { a: ['{{ input.a|upper }}'] }
    response: { ok: [200], output: { id: /id } }
";
    assert!(text.contains(from), "{from}");
    Recipe::read(&text.replacen(from, to, 1))
}

#[test]
fn a_recipe_that_makes_no_sense_is_refused_when_it_is_read() {
    assert!(recipe("mine", "mine").is_ok());
    let table = [
        ("name: mine", "name: Mine!", "a name has"),
        ("summary: Mine.", "sumary: Mine.", "sumary"),
        ("base: url", "base: nowhere", "no setting `nowhere`"),
        ("{ bearer: key }", "{ bearer: kee }", "no setting `kee`"),
        (
            "path: '/x/{{ input.a }}'",
            "path: '/x/{{ input.b }}'",
            "no `input.b`",
        ),
        (
            "path: '/x/{{ input.a }}'",
            "path: '/x/{{ settings.b }}'",
            "no `settings.b`",
        ),
        (
            "path: '/x/{{ input.a }}'",
            "path: '/x/{{ input.a'",
            "has no `}}`",
        ),
        ("path: '/x/{{ input.a }}'", "path: '//evil.example'", "path"),
        ("path: '/x/{{ input.a }}'", "path: 'x'", "begins with `/`"),
        (
            "{{ input.a|upper }}",
            "{{ input.a|uper }}",
            "no filter `uper`",
        ),
        ("{{ input.a|upper }}", "{{ input.a ~ input.a }}", "operator"),
        (
            "{{ input.a|upper }}",
            "{{ call.attempt }}",
            "no `call.attempt`",
        ),
        (
            "key_header: Idempotency-Key",
            "headers: { X: y }",
            "needs `key_header`",
        ),
        (
            "key_header: Idempotency-Key",
            "headers: { Authorization: y }",
            "can't be set here",
        ),
        ("repeat: keyed", "repeat: probe", "go together"),
        ("required: [a]", "required: [b]", "is no property"),
        ("type: string }", "type: text }", "text"),
        ("type: string }", "type: string, pattern: x }", "pattern"),
        ("{ id: /id }", "{ id: id }", "not a JSON Pointer"),
        (
            "request:",
            "request:\n      method: CONNECT",
            "not a usable method",
        ),
        (
            "secret: true",
            "secret: true, default: x",
            "a default is neither",
        ),
        ("  key:", "  timeout:", "every recipe has a setting"),
    ];
    for (from, to, expected) in table {
        let refused = recipe(from, to).unwrap_err().to_string();
        assert!(refused.contains(expected), "{to}: {refused}");
    }
}
