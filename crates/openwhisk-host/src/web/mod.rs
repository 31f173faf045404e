//! Web actions: actions that anyone may call by HTTP, under the conditions of their annotations.
//!
//! What a request gives the action and what the result answers are pure functions
//! (`request`, `project`); this file only finds the action, checks who may call and waits.
//! What is not exported is not there: nothing here tells a private action from none. The
//! activation is its owner's.

mod media;
mod project;
mod request;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use conche_openwhisk::model::{
    Activation, FullyQualifiedName, Messages, Name, RESERVED_PACKAGE, Status,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use subtle::ConstantTimeEq as _;

pub use self::project::{Error as ProjectError, Extension, Projected, project};
pub(crate) use self::request::headers;
pub use self::request::{Asked as WebRequest, Error as RequestError, arguments, raw_arguments};
use crate::entities::Target;
use crate::host::Inner;
use crate::invoke::{Answered, Asked};
use crate::native;
use crate::refusal::Refusal;
use crate::rest::{read_body, transaction_of};
use crate::settings::millis;
use crate::store::User;
use crate::transaction::set_activation;
use crate::users::SYSTEM;

const METHODS: &str = "OPTIONS, GET, DELETE, POST, PUT, HEAD, PATCH";
const ALLOWED_HEADERS: &str =
    "Authorization, Origin, X-Requested-With, Content-Type, Accept, User-Agent";
const SECRET: HeaderName = HeaderName::from_static("x-require-whisk-auth");
/// Under which web actions are.
const ROOT: &str = "/api/v1/web/";

/// What the path of a web action names.
struct Place {
    action: FullyQualifiedName,
    extension: Extension,
    /// What follows, as it was written.
    rest: String,
}

/// `/api/v1/web/{ns}/{pkg|default}/{name}[.ext][/more]`.
pub(crate) async fn call(State(host): State<Arc<Inner>>, request: Request) -> Response {
    let asked_headers = request
        .headers()
        .get(header::ACCESS_CONTROL_REQUEST_HEADERS);
    let asked_headers = asked_headers.cloned();
    match host.web(request).await {
        Ok((response, true)) => response,
        Ok((response, false)) => allow_pages(response, asked_headers),
        Err(refusal) => allow_pages(refusal.into_response(), asked_headers),
    }
}

/// The headers that let any page call.
fn allow_pages(mut response: Response, asked_headers: Option<HeaderValue>) -> Response {
    let headers = response.headers_mut();
    let fixed = HeaderValue::from_static;
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, fixed("*"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, fixed(METHODS));
    let allowed = asked_headers.unwrap_or(fixed(ALLOWED_HEADERS));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    response
}

impl Place {
    fn parse(path: &str) -> Result<Self, Refusal> {
        let mut parts = path.strip_prefix(ROOT).unwrap_or_default().splitn(4, '/');
        let mut part = || {
            let written = parts.next().filter(|part| !part.is_empty());
            let decoded = percent_decode_str(written?).decode_utf8().ok()?;
            Some(decoded.into_owned())
        };
        let (Some(namespace), Some(package), Some(last)) = (part(), part(), part()) else {
            return Err(Refusal::not_found());
        };
        let (simple, extension) = Extension::split(&last);
        let name = |text: &str| Name::parse(text).map_err(|_| Refusal::not_found());
        let package = match package.as_str() {
            RESERVED_PACKAGE => None,
            other => Some(name(other)?),
        };
        let action = FullyQualifiedName::new(name(&namespace)?, package, name(simple)?);
        let rest = path.strip_prefix(ROOT).unwrap_or_default();
        let rest = rest.splitn(4, '/').nth(3).map(|rest| format!("/{rest}"));
        Ok(Self {
            action,
            extension,
            rest: rest.unwrap_or_default(),
        })
    }
}

impl Inner {
    /// Calls a web action. True where its answer is to get no headers for pages.
    async fn web(self: &Arc<Self>, request: Request) -> Result<(Response, bool), Refusal> {
        let place = Place::parse(request.uri().path())?;
        if is_gateway(&place.action) {
            return self
                .gateway(&place, request)
                .await
                .map(|answer| (answer, false));
        }
        let (owner, target) = self.exported(&place).await?;
        let custom = target.action.annotations.is_true("web-custom-options");
        let options = request.method() == Method::OPTIONS;
        check_method(request.method())?;
        if options && !custom {
            return Ok((StatusCode::OK.into_response(), false));
        }
        let caller = self.users.caller(request.headers()).ok();
        if !options {
            let wanted = target.action.annotations.get("require-whisk-auth");
            check_secret(wanted, request.headers(), caller.is_some())?;
        }
        let (parts, body) = request.into_parts();
        let limit = self.settings.sizes.payload.bytes();
        let whole = Request::from_parts(parts.clone(), body);
        let body = read_body(whole, limit).await?;
        let user = caller.as_ref().map(|caller| caller.namespace.as_str());
        let payload = payload(&parts, &place, &body, user, &target)?;
        let asked = Asked {
            who: owner,
            target,
            payload,
            transaction: transaction_of(&parts),
            named: None,
            wait: Some(Duration::from_millis(millis(
                self.settings.actions.blocking_wait,
            ))),
        };
        match self.invoke(asked).await? {
            Answered::Accepted(id) => Err(Refusal {
                activation: Some(id.to_string()),
                ..Refusal::new(StatusCode::ACCEPTED, "Response not yet ready.")
            }),
            Answered::Over(activation) => {
                shown(place.extension, &activation).map(|it| (it, custom))
            }
        }
    }

    /// The action of a place with its owner; not found where it is not exported.
    async fn exported(&self, place: &Place) -> Result<(Arc<User>, Target), Refusal> {
        let owner = self.users.of(place.action.namespace.as_str());
        let owner = owner.ok_or_else(Refusal::not_found)?;
        let found = self.target(&owner, place.action.clone()).await;
        let target = found.map_err(|refusal| {
            let unseen = matches!(
                refusal.status,
                StatusCode::FORBIDDEN | StatusCode::CONFLICT | StatusCode::BAD_REQUEST
            );
            if unseen {
                Refusal::not_found()
            } else {
                refusal
            }
        })?;
        if !target.action.annotations.is_true("web-export") {
            return Err(Refusal::not_found());
        }
        Ok((owner, target))
    }

    /// The answers of `whisk.system/apimgmt`.
    async fn gateway(
        self: &Arc<Self>,
        place: &Place,
        request: Request,
    ) -> Result<Response, Refusal> {
        if request.method() == Method::OPTIONS {
            return Ok(StatusCode::OK.into_response());
        }
        let who = self.users.caller(request.headers())?;
        let query = request.uri().query().unwrap_or_default().to_owned();
        let body = read_body(request, self.settings.sizes.payload.bytes()).await?;
        let name = place.action.name.as_str();
        let answer = native::gateway(self, &who, name, &query, &body).await?;
        Ok(axum::Json(answer).into_response())
    }
}

fn is_gateway(action: &FullyQualifiedName) -> bool {
    let package = action.package.as_ref().map(Name::as_str);
    action.namespace.as_str() == SYSTEM && package == Some("apimgmt")
}

fn check_method(method: &Method) -> Result<(), Refusal> {
    let known = METHODS.split(", ").any(|known| known == method.as_str());
    if known {
        return Ok(());
    }
    let text = format!("HTTP method not allowed, supported methods: {METHODS}");
    Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, text))
}

/// Whether a caller may call an action with this annotation `require-whisk-auth`.
fn check_secret(
    wanted: Option<&Value>,
    headers: &HeaderMap,
    authenticated: bool,
) -> Result<(), Refusal> {
    let given = headers.get(SECRET).map(HeaderValue::as_bytes);
    let same = |secret: &str| given.is_some_and(|given| bool::from(given.ct_eq(secret.as_bytes())));
    let allowed = match wanted {
        None | Some(Value::Null | Value::Bool(false)) => true,
        Some(Value::Bool(true)) => authenticated,
        Some(Value::String(secret)) => same(secret),
        Some(Value::Number(secret)) => same(&secret.to_string()),
        // What says nothing that can be shown lets nobody in.
        Some(Value::Array(_) | Value::Object(_)) => false,
    };
    if allowed {
        return Ok(());
    }
    let text = if given.is_some() || headers.contains_key(header::AUTHORIZATION) {
        Messages::BAD_CREDENTIALS
    } else {
        Messages::NO_CREDENTIALS
    };
    Err(Refusal::new(StatusCode::UNAUTHORIZED, text))
}

fn payload(
    parts: &Parts,
    place: &Place,
    body: &[u8],
    user: Option<&str>,
    target: &Target,
) -> Result<Value, Refusal> {
    let mut headers = parts.headers.clone();
    headers.remove(SECRET);
    if user.is_some() {
        // They are of this host: whoever owns the action must not get them.
        headers.remove(header::AUTHORIZATION);
    }
    let asked = WebRequest {
        method: parts.method.as_str(),
        headers: &headers,
        path: &place.rest,
        query: parts.uri.query().unwrap_or_default(),
        body,
        user,
    };
    let arguments = if target.action.annotations.is_true("raw-http") {
        raw_arguments(&asked)
    } else {
        let refuse = |error: RequestError| Refusal::bad(error.to_string());
        arguments(&asked, &target.immutable()).map_err(refuse)?
    };
    Ok(arguments.into())
}

/// The answer for what came of an activation.
fn shown(extension: Extension, activation: &Activation) -> Result<Response, Refusal> {
    let about = |refusal: Refusal| Refusal {
        activation: Some(activation.activation_id.to_string()),
        ..refusal
    };
    let failed = match activation.response.status {
        Status::Success => false,
        Status::ApplicationError => true,
        _ => {
            let text = "There was an error processing your request.";
            return Err(about(Refusal::bad(text)));
        }
    };
    let nothing = Value::Null;
    let result = activation.response.result.as_ref().unwrap_or(&nothing);
    let projected = project(extension, result, failed);
    let projected =
        projected.map_err(|error| about(Refusal::new(error.status(), error.to_string())))?;
    let mut response = (projected.status, projected.body).into_response();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    for (name, value) in projected.headers {
        headers.append(name, value);
    }
    set_activation(headers, activation.activation_id.as_str());
    Ok(response)
}
