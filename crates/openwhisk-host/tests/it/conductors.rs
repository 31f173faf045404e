//! Compositions: what a conductor says is done, row by row.

use conche_openwhisk_host::runtimes::{Ran, ResponseClass};
use conche_openwhisk_host::{ActionSettings, Settings};
use serde_json::{Value, json};

use crate::harness::{World, annotation};

/// A world with a conductor `c` that answers by what it is asked, and some components.
async fn world(conductor: impl Fn(&Value) -> Value + Send + Sync + 'static) -> World {
    let actions = ActionSettings {
        sequence_length: 3,
        ..ActionSettings::default()
    };
    let world = World::with(Settings {
        actions,
        ..Settings::default()
    })
    .await;
    let more = json!({ "annotations": [{ "key": "conductor", "value": "yes" }] });
    world.action_with("c", more).await;
    for name in ["adds", "fails", "breaks", "list"] {
        world.action(name).await;
    }
    world
        .runtimes
        .answer("c", move |run| match conductor(&run.value) {
            Value::Object(members) if members.contains_key("error") => {
                let error = members["error"].clone();
                Ran::failure(ResponseClass::ApplicationError, error)
            }
            answer => Ran::success(answer),
        });
    world.runtimes.answer("adds", |run| {
        Ran::success(json!({ "n": run.value["n"].as_i64().unwrap_or(0) + 1 }))
    });
    world.runtimes.answer("fails", |_| {
        Ran::failure(ResponseClass::ApplicationError, "no")
    });
    world.runtimes.answer("breaks", |_| {
        Ran::failure(ResponseClass::InternalError, "lost")
    });
    world.runtimes.answer("list", |_| Ran::success(json!([1])));
    world
}

async fn result(world: &World, arguments: Value) -> Value {
    world.run("c", arguments).await["response"].clone()
}

#[tokio::test]
async fn an_action_is_invoked_and_the_conductor_asked_again_with_result_and_state() {
    let world = world(|asked| match asked["step"].as_i64() {
        None => json!({ "action": "adds", "params": { "n": 1 }, "state": { "step": 1 } }),
        Some(1) => {
            assert_eq!(*asked, json!({ "n": 2, "step": 1 }));
            json!({ "action": "/_/adds", "params": asked, "state": { "step": 2, "n": 100 } })
        }
        Some(_) => {
            assert_eq!(*asked, json!({ "n": 100, "step": 2 }), "the state wins");
            json!({ "params": { "done": asked["n"] } })
        }
    })
    .await;
    let reply = world.post("actions/c?blocking=true", json!({})).await;
    assert_eq!(reply.of(200)["response"]["result"], json!({ "done": 100 }));
    let whole = world.recorded(&reply.activation()).await;
    assert_eq!(whole["logs"].as_array().unwrap().len(), 5);
    for (key, value) in [
        ("conductor", json!(true)),
        ("topmost", json!(true)),
        ("kind", json!("sequence")),
        ("path", json!("guest/c")),
    ] {
        assert_eq!(annotation(&whole, key), Some(&value), "{key}");
    }
    for id in whole["logs"].as_array().unwrap() {
        let part = world.recorded(id.as_str().unwrap()).await;
        assert_eq!(part["cause"], whole["activationId"]);
        assert_eq!(annotation(&part, "causedBy"), Some(&json!("sequence")));
    }
}

#[tokio::test]
async fn a_conductor_ends_by_params_by_any_other_object_or_by_an_error() {
    let world = world(|asked| asked["answer"].clone()).await;
    for (answer, status, wanted) in [
        (
            json!({ "params": { "a": 1 } }),
            "success",
            json!({ "a": 1 }),
        ),
        (json!({ "params": 7 }), "success", json!({ "value": 7 })),
        (json!({ "a": 1 }), "success", json!({ "a": 1 })),
        (
            json!({ "error": "bad" }),
            "application error",
            json!({ "error": "bad" }),
        ),
    ] {
        let got = result(&world, json!({ "answer": answer })).await;
        assert_eq!((&got["status"], &got["result"]), (&json!(status), &wanted));
    }
}

#[tokio::test]
async fn a_name_that_cannot_be_invoked_goes_back_to_the_conductor() {
    let world = world(|asked| {
        if asked.get("error").is_some() {
            assert_eq!(asked["kept"], 1);
            return json!({ "params": { "heard": asked["error"] } });
        }
        json!({ "action": asked["name"], "state": { "kept": 1 } })
    })
    .await;
    for (name, error) in [
        (json!("a//b"), "Failed to parse action name 'a//b'."),
        (json!(7), "Failed to parse action name '7'."),
        (json!("none"), "Failed to resolve action with name 'none'."),
        (
            json!("/other/a"),
            "Failed entitlement check for action with name '/other/a'.",
        ),
    ] {
        let got = result(&world, json!({ "name": name })).await;
        assert_eq!(got["result"], json!({ "heard": error }));
    }
}

#[tokio::test]
async fn a_component_that_fails_goes_back_and_one_that_is_lost_ends_all() {
    let world = world(|asked| match asked["step"].as_i64() {
        None => json!({ "action": asked["name"], "params": 3, "state": { "step": 1 } }),
        Some(_) => json!({ "params": { "heard": asked } }),
    })
    .await;
    let got = result(&world, json!({ "name": "fails" })).await;
    assert_eq!(
        got["result"],
        json!({ "heard": { "error": "no", "step": 1 } })
    );
    let got = result(&world, json!({ "name": "list" })).await;
    assert_eq!(
        got["result"],
        json!({ "heard": { "step": 1 } }),
        "an array is no payload"
    );
    let got = result(&world, json!({ "name": "breaks" })).await;
    assert_eq!(got["status"], "whisk internal error");
    assert_eq!(got["result"], json!({ "error": "lost" }));
    let calls = world.runtimes.calls();
    let boxed = calls
        .iter()
        .find(|run| run.action.name == "/guest/fails")
        .unwrap();
    assert_eq!(
        boxed.value,
        json!({ "value": 3 }),
        "what is no object is put into one"
    );
}

#[tokio::test]
async fn a_composition_without_end_is_ended() {
    let world = world(|_| json!({ "action": "adds" })).await;
    let got = result(&world, json!({})).await;
    assert_eq!(got["status"], "application error");
    assert_eq!(
        got["result"],
        json!({ "error": "Too many actions in the composition." })
    );
    let calls = world.runtimes.calls();
    let added = calls
        .iter()
        .filter(|run| run.action.name == "/guest/adds")
        .count();
    assert_eq!(added, 3);
    world.sequence("s", &["/_/c"]).await;
    let got = world.run("s", json!({})).await;
    assert_eq!(
        got["response"]["status"], "application error",
        "also within a sequence"
    );
}

#[tokio::test]
async fn a_conductor_may_name_itself_as_deep_as_a_composition_may_be_long() {
    let world = World::new().await;
    let more = json!({ "annotations": [{ "key": "conductor", "value": true }] });
    world.action_with("c", more).await;
    world.runtimes.answer("c", |run| {
        if let Some(error) = run.value.get("error") {
            return Ran::failure(ResponseClass::ApplicationError, error.clone());
        }
        match run.value["n"].as_i64() {
            Some(n) if n > 0 => Ran::success(json!({ "action": "c", "params": { "n": n - 1 } })),
            _ => Ran::success(json!({ "bottom": true })),
        }
    });
    let deep = result(&world, json!({ "n": 50 })).await;
    assert_eq!(deep["result"], json!({ "bottom": true }));
    let too_deep = result(&world, json!({ "n": 51 })).await;
    assert_eq!(
        too_deep["result"],
        json!({ "error": "Too many actions in the composition." })
    );
}
