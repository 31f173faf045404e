//! No JSON does harm in any decoder, be it like a real payload but for one place.

use proptest::prelude::*;

use super::*;

/// Any JSON that is not too large.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,9}".prop_map(Value::from),
        Just(Value::from("x".repeat(2000))),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-zA-Z_]{0,9}", inner, 0..4)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

/// How many values a tree has.
fn size(tree: &Value) -> usize {
    1 + match tree {
        Value::Array(elements) => elements.iter().map(size).sum(),
        Value::Object(members) => members.values().map(size).sum(),
        _ => 0,
    }
}

/// Puts something else in the place of the n-th value.
fn replace(tree: &mut Value, place: &mut usize, other: &Value) {
    if *place == 0 {
        *tree = other.clone();
    }
    let Some(rest) = place.checked_sub(1) else {
        *place = usize::MAX;
        return;
    };
    *place = rest;
    match tree {
        Value::Array(elements) => elements
            .iter_mut()
            .for_each(|one| replace(one, place, other)),
        Value::Object(members) => members
            .values_mut()
            .for_each(|one| replace(one, place, other)),
        _ => {}
    }
}

fn check(decoder: &Decoder, body: &Value, event: &str) -> Result<(), TestCaseError> {
    match sent(decoder.name, &body.to_string(), event) {
        Ok(events) => {
            prop_assert!(decoder.several || events.len() == 1);
            for event in events {
                prop_assert!(check_text(&event.event_type).is_ok());
                prop_assert!(event.id.is_none_or(|id| check_text(&id).is_ok()));
                prop_assert!(event.subject.is_none_or(|text| check_text(&text).is_ok()));
            }
        }
        Err(reject) => prop_assert!(reject.to_string().len() < 400, "{reject}"),
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_json_does_harm_in_any_decoder(body in any_json()) {
        for decoder in ALL {
            check(decoder, &body, "dependabot_alert")?;
        }
    }

    #[test]
    fn no_payload_with_something_else_in_one_place_does_harm(
        sample in 0..SAMPLES.len(), place in any::<prop::sample::Index>(), other in any_json(),
    ) {
        let (decoder, (_, body), event) = SAMPLES[sample];
        let mut body: Value = serde_json::from_str(body).unwrap();
        let mut place = place.index(size(&body));
        replace(&mut body, &mut place, &other);
        check(named(decoder), &body, event)?;
    }
}
