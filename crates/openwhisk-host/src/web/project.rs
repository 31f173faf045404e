//! From the result of a web action to an HTTP answer: a pure function of both.
//!
//! The extension of the path says what the result is taken for. An application error is
//! projected as its `error`, so that an action can answer 403 by returning one.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use conche_openwhisk::model::is_binary;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Map, Value};

use super::media::Media;

/// What a result is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Extension {
    /// `.http`, and what has no extension that is known.
    Http,
    /// `.json`.
    Json,
    /// `.html`.
    Html,
    /// `.svg`.
    Svg,
    /// `.text`.
    Text,
}

/// An HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Projected {
    /// The status.
    pub status: StatusCode,
    /// The headers, in order.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why a result cannot be answered. The texts are those of upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not what the extension says.
    #[error("Response is not valid '{0}'.")]
    Media(&'static str),
    /// Its content type goes with no JSON.
    #[error("Response type in header did not match generated content type.")]
    ContentType,
    /// Its content type is none, or its body is not base64.
    #[error("Response did not specify a known content-type.")]
    UnknownContentType,
    /// What would be shown is not there.
    #[error("Response does not include requested property.")]
    Property,
}

impl Error {
    /// The status to answer with.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Media(_) | Self::ContentType | Self::UnknownContentType => {
                StatusCode::BAD_REQUEST
            }
            Self::Property => StatusCode::NOT_FOUND,
        }
    }
}

impl Extension {
    const ALL: [(&'static str, Self); 5] = [
        (".http", Self::Http),
        (".json", Self::Json),
        (".html", Self::Html),
        (".svg", Self::Svg),
        (".text", Self::Text),
    ];

    /// Splits the last part of a path into the action's name and the extension. What is no
    /// known extension belongs to the name.
    pub fn split(segment: &str) -> (&str, Self) {
        let found = Self::ALL.iter().find_map(|(suffix, extension)| {
            let name = segment.strip_suffix(suffix)?;
            (!name.is_empty()).then_some((name, *extension))
        });
        found.unwrap_or((segment, Self::Http))
    }
}

/// The answer for a result; `failed` where the action returned an error.
///
/// # Errors
/// [`Error`], for a result that is not what the extension wants.
pub fn project(extension: Extension, result: &Value, failed: bool) -> Result<Projected, Error> {
    let shown = if failed {
        result.get("error").ok_or(Error::Property)?
    } else {
        result
    };
    match extension {
        Extension::Http => http(shown),
        Extension::Json => match shown {
            Value::Object(_) | Value::Array(_) => {
                Ok(plain("application/json", pretty(shown).into_bytes()))
            }
            _ => Err(Error::Media("application/json")),
        },
        Extension::Html => markup(shown, "html", "text/html", "text/html; charset=UTF-8"),
        Extension::Svg => markup(
            shown,
            "svg",
            "image/svg+xml",
            "image/svg+xml; charset=UTF-8",
        ),
        Extension::Text => {
            let shown = match shown {
                Value::Object(members) => members
                    .get("body")
                    .or_else(|| members.get("text"))
                    .ok_or(Error::Property)?,
                other => other,
            };
            Ok(plain("text/plain; charset=UTF-8", text(shown).into_bytes()))
        }
    }
}

fn markup(
    shown: &Value,
    member: &str,
    media: &'static str,
    content_type: &'static str,
) -> Result<Projected, Error> {
    let found = match shown {
        Value::Object(members) => members.get("body").or_else(|| members.get(member)),
        other => Some(other),
    };
    match found {
        Some(Value::String(markup)) => Ok(plain(content_type, markup.clone().into_bytes())),
        _ => Err(Error::Media(media)),
    }
}

fn plain(content_type: &'static str, body: Vec<u8>) -> Projected {
    Projected {
        status: StatusCode::OK,
        headers: vec![(header::CONTENT_TYPE, HeaderValue::from_static(content_type))],
        body,
    }
}

fn pretty(value: &Value) -> String {
    // A value has no keys that are not text and no numbers that JSON lacks.
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(_) | Value::Array(_) => pretty(value),
        scalar => scalar.to_string(),
    }
}

const NOT_HTTP: Error = Error::Media("message/http");

fn http(shown: &Value) -> Result<Projected, Error> {
    let Value::Object(members) = shown else {
        return Err(NOT_HTTP);
    };
    let status = members.get("statusCode").map(status).transpose()?;
    let mut headers = headers(members)?;
    let body = match members.get("body") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) if text.is_empty() => None,
        Some(body) => Some(body),
    };
    let written = headers
        .iter()
        .find(|(name, _)| name == header::CONTENT_TYPE);
    let written = written.map(|(_, value)| value.clone());
    headers.retain(|(name, _)| name != header::CONTENT_TYPE);
    let Some(body) = body else {
        return Ok(Projected {
            status: status.unwrap_or(StatusCode::NO_CONTENT),
            headers,
            body: Vec::new(),
        });
    };
    let written = written
        .as_ref()
        .map(|value| value.to_str().map_err(|_| Error::UnknownContentType))
        .transpose()?;
    let (content_type, body) = match body {
        Value::String(text) => text_body(text, written)?,
        json => json_body(json, written)?,
    };
    let value = HeaderValue::try_from(content_type).map_err(|_| Error::UnknownContentType)?;
    headers.push((header::CONTENT_TYPE, value));
    Ok(Projected {
        status: status.unwrap_or(StatusCode::OK),
        headers,
        body,
    })
}

/// Only final codes that have a name: others leave a client waiting or guessing.
fn status(code: &Value) -> Result<StatusCode, Error> {
    let number = match code {
        Value::Number(number) => number.as_u64().or_else(|| {
            number
                .as_f64()
                .filter(|f| f.fract() == 0.0 && *f > 0.0)
                .map(|f| f as u64)
        }),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let number = number.and_then(|number| u16::try_from(number).ok());
    let status = number.and_then(|number| StatusCode::from_u16(number).ok());
    status
        .filter(|status| !status.is_informational() && status.canonical_reason().is_some())
        .ok_or(NOT_HTTP)
}

/// What describes the connection is this server's to say.
const OWN: [HeaderName; 6] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::TRAILER,
    header::TE,
];

fn headers(members: &Map<String, Value>) -> Result<Vec<(HeaderName, HeaderValue)>, Error> {
    let given = match members.get("headers") {
        None => return Ok(Vec::new()),
        Some(Value::Object(given)) => given,
        Some(_) => return Err(NOT_HTTP),
    };
    let mut headers = Vec::with_capacity(given.len());
    for (name, value) in given {
        let name = HeaderName::try_from(name.as_str()).map_err(|_| NOT_HTTP)?;
        let several = match value {
            Value::Array(several) => several.as_slice(),
            one => std::slice::from_ref(one),
        };
        for one in several {
            if matches!(one, Value::Array(_) | Value::Object(_) | Value::Null) {
                return Err(NOT_HTTP);
            }
            let value = HeaderValue::try_from(text(one)).map_err(|_| NOT_HTTP)?;
            if !OWN.contains(&name) {
                headers.push((name.clone(), value));
            }
        }
    }
    Ok(headers)
}

fn text_body(text: &str, written: Option<&str>) -> Result<(String, Vec<u8>), Error> {
    let media = Media::parse(written.unwrap_or("text/html")).ok_or(Error::UnknownContentType)?;
    // JSON that looks like base64 is decoded too: programs of old rely on it.
    let encoded = media.is_binary() || (media.is_json() && is_binary(text));
    let body = if encoded {
        let decoded = BASE64_STANDARD.decode(text);
        decoded.map_err(|_| Error::UnknownContentType)?
    } else {
        text.as_bytes().to_vec()
    };
    Ok((media.with_charset(), body))
}

fn json_body(json: &Value, written: Option<&str>) -> Result<(String, Vec<u8>), Error> {
    let media = written.unwrap_or("application/json");
    let media = Media::parse(media).ok_or(Error::UnknownContentType)?;
    if !media.is_json() {
        return Err(Error::ContentType);
    }
    Ok((media.with_charset(), json.to_string().into_bytes()))
}
