//! `ssh`: a command on another host, by its own shell.
//!
//! The text of the command goes to the host as it is: nothing is cut from it, nothing added. It
//! runs on the target, or on the agent where there is no target. A command whose end is not
//! known is never repeated unasked.

use std::sync::Arc;

use async_trait::async_trait;
use conche_core::run::{OnUncertain, Repeat};
use conche_runtime::secrets::Secrets;
use serde_json::Value;

use super::command_line::{self, CommandResult};
use crate::action::{Action, ActionModule, ActionSpec, Call, Error, Output};
use crate::actions::{input, output, unknown};
use crate::clients::ssh::{self, Ended, Exit, Ssh};
use crate::command::{CommandInput, EXECUTE};
use crate::{BuildContext, BuildError, config as settings};

pub(super) static MODULE: ActionModule = ActionModule {
    name: "ssh",
    summary: "Commands on other hosts by SSH.",
    actions: &[ActionSpec {
        name: EXECUTE,
        summary: "Runs a command on a host and gives what it wrote.",
        input: &settings::schema::<CommandInput>,
        output: &settings::schema::<CommandResult>,
        repeat: Repeat::Unsafe,
        on_uncertain: OnUncertain::Attention,
    }],
    config: &settings::schema::<ssh::Config>,
    build: &build,
};

const PLACE: &str = "actions.ssh";

struct Module {
    ssh: Ssh,
    secrets: Arc<Secrets>,
}

fn build(config: Value, cx: &BuildContext) -> Result<Arc<dyn Action>, BuildError> {
    Ok(Arc::new(Module {
        ssh: Ssh::new(PLACE, settings::read(PLACE, config)?, cx)?,
        secrets: cx.secrets.clone(),
    }))
}

#[async_trait]
impl Action for Module {
    async fn invoke(&self, call: &Call) -> Result<Output, Error> {
        if call.action != EXECUTE {
            return Err(unknown("ssh", &call.action));
        }
        let input: CommandInput = input(call)?;
        let command = command_line::bytes(&input.command)?;
        let limit = self.ssh.max_output();
        let ended = self.ssh.run(&input, &command, limit, call.timeout).await?;
        output(&judge(&ended, limit, &self.secrets)?)
    }
}

/// The result of a command that has ended on a host. One that a signal ended may have done
/// anything.
pub(super) fn judge(
    ended: &Ended,
    limit: usize,
    secrets: &Secrets,
) -> Result<CommandResult, Error> {
    let masker = secrets.masker();
    match &ended.exit {
        Exit::Code(code) => CommandResult::judge(
            i64::from(*code),
            (&ended.stdout, &ended.stderr),
            limit,
            &masker,
        ),
        Exit::Signal(signal) => Err(Error::Uncertain(format!(
            "the command was ended by signal {signal}; what it had done by then is unknown"
        ))),
    }
}
