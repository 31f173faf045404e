//! The feeds of `/whisk.system/alarms`, called as the clients call feeds.

use std::sync::Arc;
use std::time::Duration;

use conche_openwhisk_host::Settings;
use conche_openwhisk_host::runtimes::Scripted;
use serde_json::{Value, json};

use crate::harness::{Reply, World};

/// A world with a trigger `t` and a rule to the action `a`.
async fn world() -> World {
    let world = World::new().await;
    let feed = json!([{ "key": "feed", "value": "/whisk.system/alarms/alarm" }]);
    world
        .put("triggers/t", json!({ "annotations": feed }))
        .await
        .of(200);
    world.action("a").await;
    let rule = json!({ "trigger": "/_/t", "action": "/_/a" });
    world.put("rules/r", rule).await.of(200);
    world
}

async fn tell(world: &World, feed: &str, event: &str, more: Value) -> Reply {
    let guest = world.guest();
    let mut body = json!({
        "lifecycleEvent": event,
        "triggerName": "/_/t",
        "authKey": format!("{}:{}", guest.uuid, guest.key),
    });
    body.as_object_mut()
        .expect("an object")
        .extend(more.as_object().expect("an object").clone());
    let path =
        format!("/api/v1/namespaces/whisk.system/actions/alarms/{feed}?blocking=true&result=true");
    world.post(&path, body).await
}

/// How often the trigger has fired.
async fn fired(world: &World) -> usize {
    world.host.tick().await;
    let list = world.get("activations?name=t&limit=0").await.of(200);
    list.as_array().expect("a list").len()
}

/// Waits until the alarm has stopped for this reason: the host's own task may be at it.
async fn stopped(world: &World, reason: &str) {
    let looked = async {
        loop {
            world.host.tick().await;
            let shown = tell(world, "interval", "READ", json!({})).await.of(200);
            if shown["status"]["reason"]["message"] == reason {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    let looked = tokio::time::timeout(Duration::from_secs(30), looked).await;
    assert!(looked.is_ok(), "it did not stop since {reason}");
}

async fn next(world: &World) -> Value {
    tell(world, "alarm", "READ", json!({})).await.of(200)["status"]["next"].clone()
}

#[tokio::test]
async fn an_alarm_fires_by_its_pattern_until_it_is_deleted() {
    let world = world().await;
    let pattern = json!({ "cron": "*/2 * * * *", "trigger_payload": { "x": 1 } });
    tell(&world, "alarm", "CREATE", pattern).await.of(200);
    assert_eq!(fired(&world).await, 0);
    world.watch.advance(Duration::from_mins(2));
    assert_eq!(fired(&world).await, 1);
    assert_eq!(fired(&world).await, 1, "a time fires once");
    world.watch.advance(Duration::from_mins(7));
    assert_eq!(fired(&world).await, 2, "what was missed fires once for all");
    assert_eq!(next(&world).await, "2026-01-05T10:10:00Z");
    let id = world.get("activations?name=a&limit=1").await.of(200)[0]["activationId"].clone();
    let ran = world.recorded(id.as_str().expect("an id")).await;
    assert_eq!(ran["response"]["result"], json!({ "x": 1 }));
    tell(&world, "alarm", "DELETE", json!({})).await.of(200);
    world.watch.advance(Duration::from_mins(10));
    assert_eq!(fired(&world).await, 2);
    tell(&world, "alarm", "READ", json!({})).await.of(502);
}

#[tokio::test]
async fn an_alarm_is_read_changed_paused_and_goes_on() {
    let world = world().await;
    tell(&world, "interval", "CREATE", json!({ "minutes": 10 }))
        .await
        .of(200);
    let shown = tell(&world, "interval", "READ", json!({})).await.of(200);
    assert_eq!(shown["config"]["minutes"], 10);
    assert_eq!(shown["config"]["name"], "t");
    assert_eq!(shown["status"]["active"], true);
    tell(&world, "interval", "UPDATE", json!({ "minutes": 5 }))
        .await
        .of(200);
    assert_eq!(next(&world).await, "2026-01-05T10:05:00Z");
    tell(&world, "interval", "PAUSE", json!({})).await.of(200);
    world.watch.advance(Duration::from_mins(6));
    assert_eq!(fired(&world).await, 0);
    let shown = tell(&world, "interval", "READ", json!({})).await.of(200);
    assert_eq!(shown["status"]["active"], false);
    tell(&world, "interval", "UNPAUSE", json!({})).await.of(200);
    assert_eq!(next(&world).await, "2026-01-05T10:10:00Z");
    world.watch.advance(Duration::from_mins(4));
    assert_eq!(fired(&world).await, 1);
}

#[tokio::test]
async fn an_alarm_outlasts_a_restart_and_fires_what_passed_once() {
    let world = world().await;
    tell(&world, "interval", "CREATE", json!({ "minutes": 1 }))
        .await
        .of(200);
    let (store, watch) = world.kill().await;
    watch.advance(Duration::from_mins(30));
    let runtimes = Arc::new(Scripted::new());
    let (world, _) = World::made_of(store, runtimes, watch, Settings::default()).await;
    assert_eq!(fired(&world).await, 1);
}

#[tokio::test]
async fn a_date_fires_once_and_takes_its_trigger_along_where_asked() {
    let world = world().await;
    let date = json!({ "date": "2026-01-05T11:00:00.000Z", "deleteAfterFire": "rules" });
    tell(&world, "once", "CREATE", date).await.of(200);
    world.watch.advance(Duration::from_hours(1));
    assert_eq!(fired(&world).await, 1);
    world.get("triggers/t").await.of(404);
    world.get("rules/r").await.of(404);
    world.watch.advance(Duration::from_hours(1));
    assert_eq!(fired(&world).await, 1);
}

#[tokio::test]
async fn an_alarm_stops_after_so_many_and_without_its_trigger() {
    let world = world().await;
    let twice = json!({ "minutes": 1, "maxTriggers": 2 });
    tell(&world, "interval", "CREATE", twice).await.of(200);
    for _ in 0..4 {
        world.watch.advance(Duration::from_mins(1));
        world.host.tick().await;
    }
    stopped(&world, "it has fired for the last time").await;
    assert_eq!(fired(&world).await, 2);
    tell(&world, "interval", "CREATE", json!({ "minutes": 1 }))
        .await
        .of(200);
    world.delete("triggers/t").await.of(200);
    world.watch.advance(Duration::from_mins(1));
    stopped(&world, "the trigger is not there any more").await;
}

#[tokio::test]
async fn what_a_feed_cannot_do_is_an_error_of_the_application() {
    let world = world().await;
    for (feed, event, more) in [
        ("alarm", "CREATE", json!({ "cron": "nonsense" })),
        (
            "alarm",
            "CREATE",
            json!({ "cron": "* * * * *", "authKey": "a:b" }),
        ),
        (
            "alarm",
            "CREATE",
            json!({ "cron": "* * * * *", "triggerName": "/_/none" }),
        ),
        (
            "alarm",
            "CREATE",
            json!({ "cron": "* * * * *", "triggerName": "/other/t" }),
        ),
        ("alarm", "READ", json!({})),
        ("once", "CREATE", json!({ "date": "2020-01-01T00:00:00Z" })),
    ] {
        let reply = tell(&world, feed, event, more.clone()).await.of(502);
        assert!(reply["error"].is_string(), "{event} {more}");
    }
    tell(&world, "interval", "CREATE", json!({ "minutes": 1 }))
        .await
        .of(200);
    tell(&world, "interval", "DANCE", json!({})).await.of(502);
}
