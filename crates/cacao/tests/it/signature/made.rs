//! Signatures that we make: correct here, and to a program that holds none of our code.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use conche_cacao::Document;
use conche_cacao::signature::{
    Algorithm, Certificate, Certificates, Hash, KeyForm, SigningKey, Status, countersign, sign,
};
use ring::rand::SystemRandom;
use serde_json::{Value, json};

use super::{
    certificate, folder, key_file, ours, playbook, private, signed_by, statement, verified,
};

fn countersigned(document: &Document, number: u8, by: Algorithm) -> Document {
    let none = Certificates::default();
    countersign(document, 0, &statement(number), &private(by), &none).expect("a countersignature")
}

/// Documents signed in every way that there is.
fn all() -> Vec<(String, Document)> {
    let mut all = Vec::new();
    for algorithm in Algorithm::ALL {
        all.push((algorithm.name().to_owned(), signed_by(algorithm)));
    }
    for hash in Hash::ALL {
        let mut statement = statement(3);
        statement.hash = hash;
        statement.created_by = Some("identity--8c1f2a7b-3d4e-4f50-9a6b-1c2d3e4f5a6b".to_owned());
        statement.valid_until = Some(super::at("2100-01-01T00:00:00Z"));
        let signed = sign(&playbook(), &statement, &private(Algorithm::Es256));
        all.push((hash.name().to_owned(), signed.expect("a signed document")));
    }
    let once = countersigned(&signed_by(Algorithm::Rs256), 2, Algorithm::Es384);
    let twice = countersigned(&once, 3, Algorithm::Ed25519);
    let beside = sign(&twice, &statement(4), &private(Algorithm::Ps512)).expect("signed");
    all.extend([
        ("once".into(), once),
        ("twice".into(), twice),
        ("beside".into(), beside),
    ]);
    let mut chained = statement(5);
    chained.key = KeyForm::Chain(vec![certificate("signer.crt"), certificate("middle.crt")]);
    let chained = sign(&playbook(), &chained, &private(Algorithm::Es256)).expect("signed");
    all.push(("chain".into(), chained));
    all
}

#[test]
fn what_we_sign_is_valid_and_well_formed() {
    for (name, document) in all() {
        let report = verified(&document, &ours());
        for signature in &report.signatures {
            let inner =
                std::iter::successors(Some(signature), |one| one.countersignature.as_deref());
            for one in inner {
                assert_eq!(one.status, Status::Valid, "{name}: {one:?}");
            }
        }
        let text = document.value().to_string();
        let document = Document::parse(text.as_bytes()).expect("I-JSON");
        let findings = document.check(conche_cacao::Profile::Strict);
        let ours = findings
            .iter()
            .filter(|one| one.pointer.starts_with("/signatures"));
        assert_eq!(
            ours.collect::<Vec<_>>(),
            Vec::<&conche_cacao::Finding>::new(),
            "{name}"
        );
    }
}

fn python() -> PathBuf {
    let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-venv/bin/python");
    match std::env::var_os("CONCHE_TEST_PYTHON") {
        Some(path) => path.into(),
        None if venv.exists() => venv,
        None => "python3".into(),
    }
}

/// What the other program says of each document; `None`, said aloud, where it is not there.
fn oracle(documents: &[&Document]) -> Option<Vec<String>> {
    let check = Command::new(python())
        .args(["-c", "import cryptography, rfc8785"])
        .output();
    if !check.is_ok_and(|check| check.status.success()) {
        // Not by `println!`, which the test harness keeps to itself.
        let line = b"skipped: cryptography and rfc8785 are not installed\n";
        std::io::stderr().write_all(line).expect("standard error");
        return None;
    }
    let mut process = Command::new(python())
        .arg(folder("oracle.py"))
        .arg("verify")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python");
    let lines: String = documents
        .iter()
        .map(|one| one.value().to_string() + "\n")
        .collect();
    let mut input = process.stdin.take().expect("its input");
    input.write_all(lines.as_bytes()).expect("its input");
    drop(input);
    let output = process.wait_with_output().expect("its output");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    Some(text.lines().map(str::to_owned).collect())
}

#[test]
fn what_we_sign_another_program_verifies() {
    let all = all();
    let documents: Vec<_> = all.iter().map(|(_, document)| document).collect();
    let Some(said) = oracle(&documents) else {
        return;
    };
    let expected: Vec<_> = all.iter().map(|(name, _)| (name.as_str(), "ok")).collect();
    let names = all.iter().map(|(name, _)| name.as_str());
    let said: Vec<_> = names.zip(said.iter().map(String::as_str)).collect();
    assert_eq!(said, expected);

    let mut changed = signed_by(Algorithm::Es256).into_value();
    changed["name"] = "Isolate two hosts".into();
    let said = oracle(&[&Document::of(changed)]).expect("the program");
    assert!(said[0].starts_with("wrong: InvalidSignature"), "{said:?}");
}

#[test]
fn signing_changes_nothing_but_the_list_of_signatures() {
    let before = playbook();
    let signed = signed_by(Algorithm::Ed25519);
    let again = sign(&signed, &statement(2), &private(Algorithm::Es256)).expect("signed");
    let list = |document: &Document| document.value()["signatures"].as_array().cloned();
    let (one, two) = (
        list(&signed).expect("a list"),
        list(&again).expect("a list"),
    );
    assert_eq!(one[..], two[..1], "what was signed before stays as it is");
    let mut value = again.into_value();
    let object = value.as_object_mut().expect("an object");
    object.shift_remove("signatures");
    assert_eq!(
        value.to_string(),
        before.value().to_string(),
        "to the letter"
    );
    assert_eq!(two[0]["created"], "2026-12-24T12:00:00.500Z");
}

#[test]
fn keys_that_cannot_sign_are_refused_with_what_to_do() {
    let random = SystemRandom::new();
    let read = |pem: &[u8], algorithm| {
        let key = SigningKey::from_pem(pem, algorithm, &random);
        key.map(|_| ()).expect_err("a refusal").to_string()
    };
    let wrong = read(&key_file("p256.pem"), Algorithm::Es384);
    assert!(
        wrong.starts_with("the private key cannot be used with ES384"),
        "{wrong}"
    );
    for pem in [
        &b"-----BEGIN EC PRIVATE KEY-----\nAA==\n-----END EC PRIVATE KEY-----"[..],
        b"",
    ] {
        assert!(read(pem, Algorithm::Es256).contains("openssl pkcs8 -topk8"));
    }
    let shown = format!("{:?}", private(Algorithm::Ed25519));
    assert!(
        shown.contains("public: ") && !shown.contains("pair"),
        "{shown}"
    );
}

#[test]
fn a_certificate_of_another_key_is_not_shown() {
    let mut statement = statement(1);
    statement.key = KeyForm::Thumbprint(certificate("root.crt"));
    let error = sign(&playbook(), &statement, &private(Algorithm::Es256)).expect_err("another");
    assert_eq!(
        error.to_string(),
        "the certificate of `CN=Conche test root` is not of the key that signs"
    );
    statement.key = KeyForm::Chain(Vec::<Certificate>::new());
    assert!(sign(&playbook(), &statement, &private(Algorithm::Es256)).is_err());
}

#[test]
fn nothing_is_signed_that_a_signature_could_not_name_or_hold_for() {
    let key = private(Algorithm::Ed25519);
    let refused = |value: Value| {
        let error = sign(&Document::of(value), &statement(1), &key).expect_err("a refusal");
        error.to_string()
    };
    assert!(refused(json!({"id": "playbook--x"})).contains("no `modified`"));
    assert!(refused(json!([])).contains("not an object"));
    assert!(refused(json!({"signatures": {}})).contains("not a list"));
    let number = json!({"id": "a", "modified": "b", "n": 9_007_199_254_740_993_u64});
    assert!(refused(number).contains("9007199254740993"));
}

#[test]
fn a_statement_that_could_never_be_valid_is_not_signed() {
    let key = private(Algorithm::Es256);
    let refused = |change: fn(&mut conche_cacao::signature::Statement)| {
        let mut statement = statement(1);
        change(&mut statement);
        sign(&playbook(), &statement, &key)
            .expect_err("a refusal")
            .to_string()
    };
    assert!(refused(|one| one.id = uuid::Uuid::nil()).contains("version 4"));
    let never = refused(|one| {
        one.valid_from = Some(super::now());
        one.valid_until = Some(super::now());
    });
    assert!(never.contains("it ends before it begins"), "{never}");
    let open = refused(|one| {
        one.key = KeyForm::Url("http://example.com".to_owned(), certificate("signer.crt"));
    });
    assert!(open.contains("https://"), "{open}");
}

#[test]
fn what_is_not_correct_is_not_countersigned() {
    let mut value = signed_by(Algorithm::Ed25519).into_value();
    value["name"] = "changed".into();
    let none = Certificates::default();
    let key = private(Algorithm::Es256);
    let document = Document::of(value);
    let error = countersign(&document, 0, &statement(2), &key, &none).expect_err("a refusal");
    assert!(error.to_string().contains("/signatures/0"), "{error}");
    assert!(countersign(&document, 1, &statement(2), &key, &none).is_err());
    assert!(countersign(&playbook(), 0, &statement(2), &key, &none).is_err());
}
