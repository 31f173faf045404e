//! What one value by itself can be: types, words, forms, ranges, what must be there.
//!
//! Follows the tables of [`crate::shape`].

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::{Said, codes};
use crate::identifier::Identifier;
use crate::pointer::Pointer;
use crate::shape::{Family, Names, Object, PLAYBOOK, Property, Shape};
use crate::time;
use crate::variable::kind::cut;
use crate::vocabulary::{COMMAND_TYPE, Vocabulary};

/// The whole document.
pub(super) fn check(document: &Value, said: &mut Said) {
    object(document, &[&PLAYBOOK], true, &Pointer::top(), said);
}

/// An object that follows tables; in a closed one, what is in none of them is a finding.
fn object(value: &Value, tables: &[&Object], closed: bool, at: &Pointer, said: &mut Said) {
    let Some(members) = map(value, tables[0].name, at, said) else {
        return;
    };
    let properties = || tables.iter().flat_map(|table| table.properties);
    for property in properties().filter(|property| property.required) {
        if !members.contains_key(property.name) {
            said.say(
                &codes::MISSING,
                at,
                format!("`{}` is missing", property.name),
                format!(
                    "{} (CACAO 2.0, section {})",
                    property.about, tables[0].section
                ),
            );
        }
    }
    for (name, value) in members {
        match properties().find(|property| property.name == name) {
            Some(property) => shape(value, &property.shape, &at.then(name.as_str()), said),
            None if closed => unknown(name, properties(), &at.then(name.as_str()), said),
            None => {}
        }
    }
}

/// The longest word that a known one can be near to, in bytes: comparing takes as much time
/// and memory as both are long together, multiplied.
const NEAR_MAX: usize = 64;

fn unknown<'p>(
    name: &str,
    properties: impl Iterator<Item = &'p Property>,
    at: &Pointer,
    said: &mut Said,
) {
    if !said.lists(&codes::UNKNOWN_PROPERTY) {
        return said.say(&codes::UNKNOWN_PROPERTY, at, "", "");
    }
    let near = properties
        .filter(|_| name.len() <= NEAR_MAX)
        .map(|property| {
            (
                strsim::damerau_levenshtein(property.name, name),
                property.name,
            )
        })
        .min()
        .filter(|(distance, _)| *distance <= 1 + name.len() / 5);
    let help = match near {
        Some((_, near)) => format!("did you mean `{near}`?"),
        None => "what is not of CACAO belongs in an extension".to_owned(),
    };
    said.say(
        &codes::UNKNOWN_PROPERTY,
        at,
        format!("CACAO has no property `{name}` here"),
        help,
    );
}

fn family(value: &Value, family: &'static Family, at: &Pointer, said: &mut Said) {
    let kind = value.get("type").and_then(Value::as_str);
    match kind.and_then(|kind| family.own(kind)) {
        Some(own) => object(value, &[family.common, own], true, at, said),
        // What an unknown type may hold, only its author knows.
        None => object(value, &[family.common], kind.is_none(), at, said),
    }
}

fn shape(value: &Value, wanted: &'static Shape, at: &Pointer, said: &mut Said) {
    match wanted {
        Shape::Any => {}
        Shape::Text => {
            text(value, at, said);
        }
        Shape::Fixed(fixed) => {
            if text(value, at, said).is_some_and(|text| text != *fixed) {
                said.say(
                    &codes::FIXED,
                    at,
                    format!("{value} stands where only \"{fixed}\" can"),
                    format!("write \"{fixed}\""),
                );
            }
        }
        Shape::Word(vocabulary) => word(value, vocabulary, at, said),
        Shape::Identifier(kinds) => identifier(value, kinds, at, said),
        Shape::Timestamp => {
            timestamp(value, at, said);
        }
        Shape::Milliseconds => {
            if timestamp(value, at, said).is_some_and(|decimals| decimals != 3) {
                said.say(
                    &codes::MILLISECONDS,
                    at,
                    format!("{value} has not exactly three decimals"),
                    "write it as yyyy-mm-ddThh:mm:ss.sssZ",
                );
            }
        }
        Shape::Base64 => base64(value, at, said),
        Shape::Bool => {
            if !value.is_boolean() {
                kind("true or false", value, at, said);
            }
        }
        Shape::Integer(least, most) => integer(value, (*least, *most), at, said),
        Shape::VariableValue => {
            if !(value.is_string() || value.is_null() || value.is_object()) {
                kind(
                    "text (numbers and booleans are written as text), null or an object",
                    value,
                    at,
                    said,
                );
            }
        }
        Shape::Nullable(inner) => {
            if !value.is_null() {
                shape(value, inner, at, said);
            }
        }
        Shape::List(least, of) => list(value, *least, of, at, said),
        Shape::Dictionary(names, least, of) => dictionary(value, (*names, *least), of, at, said),
        Shape::Object(table) => object(value, &[table], true, at, said),
        Shape::Typed(of) => family(value, of, at, said),
    }
}

fn word(value: &Value, vocabulary: &Vocabulary, at: &Pointer, said: &mut Said) {
    let Some(word) = text(value, at, said) else {
        return;
    };
    let is_own = *vocabulary == COMMAND_TYPE && said.knows_command(word);
    if vocabulary.has(word) || is_own {
        return;
    }
    let (check, others) = if vocabulary.open {
        (&codes::OPEN_WORD, "")
    } else {
        (&codes::CLOSED_WORD, ", and there are no others")
    };
    if !said.lists(check) {
        return said.say(check, at, "", "");
    }
    let words = vocabulary.words.iter().filter(|_| word.len() <= NEAR_MAX);
    let near = words
        .map(|known| (strsim::damerau_levenshtein(known, word), known))
        .min()
        .filter(|(distance, _)| *distance <= 1 + word.len() / 5);
    let help = near.map_or_else(
        || format!("it has {}", vocabulary.words.join(", ")),
        |(_, near)| format!("did you mean \"{near}\"?"),
    );
    let (word, name) = (cut(word), vocabulary.name);
    said.say(
        check,
        at,
        format!("\"{word}\" is not a word of {name}{others}"),
        help,
    );
}

fn identifier(value: &Value, kinds: &[&str], at: &Pointer, said: &mut Said) {
    let Some(text) = text(value, at, said) else {
        return;
    };
    match Identifier::parse(text) {
        Err(error) => said.say(
            &codes::IDENTIFIER,
            at,
            format!("\"{text}\" is no identifier: {error}"),
            "an identifier is a type, two hyphens and a UUID",
        ),
        Ok(found) if !kinds.is_empty() && !kinds.contains(&found.kind) => said.say(
            &codes::IDENTIFIER_KIND,
            at,
            format!(
                "\"{text}\" names a {}, where a {} belongs",
                found.kind,
                kinds.join(" or ")
            ),
            format!("name a {}", kinds.join(" or ")),
        ),
        Ok(_) => {}
    }
}

/// The number of decimals of a timestamp.
fn timestamp(value: &Value, at: &Pointer, said: &mut Said) -> Option<usize> {
    let text = text(value, at, said)?;
    match time::read(text) {
        Ok((_, decimals)) => Some(decimals),
        Err(error) => {
            let message = format!("\"{text}\" is no timestamp: {error}");
            said.say(
                &codes::TIMESTAMP,
                at,
                message,
                "write it as RFC 3339 in UTC, such as 2026-01-31T09:30:00.000Z",
            );
            None
        }
    }
}

fn base64(value: &Value, at: &Pointer, said: &mut Said) {
    let error = text(value, at, said).and_then(|text| STANDARD.decode(text).err());
    if let Some(error) = error {
        let help = "base64 here is the standard alphabet with padding and without line breaks";
        said.say(
            &codes::BASE64,
            at,
            format!("this is no base64: {error}"),
            help,
        );
    }
}

fn integer(value: &Value, (least, most): (i64, i64), at: &Pointer, said: &mut Said) {
    // JSON Schema takes 5.0 for the integer 5.
    let whole = value.as_i64().or_else(|| {
        let float = value.as_f64().filter(|float| float.fract() == 0.0)?;
        Some(float as i64)
    });
    match whole {
        None => kind("a whole number", value, at, said),
        Some(whole) if !(least..=most).contains(&whole) => said.say(
            &codes::RANGE,
            at,
            format!("{whole} is not between {least} and {most}"),
            format!("write a number from {least} to {most}"),
        ),
        Some(_) => {}
    }
}

fn list(value: &Value, least: usize, of: &'static Shape, at: &Pointer, said: &mut Said) {
    let Some(items) = value.as_array() else {
        kind("a list", value, at, said);
        return;
    };
    few(items.len(), least, at, said);
    for (index, item) in items.iter().enumerate() {
        shape(item, of, &at.then(index), said);
    }
}

fn dictionary(
    value: &Value,
    (names, least): (Names, usize),
    of: &'static Shape,
    at: &Pointer,
    said: &mut Said,
) {
    let Some(members) = map(value, "dictionary", at, said) else {
        return;
    };
    few(members.len(), least, at, said);
    for (name, item) in members {
        let at = at.then(name.as_str());
        if let Some(wrong) = wrong_name(name, names) {
            said.say(
                &codes::NAME,
                &at,
                format!("\"{name}\" cannot be a name here: {wrong}"),
                "rename it",
            );
        }
        shape(item, of, &at, said);
    }
}

/// Why a name in a dictionary is none. Names of variables are looked at with the variables.
fn wrong_name(name: &str, names: Names) -> Option<String> {
    match names {
        Names::Any | Names::Variables => None,
        Names::Identifiers => Identifier::parse(name).err().map(|error| error.to_string()),
        Names::Keys => {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
            let right = name.len() <= 250 && name.bytes().all(plain);
            (!right).then(|| "it is up to 250 letters, digits, `_` and `-`".to_owned())
        }
        Names::Headers => {
            let token =
                |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            let right = !name.is_empty() && name.bytes().all(token);
            (!right).then(|| "it is no name of a header field (RFC 9110 §5.1)".to_owned())
        }
    }
}

fn few(length: usize, least: usize, at: &Pointer, said: &mut Said) {
    if length < least {
        let message = match length {
            0 => "this is empty".to_owned(),
            some => format!("there is only {some} where {least} belong"),
        };
        said.say(&codes::FEW, at, message, "leave it out, or fill it");
    }
}

fn map<'v>(
    value: &'v Value,
    what: &str,
    at: &Pointer,
    said: &mut Said,
) -> Option<&'v Map<String, Value>> {
    let map = value.as_object();
    if map.is_none() {
        kind(&format!("an object ({what})"), value, at, said);
    }
    map
}

fn text<'v>(value: &'v Value, at: &Pointer, said: &mut Said) -> Option<&'v str> {
    let text = value.as_str();
    if text.is_none() {
        kind("text", value, at, said);
    }
    text
}

fn kind(wanted: &str, value: &Value, at: &Pointer, said: &mut Said) {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    said.say(
        &codes::KIND,
        at,
        format!("{found} stands where {wanted} belongs"),
        format!("write {wanted}"),
    );
}
