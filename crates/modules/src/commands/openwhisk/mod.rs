//! `openwhisk`: actions of Apache OpenWhisk are invoked and triggers fired, by commands of
//! playbooks and by reactions.
//!
//! | action | for | what a repeat means |
//! |---|---|---|
//! | `execute` | commands | what is known to go on is asked for; what is in doubt goes to a person |
//! | `execute_keyed` | commands with `idempotency` | the action knows the key and does it once |
//! | `invoke` | reactions | as `execute` |
//! | `fire` | reactions | as `execute` |
//!
//! Which activation a call waits for is durable before it is asked for: a process that dies in
//! between leaves it in the list `openwhisk.activations`, and whoever takes the run up asks for
//! that one and invokes nothing. A process that dies before the host has named the activation
//! leaves the call in doubt; mode `poll` keeps that time short.
//! The embedded host leaves nothing in doubt: it is sent every call's key, stores that before it
//! begins, and can be asked for it.

mod hosts;
mod input;
mod party;
mod pending;
mod transport;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use conche_core::run::{OnUncertain, Repeat};
use conche_openwhisk::client as ow;
use conche_openwhisk::command::{
    Calls, Command, Ended, Progress, Word, carry_out, check, recognise,
};
use conche_runtime::egress::ClientTls;
use conche_runtime::units::{Size, Span};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

pub use self::hosts::{Embedded, Hosts, LOCAL, NamedHost};
use self::input::{FireInput, Input, InvokeInput};
use self::party::Place;
use self::pending::Pending;
use self::transport::Carrier;
use super::over_http::{Client, Config as HttpConfig};
use crate::action::{Action, ActionModule, ActionSpec, Call, Error, Output, Probed};
use crate::actions::{input, output, unknown};
use crate::command::{CommandInput, EXECUTE};
use crate::config as settings;
use crate::{BuildContext, BuildError};

/// The action for commands that have a key.
const EXECUTE_KEYED: &str = "execute_keyed";
const INVOKE: &str = "invoke";
const FIRE: &str = "fire";

pub(super) static MODULE: ActionModule = ActionModule {
    name: "openwhisk",
    summary: "Invokes actions of Apache OpenWhisk and fires its triggers.",
    actions: &[
        ActionSpec {
            name: EXECUTE,
            summary: "Carries out an `openwhisk` command of a playbook.",
            input: &settings::schema::<CommandInput>,
            output: &settings::schema::<Done>,
            repeat: Repeat::Probe,
            on_uncertain: OnUncertain::Attention,
        },
        ActionSpec {
            name: EXECUTE_KEYED,
            summary: "The same for a command with `idempotency`.",
            input: &settings::schema::<CommandInput>,
            output: &settings::schema::<Done>,
            repeat: Repeat::Keyed,
            on_uncertain: OnUncertain::Repeat,
        },
        ActionSpec {
            name: FIRE,
            summary: "Fires a trigger.",
            input: &settings::schema::<FireInput>,
            output: &settings::schema::<Done>,
            repeat: Repeat::Probe,
            on_uncertain: OnUncertain::Attention,
        },
        ActionSpec {
            name: INVOKE,
            summary: "Invokes an action, sequence or composition.",
            input: &settings::schema::<InvokeInput>,
            output: &settings::schema::<Done>,
            repeat: Repeat::Probe,
            on_uncertain: OnUncertain::Attention,
        },
    ],
    config: &settings::schema::<Config>,
    build: &build,
};

const PLACE: &str = "actions.openwhisk";

/// Stands for the address of the embedded host, whose requests need none.
const LOCAL_ROOT: &str = "http://local";

/// Left of a call's time for saying what came of it.
const MARGIN: Duration = Duration::from_millis(300);

/// Settings of `openwhisk`. The hosts stand under `openwhisk.hosts`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// The longest time for one request; a blocking one gets what it waits for on top. Default: `30s`.
    timeout: Span,
    /// The largest answer. Default: `4MiB`.
    max_response: Size,
    /// Whom to trust and as whom to appear. Default: as set under `egress:`.
    tls: Option<ClientTls>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            timeout: Span::from_secs(30),
            max_response: Size::from_mib(4),
            tls: None,
        }
    }
}

/// The activation, with what is known of the call.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "it describes what is written as a document")]
struct Done {
    /// How it ended: `success`, or what the command does not count as failure.
    status: String,
    /// The activation's identifier; absent where a trigger has no active rule.
    #[serde(rename = "activationId")]
    activation_id: Option<String>,
    /// The class of the activation and its result; absent where nobody waited.
    response: Option<Value>,
    /// How often it was tried.
    attempts: u32,
    /// The variables that the command sets.
    variables: BTreeMap<String, Value>,
}

struct OpenWhisk {
    config: Config,
    hosts: Arc<Hosts>,
    client: Arc<Client>,
}

fn build(config: Value, cx: &BuildContext) -> Result<Arc<dyn Action>, BuildError> {
    let config: Config = settings::read(PLACE, config)?;
    let http = HttpConfig {
        timeout: config.timeout,
        max_response: config.max_response,
        tls: config.tls.clone(),
    };
    let client = Arc::new(Client::build(PLACE, http, cx)?);
    Ok(Arc::new(OpenWhisk {
        config,
        hosts: cx.openwhisk.clone(),
        client,
    }))
}

/// What a call is about.
struct Work {
    command: Command,
    client: ow::Client,
    out_args: Vec<String>,
    calls: Calls,
    /// The embedded host, where it is called.
    local: Option<Arc<dyn Embedded>>,
}

impl OpenWhisk {
    fn work(&self, call: &Call) -> Result<Work, Error> {
        let Input {
            written,
            place,
            out_args,
            step,
        } = self.read(call)?;
        let command =
            Command::parse(&written).map_err(|error| Error::permanent(error.to_string()))?;
        let (client, local) = match place {
            Place::Network(network) => {
                let most = self.config.max_response;
                let carrier = Carrier::new(self.client.clone(), &network, most)?;
                let client = ow::Client::with_transport(&network.root, &ow::Auth::None, carrier);
                (client, None)
            }
            Place::Local(host) => {
                let carrier = host.clone();
                let client = ow::Client::with_transport(LOCAL_ROOT, &ow::Auth::None, carrier);
                (client, Some(host))
            }
        };
        let client = client
            .map_err(|error| Error::permanent(error.to_string()))?
            .max_response(self.config.max_response.length())
            .timeout(self.config.timeout.duration());
        let calls = Calls {
            request_id: format!("{}-{step}-{}", call.run, call.attempt),
            key: call.key.to_string(),
            keyed: local.is_some(),
            deadline: Instant::now() + call.timeout.saturating_sub(MARGIN),
        };
        Ok(Work {
            command,
            client,
            out_args,
            calls,
            local,
        })
    }

    fn read(&self, call: &Call) -> Result<Input, Error> {
        match call.action.as_str() {
            EXECUTE | EXECUTE_KEYED => {
                let given: CommandInput = input(call)?;
                let place = Place::of(&given, &self.hosts)?;
                Input::of_command(given, place)
            }
            INVOKE => {
                let given: InvokeInput = input(call)?;
                let place = self.hosts.place(given.host())?;
                Ok(given.input(place))
            }
            FIRE => {
                let given: FireInput = input(call)?;
                let place = self.hosts.place(given.host())?;
                Ok(given.input(place))
            }
            other => Err(unknown("openwhisk", other)),
        }
    }

    /// Carries it out from the activation that is known, else from the beginning.
    async fn perform(&self, call: &Call, work: Work) -> Result<Output, Error> {
        let pending = Pending::of(call);
        let progress = pending
            .known()
            .await
            .map_or_else(Progress::begin, Progress::resume);
        let ended = carry_out(&work.client, &work.command, &work.calls, &pending, progress).await;
        let ended = ended.map_err(|error| Error::permanent(error.to_string()))?;
        if ended.word != Word::Pending {
            pending.is_over().await;
        }
        self.settle(&work, &ended)
    }

    fn settle(&self, work: &Work, ended: &Ended) -> Result<Output, Error> {
        if !ended.succeeded(&work.command) {
            return Err(failure(&work.command, ended));
        }
        let variables = ended.variables(&work.command, &work.out_args);
        let variables = variables.map_err(|error| Error::permanent(error.to_string()))?;
        let mut document = ended.document();
        document["status"] = ended.word.as_str().into();
        document["attempts"] = ended.attempts.into();
        document["variables"] = variables.into();
        self.client.masker().mask_json(&mut document);
        output(&document)
    }
}

#[async_trait]
impl Action for OpenWhisk {
    async fn invoke(&self, call: &Call) -> Result<Output, Error> {
        let result = match self.work(call) {
            Ok(work) => self.perform(call, work).await,
            Err(error) => Err(error),
        };
        result.map_err(|error| self.client.masked(error))
    }

    async fn probe(&self, call: &Call) -> Result<Probed, Error> {
        let work = self.work(call).map_err(|error| self.client.masked(error))?;
        if Pending::of(call).known().await.is_none() {
            let Some(host) = &work.local else {
                return Ok(Probed::Unknown(
                    "it may have been invoked, and the host had not named an activation yet"
                        .to_owned(),
                ));
            };
            let name = work.command.name();
            let name = name.map_err(|error| Error::permanent(error.to_string()))?;
            let known = host.known(work.command.verb, &name, &work.calls.key);
            match known.await {
                Ok(Some(_)) => {}
                // What the host knows was put back with the run.
                Ok(None) if call.copied_at.is_some() => {
                    return Ok(Probed::Unknown(
                        "the host's records were restored from a copy, and it may have been invoked since"
                            .to_owned(),
                    ));
                }
                Ok(None) => return Ok(Probed::NotHappened),
                Err(reason) => return Err(Error::retry(reason)),
            }
        }
        // Its activation, or its key, is known to the host, so that this invokes nothing.
        match self.perform(call, work).await {
            Ok(output) => Ok(Probed::Happened(output)),
            Err(Error::Permanent(message)) => Ok(Probed::Failed(
                self.client.masked(Error::Permanent(message)),
            )),
            Err(error) => Err(self.client.masked(error)),
        }
    }
}

/// What a failure means to the engine. Where the command does not say when to try again, the
/// engine tries what certainly had no effect.
fn failure(command: &Command, ended: &Ended) -> Error {
    let message = ended.message();
    let is_safe = match ended.word {
        Word::Throttled => true,
        Word::Unavailable => ended.http_status.is_none(),
        _ => false,
    };
    if is_safe && command.retry.is_none() {
        Error::retry(message)
    } else {
        Error::Permanent(message)
    }
}

/// The types of commands beside those of the specification, for whoever checks playbooks.
pub const TYPES: &[&str] = &[conche_openwhisk::command::TYPE];

/// What is wrong with a command of one of [`TYPES`].
pub fn examine(command: &Value) -> Vec<conche_openwhisk::command::Flaw> {
    match recognise(command, None) {
        Some(_) => check(command),
        None => Vec::new(),
    }
}
