//! Clair 4's word by a real RabbitMQ: callbacks and the notifications themselves.

use conche_modules::Refusal;
use lapin::BasicProperties;
use lapin::options::{BasicPublishOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use serde_json::json;

use super::fake::{FakeClair, Kind, Notification};
use crate::brokers::rabbitmq::Rabbit;
use crate::running::{Running, stored, until};
use crate::support::{FakeIntake, context, source};

const ID: &str = "c31aa958-586d-4967-93f2-117d4c7e4f63";

#[tokio::test]
async fn clair_4_is_heard_by_amqp_and_nothing_is_acknowledged_before_it_is_on_disk() {
    let Some(mut rabbit) = Rabbit::start().await else {
        return;
    };
    let clair = FakeClair::start(Kind::V4).await;
    let folder = tempfile::tempdir().unwrap();
    let config = json!({ "notification_endpoint": clair.endpoint(), "amqp": { "broker": { "urls": [rabbit.url()] }, "queue": "clair" } });
    let built = source("Clair", config, &context(folder.path(), &[])).unwrap();
    let intake = FakeIntake::new();
    intake.refuse(Some(Refusal::Unavailable("disk full".to_owned())));
    // The queue is not there yet: it is waited for.
    let running = Running::start(&built, &intake);
    let (connection, channel) = rabbit.channel().await;
    let durable = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    channel
        .queue_declare("clair".into(), durable, FieldTable::default())
        .await
        .unwrap();
    clair.notify(
        ID,
        Notification {
            new: vec!["sha256:aa".to_owned()],
            old: Vec::new(),
        },
    );
    let direct = json!([{ "id": "c31aa958-586d-4967-93f2-117d4c7e4f64", "manifest": "sha256:bb", "reason": "removed", "vulnerability": { "name": "CVE-2" } }]);
    for body in [clair.ping(ID), direct.to_string(), "nonsense".to_owned()] {
        let properties = BasicProperties::default().with_delivery_mode(2);
        let sent = channel.basic_publish(
            "".into(),
            "clair".into(),
            BasicPublishOptions::default(),
            body.as_bytes(),
            properties,
        );
        assert!(sent.await.unwrap().await.unwrap().is_ack());
    }
    drop((channel, connection));
    // With nothing acknowledged all of it is there again after the broker was.
    rabbit.down().await;
    rabbit.up().await;
    intake.refuse(None);
    let found = stored(&intake, 4).await;
    let kinds: Vec<_> = found
        .events
        .iter()
        .map(|(_, event)| (event.subject.clone().unwrap(), event.event_type.clone()))
        .collect();
    for expected in ["CVE-2099-0001", "CVE-2"] {
        for kind in ["new_vuln", "clair.notification"] {
            assert!(
                kinds.contains(&(expected.to_owned(), kind.to_owned())),
                "{kinds:?}"
            );
        }
    }
    until("nonsense to be counted", async || {
        intake.refusals().contains(&"unusable")
    })
    .await;
    until("Clair to be told", async || clair.deleted() == [ID]).await;
    running.stop().await;
    assert_eq!(intake.stored().events.len(), 4);
}
