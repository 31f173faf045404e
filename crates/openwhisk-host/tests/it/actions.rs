//! Actions: what a PUT makes of them, row by row, and how they are read and listed.

use serde_json::{Value, json};

use crate::harness::{World, annotation, code};

#[tokio::test]
async fn a_new_action_has_its_defaults_and_the_concrete_kind() {
    let world = World::new().await;
    let made = world.put("actions/a", code()).await.of(200);
    assert_eq!(made["namespace"], "guest");
    assert_eq!(
        (&made["name"], &made["version"], &made["publish"]),
        (&json!("a"), &json!("0.0.1"), &json!(false))
    );
    assert_eq!(made["updated"], world.watch.millis());
    assert_eq!(made["exec"]["kind"], "nodejs:20");
    assert_eq!(made["exec"]["binary"], false);
    assert_eq!(made["parameters"], json!([]));
    assert_eq!(annotation(&made, "exec"), Some(&json!("nodejs:20")));
    assert_eq!(annotation(&made, "provide-api-key"), Some(&json!(false)));
    assert_eq!(
        made["limits"],
        json!({ "timeout": 60_000, "memory": 256, "logs": 10, "concurrency": 1 })
    );
    assert_eq!(world.get("actions/a").await.of(200), made);
    let bare = world.get("actions/a?code=false").await.of(200);
    assert!(bare["exec"].get("code").is_none());
    assert_eq!(bare["exec"]["binary"], false);
    assert_eq!(world.delete("actions/a").await.of(200), made);
    world
        .get("actions/a")
        .await
        .refuses(404, "The requested resource does not exist.");
}

#[tokio::test]
async fn whether_code_is_binary_is_said_by_the_code() {
    let world = World::new().await;
    for (text, binary) in [
        ("abcd", true),
        ("UEsDBA==", true),
        ("abc", false),
        ("", false),
    ] {
        let body = json!({ "exec": { "kind": "nodejs:20", "code": text, "binary": !binary } });
        let made = world.put("actions/a?overwrite=true", body).await.of(200);
        assert_eq!(made["exec"]["binary"], binary, "{text}");
    }
}

#[tokio::test]
#[allow(clippy::too_many_lines, reason = "a table")]
async fn puts_are_refused_row_by_row() {
    let world = World::new().await;
    world.action("there").await;
    world.put("triggers/t", json!({})).await.of(200);
    world.put("packages/p", json!({})).await.of(200);
    let binding = json!({ "binding": { "namespace": "_", "name": "p" } });
    world.put("packages/bound", binding).await.of(200);
    let limits = |limits: Value| {
        let mut body = code();
        body["limits"] = limits;
        body
    };
    let kind = |kind: &str| json!({ "exec": { "kind": kind, "code": "x" } });
    let valid = "'nodejs:18', 'nodejs:20', 'python:3.11'";
    let unsupported = format!(
        "The request content was malformed:\nThe specified runtime 'cobol:60' is not supported by this platform. Valid values are: {valid}."
    );
    for (path, body, status, text) in [
        ("actions/there", code(), 409, "resource already exists"),
        (
            "actions/there?overwrite=false",
            code(),
            409,
            "resource already exists",
        ),
        (
            "actions/t?overwrite=true",
            code(),
            409,
            "Resource by this name exists but is not in this collection.",
        ),
        (
            "triggers/there?overwrite=true",
            json!({}),
            409,
            "Resource by this name exists but is not in this collection.",
        ),
        ("actions/new", json!({}), 400, "exec undefined"),
        ("actions/new", kind("cobol:60"), 400, &unsupported),
        (
            "actions/new",
            limits(json!({ "timeout": 300_001 })),
            400,
            "duration 300001 milliseconds exceeds allowed threshold of 300000 milliseconds",
        ),
        (
            "actions/new",
            limits(json!({ "memory": 1024 })),
            400,
            "memory size 1024 MB exceeds allowed threshold of 512 MB",
        ),
        (
            "actions/new",
            limits(json!({ "logs": 11 })),
            400,
            "log size 11 MB exceeds allowed threshold of 10 MB",
        ),
        (
            "actions/new",
            limits(json!({ "instances": 0 })),
            400,
            "instances 0 below allowed threshold of 1",
        ),
        (
            "actions/new",
            limits(json!({ "concurrency": 10 })),
            400,
            "concurrency 10 exceeds allowed threshold of 1",
        ),
        (
            "actions/none/new",
            code(),
            404,
            "The requested resource does not exist.",
        ),
        (
            "actions/bound/new",
            code(),
            400,
            "Operation not permitted on package binding.",
        ),
        (
            "actions/new?overwrite=maybe",
            code(),
            400,
            "The query parameter 'overwrite' was malformed:\n'maybe' is not a valid Boolean value",
        ),
    ] {
        world.put(path, body).await.refuses(status, text);
    }
    let none = world.get("actions/new").await;
    none.refuses(404, "The requested resource does not exist.");
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    use conche_openwhisk_host::{Settings, Sizes};
    use conche_runtime::units::Size;
    let sizes = Sizes {
        code: Size::from_bytes(8),
        parameters: Size::from_bytes(40),
        payload: Size::from_bytes(10),
        ..Sizes::default()
    };
    let world = World::with(Settings {
        sizes,
        ..Settings::default()
    })
    .await;
    let exec = |code: &str| json!({ "kind": "nodejs:20", "code": code });
    let reply = world
        .put("actions/a", json!({ "exec": exec("123456789") }))
        .await;
    reply.refuses(413, "exec larger than allowed: 9 > 8 bytes.");
    let long = json!([{ "key": "a", "value": "12345678901234567890" }]);
    let size = long.to_string().len();
    for field in ["parameters", "annotations"] {
        let body = json!({ "exec": exec("x"), field: long });
        let reply = world.put("actions/a", body).await;
        reply.refuses(
            413,
            &format!("{field} larger than allowed: {size} > 40 bytes."),
        );
    }
    world
        .put("actions/a", json!({ "exec": exec("x") }))
        .await
        .of(200);
    let reply = world.post("actions/a", json!({ "k": "1234567" })).await;
    reply.refuses(413, "Request larger than allowed: 15 > 10 bytes.");
}

#[tokio::test]
async fn an_update_keeps_what_it_does_not_say() {
    let world = World::new().await;
    let mut body = code();
    body["parameters"] =
        json!([{ "key": "p", "value": 1 }, { "key": "i", "value": "x", "init": true }]);
    body["annotations"] = json!([{ "key": "a", "value": 1 }, { "key": "b", "value": 2 }]);
    body["limits"] = json!({ "memory": 128 });
    world.put("actions/a", body.clone()).await.of(200);
    let update = json!({
        "annotations": [{ "key": "b", "value": 3 }, { "key": "c", "value": 4 }],
        "delAnnotations": ["a"],
        "limits": { "timeout": 1000 },
    });
    let updated = world.put("actions/a?overwrite=true", update).await.of(200);
    assert_eq!(updated["version"], "0.0.2");
    assert_eq!(
        updated["parameters"], body["parameters"],
        "init shows only where it is set"
    );
    assert_eq!(updated["exec"]["code"], body["exec"]["code"]);
    assert_eq!(updated["limits"]["memory"], 128);
    assert_eq!(updated["limits"]["timeout"], 1000);
    assert_eq!(annotation(&updated, "a"), None);
    assert_eq!(annotation(&updated, "b"), Some(&json!(3)));
    assert_eq!(annotation(&updated, "c"), Some(&json!(4)));
    assert_eq!(annotation(&updated, "exec"), Some(&json!("nodejs:20")));
    let update = json!({ "parameters": [], "version": "2.0.0" });
    let updated = world.put("actions/a?overwrite=true", update).await.of(200);
    assert_eq!(
        (&updated["parameters"], &updated["version"]),
        (&json!([]), &json!("2.0.0"))
    );
}

#[tokio::test]
async fn a_revision_that_is_replaced_is_forgotten_by_the_runtimes() {
    let world = World::new().await;
    world.action("a").await;
    world.run("a", json!({})).await;
    let used = world.runtimes.calls()[0].action.clone();
    world.action("a").await;
    assert_eq!(world.runtimes.forgotten(), std::slice::from_ref(&used));
    world.run("a", json!({})).await;
    let now = world.runtimes.calls()[1].action.clone();
    assert_ne!(now.revision, used.revision);
    world.delete("actions/a").await.of(200);
    world.action("a").await;
    world.run("a", json!({})).await;
    let again = world.runtimes.calls()[2].action.clone();
    assert!(again.revision != now.revision && again.revision != used.revision);
}

#[tokio::test]
async fn lists_are_newest_first_in_pages_or_counted() {
    let world = World::new().await;
    world.put("packages/p", json!({})).await.of(200);
    for name in ["one", "two", "p/three"] {
        world.action(name).await;
        world.watch.advance(std::time::Duration::from_secs(1));
    }
    let names = async |query: &str| -> Vec<String> {
        let list = world.get(&format!("actions{query}")).await.of(200);
        let items = list.as_array().unwrap();
        items
            .iter()
            .map(|item| item["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names("").await, ["three", "two", "one"]);
    assert_eq!(names("?limit=1&skip=1").await, ["two"]);
    assert_eq!(names("?limit=0").await.len(), 3);
    assert_eq!(
        names("/p/").await,
        ["three"],
        "with a slash at the end: of the package"
    );
    assert_eq!(
        world.get("actions?count=true").await.of(200),
        json!({ "actions": 3 })
    );
    let list = world.get("actions").await.of(200);
    let item = list[0].as_object().unwrap();
    let mut members: Vec<&str> = item.keys().map(String::as_str).collect();
    members.sort_unstable();
    assert_eq!(
        members,
        [
            "annotations",
            "exec",
            "limits",
            "name",
            "namespace",
            "publish",
            "updated",
            "version"
        ]
    );
    assert_eq!(item["namespace"], "guest/p");
    assert_eq!(item["exec"], json!({ "binary": false }));
    for (query, text) in [
        (
            "limit=201",
            "The value '201' is not in the range of 0 to 200 for actions.",
        ),
        (
            "limit=-1",
            "The value '-1' is not in the range of 0 to 200 for actions.",
        ),
        (
            "skip=-1",
            "The value '-1' is not greater than or equal to 0 for actions.",
        ),
        ("limit=x", "The value 'x' is not an integer for actions."),
    ] {
        let reply = world.get(&format!("actions?{query}")).await.of(400);
        let said = reply["error"].as_str().unwrap();
        assert!(said.ends_with(text), "{said}");
    }
}

#[tokio::test]
async fn a_version_has_three_numbers_whatever_it_is_of() {
    let world = World::new().await;
    world.put("triggers/fires", json!({})).await.of(200);
    world.action("there").await;
    let rule = json!({ "trigger": "/_/fires", "action": "/_/there" });
    for (path, mut body) in [
        ("actions/v", code()),
        ("triggers/v1", json!({})),
        ("packages/v2", json!({})),
        ("rules/v3", rule),
    ] {
        let path = format!("{path}?overwrite=true");
        for bad in ["x", "", "-1.0.0", "1.2.3.4"] {
            body["version"] = json!(bad);
            let text = format!("The request content was malformed:\nbad semantic version {bad}");
            world.put(&path, body.clone()).await.refuses(400, &text);
        }
        body["version"] = json!("1.2");
        let made = world.put(&path, body.clone()).await.of(200);
        assert_eq!(made["version"], "1.2.0");
        body.as_object_mut().unwrap().remove("version");
        let next = world.put(&path, body).await.of(200);
        assert_eq!(next["version"], "1.2.1", "{path}");
    }
}
