//! An asynchronous client of the REST API, version 1.
//!
//! ```
//! # use async_trait::async_trait;
//! # use conche_openwhisk::client::{Failure, Request, Response, Transport};
//! # #[derive(Debug)] struct Canned;
//! # #[async_trait] impl Transport for Canned {
//! #     async fn send(&self, request: Request) -> Result<Response, Failure> {
//! #         assert!(request.url.starts_with("https://ow.example.com/api/v1/namespaces/_/actions/utils/echo?"));
//! #         let body = r#"{"namespace":"guest","name":"echo","version":"0.0.1","activationId":
//! #             "44794bd6aab74415b4e42a308d880e5b","start":1,"end":2,"response":
//! #             {"status":"success","success":true,"result":{"ip":"198.51.100.7"}}}"#;
//! #         Ok(Response { status: http::StatusCode::OK, headers: http::HeaderMap::new(), body: body.into() })
//! #     }
//! # }
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! # let transport = Canned;
//! use conche_openwhisk::client::{Auth, Client, RunOptions};
//!
//! let key = Auth::parse_key(&"uuid:key".into())?;
//! // `Client::new("ow.example.com", &key)` brings its own transport.
//! let client = Client::with_transport("ow.example.com", &key, transport)?;
//! let echo = "utils/echo".parse()?;
//! let arguments = serde_json::json!({"ip": "198.51.100.7"});
//! let activation = client.run(&echo, &arguments, &RunOptions::default()).await?;
//! assert_eq!(activation.response.result, Some(arguments));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A name without namespace is in that of the key. [`Error`] tells apart what a caller may do
//! next; nothing is ever sent twice but reads. Credentials go into one header and are in no
//! `Debug` output, error or URL.

mod activations;
mod auth;
mod entities;
mod error;
mod host;
mod invoke;
mod pages;
mod path;
mod poll;
mod properties;
mod transport;
mod web;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

pub use self::auth::{Auth, AuthError};
pub use self::error::{Error, Refusal};
pub use self::invoke::{Fired, InvokeOptions, Invoked, RunOptions, WAIT_MAX};
pub(crate) use self::path::entity as entity_path;
pub use self::poll::Poll;
pub(crate) use self::poll::looks_again;
pub use self::properties::{Given, Properties, PropertiesError};
pub use self::transport::{Failure, Http, HttpOptions, Request, Response, Transport};
pub use self::web::WebRequest;

/// The path of the API.
const API: &str = "/api/v1";

/// How long a request may take, unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The most bytes of an answer, unless told otherwise: the code of an action has up to 48 MiB.
const RESPONSE_MAX: usize = 64 * 1024 * 1024;

/// A client of one host with one key. Clones share connections.
#[derive(Clone)]
pub struct Client {
    transport: Arc<dyn Transport>,
    /// Scheme, host and port, without a slash at the end.
    root: Arc<str>,
    authorization: Option<HeaderValue>,
    agent: HeaderValue,
    timeout: Duration,
    max_response: usize,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("root", &self.root)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// One request to the API, as it is being put together.
struct Call {
    method: Method,
    /// Below the host, encoded, with its query.
    path: String,
    headers: HeaderMap,
    body: Bytes,
    timeout: Duration,
    is_anonymous: bool,
}

impl Client {
    /// A client of `host`: a URL, or a name with or without a port, which means https.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the host is no URL of one or the credentials can't be sent.
    pub fn new(host: &str, auth: &Auth) -> Result<Self, Error> {
        let http = Http::new(&HttpOptions::default())?;
        Self::with_transport(host, auth, http)
    }

    /// The same with a transport of the caller's: [`Http`] with other options or with a
    /// `reqwest::Client` of one's own, or something else.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn with_transport(
        host: &str,
        auth: &Auth,
        transport: impl Transport + 'static,
    ) -> Result<Self, Error> {
        let authorization = auth.header();
        Ok(Self {
            transport: Arc::new(transport),
            root: root(host)?.into(),
            authorization: authorization.map_err(|error| Error::Invalid(error.to_string()))?,
            agent: HeaderValue::from_static(concat!(
                "conche-openwhisk/",
                env!("CARGO_PKG_VERSION")
            )),
            timeout: TIMEOUT,
            max_response: RESPONSE_MAX,
        })
    }

    /// The same with another limit for the time of each request; a blocking invocation gets
    /// what it waits for on top. Default: 30 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The same with another limit for the bytes of each answer. Default: 64 MiB.
    #[must_use]
    pub fn max_response(mut self, bytes: usize) -> Self {
        self.max_response = bytes;
        self
    }

    /// Scheme, host and port.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// A request to a path below `/api/v1`.
    fn request(&self, method: Method, path: impl AsRef<str>) -> Call {
        self.request_at(method, format!("{API}{}", path.as_ref()))
    }

    /// A request to a path of the host.
    fn request_at(&self, method: Method, path: String) -> Call {
        Call {
            method,
            path,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            timeout: self.timeout,
            is_anonymous: false,
        }
    }

    /// Sends a request. Every status is an answer.
    async fn send(&self, call: Call) -> Result<Response, Error> {
        let mut headers = call.headers;
        headers.insert(header::USER_AGENT, self.agent.clone());
        if !headers.contains_key(header::ACCEPT) {
            headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        }
        if let Some(value) = self.authorization.as_ref().filter(|_| !call.is_anonymous) {
            headers.insert(header::AUTHORIZATION, value.clone());
        }
        let request = Request {
            method: call.method,
            url: format!("{}{}", self.root, call.path),
            headers,
            body: call.body,
            timeout: call.timeout,
            max_response: self.max_response,
        };
        Ok(self.transport.send(request).await?)
    }

    /// Sends a request whose success is JSON.
    async fn read<T: DeserializeOwned>(&self, call: Call) -> Result<T, Error> {
        let response = self.send(call).await?;
        if !response.status.is_success() {
            return Err(Error::of(&response));
        }
        let read = serde_json::from_slice(&response.body);
        read.map_err(|error| Error::Unreadable(error.to_string()))
    }
}

impl Call {
    /// With a body of JSON.
    fn json(mut self, body: &impl Serialize) -> Result<Self, Error> {
        let text = serde_json::to_vec(body).map_err(|error| Error::Invalid(error.to_string()))?;
        let kind = HeaderValue::from_static("application/json");
        self.headers.insert(header::CONTENT_TYPE, kind);
        self.body = text.into();
        Ok(self)
    }

    /// With one more header, where there is a value for it.
    fn header(mut self, name: HeaderName, value: Option<&str>) -> Result<Self, Error> {
        if let Some(value) = value {
            let sent = HeaderValue::try_from(value)
                .map_err(|_| Error::Invalid(format!("`{value}` can't be the header {name}")))?;
            self.headers.insert(name, sent);
        }
        Ok(self)
    }
}

/// Scheme, host and port of what a user writes: without a scheme it is https, and a path that
/// repeats that of the API is passed over.
fn root(text: &str) -> Result<String, Error> {
    let text = text.trim();
    let wrong = |flaw: &str| Error::Invalid(format!("the API host `{text}` {flaw}"));
    let with_scheme = if text.contains("://") {
        text.to_owned()
    } else {
        format!("https://{text}")
    };
    let url = Url::parse(&with_scheme).map_err(|error| wrong(&format!("is no URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("is neither http nor https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        // Not repeated: it would show the password.
        return Err(Error::Invalid(
            "the API host holds credentials: give them apart".to_owned(),
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("has a query or fragment"));
    }
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix(API).unwrap_or(path);
    let host = url.host_str().ok_or_else(|| wrong("names no host"))?;
    let port = url
        .port()
        .map_or_else(String::new, |port| format!(":{port}"));
    Ok(format!("{}://{host}{port}{path}", url.scheme()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_https_unless_it_says_otherwise() {
        for (text, root_of) in [
            ("ow.example.com", "https://ow.example.com"),
            ("ow.example.com:8443/", "https://ow.example.com:8443"),
            ("http://127.0.0.1:3233", "http://127.0.0.1:3233"),
            ("http://[::1]:3233/api/v1/", "http://[::1]:3233"),
            ("https://gw.example.com/ow", "https://gw.example.com/ow"),
            ("localhost:3233", "https://localhost:3233"),
        ] {
            assert_eq!(root(text).unwrap(), root_of, "{text}");
        }
        for text in [
            "",
            "ftp://x",
            "http://",
            "https://x?y",
            "https://x#y",
            "a b",
        ] {
            assert!(matches!(root(text), Err(Error::Invalid(_))), "{text}");
        }
        let error = root("https://me:s3cret@x").unwrap_err().to_string();
        assert!(!error.contains("s3cret"), "{error}");
    }
}
