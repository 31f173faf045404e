//! Sequences, row by row.

use conche_openwhisk_host::runtimes::{Ran, ResponseClass, Run};
use conche_openwhisk_host::{ActionSettings, Settings};
use serde_json::{Value, json};

use crate::harness::{World, annotation, code};

/// An action that adds one to `n`.
fn adds(run: &Run) -> Ran {
    let mut value = run.value.clone();
    value["n"] = (value["n"].as_i64().unwrap_or(0) + 1).into();
    Ran {
        run: std::time::Duration::from_millis(5),
        ..Ran::success(value)
    }
}

async fn world() -> World {
    let actions = ActionSettings {
        sequence_length: 4,
        ..ActionSettings::default()
    };
    let world = World::with(Settings {
        actions,
        ..Settings::default()
    })
    .await;
    for name in ["one", "two", "fails", "list"] {
        world.action(name).await;
    }
    world.runtimes.answer("one", adds);
    world.runtimes.answer("two", adds);
    world.runtimes.answer("fails", |_| {
        Ran::failure(ResponseClass::ApplicationError, "no")
    });
    world
        .runtimes
        .answer("list", |_| Ran::success(json!([1, 2])));
    world
}

fn sequence(components: &[&str]) -> Value {
    json!({ "exec": { "kind": "sequence", "components": components } })
}

#[tokio::test]
async fn sequences_are_refused_row_by_row() {
    let world = world().await;
    world.sequence("inner", &["/_/one", "/_/two"]).await;
    let short = "The request content was malformed:\nrequirement failed: The fully qualified name of the entity must contain at least the namespace and the name of the entity.";
    let one = "/_/one";
    for (components, text) in [
        (&[][..], "No component specified for the sequence."),
        (
            &[one, one, one, one, one],
            "Too many actions in the sequence.",
        ),
        (
            &["/_/inner", "/_/inner", one],
            "Too many actions in the sequence.",
        ),
        (&["/_/new"], "Sequence may not refer to itself."),
        (&[one, "/_/none"], "Sequence component does not exist."),
        (&["one"], short),
    ] {
        let reply = world.put("actions/new", sequence(components)).await;
        reply.refuses(400, text);
    }
    let cyclic = sequence(&[one, "/guest/outer"]);
    world.sequence("outer", &["/_/inner"]).await;
    let reply = world.put("actions/inner?overwrite=true", cyclic).await;
    reply.refuses(400, "Sequence may not refer to itself.");
}

#[tokio::test]
async fn a_sequence_keeps_its_components_with_their_namespace() {
    let world = world().await;
    let made = world
        .put("actions/s", sequence(&["/_/one", "guest/two"]))
        .await
        .of(200);
    let components = json!(["/guest/one", "/guest/two"]);
    assert_eq!(made["exec"]["components"], components);
    assert_eq!(
        made["parameters"],
        json!([{ "key": "_actions", "value": components }])
    );
    let update = json!({ "exec": code()["exec"] });
    let made = world.put("actions/s?overwrite=true", update).await.of(200);
    assert_eq!(
        made["parameters"],
        json!([]),
        "code has nothing of the sequence"
    );
}

#[tokio::test]
async fn what_one_returns_is_the_input_of_the_next() {
    let world = world().await;
    let more = json!({ "parameters": [{ "key": "own", "value": 1 }] });
    world.action_with("two", more).await;
    world
        .put("actions/s", sequence(&["/_/one", "/_/two"]))
        .await
        .of(200);
    let id = world
        .post("actions/s?blocking=true", json!({ "n": 5, "error": "old" }))
        .await;
    let whole = world.recorded(&id.activation()).await;
    assert_eq!(
        whole["response"]["result"],
        json!({ "own": 1, "n": 7, "error": "old" }),
        "an error in the first input stops nothing"
    );
    assert_eq!(whole["duration"], 10);
    assert_eq!(annotation(&whole, "kind"), Some(&json!("sequence")));
    assert_eq!(annotation(&whole, "topmost"), Some(&json!(true)));
    assert_eq!(annotation(&whole, "path"), Some(&json!("guest/s")));
    assert_eq!(annotation(&whole, "causedBy"), None);
    let parts = whole["logs"].as_array().unwrap();
    assert_eq!(parts.len(), 2);
    for part in parts {
        let part = world.recorded(part.as_str().unwrap()).await;
        assert_eq!(part["cause"], whole["activationId"]);
        assert_eq!(annotation(&part, "causedBy"), Some(&json!("sequence")));
    }
}

#[tokio::test]
async fn a_sequence_stops_at_the_first_that_fails() {
    let world = world().await;
    world.sequence("s", &["/_/one", "/_/fails", "/_/two"]).await;
    let reply = world.post("actions/s?blocking=true", json!({})).await;
    let whole = reply.of(502);
    assert_eq!(whole["response"]["status"], "application error");
    assert_eq!(whole["response"]["result"], json!({ "error": "no" }));
    let whole = world.recorded(&reply.activation()).await;
    assert_eq!(whole["logs"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn arrays_flow_as_arrays_and_parameters_of_the_sequence_do_not_flow() {
    let world = world().await;
    world
        .sequence("s", &["/_/list", "/whisk.system/utils/echo"])
        .await;
    let reply = world.post("actions/s?blocking=true", json!({})).await;
    assert_eq!(reply.of(200), json!([1, 2]));
    let mut body = sequence(&["/_/one"]);
    body["parameters"] = json!([{ "key": "mine", "value": 1 }]);
    world.put("actions/own", body).await.of(200);
    let ran = world.run("own", json!({})).await;
    assert_eq!(ran["response"]["result"], json!({ "n": 1 }));
}

#[tokio::test]
async fn a_component_that_is_gone_is_an_error_of_the_application() {
    let world = world().await;
    world.sequence("s", &["/_/one", "/_/two"]).await;
    world.delete("actions/two").await.of(200);
    let ran = world.run("s", json!({})).await;
    assert_eq!(ran["response"]["status"], "application error");
    assert_eq!(
        ran["response"]["result"],
        json!({ "error": "Sequence component does not exist." })
    );
}

#[tokio::test]
async fn sequences_nest_and_are_bounded_when_they_run() {
    let world = world().await;
    world.sequence("inner", &["/_/one"]).await;
    world.sequence("outer", &["/_/inner", "/_/inner"]).await;
    let id = world.post("actions/outer?blocking=true", json!({})).await;
    assert_eq!(id.of(200)["response"]["result"], json!({ "n": 2 }));
    let outer = world.recorded(&id.activation()).await;
    let inner = world.recorded(outer["logs"][0].as_str().unwrap()).await;
    assert_eq!(annotation(&inner, "topmost"), Some(&json!(false)));
    assert_eq!(inner["cause"], outer["activationId"]);
    // What is within may grow after the outer one was stored.
    world
        .sequence("inner", &["/_/one", "/_/one", "/_/one"])
        .await;
    let ran = world.run("outer", json!({})).await;
    assert_eq!(
        ran["response"]["result"],
        json!({ "error": "Too many actions in the sequence." })
    );
}

#[tokio::test]
async fn a_sequence_that_is_stored_runs_however_deep_it_holds_others() {
    let world = world().await;
    world.sequence("s1", &["/_/one"]).await;
    for depth in 2..=8 {
        let below = format!("/_/s{}", depth - 1);
        world.sequence(&format!("s{depth}"), &[&below]).await;
    }
    let ran = world.run("s8", json!({})).await;
    assert_eq!(ran["response"]["result"], json!({ "n": 1 }));
    let reply = world.put("actions/s9", sequence(&["/_/s8"])).await;
    reply.refuses(400, "Too many actions in the sequence.");
}
