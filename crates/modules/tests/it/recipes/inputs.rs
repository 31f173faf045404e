//! Inputs and settings that do not fit, whatever the recipe.

use serde_json::{Value, json};

use super::{Fakes, is_permanent, secret};
use crate::support::{action, context, invoke};

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
            "`timeout`: must be a text, not the number 1",
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
