//! One process of an action: started in its cage, asked line by line, and killed with all that
//! it has started. The host owns the clock and believes nothing that it reads.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdStream;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use conche_runtime::clock::SharedClock;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::time::{Instant, MissedTickBehavior};

use super::logs::{Logs, Stream};
use super::starter::Starter;
use super::undertaker::Undertaker;
use super::watch;

/// How often the memory of the first process is looked at while it works.
const LOOK: Duration = Duration::from_millis(25);
/// Every so many looks all processes of the session are counted, which costs more.
const SESSION_LOOK: u32 = 20;
/// Bytes read of an output at once, and of the answers.
const PIECE: usize = 16 * 1024;
/// Pieces that the largest pipe holds.
const PIPE_PIECES: usize = 64;
/// An answer this many times longer than the limit is not read to its end.
const PATIENCE: u64 = 64;
/// How long a process that was killed may take to be gone.
const FAREWELL: Duration = Duration::from_secs(5);

/// What is expected of one line that is sent to a process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// When the process is killed.
    pub(super) until: Instant,
    /// Bytes of memory that it may use with all that it has started.
    pub(super) memory: u64,
    /// Processes that there may be.
    pub(super) processes: usize,
    /// Bytes of the answer.
    pub(super) answer: u64,
    /// Bytes of the answer that are kept where it is longer.
    pub(super) kept: usize,
}

/// What came of a line that was sent. After all but the first two the process must be ended.
#[derive(Debug)]
pub(super) enum Heard {
    /// A line, without its end.
    Line(Vec<u8>),
    /// A line that was longer than allowed: its beginning and its length.
    LongLine { start: Vec<u8>, length: u64 },
    /// The process has ended.
    Exited(Option<ExitStatus>),
    /// Its time is over.
    OutOfTime,
    /// It used too much memory.
    OutOfMemory,
    /// It started too many processes.
    TooManyProcesses,
}

/// See the module. Dropping it kills all of it.
pub(super) struct Process {
    child: Child,
    group: Group,
    talk: UnixStream,
    stdout: pipe::Receiver,
    stderr: pipe::Receiver,
    paused: bool,
    clock: SharedClock,
}

impl Process {
    /// Starts the launcher's command, whose standard streams are set here, and hands it the
    /// environment of what it is to become.
    pub(super) async fn start(
        starter: &Starter,
        undertaker: &Arc<Undertaker>,
        (mut command, environment): (Command, Vec<u8>),
        clock: SharedClock,
    ) -> io::Result<Self> {
        let (ours, theirs) = StdStream::pair()?;
        ours.set_nonblocking(true)?;
        command
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = starter.start(command).await?;
        let pid = child.id().ok_or(io::ErrorKind::NotFound)?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let mut process = Self {
            group: Group::new(Pid::from_raw(pid.cast_signed()), Arc::clone(undertaker)),
            child,
            talk: UnixStream::from_std(ours)?,
            stdout: pipe::Receiver::from_owned_fd(stdout.into_owned_fd()?)?,
            stderr: pipe::Receiver::from_owned_fd(stderr.into_owned_fd()?)?,
            paused: false,
            clock,
        };
        // If it has ended already, that shows when it is asked.
        process.talk.write_all(&environment).await.ok();
        Ok(process)
    }

    /// The number of the first process and of the session.
    pub(super) fn id(&self) -> u32 {
        self.group.leader.as_raw().cast_unsigned()
    }

    /// Stops the processes from running while nobody asks anything of them.
    pub(super) fn pause(&mut self) {
        if !self.paused {
            self.paused = killpg(self.group.leader, Signal::SIGSTOP).is_ok();
        }
    }

    /// Whether it has ended or said something unasked while it had nothing to do. Lets it run
    /// again if it is well.
    pub(super) fn is_unfit(&mut self) -> bool {
        let silent = matches!(
            read_now(&self.talk, &mut [0; 1]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock
        );
        if !silent || !matches!(self.child.try_wait(), Ok(None)) {
            return true;
        }
        if std::mem::take(&mut self.paused) {
            return killpg(self.group.leader, Signal::SIGCONT).is_err();
        }
        false
    }

    /// Sends a line and waits for the line that answers it, taking down what is logged.
    pub(super) async fn ask(&mut self, line: &[u8], bounds: Bounds, logs: &mut Logs) -> Heard {
        let heard = self.converse(line, bounds, logs).await;
        self.take_logs(logs);
        heard
    }

    async fn converse(&mut self, line: &[u8], bounds: Bounds, logs: &mut Logs) -> Heard {
        let mut answer = Answer::new(bounds);
        let mut looks = Looks::default();
        let mut look = tokio::time::interval_at(Instant::now() + LOOK, LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let id = self.id();
        let (mut hear, mut say) = self.talk.split();
        let (mut sent, mut open) = (0, [true, true]);
        let (mut out, mut err) = (vec![0; PIECE], vec![0; PIECE]);
        let mut piece = Vec::with_capacity(PIECE);
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(bounds.until) => return Heard::OutOfTime,
                _ = look.tick() => if let Some(excess) = looks.look(id, bounds) {
                    return excess;
                },
                read = self.stdout.read(&mut out), if open[0] => match read {
                    Ok(length @ 1..) => logs.push(Stream::Stdout, &out[..length], self.clock.now()),
                    _ => open[0] = false,
                },
                read = self.stderr.read(&mut err), if open[1] => match read {
                    Ok(length @ 1..) => logs.push(Stream::Stderr, &err[..length], self.clock.now()),
                    _ => open[1] = false,
                },
                read = hear.read_buf(&mut piece) => {
                    if !matches!(read, Ok(1..)) {
                        return Heard::Exited(self.exit_status().await);
                    }
                    if let Some(heard) = answer.take(&piece) {
                        return heard;
                    }
                    piece.clear();
                }
                wrote = say.write(&line[sent..]), if sent < line.len() => {
                    // What can't be written shows on the reading side as well.
                    sent = wrote.map_or(line.len(), |count| sent + count);
                }
                status = self.child.wait() => {
                    // It may have answered before it ended.
                    while let Ok(1..) = hear.try_read_buf(&mut piece) {
                        if let Some(heard) = answer.take(&piece) {
                            return heard;
                        }
                        piece.clear();
                    }
                    return Heard::Exited(status.ok());
                }
            }
        }
    }

    async fn exit_status(&mut self) -> Option<ExitStatus> {
        self.group.kill();
        let wait = tokio::time::timeout(FAREWELL, self.child.wait());
        wait.await.ok().and_then(Result::ok)
    }

    /// Takes what is in the pipes already: all that was written before the answer was.
    fn take_logs(&mut self, logs: &mut Logs) {
        let mut piece = vec![0; PIECE];
        let now = self.clock.now();
        let pipes = [
            (Stream::Stdout, &self.stdout),
            (Stream::Stderr, &self.stderr),
        ];
        for (stream, pipe) in pipes {
            // No more than a pipe holds, whoever goes on writing.
            for _ in 0..PIPE_PIECES {
                match read_now(pipe, &mut piece) {
                    Ok(length @ 1..) => logs.push(stream, &piece[..length], now),
                    _ => break,
                }
            }
        }
    }

    /// Kills it with all that it has started and waits until it is gone; says how it ended.
    pub(super) async fn end(mut self) -> Option<ExitStatus> {
        drop(self.child.start_kill());
        self.exit_status().await
    }
}

/// Reads what is there, without waiting and without asking the event loop, which may not have
/// heard of it yet.
fn read_now(from: impl AsFd, into: &mut [u8]) -> io::Result<usize> {
    nix::unistd::read(from, into).map_err(io::Error::from)
}

/// Kills the processes of a session when dropped; they have one group, which they can't leave.
struct Group {
    leader: Pid,
    undertaker: Arc<Undertaker>,
}

impl Group {
    fn new(leader: Pid, undertaker: Arc<Undertaker>) -> Self {
        undertaker.begun(leader);
        Self { leader, undertaker }
    }

    fn kill(&self) {
        // It may have ended, or not have become a group yet.
        killpg(self.leader, Signal::SIGKILL).ok();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
        self.undertaker.ended(self.leader);
    }
}

/// An answer that is being read.
struct Answer {
    line: Vec<u8>,
    length: u64,
    bounds: Bounds,
}

impl Answer {
    fn new(bounds: Bounds) -> Self {
        Self {
            line: Vec::new(),
            length: 0,
            bounds,
        }
    }

    /// Takes the next piece; the answer is there when its line has ended. Anything after that
    /// was not asked for and is found when the process is used next.
    fn take(&mut self, piece: &[u8]) -> Option<Heard> {
        let end = piece.iter().position(|&byte| byte == b'\n');
        let part = &piece[..end.unwrap_or(piece.len())];
        self.length += part.len() as u64;
        let is_long = self.length > self.bounds.answer;
        if is_long {
            let more = self.bounds.kept.saturating_sub(self.line.len());
            self.line.extend_from_slice(&part[..part.len().min(more)]);
            self.line.truncate(self.bounds.kept);
        } else {
            self.line.extend_from_slice(part);
        }
        let endless = self.length > self.bounds.answer.saturating_mul(PATIENCE);
        let unasked = end.is_some_and(|end| end + 1 < piece.len());
        if unasked || endless {
            return Some(Heard::Exited(None));
        }
        end.map(|_| {
            let line = std::mem::take(&mut self.line);
            if is_long {
                Heard::LongLine {
                    start: line,
                    length: self.length,
                }
            } else {
                Heard::Line(line)
            }
        })
    }
}

/// The looks at what a call uses.
#[derive(Default)]
struct Looks(u32);

impl Looks {
    fn look(&mut self, leader: u32, bounds: Bounds) -> Option<Heard> {
        self.0 += 1;
        if watch::process_bytes(leader).is_some_and(|bytes| bytes > bounds.memory) {
            return Some(Heard::OutOfMemory);
        }
        if !self.0.is_multiple_of(SESSION_LOOK) {
            return None;
        }
        let usage = watch::session(leader);
        if usage.bytes > bounds.memory {
            return Some(Heard::OutOfMemory);
        }
        (usage.processes > bounds.processes).then_some(Heard::TooManyProcesses)
    }
}
