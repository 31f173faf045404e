//! Who is chosen, who replaces whom, and what is refused.

use super::fit::{CAPABILITIES_MAX, NAME_BYTES_MAX};
use super::*;

fn now() -> Timestamp {
    "2026-05-01T12:00:00Z".parse().unwrap()
}

const STALE: Duration = Duration::from_mins(2);

fn fin(fin_id: &str, transport: Transport, capabilities: &[&str]) -> Registration {
    Registration {
        fin_id: fin_id.to_owned(),
        name: None,
        protocol_version: None,
        transport,
        capabilities: capabilities
            .iter()
            .map(|id| Capability {
                id: (*id).to_owned(),
                ..Capability::default()
            })
            .collect(),
        registered_at: now(),
        last_seen: now(),
        token_digest: None,
    }
}

fn agent(kind: &str, name: &str) -> Party {
    Party {
        kind: kind.to_owned(),
        name: name.to_owned(),
        ..Party::default()
    }
}

fn chosen(registry: &Registry, kind: &str, name: &str) -> Result<Choice, Missing> {
    registry.choose(&agent(kind, name), (now(), STALE))
}

fn choice(transport: Transport, capability: &str) -> Choice {
    Choice {
        transport,
        capability: capability.to_owned(),
    }
}

#[test]
fn a_fin_is_chosen_by_id_then_by_its_agents_then_by_type_then_by_name() {
    let registry = Registry::default();
    let mut scanner = fin("f1", Transport::Mqtt, &["cap-1"]);
    scanner.capabilities[0].name = Some("scanner".to_owned());
    scanner.capabilities[0].agents = vec![AgentName {
        kind: "soarca-fin".to_owned(),
        name: "soarca-fin-scan".to_owned(),
    }];
    registry.put(scanner).unwrap();
    registry
        .put(fin("f2", Transport::Http, &["custom-ssh"]))
        .unwrap();
    for (kind, name, transport, capability) in [
        ("soarca", "cap-1", Transport::Mqtt, "cap-1"),
        ("soarca-fin", "soarca-fin-scan", Transport::Mqtt, "cap-1"),
        ("soarca-fin", "scanner", Transport::Mqtt, "cap-1"),
        ("custom-ssh", "whatever", Transport::Http, "custom-ssh"),
        ("soarca-fin", "custom-ssh", Transport::Http, "custom-ssh"),
    ] {
        assert_eq!(
            chosen(&registry, kind, name),
            Ok(choice(transport, capability)),
            "{kind} {name}"
        );
    }
    let missing = chosen(&registry, "soarca-fin", "nobody").unwrap_err();
    assert_eq!(
        missing.to_string(),
        "no fin offers what the agent `nobody` of type `soarca-fin` names; \
         known are: cap-1 (scanner), custom-ssh"
    );
}

#[test]
fn a_name_of_two_capabilities_chooses_neither() {
    let registry = Registry::default();
    let mut two = fin("f1", Transport::Mqtt, &["cap-1", "cap-2"]);
    for capability in &mut two.capabilities {
        capability.name = Some("scanner".to_owned());
    }
    registry.put(two).unwrap();
    let refused = chosen(&registry, "soarca-fin", "scanner").unwrap_err();
    assert!(matches!(refused, Missing::Ambiguous { .. }), "{refused}");
    assert!(refused.to_string().contains("cap-1, cap-2"), "{refused}");
}

#[test]
fn a_fin_that_was_not_heard_of_gets_nothing_until_it_is_back() {
    let registry = Registry::default();
    registry.put(fin("f", Transport::Http, &["t"])).unwrap();
    let later = now() + Duration::from_secs(121);
    let asked = |at| registry.choose(&agent("t", ""), (at, STALE));
    assert!(matches!(asked(later), Err(Missing::Stale { .. })));
    registry.touch("f", later);
    assert_eq!(asked(later), Ok(choice(Transport::Http, "t")));
}

#[test]
fn who_registers_again_replaces_itself_and_takes_over_what_another_one_had() {
    let registry = Registry::default();
    registry
        .put(fin("f1", Transport::Mqtt, &["a", "b"]))
        .unwrap();
    registry.put(fin("f1", Transport::Mqtt, &["a"])).unwrap();
    assert_eq!(registry.topics(), ["a"]);
    registry.put(fin("f2", Transport::Mqtt, &["a"])).unwrap();
    assert_eq!(registry.all().len(), 1);
    assert_eq!(registry.all()[0].fin_id, "f2");
    assert!(registry.remove_capability("a"));
    assert!(!registry.remove_capability("a"));
    assert!(registry.all().is_empty());
}

#[test]
fn a_registration_that_is_unfit_or_one_too_many_is_refused() {
    let registry = Registry::default();
    let long = "x".repeat(NAME_BYTES_MAX + 1);
    for bad in ["", "a/b", "#", "+", "$SYS", "a b", "ä", &long] {
        for unfit in [
            fin(bad, Transport::Mqtt, &["c"]),
            fin("f", Transport::Mqtt, &[bad]),
        ] {
            let refused = registry.put(unfit);
            assert!(matches!(refused, Err(Refused::Unfit(_))), "{bad:?}");
        }
    }
    assert!(registry.put(fin("f", Transport::Mqtt, &[])).is_err());
    let many = vec!["c"; CAPABILITIES_MAX + 1];
    assert!(registry.put(fin("f", Transport::Mqtt, &many)).is_err());
    for number in 0..FINS_MAX {
        let one = fin(&format!("f{number}"), Transport::Http, &["t"]);
        registry.put(one).unwrap();
    }
    let one_more = fin("g", Transport::Http, &["t"]);
    assert_eq!(registry.put(one_more), Err(Refused::Full));
    // The place of one that polls is not for one who speaks by a broker.
    assert!(registry.put(fin("f0", Transport::Mqtt, &["c"])).is_err());
    registry.put(fin("f0", Transport::Http, &["t2"])).unwrap();
}
