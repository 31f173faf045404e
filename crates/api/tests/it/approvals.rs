//! Approvals by a second person: who counts as one is decided by what callers show.

use conche_core::RunId;
use conche_core::run::Status;
use conche_testkit::playbooks::{destructive, playbook, playbook_id};
use http::Method;
use serde_json::{Value, json};

use crate::access::server;
use crate::server::Server;

/// A token of this name that may approve.
async fn token(server: &Server, name: &str, role: &str) -> String {
    let body = json!({"name": name, "role": role});
    let made = server
        .as_bearer("token-all", Method::POST, "/api/v1/tokens", Some(body))
        .await
        .ok(201);
    made["value"].as_str().unwrap().to_owned()
}

/// A run of a playbook with a destructive step, started by a token.
async fn begun(server: &Server, token: &str) -> RunId {
    let path = format!("/api/v1/playbooks/{}/runs", playbook_id(1));
    let begun = server.as_bearer(token, Method::POST, &path, None).await;
    let run: RunId = begun.ok(202)["run_id"].as_str().unwrap().parse().unwrap();
    server.wait_for(run, Status::AwaitingAnswer).await;
    run
}

async fn put(server: &Server) {
    let document = Some(playbook(1, 1, &destructive()));
    server
        .as_bearer("token-all", Method::POST, "/api/v1/playbooks", document)
        .await
        .ok(201);
}

#[tokio::test]
async fn a_destructive_step_is_done_when_somebody_else_approved_it() {
    let server = server().await;
    put(&server).await;
    let (ann, bob) = (
        token(&server, "ann", "operator").await,
        token(&server, "bob", "approver").await,
    );
    let run = begun(&server, &ann).await;
    let asked = server
        .as_bearer(&bob, Method::GET, "/api/v1/approvals", None)
        .await
        .ok(200);
    let question = &asked["approvals"][0]["question"];
    assert_eq!(
        question["text"],
        "May `Stop it` be done? bash on Ann: systemctl stop web"
    );
    assert_eq!(
        question["plan"][0]["command"]["command"],
        "systemctl stop web"
    );
    let path = format!("/api/v1/runs/{run}/answers");
    let answer = async |token: &str| {
        server
            .as_bearer(token, Method::POST, &path, Some(json!({})))
            .await
    };
    // An operator has no right to approve at all.
    assert_eq!(answer(&ann).await.code(), "forbidden");
    // Another token by the name of who started it.
    let revoked = server
        .as_bearer("token-all", Method::GET, "/api/v1/tokens", None)
        .await
        .ok(200);
    let id = |name: &str| {
        let tokens = revoked["tokens"].as_array().unwrap();
        let found = tokens.iter().find(|token| token["name"] == name);
        found.unwrap()["id"].as_str().unwrap().to_owned()
    };
    let gone = format!("/api/v1/tokens/{}", id("ann"));
    let revoked = server
        .as_bearer("token-all", Method::DELETE, &gone, None)
        .await;
    assert!(revoked.status.is_success(), "{revoked:?}");
    let again = token(&server, "ann", "approver").await;
    let refused = answer(&again).await;
    assert_eq!(
        (refused.status.as_u16(), &*refused.code()),
        (403, "second-person")
    );
    assert!(server.actions.seen().is_empty());
    answer(&bob).await.ok(202);
    server.wait_for(run, Status::Succeeded).await;
    assert_eq!(server.actions.seen().len(), 1);
    let journal = server
        .as_bearer(
            &bob,
            Method::GET,
            &format!("/api/v1/runs/{run}/journal"),
            None,
        )
        .await
        .ok(200)
        .to_string();
    assert!(
        journal.contains(&format!("token:{}", id("ann"))),
        "{journal}"
    );
    assert!(
        journal.contains(&format!("token:{}", id("bob"))),
        "{journal}"
    );
}

#[tokio::test]
async fn an_admin_does_not_approve_what_they_started_and_may_refuse_it() {
    let server = server().await;
    put(&server).await;
    let run = begun(&server, "token-all").await;
    let path = format!("/api/v1/runs/{run}/answers");
    let answer = async |body: Value| {
        server
            .as_bearer("token-all", Method::POST, &path, Some(body))
            .await
    };
    assert_eq!(answer(json!({})).await.code(), "second-person");
    answer(json!({"failed": "it was a mistake"})).await.ok(202);
    server.wait_for(run, Status::Failed).await;
    let row = server.store.run(run).await.unwrap();
    assert_eq!(
        row.summary.reason.as_deref(),
        Some("all refused it: it was a mistake")
    );
    // Behind the approval nothing is retried, and who retries it had it started.
    let retry = format!("/api/v1/runs/{run}/retry");
    server
        .as_bearer("token-all", Method::POST, &retry, None)
        .await
        .ok(202);
    server.wait_for(run, Status::AwaitingAnswer).await;
    // The run has asked twice by now.
    let other = "token-Approve";
    let told = async |body: Value| {
        server
            .as_bearer(other, Method::POST, &path, Some(body))
            .await
    };
    assert_eq!(told(json!({})).await.code(), "run-state");
    told(json!({"visit": 1})).await.ok(202);
    server.wait_for(run, Status::Succeeded).await;
}

#[tokio::test]
async fn an_open_listener_knows_nobody_and_starts_no_such_playbook() {
    let server = Server::start().await;
    server
        .post("/api/v1/playbooks", playbook(1, 1, &destructive()))
        .await
        .ok(201);
    let path = format!("/api/v1/playbooks/{}/runs", playbook_id(1));
    let refused = server.post(&path, json!({})).await;
    assert_eq!(
        (refused.status.as_u16(), &*refused.code()),
        (403, "second-person")
    );
    assert!(
        server
            .store
            .counts()
            .await
            .unwrap()
            .values()
            .all(|count| *count == 0)
    );
}
