//! Whom a policy trusts: keys, certificates, roots, names, how many, and a second pair of eyes.

use std::num::NonZeroUsize;

use conche_cacao::Document;
use conche_cacao::signature::{
    Algorithm, Certificates, KeyForm, Policy, Problem, Status, Trusted, countersign, sign, verify,
};
use serde_json::{Value, json};

use super::{at, by_hand, certificate, codes, ours, playbook, private, public, sample};
use super::{signed_by, statement, verified, with};

fn shown(form: KeyForm) -> Document {
    let mut statement = statement(1);
    statement.key = form;
    sign(&playbook(), &statement, &private(Algorithm::Es256)).expect("a signed document")
}

fn chain(leaf: &str) -> Document {
    shown(KeyForm::Chain(vec![
        certificate(leaf),
        certificate("middle.crt"),
    ]))
}

fn root() -> Policy {
    Policy::trusting([Trusted::root(&certificate("root.crt")).expect("a root")])
}

#[test]
fn a_stranger_is_untrusted_however_correct() {
    let document = sample("signed-es384.json");
    let others = Policy::trusting([Trusted::key(public("rsa.pub").fingerprint())]);
    for policy in [Policy::trusting([]), others, root()] {
        let report = verified(&document, &policy);
        assert_eq!(report.signatures[0].status, Status::Untrusted);
        assert!(report.signatures[0].cryptography.holds && !report.accepted);
        assert_eq!(codes(&document, &policy), ["unknown_signer"]);
    }
}

#[test]
fn a_name_narrows_trust_and_never_makes_it() {
    let key = || Trusted::key(public("ed25519.pub").fingerprint());
    let document = by_hand(json!({"signee": "ACME"}), false);
    assert!(verified(&document, &Policy::trusting([key().only_as(["ACME"])])).accepted);
    let policy = Policy::trusting([key().only_as(["Other"])]);
    assert_eq!(codes(&document, &policy), ["signee_not_allowed"]);
    let stranger = Trusted::key(public("rsa.pub").fingerprint()).only_as(["ACME"]);
    assert_eq!(
        codes(&document, &Policy::trusting([stranger])),
        ["unknown_signer"]
    );
}

#[test]
fn a_chain_is_trusted_if_it_leads_to_a_root() {
    let report = verified(&chain("signer.crt"), &root());
    assert!(report.accepted, "{report:?}");
    let signer = report.signatures[0].signer.as_ref().expect("a signer");
    assert_eq!(signer.subject.as_deref(), Some("CN=Conche test signer"));
    let torn = shown(KeyForm::Chain(vec![certificate("signer.crt")]));
    assert_eq!(codes(&torn, &root()), ["untrusted_chain"]);
}

#[test]
fn certificates_for_something_else_do_not_sign_playbooks() {
    for leaf in ["server.crt", "transport.crt"] {
        assert_eq!(codes(&chain(leaf), &root()), ["untrusted_chain"], "{leaf}");
    }
}

#[test]
fn a_certificate_can_be_trusted_by_itself_while_it_is_valid() {
    let document = chain("signer.crt");
    let trusted = Trusted::certificate(certificate("signer.crt").thumbprint());
    let policy = Policy::trusting([trusted]);
    assert!(verified(&document, &policy).accepted);
    for (time, code) in [
        ("2200-01-01T00:00:00Z", "certificate_expired"),
        ("2020-01-01T00:00:00Z", "certificate_not_yet_valid"),
    ] {
        let report = verify(&document, &policy, at(time)).expect("a report");
        assert_eq!(report.signatures[0].status, Status::NotInForce);
        assert_eq!(
            report.signatures[0].problems().next().map(Problem::code),
            Some(code)
        );
    }
    let other = Trusted::certificate(certificate("server.crt").thumbprint());
    assert_eq!(
        codes(&document, &Policy::trusting([other])),
        ["unknown_signer"]
    );
}

#[test]
fn certificates_that_are_elsewhere_are_asked_for() {
    let url = "https://certificates.example.com/chain.pem";
    let document = shown(KeyForm::Url(url.to_owned(), certificate("signer.crt")));
    let report = verified(&document, &root());
    assert_eq!(report.signatures[0].status, Status::NeedsCertificates);
    let needs: Vec<_> = report.signatures[0]
        .needs()
        .map(ToString::to_string)
        .collect();
    assert_eq!(needs, [format!("the certificates at {url} are needed")]);

    let mut policy = root();
    let fetched = vec![certificate("signer.crt"), certificate("middle.crt")];
    policy.certificates.fetched.insert(url.to_owned(), fetched);
    assert!(verified(&document, &policy).accepted);

    let open = json!({"cert_url": url.replace("https", "http")});
    assert_eq!(codes(&with(&document, &open), &policy), ["malformed"]);
}

#[test]
fn a_thumbprint_finds_its_certificate_among_those_that_are_known() {
    let document = shown(KeyForm::Thumbprint(certificate("signer.crt")));
    assert_eq!(codes(&document, &root()), ["needs_certificate"]);
    let mut policy = root();
    policy.certificates.known = vec![certificate("middle.crt"), certificate("signer.crt")];
    assert!(verified(&document, &policy).accepted);
}

#[test]
fn signers_are_counted_by_their_keys() {
    let once = signed_by(Algorithm::Ed25519);
    let twice = sign(&once, &statement(2), &private(Algorithm::Ed25519)).expect("signed");
    let both = sign(&once, &statement(2), &private(Algorithm::Rs256)).expect("signed");
    let mut policy = ours();
    policy.required = NonZeroUsize::new(2).expect("two");
    let report = verified(&twice, &policy);
    assert_eq!(
        (report.signers, report.accepted),
        (1, false),
        "one signer, signing twice"
    );
    let report = verified(&both, &policy);
    assert_eq!((report.signers, report.accepted), (2, true));
}

#[test]
fn a_policy_can_want_another_to_have_countersigned() {
    let mut policy = ours();
    policy.countersigned = true;
    let document = signed_by(Algorithm::Ed25519);
    assert_eq!(codes(&document, &policy), ["not_countersigned"]);
    let by = |algorithm| {
        let none = Certificates::default();
        countersign(&document, 0, &statement(2), &private(algorithm), &none).expect("signed")
    };
    assert_eq!(
        codes(&by(Algorithm::Ed25519), &policy),
        ["not_countersigned"],
        "by itself"
    );
    let report = verified(&by(Algorithm::Es384), &policy);
    assert!(report.accepted, "{report:?}");
    let inner = report.signatures[0].countersignature.as_ref().expect("it");
    assert_eq!(
        (inner.pointer.as_str(), inner.status),
        ("/signatures/0/signature", Status::Valid)
    );

    policy.trusted = vec![Trusted::key(public("ed25519.pub").fingerprint())];
    assert_eq!(
        codes(&by(Algorithm::Es384), &policy),
        ["not_countersigned"],
        "by a stranger"
    );
}

#[test]
fn a_countersignature_does_not_outlive_what_it_signs() {
    let document = signed_by(Algorithm::Ed25519);
    let none = Certificates::default();
    let both = countersign(
        &document,
        0,
        &statement(2),
        &private(Algorithm::Es256),
        &none,
    );
    let mut value = both.expect("signed").into_value();
    let other = signed_by(Algorithm::Es384).value()["signatures"][0]["value"].clone();
    value["signatures"][0]["value"] = other;
    let report = verified(&Document::of(value), &ours());
    let outer = &report.signatures[0];
    let inner = outer.countersignature.as_ref().expect("it");
    assert_eq!(
        (outer.status, inner.status),
        (Status::Incorrect, Status::Incorrect)
    );
    assert!(
        inner
            .problems()
            .any(|one| one.code() == "countersigns_nothing")
    );
}

#[test]
fn a_later_version_of_a_signature_replaces_it_if_it_is_by_the_same_key() {
    let first = by_hand(json!({}), false);
    let later = json!({"modified": "2026-04-01T00:00:00.000Z", "revoked": true});
    let with = |other: Document| {
        let mut value = first.value().clone();
        let added = other.value()["signatures"][0].clone();
        value["signatures"]
            .as_array_mut()
            .expect("a list")
            .push(added);
        let report = verified(&Document::of(value), &ours());
        report
            .signatures
            .iter()
            .map(|one| one.status)
            .collect::<Vec<_>>()
    };
    let replaced = with(by_hand(later.clone(), false));
    assert_eq!(replaced, [Status::NotInForce, Status::NotInForce]);

    let mut forged = by_hand(later, false).into_value();
    forged["signatures"][0]["value"] = Value::from("AAAA");
    let kept = with(Document::of(forged));
    assert_eq!(kept, [Status::Valid, Status::Incorrect]);
    assert!(verified(&first, &ours()).accepted);
}
