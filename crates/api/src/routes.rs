//! Every route of the native API, in one table: what it needs its caller to be allowed stands
//! in the row, so that no route can be without.

use axum::handler::Handler;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, MethodRouter, on};
use http::Method;

use crate::access::{Access, authorise};
use crate::{
    Shared, approvals, audit, csf, events, lists, modules, playbooks, reactions, runs, sources,
    system, tokens,
};

/// One row.
pub(crate) struct Route {
    pub(crate) info: RouteInfo,
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

impl RouteInfo {
    /// Whether the route speaks as another program did: its manner of answering is that
    /// program's, and the OpenAPI document does not describe it.
    pub fn is_foreign(&self) -> bool {
        self.path.starts_with("/v1/")
    }
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
        handler: on(filter, handler),
    }
}

const DELETE: (Method, MethodFilter) = (Method::DELETE, MethodFilter::DELETE);
const GET: (Method, MethodFilter) = (Method::GET, MethodFilter::GET);
const POST: (Method, MethodFilter) = (Method::POST, MethodFilter::POST);
const PUT: (Method, MethodFilter) = (Method::PUT, MethodFilter::PUT);

#[rustfmt::skip]
pub(crate) fn table() -> Vec<Route> {
    use Access::{Administer, Anyone, Approve, Define, Operate, Read, Send};
    vec![
        route(GET,    "/api/v1/approvals",          Read,    approvals::list),
        route(GET,    "/api/v1/audit",              Administer, audit::list),
        route(GET,    "/api/v1/events",             Read,    events::list),
        route(POST,   "/api/v1/events",             Send,    events::send),
        route(GET,    "/api/v1/events/{id}",        Read,    events::show),
        route(GET,    "/api/v1/lists",              Read,    lists::all),
        route(GET,    "/api/v1/lists/{name}/entries", Read,  lists::entries),
        route(PUT,    "/api/v1/lists/{name}/entries", Operate, lists::put),
        route(DELETE, "/api/v1/lists/{name}/entries", Operate, lists::remove),
        route(GET,    "/api/v1/modules",            Read,    modules::list),
        route(GET,    "/api/v1/playbooks",          Read,    playbooks::list),
        route(POST,   "/api/v1/playbooks",          Define,  playbooks::put),
        route(POST,   "/api/v1/playbooks/check",    Read,    playbooks::check),
        route(GET,    "/api/v1/playbooks/{id}",     Read,    playbooks::show),
        route(DELETE, "/api/v1/playbooks/{id}",     Define,  playbooks::delete),
        route(POST,   "/api/v1/playbooks/{id}/runs", Operate, playbooks::run),
        route(GET,    "/api/v1/playbooks/{id}/versions", Read, playbooks::versions),
        route(GET,    "/api/v1/playbooks-folder",   Read,    playbooks::folder),
        route(GET,    "/api/v1/reactions",          Read,    reactions::list),
        route(POST,   "/api/v1/reactions/check",    Read,    reactions::check),
        route(GET,    "/api/v1/reactions/{name}",   Read,    reactions::show),
        route(PUT,    "/api/v1/reactions/{name}",   Define,  reactions::put),
        route(DELETE, "/api/v1/reactions/{name}",   Define,  reactions::delete),
        route(GET,    "/api/v1/reactions-folder",   Read,    reactions::folder),
        route(GET,    "/api/v1/runs",               Read,    runs::list),
        route(GET,    "/api/v1/runs/{id}",          Read,    runs::show),
        route(POST,   "/api/v1/runs/{id}/answers",  Approve, approvals::answer),
        route(POST,   "/api/v1/runs/{id}/cancel",   Operate, runs::signals::cancel),
        route(GET,    "/api/v1/runs/{id}/journal",  Read,    runs::journal),
        route(POST,   "/api/v1/runs/{id}/pause",    Operate, runs::signals::pause),
        route(POST,   "/api/v1/runs/{id}/resume",   Operate, runs::signals::resume),
        route(POST,   "/api/v1/runs/{id}/retry",    Operate, runs::signals::retry),
        route(GET,    "/api/v1/runs/{id}/tail",     Read,    runs::tail::one),
        route(GET,    "/api/v1/sources",            Read,    sources::list),
        route(GET,    "/api/v1/tail",               Read,    runs::tail::all),
        route(GET,    "/api/v1/tokens",             Administer, tokens::list),
        route(POST,   "/api/v1/tokens",             Administer, tokens::create),
        route(DELETE, "/api/v1/tokens/{id}",        Administer, tokens::revoke),
        route(GET,    "/errors/{code}",             Anyone,  system::error_page),
        route(GET,    "/healthz",                   Anyone,  system::healthz),
        route(GET,    "/metrics",                   Read,    system::metrics),
        route(GET,    "/openapi.json",              Read,    system::openapi),
        route(GET,    "/readyz",                    Read,    system::readyz),
        route(GET,    "/version",                   Anyone,  system::version),

        route(GET,    "/v1/actions",                            Read,   csf::list_actions),
        route(GET,    "/v1/events",                             Read,   csf::list_events),
        route(GET,    "/v1/events/{event}/reactions",           Read,   csf::list_of_event),
        route(POST,   "/v1/events/{event}/reactions",           Define, csf::post),
        route(GET,    "/v1/events/{event}/reactions/{name}",    Read,   csf::show),
        route(DELETE, "/v1/events/{event}/reactions/{name}",    Define, csf::delete),
        route(GET,    "/v1/reactions",                          Read,   csf::list),
    ]
}
