//! What stands in extensions (check 36 of the digest): its names, and what the schema of the
//! extension says of it where the caller has that schema. That the extension is defined is a
//! matter of [`references`](super::references).

use serde_json::{Map, Value};

use super::view::{View, every_object};
use super::{Said, Surroundings, codes};
use crate::graph::layout::EXTENSION;
use crate::pointer::Pointer;

pub(super) fn check(view: &View<'_>, around: &Surroundings<'_>, said: &mut Said) {
    every_object(view.document, &Pointer::top(), &mut |object, at| {
        let places = object
            .iter()
            .filter(|(place, _)| place.ends_with("_extensions"));
        for (place, extensions) in places {
            for (id, extension) in extensions.as_object().into_iter().flatten() {
                let at = at.then(place.as_str()).then(id.as_str());
                names(id, extension, &at, said);
                data(id, extension, (&at, around), said);
            }
        }
    });
}

/// The names that an extension uses: lower case, digits and `_`, 3 to 250 of them.
fn names(id: &str, extension: &Value, at: &Pointer, said: &mut Said) {
    // The layout extension is the committee's own, and has an `x` and a `y`.
    let own = extension.as_object().filter(|_| id != EXTENSION);
    for name in own.into_iter().flat_map(Map::keys) {
        if !is_property_name(name) {
            said.say(
                &codes::EXTENSION_NAME,
                &at.then(name.as_str()),
                format!("\"{name}\" cannot be a property of an extension"),
                "use 3 to 250 lower-case letters, digits and `_`",
            );
        }
    }
}

fn is_property_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (3..=250).contains(&name.len()) && name.bytes().all(plain)
}

/// What the schema at hand says of it.
fn data(id: &str, extension: &Value, (at, around): (&Pointer, &Surroundings<'_>), said: &mut Said) {
    let Some(compare) = around
        .extensions
        .filter(|_| said.lists(&codes::EXTENSION_DATA))
    else {
        return;
    };
    for mismatch in compare(id, extension) {
        let keys = mismatch.at.keys().into_iter();
        let at = keys.fold(at.clone(), |at, key| at.then(key.clone()));
        said.say(&codes::EXTENSION_DATA, &at, mismatch.message, mismatch.help);
    }
}
