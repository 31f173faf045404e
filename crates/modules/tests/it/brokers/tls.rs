//! Brokers over TLS, with each way to say who we are: what they refuse is told clearly and tried
//! again for ever, and nothing is lost meanwhile.

use std::path::Path;
use std::sync::Arc;

use async_nats::ConnectOptions;
use async_nats::jetstream::{self, stream};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use conche_modules::{Action, Source};
use conche_runtime::tls::install_crypto_provider;
use nkeys::KeyPair;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::peers::{Process, certificates, installed, listens, port, words};
use crate::running::{Log, Running, data, soon, stored, until};
use crate::support::{FakeIntake, action, context, invoke, source};

/// The right password and the right token.
const RIGHT: &str = "hunter22-hunter22";

/// Runs a source until it has said at least twice why it is not let in.
pub(super) async fn tries_in_vain(source: &Arc<dyn Source>, expected: &str) {
    let (log, intake) = (Log::new(), FakeIntake::new());
    let running = Running::start(source, &intake);
    is_told_twice(&log, expected).await;
    running.stop().await;
    assert!(intake.stored().events.is_empty());
}

/// Waits until the log says twice why a source is not let in, without its secret.
pub(super) async fn is_told_twice(log: &Log, expected: &str) {
    let waiting = until(expected, async || {
        let text = log.text();
        let told = text
            .lines()
            .filter(|line| line.contains("is tried again") && line.contains(expected));
        told.count() >= 2
    });
    let told = tokio::time::timeout(std::time::Duration::from_secs(20), waiting).await;
    assert!(told.is_ok(), "no «{expected}» in {}", log.text());
    assert!(!log.text().contains(RIGHT), "{}", log.text());
}

/// The settings of TLS that trust the authority in this file.
pub(super) fn over_tls(folder: &Path, ca: &str, is_certified: bool) -> Value {
    let file = |name: &str| folder.join(name).display().to_string();
    let mut tls = json!({ "ca_file": file(ca) });
    if is_certified {
        tls["certificate"] = file("cert.pem").into();
        tls["key"] = file("key.pem").into();
    }
    tls
}

struct Mosquitto {
    folder: tempfile::TempDir,
    port: u16,
    _process: Process,
}

impl Mosquitto {
    async fn start() -> Option<Self> {
        let program = installed("mosquitto")?;
        let folder = tempfile::tempdir().unwrap();
        certificates(folder.path());
        let made = Command::new(installed("mosquitto_passwd")?)
            .args(["-b", "-c", "passwords", "conche", RIGHT])
            .current_dir(folder.path())
            .status();
        assert!(made.await.unwrap().success());
        let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
        let port = port();
        let config = format!(
            "listener {port} 127.0.0.1\nallow_anonymous false\nuser {user}\n\
             password_file passwords\ncafile ca.pem\ncertfile cert.pem\nkeyfile key.pem\n"
        );
        std::fs::write(folder.path().join("conf"), config).unwrap();
        let program = words(&[program.to_str().unwrap(), "-c", "conf"]);
        let process = Process::start(folder.path(), &[], &program);
        listens(port).await;
        Some(Self {
            folder,
            port,
            _process: process,
        })
    }

    fn broker(&self, version: &str, ca: &str, secret: &str) -> Value {
        json!({
            "url": format!("mqtts://localhost:{}", self.port), "version": version,
            "user": "conche", "password": { "secret": secret },
            "tls": over_tls(self.folder.path(), ca, false),
        })
    }

    fn source(&self, version: &str, ca: &str, secret: &str) -> Arc<dyn Source> {
        let config = json!({
            "broker": self.broker(version, ca, secret), "topics": ["t"],
            "client_id": format!("conche-{version}"), "event_type": "t", "id_from": "/id",
        });
        source("mqtt", config, &self.context(secret)).unwrap()
    }

    /// The secret `right` is right, `key` is not.
    fn context(&self, secret: &str) -> conche_modules::BuildContext {
        let value = if secret == "right" { RIGHT } else { "hunter33" };
        context(self.folder.path(), &[(secret, value)])
    }

    fn publisher(&self, version: &str) -> Arc<dyn Action> {
        let broker = self.broker(version, "ca.pem", "right");
        let config = json!({ "mqtt": { "main": broker } });
        action("publish", config, &self.context("right")).unwrap()
    }
}

#[tokio::test]
async fn mosquitto_over_tls_lets_in_who_trusts_it_and_knows_the_password() {
    install_crypto_provider();
    let Some(broker) = Mosquitto::start().await else {
        return;
    };
    for version in ["3.1.1", "5"] {
        let publisher = broker.publisher(version);
        let publish = async |id: u64| {
            let input = json!({ "broker": "main", "topic": "t", "payload": { "id": id } });
            soon("the message to be taken", invoke(&publisher, "mqtt", input))
                .await
                .unwrap();
        };
        let stranger = broker.source(version, "other.pem", "right");
        tries_in_vain(&stranger, "invalid peer certificate").await;

        // The session is made; then the password is another one for a while.
        let source = broker.source(version, "ca.pem", "right");
        let intake = FakeIntake::new();
        let running = Running::start(&source, &intake);
        until("the subscription", async || {
            publish(0).await;
            !intake.stored().events.is_empty()
        })
        .await;
        running.stop().await;
        let source = broker.source(version, "ca.pem", "key");
        let log = Log::new();
        let running = Running::start(&source, &intake);
        is_told_twice(&log, "Connection refused").await;
        for id in 1..10 {
            publish(id).await;
        }
        assert_eq!(intake.stored().events.len(), 1);
        std::fs::write(broker.folder.path().join("key"), RIGHT).unwrap();
        let all = stored(&intake, 10).await;
        running.stop().await;
        let ids: Vec<_> = data(&all).iter().map(|data| data["id"].clone()).collect();
        assert_eq!(json!(ids), json!((0..10).collect::<Vec<_>>()));
    }
}

struct Nats {
    folder: tempfile::TempDir,
    port: u16,
    _process: Process,
}

impl Nats {
    /// A server that demands certificates, with these lines in its configuration.
    async fn start(access: &str) -> Option<Self> {
        let program = installed("nats-server")?;
        let folder = tempfile::tempdir().unwrap();
        certificates(folder.path());
        let port = port();
        let config = format!(
            "listen: 127.0.0.1:{port}\n\
             tls {{ cert_file: cert.pem, key_file: key.pem, ca_file: ca.pem, verify: true }}\n{access}\n"
        );
        std::fs::write(folder.path().join("conf"), config).unwrap();
        let program = words(&[program.to_str().unwrap(), "-c", "conf"]);
        let process = Process::start(folder.path(), &[], &program);
        listens(port).await;
        Some(Self {
            folder,
            port,
            _process: process,
        })
    }

    fn url(&self) -> String {
        format!("tls://localhost:{}", self.port)
    }

    /// A client of the library's own, beside ours.
    async fn client(&self, options: ConnectOptions) -> async_nats::Client {
        let file = |name: &str| self.folder.path().join(name);
        let options = options
            .add_root_certificates(file("ca.pem"))
            .add_client_certificate(file("cert.pem"), file("key.pem"));
        soon("a client", options.connect(self.url())).await.unwrap()
    }

    /// Reads plain subjects, or the stream `S`.
    fn source(&self, broker: &Value, secret: &str, more: &Value) -> Arc<dyn Source> {
        let mut config = json!({ "broker": broker, "event_type": "t" });
        config["broker"]["urls"] = json!([self.url()]);
        let more = more.as_object().unwrap().clone();
        config.as_object_mut().unwrap().extend(more);
        source(
            "nats",
            config,
            &context(self.folder.path(), &[("key", secret)]),
        )
        .unwrap()
    }

    fn tls(&self, ca: &str, is_certified: bool) -> Value {
        over_tls(self.folder.path(), ca, is_certified)
    }

    /// Whether a source with this login gets what is sent.
    async fn is_heard(&self, login: (&str, &str), client: &async_nats::Client) {
        let broker = json!({ "tls": self.tls("ca.pem", true), login.0: { "secret": "key" } });
        let source = self.source(&broker, login.1, &json!({ "lossy_subjects": ["plain"] }));
        let intake = FakeIntake::new();
        let running = Running::start(&source, &intake);
        until(login.0, async || {
            client.publish("plain", "{}".into()).await.unwrap();
            client.flush().await.unwrap();
            !intake.stored().events.is_empty()
        })
        .await;
        running.stop().await;
    }
}

#[tokio::test]
async fn nats_over_tls_lets_in_who_is_certified_and_knows_the_password() {
    install_crypto_provider();
    let user = KeyPair::new_user();
    let access = format!(
        "jetstream {{ store_dir: store }}\n\
         authorization {{ users: [ {{ user: conche, password: \"{RIGHT}\" }}, {{ nkey: {} }} ] }}",
        user.public_key()
    );
    let Some(server) = Nats::start(&access).await else {
        return;
    };
    let login = ConnectOptions::with_user_and_password("conche".to_owned(), RIGHT.to_owned());
    let client = server.client(login).await;
    let context = jetstream::new(client.clone());
    let stream = stream::Config {
        name: "S".to_owned(),
        subjects: vec!["s".to_owned()],
        ..stream::Config::default()
    };
    context.create_stream(stream).await.unwrap();
    let publish = async |n: u64| {
        let sent = context.publish("s", json!({ "n": n }).to_string().into());
        sent.await.unwrap().await.unwrap();
    };
    let reads = json!({ "stream": "S", "durable": "conche" });
    let broker = |ca, is_certified| {
        json!({
            "tls": server.tls(ca, is_certified), "user": "conche", "password": { "secret": "key" },
        })
    };
    publish(0).await;
    let stranger = server.source(&broker("other.pem", true), RIGHT, &reads);
    tries_in_vain(&stranger, "invalid peer certificate").await;
    let nameless = server.source(&broker("ca.pem", false), RIGHT, &reads);
    tries_in_vain(&nameless, "connecting: ").await;
    let source = server.source(&broker("ca.pem", true), "hunter33", &reads);
    let (log, intake) = (Log::new(), FakeIntake::new());
    let running = Running::start(&source, &intake);
    is_told_twice(&log, "authorization violation").await;
    publish(1).await;
    std::fs::write(server.folder.path().join("key"), RIGHT).unwrap();
    let all = stored(&intake, 2).await;
    running.stop().await;
    let numbers: Vec<_> = data(&all).iter().map(|data| data["n"].clone()).collect();
    assert_eq!(json!(numbers), json!([0, 1]));

    server
        .is_heard(("nkey", &user.seed().unwrap()), &client)
        .await;
}

#[tokio::test]
async fn nats_over_tls_lets_in_who_has_the_token_or_the_credentials() {
    install_crypto_provider();
    let access = format!("authorization {{ token: \"{RIGHT}\" }}");
    let Some(server) = Nats::start(&access).await else {
        return;
    };
    let client = server
        .client(ConnectOptions::with_token(RIGHT.to_owned()))
        .await;
    server.is_heard(("token", RIGHT), &client).await;

    let (operator, account, user) = (
        KeyPair::new_operator(),
        KeyPair::new_account(),
        KeyPair::new_user(),
    );
    let (access, jwt) = operated(&operator, &account, &user);
    let server = Nats::start(&access).await.unwrap();
    let credentials = format!(
        "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        user.seed().unwrap()
    );
    let options = ConnectOptions::with_credentials(&credentials).unwrap();
    let client = server.client(options).await;
    server
        .is_heard(("credentials", &credentials), &client)
        .await;
}

/// The access of an operator with one account, and the JWT of a user of it.
fn operated(operator: &KeyPair, account: &KeyPair, user: &KeyPair) -> (String, String) {
    let own = json!({ "type": "operator", "version": 2 });
    let operator_jwt = jwt(operator, operator, &own);
    let unlimited = json!({ "subs": -1, "conn": -1, "leaf": -1, "imports": -1, "exports": -1, "data": -1, "payload": -1 });
    let own = json!({ "type": "account", "version": 2, "limits": unlimited });
    let account_jwt = jwt(operator, account, &own);
    let own = json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1 });
    let access = format!(
        "operator: {operator_jwt}\nresolver: MEMORY\nresolver_preload {{ {}: {account_jwt} }}",
        account.public_key()
    );
    (access, jwt(account, user, &own))
}

fn jwt(issuer: &KeyPair, subject: &KeyPair, own: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = json!({ "typ": "JWT", "alg": "ed25519-nkey" });
    let claims = json!({
        "jti": "test", "iat": 1_700_000_000, "iss": issuer.public_key(), "name": "test",
        "sub": subject.public_key(), "nats": own,
    });
    let signed = format!("{}.{}", part(&header), part(&claims));
    let signature = issuer.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}
