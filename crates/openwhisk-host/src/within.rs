//! The API from within this process: the same routes without a port, a connection and
//! credentials.
//!
//! Who calls is said by code and taken for true, so it must be handed to nobody who acts for
//! strangers.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use conche_openwhisk::client::{Failure, Request, Response, Transport};
use conche_openwhisk::command::Verb;
use conche_openwhisk::model::{ActivationId, FullyQualifiedName, Name};
use http::Uri;
use tower::ServiceExt as _;

use crate::invoke::word;
use crate::store::{self, Store, User};
use crate::users::Trusted;

/// The API for one user. Requests go to the routes themselves, whatever host their URL names.
#[derive(Clone)]
pub struct Within {
    router: Router,
    store: Arc<dyn Store>,
    who: Arc<User>,
}

impl fmt::Debug for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Within")
            .field("who", &self.who)
            .finish_non_exhaustive()
    }
}

impl Within {
    pub(crate) fn new(router: Router, store: Arc<dyn Store>, who: Arc<User>) -> Self {
        Self { router, store, who }
    }

    /// The activation of what the user invoked or fired by this name under this idempotency key,
    /// over or not. Where there is none, nothing of it was accepted under it.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn known(
        &self,
        verb: Verb,
        name: &FullyQualifiedName,
        key: &str,
    ) -> Result<Option<ActivationId>, store::Error> {
        let namespace = &self.who.namespace;
        let own = Name::parse(namespace).map_err(|error| corrupt(namespace, error))?;
        let name = name.clone().resolve(&own);
        let verb = match verb {
            Verb::Invoke => "invoke",
            Verb::Fire => "fire",
        };
        let found = self.store.known(namespace, &word(key, verb, name)).await?;
        let read = |id: String| ActivationId::parse(&id).map_err(|error| corrupt(&id, error));
        found.map(read).transpose()
    }

    async fn answer(&self, request: Request) -> Result<Response, Failure> {
        let most = request.max_response;
        let response = self.router.clone().oneshot(self.addressed(request)?).await;
        let (parts, body) = response.unwrap_or_else(|never| match never {}).into_parts();
        // It is whole already: nothing but its size can be wrong.
        let body = to_bytes(body, most).await;
        Ok(Response {
            status: parts.status,
            headers: parts.headers,
            body: body.map_err(|_| Failure::TooLarge(most))?,
        })
    }

    fn addressed(&self, request: Request) -> Result<http::Request<Body>, Failure> {
        let refused = |error: http::Error| Failure::Refused(error.to_string());
        let url: Uri = request
            .url
            .parse()
            .map_err(|error| refused(http::Error::from(error)))?;
        let path = url.path_and_query().map_or("/", |path| path.as_str());
        let mut addressed = http::Request::builder()
            .method(request.method)
            .uri(path)
            .extension(Trusted(Arc::clone(&self.who)))
            .body(Body::from(request.body))
            .map_err(refused)?;
        *addressed.headers_mut() = request.headers;
        Ok(addressed)
    }
}

fn corrupt(what: &str, reason: impl fmt::Display) -> store::Error {
    store::Error::Corrupt {
        what: what.to_owned(),
        reason: reason.to_string(),
    }
}

#[async_trait]
impl Transport for Within {
    async fn send(&self, request: Request) -> Result<Response, Failure> {
        let timeout = request.timeout;
        match tokio::time::timeout(timeout, self.answer(request)).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(Failure::Lost("it took too long".to_owned())),
        }
    }
}
