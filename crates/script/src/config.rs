//! How a sandbox is set up: the worker program, the number of workers and
//! every limit.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::child::WORKER_ARGUMENT;
use crate::protocol::CallLimits;

/// Where "now" comes from; tests put their own in.
pub type Clock = Arc<dyn Fn() -> Instant + Send + Sync>;

/// Settings of a [`crate::Sandbox`].
#[derive(Clone)]
pub struct Config {
    /// What to execute as a worker.
    pub worker: WorkerCommand,
    /// Worker processes, at least 1. Default: one per core and one to spare, so
    /// that a worker being replaced leaves no core idle.
    pub workers: usize,
    /// Limits of a call that brings none of its own.
    pub limits: Limits,
    /// Calls after which a kept realm is made anew. Default 1000.
    pub recycle_after: u32,
    /// Calls that may wait for a worker; more are refused. Default 10,000.
    pub queue: usize,
    /// How long a call may wait for a worker. Default 30 s.
    pub wait: Duration,
    /// When a script is no longer run.
    pub quarantine: QuarantinePolicy,
    /// Time for the quarantine's window.
    pub clock: Clock,
}

impl Config {
    /// The defaults, with workers started by `worker`.
    pub fn new(worker: WorkerCommand) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            worker,
            workers: cores + 1,
            limits: Limits::default(),
            recycle_after: 1000,
            queue: 10_000,
            wait: Duration::from_secs(30),
            quarantine: QuarantinePolicy::default(),
            clock: Arc::new(Instant::now),
        }
    }
}

/// A program that calls [`crate::worker_main`] when started with these
/// arguments.
#[derive(Debug, Clone)]
pub struct WorkerCommand {
    /// The executable.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
}

impl WorkerCommand {
    /// This very executable. Linux resolves the path to the image that is
    /// running, even after the file was replaced by an upgrade.
    pub fn current_executable() -> Self {
        Self::program("/proc/self/exe")
    }

    /// Another executable that knows [`WORKER_ARGUMENT`].
    pub fn program(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: vec![WORKER_ARGUMENT.into()],
        }
    }
}

/// What one call may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Processor time of the call. Default 250 ms. A script that returns to the
    /// interpreter is interrupted then; one that does not is killed
    /// [`Limits::KILL_GRACE`] later. A busy machine is not the script's fault,
    /// but no call takes longer than [`Limits::wall`].
    pub time: Duration,
    /// The most that a call may take by the wall clock, counted from when a worker has
    /// it; it is killed then. Default: [`Limits::WALL_FACTOR`] times [`Limits::time`].
    pub wall: Option<Duration>,
    /// Heap of the script in bytes. Default 32 MiB.
    pub memory: u64,
    /// Bytes of action name and data together; also what an event may grow by,
    /// and what a jq filter may yield. Default 256 KiB.
    pub output: usize,
    /// Console output in UTF-16 units, with 8 more for each line. Default
    /// 16 Ki.
    pub logs: usize,
}

impl Limits {
    /// How long after its deadline a call is killed.
    pub const KILL_GRACE: Duration = Duration::from_millis(10);

    /// How many times [`Limits::time`] a call may take by the wall clock where
    /// [`Limits::wall`] does not say.
    pub const WALL_FACTOR: u32 = 8;

    /// The most by the wall clock.
    pub(crate) fn longest(&self) -> Duration {
        self.wall.unwrap_or(self.time * Self::WALL_FACTOR)
    }

    pub(crate) fn for_call(&self) -> CallLimits {
        CallLimits {
            time_micros: u64::try_from(self.time.as_micros()).unwrap_or(u64::MAX),
            memory: self.memory,
            output: self.output as u64,
            logs: self.logs as u64,
        }
    }

    /// The longest answer that a call with these limits can have. Anything
    /// longer comes from a worker that is no longer ours.
    pub(crate) fn answer_bytes(&self, input: usize) -> usize {
        // Every UTF-16 unit is at most 3 bytes; every line has a few more.
        const MESSAGE: usize = 64 * 1024;
        2 * self.output + input + 4 * self.logs + MESSAGE
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time: Duration::from_millis(250),
            wall: None,
            memory: 32 * 1024 * 1024,
            output: 256 * 1024,
            logs: 16 * 1024,
        }
    }
}

/// When a script that keeps costing workers is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuarantinePolicy {
    /// Strikes that lead to quarantine. A strike is a call that cost a worker:
    /// out of time, out of memory, or crashed. Where it is 0, strikes are not
    /// counted and no script is set aside. Default 3.
    pub strikes: u32,
    /// Strikes count for this long, and quarantine lasts this long after the
    /// last one. Default 10 min.
    pub window: Duration,
}

impl Default for QuarantinePolicy {
    fn default() -> Self {
        Self {
            strikes: 3,
            window: Duration::from_mins(10),
        }
    }
}
