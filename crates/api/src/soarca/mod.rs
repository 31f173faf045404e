//! SOARCA's REST API 1.1, path for path, so that its GUI, CACAO Roaster and integrations work
//! unmodified.
//!
//! Where SOARCA answers wrongly without a client depending on it, this is a superset: both
//! spellings of a path with and without a last slash, reasons in `downstream-call`, an empty
//! body of a trigger, `Authorization` in preflights, a report that can be read before its
//! trigger is answered. Source: COSSAS/SOARCA 06b0473, `routes/` and `models/`.

mod answer;
mod manual;
mod origins;
mod playbooks;
mod report;
mod reporter;
mod status;
mod trigger;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, any, get, post};
use conche_core::Timestamp;
use conche_modules::fins::{self, Fins};
use conche_runtime::listener;
use http::{HeaderMap, StatusCode};

use self::answer::Answer;
pub use self::origins::Origins;
use crate::access::{self, Access};
use crate::actor::Actor;
use crate::{Api, ApiState, Shared};

/// What SOARCA's API stands on, beside what the native one does.
pub struct SoarcaState {
    /// The same as of the native API, but for who may call.
    pub api: ApiState,
    /// Pages of other origins that may call.
    pub origins: Origins,
    /// SOARCA Fins: those that poll call this listener too.
    pub fins: Arc<Fins>,
}

/// What the handlers share.
pub(crate) struct Soarca {
    api: Shared,
    since: Timestamp,
    fins: Arc<Fins>,
}

type Here = State<Arc<Soarca>>;

/// Answers the listener's own problems, such as a body that is too large, in the form of SOARCA's
/// errors.
pub fn render(problem: &listener::Problem) -> Response {
    let detail = &*problem.detail;
    Answer::new(problem.status, detail, "", detail).into_response()
}

/// The routes of SOARCA's API.
pub fn router(state: SoarcaState) -> Router {
    let bytes = state.api.json.bytes;
    let api = Arc::new(Api::new(state.api));
    let soarca = Arc::new(Soarca {
        since: api.engine.clock().now(),
        api,
        fins: state.fins.clone(),
    });
    let table = Table {
        soarca: soarca.clone(),
        router: Router::new(),
    };
    let routes = table
        .at("/status", get(status::status), Access::Read)
        .at("/status/ping", get(status::ping), Access::Read)
        .at("/status/fins", get(status::fins), Access::Read)
        .at("/playbook", get(playbooks::list), Access::Read)
        .at("/playbook", post(playbooks::create), Access::Define)
        .at("/playbook/meta", get(playbooks::meta), Access::Read)
        .at("/playbook/{id}", get(playbooks::read), Access::Read)
        .at(
            "/playbook/{id}",
            axum::routing::put(playbooks::update),
            Access::Define,
        )
        .at(
            "/playbook/{id}",
            axum::routing::delete(playbooks::delete),
            Access::Define,
        )
        .at("/trigger/playbook", post(trigger::ad_hoc), Access::Define)
        .at(
            "/trigger/playbook/{id}",
            post(trigger::by_id),
            Access::Operate,
        )
        .at("/reporter", get(reporter::list), Access::Read)
        .at("/reporter/{id}", get(reporter::read), Access::Read)
        .at("/manual", get(manual::list), Access::Read)
        .at("/manual/{run}/{step}", get(manual::read), Access::Read)
        .at("/manual/continue", post(manual::go_on), Access::Approve);
    routes
        .router
        .with_state(soarca.clone())
        .merge(fins::router(state.fins.clone()))
        .merge(
            fins::admin_router(state.fins)
                .route_layer(from_fn_with_state((soarca, Access::Administer), allow)),
        )
        .method_not_allowed_fallback(nothing)
        .fallback(any(nothing))
        .layer(DefaultBodyLimit::max(bytes))
        .layer(from_fn_with_state(
            Arc::new(state.origins),
            origins::cross_origin,
        ))
}

/// Routes, each behind its authorisation.
struct Table {
    soarca: Arc<Soarca>,
    router: Router<Arc<Soarca>>,
}

impl Table {
    /// Adds a route, with and without a slash at its end.
    fn at(self, path: &str, handler: MethodRouter<Arc<Soarca>>, needed: Access) -> Self {
        let guarded = handler.route_layer(from_fn_with_state((self.soarca.clone(), needed), allow));
        Self {
            router: self
                .router
                .route(path, guarded.clone())
                .route(&format!("{path}/"), guarded),
            soarca: self.soarca,
        }
    }
}

/// As gin answers a path, or a method of a path, that it does not know.
async fn nothing() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "404 page not found")
}

/// Lets a request through if its caller may; refuses as SOARCA's middleware does.
async fn allow(
    State((soarca, needed)): State<(Arc<Soarca>, Access)>,
    mut request: Request,
    next: Next,
) -> Result<Response, Answer> {
    let has_header = request.headers().contains_key(http::header::AUTHORIZATION);
    let allowed = access::allowed(&soarca.api, needed, access::Asking::of(&request)).await;
    match allowed {
        Ok(actor) => {
            request.extensions_mut().insert(actor);
            Ok(next.run(request).await)
        }
        Err(problem) if problem.status() == StatusCode::FORBIDDEN => Err(Answer::denied(
            StatusCode::FORBIDDEN,
            "insufficient permissions",
        )),
        Err(problem) if problem.status() == StatusCode::UNAUTHORIZED => Err(Answer::denied(
            StatusCode::UNAUTHORIZED,
            if has_header {
                "invalid bearer token"
            } else {
                "user not authenticated"
            },
        )),
        Err(problem) => Err(Answer::denied(problem.status(), problem.detail())),
    }
}

/// The caller's name for a request that may be sent twice.
fn key_of(headers: &HeaderMap) -> Option<String> {
    let key = headers.get("idempotency-key")?.to_str().ok()?;
    (!key.is_empty()).then(|| key.to_owned())
}

impl Soarca {
    fn act(&self, actor: &Actor, what: &str, target: &str) -> conche_store::Act {
        let mut act = actor.act(&self.api, what, target);
        act.who.listener = Some("soarca".to_owned());
        act
    }
}
