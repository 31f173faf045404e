//! Reads the YAML text of a configuration, and says what is wrong in words that help.

use conche_api::words::{self, Unknown};
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
    let message = without_place(&error.to_string());
    let fault = match words::unknown(&message) {
        Some(Unknown { what, word, known }) => Fault::unknown(Place::top(), what, word, &known),
        None => Fault::new(Place::top(), words::plain(&message)),
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
