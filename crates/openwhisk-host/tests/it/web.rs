//! Web actions over HTTP: who may call, what the action gets, what the caller gets. The tables
//! of results are in `projection`.

use axum::body::Body;
use axum::http::{Method, Request, header};
use conche_openwhisk_host::runtimes::{Ran, ResponseClass};
use serde_json::{Value, json};

use crate::harness::{Reply, World, basic};

const RESERVED: &str =
    "Request defines parameters that are not allowed (e.g., reserved properties).";
const MISSING: &str = "The requested resource does not exist.";

fn annotated(more: &[(&str, Value)]) -> Value {
    let all = more
        .iter()
        .map(|(key, value)| json!({ "key": key, "value": value }));
    json!({ "annotations": all.collect::<Vec<_>>() })
}

fn exported(more: &[(&str, Value)]) -> Value {
    let mut all = vec![("web-export", json!(true))];
    all.extend_from_slice(more);
    annotated(&all)
}

/// A request without credentials for a web action of the guest's.
async fn call(world: &World, method: Method, path: &str, kind: &str, body: &str) -> Reply {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("/api/v1/web/guest/{path}"));
    if !kind.is_empty() {
        request = request.header(header::CONTENT_TYPE, kind);
    }
    let body = Body::from(body.to_owned());
    world.send(request.body(body).expect("a request")).await
}

async fn get(world: &World, path: &str) -> Reply {
    call(world, Method::GET, path, "", "").await
}

#[tokio::test]
async fn what_is_not_exported_is_not_there() {
    let world = World::new().await;
    world.action("plain").await;
    for (name, value) in [
        ("text", json!("true")),
        ("number", json!(1)),
        ("no", json!(false)),
    ] {
        world
            .action_with(name, annotated(&[("web-export", value)]))
            .await;
    }
    world.put("triggers/t", json!({})).await.of(200);
    for path in [
        "default/plain",
        "default/text",
        "default/number",
        "default/no",
        "default/none",
        "default/t",
        "none/a",
        "default",
        "default/",
    ] {
        get(&world, path).await.refuses(404, MISSING);
    }
    let reply = world
        .send(
            Request::get("/api/v1/web/nobody/default/a")
                .body(Body::empty())
                .unwrap(),
        )
        .await;
    reply.refuses(404, MISSING);
    let reply = call(
        &world,
        Method::from_bytes(b"TRACE").unwrap(),
        "default/plain",
        "",
        "",
    )
    .await;
    assert!(reply.status == 404 || reply.status == 405);
}

#[tokio::test]
async fn an_action_gets_the_request_with_the_body_over_the_query() {
    let world = World::new().await;
    let mut body = exported(&[]);
    body["parameters"] = json!([{ "key": "bound", "value": 1 }, { "key": "over", "value": 1 }]);
    world.action_with("a", body).await;
    let path = "default/a.json/more/of%20it?over=2&both=3&q=x%20y&q=last";
    let reply = call(
        &world,
        Method::POST,
        path,
        "application/json",
        r#"{"both":4,"n":[1]}"#,
    )
    .await;
    let got = reply.of(200);
    assert_eq!(got["bound"], 1);
    assert_eq!(
        (&got["over"], &got["both"], &got["q"]),
        (&json!("2"), &json!(4), &json!("last"))
    );
    assert_eq!(got["n"], json!([1]));
    assert_eq!(got["__ow_method"], "post");
    assert_eq!(got["__ow_path"], "/more/of%20it");
    assert_eq!(got["__ow_headers"]["content-type"], "application/json");
    assert!(got.get("__ow_user").is_none() && got.get("__ow_query").is_none());
    assert!(
        reply.text().starts_with("{\n  \""),
        "pretty: {}",
        reply.text()
    );
    let form = "application/x-www-form-urlencoded";
    let got = call(&world, Method::POST, "default/a.json", form, "a=1&b=x+y")
        .await
        .of(200);
    assert_eq!(
        (&got["a"], &got["b"], &got["__ow_path"]),
        (&json!("1"), &json!("x y"), &json!(""))
    );
    for (kind, body, wanted) in [
        ("text/plain", "hello", "hello"),
        ("application/json", "[1]", "[1]"),
        ("application/octet-stream", "\u{1}\u{2}", "AQI="),
        ("image/png", "abc", "YWJj"),
    ] {
        let got = call(&world, Method::PUT, "default/a.json", kind, body)
            .await
            .of(200);
        assert_eq!(got["__ow_body"], wanted, "{kind}");
    }
    let reply = call(
        &world,
        Method::POST,
        "default/a.json",
        "application/json",
        "{",
    )
    .await;
    assert_eq!(reply.status, 400);
}

#[tokio::test]
async fn reserved_and_fixed_names_are_refused_but_not_of_raw_actions() {
    let world = World::new().await;
    let mut fixed = exported(&[("final", json!(true))]);
    fixed["parameters"] = json!([{ "key": "fixed", "value": 1 }, { "key": "open", "value": null }]);
    world.action_with("a", fixed).await;
    for name in [
        "__ow_method",
        "__ow_headers",
        "__ow_path",
        "__ow_user",
        "__ow_query",
        "__ow_body",
        "fixed",
    ] {
        get(&world, &format!("default/a?{name}=1"))
            .await
            .refuses(400, RESERVED);
        let body = json!({ name: 1 }).to_string();
        let reply = call(&world, Method::POST, "default/a", "application/json", &body).await;
        reply.refuses(400, RESERVED);
    }
    assert_eq!(
        get(&world, "default/a.json?open=2").await.of(200)["open"],
        "2"
    );
    world
        .action_with("raw", exported(&[("raw-http", json!(true))]))
        .await;
    let path = "default/raw.json?a=1&__ow_body=x";
    let got = call(&world, Method::POST, path, "application/json", "{\"a\":2}")
        .await
        .of(200);
    assert_eq!(got["__ow_query"], "a=1&__ow_body=x");
    assert_eq!(
        got["__ow_body"], "eyJhIjoyfQ==",
        "JSON is bytes for a raw action"
    );
    assert!(got.get("a").is_none());
    let got = call(
        &world,
        Method::POST,
        "default/raw.json",
        "text/plain",
        "text",
    )
    .await
    .of(200);
    assert_eq!(
        (&got["__ow_body"], &got["__ow_query"]),
        (&json!("text"), &json!(""))
    );
}

#[tokio::test]
async fn an_action_may_want_credentials_or_a_word() {
    let world = World::new().await;
    for (name, value) in [
        ("user", json!(true)),
        ("word", json!("secret")),
        ("number", json!(42)),
        ("odd", json!([])),
    ] {
        world
            .action_with(name, exported(&[("require-whisk-auth", value)]))
            .await;
    }
    let with = async |name: &str, header: &str, value: &str| {
        let path = format!("/api/v1/web/guest/default/{name}.json");
        let request = Request::get(path).header(header, value);
        world
            .send(request.body(Body::empty()).expect("a request"))
            .await
    };
    for name in ["user", "word", "number", "odd"] {
        let reply = get(&world, &format!("default/{name}.json")).await;
        assert_eq!(reply.status, 401, "{name}");
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    }
    let user = with("user", "authorization", &basic(world.other())).await;
    assert_eq!(user.of(200)["__ow_user"], "other", "any user of the host");
    let headers = user.json()["__ow_headers"].clone();
    assert!(
        headers.get("authorization").is_none(),
        "the host's are not the owner's"
    );
    assert_eq!(with("user", "authorization", "Basic bad").await.status, 401);
    let secret = "x-require-whisk-auth";
    let word = with("word", secret, "secret").await.of(200);
    assert!(word["__ow_headers"].get(secret).is_none());
    with("number", secret, "42").await.of(200);
    for (name, value) in [
        ("word", "secrets"),
        ("word", ""),
        ("number", "43"),
        ("user", "true"),
        ("odd", "[]"),
    ] {
        assert_eq!(
            with(name, secret, value).await.status,
            401,
            "{name} {value}"
        );
    }
}

#[tokio::test]
async fn pages_may_call_unless_the_action_answers_for_itself() {
    let world = World::new().await;
    world.action_with("a", exported(&[])).await;
    let custom = [
        ("web-custom-options", json!(true)),
        ("require-whisk-auth", json!(true)),
    ];
    world.action_with("custom", exported(&custom)).await;
    world.runtimes.answer("custom", |_| {
        Ran::success(json!({ "headers": { "Access-Control-Allow-Origin": "https://mine" }, "statusCode": 204 }))
    });
    let asks = async |name: &str| {
        let path = format!("/api/v1/web/guest/default/{name}");
        let request = Request::builder()
            .method(Method::OPTIONS)
            .uri(path)
            .header("access-control-request-headers", "X-Mine");
        world
            .send(request.body(Body::empty()).expect("a request"))
            .await
    };
    let reply = asks("a").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, String::new()));
    assert_eq!(reply.header("access-control-allow-headers"), Some("X-Mine"));
    assert_eq!(
        reply.header("access-control-allow-methods"),
        Some("OPTIONS, GET, DELETE, POST, PUT, HEAD, PATCH")
    );
    assert!(world.runtimes.calls().is_empty());
    let reply = asks("custom").await;
    assert_eq!(
        reply.status, 204,
        "asked of the action, without credentials"
    );
    assert_eq!(
        reply.header("access-control-allow-origin"),
        Some("https://mine")
    );
    assert_eq!(reply.header("access-control-allow-methods"), None);
    let reply = get(&world, "default/a").await;
    assert_eq!(
        reply.header("access-control-allow-headers"),
        Some("Authorization, Origin, X-Requested-With, Content-Type, Accept, User-Agent")
    );
}

#[tokio::test]
async fn the_activation_is_the_owners_and_the_answer_names_it() {
    let world = World::new().await;
    world.put("packages/p", json!({})).await.of(200);
    world.action_with("p/a", exported(&[])).await;
    world
        .put(
            "packages/b",
            json!({ "binding": { "namespace": "_", "name": "p" },
        "parameters": [{ "key": "from", "value": "binding" }] }),
        )
        .await
        .of(200);
    let reply = get(&world, "b/a.json").await;
    assert_eq!(reply.of(200)["from"], "binding", "through a binding too");
    let activation = world.recorded(&reply.activation()).await;
    assert_eq!(activation["namespace"], "guest");
    let reply = get(&world, "p/a.unknown").await;
    reply.refuses(404, MISSING);
}

#[tokio::test(start_paused = true)]
async fn failures_and_delays_are_told_without_detail() {
    let world = World::new().await;
    for name in ["denies", "crashes", "breaks", "slow"] {
        world.action_with(name, exported(&[])).await;
    }
    world.runtimes.answer("denies", |_| {
        let error = json!({ "statusCode": 403, "body": "no" });
        Ran::failure(ResponseClass::ApplicationError, error)
    });
    world.runtimes.answer("crashes", |_| {
        Ran::failure(ResponseClass::DeveloperError, "stack")
    });
    world.runtimes.answer("breaks", |_| {
        Ran::failure(ResponseClass::InternalError, "host")
    });
    let reply = get(&world, "default/denies").await;
    assert_eq!((reply.status.as_u16(), reply.text().as_str()), (403, "no"));
    for name in ["crashes", "breaks"] {
        let reply = get(&world, &format!("default/{name}")).await;
        reply.refuses(400, "There was an error processing your request.");
        reply.activation();
    }
    world.runtimes.hold();
    let reply = get(&world, "default/slow").await;
    reply.refuses(202, "Response not yet ready.");
    world.runtimes.release(1);
    world.recorded(&reply.activation()).await;
}
