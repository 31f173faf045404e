//! Live views: nothing is lost, whenever and however slowly one looks.

use std::time::Duration;

use axum::body::Body;
use conche_core::RunId;
use conche_core::run::Status;
use conche_runtime::supervisor::Grace;
use conche_testkit::Behaviour;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::server::Server;

/// One message of a stream.
#[derive(Debug, PartialEq)]
struct Message {
    kind: String,
    id: Option<u64>,
    data: Value,
}

/// A stream that is being read.
struct Stream {
    body: Body,
    text: String,
}

impl Stream {
    async fn open(server: &Server, path: &str, headers: &[(&str, &str)]) -> Self {
        let answer = server.open(Method::GET, path, headers, Body::empty()).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        Self::of(Body::new(answer.into_body()))
    }

    /// A stream that nobody reads but this: what is not asked for is not made.
    async fn unread(server: &Server, path: &str) -> Self {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = server.router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        Self::of(answer.into_body())
    }

    const fn of(body: Body) -> Self {
        Self {
            body,
            text: String::new(),
        }
    }

    /// The next message; `None` at the end.
    async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (message, rest) = (parse(block), rest.to_owned());
                self.text = rest;
                if message.is_some() {
                    return message;
                }
                continue;
            }
            let frame = tokio::time::timeout(Duration::from_secs(30), self.body.frame());
            let frame = frame.await.expect("a message comes")?.ok()?;
            let bytes = frame.into_data().ok()?;
            self.text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }

    async fn rest(mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        while let Some(message) = self.next().await {
            messages.push(message);
        }
        messages
    }
}

/// A block of lines; comments give nothing.
fn parse(block: &str) -> Option<Message> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
    Some(Message {
        kind: field("event: ")?.to_owned(),
        id: field("id: ").map(|id| id.parse().unwrap()),
        data: serde_json::from_str(field("data: ")?).unwrap(),
    })
}

fn tail_of(run: RunId) -> String {
    format!("/api/v1/runs/{run}/tail")
}

fn is_whole(messages: &[Message], from: u64) {
    let (end, records) = messages.split_last().unwrap();
    let ids: Vec<_> = records.iter().map(|message| message.id.unwrap()).collect();
    let expected: Vec<_> = (from + 1..=from + records.len() as u64).collect();
    assert_eq!(ids, expected);
    assert!(records.iter().all(|message| message.kind == "record"));
    assert!(
        records
            .iter()
            .all(|message| message.data["version"] == message.id.unwrap())
    );
    assert_eq!(end.kind, "end");
    assert_eq!(end.id, ids.last().copied().or(Some(from)));
}

#[tokio::test]
async fn a_finished_run_is_shown_whole_and_from_any_record_on() {
    let server = Server::start().await;
    server.react("idempotent").await;
    let run = server.run_that_is(Status::Succeeded).await;
    let whole = Stream::open(&server, &tail_of(run), &[]).await.rest().await;
    is_whole(&whole, 0);
    assert_eq!(whole.last().unwrap().data["status"], "succeeded");
    let count = whole.len() as u64 - 1;
    for from in 1..=count {
        let last = from.to_string();
        let headers = [("last-event-id", &*last)];
        let rest = Stream::open(&server, &tail_of(run), &headers)
            .await
            .rest()
            .await;
        is_whole(&rest, from);
        assert_eq!(rest.len() as u64, count - from + 1);
    }
    for wrong in ["x", "-1", "1000000"] {
        let headers = [("last-event-id", wrong)];
        let answer = server
            .call(Method::GET, &tail_of(run), &headers, Body::empty())
            .await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.code()),
            (400, "invalid-header"),
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn a_run_under_way_is_followed_to_its_end() {
    let server = Server::start().await;
    server.react("unsafe").await;
    server.actions.plan("unsafe", [Behaviour::LoseAnswer]);
    let run = server.run_that_is(Status::NeedsAttention).await;
    let version = server.store.run(run).await.unwrap().version;
    let mut stream = Stream::open(&server, &tail_of(run), &[]).await;
    let mut messages = Vec::new();
    while (messages.len() as u64) < version {
        messages.push(stream.next().await.unwrap());
    }
    let body = serde_json::json!({"resolution": "repeat"});
    server
        .post(&format!("/api/v1/runs/{run}/resume"), body)
        .await
        .ok(202);
    messages.extend(stream.rest().await);
    is_whole(&messages, 0);
    assert!(
        messages
            .iter()
            .any(|message| message.data["entry"].get("resumed").is_some())
    );
}

#[tokio::test]
async fn a_reader_that_falls_behind_the_changes_of_others_loses_nothing() {
    let server = Server::start().await;
    server.react("unsafe").await;
    server.actions.plan("unsafe", [Behaviour::LoseAnswer]);
    let run = server.run_that_is(Status::NeedsAttention).await;
    let version = server.store.run(run).await.unwrap().version;
    let mut stream = Stream::unread(&server, &tail_of(run)).await;
    let mut all = Stream::unread(&server, "/api/v1/tail").await;
    let mut messages = vec![stream.next().await.unwrap()];
    // More changes than are kept for a reader, while nobody reads.
    for _ in 0..1100 {
        server.event().await;
    }
    let body = serde_json::json!({"resolution": {"failed": {"reason": "no"}}});
    server
        .post(&format!("/api/v1/runs/{run}/resume"), body)
        .await
        .ok(202);
    server.wait_for(run, Status::Failed).await;
    messages.extend(stream.rest().await);
    is_whole(&messages, 0);
    assert!(messages.len() as u64 > version + 1);
    assert_eq!(messages.last().unwrap().data["status"], "failed");

    // The view of all runs tells of the end of this one, and counts what it missed.
    let id = run.to_string();
    let first = all.next().await.unwrap();
    assert_eq!(first.kind, "missed");
    assert!(first.data["changes"].as_u64().unwrap() > 0);
    loop {
        let message = all.next().await.unwrap();
        assert_eq!(message.kind, "change");
        assert!(message.data["version"].as_u64().unwrap() > 0);
        if message.data["run_id"] == *id && message.data["status"] == "failed" {
            break;
        }
    }
}

#[tokio::test]
async fn views_are_limited_and_end_when_the_server_stops() {
    let server = Server::start().await;
    let mut views = Vec::new();
    let refused = loop {
        let answer = server
            .open(Method::GET, "/api/v1/tail", &[], Body::empty())
            .await;
        if answer.status() != 200 {
            break answer;
        }
        views.push(answer);
        assert!(views.len() <= 256);
    };
    assert_eq!(views.len(), 256);
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().contains_key("retry-after"));
    // A view that is closed makes room for another.
    drop(views.pop());
    conche_testkit::until("room for a view", || async {
        let answer = server
            .open(Method::GET, "/api/v1/tail", &[], Body::empty())
            .await;
        (answer.status() == 200).then_some(())
    })
    .await;
    let grace = Grace {
        per_stage: Duration::from_secs(10),
        total: Duration::from_secs(30),
    };
    let report = server.supervisor.shutdown(grace).await;
    assert!(report.stragglers.is_empty(), "{report:?}");
    for view in views {
        // The end of the stream, not of a connection that was cut.
        view.into_body().collect().await.unwrap();
    }
}
