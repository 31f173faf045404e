//! The record of acts: what is in it, what is not, and that it is whole.

use conche_api::Role;
use conche_store::Act;
use conche_store::contract::ledger::verify;
use http::Method;
use serde_json::{Value, json};

use crate::access::server;
use crate::server::Server;

async fn acts(server: &Server) -> Vec<Act> {
    let acts = server.store.acts(0, u32::MAX).await.unwrap();
    acts.rows.iter().map(|row| row.act().unwrap()).collect()
}

fn told(act: &Act) -> (&str, &str, &str, &str) {
    (&act.who.name, &act.what, &act.target, &act.outcome)
}

#[tokio::test]
async fn what_people_change_is_recorded_with_who_and_from_where() {
    let server = server().await;
    let call =
        async |method, path: &str, body| server.as_bearer("token-all", method, path, body).await;
    let reaction = json!({"name": "r", "event": "e", "script": "", "actions": {}});
    call(Method::PUT, "/api/v1/reactions/r", Some(reaction))
        .await
        .ok(201);
    let sent = call(
        Method::POST,
        "/api/v1/events",
        Some(json!({"type": "e", "data": "SECRET-PAYLOAD"})),
    );
    let event = sent.await.ok(202)["event_id"].as_str().unwrap().to_owned();
    let deleted = call(Method::DELETE, "/api/v1/reactions/r", None).await;
    assert_eq!(deleted.status, 204);
    let gone = call(Method::DELETE, "/api/v1/reactions/r", None).await;
    assert_eq!(gone.status, 404);
    let run = uuid::Uuid::now_v7().to_string();
    let missing = call(Method::POST, &format!("/api/v1/runs/{run}/cancel"), None).await;
    assert_eq!(missing.status, 404);
    let made = call(
        Method::POST,
        "/api/v1/tokens",
        Some(json!({"name": "ci", "role": "viewer"})),
    );
    let made = made.await.ok(201);
    let acts = acts(&server).await;
    assert_eq!(
        acts.iter().map(told).collect::<Vec<_>>(),
        [
            ("all", "reaction.put", "r", "done"),
            ("all", "event.send", &*event, "done"),
            ("all", "reaction.delete", "r", "done"),
            ("all", "reaction.delete", "r", "not-found"),
            ("all", "run.cancel", &*run, "not-found"),
            ("all", "token.create", "ci", "done"),
        ]
    );
    for act in &acts {
        assert_eq!(act.who.listener.as_deref(), Some("api"));
        assert!(
            act.who.peer.as_ref().unwrap().starts_with("127.0.0.1:"),
            "{act:?}"
        );
    }
    assert_eq!(acts[5].detail["token"], made["id"].as_str().unwrap());
    let text = format!("{acts:?}");
    let value = made["value"].as_str().unwrap();
    for secret in ["SECRET-PAYLOAD", "token-all", &value[7..39]] {
        assert!(!text.contains(secret), "{text}");
    }
    assert_eq!(verify(&*server.store).await.map(|head| head.seq), Ok(6));
}

#[tokio::test]
async fn who_is_not_let_in_is_recorded_up_to_a_bound() {
    let server = server().await;
    let viewer = server.token("eve", Role::Viewer, |_| {}).await;
    let now = conche_runtime::clock::Clock::now(&*server.clock);
    let revoked = server
        .token("old", Role::Admin, |row| row.revoked_at = Some(now))
        .await;
    let stored = acts(&server).await.len();
    server.get("/api/v1/runs").await;
    for (token, path) in [(&*viewer, "/api/v1/audit"), (&*revoked, "/api/v1/runs")] {
        server.as_bearer(token, Method::GET, path, None).await;
    }
    for _ in 0..50 {
        server
            .as_bearer("guess", Method::GET, "/api/v1/runs", None)
            .await;
    }
    // However many guesses there were, this is seen.
    server
        .as_bearer(&viewer, Method::GET, "/api/v1/tokens", None)
        .await;
    let acts = acts(&server).await.split_off(stored);
    // Nothing of who shows no token.
    assert_eq!(
        told(&acts[0]),
        ("eve", "access.refused", "GET /api/v1/audit", "refused")
    );
    assert_eq!(
        told(&acts[1]),
        ("old", "login.refused", "GET /api/v1/runs", "refused")
    );
    assert_eq!(acts[1].detail["reason"], "was revoked");
    assert_eq!(
        told(&acts[2]),
        ("unknown", "login.refused", "GET /api/v1/runs", "refused")
    );
    let of = |action: &str| acts.iter().filter(|act| told(act).1 == action).count();
    assert_eq!((of("login.refused"), of("access.refused")), (20, 2));
    assert_eq!(told(&acts[21]).2, "GET /api/v1/tokens");
    assert!(!format!("{acts:?}").contains("guess"));
}

#[tokio::test]
async fn the_record_is_paged_from_its_end() {
    let server = Server::start().await;
    for number in 0..7 {
        let act = conche_store::contract::ledger::act(&number.to_string(), number);
        server.store.record(act).await.unwrap();
    }
    let page = async |query: &str| {
        let page = server.get(&format!("/api/v1/audit?{query}")).await.ok(200);
        let acts = page["acts"].as_array().unwrap().clone();
        let numbers: Vec<u64> = acts
            .iter()
            .map(|act| act["seq"].as_u64().unwrap())
            .collect();
        (numbers, page["next"].clone())
    };
    assert_eq!(page("limit=3").await, (vec![5, 6, 7], json!(5)));
    assert_eq!(page("limit=3&before=5").await, (vec![2, 3, 4], json!(2)));
    assert_eq!(page("limit=3&before=2").await, (vec![1], Value::Null));
    assert_eq!(page("limit=3&before=1").await, (vec![], Value::Null));
    assert_eq!(page("limit=3&after=2").await.0, [3, 4, 5]);
    assert_eq!(page("").await, ((1..=7).collect(), Value::Null));
    assert_eq!(
        server.get("/api/v1/audit?after=1&before=2").await.code(),
        "invalid-query"
    );
    let page = server.get("/api/v1/audit?limit=1").await.ok(200);
    assert_eq!(page["head"]["seq"], 7);
    assert_eq!(page["acts"][0]["hash"], page["head"]["hash"]);
    assert_eq!(page["acts"][0]["entry"]["act"]["target"], "6");
}

#[tokio::test]
async fn an_open_listener_records_changes_but_not_events() {
    let server = Server::start().await;
    server.react("idempotent").await;
    server.event().await;
    let acts = acts(&server).await;
    assert_eq!(
        acts.iter().map(told).collect::<Vec<_>>(),
        [("local", "reaction.put", "r", "done")]
    );
}

#[tokio::test]
async fn what_is_refused_through_csfs_api_is_recorded_as_through_our_own() {
    let server = server().await;
    let call =
        async |method, path: &str, body| server.as_bearer("token-all", method, path, body).await;
    let rich = json!({"name": "rich", "events": ["a", "b"], "script": "stop", "when": "true"});
    call(Method::PUT, "/api/v1/reactions/rich", Some(rich))
        .await
        .ok(201);
    let path = "/v1/events/a/reactions";
    let posted = |name: &str| json!({"name": name, "event": "a", "script": "stop", "actions": {}});
    for (body, status) in [
        (posted("r"), 200),
        (posted("rich"), 409),
        (json!({"name": "bad", "script": "SECRET-SCRIPT"}), 400),
        (json!([]), 400),
        (json!("x".repeat(70_000)), 413),
    ] {
        assert_eq!(call(Method::POST, path, Some(body)).await.status, status);
    }
    let both = call(Method::DELETE, "/v1/events/a/reactions/rich", None).await;
    assert_eq!(both.status, 409);
    let unknown = server.as_bearer("guess", Method::POST, path, None).await;
    assert_eq!(unknown.status, 401);
    let only_reads = server
        .as_bearer("token-Read", Method::POST, path, None)
        .await;
    assert_eq!(only_reads.status, 403);
    let misnamed = call(Method::PUT, "/api/v1/reactions/x", Some(posted("y"))).await;
    assert_eq!(misnamed.status, 422);
    let acts = acts(&server).await;
    assert_eq!(
        acts.iter().map(told).collect::<Vec<_>>(),
        [
            ("all", "reaction.put", "rich", "done"),
            ("all", "reaction.put", "r", "done"),
            ("all", "reaction.put", "rich", "reaction-read-only"),
            ("all", "reaction.put", "bad", "reaction-refused"),
            ("all", "reaction.put", "a", "reaction-refused"),
            ("all", "reaction.put", "a", "body-too-large"),
            ("all", "reaction.delete", "rich", "reaction-read-only"),
            (
                "unknown",
                "login.refused",
                "POST /v1/events/a/reactions",
                "refused"
            ),
            (
                "only Read",
                "access.refused",
                "POST /v1/events/a/reactions",
                "refused"
            ),
            ("all", "reaction.put", "x", "reaction-refused"),
        ]
    );
    assert!(!format!("{acts:?}").contains("SECRET-SCRIPT"));
}
