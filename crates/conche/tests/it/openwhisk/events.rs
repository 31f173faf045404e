//! OpenWhisk as a source of events: a trigger is fired, its rule starts the shipped function, and
//! that tells the server by a signed webhook, which starts a reaction.

use serde_json::json;

use super::{Host, has};
use crate::server::{Server, Site};

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A server that takes events signed with the key, with a reaction that writes them down.
fn site() -> Site {
    let site = Site::new(
        "openwhisk: { host: { listen: \"127.0.0.1:0\" } }
secrets: { functions: { file: key } }
sources:
  - { id: functions, module: webhook, path: /functions, event_type: functions.fired, verify: { standard_webhooks: { secret: functions } } }
",
    );
    site.write("key", KEY);
    site.write(
        "reactions/told.yaml",
        "name: told\nevent: functions.fired\nscript: |\n  nextAction = 'write'; result = { message: 'fired', fields: event };\n\
         actions: { write: { module: log, action: write } }\n",
    );
    site
}

/// Defines the shipped function with this key, and a trigger whose rule starts it.
fn define(host: &Host, server: &Server, key: &str) {
    let code = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../examples/functions/to-conche.js"
    );
    let bound = |name: &str, value: &str| json!({ "key": name, "value": value, "init": true });
    let url = format!("http://{}/functions", server.webhooks);
    let action = json!({
        "exec": { "kind": "nodejs:default", "code": std::fs::read_to_string(code).unwrap() },
        "parameters": [bound("CONCHE_URL", &url), bound("CONCHE_KEY", key)],
    });
    host.put("actions/to-conche?overwrite=true", &action);
    host.put("triggers/alerts?overwrite=true", &json!({}));
    let rule = json!({ "trigger": "/_/alerts", "action": "/_/to-conche" });
    host.put("rules/tell?overwrite=true", &rule);
}

#[test]
fn a_trigger_that_is_fired_becomes_a_signed_event_that_starts_a_reaction() {
    if !has("node") {
        return;
    }
    let site = site();
    let server = site.start();
    let host = Host::of(&site);
    define(&host, &server, KEY);
    // Who fires the trigger can't say where it is told.
    let payload = json!({ "ip": "198.51.100.7", "CONCHE_URL": "http://127.0.0.1:9/" });
    let (status, fired) = host.ask("POST", "triggers/alerts", &payload);
    assert_eq!(status, 202, "{fired}");
    let run = server.run_with("told", "succeeded");
    let text = run.to_string();
    assert!(
        text.contains("198.51.100.7") && !text.contains("__ow_headers"),
        "{run}"
    );
    let activation = super::eventually("the activation", || {
        host.activations("to-conche").first().cloned()
    });
    let result = &activation["response"]["result"];
    assert_eq!(result["event"], activation["activationId"]);
    let events = server.ask(&["events", "list"]).to_string();
    assert!(
        events.contains(result["event"].as_str().unwrap()),
        "{events}"
    );
}

#[test]
fn what_is_signed_with_another_key_or_not_at_all_is_no_event() {
    if !has("node") {
        return;
    }
    let site = site();
    let server = site.start();
    let host = Host::of(&site);
    assert_eq!(server.post("/functions", r#"{"ip":"198.51.100.7"}"#), 401);
    define(&host, &server, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    let (status, answer) = host.invoke("to-conche", &json!({ "ip": "198.51.100.7" }));
    assert_eq!(status, 502, "{answer}");
    let error = answer["error"].as_str().unwrap_or_default();
    assert!(error.starts_with("Conche answered 401"), "{answer}");
    define(&host, &server, "");
    let (status, answer) = host.invoke("to-conche", &json!({}));
    assert_eq!(status, 502);
    assert!(answer.to_string().contains("CONCHE_KEY"), "{answer}");
}
