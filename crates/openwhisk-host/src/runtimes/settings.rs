//! How the runtimes are set up: programs, room, and every limit.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::cage::CageCommand;
use super::room::Capacity;
use super::scripts::Scripts;
use super::unpack::UnpackLimits;

/// Settings of a [`super::Pool`].
#[derive(Clone)]
pub struct Settings {
    /// What is executed as the launcher.
    pub cage: CageCommand,
    /// Where folders for code and for processes are made. Other users must be able to go
    /// through it where functions run as other users. Default: the system's temporary folder.
    pub below: PathBuf,
    /// The interpreters.
    pub programs: Programs,
    /// The sandbox for `quickjs:1`. Default: none, and then there is no such kind.
    pub scripts: Option<Arc<dyn Scripts>>,
    /// Processes at once, idle ones included. Default: eight, or four for each core where that
    /// is more.
    pub processes: usize,
    /// MB of all processes together, by the memory limits of their actions. Default 4096.
    pub memory_mb: u32,
    /// Calls that may wait for a process. Default 1000.
    pub waiting: usize,
    /// How long a call may wait for a process. Default 5 min, as long as OpenWhisk lets the
    /// longest action run.
    pub wait: Duration,
    /// How long a process is kept without work. Default 10 min.
    pub idle: Duration,
    /// After so long without work a process is stopped from running until it is needed.
    /// Default 10 s.
    pub pause: Duration,
    /// Whether functions may use the network. Default: they may.
    pub network: bool,
    /// The users that functions run as. Only root can become others. Default: the user of this
    /// process, and where that is root, [`Users::default`].
    pub users: Option<Users>,
    /// What each process may use beside its memory.
    pub process: ProcessLimits,
    /// What an archive may hold.
    pub unpack: UnpackLimits,
    /// Settings of the kind `exec:1`.
    pub executables: Executables,
}

/// What one process and all that it starts may use, beside time, memory and logs, which are the
/// action's own limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessLimits {
    /// Bytes of an answer. Default 1 MiB.
    pub answer: u64,
    /// Bytes that are kept of a longer one. Default 4 KiB.
    pub truncated_answer: usize,
    /// Bytes of the arguments. Default 4 MiB: those of package, binding, action and call.
    pub arguments: usize,
    /// Bytes of a file that it writes. Default 64 MiB.
    pub file: u64,
    /// Descriptors of one process. Default 1024.
    pub descriptors: u64,
    /// Processes. Default 64.
    pub processes: usize,
    /// Processes and threads together, which only holds where functions run as users of their
    /// own. Default 256.
    pub threads: u64,
}

/// Users that nobody else is, one for each process at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Users {
    /// The number of the first user and of its group; as many follow as there are processes.
    /// They need no entry in the list of users, and must own nothing.
    pub first: u32,
}

impl Default for Users {
    fn default() -> Self {
        // Beyond what distributions give to people, services, containers and subordinates.
        Self {
            first: 2_000_000_000,
        }
    }
}

/// Settings of the kind `exec:1`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Executables {
    /// What `exec.env` of an archive must say if it is there; also `OW_EXECUTION_ENV` of the
    /// program. Default: not checked, not set.
    pub environment: Option<String>,
    /// Whether programs say `{"ok":true}` when they are ready; they are told so by
    /// `__OW_WAIT_FOR_ACK`. Default: they do not.
    pub acknowledge: bool,
}

/// The interpreters that are used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Programs {
    /// Places of Node; the first that works is used.
    pub node: Vec<PathBuf>,
    /// Places of Python 3; all that work are used.
    pub python: Vec<PathBuf>,
    /// A folder of npm modules that every JavaScript action may load from, such as one with
    /// `openwhisk`. Default: none.
    pub node_modules: Option<PathBuf>,
    /// What else functions may read. Default: nothing.
    pub readable: Vec<PathBuf>,
}

impl Programs {
    /// Looks for interpreters in folders, the first ones before the others.
    pub fn search<'a>(folders: impl IntoIterator<Item = &'a Path>) -> Self {
        let mut programs = Self::default();
        for folder in folders {
            let there = |name: &str| Some(folder.join(name)).filter(|path| path.is_file());
            programs
                .node
                .extend(["node", "nodejs"].into_iter().filter_map(there));
            let minor = (8..=20).rev().map(|minor| format!("python3.{minor}"));
            let names = std::iter::once("python3".to_owned()).chain(minor);
            programs
                .python
                .extend(names.filter_map(|name| there(&name)));
        }
        programs
    }

    /// Looks where distributions put them.
    pub fn installed() -> Self {
        Self::search(["/usr/local/bin", "/usr/bin", "/bin"].map(Path::new))
    }
}

impl Settings {
    /// The defaults.
    pub fn new(cage: CageCommand) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            cage,
            below: std::env::temp_dir(),
            programs: Programs::installed(),
            scripts: None,
            processes: (4 * cores).max(8),
            memory_mb: 4096,
            waiting: 1000,
            wait: Duration::from_mins(5),
            idle: Duration::from_mins(10),
            pause: Duration::from_secs(10),
            network: true,
            users: nix::unistd::geteuid().is_root().then(Users::default),
            process: ProcessLimits::default(),
            unpack: UnpackLimits::default(),
            executables: Executables::default(),
        }
    }

    pub(super) fn capacity(&self) -> Capacity {
        Capacity {
            seats: self.processes.max(1),
            memory_mb: self.memory_mb,
            waiting: self.waiting,
        }
    }
}

impl Default for ProcessLimits {
    fn default() -> Self {
        Self {
            answer: 1 << 20,
            truncated_answer: 4 << 10,
            arguments: 4 << 20,
            file: 64 << 20,
            descriptors: 1024,
            processes: 64,
            threads: 256,
        }
    }
}
