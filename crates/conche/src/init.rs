//! What the program does where it is the first process of a container: it starts itself again,
//! passes signals on to that, and buries the processes that nobody else does.
//!
//! What loses its parent becomes a child of the first process, and stays a zombie until that
//! asks for its end. The server can't: it would take the ends of its own children from those in
//! it who wait for them. What is started here is not started again; its end is this one's.

use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitCode, ExitStatus};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// The number of the first process.
const FIRST: u32 = 1;

/// What is passed on.
const SIGNALS: [Signal; 6] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// Does that until the program has ended; none where this is not the first process, or can't
/// start itself again.
pub(crate) fn stand_in() -> Option<ExitCode> {
    if std::process::id() != FIRST {
        return None;
    }
    let mut arguments = std::env::args_os();
    let mut command = Command::new("/proc/self/exe");
    command.arg0(arguments.next()?).args(arguments);
    // Before signals are blocked: it would inherit that.
    let program = command.spawn().ok()?;
    let program = Pid::from_raw(program.id().cast_signed());
    Some(serve(program).unwrap_or(ExitCode::FAILURE))
}

fn serve(program: Pid) -> io::Result<ExitCode> {
    let mut signals: SigSet = SIGNALS.into_iter().collect();
    signals.add(Signal::SIGCHLD);
    signals.thread_block()?;
    loop {
        if let Some(status) = bury(program)? {
            return Ok(code(status));
        }
        match signals.wait()? {
            Signal::SIGCHLD => {}
            // It may have ended at the same moment.
            signal => drop(kill(program, signal)),
        }
    }
}

/// Buries all that have ended. How the program did, where it is among them.
fn bury(program: Pid) -> nix::Result<Option<ExitStatus>> {
    let mut status = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(status),
            Ok(WaitStatus::Exited(pid, code)) if pid == program => {
                status = Some(ExitStatus::from_raw(code << 8));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == program => {
                status = Some(ExitStatus::from_raw(signal as i32));
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// As shells tell it: 128 and more for a signal.
fn code(status: ExitStatus) -> ExitCode {
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_that_of_the_program_or_tells_its_signal() {
        let shown = |raw| format!("{:?}", code(ExitStatus::from_raw(raw)));
        assert_eq!(shown(0), format!("{:?}", ExitCode::SUCCESS));
        assert_eq!(shown(3 << 8), format!("{:?}", ExitCode::from(3)));
        assert_eq!(shown(9), format!("{:?}", ExitCode::from(137)));
    }
}
