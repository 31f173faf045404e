//! Processes of this program, and the folder that a benchmark may fill.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::report::{Report, Row};
use super::{Benchmark, Error, cpu};

/// A folder that is removed when the benchmark ends.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes a new folder in this one.
    pub(crate) fn new(base: &Path) -> Result<Self, Error> {
        let dir = base.join(format!("conche-bench-{}", std::process::id()));
        std::fs::create_dir_all(base)
            .and_then(|()| std::fs::create_dir(&dir))
            .map_err(|cause| Error::of(dir.display().to_string(), cause))?;
        Ok(Self(dir))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, dir = %self.0.display(), "the benchmark's folder was not removed");
        }
    }
}

/// Runs one benchmark in a process of its own and takes its rows.
pub(crate) async fn run(benchmark: &Benchmark, quick: bool, dir: &Path) -> Result<Vec<Row>, Error> {
    let name = benchmark.ids.join(", ");
    tracing::info!(benchmark = name, "{}", benchmark.summary);
    let mut command = Command::new("/proc/self/exe");
    command
        .args(["bench", "-o", "json", "--only", benchmark.ids[0], "--dir"])
        .arg(dir);
    if quick {
        command.arg("--quick");
    }
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .map_err(|cause| Error::of(&name, cause))?;
    let output = tokio::time::timeout(benchmark.limit, child.wait_with_output()).await;
    let output = output
        .map_err(|_elapsed| Error::of(&name, format!("not done within {:?}", benchmark.limit)))?
        .map_err(|cause| Error::of(&name, cause))?;
    if !output.status.success() {
        return Err(Error::of(&name, output.status));
    }
    let printed: Report =
        serde_json::from_slice(&output.stdout).map_err(|cause| Error::of(&name, cause))?;
    Ok(printed.rows)
}

/// Memory of a process, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    /// Everything of it that is in memory.
    pub(crate) resident: f64,
    /// The same, where what is shared with other processes counts by its share.
    pub(crate) share: f64,
}

/// What a process, by its id, takes.
pub(crate) fn memory(process: &str) -> Result<Memory, Error> {
    let path = format!("/proc/{process}/smaps_rollup");
    let text = std::fs::read_to_string(&path).map_err(|cause| Error::of(path, cause))?;
    let kib = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<f64>().ok()
    };
    let bytes = |name| kib(name).unwrap_or_default() * 1024.0;
    Ok(Memory {
        resident: bytes("Rss:"),
        share: bytes("Pss:"),
    })
}

/// The most bytes of this process that were in memory at once.
pub(crate) fn peak() -> Result<f64, Error> {
    let path = "/proc/self/status";
    let text = std::fs::read_to_string(path).map_err(|cause| Error::of(path, cause))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.map(|kib| kib * 1024.0)
        .ok_or_else(|| Error::of(path, "no peak is told"))
}

/// A `conche serve` of our own.
pub(crate) struct Server {
    child: Child,
    /// From exec to the line that says that the listeners answer.
    pub(crate) ready: Duration,
}

/// A server gets this long to be ready, and to end.
const SERVER_WAIT: Duration = Duration::from_secs(30);

impl Server {
    /// Starts one on free ports over a data folder.
    pub(crate) async fn start(data: &Path) -> Result<Self, Error> {
        let failed = |cause: std::io::Error| Error::of("conche serve", cause);
        let begin = Instant::now();
        let mut child = Command::new("/proc/self/exe")
            .arg("serve")
            .current_dir(data.parent().unwrap_or(data))
            .env("CONCHE_DATA_DIR", data)
            .env("CONCHE_API__LISTEN", "127.0.0.1:0")
            .env("CONCHE_WEBHOOKS__LISTEN", "127.0.0.1:0")
            .env("CONCHE_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let out = child
            .stdout
            .take()
            .ok_or_else(|| Error::of("conche serve", "no output"))?;
        let mut line = String::new();
        let mut out = BufReader::new(out);
        let read = tokio::time::timeout(SERVER_WAIT, out.read_line(&mut line)).await;
        let ready = begin.elapsed();
        match read {
            Ok(Ok(_)) if line.starts_with("listening ") => Ok(Self { child, ready }),
            Ok(Ok(_)) => Err(Error::of("conche serve", format!("said `{}`", line.trim()))),
            Ok(Err(cause)) => Err(failed(cause)),
            Err(_elapsed) => Err(Error::of("conche serve", "not ready in time")),
        }
    }

    /// The process, by its id.
    pub(crate) fn id(&self) -> Result<String, Error> {
        let id = self.child.id();
        id.map(|id| id.to_string())
            .ok_or_else(|| Error::of("conche serve", "it ended"))
    }

    /// The memory of the server and of each of its workers.
    pub(crate) fn memory(&self) -> Result<(Memory, Vec<Memory>), Error> {
        let id = self.id()?;
        let workers: Result<Vec<Memory>, Error> = cpu::children(&id)
            .iter()
            .map(|worker| memory(worker))
            .collect();
        Ok((memory(&id)?, workers?))
    }

    /// Asks it to end and waits until it has.
    pub(crate) async fn stop(mut self) -> Result<(), Error> {
        let failed = |cause: std::io::Error| Error::of("stopping conche serve", cause);
        let told = Command::new("kill")
            .arg(self.id()?)
            .status()
            .await
            .map_err(failed)?;
        if !told.success() {
            return Err(Error::of("stopping conche serve", told));
        }
        let ended = tokio::time::timeout(SERVER_WAIT, self.child.wait()).await;
        let status =
            ended.map_err(|_elapsed| Error::of("conche serve", "it did not end in time"))?;
        match status.map_err(failed)? {
            status if status.success() => Ok(()),
            status => Err(Error::of("conche serve", status)),
        }
    }
}
