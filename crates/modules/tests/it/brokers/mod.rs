//! Sources and `publish` against real brokers, each started once for its test, on free ports
//! of the loopback and in a folder of its own. A broker that is not installed is said aloud.
//!
//! What is asserted of each: nothing is acknowledged before it is stored, nothing is lost when
//! the broker or the source stops and starts again, what is delivered again is one event, and
//! what cannot be decoded holds up nothing.

mod mosquitto;
mod nats;
mod nonsense;
mod openstack;
pub(crate) mod rabbitmq;
mod tls;

use conche_modules::{Error, Output};
use serde_json::{Value, json};

use crate::support::{context, source};

/// Whether a message is known not to have gone out. Just after a break it may be in doubt
/// first; it must never be said to have been taken.
fn is_known_unsent(result: &Result<Output, Error>) -> bool {
    assert!(result.is_err(), "{result:?} without a broker");
    matches!(result, Err(Error::Retry { .. }))
}

#[test]
fn broker_settings_that_make_no_sense_or_hold_a_password_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cx = context(folder.path(), &[]);
    let amqp = |url: &str| json!({ "broker": { "urls": [url] }, "queue": "q", "event_type": "t" });
    let nats = |more: Value| {
        let mut config = json!({ "broker": { "urls": ["nats://h"] }, "event_type": "t" });
        let more = more.as_object().unwrap().clone();
        config.as_object_mut().unwrap().extend(more);
        config
    };
    let mqtt = |url: &str, topic: &str| json!({ "broker": { "url": url }, "topics": [topic], "client_id": "c", "event_type": "t" });
    let cloud = |more: Value| {
        let mut config = json!({ "rabbit_url": "amqp://u:hunter22@h//" });
        let more = more.as_object().unwrap().clone();
        config.as_object_mut().unwrap().extend(more);
        config
    };
    let unknown = json!({ "urls": [{ "secret": "nope" }] });
    for (module, config, expected) in [
        ("amqp", amqp("amqp://u:hunter22@h/"), "holds a password"),
        ("amqp", amqp("http://h/"), "amqp://"),
        (
            "amqp",
            json!({ "broker": unknown, "queue": "q", "event_type": "t" }),
            "no secret `nope`",
        ),
        (
            "mqtt",
            mqtt("mqtt://u:hunter22@h", "a"),
            "must hold no user",
        ),
        ("mqtt", mqtt("mqtt://h", "a/#/b"), "topic filters"),
        ("openstack", json!({}), "exactly one of `broker`"),
        (
            "openstack",
            cloud(json!({ "broker": { "urls": ["amqp://h"] } })),
            "exactly one of `broker`",
        ),
        (
            "openstack",
            cloud(json!({ "rabbit_url": "http://u:hunter22@h" })),
            "amqp://",
        ),
        (
            "openstack",
            json!({ "broker": { "urls": ["amqp://u:hunter22@h"] } }),
            "holds a password",
        ),
        (
            "openstack",
            cloud(json!({ "queue": "q", "topics": ["t"] })),
            "mean nothing",
        ),
        (
            "openstack",
            cloud(json!({ "exchanges": [] })),
            "must not be empty",
        ),
        (
            "openstack",
            cloud(json!({ "events": { "conche.x": ["a"] } })),
            "Conche's own",
        ),
        ("openstack", cloud(json!({ "prefetch": 0 })), "1 to 2000"),
        ("nats", nats(json!({})), "`stream` and `durable`"),
        (
            "nats",
            nats(json!({ "stream": "S", "durable": "d", "lossy_subjects": ["x"] })),
            "alone",
        ),
        (
            "nats",
            nats(json!({ "lossy_subjects": ["x"], "broker": { "urls": ["nats://u:hunter22@h"] } })),
            "must hold no user",
        ),
    ] {
        let refused = source(module, config, &cx).err().unwrap();
        assert!(refused.message.contains(expected), "{refused}");
        assert!(!refused.message.contains("hunter22"), "{refused}");
    }
}
