//! `syslog` with a real sender (`logger` of util-linux) and by hand where that is not enough.

mod tls;

use std::net::SocketAddr;
use std::sync::Arc;

use conche_modules::{Refusal, Source};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::process::Command;

use crate::peers::skipped;
use crate::running::{Running, data, soon, stored, until};
use crate::support::{FakeIntake, context, source};

/// A source on a port that was free a moment ago.
fn syslog(transport: &str, more: Value) -> (SocketAddr, Arc<dyn Source>) {
    let address = match transport {
        "udp" => std::net::UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .local_addr(),
        _ => std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr(),
    }
    .unwrap();
    let mut config = json!({ "listen": address, "transport": transport });
    let more = more.as_object().unwrap().clone();
    config.as_object_mut().unwrap().extend(more);
    let folder = tempfile::tempdir().unwrap();
    (
        address,
        source("syslog", config, &context(folder.path(), &[])).unwrap(),
    )
}

async fn connect(address: SocketAddr) -> TcpStream {
    soon("the listener", async {
        loop {
            match TcpStream::connect(address).await {
                Ok(stream) => return stream,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    })
    .await
}

/// `false`, said aloud, where there is no `logger`.
async fn logger(address: SocketAddr, arguments: &[&str]) -> bool {
    let sent = Command::new("logger")
        .args([
            "--server",
            "127.0.0.1",
            "--port",
            &address.port().to_string(),
        ])
        .args([
            "--tag",
            "conche-test",
            "--id=4711",
            "--priority",
            "auth.warning",
        ])
        .args(arguments)
        .output()
        .await;
    let Ok(sent) = sent else {
        skipped("logger (bsdutils) is not installed");
        return false;
    };
    assert!(sent.status.success(), "{sent:?}");
    true
}

#[tokio::test]
async fn what_logger_sends_over_udp_and_tcp_in_each_format_is_understood() {
    for (transport, option, extra, format) in [
        ("udp", "--udp", "--rfc5424", "rfc5424"),
        ("udp", "--udp", "--rfc3164", "rfc3164"),
        ("tcp", "--tcp", "--rfc5424", "rfc5424"),
        ("tcp", "--tcp", "--octet-count", "rfc5424"),
        ("tcp", "--tcp", "--rfc3164", "rfc3164"),
    ] {
        let (address, source) = syslog(transport, json!({}));
        let intake = FakeIntake::new();
        let running = Running::start(&source, &intake);
        match transport {
            // Sent until the socket is bound: what comes before that is lost, as it is with UDP.
            "udp" => {
                let probe = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                probe.connect(address).await.unwrap();
                until("the socket", async || {
                    probe.send(b"<1>Jan  1 00:00:00 probe probe: x").await.ok();
                    !intake.stored().events.is_empty()
                })
                .await;
            }
            _ => drop(connect(address).await),
        }
        if !logger(address, &[option, extra, "it's a test: äöü"]).await {
            return;
        }
        let is_ours = |data: &Value| data["message"] == "it's a test: äöü";
        let all = soon(
            &format!("{option} {extra}"),
            intake.until(|all| data(all).iter().any(is_ours)),
        )
        .await;
        running.stop().await;
        let (at, found) = data(&all)
            .into_iter()
            .enumerate()
            .find(|(_, data)| is_ours(data))
            .unwrap();
        assert_eq!(
            (
                &found["facility"],
                &found["severity"],
                &found["appname"],
                &found["procid"]
            ),
            (
                &json!("auth"),
                &json!("warning"),
                &json!("conche-test"),
                &json!("4711")
            ),
            "{option} {extra}: {found}"
        );
        assert_eq!(
            (&found["format"], &found["peer"]),
            (&json!(format), &json!("127.0.0.1"))
        );
        let age = conche_core::Timestamp::now() - all.events[at].1.time.unwrap();
        assert!(age.total(jiff_hour()).unwrap().abs() < 1.0, "{found}");
    }
}

fn jiff_hour() -> jiff::Unit {
    jiff::Unit::Hour
}

#[tokio::test]
async fn a_sender_is_not_read_on_while_nothing_can_be_stored_and_loses_nothing() {
    let (address, source) = syslog("tcp", json!({}));
    let intake = FakeIntake::new();
    intake.refuse(Some(Refusal::Unavailable("the disk is full".to_owned())));
    let running = Running::start(&source, &intake);
    let mut sender = connect(address).await;
    // More than the buffers of both ends hold: the sender is held up.
    let line = format!("<13>1 - h a - - - {}\n", "x".repeat(4000));
    let count = 5000;
    let mut sent = 0;
    while sent < count {
        let write = sender.write_all(line.as_bytes());
        match tokio::time::timeout(std::time::Duration::from_millis(300), write).await {
            Ok(written) => written.unwrap(),
            Err(_) => break,
        }
        sent += 1;
    }
    assert!(sent < count, "the sender was not held up");
    intake.refuse(None);
    // The write that was given up may have left a part of its line.
    sender
        .write_all(b"\n<13>1 - h a - - - last\n")
        .await
        .unwrap();
    let is_last = |data: &Value| data["message"] == "last";
    let all = soon(
        "the last",
        intake.until(|all| all.events.len() >= sent && data(&tail(all)).iter().any(is_last)),
    )
    .await;
    running.stop().await;
    let whole = data(&all)
        .iter()
        .filter(|data| {
            data["message"]
                .as_str()
                .is_some_and(|text| text.len() == 4000)
        })
        .count();
    assert!(whole >= sent, "{whole} of {sent}");
}

fn tail(all: &crate::support::Stored) -> crate::support::Stored {
    let events = all.events.iter().rev().take(1).cloned().collect();
    crate::support::Stored {
        events,
        ..Default::default()
    }
}

#[tokio::test]
async fn long_and_broken_messages_and_too_many_connections_are_refused_one_by_one() {
    let more = json!({ "message_bytes": "480B", "connections_per_ip": 2, "idle": "500ms" });
    let (address, source) = syslog("tcp", more);
    let intake = FakeIntake::new();
    let running = Running::start(&source, &intake);
    let mut first = connect(address).await;
    first
        .write_all(format!("<1>{}\nnot syslog\n", "x".repeat(900)).as_bytes())
        .await
        .unwrap();
    let mut broken = connect(address).await;
    broken.write_all(b"12x<1>oops").await.unwrap();
    let mut rest = Vec::new();
    soon("the broken one to be closed", broken.read_to_end(&mut rest))
        .await
        .ok();
    stored(&intake, 1).await;
    let _second = connect(address).await;
    let mut third = connect(address).await;
    soon("the third to be closed", third.read_to_end(&mut rest))
        .await
        .ok();
    first
        .write_all(b"<1>Jan  1 00:00:00 h a: still here\n")
        .await
        .unwrap();
    let all = stored(&intake, 2).await;
    soon("the idle one to be closed", first.read_to_end(&mut rest))
        .await
        .unwrap();
    running.stop().await;
    assert_eq!(
        data(&all)[0],
        json!({ "raw": "not syslog", "peer": "127.0.0.1" })
    );
    assert_eq!(data(&all)[1]["message"], "still here");
    assert_eq!(intake.refusals(), ["unusable"; 3]);
}

#[test]
fn a_syslog_listener_is_open_to_the_network_only_if_it_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let cx = context(folder.path(), &[]);
    for (config, expected) in [
        (
            json!({ "listen": "0.0.0.0:514" }),
            "allow_unauthenticated: true",
        ),
        (
            json!({ "listen": "127.0.0.1:514", "transport": "udp", "tls": { "certificate": "/x", "key": "/y" } }),
            "transport: tcp",
        ),
        (
            json!({ "listen": "127.0.0.1:514", "tls": { "certificate": "/x", "key": "/y" } }),
            "/x",
        ),
        (
            json!({ "listen": "127.0.0.1:514", "message_bytes": "1MiB" }),
            "message_bytes",
        ),
        (
            json!({ "listen": "127.0.0.1:514", "event_type": "conche.x" }),
            "Conche's own",
        ),
    ] {
        let refused = source("syslog", config, &cx).err().unwrap();
        assert!(refused.message.contains(expected), "{refused}");
    }
    let open = json!({ "listen": "0.0.0.0:514", "allow_unauthenticated": true });
    assert!(source("syslog", open, &cx).is_ok());
}
