//! Carries a command out: does what [`Progress`] says until it is at its end.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tokio::time::Instant;

use super::outcome::Ended;
use super::parse::{Command, CommandError, Mode, Verb};
use super::progress::{Heard, Next, Progress};
use crate::client::{Client, InvokeOptions};
use crate::model::{ActivationId, FullyQualifiedName};

/// Left of the time for an answer after the host has waited.
const MARGIN: Duration = Duration::from_millis(500);

/// Under which names it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calls {
    /// The beginning of each request's `X-Request-ID`; must not begin with `sid_`.
    pub request_id: String,
    /// The key of the command's idempotency, the same whenever the same is done again.
    pub key: String,
    /// Whether the host itself does once what has one key, so that every command carries it.
    pub keyed: bool,
    /// When to give up.
    pub deadline: Instant,
}

/// Keeps which activation a command waits for, so that whoever takes it up again asks for it.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// An activation was accepted. It is asked about after this returns.
    async fn accepted(&self, id: &ActivationId);

    /// It has ended, and another is to be invoked.
    async fn forgotten(&self);
}

/// Carries a command out from where it stands.
///
/// # Errors
/// [`CommandError::Name`] where what it names is no name. All else is an end.
pub async fn carry_out(
    client: &Client,
    command: &Command,
    calls: &Calls,
    ledger: &dyn Ledger,
    mut progress: Progress,
) -> Result<Ended, CommandError> {
    let work = Work {
        client,
        command,
        name: command.name()?,
        calls,
    };
    let mut sent = 0_u32;
    loop {
        let heard = match progress.next() {
            Next::End(ended) => return Ok(*ended),
            Next::Log(id) => Heard::Log(client.logs(&id).await),
            Next::Send { after, .. } | Next::Look { after, .. } if !work.wait(after).await => {
                Heard::TimeUp
            }
            Next::Send { deed, .. } => {
                if deed > 0 {
                    ledger.forgotten().await;
                }
                sent += 1;
                work.send(sent, deed).await
            }
            Next::Look { id, .. } => Heard::Looked(Box::new(client.activation(&id).await)),
        };
        let known = progress.activation().cloned();
        progress = progress.hear(command, heard);
        if let Some(id) = progress
            .activation()
            .filter(|id| known.as_ref() != Some(*id))
        {
            ledger.accepted(id).await;
        }
    }
}

struct Work<'a> {
    client: &'a Client,
    command: &'a Command,
    name: FullyQualifiedName,
    calls: &'a Calls,
}

impl Work<'_> {
    /// Waits; whether there is time left after that.
    async fn wait(&self, after: Duration) -> bool {
        let until = Instant::now() + after;
        if until >= self.calls.deadline {
            tokio::time::sleep_until(self.calls.deadline).await;
            return false;
        }
        tokio::time::sleep_until(until).await;
        true
    }

    async fn send(&self, number: u32, deed: u32) -> Heard {
        let key = match deed {
            0 => self.calls.key.clone(),
            deed => format!("{}-{deed}", self.calls.key),
        };
        let options = InvokeOptions {
            wait: self.host_waits(),
            request_id: Some(format!("{}-{number}", self.calls.request_id)),
            idempotency_key: (self.calls.keyed || self.command.idempotency.is_some())
                .then(|| key.clone()),
        };
        let body = Value::from(self.command.body(&key));
        match self.command.verb {
            Verb::Invoke => Heard::Invoked(self.client.invoke(&self.name, &body, &options).await),
            Verb::Fire => Heard::Fired(self.client.fire(&self.name, &body, &options).await),
        }
    }

    /// How long the host itself waits: as the command says, and not past the end.
    fn host_waits(&self) -> Option<u32> {
        let left = self
            .calls
            .deadline
            .saturating_duration_since(Instant::now());
        let wait = self.command.wait.min(left.saturating_sub(MARGIN));
        let wait = u32::try_from(wait.as_millis()).unwrap_or(crate::client::WAIT_MAX);
        (self.command.mode == Mode::Wait && wait > 0).then_some(wait)
    }
}
