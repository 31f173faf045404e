//! Playbooks put, shown, run and removed; what they ask, answered; those of the folder left alone.

use axum::body::Body;
use conche_core::RunId;
use conche_core::run::Status;
use conche_testkit::playbooks::{
    asking, calling, playbook, playbook_id, playbook_version, unbound,
};
use http::Method;
use serde_json::{Value, json};

use crate::server::{Server, Wanted};

const PATH: &str = "/api/v1/playbooks";

fn path(number: u8, rest: &str) -> String {
    format!("{PATH}/{}{rest}", playbook_id(number))
}

#[tokio::test]
async fn a_playbook_is_put_listed_shown_and_removed() {
    let server = Server::start().await;
    let new = server.post(PATH, playbook(1, 1, &asking())).await.ok(201);
    assert_eq!(
        (&new["id"], &new["by"]),
        (&json!(playbook_id(1)), &json!("local"))
    );
    server.post(PATH, playbook(1, 1, &asking())).await.ok(200);
    server.post(PATH, playbook(1, 2, &asking())).await.ok(201);

    let listed = server.get(PATH).await.ok(200);
    let only = &listed["playbooks"][0];
    assert_eq!(listed["playbooks"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(only["modified"], playbook_version(2));
    assert_eq!(
        only["versions"],
        json!([playbook_version(2), playbook_version(1)])
    );
    assert_eq!(only["owner"], json!({"kind": "api"}));
    assert_eq!(
        (&only["revoked"], &only["refusals"]),
        (&json!(false), &json!([]))
    );

    let query = format!("?version={}", playbook_version(1));
    let first = server.get(&path(1, &query)).await.ok(200);
    assert_eq!(first["playbook"], playbook(1, 1, &asking()));
    let versions = server.get(&path(1, "/versions")).await.ok(200);
    assert_eq!(versions["versions"].as_array().unwrap().len(), 2);

    let gone = server
        .call(Method::DELETE, &path(1, ""), &[], Body::empty())
        .await;
    assert_eq!(gone.status.as_u16(), 204);
    for missing in ["", "/versions", "?version=2020"] {
        assert_eq!(server.get(&path(1, missing)).await.code(), "not-found");
    }
    let acts = server.get("/api/v1/audit").await.ok(200);
    let acts = acts["acts"].as_array().unwrap().iter();
    let acts: Vec<&Value> = acts.map(|act| &act["entry"]["act"]["what"]).collect();
    assert_eq!(acts, ["playbook.put", "playbook.put", "playbook.delete"]);
}

#[tokio::test]
async fn a_refusal_names_everything_with_its_place_and_stores_nothing() {
    let server = Server::start().await;
    let mut invalid = playbook(1, 1, &asking());
    invalid["spec_version"] = "cacao-3.0".into();
    let refused = server.post(PATH, invalid.clone()).await;
    assert_eq!(
        (refused.status.as_u16(), &*refused.code()),
        (422, "playbook-refused")
    );
    let problem: Value = serde_json::from_str(&refused.text).unwrap();
    let pointers = problem["check"]["findings"].as_array().unwrap().iter();
    let mut pointers = pointers.map(|finding| &finding["pointer"]);
    assert!(
        pointers.any(|pointer| pointer == "/spec_version"),
        "{problem}"
    );

    let refused = server.post(PATH, playbook(1, 1, &unbound())).await;
    let problem: Value = serde_json::from_str(&refused.text).unwrap();
    let refusal = &problem["check"]["refusals"][0];
    assert!(
        refusal["pointer"]
            .as_str()
            .unwrap()
            .starts_with("/workflow/action--"),
        "{problem}"
    );
    let checked = server
        .post(&format!("{PATH}/check"), playbook(1, 1, &unbound()))
        .await;
    assert_eq!(checked.ok(200), problem["check"], "a check says the same");

    let put = server.post(PATH, playbook(1, 1, &asking())).await;
    put.ok(201);
    let mut other = playbook(1, 1, &asking());
    other["name"] = "Another".into();
    assert_eq!(server.post(PATH, other).await.code(), "playbook-exists");
    assert_eq!(server.store.playbooks().await.unwrap().len(), 1);
}

#[tokio::test]
async fn secrets_that_stand_in_a_playbook_are_warned_of_and_never_shown() {
    let server = Server::start().await;
    let mut literal = playbook(1, 1, &asking());
    literal["authentication_info_definitions"] = json!({
        "user-auth--00000000-0000-4000-8000-000000000009":
            { "type": "user-auth", "username": "soc", "password": "hunter2" },
    });
    let put = server.post(PATH, literal).await;
    let shown = server.get(&path(1, "")).await;
    let listed = server.get(PATH).await;
    let versions = server.get(&path(1, "/versions")).await;
    for answer in [&put, &shown, &listed, &versions] {
        assert!(!answer.text.contains("hunter2"), "{}", answer.text);
    }
    assert!(
        shown.text.contains("CACAO078"),
        "it is warned of: {}",
        shown.text
    );
    assert!(shown.text.contains(r#""password":"***""#), "{}", shown.text);
    let row = &server.store.playbooks().await.unwrap()[0];
    assert!(
        row.text.contains("hunter2"),
        "what is stored is what was written"
    );
}

#[tokio::test]
async fn a_playbook_is_run_and_what_it_asks_is_answered() {
    let server = Server::start().await;
    let mut step = asking();
    step["out_args"] = json!(["__isolated__"]);
    let mut asks = playbook(1, 1, &step);
    asks["playbook_variables"] = json!({
        "__host__": { "type": "string", "external": true },
        "__isolated__": { "type": "bool" },
    });
    server.post(PATH, asks).await.ok(201);
    let refused = server
        .post(&path(1, "/runs"), json!({"variables": {"__x__": "1"}}))
        .await;
    assert_eq!(refused.code(), "variables-refused");

    let headers = [
        ("content-type", "application/json"),
        ("idempotency-key", "k"),
    ];
    let body = || json!({"variables": {"__host__": "web-1"}}).to_string();
    let begun = server
        .call(Method::POST, &path(1, "/runs"), &headers, body())
        .await
        .ok(202);
    assert_eq!(begun["duplicate"], false);
    let again = server
        .call(Method::POST, &path(1, "/runs"), &headers, body())
        .await
        .ok(202);
    assert_eq!(
        (&again["run_id"], &again["duplicate"]),
        (&begun["run_id"], &json!(true))
    );
    let run: RunId = begun["run_id"].as_str().unwrap().parse().unwrap();
    server.wait_for(run, Status::AwaitingAnswer).await;

    let asked = server.get("/api/v1/approvals").await.ok(200);
    let question = &asked["approvals"][0];
    assert_eq!(question["run_id"], begun["run_id"]);
    assert_eq!(question["question"]["text"], "Is the host isolated?");
    assert_eq!(
        question["question"]["answers"]["__isolated__"]["type"],
        "bool"
    );
    // A pause hides no question.
    server
        .post(&format!("/api/v1/runs/{run}/pause"), json!({}))
        .await
        .ok(202);
    server.wait_for(run, Status::Paused).await;
    assert_eq!(server.get("/api/v1/approvals").await.ok(200), asked);
    server
        .post(&format!("/api/v1/runs/{run}/resume"), json!({}))
        .await
        .ok(202);
    server.wait_for(run, Status::AwaitingAnswer).await;
    let answers = format!("/api/v1/runs/{run}/answers");
    let wrong = json!({"values": {"__isolated__": "perhaps"}});
    assert_eq!(server.post(&answers, wrong).await.code(), "answer-refused");
    let answer = json!({"visit": question["visit"], "values": {"__isolated__": "true"}});
    server.post(&answers, answer.clone()).await.ok(202);
    server.wait_for(run, Status::Succeeded).await;
    assert_eq!(server.post(&answers, answer).await.code(), "run-state");
    let none = server.get("/api/v1/approvals").await.ok(200);
    assert_eq!(none["approvals"], json!([]));
}

#[tokio::test]
async fn an_answer_can_be_that_it_failed_and_a_revoked_playbook_is_not_run() {
    let server = Server::start().await;
    server.post(PATH, playbook(1, 1, &asking())).await.ok(201);
    let begun = server.post(&path(1, "/runs"), json!({})).await.ok(202);
    let run: RunId = begun["run_id"].as_str().unwrap().parse().unwrap();
    server.wait_for(run, Status::AwaitingAnswer).await;
    let failed = json!({"failed": "the host is gone"});
    server
        .post(&format!("/api/v1/runs/{run}/answers"), failed)
        .await
        .ok(202);
    server.wait_for(run, Status::Failed).await;

    let mut revoked = playbook(1, 2, &asking());
    revoked["revoked"] = true.into();
    let put = server.post(PATH, revoked).await.ok(201);
    assert!(
        put["lapsed"].as_str().unwrap().ends_with("is revoked"),
        "{put}"
    );
    let refused = server.post(&path(1, "/runs"), json!({})).await;
    assert_eq!(
        (refused.status.as_u16(), &*refused.code()),
        (409, "playbook-lapsed")
    );
    let first = json!({"version": playbook_version(1)});
    server.post(&path(1, "/runs"), first).await.ok(202);
}

#[tokio::test]
async fn playbooks_of_the_folder_are_read_only_and_its_faults_are_shown() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, value: &Value| {
        std::fs::write(dir.path().join(name), value.to_string()).unwrap();
    };
    write("good.json", &playbook(1, 1, &asking()));
    write("lost.json", &playbook(2, 1, &calling(9, None)));
    let server = Server::with(Wanted {
        playbooks: Some(dir.path().to_owned()),
        ..Wanted::default()
    })
    .await;
    let shown = server.get(&path(1, "")).await.ok(200);
    assert_eq!(
        shown["owner"],
        json!({"kind": "folder", "file": "good.json"})
    );
    let put = server.post(PATH, playbook(1, 2, &asking())).await;
    assert_eq!(put.code(), "playbook-read-only");
    let gone = server
        .call(Method::DELETE, &path(1, ""), &[], Body::empty())
        .await;
    assert_eq!(gone.code(), "playbook-read-only");
    let folder = server.get("/api/v1/playbooks-folder").await.ok(200);
    assert_eq!(
        (&folder["watched"], &folder["playbooks"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(folder["faults"][0]["file"], "lost.json");
}
