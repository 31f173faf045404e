//! What bytes become which events, and that no bytes do harm.

use proptest::prelude::*;

use conche_core::json::Limits;

use super::decode::{EVENTS_MAX, Reject, TEXT_MAX};
use super::plan::{check_path, content_types, format};
use super::pointer::Pointer;
use super::*;

fn format_of(config: Value) -> Format {
    let mut whole = serde_json::json!({ "path": "/x", "auth": "none" });
    let members = whole.as_object_mut().unwrap();
    members.extend(config.as_object().unwrap().clone());
    let config: Config = serde_json::from_value(whole).unwrap();
    format(
        &config,
        Limits {
            bytes: 4096,
            depth: 8,
        },
    )
    .unwrap()
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let pairs = pairs.iter().map(|(name, value)| {
        (
            name.parse::<http::HeaderName>().unwrap(),
            HeaderValue::from_static(value),
        )
    });
    pairs.collect()
}

/// `type id subject data`, one line for each event.
fn told(events: &[NewEvent]) -> Vec<String> {
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    events
        .iter()
        .map(|event| {
            format!(
                "{} {} {} {}",
                event.event_type,
                text(&event.id),
                text(&event.subject),
                event.data
            )
        })
        .collect()
}

#[test]
fn deliveries_become_events_as_the_configuration_says() {
    let fixed = serde_json::json!({ "event_type": "t" });
    let split = serde_json::json!({
        "event_type_from": { "pointer": "/kind", "prefix": "r." },
        "split": "/events", "id_from": { "pointer": "/id" }, "subject_from": { "pointer": "/a~1b/0" },
    });
    let by_header = serde_json::json!({
        "event_type_from": { "header": "X-Kind" }, "id_from": { "header": "X-Id" }, "split": "",
    });
    let both = headers(&[("x-kind", "push"), ("x-id", "7")]);
    let table: &[(&Value, HeaderMap, &str, &[&str])] = &[
        (
            &fixed,
            HeaderMap::new(),
            " {\"a\" : 1.0} ",
            &["t - - {\"a\" : 1.0}"],
        ),
        (&fixed, HeaderMap::new(), "null", &["t - - null"]),
        (
            &fixed,
            headers(&[("idempotency-key", "k")]),
            "[]",
            &["t k - []"],
        ),
        (
            &split,
            HeaderMap::new(),
            r#"{"events":[{"kind":"push","id":"1","a/b":["s"]},{"kind":"pull","id":2.50,"x":{}}]}"#,
            &[
                r#"r.push 1 s {"kind":"push","id":"1","a/b":["s"]}"#,
                r#"r.pull 2.50 - {"kind":"pull","id":2.50,"x":{}}"#,
            ],
        ),
        (
            &split,
            HeaderMap::new(),
            r#"{"events":[{"kind":"first","kind":"last","id":true}]}"#,
            &[r#"r.last true - {"kind":"first","kind":"last","id":true}"#],
        ),
        (
            &by_header,
            both,
            r"[1, 2]",
            &["push 7#0 - 1", "push 7#1 - 2"],
        ),
    ];
    for (config, headers, body, expected) in table {
        let events = decode(body.as_bytes(), headers, &format_of((*config).clone()))
            .unwrap()
            .events;
        assert_eq!(told(&events), *expected, "{body}");
    }
}

/// Headers, body, and what is said of them.
type Refused<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);

#[test]
fn what_does_not_fit_is_refused_with_its_reason() {
    let config = serde_json::json!({
        "event_type_from": { "pointer": "/kind" }, "split": "/e", "id_from": { "header": "X-Id" },
    });
    let one = [("x-id", "1")];
    let deep = format!("{}{}", "[".repeat(9), "]".repeat(9));
    let large = format!("\"{}\"", "x".repeat(4096));
    let many = format!(r#"{{"e":[{}1]}}"#, "1,".repeat(EVENTS_MAX));
    let long = format!(r#"{{"e":[{{"kind":"{}"}}]}}"#, "k".repeat(TEXT_MAX + 1));
    let table: &[Refused] = &[
        (&one, "", "not a JSON text"),
        (&one, "{", "not a JSON text"),
        (&one, "{} {}", "not a JSON text"),
        (&one, &deep, "deeper than the 8 levels"),
        (&one, &large, "at most 4096 are allowed"),
        (&one, "{}", "no array at /e"),
        (&one, r#"{"e":{}}"#, "no array at /e"),
        (&one, r#"{"e":null}"#, "no array at /e"),
        (&one, r#"[{"e":[]}]"#, "no array at /e"),
        (&one, r#"{"e":[]}"#, "the array at /e is empty"),
        (&one, &many, "1001 elements"),
        (&one, r#"{"e":[{}]}"#, "no event type at /kind"),
        (
            &one,
            r#"{"e":[{"kind":null}]}"#,
            "event type at /kind is no text",
        ),
        (
            &one,
            r#"{"e":[{"kind":[1]}]}"#,
            "event type at /kind is no text",
        ),
        (
            &one,
            r#"{"e":[{"kind":""}]}"#,
            "event type at /kind is empty",
        ),
        (&one, r#"{"e":[{"kind":"a\nb"}]}"#, "control character"),
        (
            &one,
            r#"{"e":[{"kind":"\ud800"}]}"#,
            "event type at /kind is no text",
        ),
        (&one, &long, "longer than 1024 bytes"),
        (&[], r#"{"e":[{"kind":"k"}]}"#, "no id at the header x-id"),
        (
            &[("x-id", "1"), ("X-Id", "2")],
            r#"{"e":[{"kind":"k"}]}"#,
            "sent more than once",
        ),
        // One wrong element refuses the whole delivery.
        (&one, r#"{"e":[{"kind":"k"},{}]}"#, "no event type"),
    ];
    for (sent, body, expected) in table {
        let mut map = HeaderMap::new();
        for (name, value) in *sent {
            map.append(
                name.parse::<http::HeaderName>().unwrap(),
                value.parse().unwrap(),
            );
        }
        let refused = decode(body.as_bytes(), &map, &format_of(config.clone())).unwrap_err();
        assert!(
            refused.to_string().contains(expected),
            "{body:.60}: {refused}"
        );
    }
}

#[test]
fn the_whole_batch_is_refused_when_it_is_empty_whatever_else_it_holds() {
    let format = format_of(serde_json::json!({ "event_type": "t", "split": "/a/0" }));
    let refused = decode(br#"{"a":[[]],"b":[1]}"#, &HeaderMap::new(), &format);
    assert_eq!(refused, Err(Reject::EmptyBatch("/a/0".to_owned())));
}

#[test]
fn each_line_is_an_event_and_one_that_does_not_fit_is_named() {
    let config = serde_json::json!({
        "format": "ndjson", "event_type": "t", "id_from": { "pointer": "/id" },
    });
    let read = |body: &str| {
        decode(
            body.as_bytes(),
            &HeaderMap::new(),
            &format_of(config.clone()),
        )
    };
    let delivery = read("{\"id\":1}\r\n\n {\"id\": 2}\n").unwrap();
    assert_eq!(
        told(&delivery.events),
        ["t 1 - {\"id\":1}", "t 2 - {\"id\": 2}"]
    );
    assert!(delivery.is_batch);
    let many = "{\"id\":1}\n".repeat(EVENTS_MAX + 1);
    let table = [
        ("", "the body's lines is empty"),
        ("\n \n", "the body's lines is empty"),
        ("{\"id\":1}\n{\"id\":", "line 2: not a JSON text"),
        ("{\"id\":1}\n\n{}", "line 3: there is no id at /id"),
        (
            "{\"id\":1}\n[[[[[[[[[]]]]]]]]]",
            "line 2: the JSON text is nested deeper",
        ),
        ("{\"id\":1} {\"id\":2}", "line 1: not a JSON text"),
    ];
    for (body, expected) in table {
        let refused = read(body).unwrap_err().to_string();
        assert!(refused.contains(expected), "{body}: {refused}");
    }
    assert!(matches!(read(&many), Err(Reject::LargeBatch { .. })));
}

#[test]
fn a_source_with_a_space_cannot_take_the_ids_of_another() {
    let format =
        format_of(serde_json::json!({ "event_type": "t", "format": { "cloudevents": {} } }));
    let structured = [("content-type", "application/cloudevents+json")];
    let read = |source: &str, id: &str| {
        let event =
            serde_json::json!({ "specversion": "1.0", "type": "t", "source": source, "id": id });
        decode(event.to_string().as_bytes(), &headers(&structured), &format)
    };
    assert!(read("https://a", "b c").is_ok());
    let refused = read("https://a b", "c").unwrap_err().to_string();
    assert!(refused.contains("source has a space"), "{refused}");
}

#[test]
fn a_form_stands_for_its_payload_where_the_sender_is_of_that_kind() {
    let github =
        serde_json::json!({ "event_type": "t", "verify": { "github": { "secret": "s" } } });
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let read = |body: &str| decode(body.as_bytes(), &headers(&form), &format_of(github.clone()));
    let delivery = read("payload=%7B%22a%22%3A+%22%C3%A4%22%7D").unwrap();
    assert_eq!(told(&delivery.events), ["t - - {\"a\": \"ä\"}"]);
    assert!(!delivery.is_batch);
    for body in ["", "payload", "a=1", "payload=1&payload=2", "payload=1&a=2"] {
        assert!(read(body).is_err(), "{body}");
    }
    // A signed JSON body with a text of somebody else's in it, shown as a form.
    let body = r#"{"commit":{"message":"&payload=%7B%22admin%22%3Atrue%7D&"}}"#;
    assert_eq!(read(body), Err(Reject::NoPayload));
    for (config, takes) in [
        (github.clone(), true),
        (
            serde_json::json!({ "event_type": "t", "verify": { "gitlab": { "secret": "s" } } }),
            false,
        ),
        (serde_json::json!({ "event_type": "t" }), false),
    ] {
        let mut whole = serde_json::json!({ "path": "/x", "auth": "none" });
        whole
            .as_object_mut()
            .unwrap()
            .extend(config.as_object().unwrap().clone());
        let types = content_types(&serde_json::from_value(whole).unwrap());
        assert_eq!(
            types.contains(&super::plan::FORM.to_owned()),
            takes,
            "{config}"
        );
    }
}

#[test]
fn the_usual_id_is_the_one_of_the_sender_named() {
    let all = headers(&[
        ("x-github-delivery", "hub"),
        ("x-gitea-delivery", "tea"),
        ("webhook-id", "std"),
        ("idempotency-key", "key"),
    ]);
    let secret = serde_json::json!({ "secret": "s" });
    let table = [
        ("github", secret.clone(), Some("hub"), None),
        ("gitea", secret.clone(), Some("tea"), None),
        ("gitlab", secret.clone(), Some("std"), Some("key")),
        ("standard_webhooks", secret, Some("std"), None),
        (
            "hmac",
            serde_json::json!({ "secret": "s", "header": "x" }),
            Some("key"),
            Some("key"),
        ),
    ];
    let key = headers(&[("idempotency-key", "key")]);
    for (kind, settings, with_all, with_key) in table {
        let format =
            format_of(serde_json::json!({ "event_type": "t", "verify": { kind: settings } }));
        for (headers, expected) in [
            (&all, with_all),
            (&key, with_key),
            (&HeaderMap::new(), None),
        ] {
            let delivery = decode(b"{}", headers, &format).unwrap();
            assert_eq!(
                delivery.events[0].id.as_deref(),
                expected,
                "{kind} {headers:?}"
            );
        }
    }
}

#[test]
fn pointers_follow_rfc_6901() {
    for wrong in ["a", "a/b", " /a"] {
        assert!(Pointer::read(wrong).is_none(), "{wrong}");
    }
    let body = r#"{"":1,"a/b":2,"m~n":3,"~1":4,"l":[5,6],"01":7}"#;
    let table = [
        ("/", "1"),
        ("/a~1b", "2"),
        ("/m~0n", "3"),
        ("/~01", "4"),
        ("/l/1", "6"),
        ("/01", "7"),
    ];
    for (pointer, expected) in table {
        let config = serde_json::json!({ "event_type": "t", "id_from": { "pointer": pointer } });
        let events = decode(body.as_bytes(), &HeaderMap::new(), &format_of(config))
            .unwrap()
            .events;
        assert_eq!(events[0].id.as_deref(), Some(expected), "{pointer}");
    }
    for nothing in ["/l/01", "/l/-", "/l/2", "/l/+1", "/x", "/a~1b/0"] {
        let config = serde_json::json!({ "event_type": "t", "id_from": { "pointer": nothing } });
        let refused = decode(body.as_bytes(), &HeaderMap::new(), &format_of(config));
        assert!(matches!(refused, Err(Reject::Missing { .. })), "{nothing}");
    }
}

#[test]
fn a_path_that_a_proxy_could_read_otherwise_is_refused() {
    for path in ["/x", "/a/b.c", "/~u/x_y-z"] {
        assert_eq!(check_path(path), Ok(()), "{path}");
    }
    for path in [
        "", "/", "x", "/x/", "//x", "/a//b", "/a/../b", "/./a", "/{id}", "/*", "/a?b", "/a%2fb",
        "/ä", "/a b",
    ] {
        assert!(check_path(path).is_err(), "{path}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic_and_what_is_accepted_is_within_the_limits(
        body in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            r#"\{"e":\[(\{"k":("[a-z]{0,3}"|[0-9]{1,9}|null|\[\])(,"i":"[ -~]{0,9}")?\},?){0,4}\]\}"#
                .prop_map(String::into_bytes),
            (0usize..20).prop_map(|depth| format!("{{\"e\":{}{}}}", "[".repeat(depth), "]".repeat(depth)).into_bytes()),
            (4000usize..4200).prop_map(|length| vec![b' '; length]),
        ],
        is_split in any::<bool>(),
        key in proptest::option::of("[ -~]{0,20}"),
    ) {
        let mut config = serde_json::json!({
            "event_type_from": { "pointer": "/k" }, "subject_from": { "pointer": "/i" },
        });
        if is_split {
            config["split"] = "/e".into();
        }
        let mut headers = HeaderMap::new();
        if let Some(value) = key.as_deref().and_then(|key| HeaderValue::from_str(key).ok()) {
            headers.insert("idempotency-key", value);
        }
        if let Ok(Delivery { events, .. }) = decode(&body, &headers, &format_of(config)) {
            prop_assert!(body.len() <= 4096);
            prop_assert!(!events.is_empty() && events.len() <= EVENTS_MAX);
            for event in &events {
                prop_assert!(!event.event_type.is_empty() && event.event_type.len() <= TEXT_MAX);
                let small = Limits { bytes: 4096, depth: 8 };
                prop_assert!(conche_core::Json::parse(event.data.as_str().as_bytes(), small).is_ok());
            }
            let ids: std::collections::HashSet<_> = events.iter().map(|event| &event.id).collect();
            prop_assert!(ids.len() == events.len() || headers.is_empty());
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_panic_in_any_format(
        body in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            "(\\{\"(specversion|id|source|type|data|data_base64|time|x)\":(\"1.0\"|\"[a-z:]{0,5}\"|1|\\{\\}|null)\\}|\\[|\\]|,|\n){0,6}"
                .prop_map(String::into_bytes),
            "\\[?\\{\"specversion\":\"1.0\",\"id\":\"[a-z]{0,2}\",\"source\":\"[ -~&&[^\"\\\\]]{0,4}\",\"type\":\"[a-z.]{0,3}\"\\}\\]?"
                .prop_map(String::into_bytes),
            "payload=[%a-f0-9{}]{0,20}".prop_map(String::into_bytes),
        ],
        kind in 0usize..5,
    ) {
        let (content_type, config) = [
            ("application/cloudevents+json", serde_json::json!({ "event_type": "t", "format": { "cloudevents": {} } })),
            ("application/cloudevents-batch+json", serde_json::json!({ "event_type": "t", "format": { "cloudevents": { "envelope": true } } })),
            ("application/json", serde_json::json!({ "format": { "cloudevents": { "type_prefixes": ["a"] } } })),
            ("application/x-ndjson", serde_json::json!({ "event_type": "t", "format": "ndjson" })),
            ("application/x-www-form-urlencoded", serde_json::json!({ "event_type": "t", "verify": { "gitea": { "secret": "s" } } })),
        ][kind].clone();
        let sent = headers(&[("content-type", content_type), ("ce-id", "1"), ("ce-source", "s")]);
        if let Ok(delivery) = decode(&body, &sent, &format_of(config)) {
            prop_assert!(!delivery.events.is_empty() && delivery.events.len() <= EVENTS_MAX);
            for event in &delivery.events {
                prop_assert!(!event.event_type.is_empty());
                prop_assert!(event.id.as_ref().is_none_or(|id| id.len() <= TEXT_MAX));
            }
        }
    }
}
