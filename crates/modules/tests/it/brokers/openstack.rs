//! Notifications of OpenStack with RabbitMQ: sent by oslo.messaging itself where the tests'
//! Python has it, else as they were captured.

use std::path::Path;
use std::sync::Arc;

use conche_modules::{Refusal, Source};
use conche_runtime::tls::install_crypto_provider;
use lapin::options::{
    BasicPublishOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
    QueueDeleteOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, ExchangeKind};
use serde_json::{Value, json};
use tokio::process::Command;

use super::rabbitmq::{Rabbit, queue};
use super::tls::{over_tls, tries_in_vain};
use crate::peers::{python, skipped};
use crate::running::{Running, data, soon, stored, until};
use crate::support::{FakeIntake, Stored, context, source};

const OWN: &str = "conche.s";
const DEAD: &str = "conche.s.dead";
const INFO: &str = "versioned_notifications.info";

fn reader(broker: &Rabbit, config: Value) -> Arc<dyn Source> {
    source("openstack", config, &context(broker.folder.path(), &[])).unwrap()
}

/// The broker behind another address, at which nobody is.
fn of_two_hosts(broker: &Rabbit) -> Value {
    json!({ "broker": { "urls": ["amqp://127.0.0.1:1", broker.url()] } })
}

/// What a service declares: its exchange, and a queue for each of its topics.
async fn a_service_declares(channel: &Channel) {
    let exchange = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    let none = FieldTable::default;
    let declared = channel.exchange_declare("nova".into(), ExchangeKind::Topic, exchange, none());
    declared.await.unwrap();
    let durable = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    let declared = channel.queue_declare(INFO.into(), durable, none());
    declared.await.unwrap();
    let options = QueueBindOptions::default();
    let bound = channel.queue_bind(INFO.into(), "nova".into(), INFO.into(), options, none());
    bound.await.unwrap();
}

async fn publish(channel: &Channel, key: &str, body: &str) {
    let sent = channel.basic_publish(
        "nova".into(),
        key.into(),
        BasicPublishOptions::default(),
        body.as_bytes(),
        // Kept by a broker that stops, as oslo.messaging asks it to do for durable queues.
        BasicProperties::default().with_delivery_mode(2),
    );
    assert!(sent.await.unwrap().await.unwrap().is_ack());
}

/// A captured notification about another instance, in its envelope.
fn captured(text: &str, event_type: &str, uuid: &str) -> String {
    let mut message: Value = serde_json::from_str(text).unwrap();
    message["event_type"] = event_type.into();
    message["_unique_id"] = format!("{uuid}-{event_type}").into();
    match message["payload"].get_mut("nova_object.data") {
        Some(data) => data["uuid"] = uuid.into(),
        None => message["payload"]["instance_id"] = uuid.into(),
    }
    json!({ "oslo.version": "2.0", "oslo.message": message.to_string() }).to_string()
}

/// Sends of each instance a versioned INFO and ERROR and a legacy INFO, and what is of no concern.
async fn notify(broker: &Rabbit, channel: &Channel, uuids: &[&str]) {
    let importable = Command::new(python())
        .args(["-c", "import oslo_messaging"])
        .output()
        .await;
    if importable.is_ok_and(|check| check.status.success()) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/oslo_notifier.py");
        let mut sender = Command::new(python());
        sender.arg(script).arg(broker.port.to_string()).args(uuids);
        let sent = soon("oslo to send", sender.output()).await.unwrap();
        let told = String::from_utf8_lossy(&sent.stderr);
        assert!(sent.status.success(), "{told}");
        return;
    }
    skipped("oslo.messaging is not installed: captured notifications are sent instead");
    let versioned = include_str!("../samples/nova_error.json");
    let legacy = include_str!("../samples/nova_legacy.json");
    for uuid in uuids {
        // What makes no event comes first: once the events are stored, it is done with as well.
        for (key, text, event_type) in [
            ("notifications.info", legacy, "volume.create.end"),
            (INFO, versioned, "instance.create.end"),
            (
                "versioned_notifications.error",
                versioned,
                "instance.create.error",
            ),
            ("notifications.info", legacy, "compute.instance.create.end"),
        ] {
            publish(channel, key, &captured(text, event_type, uuid)).await;
        }
    }
}

/// What happened to which instance, sorted.
fn told(all: &Stored) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut all: Vec<_> = data(all)
        .iter()
        .map(|data| {
            let flat = &data["payload_flat"];
            let uuid = flat.get("uuid").unwrap_or(&flat["instance_id"]);
            (text(uuid), text(&data["event_type"]))
        })
        .collect();
    all.sort_unstable();
    all
}

fn expected(uuids: &[&str]) -> Vec<(String, String)> {
    let types = [
        "compute.instance.create.end",
        "instance.create.end",
        "instance.create.error",
    ];
    let of = |uuid: &&str| types.map(|event_type| ((*uuid).to_owned(), event_type.to_owned()));
    uuids.iter().flat_map(of).collect()
}

async fn is_in(connection: &lapin::Connection, name: &str, messages: u32, consumers: u32) {
    until(&format!("{messages} in `{name}`"), async || {
        queue(connection, name).await == Some((messages, consumers))
    })
    .await;
}

#[tokio::test]
async fn csf_bug_9_openstack_notifications_of_each_priority_are_acknowledged_and_survive_breaks() {
    install_crypto_provider();
    let Some(mut broker) = Rabbit::start().await else {
        return;
    };
    let (connection, channel) = broker.channel().await;
    let source = reader(&broker, of_two_hosts(&broker));
    let intake = FakeIntake::new();

    // The services' exchange is waited for.
    let running = Running::start(&source, &intake);
    a_service_declares(&channel).await;
    is_in(&connection, OWN, 0, 1).await;
    notify(&broker, &channel, &["i1"]).await;
    let all = stored(&intake, 3).await;
    assert_eq!(told(&all), expected(&["i1"]));
    for (_, event) in &all.events {
        assert_eq!(event.event_type, "compute_event");
        assert_eq!(event.subject.as_deref(), Some("i1"));
        let text = event.data.as_str();
        assert!(event.id.is_some() && event.time.is_some(), "{text}");
        assert!(!text.contains("secret-token") && !text.contains("hunter22"));
    }

    // All of it is acknowledged: nothing comes back when we go.
    running.stop().await;
    is_in(&connection, OWN, 0, 0).await;

    // What is sent while we are away is kept, and while nothing can be stored as well.
    notify(&broker, &channel, &["i2"]).await;
    intake.refuse(Some(Refusal::Unavailable("the disk is full".to_owned())));
    let running = Running::start(&source, &intake);
    is_in(&connection, OWN, 0, 1).await;
    running.stop().await;
    is_in(&connection, OWN, 4, 0).await;
    intake.refuse(None);
    let running = Running::start(&source, &intake);
    assert_eq!(told(&stored(&intake, 6).await), expected(&["i1", "i2"]));

    // The broker cancels our consumer: the queue is made and read again.
    let deleted = channel.queue_delete(OWN.into(), QueueDeleteOptions::default());
    deleted.await.unwrap();
    is_in(&connection, OWN, 0, 1).await;

    // The broker goes and comes back.
    broker.down().await;
    broker.up().await;
    let (connection, channel) = broker.channel().await;
    is_in(&connection, OWN, 0, 1).await;
    notify(&broker, &channel, &["i3"]).await;
    let all = stored(&intake, 9).await;
    assert_eq!(told(&all), expected(&["i1", "i2", "i3"]));
    running.stop().await;

    nonsense_goes_to_the_dead_letters(&broker).await;
    a_queue_that_is_there_is_read_as_csf_did(&broker).await;
    let mut config = of_two_hosts(&broker);
    let url = format!("amqps://localhost:{}/", broker.tls_port);
    config["broker"]["urls"] = json!([url]);
    config["broker"]["tls"] = over_tls(broker.folder.path(), "other.pem", true);
    tries_in_vain(&reader(&broker, config), "invalid peer certificate").await;
}

/// CSF ended at the first of these.
async fn nonsense_goes_to_the_dead_letters(broker: &Rabbit) {
    let (connection, channel) = broker.channel().await;
    let nonsense = [
        "",
        "\u{0}",
        "[]",
        "{}",
        r#"{"oslo.message":7}"#,
        r#"{"oslo.version":"2.0","oslo.message":"{\"event_type\":7}"}"#,
        &"[".repeat(100_000),
    ];
    let intake = FakeIntake::new();
    let running = Running::start(&reader(broker, of_two_hosts(broker)), &intake);
    for body in nonsense {
        publish(&channel, INFO, body).await;
    }
    let good = include_str!("../samples/nova_error.json");
    let good = captured(good, "instance.create.end", "i4");
    // It comes twice.
    publish(&channel, INFO, &good).await;
    publish(&channel, INFO, &good).await;
    // A time that no store keeps costs the time, not the event.
    let sample = include_str!("../samples/nova_error.json");
    let mut odd: Value = serde_json::from_str(sample).unwrap();
    odd["timestamp"] = "9999-12-30 10:00:00".into();
    let odd = captured(&odd.to_string(), "instance.create.end", "i5");
    publish(&channel, INFO, &odd).await;
    let all = stored(&intake, 2).await;
    assert_eq!(told(&all).len(), 2);
    let (_, event) = &all.events[1];
    assert!(event.time.is_none() && event.data.as_str().contains("9999-12-30"));
    assert_eq!(intake.refusals(), vec!["unusable"; nonsense.len()]);
    is_in(&connection, DEAD, u32::try_from(nonsense.len()).unwrap(), 0).await;
    running.stop().await;
    is_in(&connection, OWN, 0, 0).await;
}

/// With `queue`, CSF's address and an event for what cannot be read, from which nothing of it
/// is kept.
async fn a_queue_that_is_there_is_read_as_csf_did(broker: &Rabbit) {
    let (connection, _channel) = broker.channel().await;
    let address = format!("amqp://guest:guest@127.0.0.1:{}//", broker.port);
    let config = json!({
        "rabbit_url": address, "queue": INFO, "invalid_event_type": "cloud.unreadable",
        "events": { "creation": ["instance.create"], "rest": [""] },
    });
    let intake = FakeIntake::new();
    let running = Running::start(&reader(broker, config), &intake);
    is_in(&connection, INFO, 0, 1).await;
    let all = soon(
        "all to be stored",
        intake.until(|stored| {
            let mut types = stored.events.iter().map(|(_, event)| &*event.event_type);
            let is_last = |event: &conche_modules::NewEvent| event.subject.as_deref() == Some("i5");
            types.any(|event_type| event_type == "cloud.unreadable")
                && stored.events.iter().any(|(_, event)| is_last(event))
        }),
    )
    .await;
    running.stop().await;
    is_in(&connection, INFO, 0, 0).await;
    let of = |event_type: &str| {
        let events = all.events.iter().map(|(_, event)| event);
        let events = events.filter(|event| event.event_type == event_type);
        events
            .map(|event| event.data.read().unwrap())
            .collect::<Vec<Value>>()
    };
    let unreadable = of("cloud.unreadable");
    let first = json!({ "bytes": 0, "routing_key": INFO, "reason": unreadable[0]["reason"] });
    assert_eq!((unreadable.len(), &unreadable[0]), (7, &first));
    // The broker was stopped in order: it has kept those of before as well.
    let (creations, rest) = (of("creation").len(), of("rest").len());
    assert_eq!((creations, rest), (5, 0), "{all:?}");
}
