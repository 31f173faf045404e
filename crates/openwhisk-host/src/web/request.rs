//! From an HTTP request to the arguments of a web action: a pure function.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, header};
use serde_json::{Map, Value};

use super::media::Media;

/// What the host says of the request; nothing else may say it.
pub(crate) const RESERVED: [&str; 6] = [
    "__ow_method",
    "__ow_headers",
    "__ow_path",
    "__ow_user",
    "__ow_query",
    "__ow_body",
];

/// A request for a web action.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The method, of any case.
    pub method: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// What follows the action in the path, with its slash; empty where nothing does.
    pub path: &'a str,
    /// The query as it was sent; empty where there is none.
    pub query: &'a str,
    /// The body.
    pub body: &'a [u8],
    /// The namespace of the caller, where it has shown one.
    pub user: Option<&'a str>,
}

/// Why a request is not passed on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It sets what only the host or the action's owner may.
    #[error("Request defines parameters that are not allowed (e.g., reserved properties).")]
    Reserved,
    /// Its JSON is none.
    #[error("The request content was malformed:\n{0}")]
    Json(String),
}

/// The arguments for an action whose request is taken apart: query and body become arguments,
/// the body last. `immutable` names the bound parameters that no caller may set.
///
/// # Errors
/// [`Error`].
pub fn arguments(asked: &Asked<'_>, immutable: &[&str]) -> Result<Map<String, Value>, Error> {
    let mut given = pairs(asked.query.as_bytes());
    let mut rest = None;
    let media = media(asked.headers);
    match media.as_ref().map(Media::essence) {
        _ if asked.body.is_empty() => {}
        Some("application/json") => match json(asked.body)? {
            Value::Object(members) => given.extend(members),
            _ => rest = Some(as_text(asked.body, false)),
        },
        Some("application/x-www-form-urlencoded") => given.extend(pairs(asked.body)),
        _ => rest = Some(as_text(asked.body, is_binary(media.as_ref()))),
    }
    let refused = |key: &String| RESERVED.contains(&&**key) || immutable.contains(&&**key);
    if given.keys().any(refused) {
        return Err(Error::Reserved);
    }
    let mut arguments = metadata(asked);
    arguments.extend(given);
    if let Some(rest) = rest {
        arguments.insert("__ow_body".to_owned(), rest);
    }
    Ok(arguments)
}

/// The arguments for an action that takes its requests raw.
pub fn raw_arguments(asked: &Asked<'_>) -> Map<String, Value> {
    let media = media(asked.headers);
    let is_json = media
        .as_ref()
        .is_some_and(|media| media.essence() == "application/json");
    let mut arguments = metadata(asked);
    let body = as_text(asked.body, is_json || is_binary(media.as_ref()));
    arguments.insert("__ow_body".to_owned(), body);
    arguments.insert("__ow_query".to_owned(), asked.query.into());
    arguments
}

fn media(headers: &HeaderMap) -> Option<Media<'_>> {
    Media::parse(headers.get(header::CONTENT_TYPE)?.to_str().ok()?)
}

/// A body that says nothing of its type is bytes.
fn is_binary(media: Option<&Media<'_>>) -> bool {
    media.is_none_or(Media::is_binary)
}

fn metadata(asked: &Asked<'_>) -> Map<String, Value> {
    let mut arguments = Map::new();
    let mut set = |name: &str, value: Value| arguments.insert(name.to_owned(), value);
    set("__ow_method", asked.method.to_ascii_lowercase().into());
    set("__ow_headers", headers(asked.headers).into());
    set("__ow_path", asked.path.into());
    if let Some(user) = asked.user {
        set("__ow_user", user.into());
    }
    arguments
}

/// Headers as an object: names in lower case, several of a name in one text.
pub(crate) fn headers(headers: &HeaderMap) -> Map<String, Value> {
    let mut object = Map::new();
    for name in headers.keys() {
        let values = headers.get_all(name).into_iter();
        let values: Vec<_> = values
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        object.insert(name.as_str().to_owned(), values.join(", ").into());
    }
    object
}

fn as_text(body: &[u8], encode: bool) -> Value {
    if encode {
        BASE64_STANDARD.encode(body).into()
    } else {
        String::from_utf8_lossy(body).into()
    }
}

fn json(body: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(body).map_err(|error| Error::Json(error.to_string()))
}

/// The members of a form or query; the last of a name counts.
fn pairs(text: &[u8]) -> Map<String, Value> {
    url::form_urlencoded::parse(text)
        .filter(|(key, _)| !key.is_empty())
        .map(|(key, value)| (key.into_owned(), Value::from(value.into_owned())))
        .collect()
}
