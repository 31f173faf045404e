//! `openc2-http`: one OpenC2 command to a consumer that listens on HTTP, after the transfer
//! specification 1.1 (and 1.0, whose messages are the bare command and response).
//!
//! HTTP says whether the message arrived, OpenC2 what came of it: both are told apart. The
//! message is sent as it was written, once it is clear that it is a command; an answer of
//! 200 that is no OpenC2 response is not taken for success.

use std::sync::Arc;

use async_trait::async_trait;
use conche_core::run::{OnUncertain, Repeat};
use conche_runtime::egress;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::over_http::{self, Base, Client, Config, StartLine};
use crate::action::{Action, ActionModule, ActionSpec, Call, Error, Output};
use crate::actions::{input, output, unknown};
use crate::clients::outcome::{Promise, quote};
use crate::clients::request::{header_value, uuid_of};
use crate::command::{CommandInput, EXECUTE};
use crate::config as settings;
use crate::{BuildContext, BuildError};

pub(super) static MODULE: ActionModule = ActionModule {
    name: "openc2-http",
    summary: "Carries out the `openc2-http` commands of playbooks.",
    actions: &[ActionSpec {
        name: EXECUTE,
        summary: "Sends an OpenC2 command.",
        input: &settings::schema::<CommandInput>,
        output: &settings::schema::<Answered>,
        repeat: Repeat::Unsafe,
        on_uncertain: OnUncertain::Attention,
    }],
    config: &settings::schema::<Config>,
    build: &build,
};

const PLACE: &str = "actions.openc2-http";

const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/openc2+json;version=1.0");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a consumer answers.
#[derive(Debug, Serialize, JsonSchema)]
struct Answered {
    /// OpenC2's status: 102 while the consumer still works on it, 200 when it is done. Absent
    /// where the consumer has answered nothing, as a command may ask it to.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u64>,
    /// OpenC2's words for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    status_text: Option<String>,
    /// What the consumer found or did.
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<Value>,
    /// The status of HTTP.
    http_status: u16,
    /// The whole answer as text.
    body: String,
}

struct OpenC2 {
    client: Client,
}

fn build(config: Value, cx: &BuildContext) -> Result<Arc<dyn Action>, BuildError> {
    let config: Config = settings::read(PLACE, config)?;
    let client = Client::build(PLACE, config, cx)?;
    Ok(Arc::new(OpenC2 { client }))
}

impl OpenC2 {
    async fn send(&self, call: &Call) -> Result<Output, Error> {
        if call.action != EXECUTE {
            return Err(unknown("openc2-http", &call.action));
        }
        let input: CommandInput = input(call)?;
        let line = StartLine::parse(over_http::text(&input.command)?)?;
        if line.method != Method::POST {
            return Err(Error::permanent(format!(
                "OpenC2 is sent by POST, not by {}",
                line.method
            )));
        }
        let body = over_http::content(&input.command)?.unwrap_or_default();
        let id = check(&body)?.unwrap_or_else(|| uuid_of(call.key.as_str()));
        let url = Base::of(input.acted_on())?.join(line.target)?;
        let mut request = self.client.request(Method::POST, &url, call.timeout);
        request.headers.extend(defaults(&id)?);
        request.headers.extend(over_http::headers(&input.command)?);
        request.body = body.into();
        let authentication = input.authentication();
        let to = over_http::receiver(&url)?;
        self.client
            .authorize(&mut request.headers, &to, authentication)?;
        let result = self.client.send(request).await;
        match result {
            Ok(response) if response.status.is_success() => self.answered(&response),
            Ok(response) => Err(self.refused(response)),
            Err(error) => Err(self
                .client
                .judge(Promise::Nothing, Err(error))
                .err()
                .unwrap_or_else(|| Error::permanent("no answer"))),
        }
    }

    fn answered(&self, response: &egress::Response) -> Result<Output, Error> {
        let text = String::from_utf8_lossy(&response.body).into_owned();
        let masker = self.client.masker();
        let mut answered = Answered {
            status: None,
            status_text: None,
            results: None,
            http_status: response.status.as_u16(),
            body: masker.mask(&text).into_owned(),
        };
        if text.trim().is_empty() {
            return output(&answered);
        }
        let told = self.response(&response.body).ok_or_else(|| {
            Error::permanent(format!(
                "answered {}, but not with an OpenC2 response: {}",
                response.status,
                quote(&text, &masker)
            ))
        })?;
        if told.status != 102 && !(200..300).contains(&told.status) {
            return Err(Error::Permanent(told.failure()));
        }
        answered.status = Some(told.status);
        answered.status_text = told.status_text;
        answered.results = told.results;
        output(&answered)
    }

    /// HTTP decides whether it may be tried again; OpenC2's own words say why, if there are any.
    fn refused(&self, response: egress::Response) -> Error {
        let told = self.response(&response.body);
        let status = response.status;
        let judged = self.client.judge(Promise::Nothing, Ok(response));
        let Err(error) = judged else {
            return Error::permanent(format!("answered {status}"));
        };
        let told = told.map(|told| format!("answered {status}: {}", told.failure()));
        match (error, told) {
            (Error::Retry { after, .. }, Some(message)) => Error::Retry { message, after },
            (Error::Permanent(_), Some(message)) => Error::Permanent(message),
            (error, _) => error,
        }
    }

    /// The OpenC2 response in a body, bare or in a message, without secrets.
    fn response(&self, body: &[u8]) -> Option<Response> {
        let mut whole = self.client.json(body)?;
        let found = match whole.pointer_mut("/body/openc2/response") {
            Some(inner) => inner.take(),
            None => whole,
        };
        Some(Response {
            status: found.get("status")?.as_u64()?,
            status_text: found
                .get("status_text")
                .and_then(Value::as_str)
                .map(str::to_owned),
            results: found.get("results").cloned(),
        })
    }
}

/// An OpenC2 response (Language Specification 1.0, §3.3.2).
struct Response {
    status: u64,
    status_text: Option<String>,
    results: Option<Value>,
}

impl Response {
    fn failure(&self) -> String {
        let text = self.status_text.as_deref().unwrap_or("no reason given");
        let text: String = text.chars().take(500).collect();
        format!("the consumer says {}: {text}", self.status)
    }
}

#[async_trait]
impl Action for OpenC2 {
    async fn invoke(&self, call: &Call) -> Result<Output, Error> {
        let result = self.send(call).await;
        result.map_err(|error| self.client.masked(error))
    }
}

/// Headers that a producer must or should set, unless the playbook sets them.
fn defaults(id: &str) -> Result<HeaderMap, Error> {
    let id = header_value(REQUEST_ID.as_str(), id).map_err(Error::Permanent)?;
    let pairs = [
        (header::CONTENT_TYPE, CONTENT_TYPE),
        (header::ACCEPT, CONTENT_TYPE),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (REQUEST_ID, id),
    ];
    Ok(pairs.into_iter().collect())
}

/// Checks that a body is an OpenC2 command, bare or in a message, and gives the identifier
/// that it has.
fn check(body: &[u8]) -> Result<Option<String>, Error> {
    let wrong = |flaw: &str| Error::permanent(format!("the content is no OpenC2 command: {flaw}"));
    let message: Value =
        serde_json::from_slice(body).map_err(|error| wrong(&format!("no JSON: {error}")))?;
    let request = message.pointer("/body/openc2/request");
    let command = request.unwrap_or(&message);
    if !command.is_object() {
        return Err(wrong("it is no object"));
    }
    if command["action"].as_str().is_none_or(str::is_empty) {
        return Err(wrong("it has no `action`"));
    }
    if command["target"].as_object().map(serde_json::Map::len) != Some(1) {
        return Err(wrong("its `target` is no object with one member"));
    }
    let id = message.pointer("/headers/request_id");
    Ok(id.and_then(Value::as_str).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_has_an_action_and_one_target() {
        let bare = r#"{"action":"deny","target":{"ipv4_net":"1.2.3.4/32"}}"#;
        assert_eq!(check(bare.as_bytes()).unwrap(), None);
        let message = format!(
            r#"{{"headers":{{"request_id":"x"}},"body":{{"openc2":{{"request":{bare}}}}}}}"#
        );
        assert_eq!(check(message.as_bytes()).unwrap().as_deref(), Some("x"));
        for text in [
            "",
            "[]",
            "\"deny\"",
            "{}",
            r#"{"action":"deny"}"#,
            r#"{"action":"","target":{"a":1}}"#,
            r#"{"action":"deny","target":"a"}"#,
            r#"{"action":"deny","target":{}}"#,
            r#"{"action":"deny","target":{"a":1,"b":2}}"#,
            r#"{"body":{"openc2":{"request":{"action":"deny"}}}}"#,
        ] {
            assert!(check(text.as_bytes()).is_err(), "{text}");
        }
    }
}
