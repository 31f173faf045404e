//! `bash`: scripts on the machine of Conche itself.
//!
//! Off unless the configuration lists what may be run, and nothing else is: a script has to be
//! a listed one, or match a pattern as a whole, after its variables were filled in. An agent
//! that has an address is another machine: its commands are never run here by mistake.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use conche_core::Json;
use conche_core::run::{OnUncertain, Repeat};
use conche_runtime::secrets::Secrets;
use conche_runtime::units::Size;
use nix::unistd::{Gid, Uid};
use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::command_line::{self, CommandResult};
use crate::action::{Action, ActionModule, ActionSpec, Call, Error, Output};
use crate::actions::exec::config::{EnvValue, check_env, user, whole};
use crate::actions::exec::{not_started, process};
use crate::actions::{input, output, rehearsed, unknown};
use crate::command::{CommandInput, EXECUTE, Party};
use crate::{BuildContext, BuildError, config as settings};

pub(super) static MODULE: ActionModule = ActionModule {
    name: "bash",
    summary: "Scripts on this machine, from a list in the configuration.",
    actions: &[ActionSpec {
        name: EXECUTE,
        summary: "Runs a script that is allowed and gives what it wrote.",
        input: &settings::schema::<CommandInput>,
        output: &settings::schema::<CommandResult>,
        repeat: Repeat::Unsafe,
        on_uncertain: OnUncertain::Attention,
    }],
    config: &settings::schema::<Config>,
    build: &build,
};

const PLACE: &str = "actions.bash";

const SHELL: &str = "/bin/bash";

/// Settings of `bash`. Without them nothing may be run.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// The scripts that may be run. Default: none.
    allow: Vec<Allowed>,
    /// The user that scripts run as. Must be written where Conche runs as root, and can't be
    /// another where it does not. Default: the user of Conche.
    user: Option<String>,
    /// The folder they run in, absolute. Default: `/`.
    cwd: PathBuf,
    /// The environment, which is otherwise empty: texts, or names of secrets. Default: none.
    env: BTreeMap<String, EnvValue>,
    /// So much is kept of standard output, and of standard error. Default: `256KiB`.
    max_output: Size,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            user: None,
            cwd: PathBuf::from("/"),
            env: BTreeMap::new(),
            max_output: Size::from_kib(256),
        }
    }
}

/// Scripts that may be run: exactly one of the three.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Allowed {
    /// This one, to the letter.
    Text(String),
    /// The one with this SHA-256, in hexadecimal digits.
    Sha256(String),
    /// Each that this regular expression matches as a whole, variables filled in. Takes time
    /// linear in the script's length.
    Pattern(String),
}

/// What may be run, checked.
#[derive(Default)]
struct Rules {
    digests: Vec<[u8; 32]>,
    patterns: Vec<Regex>,
}

impl Rules {
    fn new(allow: &[Allowed]) -> Result<Self, String> {
        let mut rules = Self::default();
        for allowed in allow {
            match allowed {
                Allowed::Text(text) => rules.digests.push(Sha256::digest(text).into()),
                Allowed::Sha256(digits) => rules.digests.push(digest(digits)?),
                Allowed::Pattern(pattern) => rules.patterns.push(whole(pattern)?),
            }
        }
        Ok(rules)
    }

    fn allow(&self, script: &[u8]) -> bool {
        let digest: [u8; 32] = Sha256::digest(script).into();
        let text = std::str::from_utf8(script);
        self.digests.contains(&digest)
            || text.is_ok_and(|text| self.patterns.iter().any(|pattern| pattern.is_match(text)))
    }
}

fn digest(digits: &str) -> Result<[u8; 32], String> {
    let wrong = || format!("`{digits}` is no SHA-256 in 64 hexadecimal digits");
    if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    let mut digest = [0; 32];
    for (byte, at) in digest.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| wrong())?;
    }
    Ok(digest)
}

struct Bash {
    config: Config,
    rules: Rules,
    user: Option<(Uid, Gid)>,
    secrets: Arc<Secrets>,
}

fn build(config: Value, cx: &BuildContext) -> Result<Arc<dyn Action>, BuildError> {
    let config: Config = settings::read(PLACE, config)?;
    let wrong = |message: String| settings::error(PLACE, message);
    if !config.cwd.is_absolute() {
        return Err(wrong("`cwd` must be an absolute path".to_owned()));
    }
    check_env(PLACE, &config.env, cx)?;
    let rules = Rules::new(&config.allow).map_err(wrong)?;
    let user = if config.allow.is_empty() {
        None
    } else {
        user(config.user.as_deref()).map_err(wrong)?
    };
    Ok(Arc::new(Bash {
        config,
        rules,
        user,
        secrets: cx.secrets.clone(),
    }))
}

#[async_trait]
impl Action for Bash {
    fn unavailable(&self) -> Option<String> {
        let nothing =
            || format!("no script may be run on this machine: list what may under `{PLACE}.allow`");
        self.config.allow.is_empty().then(nothing)
    }

    fn foresee(&self, input: &Json) -> Result<(), Error> {
        self.allowed(&rehearsed(input)?).map(drop)
    }

    async fn invoke(&self, call: &Call) -> Result<Output, Error> {
        if call.action != EXECUTE {
            return Err(unknown("bash", &call.action));
        }
        let script = self.allowed(&input(call)?)?;
        output(&self.run(script, call).await?)
    }
}

impl Bash {
    /// The script of a command, if it may be run here.
    fn allowed(&self, input: &CommandInput) -> Result<Vec<u8>, Error> {
        here(&input.agent)?;
        let script = command_line::bytes(&input.command)?;
        if !self.rules.allow(&script) {
            return Err(Error::permanent(format!(
                "this script is not allowed here: add it under `{PLACE}.allow`, as \
                 {{ sha256: \"{:x}\" }}, as {{ text: … }} or by a {{ pattern: … }}",
                Sha256::digest(&script)
            )));
        }
        Ok(script)
    }

    async fn run(&self, script: Vec<u8>, call: &Call) -> Result<CommandResult, Error> {
        let mut command = tokio::process::Command::new(SHELL);
        command
            .args(["--noprofile", "--norc", "-c"])
            .arg(OsString::from_vec(script))
            .current_dir(&self.config.cwd);
        process::confine(&mut command, &self.config.env, self.user, &self.secrets)?;
        let child = process::start(command).map_err(|error| not_started("bash", &error))?;
        let limit = self.config.max_output.length();
        let watch = tokio::time::timeout(call.timeout, process::watch(child, &[], limit));
        let ended = match watch.await {
            Ok(Ok(ended)) => ended,
            Ok(Err(error)) => {
                return Err(Error::Uncertain(format!("the script was lost: {error}")));
            }
            Err(_elapsed) => {
                return Err(Error::Uncertain(format!(
                    "the script was killed after {:?}; what it had done by then is unknown",
                    call.timeout
                )));
            }
        };
        let Some(code) = ended.status.code() else {
            let signal = ended.status.signal().unwrap_or_default();
            return Err(Error::Uncertain(format!(
                "the script was ended by signal {signal}; what it had done by then is unknown"
            )));
        };
        let outputs = (&ended.stdout, &ended.stderr);
        CommandResult::judge(i64::from(code), outputs, limit, &self.secrets.masker())
    }
}

/// An agent with an address of its own is not this machine.
fn here(agent: &Party) -> Result<(), Error> {
    if agent.is_elsewhere() {
        return Err(Error::permanent(format!(
            "the agent `{}` has an address, so it is another machine, and `bash` runs on this \
             one: use an `ssh` command",
            agent.name
        )));
    }
    Ok(())
}
