//! What a killed host leaves is taken up by the next: nothing that was accepted is lost, nothing
//! is carried out twice.

use std::sync::Arc;

use conche_openwhisk_host::runtimes::Scripted;
use conche_openwhisk_host::store::{Activations as _, Commit, Entities as _, Key, Write};
use conche_openwhisk_host::{Resumed, Settings};
use serde_json::json;

use crate::harness::{World, annotation, until};
use crate::mortal::Mortal;

const INTERRUPTED: &str = "The host was stopped while the activation ran. What the action had done by then is not known; it is not run again.";

/// A host whose process is gone, and the next over the same store.
async fn next(world: World) -> (World, Resumed) {
    let (store, watch) = world.kill().await;
    let runtimes = Arc::new(Scripted::new());
    World::made_of(store, runtimes, watch, Settings::default()).await
}

#[tokio::test]
async fn what_had_begun_is_ended_as_failed_and_not_run_again() {
    let world = World::new().await;
    for _ in 0..2 {
        world.action("a").await;
    }
    world.runtimes.hold();
    let id = world
        .post("actions/a", json!({ "n": 1 }))
        .await
        .activation();
    until("the action runs", async || {
        (!world.runtimes.calls().is_empty()).then_some(())
    })
    .await;
    let (world, resumed) = next(world).await;
    assert_eq!(
        resumed,
        Resumed {
            started: 0,
            ended: 1
        }
    );
    let ended = world.get(&format!("activations/{id}")).await.of(200);
    assert_eq!(ended["response"]["status"], "whisk internal error");
    assert_eq!(ended["response"]["result"]["error"], INTERRUPTED);
    assert_eq!(
        (&ended["name"], &ended["version"]),
        (&json!("a"), &json!("0.0.2"))
    );
    assert_eq!(annotation(&ended, "path"), Some(&json!("guest/a")));
    assert_eq!(annotation(&ended, "kind"), Some(&json!("nodejs:20")));
    assert_eq!(annotation(&ended, "limits").unwrap()["memory"], 256);
    assert!(world.runtimes.calls().is_empty());
    let (_, resumed) = next(world).await;
    assert_eq!(
        resumed,
        Resumed {
            started: 0,
            ended: 0
        },
        "it is over"
    );
}

#[tokio::test]
async fn what_waits_for_a_process_has_not_begun_and_is_carried_out_after_the_restart() {
    let world = World::new().await;
    world.action("a").await;
    world.sequence("s", &["/_/a", "/_/a"]).await;
    world
        .action_with(
            "c",
            json!({ "annotations": [{ "key": "conductor", "value": true }] }),
        )
        .await;
    world.put("triggers/t", json!({})).await.of(200);
    let rule = json!({ "trigger": "/_/t", "action": "/_/a" });
    world.put("rules/r", rule).await.of(200);
    world.runtimes.starve();
    let mut ids = Vec::new();
    // One is waited for at first, and then no longer.
    for path in [
        "actions/a",
        "actions/s",
        "actions/c",
        "actions/a?blocking=true&timeout=1",
    ] {
        let reply = world.post(path, json!({ "n": 1 })).await;
        reply.of(202);
        ids.push(reply.activation());
    }
    world.post("triggers/t", json!({ "n": 1 })).await.of(202);
    until("all wait for a process", async || {
        (world.runtimes.waiting() == 5).then_some(())
    })
    .await;
    let (world, resumed) = next(world).await;
    assert_eq!(
        resumed,
        Resumed {
            started: 5,
            ended: 0
        }
    );
    for id in ids {
        let ran = world.recorded(&id).await;
        assert_eq!(ran["response"]["result"], json!({ "n": 1 }), "{ran}");
    }
    rest(&world, None).await;
    assert_eq!(
        called(&world),
        [
            "/guest/a", "/guest/a", "/guest/a", "/guest/a", "/guest/a", "/guest/c"
        ]
    );
}

/// The same world, over a store that dies after so many commits.
async fn mortal(world: World, commits: usize) -> (World, Arc<Mortal>) {
    let (store, watch) = world.kill().await;
    let front = Arc::new(Mortal::new(store.clone(), commits));
    let parts = (Arc::new(Scripted::new()), watch);
    let settings = Settings::default();
    let (world, _) = World::behind(front.clone(), store, parts, settings).await;
    (world, front)
}

/// Waits until a host has done all that it can do: its store is dead, or nothing is left.
async fn rest(world: &World, store: Option<&Mortal>) {
    until("the host is at rest", async || {
        let left = world.store.unfinished(9).await.expect("a list");
        (left.is_empty() || store.is_some_and(Mortal::is_dead)).then_some(())
    })
    .await;
}

fn called(world: &World) -> Vec<String> {
    let calls = world.runtimes.calls();
    let mut names: Vec<String> = calls.iter().map(|run| run.action.name.clone()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn what_had_not_begun_is_carried_out_under_its_id() {
    let world = World::new().await;
    world.action("a").await;
    // The admission is stored, the begin is not.
    let (world, front) = mortal(world, 1).await;
    let id = world
        .post("actions/a", json!({ "n": 1 }))
        .await
        .activation();
    rest(&world, Some(&*front)).await;
    assert!(world.runtimes.calls().is_empty());
    let (world, resumed) = next(world).await;
    assert_eq!(
        resumed,
        Resumed {
            started: 1,
            ended: 0
        }
    );
    let ran = world.recorded(&id).await;
    assert_eq!(ran["response"]["result"], json!({ "n": 1 }));
    assert_eq!(called(&world), ["/guest/a"]);
}

#[tokio::test]
async fn a_firing_invokes_each_rule_once_whichever_commit_is_the_last() {
    let (mut refused, mut cut_off) = (0, 0);
    // The firing, the begin and the end of each of two actions.
    for commits in 0..=5 {
        let world = World::new().await;
        world.put("triggers/t", json!({})).await.of(200);
        for name in ["a", "b"] {
            world.action(name).await;
            let rule = json!({ "trigger": "/_/t", "action": format!("/_/{name}") });
            world.put(&format!("rules/{name}-rule"), rule).await.of(200);
        }
        let (world, front) = mortal(world, commits).await;
        let reply = world.post("triggers/t", json!({ "n": 1 })).await;
        rest(&world, Some(&*front)).await;
        let mut calls = called(&world);
        let (world, _) = next(world).await;
        rest(&world, None).await;
        calls.extend(called(&world));
        calls.sort();
        if reply.status == 503 {
            refused += 1;
            assert_eq!(calls, [""; 0], "what was refused is not carried out");
            assert_eq!(world.get("activations").await.of(200), json!([]));
            continue;
        }
        let fired = world.recorded(&reply.activation()).await;
        for line in fired["logs"].as_array().unwrap() {
            let log: serde_json::Value = serde_json::from_str(line.as_str().unwrap()).unwrap();
            let ran = world.recorded(log["activationId"].as_str().unwrap()).await;
            let called = calls
                .iter()
                .filter(|name| **name == format!("/{}", log["action"].as_str().unwrap()));
            let times = called.count();
            let interrupted = ran["response"]["result"]["error"] == INTERRUPTED;
            cut_off += usize::from(interrupted);
            assert!(times <= 1, "{times} after {commits} commits");
            assert!(interrupted || ran["response"]["success"] == true, "{ran}");
            assert!(
                interrupted || times == 1,
                "not at all after {commits} commits"
            );
        }
    }
    assert_eq!(refused, 1, "only where the firing itself is not stored");
    assert!(cut_off > 0, "some had begun");
}

#[tokio::test]
async fn an_action_that_is_gone_after_the_restart_ends_what_waits_for_it() {
    let world = World::new().await;
    world.put("triggers/t", json!({})).await.of(200);
    world.action("a").await;
    world
        .put("rules/r", json!({ "trigger": "/_/t", "action": "/_/a" }))
        .await
        .of(200);
    let (world, front) = mortal(world, 1).await;
    world.post("triggers/t", json!({})).await.of(202);
    rest(&world, Some(&*front)).await;
    let left = world.store.unfinished(9).await.unwrap().remove(0);
    let key = Key::new("guest", "a");
    let expected = world.store.entity(&key).await.unwrap().unwrap().revision;
    let writes = vec![Write::Delete { key, expected }];
    world
        .store
        .commit(Commit {
            writes,
            ..Commit::default()
        })
        .await
        .unwrap();
    let (world, resumed) = next(world).await;
    assert_eq!(
        resumed,
        Resumed {
            started: 0,
            ended: 1
        }
    );
    let ended = world.recorded(&left.activation).await;
    let error = ended["response"]["result"]["error"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        error.starts_with("The action could no longer be invoked"),
        "{error}"
    );
}

#[tokio::test]
async fn a_key_is_known_after_the_restart() {
    use axum::body::Body;
    use axum::http::{Request, header};
    let world = World::new().await;
    world.action("a").await;
    let keyed = async |world: &World| {
        let request = Request::post("/api/v1/namespaces/_/actions/a?blocking=true")
            .header(header::AUTHORIZATION, crate::harness::basic(world.guest()))
            .header("idempotency-key", "k");
        world.send(request.body(Body::empty()).unwrap()).await
    };
    let first = keyed(&world).await;
    let (world, _) = next(world).await;
    let again = keyed(&world).await;
    assert_eq!(again.of(200)["activationId"], first.activation());
    assert!(world.runtimes.calls().is_empty());
}
