//! The other end of the effects: an HTTP server that takes note of every request and, as a
//! receiver that honours keys does, carries each key out once.

use std::collections::{HashMap, HashSet};
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
struct Effect {
    /// What was asked for: event and action.
    body: String,
    /// Requests with this key.
    requests: usize,
    /// Whether requests with this key asked for different things.
    mixed: bool,
}

/// What came of the events that were sent.
pub(super) struct Tally {
    /// Effects carried out.
    pub(super) effects: usize,
    /// Acknowledged events with an effect missing.
    pub(super) lost: Vec<u64>,
    /// Effects that were asked for under more than one key.
    pub(super) doubled: Vec<String>,
    /// Requests that were repeated, each with its own key.
    pub(super) repeats: usize,
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

    /// Compares what was carried out with what was acknowledged.
    ///
    /// # Panics
    /// Where one key stood for two things.
    pub(super) fn tally(&self, acknowledged: &HashSet<u64>) -> Tally {
        let effects = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut keys_of: HashMap<&str, usize> = HashMap::new();
        for effect in effects.values() {
            assert!(!effect.mixed, "one key for two things: {effect:?}");
            *keys_of.entry(effect.body.as_str()).or_default() += 1;
        }
        let is_done = |n: &u64| {
            ["first", "second"]
                .iter()
                .all(|part| keys_of.contains_key(format!("{n} {part}").as_str()))
        };
        let mut lost: Vec<u64> = acknowledged
            .iter()
            .copied()
            .filter(|n| !is_done(n))
            .collect();
        lost.sort_unstable();
        Tally {
            effects: effects.len(),
            lost,
            doubled: keys_of
                .iter()
                .filter(|(_, keys)| **keys > 1)
                .map(|(body, _)| (*body).to_owned())
                .collect(),
            repeats: effects.values().map(|effect| effect.requests - 1).sum(),
        }
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
