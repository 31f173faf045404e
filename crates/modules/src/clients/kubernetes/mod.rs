//! The Kubernetes API: requests that are answered whole, and watches that are read line by line.
//!
//! Objects are plain JSON: no type of Kubernetes' is known here, so that whatever a cluster
//! has can be read and nothing of it is lost. Every answer is bounded in time and size. A
//! server that does not know us (401) is asked once more with credentials that are read anew;
//! nothing else is repeated here.

mod config;
mod lines;
mod pages;
mod path;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use kube::client::Body;
use serde::Deserialize;
use serde_json::Value;

pub(crate) use self::config::ClusterConfig;
pub(crate) use self::lines::Lines;
pub(crate) use self::pages::Pages;
pub(crate) use self::path::{Resource, group_path, is_name, query};

/// An answer that has not begun by then does not come; nor does the rest of it.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// More than a page of 500 usual objects has; a page of larger ones is asked for in parts.
const ANSWER_BYTES_MAX: usize = 64 << 20;

const JSON: &str = "application/json";

/// Of a list's objects only who they are.
const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/// Why the server did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// The kubeconfig or the service account cannot be used.
    #[error("{0}")]
    Config(String),
    /// The request certainly was not sent.
    #[error("the Kubernetes API cannot be reached: {0}")]
    Unreachable(String),
    /// It may have been sent and done.
    #[error("the Kubernetes API gave no whole answer: {0}")]
    Interrupted(String),
    /// It came, and is more than is held in memory.
    #[error("the answer of the Kubernetes API is larger than {} MiB", ANSWER_BYTES_MAX >> 20)]
    TooLarge,
    /// The server refuses.
    #[error("the Kubernetes API answers {code} {reason}: {message}")]
    Status {
        /// The HTTP status, or that of a `Status` object within a watch.
        code: u16,
        /// Kubernetes' word, such as `NotFound`.
        reason: String,
        /// For people.
        message: String,
        /// When to come again.
        retry_after: Option<Duration>,
    },
    /// What came is not what the API sends.
    #[error("that is not what the Kubernetes API answers: {0}")]
    Nonsense(String),
}

impl Error {
    /// The server's status, where it gave one.
    pub(crate) fn code(&self) -> Option<u16> {
        match self {
            Self::Status { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the API server says that there is no such object. Another's 404 has no reason
    /// of Kubernetes'.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Status { code: 404, reason, .. } if reason == "NotFound")
    }

    /// Whether the history that was asked for is no longer there.
    pub(crate) fn is_expired(&self) -> bool {
        self.code() == Some(410)
    }

    /// When to come again, where the server said so.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// Kubernetes' own words for what went wrong.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StatusObject {
    kind: String,
    code: u16,
    reason: String,
    message: String,
}

impl StatusObject {
    fn into_error(self, code: u16, retry_after: Option<Duration>) -> Error {
        Error::Status {
            code,
            reason: self.reason,
            message: self.message,
            retry_after,
        }
    }
}

/// The error that a `Status` object within an answer or a watch tells; none where it is no such.
pub(crate) fn status_error(object: &Value) -> Option<Error> {
    let status = StatusObject::deserialize(object).ok()?;
    let code = status.code;
    (status.kind == "Status" && code >= 400).then(|| status.into_error(code, None))
}

/// One cluster. Its connections are made when they are needed.
pub(crate) struct Cluster {
    config: ClusterConfig,
    client: Mutex<Option<kube::Client>>,
}

impl Cluster {
    /// Checks the configuration.
    pub(crate) fn new(config: ClusterConfig) -> Result<Self, Error> {
        config.check()?;
        Ok(Self {
            config,
            client: Mutex::default(),
        })
    }

    /// Asks for something.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Error> {
        self.whole(Method::GET, path, JSON, None).await
    }

    /// Asks for a list, and of its objects for their metadata only.
    pub(crate) async fn metadata(&self, path: &str) -> Result<Value, Error> {
        self.whole(Method::GET, path, METADATA, None).await
    }

    /// Sends a request and reads the whole answer, which is a JSON object. `body` comes with
    /// its content type.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<(&'static str, &Value)>,
    ) -> Result<Value, Error> {
        self.whole(method, path, JSON, body).await
    }

    async fn whole(
        &self,
        method: Method,
        path: &str,
        accept: &'static str,
        body: Option<(&'static str, &Value)>,
    ) -> Result<Value, Error> {
        let whole = async {
            let response = self.send(method, path, accept, body).await?;
            let bytes = collect(response.into_body()).await?;
            serde_json::from_slice(&bytes).map_err(|error| Error::Nonsense(error.to_string()))
        };
        within(whole).await
    }

    /// Begins to read an answer that has no end, line by line; a pause of `idle` ends it.
    pub(crate) async fn lines(&self, path: &str, idle: Duration) -> Result<Lines, Error> {
        let response = within(self.send(Method::GET, path, JSON, None)).await?;
        Ok(Lines::new(response.into_body(), idle))
    }

    /// Sends, once more with fresh credentials where the server does not know us.
    async fn send(
        &self,
        method: Method,
        path: &str,
        accept: &'static str,
        body: Option<(&'static str, &Value)>,
    ) -> Result<Response<Body>, Error> {
        match self.send_once(&method, path, accept, body).await {
            Err(Error::Status { code: 401, .. }) => {
                *self.lock() = None;
                let again = self.send_once(&method, path, accept, body).await;
                if again.is_err() {
                    *self.lock() = None;
                }
                again
            }
            answered => answered,
        }
    }

    async fn send_once(
        &self,
        method: &Method,
        path: &str,
        accept: &'static str,
        body: Option<(&'static str, &Value)>,
    ) -> Result<Response<Body>, Error> {
        let client = self.client().await?;
        let request = Request::builder()
            .method(method.clone())
            .uri(path)
            .header(ACCEPT, accept);
        let request = match body {
            None => request.body(Body::empty()),
            Some((content_type, body)) => request
                .header(CONTENT_TYPE, content_type)
                .body(Body::from(body.to_string().into_bytes())),
        };
        let request = request.map_err(|error| Error::Config(error.to_string()))?;
        let response = client.send(request).await.map_err(|error| {
            // What was wrong may lie in the files: they are read again the next time.
            *self.lock() = None;
            unsent(&error)
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (head, body) = response.into_parts();
        let bytes = collect(body).await.unwrap_or_default();
        Err(refused(head.status, &head.headers, &bytes))
    }

    async fn client(&self) -> Result<kube::Client, Error> {
        if let Some(client) = self.lock().clone() {
            return Ok(client);
        }
        let config = self.config.load().await?;
        let client = kube::Client::try_from(config)
            .map_err(|error| Error::Config(config::with_sources(&error)))?;
        *self.lock() = Some(client.clone());
        Ok(client)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<kube::Client>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn within<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let late = || Error::Interrupted(format!("none within {} s", ANSWER_WITHIN.as_secs()));
    let done = tokio::time::timeout(ANSWER_WITHIN, work).await;
    done.unwrap_or_else(|_elapsed| Err(late()))
}

async fn collect(body: Body) -> Result<Bytes, Error> {
    // Where the length is told it need not be read to be known.
    if body.size_hint().lower() > ANSWER_BYTES_MAX as u64 {
        return Err(Error::TooLarge);
    }
    let whole = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    let whole = whole.map_err(|error| {
        if error.is::<LengthLimitError>() {
            Error::TooLarge
        } else {
            Error::Interrupted(error.to_string())
        }
    })?;
    Ok(whole.to_bytes())
}

/// Tells a connection that was not made from a request that may have arrived.
fn unsent(error: &kube::Error) -> Error {
    let text = config::with_sources(error);
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        let legacy = error.downcast_ref::<hyper_util::client::legacy::Error>();
        if legacy.is_some_and(hyper_util::client::legacy::Error::is_connect) {
            return Error::Unreachable(text);
        }
        cause = error.source();
    }
    match error {
        kube::Error::Auth(_) => Error::Config(text),
        _ => Error::Interrupted(text),
    }
}

fn refused(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Error {
    let object: StatusObject = serde_json::from_slice(body).unwrap_or_default();
    // A proxy's answer in JSON is no word of Kubernetes'.
    let object = if object.kind == "Status" {
        object
    } else {
        StatusObject::default()
    };
    let after = headers
        .get(RETRY_AFTER)
        .and_then(|after| after.to_str().ok());
    let after = after.and_then(|seconds| seconds.trim().parse().ok());
    object.into_error(status.as_u16(), after.map(Duration::from_secs))
}
