//! One process: started without a shell and with the environment that is listed, watched,
//! and killed with its whole group when its time is over or nobody waits for it any more.
//!
//! What it writes is read to the end, so that it never hangs on a full pipe, but kept only up
//! to a limit. A descendant that leaves the group on purpose is out of reach.

use std::collections::BTreeMap;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use conche_runtime::secrets::{Masker, Secrets};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Gid, Pid, Uid};
use secrecy::ExposeSecret as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use super::config::EnvValue;
use crate::action::Error;

/// What a descendant still writes after the program has ended is waited for so long.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Read beyond the limit, so that a secret across it is still seen whole and masked.
const MASKED_BEYOND: usize = 8 * 1024;

/// A process that has ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Kept,
    pub(crate) stderr: Kept,
}

/// What is kept of an output.
#[derive(Default)]
pub(crate) struct Kept {
    bytes: Vec<u8>,
}

impl Kept {
    /// Takes what is still within `limit` of the next piece.
    pub(crate) fn push(&mut self, piece: &[u8], limit: usize) {
        let room = limit
            .saturating_add(MASKED_BEYOND)
            .saturating_sub(self.bytes.len());
        self.bytes
            .extend_from_slice(&piece[..piece.len().min(room)]);
    }

    /// What was kept, which may be a little more than the limit.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The text without secrets, at most `limit` bytes, and whether there was more.
    pub(crate) fn text(&self, limit: usize, masker: &Masker) -> (String, bool) {
        let text = String::from_utf8_lossy(&self.bytes);
        let text = masker.mask(&text);
        let end = text.floor_char_boundary(limit);
        (text[..end].to_owned(), end < text.len())
    }
}

/// Gives a command the listed environment and nothing of ours, and the user to become.
pub(crate) fn confine(
    command: &mut Command,
    env: &BTreeMap<String, EnvValue>,
    user: Option<(Uid, Gid)>,
    secrets: &Secrets,
) -> Result<(), Error> {
    command.env_clear();
    for (name, value) in env {
        match value {
            EnvValue::Text(text) => command.env(name, text),
            EnvValue::Secret(secret) => {
                let value = secrets.get(&secret.secret);
                let value = value.map_err(|error| Error::retry(error.to_string()))?;
                command.env(name, value.expose_secret())
            }
        };
    }
    if let Some((user, group)) = user {
        // Other groups of ours are left as well.
        command.uid(user.as_raw()).gid(group.as_raw());
    }
    Ok(())
}

/// Kills the group when dropped.
struct Group(Pid);

impl Drop for Group {
    fn drop(&mut self) {
        // The group may have ended by itself.
        killpg(self.0, Signal::SIGKILL).ok();
    }
}

/// Starts the command in a group of its own; an error means that it did not start.
pub(crate) fn start(mut command: Command) -> io::Result<Child> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

/// Watches a process to its end. Dropping the future kills the group.
pub(crate) async fn watch(mut child: Child, stdin: &[u8], limit: usize) -> io::Result<Ended> {
    let pid = child.id().and_then(|id| i32::try_from(id).ok());
    let group = pid.map(|pid| Group(Pid::from_raw(pid)));
    let (mut stdout, mut stderr) = (Kept::default(), Kept::default());
    let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let status = {
        let write = async move {
            if let Some(mut input) = input {
                // It need not read its input.
                input.write_all(stdin).await.ok();
            }
        };
        let talk = async {
            tokio::join!(
                write,
                keep(output, &mut stdout, limit),
                keep(errors, &mut stderr, limit)
            )
        };
        tokio::pin!(talk);
        tokio::select! {
            status = child.wait() => {
                // Ids are given out in turn: this one is not another's yet.
                drop(group);
                tokio::time::timeout(LAST_WORDS, talk).await.ok();
                status?
            }
            _ = &mut talk => child.wait().await?,
        }
    };
    Ok(Ended {
        status,
        stdout,
        stderr,
    })
}

async fn keep(from: Option<impl AsyncRead + Unpin>, kept: &mut Kept, limit: usize) {
    let Some(mut from) = from else { return };
    let mut piece = vec![0; 8 * 1024];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        kept.push(&piece[..length], limit);
    }
}
