//! `syslog` over TLS: with openssl by hand, and with rsyslog as it is in the field.

use std::path::Path;

use conche_runtime::tls::install_crypto_provider;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::{connect, syslog};
use crate::peers::{Process, certificates, installed, skipped, words};
use crate::running::{Running, data, soon, stored, until};
use crate::support::FakeIntake;

#[tokio::test]
async fn over_tls_only_who_shows_a_certificate_is_heard() {
    install_crypto_provider();
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let tls = json!({ "certificate": file("cert.pem"), "key": file("key.pem"), "client_ca": file("ca.pem") });
    let (address, source) = syslog("tcp", json!({ "tls": tls }));
    let intake = FakeIntake::new();
    let running = Running::start(&source, &intake);
    drop(connect(address).await);
    for own in [&[][..], &["-cert", "cert.pem", "-key", "key.pem"]] {
        let client = Command::new("openssl")
            .args([
                "s_client",
                "-quiet",
                "-no_ign_eof",
                "-verify_return_error",
                "-CAfile",
                "ca.pem",
            ])
            .args(["-connect", &format!("localhost:{}", address.port())])
            .args(own)
            .current_dir(folder.path())
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let Ok(mut client) = client else {
            skipped("openssl is not installed");
            return;
        };
        let mut input = client.stdin.take().unwrap();
        let line = format!("<13>1 - h a - - - certified {}\n", !own.is_empty());
        // The one without a certificate may be gone already.
        input.write_all(line.as_bytes()).await.ok();
        drop(input);
        soon("openssl", client.wait()).await.unwrap();
    }
    let all = stored(&intake, 1).await;
    running.stop().await;
    let messages: Vec<_> = data(&all)
        .iter()
        .map(|data| data["message"].clone())
        .collect();
    assert_eq!(messages, ["certified true"]);
}

/// A real sender over TLS that waits for what it can't send: rsyslog, fed by `logger`.
struct Rsyslog {
    folder: tempfile::TempDir,
    _process: Process,
}

impl Rsyslog {
    /// `None`, said aloud, where it is not installed.
    fn start(folder: tempfile::TempDir, port: u16) -> Option<Self> {
        let program = installed("rsyslogd")?;
        let driver = Path::new("/usr/lib").join(format!(
            "{}-linux-gnu/rsyslog/lmnsd_ossl.so",
            std::env::consts::ARCH
        ));
        if !driver.exists() {
            skipped("rsyslog-openssl is not installed");
            return None;
        }
        let place = folder.path().display();
        let config = format!(
            r#"
global(workDirectory="{place}" maxMessageSize="64k" DefaultNetstreamDriverCAFile="{place}/ca.pem"
  DefaultNetstreamDriverCertFile="{place}/cert.pem" DefaultNetstreamDriverKeyFile="{place}/key.pem")
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="{place}/log" RateLimit.Interval="0")
action(type="omfwd" Target="localhost" Port="{port}" Protocol="tcp" TCP_Framing="octet-counted"
  Template="RSYSLOG_SyslogProtocol23Format" StreamDriver="ossl" StreamDriverMode="1"
  StreamDriverAuthMode="x509/name" StreamDriverPermittedPeers="localhost"
  action.resumeRetryCount="-1" action.resumeInterval="1")
"#
        );
        std::fs::write(folder.path().join("conf"), config).unwrap();
        let program = words(&[program.to_str().unwrap(), "-n", "-f", "conf", "-i", "NONE"]);
        let process = Process::start(folder.path(), &[], &program);
        Some(Self {
            folder,
            _process: process,
        })
    }

    async fn log(&self, message: &str) {
        let socket = self.folder.path().join("log");
        until("rsyslog", async || {
            let sent = Command::new("logger")
                .args(["--socket-errors=on", "--tag", "test", "--socket"])
                .arg(&socket)
                .args(["--size", "64KiB", "--", message])
                .output();
            sent.await.is_ok_and(|sent| sent.status.success())
        })
        .await;
    }
}

#[tokio::test]
async fn what_rsyslog_sends_over_tls_is_heard_and_what_is_too_long_does_not_hold_it_up() {
    install_crypto_provider();
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let tls = json!({ "certificate": file("cert.pem"), "key": file("key.pem"), "client_ca": file("ca.pem") });
    let (address, source) = syslog("tcp", json!({ "tls": tls }));
    let Some(sender) = Rsyslog::start(folder, address.port()) else {
        return;
    };
    // It waits for us as well.
    sender.log("before").await;
    let intake = FakeIntake::new();
    let running = Running::start(&source, &intake);
    sender.log(&"x".repeat(20_000)).await;
    sender.log("two\nlines").await;
    let messages = |all: &crate::support::Stored| -> Vec<Value> {
        data(all)
            .iter()
            .map(|data| data["message"].clone())
            .collect()
    };
    let is_last = |all: &crate::support::Stored| {
        let last = messages(all).pop();
        last.is_some_and(|last| last.as_str().is_some_and(|last| last.ends_with("lines")))
    };
    let all = soon("the last", intake.until(is_last)).await;
    running.stop().await;
    let texts = messages(&all);
    assert!(texts.contains(&json!("before")), "{texts:?}");
    assert!(intake.refusals().contains(&"unusable"));
    assert!(
        texts
            .iter()
            .all(|text| text.as_str().unwrap().len() < 20_000)
    );
    assert_eq!(data(&all)[0]["format"], "rfc5424");
}
