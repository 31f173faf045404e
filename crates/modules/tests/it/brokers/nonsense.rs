//! Brokers that talk nonsense: whatever they say, the source says that it tries again, keeps
//! nothing of it, and goes on.

use std::sync::Arc;

use conche_modules::Source;
use conche_runtime::tls::install_crypto_provider;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::running::{Running, soon};
use crate::support::{FakeIntake, context, source};

/// Greets with these bytes, after one block of theirs where the protocol has the client begin;
/// waits until the connection is closed, and for the next one.
async fn greet(listener: &TcpListener, is_first: bool, greeting: &[u8]) {
    let start = greeting[..greeting.len().min(40)].escape_ascii();
    let (the_end, the_next) = (format!("the end after {start}"), format!("{start} again"));
    let (mut stream, _) = soon("a connection", listener.accept()).await.unwrap();
    let mut block = [0; 1024];
    if !is_first {
        soon("a greeting", stream.read(&mut block)).await.unwrap();
    }
    // One that has given up already does not read it.
    stream.write_all(greeting).await.ok();
    soon(&the_end, async {
        while stream.read(&mut block).await.is_ok_and(|read| read > 0) {}
    })
    .await;
    soon(&the_next, listener.accept()).await.unwrap();
}

fn reader(module: &str, listener: &TcpListener) -> Arc<dyn Source> {
    let address = listener.local_addr().unwrap();
    let mut config: Value = match module {
        "amqp" => json!({ "broker": { "urls": [format!("amqp://{address}")] }, "queue": "q" }),
        "openstack" => json!({ "broker": { "urls": [format!("amqp://{address}")] } }),
        "nats" => {
            json!({ "broker": { "urls": [format!("nats://{address}")] }, "lossy_subjects": ["x"] })
        }
        version => json!({
            "broker": { "url": format!("mqtt://{address}"), "version": version },
            "topics": ["t"], "client_id": "c",
        }),
    };
    if module != "openstack" {
        config["event_type"] = "t".into();
    }
    let module = if config["topics"].is_array() {
        "mqtt"
    } else {
        module
    };
    let folder = tempfile::tempdir().unwrap();
    source(module, config, &context(folder.path(), &[])).unwrap()
}

#[tokio::test]
async fn a_broker_that_talks_nonsense_is_left_and_tried_again() {
    install_crypto_provider();
    let web = b"HTTP/1.1 400 Bad Request\r\n\r\n".as_slice();
    // A message of 256 MiB after the greeting, the most that the format can say.
    let large_3 = b"\x20\x02\0\0\x30\xff\xff\xff\x7f\0\x01t".as_slice();
    let large_5 = b"\x20\x03\0\0\0\x30\xff\xff\xff\x7f\0\x01t".as_slice();
    // A length that does not end.
    let endless = b"\x20\xff\xff\xff\xff\xff\xff\xff".as_slice();
    let frame = b"\x01\0\0\xff\xff\xff\xff\0\x0a\0\x0a".as_slice();
    let nested = format!("INFO {{\"a\":{}}}\r\n", "[".repeat(100_000));
    let table = [
        ("amqp", false, web),
        ("amqp", false, frame),
        ("amqp", false, b"AMQP\0\0\x08\0"),
        ("amqp", false, b""),
        ("openstack", false, web),
        ("openstack", false, frame),
        ("openstack", false, b""),
        ("3.1.1", false, web),
        ("3.1.1", false, endless),
        ("3.1.1", false, large_3),
        ("5", false, web),
        ("5", false, endless),
        ("5", false, large_5),
        ("nats", true, web),
        ("nats", true, b"INFO {\r\n"),
        ("nats", true, nested.as_bytes()),
        ("nats", true, b"INFO {}\r\nMSG x 1 99999999999999999999\r\n"),
        ("nats", true, b"-ERR '\xff\xff'\r\n"),
    ];
    // At once, since a broker that is silent is given ten seconds.
    let all = table.map(|(module, is_first, greeting)| async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let source = reader(module, &listener);
        let intake = FakeIntake::new();
        let running = Running::start(&source, &intake);
        greet(&listener, is_first, greeting).await;
        running.stop().await;
        assert!(intake.stored().events.is_empty(), "{module}");
    });
    futures_util::future::join_all(all).await;
}
