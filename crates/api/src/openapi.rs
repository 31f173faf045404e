//! The description of the API, generated from the handlers and their wire types.
//!
//! The copy in `docs/openapi.json` is compared with it by a test; after a wanted change,
//! `CONCHE_REWRITE_GOLDEN=1 cargo test -p conche-api openapi` writes it anew.

use utoipa::OpenApi;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, ResponseBuilder};

use crate::access::Access;
use crate::{
    approvals, audit, events, lists, modules, playbooks, problem, reactions, routes, runs, sources,
    system, tokens,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Conche",
        version = "1",
        description = "Events in, runs and reactions to look at and to act on. Unknown members and parameters are errors.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        approvals::list,
        approvals::answer,
        audit::list,
        events::list,
        events::send,
        events::show,
        lists::all,
        lists::entries,
        lists::put,
        lists::remove,
        modules::list,
        playbooks::list,
        playbooks::put,
        playbooks::check,
        playbooks::show,
        playbooks::delete,
        playbooks::run,
        playbooks::versions,
        playbooks::folder,
        reactions::list,
        reactions::check,
        reactions::show,
        reactions::put,
        reactions::delete,
        reactions::folder,
        runs::list,
        runs::show,
        runs::journal,
        runs::signals::cancel,
        runs::signals::pause,
        runs::signals::resume,
        runs::signals::retry,
        runs::tail::one,
        runs::tail::all,
        sources::list,
        tokens::list,
        tokens::create,
        tokens::revoke,
        system::error_page,
        system::healthz,
        system::metrics,
        system::openapi,
        system::readyz,
        system::version,
    ),
    components(schemas(
        problem::Body,
        runs::RecordOut,
        runs::tail::End,
        runs::tail::ChangeOut,
        runs::tail::Missed,
    ))
)]
struct Described;

/// The OpenAPI document: every path with what its caller must be allowed and how it fails.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = Described::openapi();
    let components = document.components.get_or_insert_default();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme("token", SecurityScheme::Http(bearer));
    for route in routes::routes() {
        if let Some(operation) = operation(&mut document, &route) {
            describe(operation, route.access);
        }
    }
    document
}

fn operation<'a>(
    document: &'a mut utoipa::openapi::OpenApi,
    route: &routes::RouteInfo,
) -> Option<&'a mut Operation> {
    let item = document.paths.paths.get_mut(route.path)?;
    match route.method.as_str() {
        "DELETE" => item.delete.as_mut(),
        "GET" => item.get.as_mut(),
        "POST" => item.post.as_mut(),
        "PUT" => item.put.as_mut(),
        _ => None,
    }
}

/// Adds what follows from the table of routes rather than from the handler.
fn describe(operation: &mut Operation, access: Access) {
    let problem = ResponseBuilder::new()
        .description("A problem: see its code.")
        .content(
            "application/problem+json",
            ContentBuilder::new()
                .schema(Some(Ref::from_schema_name("Problem")))
                .build(),
        )
        .build();
    operation
        .responses
        .responses
        .insert("default".to_owned(), problem.into());
    operation.security = match access {
        Access::Anyone => Some(Vec::new()),
        needed => Some(vec![SecurityRequirement::new("token", [needed.as_str()])]),
    };
}
