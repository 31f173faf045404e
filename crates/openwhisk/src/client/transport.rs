//! What carries a request to the host and the whole answer back.
//!
//! The client does not care how: [`Http`] is the usual way, and a program that must decide
//! itself where connections may lead brings its own [`Transport`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};
use rustls::crypto::{CryptoProvider, ring};

/// One request.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// An absolute URL without user information.
    pub url: String,
    /// Headers, the credentials among them (marked as sensitive).
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Bytes,
    /// How long it may take, the answer's body included.
    pub timeout: Duration,
    /// The most bytes of the answer's body.
    pub max_response: usize,
}

/// A whole answer. Every status is one.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// Why there is no whole answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No connection came about: certainly nothing was delivered.
    #[error("the request was not sent: {0}")]
    NotSent(String),
    /// It can't be sent, now or later.
    #[error("the request can't be sent: {0}")]
    Refused(String),
    /// It may have been delivered; what came of it is unknown.
    #[error("the request may have been delivered, its answer is unknown: {0}")]
    Lost(String),
    /// The answer is larger than wanted. The request was delivered.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

/// Carries requests. Redirects must not be followed: credentials go where they were meant to go.
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync {
    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// [`Failure`], which must say `Lost` wherever it can't be told that nothing was delivered.
    async fn send(&self, request: Request) -> Result<Response, Failure>;
}

#[async_trait]
impl<T: Transport + ?Sized> Transport for Arc<T> {
    async fn send(&self, request: Request) -> Result<Response, Failure> {
        (**self).send(request).await
    }
}

/// How [`Http`] is built.
#[derive(Debug, Clone, Default)]
pub struct HttpOptions {
    /// Certificates of authorities to trust beside those of the system, in PEM.
    pub ca_pem: Option<Vec<u8>>,
    /// A certificate with its key to appear as, both in PEM.
    pub identity_pem: Option<Vec<u8>>,
    /// Trust every certificate, as `wsk -i` does. Whoever is in between can read and change all.
    pub insecure: bool,
    /// How long connecting may take. Default: 10 s.
    pub connect_timeout: Option<Duration>,
}

/// Requests by `reqwest` and rustls.
#[derive(Debug, Clone)]
pub struct Http(reqwest::Client);

impl Http {
    /// With the system's authorities, without proxies and redirects.
    ///
    /// # Errors
    /// [`Failure::Refused`] where a certificate can't be read.
    pub fn new(options: &HttpOptions) -> Result<Self, Failure> {
        let wrong = |error: reqwest::Error| Failure::Refused(chain(&error));
        if CryptoProvider::get_default().is_none() {
            // Another thread may have been faster; then there is one, which is what is wanted.
            ring::default_provider().install_default().ok();
        }
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(options.connect_timeout.unwrap_or(Duration::from_secs(10)))
            // Shorter than what common servers allow: a request that meets the closing is lost.
            .pool_idle_timeout(Duration::from_secs(4));
        if let Some(pem) = &options.ca_pem {
            let found = reqwest::Certificate::from_pem_bundle(pem).map_err(wrong)?;
            if found.is_empty() {
                return Err(Failure::Refused(
                    "there is no certificate in the PEM".to_owned(),
                ));
            }
            builder = builder.tls_certs_merge(found);
        }
        if let Some(pem) = &options.identity_pem {
            builder = builder.identity(reqwest::Identity::from_pem(pem).map_err(wrong)?);
        }
        if options.insecure {
            builder = builder.tls_danger_accept_invalid_certs(true);
        }
        builder.build().map(Self).map_err(wrong)
    }

    /// With a client of the caller's, whose policies (proxies, redirects, trust) then hold.
    pub fn with(client: reqwest::Client) -> Self {
        Self(client)
    }
}

#[async_trait]
impl Transport for Http {
    async fn send(&self, request: Request) -> Result<Response, Failure> {
        let sent = self
            .0
            .request(request.method, &request.url)
            .headers(request.headers)
            .body(request.body)
            .timeout(request.timeout)
            .send();
        let mut response = sent.await.map_err(|error| failure(&error))?;
        let most = request.max_response;
        let announced = response.content_length().unwrap_or(0);
        if announced > most as u64 {
            return Err(Failure::TooLarge(most));
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))? {
            if body.len() + chunk.len() > most {
                return Err(Failure::TooLarge(most));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Response {
            status: response.status(),
            headers: response.headers().clone(),
            body: body.freeze(),
        })
    }
}

fn failure(error: &reqwest::Error) -> Failure {
    let text = chain(error);
    if error.is_builder() {
        Failure::Refused(text)
    } else if error.is_connect() {
        Failure::NotSent(text)
    } else {
        Failure::Lost(text)
    }
}

/// An error with what caused it, without the URL.
fn chain(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() {
        "it took too long".to_owned()
    } else {
        String::new()
    };
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&said);
        }
        source = cause.source();
    }
    if text.is_empty() {
        text.push_str("no reason is given");
    }
    text
}
