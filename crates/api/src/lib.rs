//! The native HTTP API: events in, runs and reactions to look at and to act on.
//!
//! A handler extracts, makes one call to the engine or its store, and maps the answer; whether
//! the caller may is decided before it by the route's row in `routes`. The wire
//! types of a route stand in its file. Every failure is a [`Problem`] with a stable code.
//!
//! Nothing here decides what happens to a run, opens a port, or holds state of its own but the
//! count of live views: two API processes on one store would answer alike.

mod access;
mod actor;
mod approvals;
mod audit;
mod codes;
mod csf;
mod events;
mod extract;
mod lists;
mod metrics;
mod modules;
mod openapi;
mod playbooks;
mod problem;
mod reactions;
mod roles;
mod routes;
mod runs;
pub mod soarca;
mod sources;
mod system;
mod tokens;
pub use conche_core::words;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::map_response;
use axum::response::Response;
use conche_core::json::Limits;
use conche_engine::{Engine, Folder, PlaybookFolder};
use conche_runtime::supervisor::Tasks;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use tokio::sync::Semaphore;

pub use access::{Access, Authorizer, Caller};
pub use codes::Code;
pub use modules::document as modules_document;
pub use openapi::document as openapi_document;
pub use problem::{Problem, render};
pub use roles::{NoRole, Role};
pub use routes::{RouteInfo, routes};
pub use system::VersionInfo;
pub use tokens::{NoRandomness, generate, new_token};

/// What the API stands on.
pub struct ApiState {
    /// The engine, and through it the store.
    pub engine: Engine,
    /// The watched reactions folder, where there is one.
    pub folder: Option<Arc<Folder>>,
    /// The watched playbooks folder, where there is one.
    pub playbooks: Option<Arc<PlaybookFolder>>,
    /// What `/version` says.
    pub version: VersionInfo,
    /// Who may call what.
    pub auth: Authorizer,
    /// Says which tasks are alive and when to end live views.
    pub tasks: Tasks,
    /// What a request body may measure.
    pub json: Limits,
    /// The configured sources by id, with their modules: nobody may send in their names.
    pub sources: BTreeMap<String, &'static str>,
    /// Metrics of other parts (store, script workers), gathered beside the engine's.
    pub metrics: Vec<prometheus::Registry>,
}

/// Live views open at a time.
const TAILS_MAX: usize = 256;

/// What handlers share.
pub(crate) struct Api {
    given: ApiState,
    gauges: metrics::Gauges,
    /// One permit for each live view.
    tails: Arc<Semaphore>,
    /// The stored tokens.
    known: tokens::known::Known,
    refusals: actor::Refusals,
    /// Held while a token is revoked.
    revoking: tokio::sync::Mutex<()>,
    /// Held while a reaction that was posted in CSF's way is given a name.
    naming: tokio::sync::Mutex<()>,
}

impl Api {
    fn new(given: ApiState) -> Self {
        Self {
            given,
            gauges: metrics::Gauges::new(),
            tails: Arc::new(Semaphore::new(TAILS_MAX)),
            known: tokens::known::Known::default(),
            refusals: actor::Refusals::default(),
            revoking: tokio::sync::Mutex::default(),
            naming: tokio::sync::Mutex::default(),
        }
    }
}

impl Deref for Api {
    type Target = ApiState;

    fn deref(&self) -> &ApiState {
        &self.given
    }
}

pub(crate) type Shared = Arc<Api>;

/// The routes of the native API, each behind its authorisation, unknown paths and methods
/// answered as problems.
///
/// The listener that serves it adds what no route knows: limits of time and connections and,
/// for `loopback-open`, the checks that keep web pages out. Give that listener [`render`], so
/// that its own problems look like those here.
pub fn router(state: ApiState) -> Router {
    let shared = Arc::new(Api::new(state));
    let mut router = Router::new();
    for route in routes::table() {
        router = router.route(route.info.path, route.guarded(&shared));
    }
    router
        .fallback(unknown_path)
        .method_not_allowed_fallback(other_method)
        .layer(DefaultBodyLimit::max(shared.json.bytes))
        .layer(map_response(with_security_headers))
        .with_state(shared)
}

async fn unknown_path(request: Request) -> Problem {
    let detail = format!("there is nothing at {}", request.uri().path());
    Problem::new(&codes::UNKNOWN_PATH, detail)
}

/// `OPTIONS` is answered for every path; the router adds `Allow`. No answer carries CORS
/// headers: pages of other origins have no business here.
async fn other_method(method: Method) -> Result<StatusCode, Problem> {
    if method == Method::OPTIONS {
        return Ok(StatusCode::NO_CONTENT);
    }
    let detail = format!("this path does not take {method}; see the header Allow");
    Err(Problem::new(&codes::METHOD_NOT_ALLOWED, detail))
}

async fn with_security_headers(mut response: Response) -> Response {
    const HEADERS: [(HeaderName, &str); 4] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
