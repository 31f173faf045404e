//! Bodies of requests: their type, their size, their JSON.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use conche_openwhisk::model::check_size;
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::host::Inner;
use crate::refusal::Refusal;

/// The body of a PUT of an entity, or of a change of a rule.
pub(crate) struct Document(Vec<u8>);

/// The arguments of an invocation or a firing.
pub(crate) struct Payload {
    /// The object that was sent; an empty one where nothing was.
    pub(crate) members: Map<String, Value>,
    pub(crate) headers: HeaderMap,
}

impl Document {
    /// Reads what was sent; `{}` where nothing was.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        let text: &[u8] = if self.0.is_empty() { b"{}" } else { &self.0 };
        serde_json::from_slice(text).map_err(Refusal::malformed)
    }
}

impl FromRequest<Arc<Inner>> for Document {
    type Rejection = Refusal;

    async fn from_request(request: Request, host: &Arc<Inner>) -> Result<Self, Refusal> {
        check_type(request.headers())?;
        let limit = host.settings.body_bytes();
        Ok(Self(read(request, limit).await?))
    }
}

impl FromRequest<Arc<Inner>> for Payload {
    type Rejection = Refusal;

    async fn from_request(request: Request, host: &Arc<Inner>) -> Result<Self, Refusal> {
        check_type(request.headers())?;
        let headers = request.headers().clone();
        let bytes = read(request, host.settings.sizes.payload.bytes()).await?;
        let members = if bytes.is_empty() {
            Map::new()
        } else {
            match serde_json::from_slice(&bytes).map_err(Refusal::malformed)? {
                Value::Object(members) => members,
                other => {
                    let text = format!("Object expected in field '', but got {}", sort(&other));
                    return Err(Refusal::malformed(text));
                }
            }
        };
        Ok(Self { members, headers })
    }
}

fn sort(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The API speaks JSON; a body that says nothing is taken for it.
fn check_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(given) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let given = given.to_str().unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    let empty = headers
        .get(header::CONTENT_LENGTH)
        .is_some_and(|length| length == "0");
    if essence.eq_ignore_ascii_case("application/json") || essence.is_empty() || empty {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "The request's Content-Type is not supported. Expected:\napplication/json",
    ))
}

/// The bytes of a body of at most `limit`: what says that it is larger is not read at all.
pub(crate) async fn read(request: Request, limit: u64) -> Result<Vec<u8>, Refusal> {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    check_size("Request", length.unwrap_or(0), limit)?;
    collect(request.into_body(), limit).await
}

async fn collect(body: Body, limit: u64) -> Result<Vec<u8>, Refusal> {
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    match Limited::new(body, most).collect().await {
        Ok(collected) => Ok(collected.to_bytes().into()),
        Err(error) if error.is::<LengthLimitError>() => {
            check_size("Request", limit.saturating_add(1), limit)?;
            Ok(Vec::new())
        }
        Err(error) => Err(Refusal::malformed(error)),
    }
}
