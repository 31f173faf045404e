//! AMQP with RabbitMQ.

use std::sync::Arc;

use conche_modules::{Action, Error, Refusal, Source};
use conche_runtime::tls::install_crypto_provider;
use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};
use serde_json::{Value, json};
use tokio::process::Command;

use super::is_known_unsent;
use super::tls::{is_told_twice, over_tls, tries_in_vain};
use crate::peers::{Process, certificates, installed, listens, port, words};
use crate::running::{Log, Running, data, soon, stored, until};
use crate::support::{FakeIntake, action, call, context, invoke, source};

pub(crate) struct Rabbit {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) port: u16,
    pub(crate) tls_port: u16,
    distribution: (u16, u16),
    process: Option<Process>,
}

impl Rabbit {
    pub(crate) async fn start() -> Option<Self> {
        installed("rabbitmq-server")?;
        let mut broker = Self {
            folder: tempfile::tempdir().unwrap(),
            port: port(),
            tls_port: port(),
            distribution: (port(), port()),
            process: None,
        };
        certificates(broker.folder.path());
        std::fs::write(broker.folder.path().join("rabbitmq.conf"), broker.conf()).unwrap();
        broker.up().await;
        Some(broker)
    }

    /// Over TLS it demands a certificate.
    fn conf(&self) -> String {
        let place = |name: &str| self.folder.path().join(name).display().to_string();
        format!(
            "listeners.ssl.1 = 127.0.0.1:{}\nssl_options.cacertfile = {}\n\
             ssl_options.certfile = {}\nssl_options.keyfile = {}\n\
             ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n",
            self.tls_port,
            place("ca.pem"),
            place("cert.pem"),
            place("key.pem"),
        )
    }

    /// Its name server is started beside it, so that it makes no one that outlives it.
    pub(crate) async fn up(&mut self) {
        let place = |name: &str| self.folder.path().join(name).display().to_string();
        let (names, node) = self.distribution;
        let loopback = "127.0.0.1".to_owned();
        let variables = [
            ("HOME", place("")),
            ("LC_ALL", "C.UTF-8".to_owned()),
            ("ERL_EPMD_ADDRESS", loopback.clone()),
            ("ERL_EPMD_PORT", names.to_string()),
            ("RABBITMQ_NODENAME", format!("conche{node}@localhost")),
            ("RABBITMQ_NODE_IP_ADDRESS", loopback),
            ("RABBITMQ_NODE_PORT", self.port.to_string()),
            ("RABBITMQ_DIST_PORT", node.to_string()),
            ("RABBITMQ_MNESIA_BASE", place("data")),
            ("RABBITMQ_LOG_BASE", place("log")),
            ("RABBITMQ_PID_FILE", place("pid")),
            ("RABBITMQ_CONFIG_FILE", place("rabbitmq.conf")),
            ("RABBITMQ_CONF_ENV_FILE", place("none")),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", place("plugins")),
        ];
        // Debian's wrapper on the path changes users; the script itself does not.
        let server = "/usr/lib/rabbitmq/bin/rabbitmq-server";
        let program = words(&["sh", "-c", &format!("epmd & exec {server}")]);
        self.process = Some(Process::start(self.folder.path(), &variables, &program));
        listens(self.port).await;
    }

    /// Stops it in an orderly way: RabbitMQ 3.10 does not find a quorum queue again that was
    /// made shortly before a kill.
    pub(crate) async fn down(&mut self) {
        let pid = std::fs::read_to_string(self.folder.path().join("pid")).unwrap();
        let pid = pid.trim();
        let signal = Command::new("kill").args(["-TERM", pid]).status().await;
        assert!(signal.unwrap().success());
        // A process that has ended and was not collected has no command line.
        let command_line = format!("/proc/{pid}/cmdline");
        until("the broker to stop", async || {
            std::fs::read(&command_line).map_or(true, |line| line.is_empty())
        })
        .await;
        self.process.take().unwrap().kill().await;
    }

    pub(crate) fn url(&self) -> String {
        format!("amqp://127.0.0.1:{}/", self.port)
    }

    pub(crate) async fn channel(&self) -> (Connection, Channel) {
        let url = format!("amqp://127.0.0.1:{}/%2f", self.port);
        soon("a connection", async {
            loop {
                let connected = Connection::connect(&url, ConnectionProperties::default()).await;
                let Ok(connection) = connected else {
                    tokio::task::yield_now().await;
                    continue;
                };
                let channel = connection.create_channel().await.unwrap();
                let confirm = ConfirmSelectOptions::default();
                channel.confirm_select(confirm).await.unwrap();
                return (connection, channel);
            }
        })
        .await
    }

    fn source(&self, more: Value) -> Arc<dyn Source> {
        let mut config = json!({
            "broker": { "urls": ["amqp://127.0.0.1:1", self.url()] }, "event_type": "amqp.message",
        });
        let more = more.as_object().unwrap().clone();
        config.as_object_mut().unwrap().extend(more);
        source("amqp", config, &context(self.folder.path(), &[])).unwrap()
    }

    fn publisher(&self) -> Arc<dyn Action> {
        let secrets = [("guest", "guest")];
        let broker =
            json!({ "urls": [self.url()], "user": "guest", "password": { "secret": "guest" } });
        let config = json!({ "amqp": { "main": broker } });
        action("publish", config, &context(self.folder.path(), &secrets)).unwrap()
    }
}

async fn send(channel: &Channel, key: &str, id: &str, body: &str) {
    let properties = BasicProperties::default()
        .with_message_id(id.into())
        .with_delivery_mode(2);
    let sent = channel.basic_publish(
        "topics".into(),
        key.into(),
        BasicPublishOptions::default(),
        body.as_bytes(),
        properties,
    );
    assert!(sent.await.unwrap().await.unwrap().is_ack());
}

/// Messages and consumers of a queue; `None` where it is not there.
pub(super) async fn queue(connection: &Connection, name: &str) -> Option<(u32, u32)> {
    let channel = connection.create_channel().await.unwrap();
    let passive = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let found = channel.queue_declare(name.into(), passive, FieldTable::default());
    let found = found.await.ok()?;
    Some((found.message_count(), found.consumer_count()))
}

async fn exchanges(channel: &Channel) {
    let durable = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    for (name, kind) in [
        ("topics", ExchangeKind::Topic),
        ("dead", ExchangeKind::Fanout),
    ] {
        let declared = channel.exchange_declare(name.into(), kind, durable, FieldTable::default());
        declared.await.unwrap();
    }
    let kept = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    let made = channel.queue_declare("dead".into(), kept, FieldTable::default());
    made.await.unwrap();
    let bound = channel.queue_bind(
        "dead".into(),
        "dead".into(),
        "".into(),
        QueueBindOptions::default(),
        FieldTable::default(),
    );
    bound.await.unwrap();
}

fn numbers(all: &crate::support::Stored) -> Vec<u64> {
    let mut all: Vec<_> = data(all)
        .iter()
        .map(|data| data["n"].as_u64().unwrap())
        .collect();
    all.sort_unstable();
    all
}

#[tokio::test]
async fn rabbitmq_messages_are_stored_before_they_are_acknowledged_and_each_once() {
    install_crypto_provider();
    let Some(mut broker) = Rabbit::start().await else {
        return;
    };
    let (connection, channel) = broker.channel().await;
    let bind = json!({ "exchange": "topics", "keys": ["a.*"], "dead_letter_exchange": "dead" });
    let source = broker.source(json!({ "queue": "conche", "bind": bind, "prefetch": 50 }));
    let intake = FakeIntake::new();
    let publisher = broker.publisher();

    // The exchange is waited for; then the queue is ours, and kept while we are away.
    let running = Running::start(&source, &intake);
    exchanges(&channel).await;
    until("our consumer", async || {
        queue(&connection, "conche").await == Some((0, 1))
    })
    .await;
    running.stop().await;
    let noted = intake.connections();
    assert_eq!(noted[0].1, conche_modules::Connection::Awaited);
    assert_eq!(noted.last().unwrap().1, conche_modules::Connection::Open);
    for n in 0..200 {
        send(
            &channel,
            "a.b",
            &n.to_string(),
            &json!({ "n": n }).to_string(),
        )
        .await;
    }
    send(&channel, "a.b", "poison", "poison").await;

    // While nothing can be stored nothing is acknowledged: all of it is there again after.
    intake.refuse(Some(Refusal::Unavailable("the disk is full".to_owned())));
    let running = Running::start(&source, &intake);
    until("the prefetch to be out", async || {
        queue(&connection, "conche").await == Some((151, 1))
    })
    .await;
    running.stop().await;
    until("all to be back", async || {
        queue(&connection, "conche").await == Some((201, 0))
    })
    .await;
    intake.refuse(None);
    let running = Running::start(&source, &intake);
    let all = stored(&intake, 200).await;
    assert_eq!(all.events[0].1.subject.as_deref(), Some("a.b"));

    // Poison is dead-lettered, a repeat with the same id is no other event.
    until("the dead letter", async || {
        queue(&connection, "dead").await == Some((1, 0))
    })
    .await;
    send(&channel, "a.b", "0", r#"{"n":0}"#).await;
    send(&channel, "a.c", "200", r#"{"n":200}"#).await;
    stored(&intake, 201).await;

    // The queue is deleted under us: it is made again.
    let deleted = channel.queue_delete("conche".into(), QueueDeleteOptions::default());
    deleted.await.unwrap();
    until("our consumer again", async || {
        queue(&connection, "conche").await == Some((0, 1))
    })
    .await;

    publishing_is_confirmed_or_refused(&publisher).await;

    // The broker goes and comes back; what it confirmed is there.
    let input = json!({ "broker": "main", "exchange": "topics", "routing_key": "a.d", "payload": { "n": 201 } });
    let one = call("amqp", &input);
    broker.down().await;
    until("the break to be noticed", async || {
        is_known_unsent(&publisher.invoke(&one).await)
    })
    .await;
    broker.up().await;
    until("the message to be taken", async || {
        publisher.invoke(&one).await.is_ok()
    })
    .await;
    let all = stored(&intake, 202).await;
    running.stop().await;
    assert_eq!(all.events[201].1.id, Some(one.key.to_string()));
    assert_eq!(numbers(&all), (0..202).collect::<Vec<_>>());

    over_tls_who_is_certified_and_knows_the_password_is_let_in(&broker).await;
}

async fn over_tls_who_is_certified_and_knows_the_password_is_let_in(broker: &Rabbit) {
    let (connection, channel) = broker.channel().await;
    let reads = |ca, is_certified, password| {
        let folder = broker.folder.path();
        let config = json!({
            "broker": {
                "urls": [format!("amqps://localhost:{}/", broker.tls_port)], "user": "guest",
                "password": { "secret": "key" }, "tls": over_tls(folder, ca, is_certified),
            },
            "queue": "secured", "bind": { "exchange": "topics", "keys": ["s"] }, "event_type": "t",
        });
        source("amqp", config, &context(folder, &[("key", password)])).unwrap()
    };
    let stranger = reads("other.pem", true, "guest");
    tries_in_vain(&stranger, "invalid peer certificate").await;
    tries_in_vain(&reads("ca.pem", false, "guest"), "localhost: ").await;

    // The queue is ours; then the password is another one for a while.
    let source = reads("ca.pem", true, "guest");
    let intake = FakeIntake::new();
    let running = Running::start(&source, &intake);
    until("the queue", async || {
        queue(&connection, "secured").await == Some((0, 1))
    })
    .await;
    running.stop().await;
    let source = reads("ca.pem", true, "hunter33");
    let log = Log::new();
    let running = Running::start(&source, &intake);
    is_told_twice(&log, "ACCESS_REFUSED").await;
    send(&channel, "s", "1", r#"{"n":1}"#).await;
    std::fs::write(broker.folder.path().join("key"), "guest").unwrap();
    let all = stored(&intake, 1).await;
    running.stop().await;
    assert_eq!(numbers(&all), [1]);
}

async fn publishing_is_confirmed_or_refused(publisher: &Arc<dyn Action>) {
    let to = |exchange: &str, key: &str| json!({ "broker": "main", "exchange": exchange, "routing_key": key, "payload": "x" });
    let done = invoke(publisher, "amqp", to("", "dead")).await.unwrap();
    assert!(!done["message_id"].as_str().unwrap().is_empty());
    for (exchange, key, expected) in [
        ("", "no-such-queue", "NO_ROUTE"),
        ("no-such-exchange", "k", "NOT_FOUND"),
    ] {
        let refused = invoke(publisher, "amqp", to(exchange, key)).await;
        assert!(
            matches!(&refused, Err(Error::Permanent(reason)) if reason.contains(expected)),
            "{refused:?}"
        );
    }
    let done = invoke(publisher, "amqp", to("", "dead")).await;
    assert!(done.is_ok(), "{done:?}");
}
