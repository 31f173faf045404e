//! Real servers as child processes, on free ports of the loopback and in folders of their own,
//! and certificates for them. What is not installed is said aloud.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::running::{soon, until};

/// A server's process, with all its children.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Runs a program with arguments; it ends, with all that it started, when this is dropped
    /// or when the test's process ends, whichever way.
    pub(crate) fn start(folder: &Path, variables: &[(&str, String)], program: &[String]) -> Self {
        let log = std::fs::File::create(folder.join("output")).unwrap();
        let mut command = std::process::Command::new("sh");
        command
            .args(["-c", r#""$@" & read _; kill -KILL 0"#, "sh"])
            .args(program)
            .current_dir(folder)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0);
        let child = Command::from(command).spawn().unwrap();
        Self { child }
    }

    /// Kills it, as a power failure would.
    pub(crate) async fn kill(mut self) {
        drop(self.child.stdin.take());
        soon("the server to end", self.child.wait()).await.unwrap();
    }
}

/// The path of an installed program; `None`, said aloud, where there is none.
pub(crate) fn installed(program: &str) -> Option<PathBuf> {
    let places = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/usr/lib/rabbitmq/bin";
    let found = places
        .split(':')
        .rev()
        .map(|place| Path::new(place).join(program))
        .find(|path| path.exists());
    if found.is_none() {
        skipped(&format!("{program} is not installed"));
    }
    found
}

/// Says aloud that a test could not be made.
pub(crate) fn skipped(reason: &str) {
    let line = format!("skipped: {reason}\n");
    // Not by `println!`, which the test harness keeps to itself.
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// A port that was free a moment ago.
pub(crate) fn port() -> u16 {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

/// Waits until somebody listens.
pub(crate) async fn listens(port: u16) {
    until("the server to listen", async || {
        TcpStream::connect(("127.0.0.1", port)).await.is_ok()
    })
    .await;
}

pub(crate) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// An authority `ca.pem` and a certificate of `localhost` that it has issued, `cert.pem` and
/// `key.pem`; and `other.pem`, an authority that has issued none of this.
pub(crate) fn certificates(folder: &Path) {
    let authority = || {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let name = &mut params.distinguished_name;
        name.push(DnType::CommonName, "test authority");
        let certificate = params.self_signed(&key).unwrap();
        (certificate.pem(), Issuer::new(params, key))
    };
    let (own, issuer) = authority();
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let leaf = CertificateParams::new(names).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    for (name, text) in [
        ("ca.pem", own),
        ("other.pem", authority().0),
        ("cert.pem", leaf.pem()),
        ("key.pem", key.serialize_pem()),
    ] {
        std::fs::write(folder.join(name), text).unwrap();
    }
}

/// The Python that has the packages of `scripts/peers`.
pub(crate) fn python() -> PathBuf {
    let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-venv/bin/python");
    match std::env::var_os("CONCHE_TEST_PYTHON") {
        Some(path) => path.into(),
        None if venv.exists() => venv,
        None => "python3".into(),
    }
}
