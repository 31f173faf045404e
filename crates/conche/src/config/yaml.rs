//! Reads the YAML text of a configuration, and says what is wrong in words that help.

use serde::de::DeserializeOwned;
use serde_saphyr::Error;

use super::fault::Fault;
use super::place::Place;

/// Reads a YAML text; an empty one, or one of comments only, is the default.
pub(super) fn parse<T: DeserializeOwned + Default>(text: &str) -> Result<T, Fault> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options::<Option<T>>(text, options)
        .map(Option::unwrap_or_default)
        .map_err(|error| explain(&error))
}

fn explain(error: &Error) -> Fault {
    let fault = match error {
        Error::SerdeUnknownField {
            field, expected, ..
        } => Fault::unknown(Place::top(), "key", field, expected),
        Error::SerdeUnknownVariant {
            variant, expected, ..
        } => Fault::unknown(Place::top(), "word", variant, expected),
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            Fault::new(Place::top(), format!("the key `{key}` stands here twice"))
        }
        other => Fault::new(Place::top(), without_place(&other.to_string())),
    };
    match error.location() {
        Some(at) if at.line() > 0 => fault.at(at.line(), at.column()),
        _ => fault,
    }
}

/// The parser puts the place into its message; ours stands in front.
fn without_place(message: &str) -> String {
    let message = match message.split_once(": ") {
        Some((place, rest)) if place.starts_with("error: line ") => rest,
        _ => message,
    };
    let end = message.find(" at line ").unwrap_or(message.len());
    message[..end].trim().to_owned()
}
