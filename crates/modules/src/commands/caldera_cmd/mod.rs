//! `caldera-cmd`: an ability that Caldera's agents perform, by its REST API v2.
//!
//! A call is one operation of Caldera's, whose identifier is made of the call's key. So the
//! work converges: what an earlier attempt has created is found and not made again, and an
//! attempt whose answer was lost is asked about ([`Action::probe`]). The operation has no
//! plan of its own; one link is put into it for each agent, so that nobody else is touched.
//!
//! It is closed when all links have ended. Whether an agent did what it was told is the exit
//! status that it reports; an agent that stays away leaves the call in doubt, since it will
//! find the link when it comes back.

mod ability;
mod operation;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use conche_core::run::{OnUncertain, Repeat};
use conche_runtime::egress::ClientTls;
use conche_runtime::units::{Size, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use self::operation::Operation;
use super::over_http::{self, Client, Config as HttpConfig, Configured, Server};
use crate::action::{Action, ActionModule, ActionSpec, Call, Error, Output, Probed};
use crate::actions::{input, output, unknown};
use crate::command::{CommandInput, EXECUTE};
use crate::config::{self as settings, SecretName};
use crate::{BuildContext, BuildError};

pub(super) static MODULE: ActionModule = ActionModule {
    name: "caldera-cmd",
    summary: "Carries out the `caldera-cmd` commands of playbooks.",
    actions: &[ActionSpec {
        name: EXECUTE,
        summary: "Has Caldera's agents perform an ability.",
        input: &settings::schema::<CommandInput>,
        output: &settings::schema::<Performed>,
        repeat: Repeat::Probe,
        on_uncertain: OnUncertain::Repeat,
    }],
    config: &settings::schema::<Config>,
    build: &build,
};

const PLACE: &str = "actions.caldera-cmd";

/// Left of a call's time for the last answer.
const MARGIN: Duration = Duration::from_millis(500);

/// Settings of `caldera-cmd`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// Caldera's address, for agents that have none. Default: none.
    url: Option<String>,
    /// The key of Caldera's API at `url`. Default: none.
    api_key: Option<SecretName>,
    /// How commands are hidden on their way, one of Caldera's obfuscators. Default: `plain-text`.
    obfuscator: String,
    /// The time between two looks at the links. Default: `2s`.
    poll: Span,
    /// The longest time for one request. Default: `30s`.
    timeout: Span,
    /// The largest answer to one request. Default: `4MiB`.
    max_response: Size,
    /// So much of the output of each agent is kept, standard output and error each. Default: `64KiB`.
    max_output: Size,
    /// Whom to trust and as whom to appear. Default: as set under `egress:`.
    tls: Option<ClientTls>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: None,
            api_key: None,
            obfuscator: "plain-text".to_owned(),
            poll: Span::from_secs(2),
            timeout: Span::from_secs(30),
            max_response: Size::from_mib(4),
            max_output: Size::from_kib(64),
            tls: None,
        }
    }
}

/// What the agents did.
#[derive(Debug, Serialize, JsonSchema)]
struct Performed {
    /// `finished`: every agent has reported success.
    status: &'static str,
    /// The operation's identifier in Caldera.
    operation: String,
    /// One for each agent.
    links: Vec<LinkDone>,
    /// The standard output of all agents, one after the other.
    result: String,
    /// True where outputs were longer than `max_output`; else absent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

/// What one agent did.
#[derive(Debug, Serialize, JsonSchema)]
struct LinkDone {
    /// The agent.
    paw: String,
    /// Its host.
    host: String,
    /// Caldera's status of the link: 0 for success.
    status: i64,
    /// Its standard output.
    output: String,
    /// Its standard error, where Caldera keeps the two apart.
    #[serde(skip_serializing_if = "String::is_empty")]
    stderr: String,
    /// Its exit code, as Caldera tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i64>,
}

struct Caldera {
    config: Config,
    client: Client,
    configured: Option<Configured>,
}

fn build(config: Value, cx: &BuildContext) -> Result<Arc<dyn Action>, BuildError> {
    let config: Config = settings::read(PLACE, config)?;
    let http = HttpConfig {
        timeout: config.timeout,
        max_response: config.max_response,
        tls: config.tls.clone(),
    };
    let key = config.api_key.as_ref();
    let configured = Configured::read(PLACE, config.url.as_deref(), key, &cx.secrets)?;
    Ok(Arc::new(Caldera {
        client: Client::build(PLACE, http, cx)?,
        configured,
        config,
    }))
}

impl Caldera {
    async fn execute(&self, call: &Call, input: &CommandInput) -> Result<Output, Error> {
        let deadline = Instant::now() + call.timeout.saturating_sub(MARGIN);
        let operation = self.operation(call, input, deadline)?;
        let text = over_http::text(&input.command)?;
        operation.begin(text, input.acted_on()).await?;
        // From here on agents may act: what goes wrong leaves that open.
        let links = loop {
            match operation.done().await.map_err(in_doubt)? {
                Some(links) => break links,
                None if Instant::now() + self.config.poll.duration() >= deadline => {
                    return Err(Error::Uncertain(format!(
                        "the agents have not reported yet; operation {} of Caldera goes on",
                        operation.id
                    )));
                }
                None => tokio::time::sleep(self.config.poll.duration()).await,
            }
        };
        operation.close().await;
        self.settle(operation.id, links)
    }

    fn operation(
        &self,
        call: &Call,
        input: &CommandInput,
        deadline: Instant,
    ) -> Result<Operation<'_>, Error> {
        if call.action != EXECUTE {
            return Err(unknown("caldera-cmd", &call.action));
        }
        let server = Server::of(input, self.configured.as_ref())?;
        Operation::new(&self.client, &self.config, server, (call, deadline))
    }

    /// Success where every agent reports it.
    fn settle(&self, operation: String, links: Vec<LinkDone>) -> Result<Output, Error> {
        let most = self.config.max_output.length();
        let mut truncated = false;
        let masker = self.client.masker();
        let links: Vec<LinkDone> = links
            .into_iter()
            .map(|link| LinkDone {
                output: cut(&masker.mask(&link.output), most, &mut truncated),
                stderr: cut(&masker.mask(&link.stderr), most, &mut truncated),
                ..link
            })
            .collect();
        let failed: Vec<String> = links
            .iter()
            .filter(|link| link.status != 0)
            .map(failure)
            .collect();
        if !failed.is_empty() {
            return Err(Error::permanent(failed.join("; ")));
        }
        let outputs: Vec<&str> = links.iter().map(|link| link.output.as_str()).collect();
        output(&Performed {
            status: "finished",
            operation,
            result: outputs.join("\n"),
            links,
            truncated,
        })
    }
}

#[async_trait]
impl Action for Caldera {
    fn unavailable(&self) -> Option<String> {
        over_http::unavailable(PLACE, self.configured.as_ref())
    }

    async fn invoke(&self, call: &Call) -> Result<Output, Error> {
        let input: CommandInput = input(call)?;
        let result = self.execute(call, &input).await;
        result.map_err(|error| self.client.masked(error))
    }

    async fn probe(&self, call: &Call) -> Result<Probed, Error> {
        let input: CommandInput = input(call)?;
        let deadline = Instant::now() + call.timeout.saturating_sub(MARGIN);
        let found = async {
            let operation = self.operation(call, &input, deadline)?;
            if !operation.has_links().await? {
                return Ok(Probed::NotHappened);
            }
            match operation.done().await? {
                Some(links) => self.settle(operation.id, links).map(Probed::Happened),
                None => Ok(Probed::Unknown(format!(
                    "operation {} of Caldera goes on",
                    operation.id
                ))),
            }
        };
        found.await.map_err(|error| self.client.masked(error))
    }
}

/// A failure to look is no proof that nothing was done.
fn in_doubt(error: Error) -> Error {
    match error {
        Error::Retry { message, .. } => Error::Uncertain(message),
        other => other,
    }
}

fn failure(link: &LinkDone) -> String {
    let why = match link.status {
        -5 => "too visible for this operation".to_owned(),
        -4 => "the agent is not trusted any more".to_owned(),
        -2 => "discarded".to_owned(),
        124 => "not done in the ability's time".to_owned(),
        _ => format!("exit {}", link.exit_code.unwrap_or(link.status)),
    };
    let said = [&link.stderr, &link.output];
    let said = said.iter().find(|text| !text.is_empty());
    let quote: String = said.map_or("", |text| text).chars().take(300).collect();
    format!("agent {} on {}: {why} {quote}", link.paw, link.host)
}

/// The beginning of a text, at the end of a character.
fn cut(text: &str, most: usize, truncated: &mut bool) -> String {
    let end = text.floor_char_boundary(most);
    *truncated |= end < text.len();
    text[..end].to_owned()
}
