//! What every request and answer carries: the transaction's identifier, the headers that let
//! web pages call, and the body of a refusal.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use conche_openwhisk::model::ErrorBody;
use conche_runtime::listener::Problem;

use crate::host::Inner;
use crate::refusal::Refusal;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(crate) const ACTIVATION_ID: HeaderName = HeaderName::from_static("x-openwhisk-activation-id");
/// Longer identifiers of callers are not taken over.
const ID_LENGTH_MAX: usize = 128;
/// The prefix that only the host's own transactions have.
const RESERVED: &str = "sid_";

/// Names one request in answers, error bodies and the environment of actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transaction(pub(crate) Arc<str>);

impl Transaction {
    /// A new one of 32 letters and digits.
    pub(crate) fn generate() -> Self {
        Self(uuid::Uuid::now_v7().simple().to_string().into())
    }

    fn of(headers: &HeaderMap) -> Self {
        let given = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
        let fit =
            |id: &&str| !id.is_empty() && id.len() <= ID_LENGTH_MAX && !id.starts_with(RESERVED);
        given
            .filter(fit)
            .map_or_else(Self::generate, |id| Self(id.into()))
    }
}

/// Whether a path is that of a web action, which says itself who may call from where.
fn is_web(path: &str) -> bool {
    path.starts_with("/api/v1/web/")
}

/// Around every route.
pub(crate) async fn through(
    State(host): State<Arc<Inner>>,
    mut request: Request,
    next: Next,
) -> Response {
    let transaction = Transaction::of(request.headers());
    let web = is_web(request.uri().path());
    request.extensions_mut().insert(transaction.clone());
    let mut response = if request.method() == Method::OPTIONS && !web {
        StatusCode::OK.into_response()
    } else {
        next.run(request).await
    };
    if let Some(refusal) = refusal_of(&mut response, web) {
        write(&mut response, &refusal, &transaction);
    }
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::try_from(&*transaction.0) {
        headers.insert(REQUEST_ID, value);
    }
    // Whoever knows the keys may call from a page. With `dev` those are all pages.
    if !web && !host.settings.dev {
        allow_pages(headers);
    }
    response
}

/// What a route refused, or the router where no route was right.
fn refusal_of(response: &mut Response, web: bool) -> Option<Refusal> {
    if let Some(refusal) = response.extensions_mut().remove::<Refusal>() {
        return Some(refusal);
    }
    if web {
        // What an action answers is its own.
        return None;
    }
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        let allowed = response.headers().get(header::ALLOW);
        let allowed = allowed.and_then(|value| value.to_str().ok()).unwrap_or("");
        let allowed: Vec<&str> = allowed.split(',').filter(|one| *one != "HEAD").collect();
        let text = format!(
            "HTTP method not allowed, supported methods: {}",
            allowed.join(", ")
        );
        return Some(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, text));
    }
    if response.status() == StatusCode::BAD_REQUEST {
        // A path that is not UTF-8.
        return Some(Refusal::bad("The request could not be understood."));
    }
    None
}

fn write(response: &mut Response, refusal: &Refusal, transaction: &Transaction) {
    let body = ErrorBody::new(&refusal.text, &*transaction.0);
    let kept = std::mem::take(response.headers_mut());
    *response = (refusal.status, axum::Json(body)).into_response();
    let headers = response.headers_mut();
    for (name, value) in &kept {
        if name != header::CONTENT_LENGTH && name != header::CONTENT_TYPE {
            headers.append(name, value.clone());
        }
    }
    if refusal.status == StatusCode::UNAUTHORIZED {
        let realm = HeaderValue::from_static("Basic realm=\"OpenWhisk secure realm\"");
        headers.insert(header::WWW_AUTHENTICATE, realm);
    }
    if refusal.status == StatusCode::PAYLOAD_TOO_LARGE {
        // The body is not read to its end, so no other request can follow it.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(seconds) = refusal.retry_after {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    if let Some(activation) = refusal.activation.as_deref() {
        set_activation(headers, activation);
    }
}

/// What a listener refuses before a route sees it, in the form of every other refusal.
pub fn render(problem: &Problem) -> Response {
    let transaction = Transaction::generate();
    let refusal = Refusal::new(problem.status, problem.detail.clone());
    let mut response = Response::default();
    write(&mut response, &refusal, &transaction);
    if let Ok(value) = HeaderValue::try_from(&*transaction.0) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// Names the activation that an answer is about.
pub(crate) fn set_activation(headers: &mut HeaderMap, activation: &str) {
    if let Ok(value) = HeaderValue::try_from(activation) {
        headers.insert(ACTIVATION_ID, value);
    }
}

fn allow_pages(headers: &mut HeaderMap) {
    let fixed = HeaderValue::from_static;
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, fixed("*"));
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        fixed("Authorization, Origin, X-Requested-With, Content-Type, Accept, User-Agent"),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        fixed("GET, DELETE, POST, PUT, HEAD"),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_identifier_is_taken_over_unless_it_is_reserved_or_too_long() {
        let of = |id: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, id.parse().unwrap());
            Transaction::of(&headers).0
        };
        assert_eq!(&*of("mine-1"), "mine-1");
        let long = "a".repeat(ID_LENGTH_MAX + 1);
        for id in ["sid_x", "", &long] {
            let made = of(id);
            assert_eq!(made.len(), 32, "{made}");
            assert!(made.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        }
        assert_ne!(Transaction::generate(), Transaction::generate());
    }
}
