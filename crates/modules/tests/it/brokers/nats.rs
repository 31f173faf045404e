//! NATS with nats-server and its JetStream.

use std::sync::Arc;

use async_nats::jetstream::{self, stream};
use async_nats::{Client, HeaderMap};
use conche_modules::{Action, Error, Refusal, Source};
use serde_json::{Value, json};

use super::is_known_unsent;
use crate::peers::{Process, installed, listens, port, words};
use crate::running::{Running, data, soon, stored, until};
use crate::support::{FakeIntake, action, call, context, invoke, source};

struct Nats {
    folder: tempfile::TempDir,
    port: u16,
    process: Option<Process>,
}

impl Nats {
    async fn start() -> Option<Self> {
        installed("nats-server")?;
        let mut server = Self {
            folder: tempfile::tempdir().unwrap(),
            port: port(),
            process: None,
        };
        server.up().await;
        Some(server)
    }

    async fn up(&mut self) {
        let program = installed("nats-server").unwrap();
        let port = self.port.to_string();
        let program = words(&[
            program.to_str().unwrap(),
            "--addr",
            "127.0.0.1",
            "--port",
            &port,
            "--jetstream",
            "--store_dir",
            "store",
        ]);
        self.process = Some(Process::start(self.folder.path(), &[], &program));
        listens(self.port).await;
    }

    async fn down(&mut self) {
        self.process.take().unwrap().kill().await;
    }

    fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    fn source(&self, more: Value) -> Arc<dyn Source> {
        let mut config = json!({
            "broker": { "urls": [self.url()] }, "event_type": "nats.message", "ack_wait": "2s",
        });
        let more = more.as_object().unwrap().clone();
        config.as_object_mut().unwrap().extend(more);
        source("nats", config, &context(self.folder.path(), &[])).unwrap()
    }

    fn publisher(&self) -> Arc<dyn Action> {
        let config = json!({ "nats": { "main": { "urls": [self.url()] } } });
        action("publish", config, &context(self.folder.path(), &[])).unwrap()
    }
}

fn numbers(all: &crate::support::Stored) -> Vec<u64> {
    let mut all: Vec<_> = data(all)
        .iter()
        .map(|data| data["n"].as_u64().unwrap())
        .collect();
    all.sort_unstable();
    all
}

/// The number of messages that the server has not seen acknowledged.
async fn unacknowledged(client: &Client) -> u64 {
    let context = jetstream::new(client.clone());
    let consumer: jetstream::consumer::PullConsumer = context
        .get_consumer_from_stream("conche", "S")
        .await
        .unwrap();
    let info = consumer.cached_info();
    info.num_ack_pending as u64 + info.num_pending
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jetstream_messages_are_stored_before_they_are_acknowledged_and_each_once() {
    let Some(mut server) = Nats::start().await else {
        return;
    };
    let client = async_nats::connect(server.url()).await.unwrap();
    let context = jetstream::new(client.clone());
    let stream = stream::Config {
        name: "S".to_owned(),
        subjects: vec!["s.>".to_owned()],
        ..stream::Config::default()
    };
    context.create_stream(stream).await.unwrap();
    let source = server.source(json!({ "stream": "S", "durable": "conche" }));
    let intake = FakeIntake::new();
    let publisher = server.publisher();
    for n in 0..300 {
        let publish = context.publish("s.a", json!({ "n": n }).to_string().into());
        publish.await.unwrap();
    }
    context.publish("s.a", "poison".into()).await.unwrap();

    // While nothing can be stored nothing is acknowledged, and it comes again meanwhile.
    intake.refuse(Some(Refusal::Unavailable("the disk is full".to_owned())));
    let running = Running::start(&source, &intake);
    until("the first refusal", async || {
        unacknowledged_or_none(&client).await == Some(301)
    })
    .await;
    running.stop().await;
    assert_eq!(unacknowledged(&client).await, 301);
    intake.refuse(None);
    let running = Running::start(&source, &intake);
    let all = stored(&intake, 300).await;
    assert_eq!(all.events[0].1.subject.as_deref(), Some("s.a"));
    until("all to be acknowledged", async || {
        unacknowledged(&client).await == 0
    })
    .await;
    assert!(intake.refusals().contains(&"unusable"));

    // The server goes and comes back; what it confirmed is there.
    server.down().await;
    let input = json!({ "broker": "main", "subject": "s.b", "payload": { "n": 300 } });
    let one = call("nats", &input);
    until("the break to be noticed", async || {
        is_known_unsent(&publisher.invoke(&one).await)
    })
    .await;
    server.up().await;
    let publish = async || publisher.invoke(&one).await;
    until("the message to be taken", async || publish().await.is_ok()).await;
    let again: Value = publish().await.unwrap().read().unwrap();
    assert_eq!(
        (&again["stream"], &again["duplicate"]),
        (&json!("S"), &json!(true))
    );
    let all = stored(&intake, 301).await;
    assert_eq!(all.events[300].1.id, Some(one.key.to_string()));
    running.stop().await;
    assert_eq!(numbers(&all), (0..301).collect::<Vec<_>>());

    no_stream_no_confirmation(&publisher).await;
    plain_subjects_are_read_too(&server, &client).await;
}

async fn unacknowledged_or_none(client: &Client) -> Option<u64> {
    let context = jetstream::new(client.clone());
    let consumer: jetstream::consumer::PullConsumer =
        context.get_consumer_from_stream("conche", "S").await.ok()?;
    let info = consumer.cached_info();
    (info.num_ack_pending > 0).then_some(info.num_ack_pending as u64 + info.num_pending)
}

async fn no_stream_no_confirmation(publisher: &Arc<dyn Action>) {
    let input = json!({ "broker": "main", "subject": "nobody", "payload": 1 });
    let refused = invoke(publisher, "nats", input).await;
    assert!(
        matches!(&refused, Err(Error::Permanent(reason)) if reason.contains("no stream")),
        "{refused:?}"
    );
}

async fn plain_subjects_are_read_too(server: &Nats, client: &Client) {
    let source = server.source(json!({ "lossy_subjects": ["plain.*"] }));
    let intake = FakeIntake::new();
    let running = Running::start(&source, &intake);
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", "one");
    until("the subscription", async || {
        let sent = client.publish_with_headers("plain.a", headers.clone(), r#"{"n":1}"#.into());
        sent.await.unwrap();
        client.flush().await.unwrap();
        !intake.stored().events.is_empty()
    })
    .await;
    client
        .publish("plain.a", r#"{"n":2}"#.into())
        .await
        .unwrap();
    let all = soon("both", stored(&intake, 2)).await;
    running.stop().await;
    assert_eq!(numbers(&all), [1, 2]);
}
