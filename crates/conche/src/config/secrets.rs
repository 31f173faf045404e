//! Who needs which secret: so that one that is missing is told with what will not work.

use serde_json::Value;

use super::Authored;
use super::place::{Key, Place};

/// The places of the configuration that name a secret.
pub(super) fn users(authored: &Authored, name: &str) -> Vec<String> {
    let written = serde_json::to_value(authored).unwrap_or_default();
    let mut found = Vec::new();
    look(&written, &Place::top(), name, &mut found);
    found.iter().map(ToString::to_string).collect()
}

/// A secret is named as `{ secret: NAME }` or one of two there, or is a key of a module's own `secrets:`.
fn look(value: &Value, place: &Place, name: &str, found: &mut Vec<Place>) {
    match value {
        Value::Object(members) => {
            let is_named = |secret: &Value| {
                let several = secret.as_array().into_iter().flatten();
                std::iter::once(secret)
                    .chain(several)
                    .any(|one| one == name)
            };
            if members.get("secret").is_some_and(is_named) {
                found.push(place.clone());
            }
            for (key, value) in members {
                let inner = place.then(Key::named(key));
                if key != "secrets" {
                    look(value, &inner, name, found);
                } else if !place.is_top() && value.get(name).is_some() {
                    found.push(inner);
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                look(item, &place.then(Key::Index(index)), name, found);
            }
        }
        _ => {}
    }
}
