//! MQTT with Eclipse Mosquitto.

use std::sync::Arc;
use std::time::Duration;

use conche_modules::{Action, Connection, Error, Refusal, Source};
use serde_json::{Value, json};

use super::is_known_unsent;
use crate::peers::{Process, installed, listens, port, words};
use crate::running::{Running, data, soon, stored, until};
use crate::support::{FakeIntake, action, call, context, invoke, source};

struct Mosquitto {
    folder: tempfile::TempDir,
    port: u16,
    process: Option<Process>,
}

impl Mosquitto {
    async fn start() -> Option<Self> {
        installed("mosquitto")?;
        let folder = tempfile::tempdir().unwrap();
        let port = port();
        let place = folder.path().display();
        let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
        let config = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\nuser {user}\nset_tcp_nodelay true\n\
             persistence true\npersistence_location {place}/\nautosave_interval 1\n\
             autosave_on_changes true\nmax_inflight_messages 0\n"
        );
        std::fs::write(folder.path().join("conf"), config).unwrap();
        let mut broker = Self {
            folder,
            port,
            process: None,
        };
        broker.up().await;
        Some(broker)
    }

    async fn up(&mut self) {
        let program = installed("mosquitto").unwrap();
        let program = words(&[program.to_str().unwrap(), "-c", "conf"]);
        self.process = Some(Process::start(self.folder.path(), &[], &program));
        listens(self.port).await;
    }

    async fn down(&mut self) {
        self.process.take().unwrap().kill().await;
    }

    fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    fn source(&self, version: &str, more: Value) -> Arc<dyn Source> {
        let mut config = json!({
            "broker": { "url": self.url(), "version": version, "packet_bytes": "64KiB" },
            "topics": [format!("v{version}/#")], "client_id": format!("conche-{version}"),
            "event_type": "mqtt.message", "id_from": "/id",
        });
        let more = more.as_object().unwrap().clone();
        config.as_object_mut().unwrap().extend(more);
        source("mqtt", config, &context(self.folder.path(), &[])).unwrap()
    }

    fn publisher(&self, version: &str) -> Arc<dyn Action> {
        let config = json!({ "mqtt": { "main": { "url": self.url(), "version": version } } });
        action("publish", config, &context(self.folder.path(), &[])).unwrap()
    }
}

async fn publish(publisher: &Arc<dyn Action>, topic: &str, payload: Value) -> Result<Value, Error> {
    let input = json!({ "broker": "main", "topic": topic, "payload": payload });
    soon("the message to be taken", invoke(publisher, "mqtt", input)).await
}

fn ids(all: &crate::support::Stored) -> Vec<u64> {
    let mut ids: Vec<_> = data(all)
        .iter()
        .map(|data| data["id"].as_u64().unwrap())
        .collect();
    ids.sort_unstable();
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mqtt_messages_are_stored_before_they_are_acknowledged_in_both_versions() {
    let Some(mut broker) = Mosquitto::start().await else {
        return;
    };
    for version in ["3.1.1", "5"] {
        let topic = format!("v{version}/a");
        let (source, publisher) = (broker.source(version, json!({})), broker.publisher(version));
        let intake = FakeIntake::new();

        // The first connection makes the session; poison is passed over.
        let running = Running::start(&source, &intake);
        until("the subscription", async || {
            publish(&publisher, &topic, json!({ "id": 0 }))
                .await
                .unwrap();
            !intake.stored().events.is_empty()
        })
        .await;
        publish(&publisher, &topic, json!("no json")).await.unwrap();
        publish(&publisher, &topic, json!({ "id": 1 }))
            .await
            .unwrap();
        let all = stored(&intake, 2).await;
        assert_eq!(all.events[0].1.subject.as_deref(), Some(topic.as_str()));
        assert!(intake.refusals().contains(&"unusable"));

        // While nothing can be stored nothing is acknowledged: after a stop it comes again.
        intake.refuse(Some(Refusal::Unavailable("the disk is full".to_owned())));
        for id in 2..200 {
            publish(&publisher, &topic, json!({ "id": id }))
                .await
                .unwrap();
        }
        running.stop().await;
        assert_eq!(intake.stored().events.len(), 2);
        intake.refuse(None);
        let running = Running::start(&source, &intake);
        stored(&intake, 200).await;

        // A broker that goes and comes back is connected to again, with the session.
        broker.down().await;
        let input = json!({ "broker": "main", "topic": topic, "payload": { "id": 200 } });
        let one = call("mqtt", &input);
        until("the break to be noticed", async || {
            is_known_unsent(&publisher.invoke(&one).await)
        })
        .await;
        broker.up().await;
        until("the message to be taken", async || {
            publish(&publisher, &topic, json!({ "id": 200 }))
                .await
                .is_ok()
        })
        .await;
        let all = stored(&intake, 201).await;
        running.stop().await;
        assert_eq!(ids(&all), (0..201).collect::<Vec<_>>());
        let noted: Vec<_> = intake.connections().into_iter().map(|(_, it)| it).collect();
        assert_eq!(noted[..2], [Connection::Awaited, Connection::Open]);
        assert_eq!(noted.last(), Some(&Connection::Open));
        let is_broken = |noted: &Connection| matches!(noted, Connection::Broken(_));
        assert!(noted.iter().any(is_broken), "{noted:?}");
    }
    without_an_id_equal_messages_are_one_event_by_their_digest(&broker).await;
    what_is_too_large_for_a_connection_does_not_break_it(&broker).await;
}

async fn without_an_id_equal_messages_are_one_event_by_their_digest(broker: &Mosquitto) {
    let more = json!({ "id_from": null, "digest": true, "topics": ["digest"], "client_id": "d" });
    let (source, publisher) = (broker.source("5", more), broker.publisher("5"));
    let intake = FakeIntake::new();
    let running = Running::start(&source, &intake);
    until("the subscription", async || {
        publish(&publisher, "digest", json!({ "id": 1 }))
            .await
            .unwrap();
        !intake.stored().events.is_empty()
    })
    .await;
    publish(&publisher, "digest", json!({ "id": 2 }))
        .await
        .unwrap();
    let all = stored(&intake, 2).await;
    running.stop().await;
    assert_eq!(ids(&all), [1, 2]);
}

/// With MQTT 5 the broker knows our limit and keeps such a message back.
async fn what_is_too_large_for_a_connection_does_not_break_it(broker: &Mosquitto) {
    let more = json!({ "topics": ["large"], "client_id": "l" });
    let (source, publisher) = (broker.source("5", more), broker.publisher("5"));
    let intake = FakeIntake::new();
    let running = Running::start(&source, &intake);
    until("the subscription", async || {
        let probe = publish(&publisher, "large", json!({ "id": 1 }));
        probe.await.unwrap();
        !intake.stored().events.is_empty()
    })
    .await;
    let large = json!({ "id": 2, "text": "x".repeat(100_000) });
    publish(&publisher, "large", large).await.unwrap();
    let small = publish(&publisher, "large", json!({ "id": 3 }));
    small.await.unwrap();
    let all = stored(&intake, 2).await;
    running.stop().await;
    assert_eq!(ids(&all), [1, 3]);
}

#[tokio::test]
async fn a_broker_that_never_answers_leaves_a_message_in_doubt_only_once_it_was_sent() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("mqtt://{}", silent.local_addr().unwrap());
    let config = json!({ "mqtt": { "main": { "url": url } } });
    let publisher = action("publish", config, &context(folder.path(), &[])).unwrap();
    let input = json!({ "broker": "main", "topic": "t", "payload": 1 });
    let mut one = call("mqtt", &input);
    one.timeout = Duration::from_millis(200);
    let result = publisher.invoke(&one).await;
    assert!(matches!(result, Err(Error::Retry { .. })), "{result:?}");

    // It greets us, takes the message and says nothing more.
    let greeting = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("mqtt://{}", greeting.local_addr().unwrap());
    let config = json!({ "mqtt": { "main": { "url": url, "version": "3.1.1" } } });
    let publisher = action("publish", config, &context(folder.path(), &[])).unwrap();
    one.timeout = Duration::from_secs(1);
    let answer = async {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut stream, _) = greeting.accept().await.unwrap();
        let mut bytes = [0; 256];
        assert!(stream.read(&mut bytes).await.unwrap() > 0);
        stream.write_all(&[0x20, 2, 0, 0]).await.unwrap();
        assert!(stream.read(&mut bytes).await.unwrap() > 0);
        std::future::pending::<()>().await;
    };
    let result = tokio::select! {
        result = publisher.invoke(&one) => result,
        () = answer => unreachable!(),
    };
    assert!(matches!(result, Err(Error::Uncertain(_))), "{result:?}");
}
