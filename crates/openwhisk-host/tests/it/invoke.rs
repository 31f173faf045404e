//! Invoking: every row of what is answered, and what is recorded.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, header};
use conche_openwhisk_host::runtimes::{Ran, ResponseClass};
use serde_json::{Value, json};

use crate::harness::{Reply, World, annotation, basic};

const RESERVED: &str =
    "Request defines parameters that are not allowed (e.g., reserved properties).";

/// A world with an action for each class of response.
async fn classes() -> World {
    let world = World::new().await;
    for name in ["good", "app", "dev", "host", "list", "badlist"] {
        world.action(name).await;
    }
    let fails = |class, error: &'static str| move |_: &_| Ran::failure(class, error);
    world
        .runtimes
        .answer("app", fails(ResponseClass::ApplicationError, "no"));
    world
        .runtimes
        .answer("dev", fails(ResponseClass::DeveloperError, "crash"));
    world
        .runtimes
        .answer("host", fails(ResponseClass::InternalError, "broken"));
    world
        .runtimes
        .answer("list", |_| Ran::success(json!([1, 2])));
    world
}

#[tokio::test]
async fn a_blocking_call_is_answered_with_the_activation_or_its_result() {
    let world = classes().await;
    for (name, status, text, result) in [
        ("good", 200, "success", json!({ "a": 1 })),
        ("app", 502, "application error", json!({ "error": "no" })),
        (
            "dev",
            502,
            "action developer error",
            json!({ "error": "crash" }),
        ),
        (
            "host",
            500,
            "whisk internal error",
            json!({ "error": "broken" }),
        ),
    ] {
        let path = format!("actions/{name}?blocking=true");
        let reply = world.post(&path, json!({ "a": 1 })).await;
        let activation = reply.of(status);
        assert_eq!(activation["response"]["status"], text);
        assert_eq!(activation["response"]["success"], status == 200);
        assert_eq!(activation["response"]["result"], result);
        assert_eq!(activation["logs"], json!([]), "always, in this answer");
        assert_eq!(activation["activationId"], reply.activation());
        assert!(activation.get("code").is_none(), "no error of the API");
        let bare = world
            .post(&format!("{path}&result=true"), json!({ "a": 1 }))
            .await;
        assert_eq!(bare.of(status), result);
        world.recorded(&bare.activation()).await;
    }
}

#[tokio::test]
async fn an_array_is_answered_bare_whatever_is_asked() {
    let world = classes().await;
    for path in [
        "actions/list?blocking=true",
        "actions/list?blocking=true&result=true",
    ] {
        let reply = world.post(path, json!({})).await;
        assert_eq!(reply.of(200), json!([1, 2]));
        let stored = world.recorded(&reply.activation()).await;
        assert_eq!(stored["response"]["result"], json!([1, 2]));
    }
}

#[tokio::test]
async fn a_call_that_does_not_wait_is_accepted_and_carried_out() {
    let world = classes().await;
    let reply = world
        .post("actions/good?result=true", json!({ "a": 1 }))
        .await;
    let accepted = reply.of(202);
    assert_eq!(accepted, json!({ "activationId": reply.activation() }));
    let activation = world.recorded(&reply.activation()).await;
    assert_eq!(activation["response"]["result"], json!({ "a": 1 }));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_too_long_is_answered_202_and_goes_on() {
    let world = classes().await;
    world.runtimes.hold();
    let reply = world
        .post("actions/good?blocking=true&timeout=50", json!({ "a": 1 }))
        .await;
    assert_eq!(reply.of(202), json!({ "activationId": reply.activation() }));
    world
        .get(&format!("activations/{}", reply.activation()))
        .await
        .of(404);
    world.runtimes.release(1);
    let activation = world.recorded(&reply.activation()).await;
    assert_eq!(activation["response"]["success"], true);
}

#[tokio::test]
async fn a_wait_out_of_range_and_a_final_parameter_are_refused() {
    let world = classes().await;
    for wait in ["0", "60001", "-1", "x"] {
        let path = format!("actions/good?blocking=true&timeout={wait}");
        let text = "The query parameter 'timeout' was malformed:\nTimeout must be number of milliseconds up to 60000.";
        world.post(&path, json!({})).await.refuses(400, text);
    }
    let more = json!({
        "parameters": [{ "key": "fixed", "value": 1 }, { "key": "open", "value": null }],
        "annotations": [{ "key": "final", "value": true }],
    });
    world.action_with("final", more).await;
    let path = "actions/final?blocking=true";
    world
        .post(path, json!({ "fixed": 2 }))
        .await
        .refuses(400, RESERVED);
    let ran = world.post(path, json!({ "open": 2 })).await.of(200);
    assert_eq!(ran["response"]["result"], json!({ "fixed": 1, "open": 2 }));
}

#[tokio::test]
async fn arguments_are_an_object_or_nothing() {
    let world = classes().await;
    for body in [json!([1]), json!("text"), json!(null)] {
        let reply = world.post("actions/good?blocking=true", body).await;
        let text = reply.of(400)["error"].as_str().unwrap().to_owned();
        assert!(
            text.starts_with("The request content was malformed:\n"),
            "{text}"
        );
    }
    let request = Request::post("/api/v1/namespaces/_/actions/good?blocking=true&result=true")
        .header(header::AUTHORIZATION, basic(world.guest()));
    let reply = world.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(reply.of(200), json!({}), "nothing is an empty object");
    world
        .post("actions/none?blocking=true", json!({}))
        .await
        .refuses(404, "The requested resource does not exist.");
}

#[tokio::test]
async fn an_activation_records_what_ran_for_whom_and_how_long() {
    let world = World::new().await;
    world.action("a").await;
    let timed = |cold: bool| {
        move |_: &_| Ran {
            wait: Duration::from_millis(7),
            init: cold.then_some(Duration::from_millis(30)),
            run: Duration::from_millis(5),
            logs: vec!["2026-01-05T10:00:00.000000000Z stdout: hello".to_owned()],
            timed_out: false,
            carried_out_by: Some("nodejs:22".to_owned()),
            ..Ran::success(json!({}))
        }
    };
    world.runtimes.answer("a", timed(true));
    let id = world
        .post("actions/a?blocking=true", json!({}))
        .await
        .activation();
    let cold = world.recorded(&id).await;
    let now = world.watch.millis();
    assert_eq!(
        (&cold["namespace"], &cold["subject"]),
        (&json!("guest"), &json!("guest"))
    );
    assert_eq!(
        (&cold["name"], &cold["version"]),
        (&json!("a"), &json!("0.0.1"))
    );
    assert_eq!(
        (&cold["start"], &cold["end"]),
        (&json!(now + 7), &json!(now + 42))
    );
    assert_eq!(cold["duration"], 35);
    assert_eq!(cold["logs"].as_array().unwrap().len(), 1);
    assert!(cold.get("cause").is_none());
    for (key, value) in [
        ("path", json!("guest/a")),
        ("kind", json!("nodejs:20")),
        ("timeout", json!(false)),
        ("waitTime", json!(7)),
        ("initTime", json!(30)),
        ("carriedOutBy", json!("nodejs:22")),
        (
            "limits",
            json!({ "timeout": 60_000, "memory": 256, "logs": 10, "concurrency": 1 }),
        ),
    ] {
        assert_eq!(annotation(&cold, key), Some(&value), "{key}");
    }
    world.runtimes.answer("a", timed(false));
    let warm = world.run("a", json!({})).await;
    assert_eq!(
        annotation(&warm, "initTime"),
        None,
        "only where it was cold"
    );
}

#[tokio::test]
async fn what_an_action_is_told_is_who_it_is_and_who_asks() {
    let world = World::new().await;
    let key =
        |given: Value| json!({ "annotations": [{ "key": "provide-api-key", "value": given }] });
    world.action_with("with", key(json!(true))).await;
    world.action_with("without", json!({})).await;
    let guest = world.guest().clone();
    let request = Request::post("/api/v1/namespaces/_/actions/with?blocking=true")
        .header(header::AUTHORIZATION, basic(&guest))
        .header("x-request-id", "tx1");
    let id = world
        .send(request.body(Body::empty()).unwrap())
        .await
        .activation();
    world.run("without", json!({})).await;
    let calls = world.runtimes.calls();
    let (with, without) = (&calls[0].envelope, &calls[1].envelope);
    assert_eq!(with.action_name, "/guest/with");
    assert_eq!(
        (with.namespace.as_str(), with.action_version.as_str()),
        ("guest", "0.0.1")
    );
    assert_eq!(
        (with.activation_id.as_str(), with.transaction_id.as_str()),
        (id.as_str(), "tx1")
    );
    assert_eq!(with.api_key, Some(format!("{}:{}", guest.uuid, guest.key)));
    assert_eq!(with.api_host.as_deref(), Some("http://127.0.0.1:3233"));
    assert_eq!(without.api_key, None);
    assert_eq!(calls[0].limits.timeout, Duration::from_mins(1));
    assert_eq!(
        (calls[0].limits.memory_mb, calls[0].limits.logs_mb),
        (256, 10)
    );
}

async fn keyed(world: &World, key: &str, path: &str) -> Reply {
    keyed_with(world, key, path, json!({})).await
}

async fn keyed_with(world: &World, key: &str, path: &str, arguments: Value) -> Reply {
    let request = Request::post(format!("/api/v1/namespaces/_/{path}"))
        .header(header::AUTHORIZATION, basic(world.guest()))
        .header(header::CONTENT_TYPE, "application/json")
        .header("idempotency-key", key);
    let body = Body::from(arguments.to_string());
    world.send(request.body(body).expect("a request")).await
}

#[tokio::test]
async fn a_key_is_for_one_target_and_one_set_of_arguments() {
    let world = classes().await;
    world.action("a").await;
    for trigger in ["a-t", "good-t"] {
        world
            .put(&format!("triggers/{trigger}"), json!({}))
            .await
            .of(200);
        let action = trigger.strip_suffix("-t").unwrap();
        let rule = json!({ "trigger": format!("/_/{trigger}"), "action": format!("/_/{action}") });
        world.put(&format!("rules/{action}-r"), rule).await.of(200);
    }
    let mut ids = std::collections::BTreeSet::new();
    for path in [
        "actions/a",
        "actions/good",
        "triggers/a-t",
        "triggers/good-t",
    ] {
        let first = keyed_with(&world, "k", path, json!({ "n": 1 })).await;
        first.of(202);
        let again = keyed_with(&world, "k", path, json!({ "n": 1 })).await;
        assert_eq!(again.of(202), first.json(), "{path}");
        let other = keyed_with(&world, "k", path, json!({ "n": 2 })).await;
        let text = "The header Idempotency-Key was sent before with other arguments.";
        other.refuses(422, text);
        ids.insert(first.activation());
    }
    assert_eq!(ids.len(), 4, "each is a call of its own");
}

#[tokio::test]
async fn a_key_means_one_activation_however_often_it_is_sent() {
    let world = classes().await;
    let first = keyed(&world, "k1", "actions/good").await;
    first.of(202);
    assert_eq!(
        keyed(&world, "k1", "actions/good").await.of(202),
        first.json()
    );
    world.recorded(&first.activation()).await;
    let waits = keyed(&world, "k1", "actions/good?blocking=true").await;
    assert_eq!(waits.of(200)["activationId"], first.activation());
    let second = keyed(&world, "k2", "actions/good?blocking=true").await;
    assert_ne!(second.of(200)["activationId"], first.activation());
    let again = keyed(&world, "k2", "actions/good?blocking=true&result=true").await;
    assert_eq!(
        (again.of(200), again.activation()),
        (json!({}), second.activation())
    );
    assert_eq!(world.runtimes.calls().len(), 2);
    let long = keyed(&world, &"k".repeat(257), "actions/good").await;
    assert_eq!(long.status, 400);
}

#[tokio::test]
async fn two_at_once_with_the_same_key_get_the_same_outcome() {
    let world = classes().await;
    world.runtimes.hold();
    let path = "actions/good?blocking=true";
    let both = async {
        let one = keyed(&world, "k", path);
        let other = keyed(&world, "k", path);
        futures_util::future::join(one, other).await
    };
    let release = async {
        crate::harness::until("the action runs", async || {
            (!world.runtimes.calls().is_empty()).then_some(())
        })
        .await;
        world.runtimes.release(1);
    };
    let ((one, other), ()) = futures_util::future::join(both, release).await;
    assert_eq!(one.of(200)["activationId"], other.of(200)["activationId"]);
    assert_eq!(world.runtimes.calls().len(), 1);
}
