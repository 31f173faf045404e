//! Pages of other origins: CACAO Roaster runs in a browser.
//!
//! As SOARCA, an origin that is not listed is refused before anything else is looked at; no
//! answer allows credentials. Unlike it, a page may send `Authorization`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};

const METHODS: &str = "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS";
const HEADERS: &str = "Origin,Content-Length,Content-Type,Authorization";
const MAX_AGE: &str = "43200";

/// Which pages may call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origins(Vec<String>);

impl Origins {
    /// These, such as `http://localhost:3000`; `*` for all.
    pub const fn new(origins: Vec<String>) -> Self {
        Self(origins)
    }

    fn all(&self) -> bool {
        self.0.iter().any(|origin| origin == "*")
    }

    fn has(&self, origin: &str) -> bool {
        self.all() || self.0.iter().any(|own| own.eq_ignore_ascii_case(origin))
    }
}

pub(super) async fn cross_origin(
    State(origins): State<Arc<Origins>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(origin) = request.headers().get(header::ORIGIN).cloned() else {
        return next.run(request).await;
    };
    let text = origin.to_str().unwrap_or_default();
    if !origins.has(text) {
        return if is_own(&request, text) {
            next.run(request).await
        } else {
            StatusCode::FORBIDDEN.into_response()
        };
    }
    let allowed = if origins.all() {
        HeaderValue::from_static("*")
    } else {
        origin
    };
    let preflight = *request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if preflight {
        let mut response = StatusCode::NO_CONTENT.into_response();
        for (name, value) in [
            (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS),
            (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
        ] {
            set(&mut response, name, value);
        }
        response
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    response
}

fn set(response: &mut Response, name: HeaderName, value: &'static str) {
    response
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
}

/// Whether a page was served from where it calls.
fn is_own(request: &Request, origin: &str) -> bool {
    let host = request.headers().get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok());
    let own = origin.split_once("://").map(|(_, authority)| authority);
    own.is_some() && own == host
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_compared_whole() {
        let origins = Origins::new(vec!["http://localhost:3000".to_owned()]);
        assert!(origins.has("http://localhost:3000"));
        assert!(!origins.has("http://localhost:30001"));
        assert!(!origins.has("https://localhost:3000"));
        assert!(Origins::new(vec!["*".to_owned()]).has("null"));
    }
}
