//! `http-api`: one HTTP request, written as its start line, headers and content.
//!
//! Two actions, because what a repeat means is the method's to say: `read` takes GET, HEAD
//! and OPTIONS and may be repeated; `execute` takes every method and sends the call's key
//! along, but only the receiver knows whether it honours that, so a request whose fate is
//! unknown goes to a person. [`Command::action`](crate::command::Command::action) chooses.
//!
//! What was answered is the result, as far as it fits; anything but 2xx is a failure.

use std::sync::Arc;

use async_trait::async_trait;
use conche_core::Json;
use conche_core::run::{OnUncertain, Repeat};
use http::{HeaderMap, HeaderName, Method};
use serde_json::Value;
use url::Url;

use super::over_http::{self, Base, Client, Config, StartLine};
use crate::action::{Action, ActionModule, ActionSpec, Call, Error, Output};
use crate::actions::{input, rehearsed, unknown};
use crate::clients::outcome::{Answered, Promise};
use crate::clients::request::header_value;
use crate::command::{CommandInput, EXECUTE, READ};
use crate::config as settings;
use crate::{BuildContext, BuildError};

pub(super) static MODULE: ActionModule = ActionModule {
    name: "http-api",
    summary: "Carries out the `http-api` commands of playbooks.",
    actions: &[
        ActionSpec {
            name: EXECUTE,
            summary: "Makes a request that must not be made twice unseen.",
            input: &settings::schema::<CommandInput>,
            output: &settings::schema::<Answered>,
            repeat: Repeat::Unsafe,
            on_uncertain: OnUncertain::Attention,
        },
        ActionSpec {
            name: READ,
            summary: "Makes a request by GET, HEAD or OPTIONS.",
            input: &settings::schema::<CommandInput>,
            output: &settings::schema::<Answered>,
            repeat: Repeat::Idempotent,
            on_uncertain: OnUncertain::Repeat,
        },
    ],
    config: &settings::schema::<Config>,
    build: &build,
};

const PLACE: &str = "actions.http-api";

/// Where the call's key goes, unless the playbook has set it.
pub(super) const KEY: HeaderName = HeaderName::from_static("idempotency-key");

struct HttpApi {
    client: Client,
}

fn build(config: Value, cx: &BuildContext) -> Result<Arc<dyn Action>, BuildError> {
    let config: Config = settings::read(PLACE, config)?;
    let client = Client::build(PLACE, config, cx)?;
    Ok(Arc::new(HttpApi { client }))
}

/// What is sent, but for the key.
struct Ready {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl HttpApi {
    fn ready(&self, input: &CommandInput, line: StartLine<'_>) -> Result<Ready, Error> {
        let url = Base::of(input.acted_on())?.join(line.target)?;
        let mut headers = over_http::headers(&input.command)?;
        let to = over_http::receiver(&url)?;
        self.client
            .authorize(&mut headers, &to, input.authentication())?;
        Ok(Ready {
            method: line.method,
            url,
            headers,
            body: over_http::content(&input.command)?.unwrap_or_default(),
        })
    }

    async fn request(&self, call: &Call) -> Result<Output, Error> {
        let input: CommandInput = input(call)?;
        let line = StartLine::parse(over_http::text(&input.command)?)?;
        match call.action.as_str() {
            EXECUTE => {}
            READ if line.is_safe() => {}
            READ => {
                return Err(Error::permanent(format!(
                    "`{READ}` makes no {} request: it may change something",
                    line.method
                )));
            }
            other => return Err(unknown("http-api", other)),
        }
        let ready = self.ready(&input, line)?;
        let promise = Promise::of(&ready.method);
        let mut request = self.client.request(ready.method, &ready.url, call.timeout);
        request.headers.extend(ready.headers);
        if promise != Promise::Safe && !request.headers.contains_key(KEY) {
            let key = header_value(KEY.as_str(), call.key.as_str());
            request.headers.insert(KEY, key.map_err(Error::Permanent)?);
        }
        request.body = ready.body.into();
        request.cut = true;
        let result = self.client.send(request).await;
        self.client.judge(promise, result)
    }
}

#[async_trait]
impl Action for HttpApi {
    fn foresee(&self, input: &Json) -> Result<(), Error> {
        let input: CommandInput = rehearsed(input)?;
        let line = StartLine::parse(over_http::text(&input.command)?)?;
        let ready = self.ready(&input, line);
        ready.map(drop).map_err(|error| self.client.masked(error))
    }

    async fn invoke(&self, call: &Call) -> Result<Output, Error> {
        let result = self.request(call).await;
        result.map_err(|error| self.client.masked(error))
    }
}
