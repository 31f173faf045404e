//! What ends the functions of a host that was killed.
//!
//! The kernel ends the first process of each function together with the host, but not what that
//! has started. So one small process of our own hears of every session that begins and ends,
//! over a pipe; when the pipe closes although nobody said goodbye, it kills what is left.
//!
//! It never ends anything that it was not told of, and takes no other orders.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, setsid};

use super::cage::{CAGE_ARGUMENT, CageCommand};

/// What stands in the place of a plan to start it.
pub(super) const UNDERTAKER: &str = "undertaker";

/// The host's side. Dropping it ends the process, which then has nothing left to do.
pub(super) struct Undertaker {
    child: Child,
    orders: Mutex<Option<ChildStdin>>,
}

impl Undertaker {
    pub(super) fn start(cage: &CageCommand) -> io::Result<Self> {
        let mut child = Command::new(&cage.program)
            .args([CAGE_ARGUMENT, UNDERTAKER])
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let orders = Mutex::new(child.stdin.take());
        Ok(Self { child, orders })
    }

    /// A session has begun.
    pub(super) fn begun(&self, session: Pid) {
        self.tell('+', session);
    }

    /// A session was ended.
    pub(super) fn ended(&self, session: Pid) {
        self.tell('-', session);
    }

    fn tell(&self, sign: char, session: Pid) {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(pipe) = orders.as_mut() else { return };
        let told = pipe.write_all(format!("{sign}{session}\n").as_bytes());
        if let Err(error) = told {
            tracing::warn!(%error, "what functions start will outlive a host that is killed");
            *orders = None;
        }
    }
}

impl Drop for Undertaker {
    fn drop(&mut self) {
        *self.orders.lock().unwrap_or_else(PoisonError::into_inner) = None;
        // It ends with its pipe.
        self.child.wait().ok();
    }
}

/// The process itself: listens until the pipe closes, then kills the sessions that are left.
pub(super) fn serve(orders: impl BufRead) {
    // An interrupt from the terminal is meant for the host, which says goodbye by itself.
    setsid().ok();
    for session in left(orders) {
        // It may have ended at the same moment.
        killpg(session, Signal::SIGKILL).ok();
    }
}

fn left(orders: impl BufRead) -> Vec<Pid> {
    let mut sessions = BTreeSet::new();
    for line in orders.lines().map_while(Result::ok) {
        let (sign, number) = line.split_at(line.len().min(1));
        // Never 0 or 1: these would be this very group, and everything there is.
        let number = number.parse::<i32>().ok().filter(|&number| number > 1);
        match (sign, number) {
            ("+", Some(number)) => sessions.insert(number),
            ("-", Some(number)) => sessions.remove(&number),
            _ => false,
        };
    }
    sessions.into_iter().map(Pid::from_raw).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_what_has_begun_and_not_ended() {
        let orders = "+10\n+11\n-10\n+12\n-12\n+0\n+1\n+-5\nx\n\n-7\n+13";
        let left: Vec<i32> = left(orders.as_bytes())
            .into_iter()
            .map(Pid::as_raw)
            .collect();
        assert_eq!(left, [11, 13]);
    }
}
