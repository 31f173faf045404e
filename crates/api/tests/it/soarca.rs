//! SOARCA's API as its clients see it: paths, statuses, words and the forms of objects.

use conche_api::{Authorizer, Role};
use conche_core::run::Status;
use conche_runtime::listener::guard::TokenSet;
use conche_runtime::listener::{Auth, Problem};
use conche_testkit::until;
use http::Method;
use serde_json::{Value, json};

use crate::server::{Answer, Server, Wanted};

const PLAYBOOK: &str = "playbook--5b6a8a5e-7f43-4c57-9d0a-3c3f7a1c9b10";
const ASK: &str = "action--20000000-0000-4000-8000-000000000001";

/// A playbook that asks a person whether a host is ours.
fn playbook() -> Value {
    let (start, end) = (
        "start--6cf8f26c-7b23-4f3c-8a3f-93be1f35a9ab",
        "end--20000000-0000-4000-8000-00000000000e",
    );
    let agent = "individual--10000000-0000-4000-8000-000000000001";
    json!({
        "type": "playbook", "spec_version": "cacao-2.0", "id": PLAYBOOK, "name": "Ours?",
        "description": "asks",
        "created_by": "identity--9d1f1d1c-6a2e-4b69-8f0e-3f6a2b7c8d90",
        "created": "2026-03-01T08:00:00.000Z", "modified": "2026-03-01T08:00:00.000Z",
        "labels": ["test"], "x_kept": 1,
        "playbook_variables": {
            "__host__": {"type": "string", "external": true, "value": "web-1"},
            "__inner__": {"type": "string", "value": "x"},
            "__ok__": {"type": "bool", "value": "false"},
        },
        "workflow_start": start,
        "workflow": {
            start: {"type": "start", "on_completion": ASK},
            ASK: {
                "type": "action", "name": "ask", "agent": agent, "on_completion": end,
                "commands": [{"type": "manual", "description": "look", "command": "Is __host__:value ours?"}],
                "out_args": ["__ok__"],
            },
            end: {"type": "end"},
        },
        "agent_definitions": {agent: {"type": "individual", "name": "SOC"}},
    })
}

async fn soarca() -> Server {
    Server::with(Wanted {
        soarca: Some(vec!["http://roaster.test:3000".to_owned()]),
        ..Wanted::default()
    })
    .await
}

async fn delete(server: &Server, path: &str) -> Answer {
    server.call(Method::DELETE, path, &[], "").await
}

/// Checks a refusal's form and gives its message.
fn message(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status, status, "{answer:?}");
    let body = answer.json();
    assert_eq!(body["status"], status.to_string(), "as text");
    assert!(body["original-call"].is_string(), "{body}");
    body["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_playbook_is_kept_shown_changed_and_deleted() {
    let server = soarca().await;
    assert_eq!(server.get("/playbook/").await.ok(200), json!([]));
    let stored = server.post("/playbook/", playbook()).await.ok(201);
    assert_eq!(stored["workflow"][ASK]["id"], ASK, "added by SOARCA");
    assert_eq!(stored["playbook_variables"]["__ok__"]["name"], "__ok__");
    assert_eq!(stored["x_kept"], 1, "SOARCA loses it, nobody wants that");
    let read = server.get(&format!("/playbook/{PLAYBOOK}")).await;
    assert_eq!(
        read.header("content-type"),
        "application/json; charset=utf-8"
    );
    assert_eq!(read.ok(200), stored);
    let again = server.post("/playbook", playbook()).await;
    assert_eq!(
        message(&again, 400),
        "Could not create playbook. Is the playbook correct?"
    );
    let meta = server.get("/playbook/meta/").await.ok(200);
    assert_eq!(meta[0]["labels"], json!(["test"]));
    assert_eq!(meta[0]["valid_from"], "0001-01-01T00:00:00Z");

    let mut changed = playbook();
    changed["name"] = "Theirs?".into();
    let path = format!("/playbook/{PLAYBOOK}");
    let put = server.put(&path, changed.clone()).await.ok(200);
    assert_eq!(put["name"], "Theirs?");
    changed["created"] = "2020-01-01T00:00:00.000Z".into();
    changed["modified"] = "2020-01-01T00:00:00.000Z".into();
    message(&server.put(&path, changed).await, 400);
    let there = server.get(&path).await.ok(200);
    assert_eq!(there, put, "an older version takes no effect");
    delete(&server, &path).await.ok_empty();
    delete(&server, &path).await.ok_empty();
    let gone = server.get(&path).await;
    assert_eq!(message(&gone, 400), "Could not find playbook for given ID");
}

#[tokio::test]
async fn a_playbook_that_is_wrong_is_refused_with_the_reason() {
    let server = soarca().await;
    let mut wrong = playbook();
    wrong["workflow_start"] = "start--00000000-0000-4000-8000-000000000000".into();
    let answer = server.post("/playbook/", wrong.clone()).await;
    message(&answer, 400);
    let reason = answer.json()["downstream-call"].clone();
    assert!(reason.as_str().unwrap().contains("start"), "{reason}");
    let answer = server.post("/trigger/playbook", wrong).await;
    assert_eq!(message(&answer, 400), "Failed to decode playbook");
}

#[tokio::test]
async fn a_report_can_be_read_at_once_and_waits_for_the_answer() {
    let server = soarca().await;
    let begun = server.post("/trigger/playbook", playbook()).await.ok(200);
    assert_eq!(begun["payload"], PLAYBOOK);
    let run = begun["execution_id"].as_str().unwrap().to_owned();
    server.get(&format!("/reporter/{run}")).await.ok(200);
    server
        .wait_for(run.parse().unwrap(), Status::AwaitingAnswer)
        .await;

    let report = server.get(&format!("/reporter/{run}")).await.ok(200);
    assert_eq!(
        report["status"], "ongoing",
        "Roaster looks away from any other"
    );
    assert_eq!(report["ended"], "0001-01-01T00:00:00Z");
    assert_eq!(report["request_interval"], 5);
    let step = &report["step_results"][ASK];
    assert_eq!(step["status"], "await_user_input");
    assert_eq!(step["automated_execution"], false);
    assert_eq!(
        step["commands_b64"],
        json!(["SXMgX19ob3N0X186dmFsdWUgb3Vycz8="])
    );

    let asked = server.get("/manual/").await.ok(200);
    assert_eq!(asked[0]["command"], "Is web-1 ours?");
    assert_eq!(asked[0]["description"], "look");
    assert_eq!(asked[0]["out_args"]["__ok__"]["type"], "bool");
    let one = server.get(&format!("/manual/{run}/{ASK}")).await.ok(200);
    assert_eq!(one, asked[0]);

    let answer = |status: &str, args: Value| {
        json!({
            "type": "manual-step-response", "execution_id": run, "playbook_id": PLAYBOOK,
            "step_id": ASK, "response_status": status, "response_out_args": args,
        })
    };
    let variable = |name: &str, value: &str| json!({"type": "bool", "name": name, "value": value});
    for (args, part) in [
        (
            json!({"__ok__": variable("__other__", "true")}),
            "variable name mismatch for variable __ok__: has different name property: __other__",
        ),
        (
            json!({"__inner__": variable("__inner__", "true")}),
            "not taken",
        ),
        (
            json!({"__ok__": variable("__ok__", "perhaps")}),
            "not taken",
        ),
    ] {
        let refused = server
            .post("/manual/continue", answer("success", args))
            .await;
        let message = message(&refused, 400);
        assert!(message.contains(part), "{message}");
    }
    let mut strange = answer("success", json!({}));
    strange["surprise"] = 1.into();
    message(&server.post("/manual/continue", strange).await, 400);

    let args = json!({"__ok__": variable("__ok__", "true")});
    let taken = server
        .post("/manual/continue", answer("success", args))
        .await
        .ok(200);
    assert_eq!(taken["execution_id"], run.as_str());
    server
        .wait_for(run.parse().unwrap(), Status::Succeeded)
        .await;
    let report = server.get(&format!("/reporter/{run}/")).await.ok(200);
    assert_eq!(report["status"], "successfully_executed");
    assert_eq!(
        report["status_text"],
        "playbook execution completed successfully"
    );
    let step = &report["step_results"][ASK];
    assert_eq!(step["variables"]["__ok__"]["value"], "true");
    assert_eq!(
        step["variables"].as_object().unwrap().len(),
        1,
        "what it returned"
    );
    let all = server.get("/reporter").await.ok(200);
    assert_eq!(all.as_array().unwrap().len(), 1);
    assert_eq!(server.get("/manual").await.ok(200), json!([]));
}

#[tokio::test]
async fn an_answer_to_a_step_that_has_asked_twice_says_which_time() {
    let server = soarca().await;
    let mut twice = playbook();
    let commands = twice["workflow"][ASK]["commands"].as_array_mut().unwrap();
    commands.push(json!({"type": "manual", "command": "Wipe it?"}));
    let begun = server.post("/trigger/playbook", twice).await.ok(200);
    let run: conche_core::RunId = begun["execution_id"].as_str().unwrap().parse().unwrap();
    let mut body = json!({
        "type": "manual-step-response", "execution_id": run, "step_id": ASK,
        "response_status": "success",
        "response_out_args": {"__ok__": {"type": "bool", "name": "__ok__", "value": "true"}},
    });
    server.wait_for(run, Status::AwaitingAnswer).await;
    server.post("/manual/continue", body.clone()).await.ok(200);
    until("the second question", || async {
        let asked = server.get("/manual").await.ok(200);
        (asked[0]["command"] == "Wipe it?").then_some(())
    })
    .await;
    let late = message(&server.post("/manual/continue", body.clone()).await, 400);
    let (_, visit) = late.split_once("it asks now at visit ").expect("the visit");
    let visit: u32 = visit.split(',').next().unwrap().parse().unwrap();
    body["visit"] = visit.into();
    server.post("/manual/continue", body).await.ok(200);
    server.wait_for(run, Status::Succeeded).await;
}

#[tokio::test]
async fn nothing_is_under_way_in_a_run_that_is_cancelled() {
    let server = soarca().await;
    let begun = server.post("/trigger/playbook", playbook()).await.ok(200);
    let run: conche_core::RunId = begun["execution_id"].as_str().unwrap().parse().unwrap();
    server.wait_for(run, Status::AwaitingAnswer).await;
    let engine = &server.engine;
    engine.cancel(run, "ana", None).await.expect("it is told");
    server.wait_for(run, Status::Cancelled).await;
    let report = server.get(&format!("/reporter/{run}")).await.ok(200);
    let step = &report["step_results"][ASK];
    assert_eq!(
        (&report["status"], &step["status"]),
        (&json!("failed"), &json!("failed"))
    );
    assert_eq!(step["ended"], report["ended"]);
}

#[tokio::test]
async fn an_answer_that_it_failed_means_it() {
    let server = soarca().await;
    let begun = server.post("/trigger/playbook", playbook()).await.ok(200);
    let run = begun["execution_id"].as_str().unwrap().to_owned();
    server
        .wait_for(run.parse().unwrap(), Status::AwaitingAnswer)
        .await;
    let body = json!({
        "type": "manual-step-response", "execution_id": run, "step_id": ASK,
        "response_status": "banana", "response_out_args": {},
    });
    message(&server.post("/manual/continue", body.clone()).await, 400);
    let mut failure = body;
    failure["response_status"] = "failure".into();
    server.post("/manual/continue", failure).await.ok(200);
    server
        .wait_for(run.parse().unwrap(), Status::Succeeded)
        .await;
    let report = server.get(&format!("/reporter/{run}")).await.ok(200);
    let step = &report["step_results"][ASK];
    assert_eq!(
        step["status"], "server_side_error",
        "its on_completion was followed"
    );
}

#[tokio::test]
async fn values_are_taken_for_external_variables_only() {
    let server = soarca().await;
    server.post("/playbook/", playbook()).await.ok(201);
    let path = format!("/trigger/playbook/{PLAYBOOK}");
    let variable = |kind: &str| json!({"type": kind, "value": "web-2", "description": "d"});
    for (body, words) in [
        (json!({"__no__": variable("string")}), format!("Cannot execute. reason: provided variables is not a valid subset of the variables for the referenced playbook [ playbook id: {PLAYBOOK} ]")),
        (json!({"__host__": variable("uri")}), "Cannot execute. reason: mismatch in variables type for [ __host__ ]: payload var type = uri, playbook var type = string".to_owned()),
        (json!({"__inner__": variable("string")}), "Cannot execute. reason: playbook variable [ __inner__ ] cannot be assigned in playbook because it is not marked as external in the plabook".to_owned()),
    ] {
        let refused = server.post(&path, body).await;
        assert_eq!(message(&refused, 400), words);
    }
    let unknown = server
        .post("/trigger/playbook/playbook--0", json!({}))
        .await;
    assert_eq!(message(&unknown, 400), "Failed to load playbook");
    let body = json!({"__host__": variable("string")});
    let begun = server.post(&path, body).await.ok(200);
    let run = begun["execution_id"].as_str().unwrap().to_owned();
    server
        .wait_for(run.parse().unwrap(), Status::AwaitingAnswer)
        .await;
    let asked = server.get("/manual").await.ok(200);
    assert_eq!(asked[0]["command"], "Is web-2 ours?");
    let empty = server.call(Method::POST, &path, &[], "").await;
    empty.ok(200);
}

#[tokio::test]
async fn the_same_key_starts_one_run() {
    let server = soarca().await;
    server.post("/playbook/", playbook()).await.ok(201);
    let path = format!("/trigger/playbook/{PLAYBOOK}");
    let headers = [
        ("content-type", "application/json"),
        ("idempotency-key", "alert-7"),
    ];
    let first = server
        .call(Method::POST, &path, &headers, "{}")
        .await
        .ok(200);
    let second = server
        .call(Method::POST, &path, &headers, "{}")
        .await
        .ok(200);
    assert_eq!(first, second);
    assert_eq!(
        server
            .get("/reporter")
            .await
            .ok(200)
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn paths_and_words_are_those_of_gin() {
    let server = soarca().await;
    let ping = server.get("/status/ping").await;
    assert_eq!(
        (&*ping.text, ping.header("content-type")),
        ("pong", "text/plain")
    );
    for path in ["/status", "/status/"] {
        let status = server.get(path).await.ok(200);
        assert_eq!(status["mode"], "production");
        assert!(status["uptime"]["milliseconds"].is_number(), "{status}");
    }
    for (method, path) in [(Method::GET, "/nothing"), (Method::DELETE, "/status")] {
        let answer = server.call(method, path, &[], "").await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.text),
            (404, "404 page not found")
        );
    }
    for path in [
        "/reporter/x",
        "/reporter/01890000-0000-7000-8000-000000000000",
    ] {
        message(&server.get(path).await, 400);
    }
    message(
        &server
            .get(&format!(
                "/manual/01890000-0000-7000-8000-000000000000/{ASK}"
            ))
            .await,
        404,
    );
}

#[tokio::test]
async fn only_listed_origins_may_call() {
    let server = soarca().await;
    let preflight = [
        ("origin", "http://roaster.test:3000"),
        ("access-control-request-method", "POST"),
    ];
    let answer = server
        .call(Method::OPTIONS, "/trigger/playbook", &preflight, "")
        .await;
    assert_eq!(answer.status, 204);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        "http://roaster.test:3000"
    );
    assert!(
        answer
            .header("access-control-allow-headers")
            .contains("Authorization")
    );
    assert_eq!(answer.header("access-control-max-age"), "43200");
    let from = [
        ("origin", "http://roaster.test:3000"),
        ("sec-fetch-site", "cross-site"),
        ("content-type", "application/json"),
    ];
    let answer = server
        .call(
            Method::POST,
            "/trigger/playbook",
            &from,
            playbook().to_string(),
        )
        .await;
    assert_eq!(
        answer.header("access-control-allow-origin"),
        "http://roaster.test:3000"
    );
    answer.ok(200);
    for path in ["/status/ping", "/nothing"] {
        let answer = server
            .call(Method::GET, path, &[("origin", "http://evil.test")], "")
            .await;
        assert_eq!(answer.status, 403, "{path}");
    }
}

#[tokio::test]
async fn callers_show_a_token_where_it_is_asked_for() {
    let server = Server::with(Wanted {
        auth: Authorizer::Tokens(TokenSet::new()),
        listener: Auth::Token,
        soarca: Some(Vec::new()),
        ..Wanted::default()
    })
    .await;
    let answer = server.get("/status/ping").await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()),
        (401, &json!({"error": "user not authenticated"}))
    );
    let viewer = server.token("viewer", Role::Viewer, |_| {}).await;
    let operator = server.token("operator", Role::Operator, |_| {}).await;
    let admin = server.token("admin", Role::Admin, |_| {}).await;
    let ping = server
        .as_bearer(&viewer, Method::GET, "/status/ping", None)
        .await;
    assert_eq!(ping.text, "pong");
    let answer = server
        .as_bearer(&viewer, Method::POST, "/trigger/playbook", Some(playbook()))
        .await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()),
        (403, &json!({"error": "insufficient permissions"}))
    );
    let answer = server
        .as_bearer("nonsense", Method::GET, "/status", None)
        .await;
    assert_eq!(answer.json(), json!({"error": "invalid bearer token"}));
    let path = format!("/trigger/playbook/{PLAYBOOK}");
    for (token, method, path, status) in [
        // What a playbook does with credentials is for its author to say.
        (&operator, Method::POST, "/trigger/playbook", 403),
        (&operator, Method::POST, "/playbook", 403),
        (&admin, Method::POST, "/playbook", 201),
        (&admin, Method::POST, "/trigger/playbook", 200),
    ] {
        let answer = server
            .as_bearer(token, method, path, Some(playbook()))
            .await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
    }
    let answer = server
        .as_bearer(&operator, Method::POST, &path, Some(json!({})))
        .await;
    answer.ok(200);
}

#[tokio::test]
async fn what_the_listener_refuses_has_the_form_of_soarcas_errors() {
    let status = http::StatusCode::PAYLOAD_TOO_LARGE;
    let problem = Problem::new(status, "body-too-large", "the request body is too large");
    let response = conche_api::soarca::render(&problem);
    assert_eq!(response.status(), status);
    let body = axum::body::to_bytes(response.into_body(), 4096)
        .await
        .unwrap();
    let told: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        told,
        json!({
            "downstream-call": "the request body is too large",
            "message": "the request body is too large",
            "original-call": "",
            "status": "413",
        })
    );
}
