//! Packages and bindings.

use axum::http::Method;
use serde_json::{Value, json};

use crate::harness::{World, annotation};

fn binding(namespace: &str, name: &str) -> Value {
    json!({ "binding": { "namespace": namespace, "name": name } })
}

#[tokio::test]
async fn a_package_shows_its_actions_and_feeds() {
    let world = World::new().await;
    let made = world.put("packages/p", json!({})).await.of(200);
    assert_eq!(
        (&made["version"], &made["binding"]),
        (&json!("0.0.1"), &json!({}))
    );
    world.action("p/a").await;
    world
        .action_with(
            "p/f",
            json!({ "annotations": [{ "key": "feed", "value": true }] }),
        )
        .await;
    let shown = world.get("packages/p").await.of(200);
    let names = |of: &Value| -> Vec<Value> {
        of.as_array()
            .unwrap()
            .iter()
            .map(|one| one["name"].clone())
            .collect()
    };
    assert_eq!(names(&shown["actions"]), ["a"]);
    assert_eq!(names(&shown["feeds"]), ["f"]);
    let list = world.get("packages").await.of(200);
    assert_eq!(list[0]["binding"], false, "in lists");
    let update = json!({ "annotations": [{ "key": "x", "value": 1 }] });
    let updated = world.put("packages/p?overwrite=true", update).await.of(200);
    assert_eq!(updated["version"], "0.0.2");
    assert_eq!(
        updated["annotations"].as_array().unwrap().len(),
        1,
        "replaced"
    );
}

#[tokio::test]
async fn a_package_that_is_not_empty_is_removed_by_force_only() {
    let world = World::new().await;
    world.put("packages/p", json!({})).await.of(200);
    world.action("p/a").await;
    let text = "Package not empty (contains 1 entity). Set force param or delete package contents.";
    world.delete("packages/p").await.refuses(409, text);
    world.action("p/b").await;
    let text =
        "Package not empty (contains 2 entities). Set force param or delete package contents.";
    world.delete("packages/p").await.refuses(409, text);
    world.delete("packages/p?force=true").await.of(200);
    assert_eq!(world.get("actions").await.of(200), json!([]));
}

#[tokio::test]
async fn bindings_are_refused_row_by_row() {
    let world = World::new().await;
    world.put("packages/p", json!({})).await.of(200);
    world.put("packages/bound", binding("_", "p")).await.of(200);
    world.action("a").await;
    for (path, body, status, text) in [
        (
            "packages/b",
            binding("_", "none"),
            400,
            "Binding references a package that does not exist.",
        ),
        (
            "packages/b",
            binding("_", "a"),
            409,
            "Cannot bind to a resource that is not a package.",
        ),
        (
            "packages/b",
            binding("guest", "bound"),
            400,
            "Cannot bind to another package binding.",
        ),
        (
            "packages/p?overwrite=true",
            binding("_", "p"),
            409,
            "Resource is a package and cannot be converted into a binding.",
        ),
    ] {
        world.put(path, body).await.refuses(status, text);
    }
    let other = world.other().clone();
    let path = "/api/v1/namespaces/_/packages/b";
    let body = Some(binding("guest", "p"));
    let reply = world.as_user(&other, Method::PUT, path, body).await;
    reply.refuses(
        403,
        "The supplied authentication is not authorized to access 'guest/p'.",
    );
}

#[tokio::test]
async fn a_binding_is_a_pointer_with_parameters_on_top() {
    let world = World::new().await;
    let parameters =
        json!([{ "key": "a", "value": 1 }, { "key": "b", "value": 1 }, { "key": "c", "value": 1 }]);
    world
        .put("packages/p", json!({ "parameters": parameters }))
        .await
        .of(200);
    world
        .action_with(
            "p/run",
            json!({ "parameters": [{ "key": "c", "value": 3 }] }),
        )
        .await;
    let mut bound = binding("_", "p");
    bound["parameters"] = json!([{ "key": "b", "value": 2 }, { "key": "c", "value": 2 }]);
    world.put("packages/bound", bound).await.of(200);
    let shown = world.get("packages/bound").await.of(200);
    assert_eq!(
        shown["binding"],
        json!({ "namespace": "guest", "name": "p" })
    );
    assert_eq!(shown["actions"][0]["name"], "run");
    assert_eq!(shown["parameters"][0]["value"], 1);
    assert_eq!(shown["parameters"][1]["value"], 2);
    let ran = world.run("bound/run", json!({ "d": 4 })).await;
    assert_eq!(
        ran["response"]["result"],
        json!({ "a": 1, "b": 2, "c": 3, "d": 4 })
    );
    assert_eq!(annotation(&ran, "binding"), Some(&json!("guest/bound")));
    assert_eq!(annotation(&ran, "path"), Some(&json!("guest/p/run")));
    assert_eq!(
        world.get("actions/bound/").await.of(200)[0]["namespace"],
        "guest/p"
    );
    let action = world.get("actions/bound/run").await.of(200);
    assert_eq!(
        action["parameters"].as_array().unwrap().len(),
        3,
        "inherited ones show"
    );
    let text = "Operation not permitted on package binding.";
    world.delete("actions/bound/run").await.refuses(400, text);
    world.delete("packages/bound").await.of(200);
    world.get("packages/p").await.of(200);
}

#[tokio::test]
async fn the_hosts_own_packages_can_be_bound_and_not_changed() {
    let world = World::new().await;
    let echo = "/api/v1/namespaces/whisk.system/actions/utils/echo?blocking=true";
    let ran = world.post(echo, json!({ "a": 1 })).await.of(200);
    assert_eq!(ran["response"]["result"], json!({ "a": 1 }));
    assert_eq!(
        annotation(&ran, "path"),
        Some(&json!("whisk.system/utils/echo"))
    );
    world
        .put("packages/u", binding("whisk.system", "utils"))
        .await
        .of(200);
    let ran = world
        .run("u/split", json!({ "payload": "a b", "separator": " " }))
        .await;
    assert_eq!(ran["response"]["result"]["lines"], json!(["a", "b"]));
    let ran = world.run("u/smash", json!({})).await;
    assert_eq!(ran["response"]["status"], "application error");
    let list = world
        .get("/api/v1/namespaces/whisk.system/packages")
        .await
        .of(200);
    let names: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["name"])
        .collect();
    assert_eq!(names, ["alarms", "utils"]);
    let actions = world
        .get("/api/v1/namespaces/whisk.system/actions/utils/")
        .await
        .of(200);
    assert_eq!(actions.as_array().unwrap().len(), 8);
    let own = "/api/v1/namespaces/whisk.system/actions/utils/echo";
    let text = "The supplied authentication is not authorized to access 'whisk.system/utils/echo'.";
    world.delete(own).await.refuses(403, text);
    assert!(
        world.runtimes.calls().is_empty(),
        "no language is needed for them"
    );
}
