//! WinRM over HTTPS: one command on one host, in a shell of its own (MS-WSMV).
//!
//! A shell is created, the command begun in it, its output asked for until it has ended, and
//! the shell deleted, whatever came of it. Nothing is done before the command's request is on
//! its way; from then on, until the host tells how it ended, only the host knows what was done.
//! Plain HTTP is not spoken. Addresses come from playbooks, so each passes the egress check.

mod answer;
mod clixml;
mod config;
mod envelope;
mod link;
mod ntlm;

use std::sync::Arc;
use std::time::Duration;

use conche_runtime::clock::SharedClock;
use conche_runtime::egress::Egress;
use conche_runtime::secrets::{Host, Receiver, Secrets};
use tokio::time::Instant;
use url::Url;

use self::answer::{Fault, Received};
pub(crate) use self::config::{Config, Scheme};
use self::envelope::{Operation, envelope};
use self::link::{Failure, Link, Login, Reply, left};
use crate::action::Error;
use crate::actions::exec::process::Kept;
use crate::command::CommandInput;
use crate::{BuildContext, BuildError, config as settings};

/// A shell is deleted within this. As much again is kept free to tell of it in time.
const GRACE: Duration = Duration::from_secs(2);

/// A command that has ended.
pub(crate) struct Ended {
    pub(crate) exit_code: i64,
    pub(crate) stdout: Kept,
    pub(crate) stderr: Kept,
}

/// What is run: a program that the host finds, and its arguments in one line.
pub(crate) struct Line<'a> {
    pub(crate) program: &'a str,
    pub(crate) arguments: &'a str,
}

/// The way to hosts.
pub(crate) struct Winrm {
    config: Config,
    secrets: Arc<Secrets>,
    egress: Egress,
    clock: SharedClock,
}

impl Winrm {
    /// Checks the settings; connects to nothing.
    pub(crate) fn new(place: &str, config: Config, cx: &BuildContext) -> Result<Self, BuildError> {
        config.check(place)?;
        let egress = match &config.tls {
            None => cx.egress.without_redirects(),
            Some(tls) => cx
                .egress
                .with_tls(tls)
                .map_err(|error| settings::error(place, error.to_string()))?,
        };
        Ok(Self {
            config,
            secrets: cx.secrets.clone(),
            egress,
            clock: cx.clock.clone(),
        })
    }

    /// How much is kept of each output.
    pub(crate) fn max_output(&self) -> usize {
        self.config.max_output.length()
    }

    /// Runs a line on the host of `url`, and keeps up to `max_output` of each of its outputs.
    /// Takes no longer than `time`. No text of an error holds a secret.
    pub(crate) async fn run(
        &self,
        input: &CommandInput,
        url: Url,
        line: &Line<'_>,
        time: Duration,
    ) -> Result<Ended, Error> {
        let result = self.try_run(input, url, line, time).await;
        result.map_err(|error| {
            let masker = self.secrets.masker();
            let name = &input.acted_on().name;
            let text = |message: String| {
                let whole = format!("winrm to `{name}`: {message}");
                masker.mask(&whole).into_owned()
            };
            match error {
                Error::Retry { message, after } => Error::Retry {
                    message: text(message),
                    after,
                },
                Error::Permanent(message) => Error::Permanent(text(message)),
                Error::Uncertain(message) => Error::Uncertain(text(message)),
            }
        })
    }

    async fn try_run(
        &self,
        input: &CommandInput,
        url: Url,
        line: &Line<'_>,
        time: Duration,
    ) -> Result<Ended, Error> {
        if url.scheme() != "https" {
            return Err(Error::permanent("WinRM is spoken over HTTPS only"));
        }
        let grace = GRACE.min(time / 8);
        let until = Instant::now() + time.saturating_sub(3 * grace);
        let login = self.login(input, &url)?;
        let link = Link::new(&self.egress, url, login, self.clock.now());
        let mut shell = Shell::create(link, until).await?;
        let times = Times {
            poll: self.config.poll.duration(),
            until,
            grace,
        };
        let ended = shell.run(line, self.max_output(), &times).await;
        shell.delete(Instant::now() + grace, ended.is_err()).await;
        ended
    }

    fn login(&self, input: &CommandInput, url: &Url) -> Result<Login, Error> {
        let given = input.authentication().ok_or_else(|| {
            Error::permanent(
                "there are no credentials: give the target an authentication (`user-auth` or \
                 `http-basic`)",
            )
        })?;
        let scheme = match given.kind.as_str() {
            "http-basic" => Scheme::Basic,
            "user-auth" => self.config.authentication,
            other => {
                return Err(Error::permanent(format!(
                    "credentials of type `{other}` can't be shown by WinRM: it takes `user-auth` \
                     and `http-basic`"
                )));
            }
        };
        let (Some(user), Some(password)) = (&given.user, &given.password) else {
            return Err(Error::permanent(format!(
                "the credentials `{}` lack a user or password",
                given.id
            )));
        };
        let host = Host::of(url).map(Receiver::Host);
        let to = host.ok_or_else(|| Error::permanent("the URL has no host"))?;
        Ok(Login {
            scheme,
            user: user.clone(),
            password: password.read(&self.secrets, &[to])?,
        })
    }
}

/// When a shell has to be done.
struct Times {
    /// A host tells that there is nothing to tell after this.
    poll: Duration,
    until: Instant,
    /// An answer to the last question may take so much longer.
    grace: Duration,
}

/// A shell on a host.
struct Shell<'a> {
    link: Link<'a>,
    id: String,
    /// The command that was begun in it.
    command: Option<String>,
}

impl<'a> Shell<'a> {
    /// Nothing is done by that: where it fails, another try is safe.
    async fn create(mut link: Link<'a>, until: Instant) -> Result<Self, Error> {
        let request = envelope(link.url().as_str(), Operation::Create, left(until));
        let text = match link.post(&request, until).await {
            Ok(Reply::Done(text)) => text,
            Ok(Reply::Fault(fault)) if fault.is_quota() || !fault.is_refusal() => {
                return Err(Error::retry(no_shell(&fault.words())));
            }
            Ok(Reply::Fault(fault)) => return Err(Error::permanent(no_shell(&fault.words()))),
            Err(Failure::Refused(reason)) => return Err(Error::permanent(no_shell(&reason))),
            Err(Failure::NotNow(reason) | Failure::Unknown(reason)) => {
                return Err(Error::retry(no_shell(&reason)));
            }
        };
        let id = answer::shell_id(&text)
            .map_err(|error| Error::permanent(no_shell(&error.to_string())))?;
        Ok(Self {
            link,
            id,
            command: None,
        })
    }

    async fn run(&mut self, line: &Line<'_>, limit: usize, times: &Times) -> Result<Ended, Error> {
        let command = self.begin(line, times.until).await?;
        self.command = Some(command.clone());
        let (mut stdout, mut stderr) = (Kept::default(), Kept::default());
        loop {
            let part = self.receive(&command, times).await?;
            stdout.push(&part.stdout, limit);
            stderr.push(&part.stderr, limit);
            if let Some(exit_code) = part.exit_code {
                return Ok(Ended {
                    exit_code,
                    stdout,
                    stderr: plain(&stderr, limit),
                });
            }
        }
    }

    /// Begins the command. What is not answered may have been done.
    async fn begin(&mut self, line: &Line<'_>, until: Instant) -> Result<String, Error> {
        let operation = Operation::Command {
            shell: &self.id,
            program: line.program,
            arguments: line.arguments,
        };
        let request = envelope(self.link.url().as_str(), operation, left(until));
        let unknown = |reason: &str| {
            Error::Uncertain(format!(
                "whether the script was begun is unknown ({reason}), and so is what it has done"
            ))
        };
        match self.link.post(&request, until).await {
            Ok(Reply::Done(text)) => {
                answer::command_id(&text).map_err(|error| unknown(&error.to_string()))
            }
            Ok(Reply::Fault(fault)) => Err(not_begun(&fault, unknown)),
            Err(Failure::NotNow(reason)) => {
                Err(Error::retry(format!("the script was not begun: {reason}")))
            }
            Err(Failure::Refused(reason)) => Err(Error::permanent(format!(
                "the script was not begun: {reason}"
            ))),
            Err(Failure::Unknown(reason)) => Err(unknown(&reason)),
        }
    }

    /// What the command has written since, which may be nothing.
    async fn receive(&mut self, command: &str, times: &Times) -> Result<Received, Error> {
        let lost = |reason: &str| {
            Error::Uncertain(format!(
                "the script was begun, but how it ended is not known ({reason}); what it has \
                 done is unknown"
            ))
        };
        let left = left(times.until);
        if left.is_zero() {
            return Err(late());
        }
        let operation = Operation::Receive {
            shell: &self.id,
            command,
        };
        let request = envelope(self.link.url().as_str(), operation, times.poll.min(left));
        let until = times.until + times.grace;
        match self.link.post(&request, until).await {
            Ok(Reply::Done(text)) => {
                answer::received(&text).map_err(|error| lost(&error.to_string()))
            }
            Ok(Reply::Fault(fault)) if fault.is_time_over() => Ok(Received::default()),
            Ok(Reply::Fault(fault)) => Err(lost(&fault.words())),
            Err(_) if Instant::now() >= times.until => Err(late()),
            Err(Failure::NotNow(reason) | Failure::Refused(reason) | Failure::Unknown(reason)) => {
                Err(lost(&reason))
            }
        }
    }

    /// Ends the shell, and before it a command that still runs in it. A host that does not
    /// answer ends it by itself, once nobody has asked about it for a while.
    async fn delete(mut self, until: Instant, is_running: bool) {
        let to = self.link.url().as_str().to_owned();
        let shell = &self.id;
        let command = self.command.as_deref().filter(|_| is_running);
        if let Some(command) = command {
            let operation = Operation::Terminate { shell, command };
            let request = envelope(&to, operation, left(until));
            self.link.post(&request, until).await.ok();
        }
        let request = envelope(&to, Operation::Delete { shell }, left(until));
        self.link.post(&request, until).await.ok();
    }
}

fn no_shell(reason: &str) -> String {
    format!("no shell was opened, so nothing was done: {reason}")
}

fn not_begun(fault: &Fault, unknown: impl Fn(&str) -> Error) -> Error {
    let message = format!("the script was not begun: {}", fault.words());
    if fault.is_quota() {
        Error::retry(message)
    } else if fault.is_refusal() {
        Error::permanent(message)
    } else {
        unknown(&fault.words())
    }
}

fn late() -> Error {
    Error::Uncertain(
        "the script was still running when its time was over; the host was told to end it, and \
         what it had done by then is unknown"
            .to_owned(),
    )
}

/// Standard error as a person would have seen it.
fn plain(written: &Kept, limit: usize) -> Kept {
    let text = String::from_utf8_lossy(written.bytes());
    let mut plain = Kept::default();
    plain.push(clixml::plain(&text).as_bytes(), limit);
    plain
}
