//! The other end of the effects: an HTTP server that takes note of every request and, as a
//! receiver that honours keys does, carries each key out once.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;

/// What was carried out.
#[derive(Clone, Default)]
pub(super) struct Receiver(Arc<Mutex<HashMap<String, Effect>>>);

/// One effect, known by its key.
#[derive(Clone, Debug)]
pub(super) struct Effect {
    /// What was asked for: event and action.
    pub(super) body: String,
    /// Requests with this key.
    pub(super) requests: usize,
    /// Whether requests with this key asked for different things.
    pub(super) mixed: bool,
}

impl Receiver {
    /// Listens on a free loopback port.
    pub(super) async fn start() -> (Self, SocketAddr) {
        let receiver = Self::default();
        let router = Router::new()
            .route("/effect", post(effect))
            .with_state(receiver.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("an address");
        #[expect(
            clippy::disallowed_methods,
            reason = "a test's own server ends with the test"
        )]
        drop(tokio::spawn(
            async move { axum::serve(listener, router).await },
        ));
        (receiver, address)
    }

    /// Every effect by its key.
    pub(super) fn effects(&self) -> HashMap<String, Effect> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

async fn effect(State(receiver): State<Receiver>, headers: HeaderMap, body: String) -> StatusCode {
    let Some(key) = headers
        .get("idempotency-key")
        .and_then(|key| key.to_str().ok())
    else {
        return StatusCode::BAD_REQUEST;
    };
    let mut effects = receiver.0.lock().unwrap_or_else(PoisonError::into_inner);
    let known = effects.entry(key.to_owned()).or_insert_with(|| Effect {
        body: body.clone(),
        requests: 0,
        mixed: false,
    });
    known.requests += 1;
    known.mixed |= known.body != body;
    StatusCode::OK
}
