//! Invoking actions and firing triggers.
//!
//! Always the whole activation is asked for (`result=false`): only with it success, a failure
//! that the action reports and one of its code can be told apart.

use std::time::Duration;

use http::{HeaderName, Method, StatusCode};
use serde_json::Value;

use super::{Client, Error, Poll, Response, path};
use crate::model::{Accepted, Activation, ActivationId, Collection, ErrorBody, FullyQualifiedName};

/// The longest that a host waits for an activation, in milliseconds.
pub const WAIT_MAX: u32 = 60_000;

/// A blocking invocation gets this much longer than it is to wait for.
const MARGIN: Duration = Duration::from_secs(10);

/// Where a host says which activation its answer is about.
const ACTIVATION_ID: HeaderName = HeaderName::from_static("x-openwhisk-activation-id");
/// Comes back in errors, and reaches the action as `__OW_TRANSACTION_ID`.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Upstream passes it over; hosts that know it invoke once for one key.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// How to invoke.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InvokeOptions {
    /// Wait so many milliseconds for the end, 1 to [`WAIT_MAX`]; none for not at all.
    pub wait: Option<u32>,
    /// The transaction's identifier; must not begin with `sid_`.
    pub request_id: Option<String>,
    /// A key under which hosts that know of it invoke once.
    pub idempotency_key: Option<String>,
}

/// What came of an invocation.
#[derive(Debug, Clone, PartialEq)]
pub enum Invoked {
    /// It has ended, well or not. Its log is not in it: the host answers before it is there.
    Done(Box<Activation>),
    /// It goes on, or its result was all that was told: ask for this activation.
    Accepted(ActivationId),
}

/// What came of firing a trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fired {
    /// Rules were set going, under this activation.
    Accepted(ActivationId),
    /// No rule of the trigger is active: nothing happened, and nothing is stored of it.
    NoActiveRule,
}

/// How [`Client::run`] waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOptions {
    /// How long in all. Default: 5 minutes, the longest that an action may take.
    pub most: Duration,
    /// How often to ask once the host itself does not wait any more.
    pub poll: Poll,
    /// The transaction's identifier; must not begin with `sid_`.
    pub request_id: Option<String>,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            most: Duration::from_mins(5),
            poll: Poll::default(),
            request_id: None,
        }
    }
}

impl Client {
    /// Invokes an action, sequence or composition. The arguments are an object.
    ///
    /// An activation that has failed is [`Invoked::Done`] all the same;
    /// [`Error::of_activation`] makes it an error.
    ///
    /// # Errors
    /// [`Error::Lost`] where it may have been invoked: sending it again may do it twice.
    pub async fn invoke(
        &self,
        action: &FullyQualifiedName,
        arguments: &Value,
        options: &InvokeOptions,
    ) -> Result<Invoked, Error> {
        let path = path::entity(Collection::Actions, action)?;
        let query = match options.wait {
            None => "?blocking=false&result=false".to_owned(),
            Some(wait @ 1..=WAIT_MAX) => format!("?blocking=true&result=false&timeout={wait}"),
            Some(other) => {
                return Err(Error::Invalid(format!(
                    "a host waits 1 to {WAIT_MAX} ms, not {other}"
                )));
            }
        };
        let mut call = self.post(path + &query, arguments, options)?;
        if let Some(wait) = options.wait {
            let wait = Duration::from_millis(wait.into()) + MARGIN;
            call.timeout = call.timeout.max(wait);
        }
        read_invoked(&self.send(call).await?)
    }

    /// Invokes an action and waits for its end, first with the host and then by asking.
    ///
    /// # Errors
    /// The failure that the activation is, or why there is none; [`Error::Lost`] with the
    /// activation where it goes on after the time.
    pub async fn run(
        &self,
        action: &FullyQualifiedName,
        arguments: &Value,
        options: &RunOptions,
    ) -> Result<Activation, Error> {
        let begun = tokio::time::Instant::now();
        let wait = u32::try_from(options.most.as_millis()).unwrap_or(WAIT_MAX);
        let invoke = InvokeOptions {
            wait: Some(wait.clamp(1, WAIT_MAX)),
            request_id: options.request_id.clone(),
            idempotency_key: None,
        };
        let activation = match self.invoke(action, arguments, &invoke).await? {
            Invoked::Done(activation) => *activation,
            Invoked::Accepted(id) => {
                let left = options.most.saturating_sub(begun.elapsed());
                self.wait_for(&id, options.poll, left).await?
            }
        };
        Error::of_activation(activation)
    }

    /// Fires a trigger. The payload is an object.
    ///
    /// # Errors
    /// [`Error::Lost`] where it may have been fired: sending it again may do it twice.
    pub async fn fire(
        &self,
        trigger: &FullyQualifiedName,
        payload: &Value,
        options: &InvokeOptions,
    ) -> Result<Fired, Error> {
        let path = path::entity(Collection::Triggers, trigger)?;
        let call = self.post(path, payload, options)?;
        let response = self.send(call).await?;
        match response.status {
            StatusCode::NO_CONTENT => Ok(Fired::NoActiveRule),
            StatusCode::ACCEPTED | StatusCode::OK => {
                let accepted = accepted(&response).ok_or_else(|| without_id(&response))?;
                Ok(Fired::Accepted(accepted))
            }
            _ => Err(Error::of(&response)),
        }
    }

    fn post(
        &self,
        path: String,
        body: &Value,
        options: &InvokeOptions,
    ) -> Result<super::Call, Error> {
        if !body.is_object() {
            return Err(Error::Invalid("arguments are a JSON object".to_owned()));
        }
        let request_id = options.request_id.as_deref();
        if request_id.is_some_and(|id| id.starts_with("sid_")) {
            return Err(Error::Invalid(
                "an identifier of a transaction must not begin with `sid_`".to_owned(),
            ));
        }
        self.request(Method::POST, path)
            .json(body)?
            .header(REQUEST_ID, request_id)?
            .header(IDEMPOTENCY_KEY, options.idempotency_key.as_deref())
    }
}

/// What the answer to an invocation says. Pure.
///
/// A list as result arrives bare, so that the header names its activation; the same holds for
/// whatever else is no activation and no error of the API.
fn read_invoked(response: &Response) -> Result<Invoked, Error> {
    let named = || named(response).map(Invoked::Accepted);
    match response.status.as_u16() {
        202 => match accepted(response) {
            Some(id) => Ok(Invoked::Accepted(id)),
            None => Err(without_id(response)),
        },
        200 | 500..=502 | 504..=599 => {
            if let Ok(activation) = serde_json::from_slice(&response.body) {
                return Ok(Invoked::Done(Box::new(activation)));
            }
            let is_error = ErrorBody::read(&response.body).is_some();
            match named().filter(|_| !is_error) {
                Some(invoked) => Ok(invoked),
                None if response.status.is_success() => Err(without_id(response)),
                None => Err(Error::of(response)),
            }
        }
        _ => Err(Error::of(response)),
    }
}

/// The activation that an answer names: in its body, else in its header.
fn accepted(response: &Response) -> Option<ActivationId> {
    let body: Option<Accepted> = serde_json::from_slice(&response.body).ok();
    body.map(|body| body.activation_id)
        .or_else(|| named(response))
}

fn named(response: &Response) -> Option<ActivationId> {
    let text = response.headers.get(ACTIVATION_ID)?.to_str().ok()?;
    ActivationId::parse(text).ok()
}

/// It was invoked, and there is no way to ask what came of it.
fn without_id(response: &Response) -> Error {
    Error::Lost {
        reason: format!(
            "the host answered {} and named no activation",
            response.status
        ),
        activation: None,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;

    const ID: &str = "44794bd6aab74415b4e42a308d880e5b";

    fn answer(status: u16, id: Option<&str>, body: &str) -> Result<Invoked, Error> {
        let mut headers = HeaderMap::new();
        if let Some(id) = id {
            headers.insert(ACTIVATION_ID, id.parse().unwrap());
        }
        let body = Bytes::from(body.to_owned());
        let status = StatusCode::from_u16(status).unwrap();
        read_invoked(&Response {
            status,
            headers,
            body,
        })
    }

    fn activation(class: &str) -> String {
        format!(
            r#"{{"namespace":"guest","name":"a","version":"0.0.1","activationId":"{ID}","start":1,
            "response":{{"status":"{class}","success":false,"result":{{"error":"x"}}}}}}"#
        )
    }

    #[test]
    fn every_answer_to_an_invocation_is_told_apart() {
        let accepted = Invoked::Accepted(ActivationId::parse(ID).unwrap());
        let body = format!(r#"{{"activationId":"{ID}"}}"#);
        assert_eq!(answer(202, None, &body).unwrap(), accepted);
        assert_eq!(answer(202, Some(ID), "").unwrap(), accepted);
        // A list, and a failed sequence whose result is one.
        assert_eq!(answer(200, Some(ID), "[1,2]").unwrap(), accepted);
        assert_eq!(answer(502, Some(ID), r#"[{"error":1}]"#).unwrap(), accepted);
        for (status, class) in [
            (200, "success"),
            (502, "application error"),
            (502, "action developer error"),
            (500, "whisk internal error"),
        ] {
            let Ok(Invoked::Done(done)) = answer(status, Some(ID), &activation(class)) else {
                panic!("{class} is no end")
            };
            assert_eq!(done.response.status.as_str(), class);
        }
        let coded = r#"{"error":"no","code":"t1"}"#;
        let failed = answer(500, Some(ID), coded).unwrap_err();
        assert!(
            matches!(&failed, Error::Failed(refusal) if refusal.transaction.as_deref() == Some("t1"))
        );
        assert!(matches!(
            answer(502, None, "<html>bad gateway"),
            Err(Error::Lost { .. })
        ));
        assert!(matches!(
            answer(504, None, "<html>"),
            Err(Error::Lost { .. })
        ));
        assert_eq!(answer(504, Some(ID), "<html>").unwrap(), accepted);
        assert!(matches!(answer(429, None, coded), Err(Error::Throttled(_))));
        assert!(matches!(
            answer(503, None, coded),
            Err(Error::Unavailable(_))
        ));
        assert!(matches!(
            answer(202, None, "{}"),
            Err(Error::Lost {
                activation: None,
                ..
            })
        ));
        assert!(matches!(answer(200, None, "[1]"), Err(Error::Lost { .. })));
        for status in [301, 400, 401, 403, 404, 409, 413] {
            let error = answer(status, None, coded).unwrap_err();
            assert!(matches!(&error, Error::Rejected(_)), "{error:?}");
            assert_eq!(error.status(), Some(status));
        }
    }
}
