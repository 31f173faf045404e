//! `sigma` with rules as people write them.

use std::time::{Duration, Instant};

use conche_modules::Error;
use serde_json::{Value, json};

use crate::ssh::server::permanent;
use crate::support::{action, context, invoke};

const RULE: &str = r"
title: Shadow Copies Deletion
id: 7f1c1d0e-5a2b-4d0c-9a35-3c0b6d1f2a44
level: high
logsource: { product: windows, category: process_creation }
detection:
  selection_img:
    - Image|endswith: '\vssadmin.exe'
    - OriginalFileName: VSSADMIN.EXE
  selection_cli:
    CommandLine|contains|all: [shadow, delete]
  filter:
    User|startswith: 'NT AUTHORITY\'
  condition: all of selection_* and not filter
";

fn bad() -> Value {
    json!({ "Image": "C:\\Windows\\System32\\vssadmin.exe", "CommandLine": "vssadmin Delete Shadows /all", "User": "CORP\\eve" })
}

async fn run(config: Value, rule: &str, variables: Value) -> Result<Value, Error> {
    let folder = tempfile::tempdir().unwrap();
    let cx = context(folder.path(), &[]);
    let input = json!({
        "command": { "type": "sigma", "command": rule },
        "agent": { "id": "conche--1", "type": "conche", "name": "conche" },
        "variables": variables,
    });
    invoke(&action("sigma", config, &cx).unwrap(), "execute", input).await
}

#[tokio::test]
async fn events_of_every_form_are_matched_and_told() {
    let mut good = bad();
    good["User"] = "NT AUTHORITY\\SYSTEM".into();
    let list = json!([good, bad()]);
    let lines = format!("{good}\n\n{}\n", bad());
    for (kind, value, index, events) in [
        ("dictionary", bad(), 0, 1),
        ("dictionary", list.clone(), 1, 2),
        ("string", json!(bad().to_string()), 0, 1),
        ("string", json!(list.to_string()), 1, 2),
        ("string", json!(lines), 1, 2),
    ] {
        let variables = json!({
            "__events__": { "type": kind, "value": value },
            "__host__": { "type": "string", "value": "web1" },
        });
        let found = run(Value::Null, RULE, variables).await.unwrap();
        let expected = json!({
            "matched": true, "events": events,
            "matches": [{ "variable": "__events__", "index": index, "event": bad() }],
            "rule": { "title": "Shadow Copies Deletion", "id": "7f1c1d0e-5a2b-4d0c-9a35-3c0b6d1f2a44", "level": "high" },
        });
        assert_eq!(found, expected, "{kind} {index}");
    }
    let variables = json!({ "__e__": { "type": "dictionary", "value": good } });
    let found = run(Value::Null, RULE, variables).await.unwrap();
    assert_eq!(
        (&found["matched"], &found["matches"]),
        (&json!(false), &json!([]))
    );
}

#[tokio::test]
async fn what_cannot_be_evaluated_is_a_plain_failure() {
    let event = json!({ "__e__": { "type": "dictionary", "value": bad() } });
    let odd = json!({ "__e__": { "type": "string", "value": "{ no json" } });
    let none = json!({ "__e__": { "type": "string", "value": "web1" } });
    let many = json!({ "__e__": { "type": "string", "value": "[{},{},{}]" } });
    for (rule, variables, expected) in [
        ("title: x", &event, "no `detection`"),
        (RULE, &odd, "`__e__` begins like JSON"),
        (RULE, &none, "there is no event"),
        (RULE, &many, "more than 2 events"),
    ] {
        let config = json!({ "max_events": 2 });
        let message = permanent(run(config, rule, variables.clone()).await);
        assert!(message.contains(expected), "{message}");
    }
    let several =
        json!({ "__e__": { "type": "string", "value": json!([bad(), bad()]).to_string() } });
    let found = run(json!({ "max_matches": 1 }), RULE, several)
        .await
        .unwrap();
    assert_eq!(found["matches"].as_array().unwrap().len(), 1);
    assert_eq!(found["truncated"], true);
}

#[tokio::test]
async fn a_rule_and_an_event_made_to_take_long_are_stopped() {
    let stars = "*a".repeat(200);
    let values = (0..100).map(|number| format!("'{stars}{number}'"));
    let values = values.collect::<Vec<_>>().join(", ");
    let rule = format!("detection:\n  s:\n    f: [{values}]\n  condition: s\n");
    let event = json!({ "__e__": { "type": "dictionary", "value": { "f": "a".repeat(500_000) } } });
    let begun = Instant::now();
    let message = permanent(run(json!({ "max_work": 5_000_000 }), &rule, event).await);
    assert!(message.contains("too much work"), "{message}");
    assert!(begun.elapsed() < Duration::from_secs(20));
}
