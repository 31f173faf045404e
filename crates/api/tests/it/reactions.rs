//! Reactions put, shown, removed and checked; those of the folder left alone.

use axum::body::Body;
use http::Method;
use serde_json::{Value, json};

use crate::server::{Server, Wanted};

fn reaction(script: &str) -> Value {
    json!({"name": "r", "event": "e", "script": script, "actions": null})
}

#[tokio::test]
async fn a_reaction_is_put_changed_shown_and_removed() {
    let server = Server::start().await;
    let new = server
        .put("/api/v1/reactions/r", reaction("stop"))
        .await
        .ok(201);
    assert_eq!(new["owner"], json!({"kind": "api"}));
    let changed = server
        .put("/api/v1/reactions/r", reaction("next x"))
        .await
        .ok(200);
    assert_ne!(changed["digest"], new["digest"]);

    let shown = server.get("/api/v1/reactions/r").await.ok(200);
    assert_eq!(shown["reaction"]["script"], "next x");
    assert_eq!(shown["digest"], changed["digest"]);
    // What is shown can be put again and is the same version.
    let again = server
        .put("/api/v1/reactions/r", shown["reaction"].clone())
        .await
        .ok(200);
    assert_eq!(again["digest"], changed["digest"]);

    let listed = server.get("/api/v1/reactions").await.ok(200);
    assert_eq!(listed["reactions"][0]["name"], "r");
    assert_eq!(listed["reactions"][0]["events"], json!(["e"]));
    assert!(listed["reactions"][0].get("reaction").is_none());

    let gone = server
        .call(Method::DELETE, "/api/v1/reactions/r", &[], Body::empty())
        .await;
    assert_eq!((gone.status.as_u16(), &*gone.text), (204, ""));
    for method in [Method::GET, Method::DELETE] {
        let answer = server
            .call(method, "/api/v1/reactions/r", &[], Body::empty())
            .await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.code()),
            (404, "not-found")
        );
    }
}

#[tokio::test]
async fn a_missing_module_is_a_warning_and_a_fault_is_refused() {
    let server = Server::start().await;
    let body = json!({"name": "r", "event": "e", "script": "", "actions": {"a": {"module": "gone", "action": "x"}}});
    let put = server.put("/api/v1/reactions/r", body).await.ok(201);
    assert_eq!(put["warnings"].as_array().unwrap().len(), 1, "{put}");
    for (body, part) in [
        (reaction("syntax error"), "syntax error"),
        (
            json!({"name": "other", "event": "e", "script": ""}),
            "the path says 'r'",
        ),
        (json!({"name": "r", "event": "e", "scrpt": ""}), "scrpt"),
        (
            json!({"name": "r", "event": "e", "script": "", "when": "(("}),
            "when",
        ),
        (
            json!({"name": "r", "event": "e", "script_file": "x.js"}),
            "use 'script'",
        ),
        (json!([]), "line 1"),
    ] {
        let answer = server.put("/api/v1/reactions/r", body).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.code()),
            (422, "reaction-refused"),
            "{answer:?}"
        );
        assert!(answer.text.contains(part), "{part}: {}", answer.text);
    }
    let shown = server.get("/api/v1/reactions/r").await.ok(200);
    assert_eq!(
        shown["digest"], put["digest"],
        "the one before stays in force"
    );
}

#[tokio::test]
async fn a_check_finds_faults_and_warnings_and_changes_nothing() {
    let server = Server::start().await;
    let check = async |body: &str| {
        let json = [("content-type", "application/json")];
        let path = "/api/v1/reactions/check";
        server
            .call(Method::POST, path, &json, body.to_owned())
            .await
            .ok(200)
    };
    let good = check(r#"{"name":"r","event":"e","script":"stop"}"#).await;
    assert_eq!(
        (&good["valid"], &good["findings"]),
        (&json!(true), &json!([]))
    );
    assert!(good["digest"].as_str().unwrap().starts_with("sha256:"));

    let warned = check(
        r#"{"name":"r","event":"e","script":"","actions":{"a":{"module":"gone","action":"x"}}}"#,
    )
    .await;
    assert_eq!(
        (&warned["valid"], &warned["findings"][0]["severity"]),
        (&json!(true), &json!("warning"))
    );

    let wrong = check("{\"name\":\"r\",\n\"event\":7}").await;
    assert_eq!(wrong["valid"], false);
    assert_eq!(wrong["findings"][0]["line"], 2);
    assert!(wrong.get("digest").is_none());
    let faulty = check(r#"{"name":"r","event":"e","script":"syntax error"}"#).await;
    assert_eq!(
        (&faulty["valid"], &faulty["findings"][0]["severity"]),
        (&json!(false), &json!("error"))
    );

    assert_eq!(
        server.get("/api/v1/reactions").await.ok(200)["reactions"],
        json!([])
    );
}

#[tokio::test]
async fn reactions_of_the_folder_are_read_only_and_its_faults_are_shown() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("good.yaml"),
        "name: good one\nevent: e\nscript: stop\n",
    )
    .unwrap();
    std::fs::write(
        dir.path().join("bad.yaml"),
        "name: bad\nevent: e\nscrpt: stop\n",
    )
    .unwrap();
    let folder = Some(dir.path().to_owned());
    let server = Server::with(Wanted {
        folder,
        ..Wanted::default()
    })
    .await;

    let shown = server.get("/api/v1/reactions/good%20one").await.ok(200);
    assert_eq!(
        shown["owner"],
        json!({"kind": "folder", "file": "good.yaml"})
    );
    let body = json!({"name": "good one", "event": "e", "script": ""});
    let put = server.put("/api/v1/reactions/good%20one", body).await;
    let path = "/api/v1/reactions/good%20one";
    let deleted = server.call(Method::DELETE, path, &[], Body::empty()).await;
    for answer in [put, deleted] {
        assert_eq!(
            (answer.status.as_u16(), &*answer.code()),
            (409, "reaction-read-only")
        );
        assert!(answer.text.contains("good.yaml"), "{}", answer.text);
    }

    let folder = server.get("/api/v1/reactions-folder").await.ok(200);
    assert_eq!(
        (&folder["watched"], &folder["reactions"]),
        (&json!(true), &json!(1))
    );
    let fault = &folder["faults"][0];
    assert_eq!(fault["file"], "bad.yaml");
    assert!(
        fault["message"]
            .as_str()
            .unwrap()
            .starts_with("line 3, column "),
        "{fault}"
    );
    assert_eq!(fault["earlier_in_force"], false);
}

#[tokio::test]
async fn without_a_folder_none_is_watched() {
    let folder = Server::start()
        .await
        .get("/api/v1/reactions-folder")
        .await
        .ok(200);
    assert_eq!(
        folder,
        json!({"watched": false, "reactions": 0, "faults": []})
    );
}
