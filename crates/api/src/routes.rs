//! Every route of the native API, in one table: what it needs its caller to be allowed stands
//! in the row, so that no route can be without.

use axum::handler::Handler;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, MethodRouter, on};
use http::Method;

use crate::access::{Access, authorise};
use crate::{Shared, events, system};

/// One row.
pub(crate) struct Route {
    info: RouteInfo,
    pub(crate) path: &'static str,
    handler: MethodRouter<Shared>,
}

/// What a row says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteInfo {
    /// The method; `GET` answers `HEAD` as well.
    pub method: Method,
    /// The path with its parameters in braces.
    pub path: &'static str,
    /// What the caller must be allowed.
    pub access: Access,
}

impl Route {
    /// The handler behind its authorisation.
    pub(crate) fn guarded(self, api: &Shared) -> MethodRouter<Shared> {
        let needed = (api.clone(), self.info.access);
        self.handler
            .route_layer(from_fn_with_state(needed, authorise))
    }
}

/// Every route there is, for tests and docs.
pub fn routes() -> Vec<RouteInfo> {
    table().into_iter().map(|route| route.info).collect()
}

fn route<H, T>(
    (method, filter): (Method, MethodFilter),
    path: &'static str,
    access: Access,
    handler: H,
) -> Route
where
    H: Handler<T, Shared>,
    T: 'static,
{
    Route {
        info: RouteInfo {
            method,
            path,
            access,
        },
        path,
        handler: on(filter, handler),
    }
}

const GET: (Method, MethodFilter) = (Method::GET, MethodFilter::GET);
const POST: (Method, MethodFilter) = (Method::POST, MethodFilter::POST);

pub(crate) fn table() -> Vec<Route> {
    use Access::{Anyone, Send};
    vec![
        route(POST, "/api/v1/events", Send, events::send),
        route(GET, "/healthz", Anyone, system::healthz),
        route(GET, "/version", Anyone, system::version),
    ]
}
