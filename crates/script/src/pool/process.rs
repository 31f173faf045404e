//! One worker process: started, spoken to over its pipes, killed at the
//! deadline. The parent owns the wall clock and believes nothing it reads.

use std::collections::{HashMap, VecDeque};
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::libc;
use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::Instant;

use super::errand::{Errand, Nonsense, Work};
use super::stint::Stint;
use crate::config::{Limits, WorkerCommand};
use crate::error::Error;
use crate::protocol::{self, HEADER, Ready, Request, Response, Setup};
use crate::script::Digest;

/// How long a new worker may take to report ready.
const START: Duration = Duration::from_secs(10);
/// How long a dismissed worker may take to end by itself.
const FAREWELL: Duration = Duration::from_millis(500);
/// Longest first frame.
const READY_BYTES: usize = 4096;
/// Sources a worker is made to remember before it has to forget them all.
const KNOWN_SCRIPTS: usize = 256;
const KNOWN_BYTES: usize = 4 * 1024 * 1024;

/// How a batch ended.
pub(super) enum Ended {
    /// Every call is answered and the worker is well.
    Well,
    /// The worker is gone; the call at the front of the batch, if `error` is
    /// there, has not been answered and gets it.
    Lost { error: Option<Error> },
}

/// What came out of one read.
enum Heard {
    Nothing,
    Response { retiring: bool, strike: bool },
}

/// A running worker.
pub(crate) struct Process {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    /// Bytes read and not yet understood.
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    known: HashMap<Digest, u32>,
    known_bytes: usize,
    next_id: u64,
    /// Calls answered.
    pub(super) calls: u64,
    /// Wall time those calls took.
    pub(super) spent: Duration,
    /// Set when a call struck, for the slot to count.
    pub(super) struck: bool,
}

impl Process {
    /// Starts a worker and waits until it is confined. Also returns the
    /// protections that the kernel could not give.
    pub(super) async fn start(
        command: &WorkerCommand,
        setup: &Setup,
    ) -> std::io::Result<(Self, Vec<String>)> {
        let mut child = Command::new(&command.program)
            .args(&command.args)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        };
        let mut process = Self {
            child,
            stdin,
            stdout,
            inbox: Vec::with_capacity(4096),
            outbox: Vec::with_capacity(4096),
            known: HashMap::new(),
            known_bytes: 0,
            next_id: 0,
            calls: 0,
            spent: Duration::ZERO,
            struck: false,
        };
        let ready = tokio::time::timeout(START, process.greet(setup)).await;
        match ready {
            Ok(Ok(Ready::Confined { missing })) => Ok((process, missing)),
            Ok(Ok(Ready::Refused { reason })) => Err(std::io::Error::other(reason)),
            Ok(Err(error)) => Err(std::io::Error::new(
                error.kind(),
                format!("the worker did not start: {}", process.end().await),
            )),
            Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
        }
    }

    async fn greet(&mut self, setup: &Setup) -> std::io::Result<Ready> {
        append(&mut self.outbox, setup)?;
        self.stdin.write_all(&self.outbox).await?;
        loop {
            if self.stdout.read_buf(&mut self.inbox).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let invalid = || std::io::Error::from(std::io::ErrorKind::InvalidData);
            let Some(end) = frame_end(&self.inbox, READY_BYTES).map_err(|_| invalid())? else {
                continue;
            };
            let ready = postcard::from_bytes(&self.inbox[HEADER..end]).map_err(|_| invalid())?;
            self.inbox.drain(..end);
            return Ok(ready);
        }
    }

    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Whether the process has ended, or said something unasked, while it had
    /// nothing to do.
    pub(super) fn is_unfit(&mut self) -> bool {
        !self.inbox.is_empty() || !matches!(self.child.try_wait(), Ok(None))
    }

    /// Runs the calls in order, answering each as its response arrives. What
    /// is left in `errands` has not been answered.
    pub(super) async fn run(&mut self, errands: &mut VecDeque<Errand>) -> Ended {
        let mut id = self.next_id;
        if let Err(error) = self.write_requests(errands) {
            let error = Error::Crashed {
                reason: error.to_string(),
            };
            return self.lost(Some(error)).await;
        }
        let mut written = 0;
        let mut started = Instant::now();
        let deadline = tokio::time::sleep_until(started);
        tokio::pin!(deadline);
        let mut armed = false;
        let mut stint = Stint::new(&Limits::default(), started);
        while let Some(errand) = errands.front() {
            let limit = errand.limits.time;
            if !armed {
                stint = Stint::new(&errand.limits, started);
                deadline.as_mut().reset(stint.first_look());
                armed = true;
            }
            let sending = written < self.outbox.len();
            tokio::select! {
                read = self.stdout.read_buf(&mut self.inbox) => {
                    if read.is_err() || matches!(read, Ok(0)) {
                        let error = self.post_mortem(&errands[0]).await;
                        return Ended::Lost { error: Some(error) };
                    }
                }
                wrote = self.stdin.write(&self.outbox[written..]), if sending => {
                    // A broken pipe shows on the reading side as well.
                    written = wrote.map_or(self.outbox.len(), |count| written + count);
                    continue;
                }
                () = &mut deadline => {
                    if let Some(again) = stint.look(self.processor_time(), Instant::now()) {
                        deadline.as_mut().reset(again);
                        continue;
                    }
                    let logs = crate::script::Logs::default();
                    return self.lost(Some(Error::Timeout { limit, logs })).await;
                }
            }
            // One read may bring several answers.
            loop {
                match self.hear(errands, id, started) {
                    Ok(Heard::Nothing) => break,
                    Ok(Heard::Response { retiring, strike }) => {
                        id += 1;
                        started = Instant::now();
                        armed = false;
                        self.struck |= strike;
                        if retiring {
                            return self.lost(None).await;
                        }
                    }
                    Err(Nonsense(what)) => {
                        let error = Error::Crashed {
                            reason: format!("it sent {what}"),
                        };
                        return self.lost(Some(error)).await;
                    }
                }
            }
        }
        Ended::Well
    }

    /// Processor time that the worker has used; `None` where the kernel does not tell.
    fn processor_time(&self) -> Option<Duration> {
        let path = format!("/proc/{}/schedstat", self.child.id()?);
        let text = std::fs::read_to_string(path).ok()?;
        text.split(' ')
            .next()?
            .parse()
            .ok()
            .map(Duration::from_nanos)
    }

    /// Fills the outbox with the batch, and with scripts new to the worker.
    fn write_requests(&mut self, errands: &VecDeque<Errand>) -> std::io::Result<()> {
        self.outbox.clear();
        for errand in errands {
            let slot = match &errand.work {
                Work::Evaluate(call) => self.slot_of(errand.script, call.script.source())?,
                Work::Check { .. } | Work::Jq { .. } => 0,
            };
            append(&mut self.outbox, &errand.request(self.next_id, slot))?;
            self.next_id += 1;
        }
        Ok(())
    }

    /// The number by which the worker knows a script, told it now if need be.
    fn slot_of(&mut self, script: Digest, source: &str) -> std::io::Result<u32> {
        if let Some(&slot) = self.known.get(&script) {
            return Ok(slot);
        }
        if self.known.len() >= KNOWN_SCRIPTS || self.known_bytes + source.len() > KNOWN_BYTES {
            append(&mut self.outbox, &Request::Forget)?;
            self.known.clear();
            self.known_bytes = 0;
        }
        let slot = self.known.len() as u32;
        append(&mut self.outbox, &Request::Define { slot, source })?;
        self.known.insert(script, slot);
        self.known_bytes += source.len();
        Ok(slot)
    }

    /// Answers the front call if its whole response is in the inbox.
    fn hear(
        &mut self,
        errands: &mut VecDeque<Errand>,
        id: u64,
        started: Instant,
    ) -> Result<Heard, Nonsense> {
        if self.inbox.is_empty() {
            return Ok(Heard::Nothing);
        }
        let Some(errand) = errands.front() else {
            return Err(Nonsense("an answer nobody asked for"));
        };
        let Some(end) = frame_end(&self.inbox, errand.answer_bytes())? else {
            return Ok(Heard::Nothing);
        };
        let response: Response<'_> = postcard::from_bytes(&self.inbox[HEADER..end])
            .map_err(|_| Nonsense("a frame that cannot be read"))?;
        if response.id != id {
            return Err(Nonsense("an answer to another question"));
        }
        let spent = started.elapsed();
        let retiring = response.retiring;
        let result = errand.read(response, spent)?;
        let strike = result.as_ref().is_err_and(Error::is_strike);
        self.inbox.drain(..end);
        if let Some(errand) = errands.pop_front() {
            errand.finish(result);
        }
        self.calls += 1;
        self.spent += spent;
        Ok(Heard::Response { retiring, strike })
    }

    async fn lost(&mut self, error: Option<Error>) -> Ended {
        self.end().await;
        Ended::Lost { error }
    }

    /// Kills the worker and says how it ended.
    async fn end(&mut self) -> String {
        // It may be dead already.
        drop(self.child.start_kill());
        match self.child.wait().await {
            Ok(status) => describe(status),
            Err(error) => error.to_string(),
        }
    }

    /// Blames the call that the worker died on.
    async fn post_mortem(&mut self, errand: &Errand) -> Error {
        let status = tokio::time::timeout(FAREWELL, self.child.wait()).await;
        if let Ok(Ok(status)) = status {
            // jaq has no heap limit of its own: it ends at the address space.
            if matches!(errand.work, Work::Jq { .. }) && status.signal() == Some(libc::SIGABRT) {
                let logs = crate::script::Logs::default();
                return Error::Memory {
                    limit: errand.limits.memory,
                    logs,
                };
            }
            return Error::Crashed {
                reason: describe(status),
            };
        }
        Error::Crashed {
            reason: format!("it closed its pipe; {}", self.end().await),
        }
    }

    /// Lets the worker end by itself.
    pub(super) async fn dismiss(mut self) {
        drop(self.stdin);
        if tokio::time::timeout(FAREWELL, self.child.wait())
            .await
            .is_err()
        {
            drop(self.child.start_kill());
        }
    }
}

fn append<T: serde::Serialize>(out: &mut Vec<u8>, value: &T) -> std::io::Result<()> {
    protocol::append(out, value).map_err(std::io::Error::other)
}

/// Where the first frame ends, once all of it is there.
fn frame_end(inbox: &[u8], limit: usize) -> Result<Option<usize>, Nonsense> {
    match protocol::claimed_length(inbox) {
        Some(length) if length > limit => Err(Nonsense("a frame longer than any answer")),
        Some(length) if inbox.len() >= HEADER + length => Ok(Some(HEADER + length)),
        Some(_) | None => Ok(None),
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => Signal::try_from(signal).map_or_else(
            |_| format!("signal {signal}"),
            |signal| signal.as_str().to_owned(),
        ),
        (None, Some(code)) => format!("exit code {code}"),
        (None, None) => "unknown end".to_owned(),
    }
}
