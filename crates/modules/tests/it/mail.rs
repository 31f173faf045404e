//! `mail.send_mail` against a real SMTP server (aiosmtpd).
//!
//! The server needs a Python with aiosmtpd: `CONCHE_TEST_PYTHON`, else the workspace's
//! `target/test-venv`, else `python3`. Without it these tests say that they were skipped.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use conche_modules::{Action, Error};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::peers::{python, skipped};
use crate::support::{action, call, context, invoke};

/// No test waits longer for the server.
const PATIENCE: Duration = Duration::from_secs(20);

const USER: &str = "soc@example.com";
const PASSWORD: &str = "hunter22-hunter22";

/// A running server; it ends with its standard input.
struct Server {
    port: u16,
    lines: Lines<BufReader<ChildStdout>>,
    folder: tempfile::TempDir,
    _child: Child,
}

impl Server {
    /// `None`, said aloud, where the server is not installed.
    async fn start(mode: &str) -> Option<Self> {
        let check = Command::new(python())
            .args(["-c", "import aiosmtpd"])
            .output()
            .await;
        if !check.is_ok_and(|check| check.status.success()) {
            skipped("aiosmtpd is not installed");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certified = rcgen::generate_simple_self_signed(names).unwrap();
        let (certificate, key) = (
            folder.path().join("cert.pem"),
            folder.path().join("key.pem"),
        );
        std::fs::write(&certificate, certified.cert.pem()).unwrap();
        std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/smtp_server.py");
        let mut child = Command::new(python())
            .arg(script)
            .arg(mode)
            .args([certificate, key])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = timeout(PATIENCE, lines.next_line())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        Some(Self {
            port: port.parse().unwrap(),
            lines,
            folder,
            _child: child,
        })
    }

    /// The next mail that the server took.
    async fn mail(&mut self) -> Value {
        let line = timeout(PATIENCE, self.lines.next_line())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// The module, with `config` over the settings for this server.
    fn module(&self, config: &Value) -> Arc<dyn Action> {
        let cx = context(
            self.folder.path(),
            &[("smtp", PASSWORD), ("wrong", "not-the-password")],
        );
        let mut whole =
            json!({ "server": "127.0.0.1", "port": self.port, "from": "SOC <soc@example.com>" });
        whole
            .as_object_mut()
            .unwrap()
            .extend(config.as_object().unwrap().clone());
        action("mail", whole, &cx).unwrap()
    }

    fn ca_file(&self) -> Value {
        self.folder.path().join("cert.pem").to_str().unwrap().into()
    }
}

fn plain() -> Value {
    json!({ "tls": "none" })
}

fn to(addresses: &str) -> Value {
    json!({ "to": addresses, "subject": "s", "content": "c" })
}

#[tokio::test]
async fn csfs_mail_arrives_with_what_every_mail_needs() {
    let Some(mut server) = Server::start("plain").await else {
        return;
    };
    let mail = server.module(
        &json!({ "tls": "none", "helo_name": "conche.test", "reply_to": "help@example.com" }),
    );
    let input = json!({ "to": "a@x.y", "subject": "Alert: Überfall", "content": "line\n.\n..dots\r\nend\rx", "extra": 1 });
    let one = call("send_mail", &input);
    let output: Value = mail.invoke(&one).await.unwrap().read().unwrap();
    let id = format!("<{}@example.com>", one.key);
    assert_eq!(
        output,
        json!({ "message_id": id, "accepted": ["a@x.y"], "refused": [] })
    );
    let taken = server.mail().await;
    assert_eq!(
        (&taken["from"], &taken["to"]),
        (&json!("soc@example.com"), &json!(["a@x.y"]))
    );
    let headers = &taken["headers"];
    assert_eq!(headers["message-id"], id.as_str());
    assert_eq!(headers["subject"], "Alert: Überfall");
    assert_eq!(headers["auto-submitted"], "auto-generated");
    assert_eq!(headers["from"], "SOC <soc@example.com>");
    assert_eq!(headers["reply-to"], "help@example.com");
    assert!(
        headers["date"].as_str().unwrap().contains(" 20"),
        "{headers}"
    );
    let text = taken["parts"][0]["text"].as_str().unwrap();
    assert!(
        text.replace("\r\n", "\n")
            .starts_with("line\n.\n..dots\nend"),
        "{text:?}"
    );
    assert_eq!(
        (&taken["bare_line_ends"], &taken["hello"]),
        (&json!(0), &json!("conche.test"))
    );
}

#[tokio::test]
async fn copies_html_attachments_and_headers_arrive() {
    let Some(mut server) = Server::start("plain").await else {
        return;
    };
    let mail = server.module(&plain());
    let input = json!({
        "to": ["A <a@x.y>", "b@x.y"], "cc": "c@x.y, a@x.y", "bcc": "d@x.y", "content": "text", "html": "<b>html</b>",
        "headers": { "X-Team": "blue" },
        "attachments": [
            { "name": "a.txt", "content": "inside" },
            { "name": "ü.bin", "base64": "/wA=", "content_type": "application/x-bin" },
        ],
    });
    let output = invoke(&mail, "send_mail", input).await.unwrap();
    assert_eq!(
        output["accepted"],
        json!(["a@x.y", "b@x.y", "c@x.y", "d@x.y"])
    );
    let taken = server.mail().await;
    assert_eq!(taken["to"], output["accepted"]);
    assert!(!taken["headers"].to_string().contains("d@x.y"));
    assert_eq!(taken["headers"]["x-team"], "blue");
    let parts: Vec<_> = taken["parts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| {
            (
                part["type"].as_str().unwrap(),
                part["name"].as_str(),
                part["text"].as_str().unwrap().trim_end(),
            )
        })
        .collect();
    assert_eq!(
        parts,
        [
            ("text/plain", None, "text"),
            ("text/html", None, "<b>html</b>"),
            ("text/plain", Some("a.txt"), "inside"),
            ("application/x-bin", Some("ü.bin"), "\u{ff}\u{0}"),
        ]
    );
}

#[tokio::test]
async fn each_kind_of_protection_and_login_works_with_a_certificate_that_is_trusted() {
    let table = [
        (
            "starttls:PLAIN",
            json!({ "user": USER, "password": { "secret": "smtp" } }),
        ),
        (
            "starttls:LOGIN",
            json!({ "user": USER, "password": { "secret": "smtp" }, "server": "localhost" }),
        ),
        (
            "starttls:XOAUTH2",
            json!({ "user": USER, "password": { "secret": "smtp" }, "auth": "xoauth2" }),
        ),
        (
            "implicit:PLAIN",
            json!({ "user": USER, "password": PASSWORD, "tls": "implicit" }),
        ),
        (
            "implicit:LOGIN",
            json!({ "user": USER, "password": { "secret": "smtp" }, "tls": "implicit", "auth": "login" }),
        ),
        ("starttls", json!({ "tls": "opportunistic" })),
        (
            "plain:PLAIN",
            json!({ "user": USER, "password": { "secret": "smtp" }, "tls": "none" }),
        ),
        ("plain", json!({ "tls": "opportunistic" })),
    ];
    for (mode, mut config) in table {
        let Some(mut server) = Server::start(mode).await else {
            return;
        };
        config["ca_file"] = server.ca_file();
        let mail = server.module(&config);
        let output = invoke(&mail, "send_mail", to("a@x.y")).await;
        assert!(output.is_ok(), "{mode}: {output:?}");
        let taken = server.mail().await;
        assert_eq!(taken["tls"], !mode.starts_with("plain"), "{mode}");
        assert_eq!(taken["authenticated"], mode.contains(':'), "{mode}");
    }
}

#[tokio::test]
async fn a_wrong_password_a_missing_encryption_and_a_foreign_certificate_send_nothing() {
    let Some(server) = Server::start("starttls:PLAIN").await else {
        return;
    };
    let login = |secret: &str| json!({ "user": USER, "password": { "secret": secret }, "ca_file": server.ca_file() });
    let refused = invoke(&server.module(&login("wrong")), "send_mail", to("a@x.y"))
        .await
        .unwrap_err();
    assert!(
        matches!(&refused, Error::Permanent(message) if message.contains("535")),
        "{refused:?}"
    );
    assert!(!refused.to_string().contains("not-the-password"));
    let foreign = server.module(&json!({ "user": USER, "password": { "secret": "smtp" } }));
    let refused = invoke(&foreign, "send_mail", to("a@x.y"))
        .await
        .unwrap_err();
    assert!(
        matches!(&refused, Error::Retry { .. }) && refused.to_string().contains("certificate"),
        "{refused:?}"
    );
    let Some(plain) = Server::start("plain").await else {
        return;
    };
    let strict = plain.module(&json!({ "tls": "starttls" }));
    let refused = invoke(&strict, "send_mail", to("a@x.y")).await.unwrap_err();
    assert!(
        matches!(&refused, Error::Permanent(message) if message.contains("STARTTLS")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn refused_recipients_are_named_and_temporary_refusals_defer_at_first() {
    let Some(mut server) = Server::start("plain").await else {
        return;
    };
    let mail = server.module(&plain());
    let output = invoke(&mail, "send_mail", to("a@x.y, never@x.y"))
        .await
        .unwrap();
    assert_eq!(output["accepted"], json!(["a@x.y"]));
    assert_eq!(
        output["refused"],
        json!([{ "address": "never@x.y", "code": 550, "message": "5.1.1 no such user" }])
    );
    assert_eq!(server.mail().await["to"], json!(["a@x.y"]));
    let all = invoke(&mail, "send_mail", to("never@x.y"))
        .await
        .unwrap_err();
    assert!(
        matches!(&all, Error::Permanent(message) if message.contains("never@x.y: 550")),
        "{all:?}"
    );
    for attempt in [1, 2, 3, 4] {
        let mut one = call("send_mail", &to("a@x.y, later@x.y"));
        one.attempt = attempt;
        let result = mail.invoke(&one).await;
        if attempt <= 2 {
            assert!(
                matches!(&result, Err(Error::Retry { message, .. }) if message.contains("greylisted"))
            );
        } else {
            let output: Value = result.unwrap().read().unwrap();
            assert_eq!(output["refused"][0]["code"], 451);
            assert_eq!(server.mail().await["to"], json!(["a@x.y"]));
        }
        one.input = conche_core::Json::from(&to("later@x.y"));
        assert!(
            matches!(mail.invoke(&one).await, Err(Error::Retry { .. })),
            "nobody else is there"
        );
    }
}

#[tokio::test]
async fn what_happens_after_the_text_was_sent_decides_whether_its_fate_is_known() {
    let Some(server) = Server::start("plain").await else {
        return;
    };
    let mail = server.module(&json!({ "tls": "none", "timeout": "2s" }));
    let drop = invoke(&mail, "send_mail", to("drop@x.y")).await;
    assert!(matches!(drop, Err(Error::Uncertain(_))), "{drop:?}");
    let later = invoke(&mail, "send_mail", to("data-later@x.y")).await;
    assert!(
        matches!(&later, Err(Error::Retry { message, .. }) if message.contains("452")),
        "{later:?}"
    );
    let never = invoke(&mail, "send_mail", to("data-never@x.y")).await;
    assert!(
        matches!(&never, Err(Error::Permanent(message)) if message.contains("552")),
        "{never:?}"
    );
    let begun = Instant::now();
    let hang = invoke(&mail, "send_mail", to("hang@x.y")).await;
    assert!(matches!(hang, Err(Error::Uncertain(_))), "{hang:?}");
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn nobody_listening_and_nobody_answering_are_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let config =
        json!({ "server": "127.0.0.1", "port": port, "from": "a@b.c", "timeout": "300ms" });
    let mail = action("mail", config, &context(folder.path(), &[])).unwrap();
    let result = invoke(&mail, "send_mail", to("a@x.y")).await;
    assert!(matches!(result, Err(Error::Retry { .. })), "{result:?}");
    drop(silent);
    let result = invoke(&mail, "send_mail", to("a@x.y")).await;
    assert!(matches!(result, Err(Error::Retry { .. })), "{result:?}");
}

#[tokio::test]
async fn a_repeat_has_the_same_id_and_the_connection_is_used_again() {
    let Some(mut server) = Server::start("plain").await else {
        return;
    };
    let mail = server.module(&plain());
    let mut one = call("send_mail", &to("a@x.y"));
    mail.invoke(&one).await.unwrap();
    one.attempt = 2;
    mail.invoke(&one).await.unwrap();
    let (first, second) = (server.mail().await, server.mail().await);
    assert_eq!(
        first["headers"]["message-id"],
        second["headers"]["message-id"]
    );
    assert_eq!(first["session"], second["session"]);
}
