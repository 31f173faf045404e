//! `jupyter` and `kestrel`: notebooks and hunt flows, executed by a kernel of a Jupyter server.
//!
//! Each call has a kernel of its own, which is deleted when the call ends, however it ends, so
//! that nothing of it goes on and no other call sees its state. Cells are executed in order
//! until one fails. A call whose time is up interrupts the cell that is at work first.
//!
//! Before the first cell is sent nothing has been done, and the call may be repeated; from
//! then on a connection that breaks leaves open what the cell did.

mod channel;
mod kernel;
mod notebook;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use conche_core::run::{OnUncertain, Repeat};
use conche_runtime::egress::ClientTls;
use conche_runtime::units::{Size, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use self::channel::{Channel, Told};
use self::kernel::Kernel;
use self::notebook::Notebook;
use super::over_http::{self, Client, Config as HttpConfig, Configured, Server};
use crate::action::{Action, ActionModule, ActionSpec, Call, Error, Output};
use crate::actions::{input, output, unknown};
use crate::command::{CommandInput, EXECUTE};
use crate::config::{self as settings, SecretName};
use crate::{BuildContext, BuildError};

pub(super) static JUPYTER: ActionModule = ActionModule {
    name: "jupyter",
    summary: "Carries out the `jupyter` commands of playbooks: notebooks.",
    actions: &[ActionSpec {
        name: EXECUTE,
        summary: "Executes the cells of a notebook.",
        input: &settings::schema::<CommandInput>,
        output: &settings::schema::<Executed>,
        repeat: Repeat::Unsafe,
        on_uncertain: OnUncertain::Attention,
    }],
    config: &settings::schema::<Config>,
    build: &|config, cx| build(&JUPYTER_KIND, config, cx),
};

pub(super) static KESTREL: ActionModule = ActionModule {
    name: "kestrel",
    summary: "Carries out the `kestrel` commands of playbooks: hunt flows.",
    actions: &[ActionSpec {
        name: EXECUTE,
        summary: "Executes a hunt flow.",
        input: &settings::schema::<CommandInput>,
        output: &settings::schema::<Executed>,
        repeat: Repeat::Unsafe,
        on_uncertain: OnUncertain::Attention,
    }],
    config: &settings::schema::<Config>,
    build: &|config, cx| build(&KESTREL_KIND, config, cx),
};

/// What the two types do not share.
struct Kind {
    name: &'static str,
    place: &'static str,
    kernel: &'static str,
    /// Whether variables become assignments in the kernel's language, which is Python.
    has_parameters: bool,
}

static JUPYTER_KIND: Kind = Kind {
    name: "jupyter",
    place: "actions.jupyter",
    kernel: "python3",
    has_parameters: true,
};

static KESTREL_KIND: Kind = Kind {
    name: "kestrel",
    place: "actions.kestrel",
    kernel: "kestrel",
    has_parameters: false,
};

/// Left of a call's time to interrupt and delete the kernel: a fifth, at most this.
const GRACE_MAX: Duration = Duration::from_secs(5);

/// Settings of `jupyter` and `kestrel`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// The Jupyter server's address, for agents that have none. Default: none.
    url: Option<String>,
    /// The token of the server at `url`. Default: none.
    token: Option<SecretName>,
    /// The kernel that executes what names none itself. Default: `python3`, for hunt flows `kestrel`.
    kernel: Option<String>,
    /// The longest time for one request, such as the start of a kernel. Default: `30s`.
    timeout: Span,
    /// So much of the cells' outputs is kept. Default: `256KiB`.
    max_output: Size,
    /// Whom to trust and as whom to appear. Default: as set under `egress:`.
    tls: Option<ClientTls>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: None,
            token: None,
            kernel: None,
            timeout: Span::from_secs(30),
            max_output: Size::from_kib(256),
            tls: None,
        }
    }
}

/// What the cells gave.
#[derive(Debug, Serialize, JsonSchema)]
struct Executed {
    /// The outputs in order: `{cell, type: "stream", name, text}` or `{cell, type, data}`, with
    /// the data's texts and JSON by media type.
    outputs: Vec<Value>,
    /// The last result: as JSON where the kernel gives it so, else its text; without one, all
    /// that was written to standard output.
    result: Value,
    /// The number of code cells that were executed.
    cells: usize,
    /// True where the outputs were larger than `max_output`; else absent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

struct Jupyter {
    kind: &'static Kind,
    config: Config,
    client: Client,
    configured: Option<Configured>,
}

fn build(
    kind: &'static Kind,
    config: Value,
    cx: &BuildContext,
) -> Result<Arc<dyn Action>, BuildError> {
    let config: Config = settings::read(kind.place, config)?;
    let http = HttpConfig {
        timeout: config.timeout,
        tls: config.tls.clone(),
        ..HttpConfig::default()
    };
    let token = config.token.as_ref();
    let configured = Configured::read(kind.place, config.url.as_deref(), token, &cx.secrets)?;
    Ok(Arc::new(Jupyter {
        kind,
        client: Client::build(kind.place, http, cx)?,
        configured,
        config,
    }))
}

impl Jupyter {
    async fn execute(&self, call: &Call) -> Result<Output, Error> {
        if call.action != EXECUTE {
            return Err(unknown(self.kind.name, &call.action));
        }
        let end = Instant::now() + call.timeout;
        let deadline = end - (call.timeout / 5).min(GRACE_MAX);
        let input: CommandInput = input(call)?;
        let mut notebook = Notebook::parse(over_http::text(&input.command)?)?;
        if self.kind.has_parameters {
            notebook.set(&input.variables);
        }
        let name = [&self.config.kernel, &notebook.kernel];
        let name = name.into_iter().flatten().next();
        let server = Server::of(&input, self.configured.as_ref())?;
        let name = name.map_or(self.kind.kernel, String::as_str);
        let kernel = Kernel::start(&self.client, server, name, end).await?;
        let result = self.perform(&kernel, &notebook, deadline).await;
        kernel.delete().await;
        let told = result?;
        output(&Executed {
            result: told.result(),
            outputs: told.outputs,
            cells: notebook.cells.len(),
            truncated: told.truncated,
        })
    }

    async fn perform(
        &self,
        kernel: &Kernel<'_>,
        notebook: &Notebook,
        deadline: Instant,
    ) -> Result<Told, Error> {
        let opened = timeout_at(deadline, kernel.open()).await;
        let stream = opened.map_err(|_| Error::retry("the kernel was not ready in time"))??;
        let mut channel = Channel::new(
            stream,
            self.config.max_output.length(),
            self.client.masker(),
        );
        let ready = timeout_at(deadline, channel.ready()).await;
        ready.map_err(|_| Error::retry("the kernel was not ready in time"))??;
        for (index, code) in notebook.cells.iter().enumerate() {
            let number = index + 1;
            match timeout_at(deadline, channel.execute(number, code)).await {
                Ok(done) => done?,
                Err(_elapsed) => {
                    kernel.interrupt().await;
                    return Err(Error::permanent(format!(
                        "cell {number} was not done in time and was interrupted"
                    )));
                }
            }
        }
        Ok(channel.told)
    }
}

#[async_trait]
impl Action for Jupyter {
    fn unavailable(&self) -> Option<String> {
        over_http::unavailable(self.kind.place, self.configured.as_ref())
    }

    async fn invoke(&self, call: &Call) -> Result<Output, Error> {
        let result = self.execute(call).await;
        result.map_err(|error| self.client.masked(error))
    }
}
