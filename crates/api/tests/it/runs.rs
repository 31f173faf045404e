//! Runs listed, looked at and acted on.

use conche_core::run::Status;
use conche_testkit::Behaviour;
use serde_json::{Value, json};

use crate::server::Server;

async fn shown(server: &Server, run: impl std::fmt::Display) -> Value {
    server.get(&format!("/api/v1/runs/{run}")).await.ok(200)
}

#[tokio::test]
async fn a_finished_run_tells_what_each_step_did() {
    let server = Server::start().await;
    server.react("idempotent").await;
    server
        .actions
        .plan("idempotent", [Behaviour::Succeed(json!({"done": 1}))]);
    let run = server.run_that_is(Status::Succeeded).await;
    let shown = shown(&server, run).await;
    assert_eq!(shown["definition"], "r");
    assert_eq!(shown["status"], "succeeded");
    assert_eq!(shown["truncated"], false);
    assert_eq!(shown["held"], false);
    let steps = shown["steps"].as_array().unwrap();
    let decided = &steps[0];
    assert_eq!(
        decided["console"],
        json!([{"level": "info", "text": "looking"}])
    );
    assert_eq!(
        decided["output"],
        json!({"next": {"action": "act", "data": {"n": 1}}})
    );
    let acted = &steps[1];
    assert_eq!(acted["action"], "test.idempotent");
    assert_eq!(acted["status"], "succeeded");
    assert_eq!(acted["attempts"], 1);
    assert_eq!(
        (&acted["input"], &acted["output"]),
        (&json!({"n": 1}), &json!({"done": 1}))
    );
    for step in steps {
        assert!(
            step["started_at"].is_string() && step["finished_at"].is_string(),
            "{step}"
        );
    }
}

#[tokio::test]
async fn a_failed_step_names_its_error_and_the_run_can_be_retried() {
    let server = Server::start().await;
    server.react("idempotent").await;
    server
        .actions
        .plan("idempotent", [Behaviour::Refuse("not today")]);
    let run = server.run_that_is(Status::Failed).await;
    let failed = shown(&server, run).await;
    let step = failed["steps"]
        .as_array()
        .unwrap()
        .iter()
        .find(|step| step["status"] == "failed")
        .unwrap();
    assert_eq!(
        step["error"],
        json!({"kind": "permanent", "message": "not today"})
    );
    assert!(
        failed["reason"].as_str().unwrap().contains("not today"),
        "{failed}"
    );

    let retry = format!("/api/v1/runs/{run}/retry");
    let answer = server.post(&retry, json!({"visit": 99})).await;
    assert_eq!(
        (answer.status.as_u16(), &*answer.code()),
        (409, "run-state")
    );
    assert!(answer.text.contains("no visit 99"), "{}", answer.text);
    let taken = server
        .post(&retry, json!({"visit": step["visit"]}))
        .await
        .ok(202);
    assert_eq!(taken, json!({"run_id": run.to_string()}));
    server.wait_for(run, Status::Succeeded).await;
    let answer = server.post(&retry, json!({})).await;
    assert!(answer.text.contains("no step failed"), "{}", answer.text);
    let journal = server
        .get(&format!("/api/v1/runs/{run}/journal?limit=500"))
        .await
        .ok(200);
    assert!(journal.to_string().contains(r#""by":"local""#), "{journal}");
}

#[tokio::test]
async fn a_run_under_way_is_cancelled_with_and_without_a_reason() {
    let server = Server::start().await;
    server.react("idempotent").await;
    for (body, reason) in [
        (Some(json!({"reason": "enough"})), "enough"),
        (None, "local"),
    ] {
        let before = server.actions.seen().len();
        server.actions.plan("idempotent", [Behaviour::Hang]);
        let run = server.run_that_is(Status::Running).await;
        server.actions.called(before + 1).await;
        let answer = server
            .post(&format!("/api/v1/runs/{run}/retry"), json!({}))
            .await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.code()),
            (409, "run-state")
        );
        let path = format!("/api/v1/runs/{run}/cancel");
        let taken = match body {
            Some(body) => server.post(&path, body).await,
            None => server.call(http::Method::POST, &path, &[], "").await,
        };
        taken.ok(202);
        server.wait_for(run, Status::Cancelled).await;
        let cancelled = shown(&server, run).await;
        assert!(
            cancelled["reason"].as_str().unwrap().contains(reason),
            "{cancelled}"
        );
        let answer = server.post(&path, json!({})).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.code()),
            (409, "run-state")
        );
        assert!(answer.text.contains("cancelled"), "{}", answer.text);
    }
}

#[tokio::test]
async fn a_run_is_paused_and_resumed_and_both_are_acts() {
    let server = Server::start().await;
    server.react("idempotent").await;
    server
        .actions
        .plan("idempotent", [Behaviour::Retry("busy")]);
    let run = server.run_that_is(Status::Running).await;
    server.actions.called(1).await;
    let pause = format!("/api/v1/runs/{run}/pause");
    let resume = format!("/api/v1/runs/{run}/resume");
    assert_eq!(server.post(&resume, json!({})).await.code(), "run-state");
    server
        .post(&pause, json!({"reason": "a closer look"}))
        .await
        .ok(202);
    server.wait_for(run, Status::Paused).await;
    let paused = shown(&server, run).await;
    assert_eq!(paused["status"], "paused");
    assert_eq!(paused["reason"], "paused by local: a closer look");
    let listed = server.get("/api/v1/runs?status=paused").await.ok(200);
    assert_eq!(listed["runs"][0]["run_id"], run.to_string());
    let metrics = server.get("/metrics").await.text;
    assert!(
        metrics.contains("conche_runs{status=\"paused\"} 1"),
        "{metrics}"
    );
    assert_eq!(server.post(&pause, json!({})).await.code(), "run-state");
    let decision = server.post(&resume, json!({"resolution": "repeat"})).await;
    assert!(decision.text.contains("it is paused"), "{}", decision.text);
    server
        .call(http::Method::POST, &resume, &[], "")
        .await
        .ok(202);
    server.wait_for(run, Status::Running).await;
    let acts = server.store.acts(0, 100).await.unwrap();
    let told: Vec<_> = acts
        .rows
        .iter()
        .map(|row| row.act().unwrap())
        .map(|act| (act.what, act.outcome, act.detail.get("after").cloned()))
        .filter(|(what, ..)| what == "run.pause" || what == "run.resume")
        .map(|(what, outcome, after)| {
            let after = after.map_or_else(String::new, |after| format!(" {after}"));
            format!("{what}{after}: {outcome}")
        })
        .collect();
    assert_eq!(
        told,
        [
            "run.resume pause: run-state",
            "run.pause: done",
            "run.pause: run-state",
            "run.resume attention: run-state",
            "run.resume pause: done",
        ]
    );
}

#[tokio::test]
async fn a_run_that_needs_attention_shows_why_and_is_resumed_each_way() {
    let server = Server::start().await;
    server.react("unsafe").await;
    for (resolution, status) in [
        (json!("repeat"), Status::Succeeded),
        (
            json!({"succeeded": {"output": {"by hand": true}}}),
            Status::Succeeded,
        ),
        (json!({"failed": {"reason": "it did not"}}), Status::Failed),
    ] {
        server.actions.plan("unsafe", [Behaviour::LoseAnswer]);
        let run = server.run_that_is(Status::NeedsAttention).await;
        let waiting = shown(&server, run).await;
        let step = &waiting["steps"][1];
        assert_eq!(step["status"], "needs_attention");
        assert!(
            step["evidence"]
                .as_str()
                .unwrap()
                .contains("the answer was lost"),
            "{step}"
        );
        let path = format!("/api/v1/runs/{run}/resume");
        let elsewhere = json!({"visit": 0, "resolution": "repeat"});
        let answer = server.post(&path, elsewhere).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.code()),
            (409, "run-state")
        );
        server
            .post(&path, json!({"resolution": resolution}))
            .await
            .ok(202);
        server.wait_for(run, status).await;
    }
    let run = server.run_that_is(Status::Succeeded).await;
    let path = format!("/api/v1/runs/{run}/resume");
    for (body, code) in [
        (json!({"resolution": "repeat"}), "run-state"),
        (json!({}), "run-state"),
        (json!({"visit": 1}), "invalid-body"),
        (json!({"resolution": "other"}), "invalid-body"),
        (
            json!({"resolution": {"succeeded": {"output": 7}}}),
            "invalid-body",
        ),
        (
            json!({"resolution": {"succeeded": {"output": {}, "x": 1}}}),
            "invalid-body",
        ),
    ] {
        let answer = server.post(&path, body.clone()).await;
        assert_eq!(answer.code(), code, "{body}");
    }
}

#[tokio::test]
async fn an_event_that_a_run_emitted_names_the_run_and_starts_others() {
    let server = Server::start().await;
    for body in [
        json!({"name": "first", "event": "e", "script": "next tell {\"type\": \"told\"}",
            "actions": {"tell": {"module": "emit", "action": "emit"}}}),
        json!({"name": "second", "event": "told", "script": "next show {}",
            "actions": {"show": {"module": "dummy", "action": "dummy_action"}}}),
    ] {
        let path = format!("/api/v1/reactions/{}", body["name"].as_str().unwrap());
        let put = server.put(&path, body).await.ok(201);
        assert_eq!(put["warnings"], json!([]), "{put}");
    }
    let first = server.run_that_is(Status::Succeeded).await;
    let second = conche_testkit::until("the run that follows", || async {
        let page = server
            .get("/api/v1/runs?reaction=second&status=succeeded")
            .await;
        page.ok(200)["runs"].as_array()?.first().cloned()
    })
    .await;
    let path = format!("/api/v1/events/{}", second["event_id"].as_str().unwrap());
    let event = server.get(&path).await.ok(200);
    assert_eq!(
        (&event["source"], &event["depth"]),
        (&json!("conche"), &json!(1))
    );
    assert_eq!(event["cause"], first.to_string());
    let second = shown(&server, second["run_id"].as_str().unwrap()).await;
    assert_eq!(
        second["steps"][1]["output"],
        json!({"dummykey": "dummyvalue"})
    );
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let server = Server::start().await;
    server.react("idempotent").await;
    server.actions.plan("idempotent", [Behaviour::Refuse("no")]);
    let failed = server.run_that_is(Status::Failed).await;
    let mut good = Vec::new();
    for _ in 0..4 {
        good.push(server.run_that_is(Status::Succeeded).await);
    }
    let ids = async |query: &str| {
        let page = server.get(&format!("/api/v1/runs?{query}")).await.ok(200);
        let runs = page["runs"].as_array().unwrap().iter();
        let ids: Vec<String> = runs
            .map(|run| run["run_id"].as_str().unwrap().to_owned())
            .collect();
        (ids, page["next"].as_str().map(str::to_owned))
    };
    assert_eq!(ids("status=failed").await, (vec![failed.to_string()], None));
    assert_eq!(ids("reaction=r").await.0.len(), 5);
    assert_eq!(ids("reaction=other").await.0.len(), 0);
    let event = shown(&server, good[0]).await["event_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        ids(&format!("event={event}")).await.0,
        [good[0].to_string()]
    );

    let (first, next) = ids("status=succeeded&limit=2").await;
    assert_eq!(first, [good[3].to_string(), good[2].to_string()]);
    server.run_that_is(Status::Succeeded).await;
    let next = next.unwrap();
    let (second, next) = ids(&format!("status=succeeded&limit=2&before={next}")).await;
    assert_eq!(second, [good[1].to_string(), good[0].to_string()]);
    assert_eq!(next, None);
}

#[tokio::test]
async fn a_journal_is_paged_by_version() {
    let server = Server::start().await;
    server.react("idempotent").await;
    let run = server.run_that_is(Status::Succeeded).await;
    let path = format!("/api/v1/runs/{run}/journal");
    let whole = server.get(&path).await.ok(200);
    let records = whole["records"].as_array().unwrap();
    assert_eq!(whole["next"], Value::Null);
    let versions: Vec<u64> = records
        .iter()
        .map(|record| record["version"].as_u64().unwrap())
        .collect();
    assert_eq!(versions, (1..=records.len() as u64).collect::<Vec<_>>());
    assert!(records[0]["entry"].get("started").is_some(), "{whole}");
    let page = server.get(&format!("{path}?from=1&limit=2")).await.ok(200);
    assert_eq!(page["records"], json!(records[1..3]));
    assert_eq!(page["next"], 3);
    let beyond = server.get(&format!("{path}?from=1000")).await.ok(200);
    assert_eq!(beyond, json!({"records": [], "next": null}));
}

#[tokio::test]
async fn what_is_not_there_or_no_id_is_said_so() {
    let server = Server::start().await;
    let none = uuid::Uuid::now_v7();
    for path in [
        format!("/api/v1/events/{none}"),
        format!("/api/v1/runs/{none}"),
        format!("/api/v1/runs/{none}/journal"),
        format!("/api/v1/runs/{none}/tail"),
    ] {
        let answer = server.get(&path).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.code()),
            (404, "not-found"),
            "{path}"
        );
        let answer = server.get(&path.replace(&none.to_string(), "seven")).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.code()),
            (400, "invalid-id"),
            "{path}"
        );
    }
    for verb in ["cancel", "retry"] {
        let answer = server
            .post(&format!("/api/v1/runs/{none}/{verb}"), json!({}))
            .await;
        assert_eq!(answer.code(), "not-found", "{verb}");
    }
    let answer = server
        .post(
            &format!("/api/v1/runs/{none}/resume"),
            json!({"resolution": "repeat"}),
        )
        .await;
    assert_eq!(answer.code(), "not-found");
    let answer = server.get("/api/v1/runs/%ff").await;
    assert_eq!(answer.code(), "invalid-id");
    for query in [
        "status=gone",
        "limit=0",
        "limit=501",
        "limit=x",
        "before=x",
        "event=x",
        "reaction=a&reaction=b",
    ] {
        let answer = server.get(&format!("/api/v1/runs?{query}")).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.code()),
            (400, "invalid-query"),
            "{query}"
        );
    }
}
