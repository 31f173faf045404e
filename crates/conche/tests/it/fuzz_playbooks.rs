//! Mutated playbooks, conditions, texts with references and signatures: whatever comes in,
//! nothing panics, nothing takes long, and what holds of them still holds.

use std::collections::BTreeMap;

use conche_cacao::condition::{Condition, Dialect};
use conche_cacao::graph::Flow;
use conche_cacao::graph::layout::Layout;
use conche_cacao::model::Playbook;
use conche_cacao::signature::{Policy, PublicKey, Trusted, canonical, verify};
use conche_cacao::variable::{Quoting, Substitution, Type, Variable};
use conche_cacao::{Document, Profile, Severity, check, draw};
use conche_testkit::fuzz;
use serde_json::Value;

#[test]
fn fuzz_playbooks() {
    fuzz("playbooks", |input| {
        let Ok(document) = Document::parse(input) else {
            return;
        };
        let written = document.to_text();
        let again = Document::parse(written.as_bytes()).expect("what was written is readable");
        assert_eq!(again.value(), document.value());
        assert_eq!(again.to_text(), written, "it stays in its order");
        let lines = String::from_utf8_lossy(input).lines().count();
        let mut errors = Vec::new();
        for profile in [Profile::Lenient, Profile::Standard, Profile::Strict] {
            let findings = document.check(profile);
            let place = |finding: &conche_cacao::Finding| finding.place.expect("there is a text");
            assert!(
                findings
                    .iter()
                    .all(|it| (1..=lines).contains(&place(it).line))
            );
            let wrong = findings.iter().filter(|it| it.severity == Severity::Error);
            errors.push(wrong.count());
        }
        assert!(
            errors.is_sorted(),
            "a stricter profile finds no less: {errors:?}"
        );
        drop(check::processing_summary(document.value()));
        drop(serde_json::from_value::<Playbook>(document.value().clone()));
        let flow = Flow::of(document.value());
        let svg = draw::svg(&flow, &Layout::of(&flow));
        assert!(!svg.contains("<script"));
        drop((draw::mermaid(&flow), draw::dot(&flow)));
    });
}

#[test]
fn fuzz_conditions() {
    let variables = variables();
    fuzz("conditions", |input| {
        let text = String::from_utf8_lossy(input);
        for dialect in [Dialect::Stix, Dialect::Bare] {
            let Ok(condition) = Condition::parse(&text, dialect) else {
                continue;
            };
            let written = condition.to_string();
            assert_eq!(Condition::parse(&written, dialect), Ok(condition.clone()));
            drop(condition.check(&|name| Some(variables.get(name)?.kind.clone())));
            drop(condition.evaluate(&variables));
        }
    });
}

#[test]
fn fuzz_templates() {
    const LIMIT: usize = 100_000;
    let variables = variables();
    let substitution = Substitution::new(&variables).within(LIMIT);
    fuzz("templates", |input| {
        let text = String::from_utf8_lossy(input);
        for quoting in [
            Quoting::Plain,
            Quoting::JsonString,
            Quoting::PathSegment,
            Quoting::QueryComponent,
            Quoting::HeaderValue,
            Quoting::PosixShell,
            Quoting::PowerShell,
        ] {
            let filled = substitution.text(&text, quoting);
            assert!(
                filled.is_ok_and(|filled| filled.len() <= LIMIT)
                    || text.contains(":value")
                    || text.len() > LIMIT
            );
        }
        if let Ok(json) = serde_json::from_str::<Value>(&text)
            && let Ok(filled) = substitution.text(&text, Quoting::JsonString)
        {
            let filled = serde_json::from_str::<Value>(&filled);
            assert_eq!(shape(&filled.expect("JSON stays JSON")), shape(&json));
        }
        drop(substitution.base64(&text, Quoting::PosixShell));
        drop(substitution.json(&Value::String(text.into_owned())));
    });
}

#[test]
fn fuzz_signatures() {
    let key = include_bytes!("../../../cacao/tests/it/keys/ed25519.pub");
    let key = PublicKey::from_pem(key).expect("a key");
    let policy = Policy::trusting([Trusted::key(key.fingerprint())]);
    let now = "2026-06-01T00:00:00Z".parse().expect("a time");
    let signed = include_bytes!("../../../../fuzz/seeds/signatures/signed-ed25519.json");
    let signed = Document::parse(signed).expect("a document");
    assert!(verify(&signed, &policy, now).expect("a report").accepted);
    let without = |document: Document| {
        let mut value = document.into_value();
        value
            .as_object_mut()
            .expect("an object")
            .shift_remove("signatures");
        canonical(&value).expect("I-JSON")
    };
    let signed = without(signed);
    fuzz("signatures", |input| {
        let Ok(document) = Document::parse(input) else {
            return;
        };
        if verify(&document, &policy, now).is_ok_and(|report| report.accepted) {
            assert_eq!(
                without(document),
                signed,
                "only what was signed is accepted"
            );
        }
    });
}

/// Values that mean something wherever they are put.
fn variables() -> BTreeMap<&'static str, Variable> {
    let variable = |kind: Type, text: &str| {
        let value = kind.parse(text).expect("a value");
        Variable::new(kind, Some(value))
    };
    BTreeMap::from([
        (
            "__user__",
            variable(Type::String, "\"';`$(reboot)\\\n%0a\u{202e}__n__:value"),
        ),
        ("__n__", variable(Type::Integer, "-7")),
        ("__x__", Variable::new(Type::String, None)),
        ("__ip__", variable(Type::Ipv4, "10.1.2.3")),
        ("__flag__", variable(Type::Bool, "true")),
        ("__s__", variable(Type::String, "it's")),
    ])
}

/// A value with all of its texts emptied.
fn shape(value: &Value) -> Value {
    match value {
        Value::String(_) => Value::Null,
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::Object(members) => members.values().map(shape).collect(),
        other => other.clone(),
    }
}
