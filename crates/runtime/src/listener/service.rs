//! What surrounds each request, whatever route it takes: the size and time
//! limits, the peer, and the answers to what goes wrong outside of a route.

use std::{
    convert::Infallible,
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{Arc, OnceLock},
};

use axum::{Router, body::Body};
use futures_util::FutureExt;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use http_body::Body as _;
use hyper::body::Incoming;
use tower::Service as _;

use super::{
    Peer,
    body::{AnswerBody, Flaw, RequestBody},
    config::ListenerLimits,
    connections::Connection,
    problem::{Problem, Render},
};

type Answer = Response<Body>;

/// What all connections of a listener share.
pub(super) struct Shared {
    pub(super) router: Router,
    pub(super) limits: ListenerLimits,
    pub(super) render: Render,
}

/// Answers the requests of one connection.
pub(super) struct Service {
    pub(super) shared: Arc<Shared>,
    pub(super) connection: Arc<Connection>,
    pub(super) peer: Peer,
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let in_flight = self.connection.begin();
        let shared = Arc::clone(&self.shared);
        let peer = self.peer.clone();
        let limits = &shared.limits;
        let announced = request.body().size_hint().lower();
        let flaw = Arc::new(OnceLock::new());
        if announced > limits.body_bytes.bytes() {
            // The route doesn't get to see it.
            flaw.get_or_init(|| Flaw::TooLarge(limits.body_bytes));
        }
        let connection = Arc::clone(&self.connection);
        let request =
            request.map(|body| RequestBody::new(body, limits, Arc::clone(&flaw), connection));
        Box::pin(async move {
            let response = answer(&shared, peer, request, &flaw).await;
            Ok(response.map(|body| AnswerBody::new(body, in_flight)))
        })
    }
}

async fn answer(
    shared: &Shared,
    peer: Peer,
    request: Request<RequestBody>,
    flaw: &OnceLock<Flaw>,
) -> Answer {
    let version = request.version();
    let routed = match flaw.get() {
        Some(flaw) => Err(flaw.problem()),
        None => route(shared, peer, request).await,
    };
    // A flaw of the body is the answer, whatever the route made of it.
    let problem = match (flaw.get(), routed) {
        (Some(flaw), _) => flaw.problem(),
        (None, Ok(response)) => return response,
        (None, Err(problem)) => problem,
    };
    let mut response = (shared.render)(&problem);
    if version < Version::HTTP_2 {
        // The rest of the body may still be on its way: no second request.
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn route(
    shared: &Shared,
    peer: Peer,
    mut request: Request<RequestBody>,
) -> Result<Answer, Problem> {
    request.extensions_mut().insert(peer);
    let request = request.map(Body::new);
    let answered = AssertUnwindSafe(shared.router.clone().call(request)).catch_unwind();
    match tokio::time::timeout(shared.limits.request.duration(), answered).await {
        Ok(Ok(Ok(response))) => Ok(response),
        Ok(Ok(Err(never))) => match never {},
        Ok(Err(_panic)) => {
            // The panic hook has printed where; the peer learns nothing of it.
            tracing::error!("a route panicked");
            Err(Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "the server failed to answer this request",
            ))
        }
        Err(_elapsed) => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "request-timeout",
            format!("no answer was ready within {}", shared.limits.request),
        )),
    }
}
