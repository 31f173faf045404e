//! Activations as they are listed and read, and how long they are kept.

use std::time::Duration;

use conche_openwhisk_host::{Retention, Settings};
use conche_runtime::units::Span;
use serde_json::{Value, json};

use crate::harness::World;

/// A world with activations of `a`, `p/a` and `b`, a second apart.
async fn world() -> (World, Vec<String>) {
    let world = World::new().await;
    world.put("packages/p", json!({})).await.of(200);
    let mut ids = Vec::new();
    for name in ["a", "p/a", "b"] {
        world.action(name).await;
        let path = format!("actions/{name}?blocking=true");
        ids.push(world.post(&path, json!({})).await.activation());
        world.watch.advance(Duration::from_secs(1));
    }
    (world, ids)
}

async fn listed(world: &World, query: &str) -> Vec<String> {
    let list = world.get(&format!("activations{query}")).await.of(200);
    let items = list.as_array().expect("a list").iter();
    let id = |item: &Value| item["activationId"].as_str().expect("an id").to_owned();
    items.map(id).collect()
}

#[tokio::test]
async fn lists_are_newest_first_by_name_and_time() {
    let (world, ids) = world().await;
    let start = world.watch.millis() - 3000;
    let [a, packaged, b] = &ids[..] else {
        panic!("three");
    };
    for (query, wanted) in [
        (String::new(), vec![b, packaged, a]),
        ("?limit=1&skip=1".to_owned(), vec![packaged]),
        ("?name=a".to_owned(), vec![packaged, a]),
        ("?name=p/a".to_owned(), vec![packaged]),
        (format!("?since={}", start + 1000), vec![b, packaged]),
        (format!("?upto={}", start + 1000), vec![packaged, a]),
        (format!("?since={0}&upto={0}", start + 1000), vec![packaged]),
    ] {
        assert_eq!(
            listed(&world, &query).await.iter().collect::<Vec<_>>(),
            wanted,
            "{query}"
        );
    }
    let counted = world.get("activations?count=true").await.of(200);
    assert_eq!(counted, json!({ "activations": 3 }));
    let item = world.get("activations?limit=1").await.of(200)[0].clone();
    let mut members: Vec<&String> = item.as_object().unwrap().keys().collect();
    members.sort();
    assert_eq!(
        members,
        [
            "activationId",
            "annotations",
            "duration",
            "end",
            "name",
            "namespace",
            "publish",
            "start",
            "statusCode",
            "version"
        ]
    );
    assert_eq!(item["statusCode"], 0);
    let whole = world.get("activations?docs=true&limit=1").await.of(200)[0].clone();
    assert_eq!(whole["response"]["success"], true);
}

#[tokio::test]
async fn queries_that_make_no_sense_are_refused() {
    let (world, _) = world().await;
    let text = "The parameter 'docs' is not permitted with 'count'.";
    world
        .get("activations?docs=true&count=true")
        .await
        .refuses(400, text);
    for query in ["limit=201", "skip=-1", "since=x", "name=a/b/c", "name=%2B"] {
        assert_eq!(
            world.get(&format!("activations?{query}")).await.status,
            400,
            "{query}"
        );
    }
}

#[tokio::test]
async fn an_activation_is_read_whole_or_in_part() {
    let (world, ids) = world().await;
    let path = format!("activations/{}", ids[0]);
    let whole = world.get(&path).await.of(200);
    let logs = world.get(&format!("{path}/logs")).await.of(200);
    assert_eq!(logs, json!({ "logs": whole["logs"] }));
    let result = world.get(&format!("{path}/result")).await.of(200);
    assert_eq!(result, whole["response"]);
    let short = "Activation id length is 5 but must be 32.";
    world.get("activations/short").await.refuses(400, short);
    let bad = format!("activations/{}", "z".repeat(32));
    world
        .get(&bad)
        .await
        .refuses(400, "The activation id is not valid.");
    let none = format!("activations/{}", "0".repeat(32));
    let missing = "The requested resource does not exist.";
    world.get(&none).await.refuses(404, missing);
    assert_eq!(world.get(&format!("{path}/nothing")).await.status, 404);
}

#[tokio::test]
async fn the_old_and_the_surplus_are_removed() {
    let retention = Retention {
        activations: Span::from_secs(60),
        most: 3,
    };
    let world = World::with(Settings {
        retention,
        ..Settings::default()
    })
    .await;
    world.action("a").await;
    let ran = async || {
        world
            .post("actions/a?blocking=true", json!({}))
            .await
            .activation()
    };
    let first = ran().await;
    world.watch.advance(Duration::from_secs(61));
    let second = ran().await;
    world.host.tick().await;
    assert_eq!(world.get(&format!("activations/{first}")).await.status, 404);
    world.get(&format!("activations/{second}")).await.of(200);
    world.watch.advance(Duration::from_secs(1));
    for _ in 0..3 {
        ran().await;
    }
    world.host.tick().await;
    assert_eq!(listed(&world, "").await.len(), 3);
    assert_eq!(
        world.get(&format!("activations/{second}")).await.status,
        404
    );
}
