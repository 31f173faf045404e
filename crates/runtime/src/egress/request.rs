//! Requests as callers write them, and what of them may be sent where.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};
use url::Url;

use super::error::Error;
use crate::units::Size;

/// Headers that belong to the connection or to the framing, not to the caller.
const OWN_HEADERS: [HeaderName; 7] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
];

/// Headers that go along to another origin. All others might be credentials.
const HARMLESS_HEADERS: [HeaderName; 3] =
    [header::ACCEPT, header::ACCEPT_LANGUAGE, header::USER_AGENT];

/// One request. `Request::get(url)` and `Request::post(url, body)` begin one.
#[derive(Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// An absolute `http` or `https` URL without user information.
    pub url: String,
    /// Headers; those of the connection and framing are set by the client.
    pub headers: HeaderMap,
    /// The body, sent with its length.
    pub body: Bytes,
    /// Instead of the configured time limit.
    pub timeout: Option<Duration>,
    /// Instead of the configured limit of the answer's body.
    pub max_response: Option<Size>,
    /// Whether to keep the beginning of a larger answer instead of failing: for requests that
    /// have done something by then. Default: false.
    pub cut: bool,
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        Self {
            method,
            url: url.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            timeout: None,
            max_response: None,
            cut: false,
        }
    }

    /// A GET request.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new(Method::GET, url)
    }

    /// A POST request with a body.
    pub fn post(url: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self {
            body: body.into(),
            ..Self::new(Method::POST, url)
        }
    }
}

impl fmt::Debug for Request {
    /// Leaves out what may be secret: the URL, the headers and the body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("timeout", &self.timeout)
            .field("max_response", &self.max_response)
            .finish_non_exhaustive()
    }
}

/// A complete answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as it was sent, compressed where the server compressed it.
    pub body: Bytes,
    /// Whether the body is only the beginning of what was sent, as [`Request::cut`] allows.
    pub is_cut: bool,
}

/// The headers that may go along to another origin.
pub(super) fn harmless(headers: &HeaderMap) -> HeaderMap {
    HARMLESS_HEADERS
        .iter()
        .filter_map(|name| Some((name.clone(), headers.get(name)?.clone())))
        .collect()
}

pub(super) fn parse_url(text: &str) -> Result<Url, Error> {
    let invalid = |reason: &str| Err(Error::Invalid(reason.to_owned()));
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => return invalid(&format!("its URL can't be read: {error}")),
    };
    if !matches!(url.scheme(), "http" | "https") {
        return invalid("its URL is neither http nor https");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return invalid("its URL holds a user or password: use a header");
    }
    if host_of(&url).is_empty() {
        return invalid("its URL has no host");
    }
    Ok(url)
}

pub(super) fn uri(url: &Url) -> Result<Uri, Error> {
    let mut url = url.clone();
    url.set_fragment(None);
    url.as_str()
        .parse()
        .map_err(|error| Error::Invalid(format!("its URL can't be sent: {error}")))
}

pub(super) fn host_of(url: &Url) -> &str {
    url.host_str().unwrap_or_default()
}

/// Drops the headers that the client sets itself. A `Host` other than the
/// URL's is refused: it would reach a site that was not checked.
pub(super) fn own_headers_removed(mut headers: HeaderMap, url: &Url) -> Result<HeaderMap, Error> {
    if let Some(host) = headers.get(header::HOST) {
        let named = host.to_str().unwrap_or_default();
        let with_port = format!(
            "{}:{}",
            host_of(url),
            url.port_or_known_default().unwrap_or_default()
        );
        if !named.eq_ignore_ascii_case(host_of(url)) && !named.eq_ignore_ascii_case(&with_port) {
            return Err(Error::Invalid(
                "its Host header is not its URL's host".into(),
            ));
        }
    }
    for name in &OWN_HEADERS {
        headers.remove(name);
    }
    Ok(headers)
}

pub(super) fn redirect_target(response: &Response, url: &Url) -> Option<Result<Url, Error>> {
    let redirects = matches!(response.status.as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = response
        .headers
        .get(header::LOCATION)
        .filter(|_| redirects)?;
    let target = location
        .to_str()
        .map_err(|error| error.to_string())
        .and_then(|text| url.join(text).map_err(|error| error.to_string()));
    Some(target.map_err(|error| Error::Invalid(format!("its redirect can't be read: {error}"))))
}
