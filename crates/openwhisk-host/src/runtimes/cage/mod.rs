//! The cage that code of strangers is started in.
//!
//! The host executes its own binary again with [`CAGE_ARGUMENT`]; that process confines itself
//! for good, walls from the outside in, and then becomes the interpreter or program that the
//! action needs. So nothing has to be done between fork and exec, and the host keeps none of
//! the action's rights and the action none of the host's.
//!
//! Walls: a session and group of its own, the end of the host is its end, resource limits,
//! another user where there is one to become, no new privileges, Landlock, and a seccomp list.
//! Only Landlock may be missing (older kernels).
//!
//! The plan of a cage comes as an argument and must never hold a secret: arguments can be read
//! by everyone on the machine.

mod filter;
mod walls;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read, Write as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use serde::{Deserialize, Serialize};

use super::undertaker;

/// The argument that turns the binary into the launcher; the plan follows it.
pub const CAGE_ARGUMENT: &str = "--function-cage";

/// What an answer begins with that comes from the launcher itself: it could not confine itself
/// or not start the program, and nothing of the action has run. The reason follows.
pub(super) const NOT_STARTED: u8 = b'?';

/// Exit code of such a launcher.
const EXIT_NOT_STARTED: u8 = 70;

/// How the host starts the launcher.
#[derive(Debug, Clone)]
pub struct CageCommand {
    /// The executable, which calls [`cage_main`] when its first argument is [`CAGE_ARGUMENT`].
    pub program: PathBuf,
}

impl CageCommand {
    /// This very executable. Linux resolves the path to the image that is running, even after
    /// the file was replaced by an upgrade.
    pub fn current_executable() -> Self {
        Self::program("/proc/self/exe")
    }

    /// Another executable that knows [`CAGE_ARGUMENT`].
    pub fn program(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
        }
    }
}

/// What a cage is to look like, and what goes in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Plan {
    /// What is executed.
    pub(super) program: PathBuf,
    /// Its arguments.
    pub(super) args: Vec<String>,
    /// Where it is executed.
    pub(super) cwd: PathBuf,
    /// The process id of the host.
    pub(super) host: i32,
    /// Whether requests come on descriptor 0 as well; else that reads nothing.
    pub(super) requests_on_stdin: bool,
    /// User and group to become.
    pub(super) user: Option<(u32, u32)>,
    /// Resource limits.
    pub(super) limits: Resources,
    /// What it may read and execute.
    pub(super) readable: Vec<PathBuf>,
    /// What it may write as well.
    pub(super) writable: Vec<PathBuf>,
    /// Whether it may open connections and take them.
    pub(super) network: bool,
}

/// Resource limits of one process of an action.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Resources {
    /// Bytes of private writable memory. Address space is not limited: engines reserve far more
    /// of it than they use.
    pub(super) data: u64,
    /// Bytes of a file.
    pub(super) file: u64,
    /// Open descriptors.
    pub(super) descriptors: u64,
    /// Processes and threads of the user.
    pub(super) processes: u64,
}

/// Confines this process and becomes the program of the plan.
///
/// Takes the arguments of the process without its name. Returns only if that fails; then the
/// host was told why and nothing of the action has run. Must be called before any thread or
/// runtime is started. The process that tidies up after a killed host begins here as well.
pub fn cage_main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let problem = match work(arguments) {
        Ok(Work::Cage(plan)) => enter(&plan),
        Ok(Work::Undertaker) => {
            undertaker::serve(io::stdin().lock());
            return ExitCode::SUCCESS;
        }
        Err(problem) => problem,
    };
    // Nobody may be listening any more.
    writeln!(io::stderr(), "{problem}").ok();
    ExitCode::from(EXIT_NOT_STARTED)
}

enum Work {
    Cage(Box<Plan>),
    Undertaker,
}

fn work(mut arguments: impl Iterator<Item = OsString>) -> Result<Work, String> {
    if arguments.next().is_none_or(|first| first != CAGE_ARGUMENT) {
        return Err(format!("the first argument is not {CAGE_ARGUMENT}"));
    }
    let plan = arguments.next().ok_or("there is no plan")?;
    let plan = plan.to_str().ok_or("the plan is no text")?;
    if plan == undertaker::UNDERTAKER {
        return Ok(Work::Undertaker);
    }
    let plan = serde_json::from_str(plan);
    plan.map(Work::Cage)
        .map_err(|error| format!("the plan can't be read: {error}"))
}

/// Comes back only with a problem, which it has told the host.
fn enter(plan: &Plan) -> String {
    let mut last_words = match walls::descriptors(plan.requests_on_stdin) {
        Ok(stream) => stream,
        Err(error) => return format!("cannot put descriptors in order: {error}"),
    };
    let problem = match walls::confine(plan) {
        Err(error) => format!("cannot confine the action: {error}"),
        Ok(()) => become_program(plan, &mut last_words),
    };
    writeln!(last_words, "{}{problem}", char::from(NOT_STARTED)).ok();
    problem
}

/// The environment of the program comes over the socket, once the walls stand: this process
/// itself must not have it, as it may tell the dynamic loader what to load, and it is no
/// argument, as it may hold secrets.
fn become_program(plan: &Plan, host: &mut UnixStream) -> String {
    let env = match read_environment(host) {
        Ok(env) => env,
        Err(error) => return format!("cannot read the environment: {error}"),
    };
    let mut command = Command::new(&plan.program);
    let error = command.args(&plan.args).env_clear().envs(env).exec();
    format!("cannot execute {}: {error}", plan.program.display())
}

/// The first thing that the host writes to the socket: a length of four bytes, and so many
/// bytes of JSON.
pub(super) fn environment(env: &BTreeMap<String, String>) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(env)?;
    let length = u32::try_from(json.len()).map_err(io::Error::other)?;
    let mut message = length.to_le_bytes().to_vec();
    message.extend(json);
    Ok(message)
}

fn read_environment(host: &mut impl Read) -> io::Result<BTreeMap<String, String>> {
    let mut length = [0; 4];
    host.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    let mut json = Vec::new();
    // No more than that: what follows is for the program.
    host.take(length.into()).read_to_end(&mut json)?;
    Ok(serde_json::from_slice(&json)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_read_and_nothing_after_it() {
        let env = [("A", "b\n=é"), ("LD_PRELOAD", "")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        let mut sent = environment(&env).unwrap();
        sent.extend(b"{}\n");
        let mut from = sent.as_slice();
        assert_eq!(read_environment(&mut from).unwrap(), env);
        assert_eq!(from, b"{}\n");
        assert!(read_environment(&mut &sent[..6]).is_err());
    }
}
