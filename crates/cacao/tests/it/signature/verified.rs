//! Signatures that others made: which are correct, and what is wrong with each that is not.

use conche_cacao::Document;
use conche_cacao::signature::{Policy, Status, verify, verify_detached};
use serde_json::{Value, json};

use super::verified;
use super::{
    at, base64, by_hand, certificate, codes, key_file, now, ours, pem_body, playbook, sample,
};

/// The sample, with other members in its signature.
fn with(members: &Value) -> Document {
    super::with(&sample("signed-ed25519.json"), members)
}

#[test]
fn signatures_of_every_kind_that_another_program_made_are_valid() {
    for (file, algorithm) in [
        ("signed-rs256.json", "RS256"),
        ("signed-rs512.json", "RS512"),
        ("signed-ps256.json", "PS256"),
        ("signed-es256.json", "ES256"),
        ("signed-es384.json", "ES384"),
        ("signed-es512.json", "ES512"),
        ("signed-ed25519.json", "Ed25519"),
    ] {
        let report = verified(&sample(file), &ours());
        let signature = &report.signatures[0];
        assert_eq!(signature.status, Status::Valid, "{file}: {signature:?}");
        assert_eq!(signature.algorithm.as_deref(), Some(algorithm));
        assert!(report.accepted);
    }
}

#[test]
fn the_official_example_is_correct_by_a_stranger_and_was_in_force_in_2023() {
    let Some(folder) = crate::examples::folder() else {
        return;
    };
    let text = std::fs::read(folder.join("signature-rs256.json")).expect("the example");
    let document = Document::parse(&text).expect("I-JSON");
    let status = |time: &str| {
        let report = verify(&document, &Policy::trusting([]), at(time)).expect("a report");
        (
            report.signatures[0].cryptography.holds,
            report.signatures[0].status,
        )
    };
    assert_eq!(status("2023-02-01T00:00:00Z"), (true, Status::Untrusted));
    assert_eq!(status("2023-07-01T00:00:00Z"), (true, Status::NotInForce));
}

#[test]
fn what_roaster_signs_is_named_as_that() {
    let theirs = with(&json!({
        "hash_algorithm": "sha256", "algorithm": "RSA-SHA256", "value": "0aff".repeat(128)
    }));
    assert_eq!(codes(&theirs, &ours()), ["roaster_dialect"]);
    let status = verified(&theirs, &ours()).signatures[0].status;
    assert_eq!(status, Status::Unsupported);
}

#[test]
fn what_is_not_done_or_not_a_signature_says_so_by_its_code() {
    let rsa1024 = base64(&pem_body(&key_file("rsa1024.pub")));
    let rsa = base64(super::public("rsa.pub").der());
    let root = base64(&pem_body(&key_file("root.crt")));
    for (members, expected, status) in [
        (
            json!({"algorithm": "Ed448"}),
            "unsupported_algorithm",
            Status::Unsupported,
        ),
        (
            json!({"algorithm": "Ed448"}),
            "unsupported_algorithm",
            Status::Unsupported,
        ),
        (
            json!({"algorithm": "LMS_SHA256_M32_H5"}),
            "unsupported_algorithm",
            Status::Unsupported,
        ),
        (
            json!({"algorithm": "HS256"}),
            "symmetric_algorithm",
            Status::Unsupported,
        ),
        (
            json!({"hash_algorithm": "md5"}),
            "unsupported_hash",
            Status::Unsupported,
        ),
        (
            json!({"public_key": rsa1024}),
            "weak_key",
            Status::Unsupported,
        ),
        (json!({"public_key": rsa}), "wrong_key", Status::Malformed),
        (
            json!({"public_key": root}),
            "malformed_key",
            Status::Malformed,
        ),
        (
            json!({"public_key": "%"}),
            "malformed_key",
            Status::Malformed,
        ),
        (json!({"public_key": 7}), "malformed", Status::Malformed),
        (
            json!({"cert_url": "https://example.com"}),
            "key_forms",
            Status::Malformed,
        ),
        (json!({"value": "AA=="}), "malformed", Status::Malformed),
        (json!({"value": ""}), "incorrect", Status::Incorrect),
        (json!({"type": "jws"}), "malformed", Status::Malformed),
        (
            json!({"created": "yesterday"}),
            "malformed",
            Status::Malformed,
        ),
        (json!({"signee": "ACNE"}), "incorrect", Status::Incorrect),
    ] {
        let document = with(&members);
        let found = codes(&document, &ours());
        assert_eq!(found.first(), Some(&expected), "{members}: {found:?}");
        assert_eq!(
            verified(&document, &ours()).signatures[0].status,
            status,
            "{members}"
        );
    }
}

#[test]
fn a_correct_signature_of_something_else_is_not_bound() {
    let other = "playbook--00000000-0000-4000-8000-000000000000";
    let document = by_hand(json!({"related_to": other}), false);
    assert_eq!(codes(&document, &ours()), ["other_playbook"]);
    let document = by_hand(
        json!({"related_version": "2026-02-06T09:10:11.121Z"}),
        false,
    );
    assert_eq!(codes(&document, &ours()), ["other_version"]);
    let report = verified(&document, &ours());
    assert_eq!(report.signatures[0].status, Status::Unbound);
    assert!(!report.accepted);
}

#[test]
fn a_correct_signature_out_of_its_time_is_not_in_force() {
    for (members, code) in [
        (json!({"revoked": true}), "revoked"),
        (
            json!({"valid_from": "2027-06-01T00:00:00.001Z"}),
            "not_yet_valid",
        ),
        (
            json!({"valid_until": "2027-06-01T00:00:00.000Z"}),
            "expired",
        ),
        (json!({"revoked": "no"}), "malformed"),
        (json!({"valid_until": null}), "malformed"),
    ] {
        let document = by_hand(members, false);
        assert_eq!(codes(&document, &ours()), [code]);
        let status = verified(&document, &ours()).signatures[0].status;
        assert_eq!(status, Status::NotInForce);
    }
    let members = json!({
        "revoked": false, "valid_from": "2027-06-01T00:00:00Z", "valid_until": "2027-06-01T00:00:01Z"
    });
    assert!(verified(&by_hand(members, false), &ours()).accepted);
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let members = json!({"revoked": true, "related_to": "x"});
    let found = codes(&by_hand(members, false), &Policy::trusting([]));
    assert_eq!(found, ["other_playbook", "revoked", "unknown_signer"]);
}

#[test]
fn a_signature_of_the_digest_itself_is_taken_only_if_asked_and_is_marked() {
    let document = by_hand(json!({}), true);
    assert_eq!(codes(&document, &ours()), ["incorrect"]);
    let mut policy = ours();
    policy.raw_digest = true;
    let report = verified(&document, &policy);
    assert!(report.accepted && report.signatures[0].non_standard);
    let standard = verified(&by_hand(json!({}), false), &policy);
    assert!(standard.accepted && !standard.signatures[0].non_standard);
}

#[test]
fn a_signature_that_is_kept_apart_verifies_with_its_document() {
    let signature = sample("signed-es256.json").value()["signatures"][0].clone();
    let report = verify_detached(&playbook(), &[signature], &ours(), now()).expect("a report");
    assert!(report.accepted);
}

#[test]
fn a_document_without_signatures_is_not_accepted() {
    assert!(!verified(&playbook(), &ours()).accepted);
}

#[test]
fn more_signatures_than_are_looked_at_are_refused() {
    let mut value = sample("signed-ed25519.json").into_value();
    let one = value["signatures"][0].clone();
    value["signatures"] = Value::Array(vec![one; 33]);
    let error = verify(&Document::of(value), &ours(), now()).expect_err("too many");
    assert_eq!(
        error.to_string(),
        "there are 33 signatures; at most 32 are looked at"
    );
    let mut nested = json!({});
    for _ in 0..32 {
        nested = json!({"signature": nested});
    }
    let document = Document::of(json!({"signatures": [nested]}));
    assert!(verify(&document, &ours(), now()).is_err());
}

#[test]
fn what_is_known_of_a_signature_is_written_in_stable_words() {
    let report = verified(
        &by_hand(json!({"revoked": true}), false),
        &Policy::trusting([]),
    );
    let written = serde_json::to_value(&report).expect("JSON");
    assert_eq!(written["accepted"], false);
    let signature = &written["signatures"][0];
    assert_eq!(signature["pointer"], "/signatures/0");
    assert_eq!(signature["status"], "not_in_force");
    assert_eq!(
        signature["cryptography"],
        json!({"holds": true, "problems": []})
    );
    assert_eq!(
        signature["time"],
        json!({"holds": false, "problems": [{"code": "revoked", "message": "it is revoked"}]})
    );
    let key = super::public("ed25519.pub").fingerprint().to_string();
    assert_eq!(
        signature["signer"],
        json!({"key": key, "certificate": null, "subject": null})
    );
}

#[test]
fn fingerprints_are_read_as_openssl_prints_them() {
    let thumbprint = certificate("signer.crt").thumbprint();
    let bytes = ring::digest::digest(&ring::digest::SHA256, &pem_body(&key_file("signer.crt")));
    let pairs: Vec<_> = bytes
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    assert_eq!(pairs.join(":").parse(), Ok(thumbprint));
    assert_eq!(thumbprint.to_string().parse(), Ok(thumbprint));
}

#[test]
fn the_page_on_signatures_explains_every_code_and_status() {
    let page = include_str!("../../../../../docs/signatures.md");
    let source = include_str!("../../../src/signature/problem.rs");
    let codes = source.lines().filter_map(|line| {
        let (_, word) = line.split_once("=> \"")?;
        word.split('"').next()
    });
    let codes: Vec<_> = codes.collect();
    assert!(codes.len() > 25, "{codes:?}");
    for code in codes {
        assert!(page.contains(&format!("`{code}`")), "{code}");
    }
    for status in [
        Status::Malformed,
        Status::Unsupported,
        Status::NeedsCertificates,
        Status::Incorrect,
        Status::Unbound,
        Status::NotInForce,
        Status::Untrusted,
        Status::Valid,
    ] {
        let word = serde_json::to_value(status).expect("JSON");
        let row = format!("| `{}` |", word.as_str().expect("text"));
        assert!(page.contains(&row), "{row}");
    }
}
