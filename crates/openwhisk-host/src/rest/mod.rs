//! The REST API: one table of routes. Handlers read the request, check who asks, call one thing
//! and shape its answer.

mod actions;
mod activations;
mod body;
mod info;
mod invocation;
mod lists;
mod packages;
mod query;
mod rules;
mod triggers;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::middleware::from_fn_with_state;
use axum::routing::{any, get};

use crate::host::Inner;
use crate::refusal::Refusal;
use crate::store::User;
use crate::transaction::{self, Transaction};
use crate::users::Trusted;
use crate::web;

pub(crate) use self::body::read as read_body;

/// What handlers share.
pub(crate) type Here = State<Arc<Inner>>;

/// All routes.
pub(crate) fn router(host: Arc<Inner>) -> Router {
    let routes: Router<Arc<Inner>> = Router::new()
        .route("/", get(info::host))
        .route("/ping", get(info::ping))
        .route("/api/v1", get(info::api))
        .route("/api/v1/", get(info::api))
        .nest("/api/v1/namespaces", namespaces())
        .route("/api/v1/namespaces/", get(info::namespaces))
        .route("/api/v1/web/{*path}", any(web::call))
        .fallback(nothing);
    routes
        .layer(from_fn_with_state(Arc::clone(&host), transaction::through))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(host)
}

fn namespaces() -> Router<Arc<Inner>> {
    let action = get(actions::read)
        .put(actions::write)
        .post(invocation::invoke)
        .delete(actions::delete);
    let trigger = get(triggers::read)
        .put(triggers::write)
        .post(triggers::fire)
        .delete(triggers::delete);
    let rule = get(rules::read)
        .put(rules::write)
        .post(rules::set)
        .delete(rules::delete);
    let package = get(packages::read)
        .put(packages::write)
        .delete(packages::delete);
    let lists = [
        ("actions", get(actions::list)),
        ("triggers", get(triggers::list)),
        ("rules", get(rules::list)),
        ("packages", get(packages::list)),
        ("activations", get(activations::list)),
    ];
    let mut routes = Router::new()
        .route("/", get(info::namespaces))
        .route("/{namespace}/limits", get(info::limits))
        .route("/{namespace}/actions/{name}", action.clone())
        .route(
            "/{namespace}/actions/{package}/",
            get(actions::list_of_package),
        )
        .route("/{namespace}/actions/{package}/{name}", action)
        .route("/{namespace}/triggers/{name}", trigger)
        .route("/{namespace}/rules/{name}", rule)
        .route("/{namespace}/packages/{name}", package)
        .route("/{namespace}/activations/{id}", get(activations::read))
        .route("/{namespace}/activations/{id}/logs", get(activations::logs))
        .route(
            "/{namespace}/activations/{id}/result",
            get(activations::result),
        );
    for (collection, handler) in lists {
        routes = routes
            .route(&format!("/{{namespace}}/{collection}"), handler.clone())
            .route(&format!("/{{namespace}}/{collection}/"), handler);
    }
    routes
}

async fn nothing() -> Refusal {
    Refusal::not_found()
}

/// Who asks, and within which transaction.
pub(crate) struct Caller {
    pub(crate) who: Arc<User>,
    pub(crate) transaction: Arc<str>,
}

impl FromRequestParts<Arc<Inner>> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, host: &Arc<Inner>) -> Result<Self, Refusal> {
        let who = match parts.extensions.get::<Trusted>() {
            Some(Trusted(who)) => Arc::clone(who),
            None => host.users.caller(&parts.headers)?,
        };
        Ok(Self {
            who,
            transaction: transaction_of(parts),
        })
    }
}

/// The transaction that [`transaction::through`] gave a request.
pub(crate) fn transaction_of(parts: &Parts) -> Arc<str> {
    let given = parts.extensions.get::<Transaction>().cloned();
    given.unwrap_or_else(Transaction::generate).0
}
