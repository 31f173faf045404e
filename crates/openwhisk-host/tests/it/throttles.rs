//! How much a namespace may ask for.

use conche_openwhisk_host::{Settings, Throttles};
use serde_json::json;

use crate::harness::{World, until};

async fn world(throttles: Throttles) -> World {
    let settings = Settings {
        throttles,
        ..Settings::default()
    };
    let world = World::with(settings).await;
    world.action("a").await;
    world
}

#[tokio::test]
async fn a_minute_has_so_many_invocations() {
    let world = world(Throttles {
        invocations_per_minute: 2,
        ..Throttles::default()
    })
    .await;
    for _ in 0..2 {
        world
            .post("actions/a?blocking=true", json!({}))
            .await
            .of(200);
    }
    let reply = world.post("actions/a?blocking=true", json!({})).await;
    reply.refuses(
        429,
        "Too many requests in the last minute (count: 3, allowed: 2).",
    );
    assert_eq!(reply.header("retry-after"), Some("60"));
    world.watch.advance(std::time::Duration::from_mins(1));
    world
        .post("actions/a?blocking=true", json!({}))
        .await
        .of(200);
}

#[tokio::test]
async fn a_sequence_counts_once() {
    let world = world(Throttles {
        invocations_per_minute: 1,
        ..Throttles::default()
    })
    .await;
    world.sequence("s", &["/_/a", "/_/a", "/_/a"]).await;
    world
        .post("actions/s?blocking=true", json!({}))
        .await
        .of(200);
    assert_eq!(world.runtimes.calls().len(), 3);
}

#[tokio::test]
async fn a_namespace_has_so_many_at_a_time() {
    let world = world(Throttles {
        concurrent_invocations: 1,
        ..Throttles::default()
    })
    .await;
    world.runtimes.hold();
    let id = world.post("actions/a", json!({})).await.activation();
    assert_eq!(world.host.in_flight(), 1);
    let reply = world.post("actions/a", json!({})).await;
    reply.refuses(
        429,
        "Too many concurrent requests in flight (count: 2, allowed: 1).",
    );
    world.runtimes.release(1);
    world.recorded(&id).await;
    until("its place is free", async || {
        (world.host.in_flight() == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_rule_over_the_limit_is_told_in_the_log_of_the_trigger() {
    let world = world(Throttles {
        concurrent_invocations: 1,
        fires_per_minute: 1,
        ..Throttles::default()
    })
    .await;
    world.put("triggers/t", json!({})).await.of(200);
    for rule in ["r", "s"] {
        let body = json!({ "trigger": "/_/t", "action": "/_/a" });
        world.put(&format!("rules/{rule}"), body).await.of(200);
    }
    world.runtimes.hold();
    let fired = world.post("triggers/t", json!({})).await.activation();
    let logs = world.recorded(&fired).await["logs"].clone();
    assert!(
        logs[0].as_str().unwrap().contains("\"statusCode\":0"),
        "{logs}"
    );
    let text = "Too many concurrent requests in flight (count: 2, allowed: 1).";
    assert!(logs[1].as_str().unwrap().contains(text), "{logs}");
    let reply = world.post("triggers/t", json!({})).await;
    reply.refuses(
        429,
        "Too many requests in the last minute (count: 2, allowed: 1).",
    );
}
