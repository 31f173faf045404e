//! What the library sends is understood, what it gets is what it can read, and nonsense is named.

use proptest::prelude::*;

use super::*;

fn now() -> Timestamp {
    "2026-05-01T12:00:00Z".parse().unwrap()
}

#[test]
fn a_registration_of_the_library_and_one_of_the_documentation_are_read() {
    let library = json!({
        "type": "register", "message_id": "m1", "fin_id": "f1", "protocol_version": "0.0.1",
        "security": { "version": "0.0.1", "channel_security": "plaintext" },
        "capabilities": [{
            "capability_id": "c1", "type": "action", "name": "pong", "version": "0.0.1",
            "step": { "s": { "type": "action", "name": "n", "description": "d",
                             "external_references": [], "command": "ping", "target": "t" } },
            "agent": { "a": { "type": "soarca-fin", "name": "soarca-fin-pong" } },
        }],
        "meta": { "timestamp": "2026-05-01T12:00:00Z", "sender_id": "f1" },
    });
    let documented = json!({
        "type": "register", "message_id": "m2", "fin_id": "f2", "Name": "Docs",
        "capabilities": [{ "capability_id": "c2", "agent": { "type": "soarca-fin", "name": "x" } }],
    });
    let read = |message: Value| match decode(message.to_string().as_bytes()).unwrap() {
        Incoming::Register(register) => register.registration(now()),
        other => panic!("{other:?}"),
    };
    let fin = read(library);
    assert_eq!((fin.fin_id.as_str(), fin.name), ("f1", None));
    let capability = &fin.capabilities[0];
    assert_eq!(capability.agents[0].name, "soarca-fin-pong");
    assert_eq!(capability.examples[0]["s"]["command"], "ping");
    let fin = read(documented);
    assert_eq!(fin.name.as_deref(), Some("Docs"));
    assert_eq!(fin.capabilities[0].agents[0].name, "x");
}

#[test]
fn a_command_has_all_that_the_library_insists_on() {
    let variable = |kind: &str, value: Value| Variable {
        kind: kind.to_owned(),
        value,
        ..Variable::default()
    };
    let input = CommandInput {
        command: crate::command::Command::default(),
        agent: crate::command::Party::default(),
        target: None,
        variables: BTreeMap::from([
            ("__a__".to_owned(), variable("string", Value::Null)),
            ("__b__".to_owned(), variable("integer", json!(7))),
            ("__c__".to_owned(), variable("x-own", json!("v"))),
        ]),
        out_args: Vec::new(),
        context: crate::command::Context::default(),
    };
    let envelope = Envelope {
        message_id: "m",
        execution_id: "e",
        generated_on: "t",
        timeout: 5,
        authentication: Value::Null,
    };
    let sent = command(&input, "ping", envelope);
    let context = &sent["command"]["context"];
    assert_eq!(context["timeout"], json!(5));
    assert!(sent["command"].as_object().unwrap()["authentication"].is_null());
    let variables = sent["command"]["variables"].as_object().unwrap();
    for (name, kind, value) in [
        ("__a__", "string", ""),
        ("__b__", "integer", "7"),
        ("__c__", "string", "v"),
    ] {
        let expected = json!({
            "type": kind, "name": name, "description": "", "value": value,
            "constant": false, "external": false,
        });
        assert_eq!(variables[name], expected);
    }
}

#[test]
fn our_own_messages_are_known_and_nonsense_is_named_where_it_can_be() {
    let sent = order("pause", "m", "c").to_string();
    assert!(matches!(decode(sent.as_bytes()), Ok(Incoming::Ours)));
    for (bytes, named) in [
        ("", None),
        ("[]", None),
        (r#"{"type":"ack"}"#, None),
        (r#"{"message_id":"m"}"#, Some("m")),
        (r#"{"type":"dance","message_id":"m"}"#, Some("m")),
        (r#"{"type":"register","message_id":"m"}"#, Some("m")),
        (
            r#"{"type":"result","message_id":"m","result":{"state":"success"}}"#,
            Some("m"),
        ),
    ] {
        let refused = decode(bytes.as_bytes()).unwrap_err();
        assert_eq!(refused.message_id.as_deref(), named, "{bytes}: {refused}");
    }
    let deep = "[".repeat(100_000);
    assert!(decode(deep.as_bytes()).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_reading_fall_over(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(decode(&bytes));
    }
}
