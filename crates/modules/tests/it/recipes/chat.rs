//! Slack, Teams and PagerDuty: what people are told.

use serde_json::{Value, json};

use super::{Fakes, Seen, Things, is_permanent, secret};
use crate::support::{call, invoke};

/// What these services answer, each at its own paths.
pub(super) fn answer(things: &mut Things, seen: &Seen) -> Option<(u16, Value)> {
    let body = &seen.body;
    let number = things.len() + 1;
    let mut keep = |key: String| things.insert(key, body.clone());
    Some(match (seen.method.as_str(), seen.uri.as_str()) {
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
        _ => return None,
    })
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
