//! Signatures: those of others, our own, whom to trust, and what no change may survive.
//!
//! The keys are in `../keys`, made by its `make`; the signed playbooks in `../samples` were
//! made by `../oracle.py`, which holds none of our code.

mod changed;
mod made;
mod trusted;
mod verified;

use std::fmt::Write;
use std::path::PathBuf;
use std::{fs, str};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use conche_cacao::Document;
use conche_cacao::signature::{
    Algorithm, Certificate, Policy, Problem, PublicKey, Report, SigningKey, Statement, Trusted,
    canonical, sign, verify,
};
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;
use serde_json::{Map, Value, json};

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it")
        .join(name)
}

fn key_file(name: &str) -> Vec<u8> {
    fs::read(folder("keys").join(name)).expect("a key")
}

fn sample(name: &str) -> Document {
    let text = fs::read(folder("samples").join(name)).expect("a sample");
    Document::parse(&text).expect("I-JSON")
}

/// A time at which all certificates and samples are valid.
fn now() -> Timestamp {
    at("2027-06-01T00:00:00Z")
}

fn at(time: &str) -> Timestamp {
    time.parse().expect("a time")
}

fn private(algorithm: Algorithm) -> SigningKey<'static> {
    static RANDOM: std::sync::LazyLock<SystemRandom> = std::sync::LazyLock::new(SystemRandom::new);
    let file = match algorithm {
        Algorithm::Es256 => "p256.pem",
        Algorithm::Es384 => "p384.pem",
        Algorithm::Es512 => "p521.pem",
        Algorithm::Ed25519 => "ed25519.pem",
        _ => "rsa.pem",
    };
    SigningKey::from_pem(&key_file(file), algorithm, &*RANDOM).expect("a private key")
}

fn public(name: &str) -> PublicKey {
    PublicKey::from_pem(&key_file(name)).expect("a public key")
}

fn certificate(name: &str) -> Certificate {
    let mut all = Certificate::all_from_pem(&key_file(name)).expect("a certificate");
    all.remove(0)
}

/// Trusts all keys of the tests.
fn ours() -> Policy {
    let names = ["rsa.pub", "p256.pub", "p384.pub", "p521.pub", "ed25519.pub"];
    Policy::trusting(names.map(|name| Trusted::key(public(name).fingerprint())))
}

fn playbook() -> Document {
    let mut value = sample("signed-ed25519.json").into_value();
    let object = value.as_object_mut().expect("an object");
    object.shift_remove("signatures");
    Document::of(value)
}

fn statement(number: u8) -> Statement {
    let id = uuid::Builder::from_random_bytes([number; 16]).into_uuid();
    Statement::new(id, at("2026-12-24T12:00:00.500Z"), "ACME")
}

fn signed_by(algorithm: Algorithm) -> Document {
    sign(&playbook(), &statement(1), &private(algorithm)).expect("a signed document")
}

fn verified(document: &Document, policy: &Policy) -> Report {
    verify(document, policy, now()).expect("a report")
}

/// The codes of all that is wrong with a document's only signature.
fn codes(document: &Document, policy: &Policy) -> Vec<&'static str> {
    let report = verified(document, policy);
    assert_eq!(report.signatures.len(), 1);
    report.signatures[0].problems().map(Problem::code).collect()
}

/// The document with other members in its signature: no longer correct.
fn with(document: &Document, members: &Value) -> Document {
    let mut value = document.value().clone();
    for (name, member) in members.as_object().expect("an object") {
        value["signatures"][0][name] = member.clone();
    }
    Document::of(value)
}

/// Signs the playbook with whatever members, to the letter or over the digest itself; only
/// `canonical` of it is code of ours.
fn by_hand(members: Value, raw_digest: bool) -> Document {
    let der = pem_body(&key_file("ed25519.pem"));
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).expect("a private key");
    let mut signature: Map<String, Value> = json!({
        "type": "jss", "id": "jss--11111111-1111-4111-8111-111111111111",
        "created": "2026-03-01T00:00:00.000Z", "modified": "2026-03-01T00:00:00.000Z",
        "signee": "ACME", "hash_algorithm": "sha-256", "algorithm": "Ed25519",
        "related_to": playbook().value()["id"], "related_version": playbook().value()["modified"],
        "public_key": base64(public("ed25519.pub").der()),
    })
    .as_object()
    .cloned()
    .expect("an object");
    signature.extend(members.as_object().cloned().expect("an object"));
    let mut value = playbook().into_value();
    value["signatures"] = json!([signature]);
    let digest = ring::digest::digest(
        &ring::digest::SHA256,
        &canonical(&value).expect("a canonical form"),
    );
    let hex = digest.as_ref().iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("text");
        hex
    });
    let bytes = if raw_digest {
        pair.sign(digest.as_ref())
    } else {
        pair.sign(hex.as_bytes())
    };
    value["signatures"][0]["value"] = URL_SAFE_NO_PAD.encode(bytes).into();
    Document::of(value)
}

fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

fn pem_body(pem: &[u8]) -> Vec<u8> {
    let text = str::from_utf8(pem).expect("text");
    let lines = text.lines().skip_while(|line| !line.starts_with("-----"));
    let body: String = lines.filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(body).expect("base64")
}
