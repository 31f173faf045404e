//! The embedded host's routes, called within the process: without a port and a connection.

use std::fmt;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use conche_openwhisk::client::{Failure, Request, Response, Transport};
use tower::ServiceExt as _;

/// Sends requests to the routes themselves, whatever host their URL names.
pub(super) struct Within(pub(super) Router);

impl fmt::Debug for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Within")
    }
}

impl Within {
    async fn answer(&self, request: Request) -> Result<Response, Failure> {
        let refused = |error: http::Error| Failure::Refused(error.to_string());
        let url = request.url.parse::<http::Uri>();
        let url = url.map_err(|error| refused(error.into()))?;
        let path = url.path_and_query().map_or("/", |path| path.as_str());
        let mut asked = http::Request::builder()
            .method(request.method)
            .uri(path)
            .body(Body::from(request.body))
            .map_err(refused)?;
        *asked.headers_mut() = request.headers;
        let answer = self.0.clone().oneshot(asked).await;
        let (parts, body) = answer.unwrap_or_else(|never| match never {}).into_parts();
        let most = request.max_response;
        // It is whole already: nothing but its size can be wrong.
        let body = to_bytes(body, most).await;
        Ok(Response {
            status: parts.status,
            headers: parts.headers,
            body: body.map_err(|_| Failure::TooLarge(most))?,
        })
    }
}

#[async_trait]
impl Transport for Within {
    async fn send(&self, request: Request) -> Result<Response, Failure> {
        let answer = tokio::time::timeout(request.timeout, self.answer(request));
        let late = |_| Err(Failure::Lost("it took too long".to_owned()));
        answer.await.unwrap_or_else(late)
    }
}
