//! The configuration of `exec`: every command line that may ever be run is written here, and
//! what a run fills in is a whole argument that matches a pattern.

use std::collections::BTreeMap;
use std::path::PathBuf;

use conche_runtime::units::{Size, Span};
use nix::unistd::{Gid, Uid, User, geteuid};
use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::{self as settings, SecretName};
use crate::{BuildContext, BuildError};

/// Settings of `exec`. Without them the module is not there.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// The commands that may be run, by name; nothing else can be.
    pub(super) commands: BTreeMap<String, CommandConfig>,
}

/// A command that may be run.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CommandConfig {
    /// The program's absolute path. It is executed as it is, never through a shell.
    pub(super) program: PathBuf,
    /// Its arguments in order: fixed texts, and slots that the input fills. Default: none.
    #[serde(default)]
    pub(super) args: Vec<Arg>,
    /// The environment, which is otherwise empty: texts, or names of secrets. Default: none.
    #[serde(default)]
    pub(super) env: BTreeMap<String, EnvValue>,
    /// The folder it runs in, absolute. Default: `/`.
    #[serde(default = "default_cwd")]
    pub(super) cwd: PathBuf,
    /// Whether the input's `stdin` is written to its standard input, as JSON. Default: false.
    #[serde(default)]
    pub(super) stdin: bool,
    /// After this it is killed with all that it started. Default: `30s`.
    #[serde(default = "default_timeout")]
    pub(super) timeout: Span,
    /// So much is kept of standard output, and of standard error. Default: `64KiB`.
    #[serde(default = "default_output")]
    pub(super) max_output: Size,
    /// The exit codes that mean success. Default: `[0]`.
    #[serde(default = "default_codes")]
    pub(super) ok_codes: Vec<i32>,
    /// The user that it runs as. Must be written where Conche runs as root, and can't be
    /// another where it does not. Default: the user of Conche.
    #[serde(default)]
    pub(super) user: Option<String>,
}

/// One argument.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a text or `{ slot: NAME, pattern: … }`"
)]
pub(super) enum Arg {
    /// Always the same.
    Fixed(String),
    /// What the input has for it: a text, a number or a boolean.
    Slot(Slot),
}

/// An argument that the input fills.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Slot {
    /// Its name in the input's `args`.
    #[serde(rename = "slot")]
    pub(super) name: String,
    /// The regular expression that the whole value must match.
    pub(super) pattern: String,
    /// Put before the value, such as `--address=`. Default: nothing.
    #[serde(default)]
    pub(super) prefix: String,
    /// Whether the value may begin with `-`, where no `prefix` stands before it: programs
    /// take that for an option. Default: false.
    #[serde(default)]
    pub(super) allow_dash: bool,
}

/// A variable's value.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a text or `{ secret: NAME }`")]
pub(crate) enum EnvValue {
    /// As written.
    Text(String),
    /// The secret's value.
    Secret(SecretName),
}

fn default_cwd() -> PathBuf {
    PathBuf::from("/")
}

const fn default_timeout() -> Span {
    Span::from_secs(30)
}

const fn default_output() -> Size {
    Size::from_kib(64)
}

fn default_codes() -> Vec<i32> {
    vec![0]
}

/// A command whose settings were checked.
pub(super) struct Command {
    pub(super) config: CommandConfig,
    /// The patterns of its slots, by name.
    pub(super) patterns: BTreeMap<String, Regex>,
    /// Whom to become; none to stay.
    pub(super) user: Option<(Uid, Gid)>,
}

/// Checks all commands. Whether a program is there is seen when it is run.
pub(super) fn commands(
    place: &str,
    config: Config,
    cx: &BuildContext,
) -> Result<BTreeMap<String, Command>, BuildError> {
    let check = |(name, config): (String, CommandConfig)| {
        let place = format!("{place}.commands.{name}");
        check_env(&place, &config.env, cx)?;
        let command = command(config).map_err(|message| settings::error(&place, message))?;
        Ok((name, command))
    };
    config.commands.into_iter().map(check).collect()
}

/// Checks the names of variables and of the secrets that they hold.
pub(crate) fn check_env(
    place: &str,
    env: &BTreeMap<String, EnvValue>,
    cx: &BuildContext,
) -> Result<(), BuildError> {
    for (name, value) in env {
        if name.is_empty() || name.contains(['=', '\0']) {
            let message = format!("`{name}` can't be the name of a variable");
            return Err(settings::error(place, message));
        }
        if let EnvValue::Secret(secret) = value {
            secret.check(place, &cx.secrets)?;
        }
    }
    Ok(())
}

fn command(config: CommandConfig) -> Result<Command, String> {
    for (key, path) in [("program", &config.program), ("cwd", &config.cwd)] {
        if !path.is_absolute() {
            return Err(format!("`{key}` must be an absolute path"));
        }
    }
    let mut patterns = BTreeMap::new();
    for arg in &config.args {
        let Arg::Slot(slot) = arg else { continue };
        let known = patterns.insert(slot.name.clone(), whole(&slot.pattern)?);
        if known.is_some() {
            return Err(format!("there are two slots `{}`", slot.name));
        }
    }
    Ok(Command {
        user: user(config.user.as_deref())?,
        config,
        patterns,
    })
}

/// The pattern for the whole of a text. It is compiled by itself first, so that it can't end
/// the group that it is put in.
pub(crate) fn whole(pattern: &str) -> Result<Regex, String> {
    let wrong = |error: regex::Error| format!("the pattern `{pattern}` can't be used: {error}");
    Regex::new(pattern).map_err(wrong)?;
    Regex::new(&format!(r"\A(?:{pattern})\z")).map_err(wrong)
}

/// Whom a program runs as.
pub(crate) fn user(name: Option<&str>) -> Result<Option<(Uid, Gid)>, String> {
    let own = geteuid();
    let Some(name) = name else {
        if own.is_root() {
            return Err(
                "Conche runs as root: write the `user` that the command runs as, if need be `user: root`"
                    .to_owned(),
            );
        }
        return Ok(None);
    };
    let found = User::from_name(name).map_err(|error| format!("the user `{name}`: {error}"))?;
    let user = found.ok_or_else(|| format!("there is no user `{name}`"))?;
    if own.is_root() {
        return Ok(Some((user.uid, user.gid)));
    }
    if user.uid == own {
        return Ok(None);
    }
    Err(format!("only root could run it as `{name}`"))
}
