//! Which value an action gets where several are given.

use serde_json::json;

use crate::harness::World;

#[tokio::test]
async fn package_action_and_payload_are_merged_in_this_order() {
    let world = World::new().await;
    let list = |names: &[&str], value: u8| {
        names
            .iter()
            .map(|name| json!({ "key": name, "value": value }))
            .collect::<Vec<_>>()
    };
    let package = json!({ "parameters": list(&["a", "b", "c"], 1) });
    world.put("packages/p", package).await.of(200);
    world
        .action_with("p/a", json!({ "parameters": list(&["b", "c"], 2) }))
        .await;
    let ran = world.run("p/a", json!({ "c": 3 })).await;
    assert_eq!(ran["response"]["result"], json!({ "a": 1, "b": 2, "c": 3 }));
}

#[tokio::test]
async fn parameters_for_the_start_go_into_the_environment_and_not_into_the_arguments() {
    let world = World::new().await;
    let parameters = json!([
        { "key": "TEXT", "value": "as it is", "init": true },
        { "key": "JSON", "value": { "a": 1 }, "init": true },
        { "key": "plain", "value": 1 },
    ]);
    world
        .action_with("a", json!({ "parameters": parameters }))
        .await;
    let ran = world.run("a", json!({})).await;
    assert_eq!(ran["response"]["result"], json!({ "plain": 1 }));
    let env = world.runtimes.calls()[0].env.clone();
    assert_eq!(env["TEXT"], "as it is");
    assert_eq!(env["JSON"], "{\"a\":1}");
    assert_eq!(env.len(), 2);
}
