//! Stored tokens: made, shown, used, ended.

use std::time::Duration;

use conche_api::{Authorizer, Role};
use conche_runtime::clock::Clock as _;
use conche_runtime::listener::Auth;
use conche_runtime::listener::guard::TokenSet;
use http::Method;
use serde_json::{Value, json};

use crate::access::server;
use crate::server::{Answer, Server, Wanted};

const PATH: &str = "/api/v1/tokens";

/// A server whose configuration names no token, and one of the role admin.
async fn without_bootstrap() -> (Server, String) {
    let server = Server::with(Wanted {
        auth: Authorizer::Tokens(TokenSet::new()),
        listener: Auth::Token,
        ..Wanted::default()
    })
    .await;
    let admin = server.token("ann", Role::Admin, |_| {}).await;
    (server, admin)
}

async fn create(server: &Server, token: &str, body: Value) -> Answer {
    server
        .as_bearer(token, Method::POST, PATH, Some(body))
        .await
}

async fn looks(server: &Server, token: &str) -> u16 {
    let answer = server.as_bearer(token, Method::GET, "/api/v1/runs", None);
    answer.await.status.as_u16()
}

fn path_of(created: &Value) -> String {
    format!("{PATH}/{}", created["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_token_is_shown_once_and_works_until_it_is_revoked() {
    let server = server().await;
    let made = create(
        &server,
        "token-all",
        json!({"name": "ci", "role": "viewer"}),
    )
    .await;
    let made = made.ok(201);
    let value = made["value"].as_str().unwrap().to_owned();
    assert!(value.starts_with("conche_"), "{value}");
    assert_eq!(made["created_by"], "all");
    assert_eq!(looks(&server, &value).await, 200);
    let list = server.as_bearer("token-all", Method::GET, PATH, None).await;
    assert!(!list.text.contains(&value), "{}", list.text);
    let shown = &list.ok(200)["tokens"][0];
    assert_eq!(
        (&shown["name"], &shown["status"]),
        (&json!("ci"), &json!("valid"))
    );
    assert!(shown["last_used"].is_string(), "{shown}");
    for _ in 0..2 {
        let path = path_of(&made);
        let revoked = server
            .as_bearer("token-all", Method::DELETE, &path, None)
            .await;
        assert_eq!(revoked.ok(200)["status"], "revoked");
        let refused = server
            .as_bearer(&value, Method::GET, "/api/v1/runs", None)
            .await;
        assert_eq!(refused.code(), "unauthorized");
        assert!(
            refused.text.contains("'ci' was revoked"),
            "{}",
            refused.text
        );
    }
    // The store has only its digest.
    let rows = server.store.tokens().await.unwrap();
    assert!(!format!("{rows:?}").contains(&value[7..39]));
}

#[tokio::test]
async fn a_token_ends_at_its_time() {
    let server = server().await;
    let end = server.clock.now() + Duration::from_mins(1);
    let body = json!({"name": "ci", "role": "viewer", "expires_at": end.to_string()});
    let made = create(&server, "token-all", body).await.ok(201);
    let value = made["value"].as_str().unwrap();
    assert_eq!(looks(&server, value).await, 200);
    server.clock.advance(Duration::from_mins(1));
    assert_eq!(looks(&server, value).await, 401);
}

#[tokio::test]
async fn what_makes_no_token_says_why() {
    let server = server().await;
    let past = server.clock.now().to_string();
    let admin = json!({"name": "a", "role": "admin"});
    create(&server, "token-all", admin.clone()).await.ok(201);
    for (body, status, code) in [
        (admin, 409, "token-name-taken"),
        (json!({"name": "", "role": "viewer"}), 422, "token-refused"),
        (
            json!({"name": "a b", "role": "viewer"}),
            422,
            "token-refused",
        ),
        (
            json!({"name": "local", "role": "viewer"}),
            422,
            "token-refused",
        ),
        (
            json!({"name": "n".repeat(65), "role": "viewer"}),
            422,
            "token-refused",
        ),
        (
            json!({"name": "b", "role": "viewer", "expires_at": past}),
            422,
            "token-refused",
        ),
        (json!({"name": "b", "role": "root"}), 400, "invalid-body"),
        (json!({"name": "b"}), 400, "invalid-body"),
        (
            json!({"name": "b", "role": "viewer", "value": "x"}),
            400,
            "invalid-body",
        ),
    ] {
        let refused = create(&server, "token-all", body.clone()).await;
        assert_eq!(
            (refused.status.as_u16(), &*refused.code()),
            (status, code),
            "{body}"
        );
    }
    assert_eq!(server.store.tokens().await.unwrap().len(), 1);
}

#[tokio::test]
async fn nobody_gives_more_than_they_have() {
    let server = server().await;
    // Somebody who may administer and nothing else.
    let refused = create(
        &server,
        "token-Administer",
        json!({"name": "x", "role": "viewer"}),
    )
    .await;
    assert_eq!(refused.code(), "forbidden");
    assert!(server.store.tokens().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_last_admin_is_not_revoked_by_mistake() {
    let (server, admin) = without_bootstrap().await;
    let list = server
        .as_bearer(&admin, Method::GET, PATH, None)
        .await
        .ok(200);
    let path = path_of(&list["tokens"][0]);
    let revoke = async |path: &str| server.as_bearer(&admin, Method::DELETE, path, None).await;
    assert_eq!(revoke(&path).await.code(), "last-admin-token");
    // An expired admin is none; a second one that counts is.
    let past = server.clock.now();
    let expired = |row: &mut conche_store::TokenRow| row.expires_at = Some(past);
    server.token("old", Role::Admin, expired).await;
    assert_eq!(revoke(&path).await.code(), "last-admin-token");
    let other = create(&server, &admin, json!({"name": "bob", "role": "admin"})).await;
    let other = path_of(&other.ok(201));
    revoke(&other).await.ok(200);
    assert_eq!(revoke(&path).await.code(), "last-admin-token");
    assert_eq!(looks(&server, &admin).await, 200);
    revoke(&format!("{path}?last_admin=true")).await.ok(200);
    assert_eq!(looks(&server, &admin).await, 401);
}

#[tokio::test]
async fn with_a_configured_token_the_last_stored_admin_may_go() {
    let server = server().await;
    let made = create(&server, "token-all", json!({"name": "a", "role": "admin"})).await;
    let path = path_of(&made.ok(201));
    let revoked = server
        .as_bearer("token-all", Method::DELETE, &path, None)
        .await;
    assert_eq!(revoked.ok(200)["status"], "revoked");
}

#[tokio::test]
async fn a_token_that_another_process_revoked_ends_within_seconds() {
    let server = server().await;
    let value = server.token("ci", Role::Viewer, |_| {}).await;
    assert_eq!(looks(&server, &value).await, 200);
    let token = server.store.tokens().await.unwrap()[0].token;
    let at = server.clock.now();
    let act = conche_store::contract::ledger::act("ci", 0);
    let revoke = conche_store::Change::RevokeToken { token, at };
    assert_eq!(server.store.change(revoke, act).await, Ok(true));
    conche_testkit::until("the revocation to be seen", || async {
        (looks(&server, &value).await == 401).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_no_id_is_said_to_be_none() {
    let server = server().await;
    let path = format!("{PATH}/ci");
    let refused = server
        .as_bearer("token-all", Method::DELETE, &path, None)
        .await;
    assert_eq!(refused.code(), "invalid-id");
}
