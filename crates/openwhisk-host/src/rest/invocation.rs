//! `POST …/actions/{[p/]n}`: invoking, waiting for the outcome or not.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use conche_openwhisk::model::{Accepted, Activation, ActivationId, Messages, Other};
use http::{HeaderMap, HeaderName, StatusCode};
use serde_json::Value;

use super::actions::Place;
use super::body::Payload;
use super::query::Query;
use super::{Caller, Here};
use crate::host::Inner;
use crate::invoke::{Answered, Asked, Named};
use crate::refusal::Refusal;
use crate::settings::millis;
use crate::transaction::set_activation;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Longer keys are refused.
const KEY_LENGTH_MAX: usize = 256;

/// Invokes an action, sequence or composition.
pub(super) async fn invoke(
    State(host): Here,
    caller: Caller,
    Path(place): Path<Place>,
    query: Query,
    payload: Payload,
) -> Result<Response, Refusal> {
    let blocking = query.flag("blocking", false)?;
    let bare = query.flag("result", false)?;
    let wait = wait(&host, &query)?;
    let target = host.target(&caller.who, place.named(&caller.who)?).await?;
    let members = payload.members;
    if target
        .immutable()
        .iter()
        .any(|key| members.contains_key(*key))
    {
        return Err(Refusal::bad(Messages::PARAMETERS_NOT_ALLOWED));
    }
    let arguments = Value::from(members);
    let key = idempotency(&payload.headers)?;
    let named = key.map(|key| Named::new(&key, "invoke", &target.asked, &arguments));
    let asked = Asked {
        who: Arc::clone(&caller.who),
        target,
        payload: arguments,
        transaction: caller.transaction,
        named,
        wait: blocking.then_some(wait),
    };
    Ok(match host.invoke(asked).await? {
        Answered::Accepted(id) => accepted(id),
        Answered::Over(activation) => over(&activation, bare),
    })
}

/// How long the caller is willing to wait.
fn wait(host: &Inner, query: &Query) -> Result<Duration, Refusal> {
    let most = millis(host.settings.actions.blocking_wait);
    let Some(text) = query.get("timeout") else {
        return Ok(Duration::from_millis(most));
    };
    match text.parse() {
        Ok(wait) if (1..=most).contains(&wait) => Ok(Duration::from_millis(wait)),
        _ => Err(Refusal::query("timeout", Messages::invalid_timeout(most))),
    }
}

/// The caller's name for what it asks for.
pub(super) fn idempotency(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    match key.to_str() {
        Ok("") => Ok(None),
        Ok(key) if key.len() <= KEY_LENGTH_MAX => Ok(Some(key.to_owned())),
        _ => Err(Refusal::bad(format!(
            "The header Idempotency-Key must be of at most {KEY_LENGTH_MAX} visible characters."
        ))),
    }
}

/// 202: it goes on.
fn accepted(activation_id: ActivationId) -> Response {
    let id = activation_id.to_string();
    let body = Accepted {
        activation_id,
        other: Other::new(),
    };
    let mut response = (StatusCode::ACCEPTED, Json(body)).into_response();
    set_activation(response.headers_mut(), &id);
    response
}

/// The outcome: the activation without its log, or only the result. An array is always bare.
fn over(activation: &Activation, bare: bool) -> Response {
    let status = StatusCode::from_u16(activation.response.status.http_status());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let result = activation.response.result.as_ref();
    let body = match result {
        Some(result @ Value::Array(_)) => Json(result).into_response(),
        result if bare => {
            let empty = Value::Object(serde_json::Map::new());
            Json(result.unwrap_or(&empty)).into_response()
        }
        _ => {
            let shown = Activation {
                logs: Vec::new(),
                ..activation.clone()
            };
            Json(shown).into_response()
        }
    };
    let mut response = (status, body).into_response();
    set_activation(response.headers_mut(), activation.activation_id.as_str());
    response
}
