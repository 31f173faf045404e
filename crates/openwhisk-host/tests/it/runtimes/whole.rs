//! The REST side and the runtimes together: functions that are stored by PUT and run as
//! processes.

use std::sync::Arc;

use conche_openwhisk_host::runtimes::{Pool, Runtimes as _};
use conche_runtime::clock::SystemClock;
use conche_runtime::supervisor::Supervisor;
use serde_json::{Value, json};

use super::rig::{NODE, PYTHON, settings_for, zipped};
use crate::harness::{World, annotation};

/// A host whose functions of a kind run; none, visibly, where nothing carries it out here.
#[allow(clippy::print_stdout, reason = "a skipped test is seen")]
async fn world(kind: &str) -> Option<(World, Supervisor)> {
    let supervisor = Supervisor::new();
    let clock = Arc::new(SystemClock);
    let pool = Pool::start(settings_for(kind), clock, &supervisor.tasks()).await;
    let pool = pool.unwrap();
    let family = kind.split(':').next().unwrap();
    if !pool.kinds().iter().any(|kind| kind.family == family) {
        println!("skipped: nothing here carries out `{kind}`");
        return None;
    }
    Some((World::with_runtimes(Arc::new(pool)).await, supervisor))
}

async fn put(world: &World, name: &str, kind: &str, code: &str) {
    let body = json!({ "exec": { "kind": kind, "code": code } });
    let path = format!("actions/{name}?overwrite=true");
    world.put(&path, body).await.of(200);
}

#[tokio::test]
async fn a_function_in_node_is_stored_run_and_replaced() {
    let Some((world, _supervisor)) = world(NODE).await else {
        return;
    };
    let code = "function main(a) { console.log('hello'); return { n: a.n + 1, ns: process.env.__OW_NAMESPACE } }";
    put(&world, "f", NODE, code).await;
    let reply = world
        .post("actions/f?blocking=true", json!({ "n": 1 }))
        .await;
    let ran = reply.of(200);
    assert_eq!(ran["response"]["result"], json!({ "n": 2, "ns": "guest" }));
    assert!(annotation(&ran, "initTime").is_some(), "cold");
    let stored = world.recorded(&reply.activation()).await;
    let line = stored["logs"][0].as_str().unwrap();
    assert!(line.ends_with(" stdout: hello"), "{line}");
    let warm = world.run("f", json!({ "n": 2 })).await;
    assert_eq!(annotation(&warm, "initTime"), None, "warm");
    put(&world, "f", NODE, "const main = () => ({ new: true })").await;
    let ran = world.run("f", json!({})).await;
    assert_eq!(ran["response"]["result"], json!({ "new": true }));
}

#[tokio::test]
async fn failures_of_functions_have_their_classes() {
    let Some((world, _supervisor)) = world(NODE).await else {
        return;
    };
    for (name, code, class) in [
        (
            "app",
            "function main() { return { error: 'no', more: 1 } }",
            "application error",
        ),
        (
            "throws",
            "function main() { throw new Error('T') }",
            "action developer error",
        ),
        ("broken", "function main( {", "action developer error"),
        (
            "text",
            "function main() { return 'x' }",
            "action developer error",
        ),
    ] {
        put(&world, name, NODE, code).await;
        let path = format!("actions/{name}?blocking=true");
        let ran = world.post(&path, json!({})).await.of(502);
        assert_eq!(ran["response"]["status"], class, "{ran}");
        let members = ran["response"]["result"].as_object().unwrap();
        assert_eq!(members.len(), 1, "only the error: {ran}");
    }
    let more = json!({ "exec": { "kind": NODE, "code": "function main() { for (;;) {} }" }, "limits": { "timeout": 500 } });
    world.put("actions/endless", more).await.of(200);
    let ran = world
        .post("actions/endless?blocking=true", json!({}))
        .await
        .of(502);
    let error = &ran["response"]["result"]["error"];
    assert_eq!(
        *error,
        "The action exceeded its time limits of 500 milliseconds."
    );
    assert_eq!(annotation(&ran, "timeout"), Some(&json!(true)));
}

#[tokio::test]
async fn zips_sequences_and_web_pages_are_run() {
    use axum::body::Body;
    use axum::http::Request;
    use base64::Engine as _;
    let Some((world, _supervisor)) = world(NODE).await else {
        return;
    };
    let zip = zipped(&[
        ("package.json", r#"{ "main": "start.js" }"#),
        (
            "start.js",
            "exports.main = a => ({ html: `<b>${a.name || a.payload}</b>` })",
        ),
    ]);
    let zip = base64::prelude::BASE64_STANDARD.encode(zip);
    let exported = json!([{ "key": "web-export", "value": true }]);
    let body = json!({ "exec": { "kind": NODE, "code": zip }, "annotations": exported });
    let made = world.put("actions/page", body).await.of(200);
    assert_eq!(made["exec"]["binary"], true);
    let request = Request::get("/api/v1/web/guest/default/page.html?name=Ann");
    let reply = world.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(
        (reply.status.as_u16(), reply.text().as_str()),
        (200, "<b>Ann</b>")
    );
    world
        .sequence("s", &["/whisk.system/utils/cat", "/_/page"])
        .await;
    let ran = world.run("s", json!({ "lines": ["a", "b"] })).await;
    assert_eq!(ran["response"]["result"], json!({ "html": "<b>a\nb</b>" }));
}

#[tokio::test]
async fn a_function_in_python_fails_as_its_runtime_does() {
    let Some((world, _supervisor)) = world(PYTHON).await else {
        return;
    };
    put(
        &world,
        "f",
        PYTHON,
        "def main(a):\n    return {'n': a['n'] + 1}\n",
    )
    .await;
    let ran = world.run("f", json!({ "n": 1 })).await;
    assert_eq!(ran["response"]["result"], json!({ "n": 2 }));
    let ran: Value = world.run("f", json!({})).await;
    assert_eq!(
        ran["response"]["status"], "application error",
        "an exception is one, in Python"
    );
}
