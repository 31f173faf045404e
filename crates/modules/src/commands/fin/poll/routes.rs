//! The HTTP Fin API: what fins call, and apart from it what administrators call.
//!
//! Fins show a token of their own: the shared one once, in the registration, and then the one
//! that they got for it. Neither is ever logged; both are compared by their digests, so that the
//! time it takes tells nothing. The administrators' routes check nobody: whoever mounts them puts
//! the listener's authentication before them. Statuses and bodies are SOARCA's.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, post, put};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, StatusCode, header};
use ring::rand::SecureRandom as _;
use secrecy::ExposeSecret as _;
use serde::de::DeserializeOwned;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::time::Instant;
use uuid::Uuid;

use super::Poll;
use super::queue::NotTaken;
use super::wire::{self, Asked, Ping, Register, Registered, Reported};
use crate::commands::fin::registry::{self, Refused, Registration};
use crate::commands::fin::service::{Error, Fins, Service};

/// Bytes of a fin's own token.
const TOKEN_BYTES: usize = 32;

/// What a fin calls: `/fin/register`, `/fin/poll`, `/fin/jobs/{id}`, `/fin/jobs/{id}/status` and
/// `DELETE /fin/`. It must be reachable without the listener's own authentication. Without
/// `actions.fin.poll` nobody can register.
pub fn router(fins: Arc<Fins>) -> Router {
    Router::new()
        .route("/fin/register", post(register))
        .route("/fin/poll", post(poll))
        .route("/fin/jobs/{job_id}", put(report))
        .route("/fin/jobs/{job_id}/status", patch(ping))
        .route("/fin", delete(leave))
        .route("/fin/", delete(leave))
        .with_state(fins)
}

/// What administrators call: `GET /fin/`, `GET /fin/{fin_id}` and `DELETE /fin/{fin_id}`, for
/// fins of either transport. To be merged with [`router`], behind the listener's authentication.
pub fn admin_router(fins: Arc<Fins>) -> Router {
    Router::new()
        .route("/fin", get(list))
        .route("/fin/", get(list))
        .route("/fin/{fin_id}", get(show).delete(remove))
        .with_state(fins)
}

/// A request is refused, in SOARCA's form.
struct Refusal {
    status: StatusCode,
    message: String,
    /// What was called.
    route: String,
    /// What was wrong in detail.
    cause: String,
}

type Answer<T> = Result<T, Refusal>;

fn refuse(status: StatusCode, message: &str, route: &str) -> Refusal {
    refuse_with(status, message, route, String::new())
}

fn refuse_with(status: StatusCode, message: &str, route: &str, cause: String) -> Refusal {
    Refusal {
        status,
        message: message.to_owned(),
        route: route.to_owned(),
        cause,
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = wire::error(self.status, &self.message, &self.route, &self.cause);
        (self.status, Json(body)).into_response()
    }
}

/// The present settings; without them there are no fins that poll.
struct Served {
    service: Arc<Service>,
    poll: Arc<Poll>,
}

impl Served {
    fn of(fins: &Fins, route: &str) -> Answer<Self> {
        let unserved = || {
            let message = "Fin registration is not configured";
            refuse(StatusCode::SERVICE_UNAVAILABLE, message, route)
        };
        let service = fins.service().ok_or_else(unserved)?;
        let poll = service.poll.clone().ok_or_else(unserved)?;
        Ok(Self { service, poll })
    }

    /// A body under its limit, as JSON.
    async fn read<T: DeserializeOwned>(
        &self,
        body: Body,
        message: &str,
        route: &str,
    ) -> Answer<Option<T>> {
        let limit = self.poll.config.body_bytes.length();
        let too_large = |_| {
            refuse(
                StatusCode::PAYLOAD_TOO_LARGE,
                "The request is too large",
                route,
            )
        };
        let bytes = to_bytes(body, limit).await.map_err(too_large)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let unread = |error: serde_json::Error| {
            refuse_with(StatusCode::BAD_REQUEST, message, route, error.to_string())
        };
        serde_json::from_slice(&bytes).map(Some).map_err(unread)
    }

    /// The fin that shows its token.
    fn fin(&self, headers: &HeaderMap) -> Answer<Registration> {
        let route = "fin bearer auth";
        let refuse = |message| refuse(StatusCode::UNAUTHORIZED, message, route);
        let value = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let token = value
            .and_then(|value| value.strip_prefix("Bearer "))
            .filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| refuse("Missing or malformed Authorization header"))?;
        let fin = self.service.registry.of_token(&digest(token));
        let fin = fin.ok_or_else(|| refuse("Invalid or unknown fin token"))?;
        self.service
            .registry
            .touch(&fin.fin_id, self.service.clock.now());
        Ok(fin)
    }
}

/// Only digests are kept and compared.
fn digest(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(token.as_bytes()))
}

async fn register(State(fins): State<Arc<Fins>>, body: Body) -> Answer<Response> {
    let route = "POST /fin/register";
    let served = Served::of(&fins, route)?;
    let unread = "Failed to parse registration request";
    let asked: Option<Register> = served.read(body, unread, route).await?;
    let asked = asked.ok_or_else(|| refuse(StatusCode::BAD_REQUEST, unread, route))?;
    served.admit(&asked, route)?;
    let (fin_id, token) = (Uuid::now_v7().to_string(), new_token(route)?);
    let now = served.service.clock.now();
    let fin = wire::registration(asked, fin_id.clone(), digest(&token), now);
    served
        .service
        .registry
        .put(fin)
        .map_err(|refused| match refused {
            Refused::Full => refuse(StatusCode::SERVICE_UNAVAILABLE, &refused.to_string(), route),
            Refused::Unfit(_) => refuse(StatusCode::BAD_REQUEST, &refused.to_string(), route),
        })?;
    served.service.state.save(&served.service.registry).await;
    tracing::info!(fin = %fin_id, "a fin has registered");
    let config = &served.poll.config;
    let registered = Registered {
        fin_id,
        fin_token: token,
        poll_interval_seconds: wire::seconds(config.interval),
        long_poll_timeout_seconds: wire::seconds(config.long_poll),
        job_lease_seconds: wire::seconds(config.lease),
    };
    Ok((StatusCode::CREATED, Json(registered)).into_response())
}

impl Served {
    /// Whether a registration shows the shared token and offers something.
    fn admit(&self, asked: &Register, route: &str) -> Answer<()> {
        let name = &self.poll.config.registration_token.secret;
        let expected = self.service.secrets.get(name).map_err(|error| {
            tracing::error!(%error, "no fin can register");
            let message = "Fin registration is not configured";
            refuse(StatusCode::SERVICE_UNAVAILABLE, message, route)
        })?;
        let (shown, expected) = (
            digest(&asked.registration_token),
            digest(expected.expose_secret()),
        );
        if !bool::from(shown.as_bytes().ct_eq(expected.as_bytes())) {
            tracing::warn!("a fin showed a wrong registration token");
            let message = "invalid or missing registration token";
            return Err(refuse(StatusCode::FORBIDDEN, message, route));
        }
        let bad = |message| Err(refuse(StatusCode::BAD_REQUEST, message, route));
        if asked.capabilities.is_empty() {
            return bad("At least one capability is required");
        }
        if asked.capabilities.iter().any(|one| one.kind.is_empty()) {
            return bad("Every capability requires a non-empty type");
        }
        Ok(())
    }
}

fn new_token(route: &str) -> Answer<String> {
    let mut bytes = [0; TOKEN_BYTES];
    let filled = ring::rand::SystemRandom::new().fill(&mut bytes);
    let failed = |_| {
        refuse(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Failed to generate fin token",
            route,
        )
    };
    filled.map_err(failed)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

async fn poll(State(fins): State<Arc<Fins>>, headers: HeaderMap, body: Body) -> Answer<Response> {
    let route = "POST /fin/poll";
    let served = Served::of(&fins, route)?;
    let fin = served.fin(&headers)?;
    let asked: Option<Asked> = served
        .read(body, "Failed to parse poll request", route)
        .await?;
    let has_room = asked.unwrap_or_default().concurrency_available != Some(0);
    let types = fin.capabilities.iter().filter(|_| has_room);
    let types: Vec<String> = types.map(|one| one.id.clone()).collect();
    let config = &served.poll.config;
    let until = Instant::now() + config.long_poll.duration();
    let queue = &served.poll.queue;
    let fetched = queue
        .fetch((&fin.fin_id, &types), config.lease.duration(), until)
        .await;
    let Some(content) = fetched else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    if served.service.registry.get(&fin.fin_id).is_none() {
        // It was removed while it waited.
        let id = content["job_id"].as_str().and_then(|id| id.parse().ok());
        queue.put_back(id.unwrap_or_default());
        return Err(refuse(
            StatusCode::UNAUTHORIZED,
            "Invalid or unknown fin token",
            route,
        ));
    }
    Ok(Json(json!({ "job": content })).into_response())
}

async fn report(
    State(fins): State<Arc<Fins>>,
    Path(job_id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Answer<Response> {
    let route = format!("PUT /fin/jobs/{job_id}");
    let served = Served::of(&fins, &route)?;
    let fin = served.fin(&headers)?;
    let id = parse(&job_id, &route)?;
    let unread = "Failed to parse job result";
    let reported: Option<Reported> = served.read(body, unread, &route).await?;
    let bad = |message| refuse(StatusCode::BAD_REQUEST, message, &route);
    let reported = reported.ok_or_else(|| bad(unread))?;
    if !["success", "failure"].contains(&reported.state.as_str()) {
        return Err(bad("state must be \"success\" or \"failure\""));
    }
    let taken = served.poll.queue.report(id, &fin.fin_id, reported);
    taken.map_err(|why| not_taken(why, &route))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn ping(
    State(fins): State<Arc<Fins>>,
    Path(job_id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Answer<Response> {
    let route = format!("PATCH /fin/jobs/{job_id}/status");
    let served = Served::of(&fins, &route)?;
    let fin = served.fin(&headers)?;
    let id = parse(&job_id, &route)?;
    let ping: Option<Ping> = served
        .read(body, "Failed to parse status ping", &route)
        .await?;
    let lease = served.poll.config.lease.duration();
    let stop = served.poll.queue.prolong(id, &fin.fin_id, lease);
    let stop = stop.map_err(|why| not_taken(why, &route))?;
    let progress = ping.and_then(|ping| ping.progress);
    tracing::debug!(fin = %fin.fin_id, ?progress, "a fin is at its command");
    let action = if stop { "cancel" } else { "" };
    Ok(Json(json!({ "action": action })).into_response())
}

fn parse(job_id: &str, route: &str) -> Answer<Uuid> {
    let bad = |_| refuse(StatusCode::BAD_REQUEST, "Failed to parse job ID", route);
    job_id.parse().map_err(bad)
}

fn not_taken(why: NotTaken, route: &str) -> Refusal {
    match why {
        NotTaken::Unknown => refuse(StatusCode::NOT_FOUND, "Job not found", route),
        NotTaken::NotYours => refuse(
            StatusCode::FORBIDDEN,
            "Job is not leased to this fin",
            route,
        ),
    }
}

/// A fin goes, as its token says which.
async fn leave(State(fins): State<Arc<Fins>>, headers: HeaderMap) -> Answer<Response> {
    let served = Served::of(&fins, "DELETE /fin/")?;
    let fin = served.fin(&headers)?;
    served.service.registry.remove(&fin.fin_id);
    served.service.state.save(&served.service.registry).await;
    tracing::info!(fin = %fin.fin_id, "a fin has left");
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn list(State(fins): State<Arc<Fins>>) -> Response {
    let service = fins.service();
    let all = service.iter().flat_map(|service| {
        let all = service.registry.all().into_iter();
        all.map(|fin| listed(service, &fin)).collect::<Vec<_>>()
    });
    Json(json!({ "fins": all.collect::<Vec<_>>() })).into_response()
}

fn listed(service: &Service, fin: &Registration) -> serde_json::Value {
    let stale = registry::is_stale(fin, service.clock.now(), service.stale_after());
    wire::listed(fin, stale)
}

async fn show(State(fins): State<Arc<Fins>>, Path(fin_id): Path<String>) -> Response {
    let service = fins.service();
    let found = service.as_ref().and_then(|service| {
        let fin = service.registry.get(&fin_id)?;
        Some(Json(listed(service, &fin)).into_response())
    });
    found.unwrap_or_else(|| not_found("GET", &fin_id))
}

async fn remove(State(fins): State<Arc<Fins>>, Path(fin_id): Path<String>) -> Response {
    match fins.remove(&fin_id).await {
        Err(Error::Unknown) => not_found("DELETE", &fin_id),
        _ => StatusCode::NO_CONTENT.into_response(),
    }
}

fn not_found(method: &str, fin_id: &str) -> Response {
    let route = format!("{method} /fin/{fin_id}");
    refuse(StatusCode::NOT_FOUND, "Fin not found", &route).into_response()
}
