//! Triggers and rules: how they are linked, and what a firing does.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};

use crate::harness::{World, basic};

fn rule(trigger: &str, action: &str) -> Value {
    json!({ "status": "", "trigger": trigger, "action": action })
}

/// A trigger `t`, an action `a` and the rule `r` between them.
async fn linked() -> World {
    let world = World::new().await;
    let parameters = json!([{ "key": "bound", "value": 1 }, { "key": "both", "value": 1 }]);
    world
        .put("triggers/t", json!({ "parameters": parameters }))
        .await
        .of(200);
    world.action("a").await;
    world.put("rules/r", rule("/_/t", "/_/a")).await.of(200);
    world
}

async fn status(world: &World) -> Value {
    world.get("rules/r").await.of(200)["status"].clone()
}

async fn set(world: &World, status: &str) -> crate::harness::Reply {
    let body = json!({ "status": status, "trigger": null, "action": null });
    world.post("rules/r", body).await
}

#[tokio::test]
async fn a_rule_links_a_trigger_and_an_action() {
    let world = linked().await;
    let made = world.get("rules/r").await.of(200);
    assert_eq!(made["trigger"], json!({ "path": "guest", "name": "t" }));
    assert_eq!(made["action"], json!({ "path": "guest", "name": "a" }));
    assert_eq!(
        (&made["status"], &made["version"]),
        (&json!("active"), &json!("0.0.1"))
    );
    let trigger = world.get("triggers/t").await.of(200);
    let link = json!({ "action": { "path": "guest", "name": "a" }, "status": "active" });
    assert_eq!(trigger["rules"], json!({ "guest/r": link }));
    assert_eq!(trigger["limits"], json!({}));
    let list = world.get("rules").await.of(200);
    assert!(list[0].get("status").is_none(), "not in lists");
    assert_eq!(world.delete("rules/r").await.of(200)["status"], "inactive");
    assert!(world.get("triggers/t").await.of(200).get("rules").is_none());
}

#[tokio::test]
async fn rules_are_refused_row_by_row() {
    let world = linked().await;
    for (body, text) in [
        (
            rule("/_/none", "/_/a"),
            "trigger /guest/none does not exist",
        ),
        (rule("/_/t", "/_/none"), "action /guest/none does not exist"),
        (
            json!({ "trigger": "/_/t" }),
            "rule requires a valid trigger and a valid action",
        ),
        (
            json!({}),
            "rule requires a valid trigger and a valid action",
        ),
        (
            rule("t", "/_/a"),
            "The request content was malformed:\nrequirement failed: The fully qualified name of the entity must contain at least the namespace and the name of the entity.",
        ),
    ] {
        world.put("rules/new", body).await.refuses(400, text);
    }
    let text = "resource already exists";
    world
        .put("rules/r", rule("/_/t", "/_/a"))
        .await
        .refuses(409, text);
    let feed = |value: Value| json!({ "annotations": [{ "key": "feed", "value": value }] });
    for bad in [json!(""), json!(7), json!("/a/b/c/d")] {
        world
            .put("triggers/fed", feed(bad))
            .await
            .refuses(400, "Feed name is not valid");
    }
    world
        .put("triggers/fed", feed(json!("/_/p/f")))
        .await
        .of(200);
}

#[tokio::test]
async fn a_rule_is_switched_and_lost_with_its_trigger() {
    let world = linked().await;
    for wanted in ["inactive", "inactive", "active"] {
        let reply = set(&world, wanted).await;
        assert_eq!(
            (reply.status.as_u16(), reply.text()),
            (200, "OK".to_owned())
        );
        assert_eq!(status(&world).await, wanted);
    }
    let body = json!({ "action": "/_/a" });
    set(&world, "inactive").await;
    let updated = world.put("rules/r?overwrite=true", body).await.of(200);
    assert_eq!(
        updated["status"], "inactive",
        "an update switches nothing on"
    );
    assert_eq!(updated["version"], "0.0.2");
    set(&world, "active").await;
    world.delete("triggers/t").await.of(200);
    assert_eq!(status(&world).await, "inactive");
    let text = "Only rules with existing triggers can be activated";
    set(&world, "active").await.refuses(404, text);
    world.put("triggers/t", json!({})).await.of(200);
    assert_eq!(
        status(&world).await,
        "inactive",
        "the new trigger knows no rule"
    );
    set(&world, "active").await;
    assert_eq!(status(&world).await, "active");
    assert_eq!(set(&world, "sometimes").await.status, 400);
}

#[tokio::test]
async fn a_rule_that_gets_another_trigger_leaves_the_first() {
    let world = linked().await;
    world.put("triggers/u", json!({})).await.of(200);
    let moved = world
        .put("rules/r?overwrite=true", json!({ "trigger": "/_/u" }))
        .await
        .of(200);
    assert_eq!(moved["status"], "active");
    assert!(world.get("triggers/t").await.of(200).get("rules").is_none());
    assert!(
        world.get("triggers/u").await.of(200)["rules"]
            .get("guest/r")
            .is_some()
    );
}

#[tokio::test]
async fn a_firing_without_an_active_rule_is_204_and_leaves_nothing() {
    let world = linked().await;
    set(&world, "inactive").await;
    let reply = world.post("triggers/t", json!({})).await;
    assert_eq!((reply.status.as_u16(), reply.text()), (204, String::new()));
    assert_eq!(world.get("activations").await.of(200), json!([]));
    world
        .post("triggers/none", json!({}))
        .await
        .refuses(404, "The requested resource does not exist.");
}

#[tokio::test]
async fn a_firing_invokes_every_active_rule_and_tells_of_all() {
    let world = linked().await;
    world.action("b").await;
    for (name, action) in [("gone", "/_/b"), ("off", "/_/a"), ("second", "/_/a")] {
        world
            .put(&format!("rules/{name}"), rule("/_/t", action))
            .await
            .of(200);
    }
    world.delete("actions/b").await.of(200);
    world
        .post("rules/off", json!({ "status": "inactive" }))
        .await;
    let guest = world.guest().clone();
    let request = Request::post("/api/v1/namespaces/_/triggers/t")
        .header(header::AUTHORIZATION, basic(&guest))
        .header(header::CONTENT_TYPE, "application/json")
        .header("X-Mine", "yes");
    let body = Body::from(json!({ "both": 2 }).to_string());
    let reply = world.send(request.body(body).unwrap()).await;
    assert_eq!(reply.of(202), json!({ "activationId": reply.activation() }));

    let fired = world.recorded(&reply.activation()).await;
    assert_eq!(fired["response"]["result"], json!({ "both": 2 }));
    for absent in ["end", "duration"] {
        assert!(fired.get(absent).is_none(), "{absent}");
    }
    assert_eq!(fired["annotations"], json!([]));
    let logs = fired["logs"].as_array().unwrap().iter();
    let logs: Vec<Value> = logs
        .map(|line| serde_json::from_str(line.as_str().unwrap()).unwrap())
        .collect();
    let of = |rule: &str| logs.iter().find(|log| log["rule"] == rule).unwrap();
    assert_eq!(logs.len(), 4);
    assert_eq!(
        of("guest/gone")["error"],
        "The requested resource does not exist."
    );
    assert_eq!(of("guest/gone")["success"], false);
    assert_eq!(
        of("guest/off")["error"],
        "Rule 'guest/off' is inactive, action 'guest/a' was not activated."
    );
    assert_eq!(of("guest/off")["statusCode"], 1);
    let ids = ["guest/r", "guest/second"].map(|rule| {
        let log = of(rule);
        assert_eq!(
            (&log["statusCode"], &log["success"]),
            (&json!(0), &json!(true))
        );
        assert_eq!(log["action"], "guest/a");
        log["activationId"].as_str().unwrap().to_owned()
    });
    for id in ids {
        let ran = world.recorded(&id).await;
        let result = &ran["response"]["result"];
        assert_eq!((&result["bound"], &result["both"]), (&json!(1), &json!(2)));
        let headers = result["__ow_headers"].as_object().unwrap();
        assert_eq!(headers["x-mine"], "yes");
        assert!(
            !headers.contains_key("authorization"),
            "credentials stay here"
        );
    }
    let list = world.get("activations?name=t").await.of(200);
    assert!(list[0].get("statusCode").is_none(), "a trigger has none");
}

#[tokio::test]
async fn a_firing_with_a_key_happens_once() {
    let world = linked().await;
    let fire = async || {
        let request = Request::post("/api/v1/namespaces/_/triggers/t")
            .header(header::AUTHORIZATION, basic(world.guest()))
            .header("idempotency-key", "k");
        world.send(request.body(Body::empty()).unwrap()).await
    };
    let first = fire().await;
    assert_eq!(fire().await.of(202), first.of(202));
    let list = world.get("activations?name=t").await.of(200);
    assert_eq!(list.as_array().unwrap().len(), 1);
    let log = world.recorded(&first.activation()).await["logs"][0].clone();
    let log: Value = serde_json::from_str(log.as_str().unwrap()).unwrap();
    world.recorded(log["activationId"].as_str().unwrap()).await;
    assert_eq!(world.runtimes.calls().len(), 1);
}

#[tokio::test]
async fn a_trigger_has_so_many_rules() {
    use conche_openwhisk_host::{Settings, Sizes};
    let sizes = Sizes {
        rules: 1,
        ..Sizes::default()
    };
    let world = World::with(Settings {
        sizes,
        ..Settings::default()
    })
    .await;
    world.put("triggers/t", json!({})).await.of(200);
    world.action("a").await;
    world.put("rules/r", rule("/_/t", "/_/a")).await.of(200);
    let reply = world.put("rules/s", rule("/_/t", "/_/a")).await;
    reply.refuses(
        400,
        "The trigger has 1 rules, and no trigger may have more.",
    );
    world.get("rules/s").await.of(404);
}
