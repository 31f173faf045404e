//! `respond`: answers the synchronous webhook that waits for the run's event.
//!
//! An answer that nobody waits for (any more) is no error: the run's work counts, whoever
//! listens. It must never set a header that belongs to the connection.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use conche_core::Json;
use conche_core::run::{OnUncertain, Repeat};
use http::{HeaderName, HeaderValue, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{input, output, unknown};
use crate::action::{Action, ActionModule, ActionSpec, Answer, Call, Error, Output};
use crate::{BuildContext, BuildError, config};

pub(super) static MODULE: ActionModule = ActionModule {
    name: "respond",
    summary: "Answers the request that waits for the run's event.",
    actions: &[ActionSpec {
        name: "respond",
        summary: "Gives the answer.",
        input: &config::schema::<Input>,
        output: &config::schema::<Done>,
        repeat: Repeat::Idempotent,
        on_uncertain: OnUncertain::Repeat,
    }],
    config: &config::schema::<Config>,
    build: &build,
};

/// Headers that the listener sets, or that would act on its connection or on other
/// services of the same host.
const REFUSED: [HeaderName; 8] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::SET_COOKIE,
    header::STRICT_TRANSPORT_SECURITY,
];

/// The most headers of an answer.
const HEADERS_MAX: usize = 32;

/// `respond` has no settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {}

/// What `respond` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// The HTTP status, 200 to 599. Default: 200.
    #[serde(default = "default_status")]
    #[schemars(range(min = 200, max = 599))]
    status: u16,
    /// Header names and values, at most 32. Default: the content type of the body.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// The body: sent as JSON; a text is sent as it is where `headers` name another content
    /// type. Default: empty.
    #[serde(default = "Json::null")]
    #[schemars(with = "Value")]
    body: Json,
}

const fn default_status() -> u16 {
    200
}

/// What `respond` returns.
#[derive(Debug, Serialize, JsonSchema)]
struct Done {
    /// Whether anybody was waiting.
    delivered: bool,
}

struct Respond;

fn build(config: Value, _cx: &BuildContext) -> Result<Arc<dyn Action>, BuildError> {
    let Config {} = config::read("actions.respond", config)?;
    Ok(Arc::new(Respond))
}

#[async_trait]
impl Action for Respond {
    async fn invoke(&self, call: &Call) -> Result<Output, Error> {
        if call.action != "respond" {
            return Err(unknown("respond", &call.action));
        }
        let answer = answer(input(call)?)?;
        let delivered = call.host.respond(call, answer);
        output(&Done { delivered })
    }
}

fn answer(input: Input) -> Result<Answer, Error> {
    if !(200..600).contains(&input.status) {
        return Err(Error::permanent(format!(
            "{} is not the status of an answer: it is from 200 to 599",
            input.status
        )));
    }
    if input.headers.len() > HEADERS_MAX {
        return Err(Error::permanent(format!(
            "an answer has at most {HEADERS_MAX} headers"
        )));
    }
    for (name, value) in &input.headers {
        let parsed = name.parse::<HeaderName>();
        match (parsed, HeaderValue::from_str(value)) {
            (Ok(parsed), Ok(_)) if REFUSED.contains(&parsed) => {
                return Err(Error::permanent(format!(
                    "the header `{name}` can't be set"
                )));
            }
            (Ok(_), Ok(_)) => {}
            _ => return Err(Error::permanent(format!("`{name}` is not a valid header"))),
        }
    }
    Ok(Answer {
        status: input.status,
        headers: input.headers.into_iter().collect(),
        body: input.body,
    })
}
