//! The parts of an HTTP request that several modules write: method, headers, credentials.
//!
//! What is wrong is said in words for the one who wrote it. Nothing here reads a secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue, Method};
use ring::digest;

/// The most headers of one request.
pub(crate) const HEADERS_MAX: usize = 64;

/// What `User-Agent` says.
pub(crate) fn agent() -> HeaderValue {
    HeaderValue::from_static(concat!("conche/", env!("CARGO_PKG_VERSION")))
}

/// A method, in whichever case it is written.
pub(crate) fn method(text: &str) -> Result<Method, String> {
    match text.to_ascii_uppercase().parse() {
        // CONNECT and TRACE are for proxies and their debugging.
        Ok(Method::CONNECT | Method::TRACE) | Err(_) => {
            Err(format!("`{text}` is not a usable method"))
        }
        Ok(method) => Ok(method),
    }
}

/// The name of a header.
pub(crate) fn header_name(text: &str) -> Result<HeaderName, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is not the name of a header"))
}

/// The value of the header `name`.
pub(crate) fn header_value(name: &str, text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(text)
        .map_err(|_| format!("the value of the header `{name}` has a forbidden character"))
}

/// The value of `Authorization` that shows a user and a password (RFC 7617).
pub(crate) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// A header's value that is never shown; none where the text can't be one.
pub(crate) fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A call's key in the form of a UUID of version 5, for services that want one.
pub(crate) fn uuid_of(key: &str) -> String {
    let digest = digest::digest(&digest::SHA256, key.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_ref()[..16]);
    uuid::Builder::from_sha1_bytes(bytes)
        .into_uuid()
        .to_string()
}
