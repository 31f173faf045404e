//! What is verified, by published examples, and what is not.

use std::collections::BTreeMap;

use conche_core::Timestamp;
use conche_runtime::clock::Clock;
use conche_runtime::egress::{Egress, EgressConfig};
use conche_runtime::secrets::SecretRef;
use serde_json::{Value, json};

use super::*;

struct Fixed(Timestamp);

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        self.0
    }
}

const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What a verifier says at the second `now`, with secrets `a`, `b`, `std` and `short`.
fn check(verify: Value, now: i64, headers: &[(&str, &str)], body: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let secrets = [
        ("a", "It's a Secret to Everybody"),
        ("b", "another secret"),
        ("std", WHSEC),
        ("short", "whsec_AAAA"),
    ];
    let secrets: BTreeMap<_, _> = secrets
        .into_iter()
        .map(|(name, value)| {
            let path = folder.path().join(name);
            std::fs::write(&path, value).unwrap();
            (name.to_owned(), SecretRef::File(path))
        })
        .chain([(
            "gone".to_owned(),
            SecretRef::Env("NOT_SET_ANYWHERE".to_owned()),
        )])
        .collect();
    let cx = BuildContext {
        decisions: Arc::default(),
        fins: Arc::default(),
        openwhisk: Arc::default(),
        data_dir: None,
        secrets: Arc::new(Secrets::load(secrets)),
        egress: Arc::new(Egress::new(&EgressConfig::default()).unwrap()),
        clock: Arc::new(Fixed(Timestamp::from_second(now).unwrap())),
        json: conche_core::json::Limits::default(),
    };
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    let verify: Verify = serde_json::from_value(verify).unwrap();
    match Verifier::new(&verify, &cx)
        .unwrap()
        .check(&map, body.as_bytes())
    {
        Ok(()) => "fine".to_owned(),
        Err(Refused::Missing(name)) => format!("no {name}"),
        Err(Refused::Wrong) => "wrong".to_owned(),
        Err(Refused::Stale { .. }) => "stale".to_owned(),
        Err(Refused::NoSecret(_)) => "no secret".to_owned(),
    }
}

/// The example of GitHub's documentation.
const HUB: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

#[test]
#[allow(clippy::too_many_lines, reason = "one table")]
fn a_body_is_verified_by_its_hmac_in_a_header() {
    let name = "X-Hub-Signature-256";
    let bare = HUB.strip_prefix("sha256=").unwrap();
    let upper = format!("sha256={}", bare.to_uppercase());
    let cut = &HUB[..HUB.len() - 1];
    let github = |secret: Value| json!({ "github": { "secret": secret } });
    let base64 = json!({ "hmac": { "header": "X-Sig", "encoding": "base64", "secret": "a" } });
    let table = [
        (
            github(json!("a")),
            vec![(name, HUB)],
            "Hello, World!",
            "fine",
        ),
        (
            github(json!("a")),
            vec![(name, upper.as_str())],
            "Hello, World!",
            "fine",
        ),
        (
            github(json!(["b", "a"])),
            vec![(name, HUB)],
            "Hello, World!",
            "fine",
        ),
        (
            github(json!(["gone", "a"])),
            vec![(name, HUB)],
            "Hello, World!",
            "fine",
        ),
        (
            github(json!("b")),
            vec![(name, HUB)],
            "Hello, World!",
            "wrong",
        ),
        (
            github(json!(["b", "gone"])),
            vec![(name, HUB)],
            "Hello, World!",
            "no secret",
        ),
        (
            github(json!("a")),
            vec![(name, HUB)],
            "Hello, World! ",
            "wrong",
        ),
        (
            github(json!("a")),
            vec![(name, bare)],
            "Hello, World!",
            "wrong",
        ),
        (
            github(json!("a")),
            vec![(name, cut)],
            "Hello, World!",
            "wrong",
        ),
        (
            github(json!("a")),
            vec![(name, "sha256=")],
            "Hello, World!",
            "wrong",
        ),
        (
            github(json!("a")),
            vec![],
            "Hello, World!",
            "no x-hub-signature-256",
        ),
        (
            github(json!("a")),
            vec![(name, HUB), (name, HUB)],
            "Hello, World!",
            "no x-hub-signature-256",
        ),
        (
            json!({ "gitea": { "secret": "a" } }),
            vec![("X-Gitea-Signature", bare)],
            "Hello, World!",
            "fine",
        ),
        (
            json!({ "gitea": { "secret": "a" } }),
            vec![("X-Forgejo-Signature", bare), ("X-Gitea-Signature", "00")],
            "Hello, World!",
            "fine",
        ),
        (
            json!({ "gitea": { "secret": "a" } }),
            vec![("X-Hub-Signature-256", HUB)],
            "Hello, World!",
            "no x-forgejo-signature",
        ),
        (
            base64.clone(),
            vec![("x-sig", "dXEH6g6yUJ/CESIczphLijdXC211hsIsRvQ3nIsEPhc=")],
            "Hello, World!",
            "fine",
        ),
        (base64, vec![("x-sig", bare)], "Hello, World!", "wrong"),
    ];
    for (verify, headers, body, expected) in table {
        assert_eq!(
            check(verify.clone(), 0, &headers, body),
            expected,
            "{verify} {headers:?}"
        );
    }
}

/// The example of the Standard Webhooks libraries.
const SIGNED: [(&str, &str); 3] = [
    ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
    ("webhook-timestamp", "1614265330"),
    (
        "webhook-signature",
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ),
];
const SIGNED_AT: i64 = 1_614_265_330;
const SIGNED_BODY: &str = r#"{"test": 2432232314}"#;

#[test]
fn a_standard_webhook_is_verified_by_id_time_and_body() {
    let with = |index: usize, value: &'static str| {
        let mut headers = SIGNED;
        headers[index].1 = value;
        headers.to_vec()
    };
    let rotated = "v1a,xx v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v2,x";
    let table = [
        ("std", 0, SIGNED.to_vec(), "fine"),
        ("std", 300, SIGNED.to_vec(), "fine"),
        ("std", -300, SIGNED.to_vec(), "fine"),
        ("std", 301, SIGNED.to_vec(), "stale"),
        ("std", -301, SIGNED.to_vec(), "stale"),
        ("std", 0, with(2, rotated), "fine"),
        (
            "std",
            0,
            with(2, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
            "wrong",
        ),
        ("std", 0, with(2, ""), "wrong"),
        ("std", 0, with(0, "msg_other"), "wrong"),
        ("std", 0, with(0, "msg.1614265330"), "wrong"),
        ("std", 0, with(1, "1614265331"), "wrong"),
        ("std", 0, with(1, "9999999999999999999"), "wrong"),
        ("std", 0, with(1, "now"), "wrong"),
        ("std", 0, SIGNED[1..].to_vec(), "no webhook-id"),
        ("std", 0, SIGNED[..2].to_vec(), "no webhook-signature"),
        ("short", 0, SIGNED.to_vec(), "no secret"),
        ("a", 0, SIGNED.to_vec(), "no secret"),
    ];
    for (secret, away, headers, expected) in table {
        let verify = json!({ "standard_webhooks": { "secret": secret } });
        let found = check(verify, SIGNED_AT + away, &headers, SIGNED_BODY);
        assert_eq!(found, expected, "{secret} {away} {headers:?}");
    }
    let wide = json!({ "standard_webhooks": { "secret": "std", "tolerance": "1h" } });
    assert_eq!(check(wide, SIGNED_AT + 3600, &SIGNED, SIGNED_BODY), "fine");
}

#[test]
fn gitlab_shows_a_token_or_signs_by_the_form_of_the_secret() {
    let token = |text: &'static str| vec![("X-Gitlab-Token", text)];
    let both = [&SIGNED[..], &[("X-Gitlab-Token", "another secret")]].concat();
    let table = [
        (json!("b"), 0, token("another secret"), "fine"),
        (json!("b"), 0, token("another secre"), "wrong"),
        (json!("b"), 0, vec![], "no x-gitlab-token"),
        (json!("b"), 0, SIGNED.to_vec(), "wrong"),
        (json!("b"), 9_999, both.clone(), "fine"),
        (json!("std"), 0, SIGNED.to_vec(), "fine"),
        (json!("std"), 9_999, both.clone(), "stale"),
        (json!("std"), 0, token(WHSEC), "wrong"),
        (json!(["b", "std"]), 0, SIGNED.to_vec(), "fine"),
        (json!(["std", "b"]), 0, token("another secret"), "fine"),
    ];
    for (secret, away, headers, expected) in table {
        let verify = json!({ "gitlab": { "secret": secret } });
        let found = check(verify.clone(), SIGNED_AT + away, &headers, SIGNED_BODY);
        assert_eq!(found, expected, "{verify} {away} {headers:?}");
    }
}
